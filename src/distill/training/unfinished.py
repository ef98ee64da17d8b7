"""Runs that were stopped or killed, put down in the cache folder so that `--resume` can go on with them.

A run lies in the cache, not beside the model: it is no part of it, and deleting it costs a repetition only. So does a
cache that has no room for it: that is said once, and the training goes on.
"""

import errno
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.errors import DistillError
from distill.events import Event, Warned
from distill.files import cannot_write, replacing
from distill.places import unfinished_dir
from distill.settings.knobs import Origin

SAVE_SECONDS = 15.0
"""An unfinished run is put down at most this often, and when it is stopped: what a kill can cost."""
ROOM_LEFT = 2**26
"""Bytes that are left to others where an unfinished run is put down."""


@dataclass(frozen=True)
class UnfinishedRun:
    """A run as it was put down."""

    facts: dict[str, Any]
    """Plain values that must be the same when it is taken up again: corpus, codec, program."""
    settings: dict[str, Any]
    origin: dict[str, Origin]
    """Where each setting came from."""
    created: str
    """When the codec was begun, where that is what was trained: it tells its file from another of the same name."""
    state: dict[str, Any]
    """Of `training.run.Run`."""


def unfinished_path(model: Path, stage: str) -> Path:
    """Where the unfinished run of one stage of one model lies, if there is one."""
    return unfinished_dir(model) / f"{stage}.pt"


def read_unfinished(model: Path, stage: str) -> UnfinishedRun:
    """The run that lies there.

    Raises:
        DistillError: there is none, or it cannot be read.
    """
    path = unfinished_path(model, stage)
    if not path.is_file():
        raise DistillError(
            f"There is no unfinished {stage} training of {model}. Leave out --resume to start a new one."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise unfit(path)
        kept = torch.load(path, map_location="cpu", weights_only=True)
        run = UnfinishedRun(**kept)
        sound = all(isinstance(part, dict) for part in (run.facts, run.settings, run.origin, run.state))
    except Exception as error:  # readers of foreign bytes fail in more ways than can be listed
        raise unfit(path) from error
    if not sound or not isinstance(run.created, str):
        raise unfit(path)
    return run


def unfit(path: Path) -> DistillError:
    """The sentence for an unfinished run that cannot be gone on with."""
    return DistillError(
        f"The unfinished training in {path} is damaged, or another version of distill began it. Leave out --resume to "
        "start a new one."
    )


class Checkpoints:
    """Where the run of one stage of one model is put down on the way, and what it goes on from."""

    def __init__(
        self,
        model: Callable[[], Path],
        stage: str,
        about: Mapping[str, Any],
        resumed: UnfinishedRun | None,
        put_down: bool = True,
    ) -> None:
        """
        Args:
            model: where the model's file is by now.
            about: what an `UnfinishedRun` holds beside the state.
            resumed: the run to go on with.
            put_down: whether it is put down at all.
        """
        self.put_down = put_down
        self.model = model
        self.stage = stage
        self.about = about
        self.resumed = resumed
        self.saved = 0.0
        self._last = None if resumed is None else self.path
        self._said = False

    @property
    def path(self) -> Path:
        """Where it is put down."""
        return unfinished_path(self.model(), self.stage)

    def load(self) -> dict[str, Any] | None:
        """The state to go on from; None where a new run is wanted."""
        if self.resumed is None:
            return None
        if self.resumed.facts != self.about["facts"]:
            raise DistillError(
                f"The unfinished {self.stage} training of {self.model()} had other sounds or another codec, or was begun "
                "by another version of distill. Leave out --resume to start a new one."
            )
        return self.resumed.state

    def unfit(self) -> DistillError:
        """The sentence for a state that is not one of this training."""
        return unfit(self.path)

    def due(self) -> bool:
        """Whether the last time is long enough ago."""
        return self.put_down and time.monotonic() - self.saved >= SAVE_SECONDS

    def save(self, state: Mapping[str, Any]) -> Sequence[Event]:
        """Put the run down -> what is to be said of it."""
        if not self.put_down:
            return []
        try:
            self._write({**self.about, "state": dict(state)})
        except DistillError as error:  # it is said once, and tried again
            first, self._said = not self._said, True
            return [Warned(f"The training goes on, but --resume could not go on with it. {error}")] if first else []
        finally:
            self.saved = time.monotonic()
        return []

    def clear(self) -> None:
        """The run is finished."""
        for path in {self.path, self._last or self.path}:
            with suppress(OSError):
                path.unlink()

    def _write(self, kept: dict[str, Any]) -> None:
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(path.parent).free < size_of(kept) + ROOM_LEFT:
                raise OSError(errno.ENOSPC, "")
        except OSError as error:
            raise cannot_write(path, error) from error
        with replacing(path) as stream:
            torch.save(kept, stream)
        if self._last is not None and self._last != path:  # the model has moved
            self._last.unlink(missing_ok=True)
        self._last = path


def size_of(value: Any) -> int:
    """Bytes of all tensors in nested plain values."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(size_of, value.values()))
    return sum(map(size_of, value)) if isinstance(value, list | tuple) else 0
