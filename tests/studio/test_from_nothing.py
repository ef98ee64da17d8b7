"""Where the shipped weights do not fit, a training starts from nothing, and says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill import studio
from distill.events import Event, TrainingStarted, Warned
from distill.modelfile.file import read_card
from distill.settings.synthesiser import SynthesiserSettings
from distill.studio import codec_training, synthesiser_training
from tiny import TINY_CODEC

NARROW = {name: value for name, value in TINY_CODEC.items() if name != "pretrained"} | {"epochs": 2}


def up_to_the_start(events: Iterator[Event]) -> tuple[list[str], TrainingStarted]:
    notes: list[str] = []
    for event in events:
        if isinstance(event, Warned):
            notes.append(event.message)
        if isinstance(event, TrainingStarted):
            return notes, event
    raise AssertionError


@pytest.mark.parametrize("asked", [{}, {"pretrained": True}])
def test_a_codec_of_another_width_says_that_it_starts_from_nothing(
    sounds: Path, tmp_path: Path, asked: dict[str, Any]
) -> None:
    """Guards against `--channels 96` that starts from nothing while the file says otherwise."""
    out = tmp_path / "m.distill"
    running = studio.train(sounds, out=out, overrides={**NARROW, **asked}, device="cpu")
    notes, began = up_to_the_start(running)
    assert len(notes) == 1
    assert "--channels 192" in notes[0]
    assert "from nothing" in notes[0]
    assert began.settings["pretrained"] is False
    assert began.origin["pretrained"] == "auto"
    assert began.settings["learning_rate"] == 2e-3  # what starts from nothing may take larger steps
    for _ in running if not asked else ():
        pass
    running.close()
    if asked:
        return
    card = read_card(out)
    assert card.training_config.pretrained is False
    assert card.settings_origin["codec"]["pretrained"] == "auto"


def test_a_codec_as_shipped_says_nothing(sounds: Path, tmp_path: Path) -> None:
    quick = {"epochs": 1, "preview_every": 0}
    running = studio.train(sounds, out=tmp_path / "m.distill", overrides=quick, device="cpu")
    notes, began = up_to_the_start(running)
    running.close()
    assert notes == []
    assert (began.settings["pretrained"], began.origin["pretrained"]) == (True, "default")


def test_a_synthesiser_that_the_shipped_one_does_not_fit(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesiser_training, "fits", lambda name, build: False)
    quick = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 1}
    running = studio.train_synth_for("kit", overrides=quick, device="cpu")
    notes, began = up_to_the_start(running)
    running.close()
    assert len(notes) == 1
    assert "from nothing" in notes[0]
    assert (began.settings["pretrained"], began.origin["pretrained"]) == (False, "auto")


def test_what_fits_is_told_by_the_shapes() -> None:
    spectrogram = codec_training.SpectrogramConfig()
    settings = codec_training.CodecSettings()
    assert not codec_training.starts_from_nothing(settings, spectrogram)
    for other in ({"channels": 96}, {"codebook_dim": 16}):
        assert codec_training.starts_from_nothing(settings.model_copy(update=other), spectrogram)
    for same in ({"codebook_size": 16}, {"rvq_levels": 2}, {"channels": 96, "pretrained": False}):
        assert not codec_training.starts_from_nothing(settings.model_copy(update=same), spectrogram)
    assert not synthesiser_training.starts_from_nothing(SynthesiserSettings(), spectrogram)
    assert synthesiser_training.starts_from_nothing(SynthesiserSettings(width=16), spectrogram)
