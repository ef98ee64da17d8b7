"""Numbers of threads: a use has its own, whatever begins and ends around it, and nothing is left behind."""

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import torch

from distill.compute.threads import process_threads, threads, training_threads

ResultT = TypeVar("ResultT")


@pytest.fixture(autouse=True)
def _four() -> Iterator[None]:
    """A process of four threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4
    assert elsewhere(torch.get_num_threads) == 4
    torch.set_num_threads(before)


def elsewhere(work: Callable[[], ResultT]) -> ResultT:
    """What `work` returns in a thread of its own."""
    found: list[ResultT] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


class Using:
    """A thread that is in use for as long as it is told to be."""

    def __init__(self, count: Callable[[], int]) -> None:
        self.seen: list[int] = []
        self._look, self._looked = threading.Semaphore(0), threading.Semaphore(0)
        self._ends = False
        self._count = count
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.now()

    def _run(self) -> None:
        with threads(self._count()):
            while not self._ends:
                self._look.acquire()
                self.seen.append(torch.get_num_threads())
                self._looked.release()
        self.seen.append(torch.get_num_threads())

    def now(self) -> int:
        """The thread's number."""
        self._look.release()
        self._looked.acquire()
        return self.seen[-1]

    def end(self) -> int:
        """The thread's number after its use."""
        self._ends = True
        self.now()
        self._thread.join()
        return self.seen[-1]


def test_a_training_begun_while_sounds_are_made_has_its_own_number() -> None:
    """Guards against a training on one thread for its life, and against one that leaves that to the process."""
    sampling = Using(lambda: 1)
    training = Using(training_threads)
    assert (sampling.now(), training.now()) == (1, 2)
    assert sampling.end() == 4
    assert training.now() == 2
    assert training.end() == 4


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_uses_may_end_in_any_order(order: tuple[int, int, int]) -> None:
    uses = [Using(lambda: 1), Using(training_threads), Using(lambda: 1)]
    for last in order:
        assert [use.now() for number, use in enumerate(uses) if number in order[order.index(last) :]] == [
            [1, 2, 1][number] for number in sorted(order[order.index(last) :])
        ]
        assert process_threads() == 4
        assert elsewhere(torch.get_num_threads) == 4  # what begins meanwhile and says nothing
        assert uses[last].end() == 4


def test_many_at_once() -> None:
    """Guards against numbers that are set without a lock."""
    wrong: list[int] = []

    def work(count: int) -> None:
        for _ in range(30):
            with threads(count):
                if torch.get_num_threads() != count or training_threads() != 2:
                    wrong.append(torch.get_num_threads())

    workers = [threading.Thread(target=work, args=(number % 3 + 1,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_generators_of_one_thread_may_end_in_any_order() -> None:
    """Guards against the number of a training that is taken by sounds made between its steps."""

    def work(count: int) -> Iterator[int]:
        with threads(count):
            while True:
                yield torch.get_num_threads()

    training, sampling = work(2), work(1)
    assert next(training) == 2
    assert next(sampling) == 1
    training.close()  # type: ignore[attr-defined]
    assert next(sampling) == 1
    sampling.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 4
    again, other = work(2), work(3)
    next(again), next(other)
    other.close()  # type: ignore[attr-defined]
    assert next(again) == 2
    elsewhere(again.close)  # type: ignore[attr-defined]
    assert process_threads() == 4
    with threads(1):
        assert process_threads() == 4
