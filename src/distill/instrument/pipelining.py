"""Two steps of the same work at once: while one thread makes the next piece, another goes on with the last.

A second core halves the time where neither step waits for the other within itself; what is made is the same, and in the same
order. Where the process has one thread, everything is done in turn.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Other = TypeVar("Other")
Done = TypeVar("Done")


def worked_on(
    found: Iterator[Other | Piece], kind: type[Piece], work: Callable[[Piece], Done], workers: int, most: int
) -> Iterator[Other | Done]:
    """What an iterator gives, with `work` done on its pieces in `workers` threads while it finds the next ones.

    Everything comes in order, but for what is no piece: that comes at once.

    Args:
        kind: what pieces are.
        most: so many pieces are worked on or wait at most; 0: the next is not looked for before one is done.
    """
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for each in found:
                if isinstance(each, kind):
                    waiting.append(pool.submit(work, each))
                else:
                    yield each  # type: ignore[misc]
                while waiting and (len(waiting) > most or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
