"""`distill generate --stream`: sound on standard output, and nothing else there."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from distill.cli.running import last, run
from distill.errors import DistillError, Stopped
from distill.settings.generation import GenerationSettings
from distill.settings.knobs import flag_name

FORMS = ("raw", "wav")
NOT_STREAMED = {
    "count": "a stream is one sound",
    "format": "--stream says the format",
    "bits": "--stream says the format",
    "rate": "a stream has 48 kHz",
    "normalise": "all of the sound would have to be there first",
    "lufs": "all of the sound would have to be there first",
    "trim": "all of the sound would have to be there first",
    "fade_in": "a stream is faded by who plays it",
    "fade_out": "a stream is faded by who plays it",
    "candidates": "a stream is one sound",
    "provenance": "it stands in files; `distill where` says it of any sound",
    "steps": "a stream is one sound",
}
"""Settings that mean nothing to a stream."""


def stream_sound(
    model: str, form: str, settings: GenerationSettings, given: Mapping[str, Any], device: str, as_json: bool,
    stop: threading.Event,
) -> None:  # fmt: skip
    """Write a sound to standard output as it is made.

    Raises:
        DistillError: something else was asked for that cannot go with it, or standard output is a screen.
    """
    from distill import studio
    from distill.events import StreamCompleteEvent

    if form not in FORMS:
        raise DistillError(f"--stream {form}: choose {' or '.join(FORMS)}.")
    for name, reason in NOT_STREAMED.items():
        if name in given:
            flag = flag_name(name)
            raise DistillError(f"--stream and {flag}: {reason}. Leave {flag} out.")
    if as_json:
        raise DistillError("--stream and --json: both would go to standard output. Leave --json out.")
    if sys.stdout.isatty():
        raise DistillError(f"--stream {form}: standard output is a terminal. Pipe it to a player or into a file.")
    endless = settings.verb is None and "seconds" not in given
    work = studio.stream(model, sys.stdout.buffer, form, settings, endless, device, stop)  # type: ignore[arg-type]
    try:
        done = last(run(work, stop), StreamCompleteEvent)
    finally:
        _drop_what_nobody_reads()
    if not done.seconds and stop.is_set():
        raise Stopped("Stopped before there was a sound.")


def _drop_what_nobody_reads() -> None:
    """What could not be written must not be complained of once more when the program ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
