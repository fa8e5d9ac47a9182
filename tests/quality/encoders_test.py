"""encoders_test.py - what the built-in encoders can and cannot, beside real ones: the table that the docs show."""

import csv

import pytest

import encoders
import rare

pytestmark = pytest.mark.skipif(not (rare.DATA / "embeddings").is_dir(), reason=f"no data at {rare.DATA} (SLUICE_DATA)")


@pytest.fixture(scope="module")
def table():
    found = list(encoders.rows())
    print(encoders.as_text(found))
    return found


def test_table_is_the_one_that_is_kept(table):
    """Within what another kind of processor does to the last digits of scores."""
    kept = list(csv.DictReader(encoders.TABLE.open()))
    assert [row["case"] for row in table] == [row["case"] for row in kept]
    for row, was in zip(table, kept):
        for field in encoders.FIELDS[1:]:
            assert float(row[field]) == pytest.approx(float(was[field]), abs=0.03), (row["case"], field)


def test_a_foreign_source_is_found_without_a_real_encoder(table):
    for row in table:
        assert float(row["shift"]) >= 0.99 and int(row["without_views"]) == 0, row


def test_neighbours_are_far_better_than_chance(table):
    for row in table:
        assert float(row["near_10"]) >= 0.2, row  # chance: 10 of 2,600
