"""text_test.py - the quality table holds its bounds and equals the one that is kept."""

import csv

import pytest

import measure

needs_data = pytest.mark.skipif(not measure.DATA.is_dir(), reason=f"no data at {measure.DATA} (SLUICE_DATA)")


@pytest.fixture(scope="module")
def table():
    return list(measure.rows())


@needs_data
def test_table_is_the_one_that_is_kept(table):
    assert measure.as_text(table) == measure.TABLE.read_text(), "run tests/run.sh quality and look at the diff"


@needs_data
def test_named_profiles_reach_the_best_peers(table):
    assert {row["pack"]: row["shortfall"] for row in table if row["profile"] != "auto" and float(row["shortfall"]) > 0} == {}


@needs_data
def test_boilerplate_code_chinese_and_licences_are_past_the_exact_unweighted_ceiling(table):
    past = {row["pack"] for row in table if row["profile"] != "auto" and float(row["f1"]) > float(row["ceiling_f1"])}
    assert past >= {"debian-desc-en-a", "codefix-small", "manpages-zh", "spdx-licences", "dblp-acm"}


@needs_data
def test_auto_told_nothing_stays_near(table):
    assert measure.mean_loss_of_auto(table) <= 0.03


@needs_data
def test_sketch_and_index_agree_with_exact_sets(table):
    bad = [row for row in table if float(row["exact_recall"]) < 0.99 or float(row["exact_precision"]) < 0.99]
    assert bad == []
    assert [row for row in table if int(row["uncovered"]) > 0] == []


def test_kept_table_has_every_pack_named_and_auto():
    kept = list(csv.DictReader(measure.TABLE.open()))
    assert len(kept) == 2 * len(measure.PACKS)
