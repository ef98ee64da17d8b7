"""Runs that were stopped or killed, put down in the cache folder so that `--resume` can go on with them."""

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from distill.errors import DistillError
from distill.files import replacing
from distill.places import unfinished_dir

SAVE_SECONDS = 15.0
"""An unfinished run is put down at most this often: what a kill can cost."""


class UnfinishedRun:
    """The unfinished run of one stage of one model.

    It lies in the cache folder, not beside the model: it is no part of it, and deleting it costs a repetition only.
    """

    def __init__(self, model: Path, stage: str, facts: dict[str, Any], resume: bool) -> None:
        """`facts`: plain values that must be the same when the run is taken up: settings, corpus, codec, program."""
        self.model = model
        self.stage = stage
        self.facts = facts
        self.resume = resume
        self.path = unfinished_dir(model) / f"{stage}.pt"
        self.saved = 0.0

    def kept_facts(self) -> dict[str, Any]:
        """The facts of the run that lies there.

        Raises:
            DistillError: nothing lies there, or it cannot be read.
        """
        if not self.path.is_file():
            raise DistillError(
                f"There is no unfinished {self.stage} training of {self.model}. Leave out --resume to start a new one."
            )
        facts: dict[str, Any] = self._read()["facts"]
        return facts

    def load(self) -> dict[str, Any] | None:
        """The state to go on from; None where a new run is wanted."""
        if not self.resume:
            return None
        if self.kept_facts() != self.facts:
            raise DistillError(
                f"The unfinished {self.stage} training of {self.model} had other sounds or another codec, or was begun by "
                "another version of distill. Leave out --resume to start a new one."
            )
        state: dict[str, Any] = self._read()["state"]
        return state

    def save(self, state: Callable[[], dict[str, Any]]) -> None:
        """Put the run down if the last time is long enough ago."""
        if time.monotonic() - self.saved >= SAVE_SECONDS:
            with replacing(self.path) as stream:
                torch.save({"facts": self.facts, "state": state()}, stream)
            self.saved = time.monotonic()

    def clear(self) -> None:
        """The run is finished."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise DistillError(f"The unfinished training in {self.path} is damaged. Leave out --resume.") from error
        return kept
