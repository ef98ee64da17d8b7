"""The first line against memorization: thresholds, and words that say what it can see."""

import re

import pytest

from distill.training.prior.memorization import check_memorization, judge_memorization


@pytest.mark.parametrize(
    ("perplexity", "files", "flagged"),
    [(1.9, 20, True), (2.1, 20, False), (2.9, 21, True), (3.1, 100, False), (4.9, 101, True), (5.1, 101, False)],
)
def test_thresholds(perplexity: float, files: int, flagged: bool) -> None:
    flag, message = check_memorization(perplexity, 128, files)
    assert flag is flagged
    assert f"{perplexity:.1f}" in message


def test_the_warning_names_both_causes() -> None:
    """Guards against calling low-entropy material a copy."""
    message = check_memorization(1.1, 64, 10)[1]
    assert "uniform" in message
    assert "memorizing" in message


@pytest.mark.parametrize(
    ("gap", "copied", "perplexity", "flagged", "said"),
    [
        ((0.8, 1.4), 0.5, 90.0, True, "50% .* 0.8 to 1.4 bits"),
        ((0.8, 1.4), 0.25, 90.0, False, "no sign"),
        ((0.4, 3.0), 0.9, 90.0, False, "no sign"),
        ((0.0, 0.1), 0.0, 1.2, False, "very uniform"),
        ((0.8, 1.4), None, 1.2, True, "very low"),
        ((0.8, 1.4), None, 90.0, False, "no sign"),
    ],
)
def test_both_signs_together(
    gap: tuple[float, float], copied: float | None, perplexity: float, flagged: bool, said: str
) -> None:
    """Guards against a warning by perplexity alone, which a prior that memorizes never gets, and repetitive material does."""
    flag, message = judge_memorization(gap, copied, perplexity, 128, 10)
    assert flag is flagged
    assert re.search(said, message)
