"""Steps that run at once: the same pieces in the same order, and nothing goes on behind a closed door."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from distill.instrument import pipelining
from distill.instrument.pipelining import ahead, worked_on


@pytest.fixture(autouse=True, params=[1, 2])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelining, "process_threads", lambda: request.param)


def alive() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "ahead"]


def test_ahead_gives_what_there_is_in_order() -> None:
    assert list(ahead(iter(range(100)), 3)) == list(range(100))
    assert not alive()


def test_ahead_makes_no_more_than_it_may() -> None:
    """Guards against a stream that fills memory while nobody plays it."""
    made: list[int] = []

    def counted() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    pieces = ahead(counted(), 4)
    for _ in range(3):
        next(pieces)
    time.sleep(0.05)
    assert len(made) <= 3 + 4 + 1
    pieces.close()  # type: ignore[attr-defined]
    done = len(made)
    time.sleep(0.02)
    assert len(made) == done and not alive()


def test_a_forgotten_one_ends_its_thread() -> None:
    pieces = ahead(iter(range(1000)), 2)
    next(pieces)
    del pieces
    assert not alive()


def test_an_error_comes_where_the_piece_is_missing() -> None:
    """Guards against a reader who waits for ever."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    pieces = ahead(failing(), 8)
    assert next(pieces) == 1
    with pytest.raises(ValueError, match="no more"):
        next(pieces)
    assert not alive()


def test_gradients_are_off_in_the_thread() -> None:
    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        (found,) = ahead((weight * 2 for _ in range(1)), 1)
    assert not found.requires_grad


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
