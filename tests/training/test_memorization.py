"""The first line against memorization: thresholds, and words that say what it can see."""

import pytest

from distill.training.prior.memorization import check_memorization


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
