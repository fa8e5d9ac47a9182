"""images_test.py - the table of images holds its bounds and equals the one that is kept."""

import csv

import pytest

images = pytest.importorskip("images", reason="needs python3-pil")

needs_data = pytest.mark.skipif(not images.DATA.is_dir(), reason=f"no data at {images.DATA} (SLUICE_DATA)")


@pytest.fixture(scope="module")
def table():
    return {(row["case"], row["profile"]): row for row in images.rows()}


@needs_data
def test_table_is_the_one_that_is_kept(table):
    assert images.as_text(table.values()) == images.TABLE.read_text(), "run tests/run.sh quality and look at the diff"


@needs_data
def test_judged_pairs_are_found_better_than_by_any_hash(table):
    assert float(table["cifar10", "alike"]["f1"]) >= 0.80  # 256-bit phash: .765


@needs_data
def test_copies_are_found_and_distinct_photographs_are_not_flagged(table):
    assert [case for case in images.COPIES if float(table[case, "copies"]["recall"]) < 0.99] == []
    assert int(table["distinct", "copies"]["flagged"]) == 0


@needs_data
def test_turned_copies_are_found_where_asked_for_and_distinct_photographs_are_not_flagged(table):
    assert [case for case in images.TURNS if float(table[case, images.TURNING]["recall"]) < 0.99] == []
    assert int(table["distinct", images.TURNING]["flagged"]) == 0


def test_kept_table_has_every_case_and_profile():
    kept = list(csv.DictReader(images.TABLE.open()))
    assert len(kept) == len(images.PROFILES) * (2 + len(images.CASES)) + 1 + len(images.TURNS)
