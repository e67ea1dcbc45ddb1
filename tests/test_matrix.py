"""Vehicle or charger: what the cells of the matrix say together."""

import pytest

from charging.matrix import Blame, Cell, read_charger, read_vehicle
from charging.verdict import summarise
from tests.test_verdict import charged


def cells(text: str) -> list[Cell]:
    """`v1:c1+ v1:c2-`: + as expected, - low, ? not enough evidence."""
    energy = {"+": 18.4, "-": 15.0, "?": 0.2}
    return [
        Cell(pair[:2], pair[3:5], summarise(charged(dc_kwh=energy[pair[5]], ac_kwh=0.3 if pair[5] == "?" else 20.0)))
        for pair in text.split()
    ]


@pytest.mark.parametrize(
    ("matrix", "blame"),
    [
        ("", "unknown"),
        ("v1:c1?", "unknown"),
        ("v1:c1+", "none"),
        ("v1:c1+ v1:c2? v2:c1-", "none"),
        ("v1:c1-", "unknown"),
        ("v1:c1- v2:c2+", "unknown"),
        ("v1:c1- v2:c1?", "unknown"),
        ("v1:c1- v1:c2-", "vehicle"),
        ("v1:c1- v2:c1+", "vehicle"),
        ("v1:c1- v1:c2- v2:c1+ v3:c2+", "vehicle"),
        ("v1:c1- v2:c1-", "charger"),
        ("v1:c1- v1:c2+ v2:c1-", "charger"),
        ("v1:c1- v1:c2+", "charger"),
        ("v1:c1- v1:c2+ v2:c1+", "both"),
        ("v1:c1- v1:c2- v2:c1-", "both"),
        ("v1:c1- v1:c2- v2:c1- v3:c2-", "charger"),
    ],
)
def test_a_vehicles_reading_follows_from_who_else_is_low_where(matrix: str, blame: Blame) -> None:
    assert read_vehicle("v1", cells(matrix)).blame == blame


@pytest.mark.parametrize(
    ("matrix", "blame"),
    [
        ("v1:c1-", "unknown"),
        ("v1:c1- v2:c1-", "charger"),
        ("v1:c1- v1:c2-", "vehicle"),
        ("v1:c1- v2:c1+ v1:c2+", "both"),
        ("v1:c1+ v2:c1+", "none"),
    ],
)
def test_a_chargers_reading_follows_the_same_rule(matrix: str, blame: Blame) -> None:
    assert read_charger("c1", cells(matrix)).blame == blame


def test_the_words_name_who_and_where() -> None:
    assert (
        read_vehicle("v1", cells("v1:c1- v1:c2- v2:c1+")).words
        == "low at all of c1, c2, where another vehicle is as expected: it is the vehicle"
    )
    assert (
        read_charger("c1", cells("v1:c1- v2:c1- v1:c2+")).words
        == "low with all of v1, v2, where another charger is as expected: it is the charger"
    )
    assert "not enough overlap to say" in read_vehicle("v1", cells("v1:c1-")).words
