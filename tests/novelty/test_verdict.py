"""Verdicts at their borders."""

from typing import Any

import pytest

from distill.novelty.verdict import decide

NOTHING: dict[str, Any] = {
    "copied": 0, "of": 64, "nearer_p": 0.5, "nearer_chance": 0.5, "farther_z": 0.0, "farther_chance": 0.5, "recordings": 60,
    "power": 0.9,
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({}, "new"),
        ({"copied": 8}, "copies"),
        ({"copied": 6}, "close to the source"),
        ({"copied": 1, "of": 1}, "copies"),
        ({"copied": 8, "recordings": 4, "power": 0.0}, "copies"),
        ({"nearer_p": 0.001, "nearer_chance": 0.3}, "close to the source"),
        ({"nearer_p": 0.03, "nearer_chance": 0.3}, "new"),
        ({"nearer_p": 0.001, "nearer_chance": 0.3, "recordings": 7}, "not enough material to tell"),
        ({"farther_z": 5.0, "farther_chance": 0.8}, "not like your sounds yet"),
        ({"farther_z": 5.0, "farther_chance": 0.7}, "new"),
        ({"farther_z": 5.0, "farther_chance": 0.8, "copied": 20}, "copies"),
        ({"recordings": 8}, "new"),
        ({"recordings": 7}, "not enough material to tell"),
        ({"of": 16}, "new"),
        ({"of": 15}, "not enough material to tell"),
        ({"power": 0.49}, "not enough material to tell"),
        ({"power": None}, "new"),
    ],
)
def test_decide(found: dict[str, Any], verdict: str) -> None:
    """Guards against a green light without the data for one, and against copies that too little material hides."""
    said, reason = decide(**{**NOTHING, **found})
    assert said == verdict
    assert reason.endswith(".")
