"""The program's entry: `distill` and `python -m distill`. Ctrl-C is in order from here on, so next to nothing is imported."""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

STOPPED = 130
"""Exit code of a program that Ctrl-C ended, as shells count it."""


def main() -> None:
    """Run the command line."""
    try:
        signal.signal(signal.SIGINT, _interrupted)
        from distill.cli.app import main as program

        program()
    except KeyboardInterrupt:
        _end_at_once()
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupted:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to say


def _interrupted(_number: int, frame: "FrameType | None") -> None:
    """Ctrl-C while nothing is under way that could be stopped in order (`cli.running` has its own answer to it).

    A module that is being imported may swallow an exception, or report it as something else, and torch takes seconds to
    import; nothing is begun by then, so the process ends at once.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _end_at_once()
        frame = frame.f_back
    raise KeyboardInterrupt


def _end_at_once() -> "NoReturn":
    try:
        os.write(2, b"Stopped.\n")
    finally:
        os._exit(STOPPED)


if __name__ == "__main__":
    main()
