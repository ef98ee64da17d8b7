"""Steps that run at once: the same pieces in the same order, and nothing goes on behind a closed door."""

import time
from collections.abc import Iterator

import pytest

from distill.instrument.pipelining import worked_on


@pytest.mark.parametrize(("workers", "most"), [(1, 0), (2, 8), (3, 1)])
def test_work_comes_back_in_order(workers: int, most: int) -> None:
    """The first piece takes longest; guards against sounds that swap seeds."""

    def work(piece: int) -> str:
        time.sleep(0.02 if piece == 0 else 0.0)
        return f"done {piece}"

    found = iter([0, 1, "begun", 2, 3, 4])
    answers = list(worked_on(found, int, work, workers, most))
    assert [each for each in answers if each != "begun"] == [f"done {number}" for number in range(5)]
    assert answers.count("begun") == 1


def test_no_more_pieces_wait_than_may() -> None:
    drawn: list[int] = []
    done: list[int] = []

    def found() -> Iterator[int]:
        for number in range(20):
            assert len(drawn) - len(done) <= 3, "drawn far ahead of what is made"
            drawn.append(number)
            yield number

    for _ in worked_on(found(), int, lambda piece: piece, 2, 2):
        done.append(1)
    assert len(done) == 20


def test_a_failed_piece_is_raised_and_the_rest_is_not_made() -> None:
    made: list[int] = []

    def work(piece: int) -> int:
        if piece == 1:
            raise ValueError("full disk")
        made.append(piece)
        return piece

    with pytest.raises(ValueError, match="full disk"):
        list(worked_on(iter(range(100)), int, work, 1, 4))
    assert max(made) < 10
