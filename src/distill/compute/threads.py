"""How many threads of the processor the networks run on: the one place that says it.

torch keeps the number for each thread of Python (OpenMP does), and a thread that has not computed yet begins with the
number that was set last, by whichever. So a number that is meant for one piece of work must not be what another thread
begins with, nor what that thread takes for the process's. What is in use is noted here, and torch is asked only where
nothing is: then `torch.set_num_threads` says how many threads the process has.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Use:
    """A piece of work under way, and its number of threads."""

    def __init__(self, count: int) -> None:
        self.count = count


class _OfThread:
    """What is in use in one thread of Python."""

    def __init__(self) -> None:
        self.uses: list[_Use] = []
        """The last one counts."""
        self.before = 1
        """The thread's own number, which comes back when the last one ends."""
        self.overdue = False
        """Whether it has not come back yet, because another thread closed the generator that was in use."""

    def number(self) -> int:
        """The thread's own number, where nothing is in use in it. Called by the thread itself."""
        return self.before if self.overdue else torch.get_num_threads()


_local = threading.local()
_lock = threading.Lock()
_in_use = 0
"""Uses of all threads of Python."""
_of_process = 1
"""The process's number, where something is in use."""


def process_threads() -> int:
    """How many threads the process has, whatever is in use now."""
    with _lock:
        return _of_process if _in_use else _here().number()


def training_threads() -> int:
    """Half the process's threads: the networks are small, and threads that wait for a busy core lose most.

    On two cores the second thread gains 15 % where nothing else runs, and costs 130 % beside one busy program.
    """
    return max(1, process_threads() // 2)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run what follows, in this thread of Python, on `count` threads of the processor.

    Uses may overlap and end in any order: in one thread of Python the last of those that go on counts, and what other
    threads do makes no difference.
    """
    global _in_use, _of_process
    use, here = _Use(count), _here()
    with _lock:
        if not here.uses:
            here.before, here.overdue = here.number(), False
        if not _in_use:
            _of_process = here.before
        _in_use += 1
        here.uses.append(use)
        _set(count)
    try:
        yield
    finally:
        with _lock:
            _in_use -= 1
            here.uses.remove(use)
            if here is _here():
                _set(here.uses[-1].count if here.uses else here.before)
            else:
                here.overdue = True


def _here() -> _OfThread:
    if not hasattr(_local, "state"):
        _local.state = _OfThread()
    state: _OfThread = _local.state
    return state


def _set(count: int) -> None:
    """`count` for this thread of Python, the process's number for threads that have not computed yet."""
    torch.set_num_threads(count)
    if count != _of_process:
        another = threading.Thread(target=torch.set_num_threads, args=(_of_process,))
        another.start()
        another.join()
