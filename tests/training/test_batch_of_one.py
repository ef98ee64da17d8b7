"""A batch of one: the smallest there is, and what little memory leaves."""

import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch

from distill import studio
from distill.events import Event, StepMetrics
from distill.modelfile.file import read_contents
from tiny import TINY_CODEC, TINY_PRIOR

STAGES: dict[str, tuple[str, Callable[[Path, Path], Generator[Event, None, None]]]] = {
    "codec": ("model_state_dict", lambda sounds, path: studio.train(
        sounds, out=path, overrides={**TINY_CODEC, "epochs": 2, "codebook_size": 64, "batch_size": 1}, overwrite=True)),
    "prior": ("prior_state_dict", lambda _sounds, path: studio.train_prior_for(
        str(path), overrides={**TINY_PRIOR, "epochs": 1, "views": 1, "batch_size": 1}, overwrite=True)),
    "synthesiser": ("synthesiser_state_dict", lambda _sounds, path: studio.train_synth_for(
        str(path), overrides={"epochs": 1, "steps_per_epoch": 2, "batch_size": 1, "pretrained": False,
                              "adversarial_weight": 0.1}, overwrite=True)),
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_a_batch_of_one_trains(stage: str, sounds: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against statistics over a batch, and against axes that a batch of one loses."""
    path = tmp_path / "model.distill"
    shutil.copy(tiny_model, path)
    section, train = STAGES[stage]
    losses = [event.loss for event in train(sounds, path) if isinstance(event, StepMetrics)]
    assert len(losses) >= 2
    assert len(set(losses)) > 1
    weights = read_contents(path).get(section, {})  # a synthesiser is kept where it is better than the shipped one
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values() if torch.is_floating_point(tensor))
