"""What benchmarks share: running a generator of events for what it returns."""

from collections.abc import Generator
from typing import Any


def finished(events: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(events)
        except StopIteration as done:
            return done.value
