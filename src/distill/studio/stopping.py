"""Ending work that does not look for itself whether it is to stop."""

import contextlib
import threading
from collections.abc import Generator
from typing import TypeVar

from distill.errors import Stopped
from distill.events import Event

ResultT = TypeVar("ResultT")

NOTHING_TRAINED = "Stopped before the training: nothing was changed. Sounds that were read need not be read again."


def stoppable(
    work: Generator[Event, None, ResultT], stop: threading.Event | None, sentence: str
) -> Generator[Event, None, ResultT]:
    """Pass the events of `work` on and return what it returns; end it after the event during which `stop` is set.

    Raises:
        Stopped: it was; `sentence` says what has become of the work.
    """
    with contextlib.closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                result: ResultT = end.value
                return result
            yield event
            if stop is not None and stop.is_set():
                raise Stopped(sentence)
