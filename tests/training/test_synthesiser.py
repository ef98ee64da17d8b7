"""Training the synthesiser: it learns, keeps the rest of the model to the bit, and never makes a model worse."""

import shutil
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.audio.distance import multi_resolution_stft_distance
from distill.audio.griffin_lim import GriffinLim
from distill.audio.mel import log_mel_unpadded
from distill.audio.reading import read_audio
from distill.compute.device import choose_device
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.errors import DistillError
from distill.events import Event, SynthesiserEpochMetrics, SynthesiserTrainingCompleteEvent, Warned
from distill.instrument.synthesisers import choose_synthesiser
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import load_model
from distill.models.synthesiser import NeuralSynthesiser, SpectrumNetwork
from distill.settings.geometry import SpectrogramConfig
from distill.settings.synthesiser import SynthesiserConfig, SynthesiserSettings
from distill.studio.synthesiser_training import train_synth_for
from distill.training import unfinished
from distill.training.synthesiser import task as stage
from distill.training.synthesiser import waveforms
from distill.training.synthesiser.task import SynthesiserObjective, waveform_loss
from distill.training.synthesiser.waveforms import WaveformSource, decoded_to, temporary_samples
from tiny import exhausted

CONFIG = SpectrogramConfig()
QUICK = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 2, "pretrained": False, "learning_rate": 2e-3}


@pytest.fixture(scope="module")
def corpus(sounds: Path) -> Corpus:
    return exhausted(scan(sounds))


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_model, tmp_path / "mine.distill"))


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no weights ship: a network that has learned nothing is what there is to beat."""
    monkeypatch.setattr(stage, "shipped_network", lambda spectrogram: None)


def train(model: Path, **more: Any) -> Generator[Event, None, None]:
    return train_synth_for(str(model), device="cpu", **{"overrides": QUICK, **more})


def test_crops_are_the_files_own_sound(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow oracle: without augmentation a crop is a stretch of a file, to the sample."""
    monkeypatch.setattr(waveforms, "UNCHANGED_SHARE", 1.0)
    monkeypatch.setattr(waveforms, "GAIN_DB", 0.0)
    with temporary_samples() as stream:
        sounds = decoded_to(stream, corpus)
        source = WaveformSource(sounds, corpus.spectrogram)
        for file, sound in zip(corpus.manifest.train, sounds, strict=True):
            np.testing.assert_array_equal(sound, read_audio(Path(corpus.manifest.folder) / file.name)[0])
        samples, level, _ = source.draw(8, np.random.default_rng(0))
        padded = [np.pad(sound, 40_000) for sound in sounds]
    assert samples.shape == (8, 63 * 512 + 2048)
    for row, loudest in zip(samples.numpy(), level.tolist(), strict=True):
        found = [
            number
            for number, sound in enumerate(padded)
            for first in np.flatnonzero(sound[: len(sound) - len(row)] == row[20_000])
            if first >= 20_000 and np.array_equal(sound[first - 20_000 :][: len(row)], row)
        ]
        assert not row[20_000] or loudest == pytest.approx(source.levels[found[0]])


def test_the_loss_is_the_measure() -> None:
    """The slow oracle: what training lowers is what results are compared by, but for the file's ends."""
    generator = torch.Generator().manual_seed(0)
    a, b = (0.1 * torch.randn(2, 96_000, generator=generator)).unbind(0)
    assert float(waveform_loss(a[None], a[None])) == pytest.approx(0.0, abs=1e-4)
    assert float(waveform_loss(a[None], b[None])) == pytest.approx(multi_resolution_stft_distance(a, b), rel=0.01)


def test_the_gradient_reaches_every_weight() -> None:
    torch.manual_seed(0)
    network = SpectrumNetwork(SynthesiserConfig(width=16, blocks=1), CONFIG)
    torch.nn.init.normal_(network.head.weight, std=0.02)
    source = WaveformSource([np.random.default_rng(0).normal(size=60_000).astype(np.float32)], CONFIG)
    SynthesiserObjective(network)(source.draw(2, np.random.default_rng(0))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


def test_mixed_precision_spares_the_mel_and_what_is_known_of_it() -> None:
    """Guards against learning from a mel in steps of half a decibel, which is not the one that sounds are made from."""
    network = SpectrumNetwork(SynthesiserConfig(width=16, blocks=1), CONFIG)  # its head adds nothing yet
    source = WaveformSource([np.random.default_rng(0).normal(size=60_000).astype(np.float32)], CONFIG)
    batch = source.draw(2, np.random.default_rng(0))
    seen: list[Any] = []
    network.register_forward_hook(lambda _, given, made: seen.append((given[0], made)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        SynthesiserObjective(network)(batch)
    mel = log_mel_unpadded(batch.samples, CONFIG)
    assert torch.equal(seen[0][0], mel)
    assert all(torch.equal(a, b) for a, b in zip(seen[0][1], network(mel, batch.level), strict=True))


@pytest.mark.usefixtures("nothing_shipped")
def test_training_helps_and_touches_nothing_else(model: Path) -> None:
    before = read_contents(model, mapped=False)
    plain = choose_synthesiser(load_model(model), "neural", choose_device("cpu"))
    events = list(train(model, overrides={**QUICK, "epochs": 4, "batch_size": 4}))
    epochs = [event for event in events if isinstance(event, SynthesiserEpochMetrics)]
    done = events[-1]
    assert isinstance(done, SynthesiserTrainingCompleteEvent)
    assert done.kept
    assert done.val_mrstft == min(epoch.val_mrstft for epoch in epochs) < done.shipped_val_mrstft
    after = read_contents(model, mapped=False)
    for part in ("model_state_dict", "prior_state_dict", "codes"):
        assert before[part].keys() == after[part].keys()
        for name, value in before[part].items():
            assert (
                torch.equal(value, after[part][name]) if isinstance(value, torch.Tensor) else value == after[part][name]
            )
    card = read_card(model)
    assert card.has_synthesiser
    assert card.has_prior
    assert card.synthesiser_metadata is not None
    assert card.synthesiser_metadata.val_mrstft == done.val_mrstft
    assert {*card.loss_curve_history} == {"codec", "prior", "synthesiser"}
    own = choose_synthesiser(load_model(model), "auto", choose_device("cpu"))
    assert isinstance(own, NeuralSynthesiser)
    assert isinstance(plain, NeuralSynthesiser)
    assert not torch.equal(own.network.head.bias, plain.network.head.bias)


def test_what_is_no_better_is_not_kept(model: Path) -> None:
    """Guards against a model that sounds worse after more training."""
    before = model.read_bytes()
    events = list(train(model))  # from nothing, against the shipped weights
    assert any(isinstance(event, Warned) and "stays as it is" in event.message for event in events)
    done = events[-1]
    assert isinstance(done, SynthesiserTrainingCompleteEvent)
    assert not done.kept
    assert model.read_bytes() == before


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize("adversarial_weight", [0.0, 0.1])
def test_a_resumed_run_equals_an_uninterrupted_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adversarial_weight: float
) -> None:
    """Bit for bit on the processor, the adversary included: what it has learned goes on too."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    cut = Path(shutil.copy(model, tmp_path / "cut.distill"))
    overrides = {**QUICK, "adversarial_weight": adversarial_weight}
    list(train(model, overrides=overrides))
    running = train(cut, overrides=overrides)
    for event in running:
        if isinstance(event, SynthesiserEpochMetrics):
            break
    running.close()
    list(train(cut, overrides=None, resume=True, overwrite=True))
    first, second = (read_contents(path, mapped=False)["synthesiser_state_dict"] for path in (model, cut))
    assert first.keys() == second.keys() == SpectrumNetwork(SynthesiserConfig(), CONFIG).state_dict().keys()
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())


@pytest.mark.usefixtures("nothing_shipped")
def test_stopping_keeps_the_best(model: Path) -> None:
    stop = threading.Event()
    events = []
    for event in train(model, overrides={**QUICK, "epochs": 50}, stop=stop):
        events.append(event)
        if isinstance(event, SynthesiserEpochMetrics):
            stop.set()
    done = events[-1]
    assert isinstance(done, SynthesiserTrainingCompleteEvent)
    assert done.stopped_early
    assert read_card(model).has_synthesiser == done.kept


@pytest.mark.usefixtures("nothing_shipped")
def test_a_strangers_synthesiser_is_checked(model: Path, tmp_path: Path) -> None:
    """Guards against wrong shapes, against a description without weights, and against replacing one unasked."""
    list(train(model))
    contents = read_contents(model, mapped=False)
    with pytest.raises(DistillError, match="has a synthesiser already"):
        list(train(model))
    state = contents["synthesiser_state_dict"]
    for wrong in ({**state, "head.bias": torch.zeros(3)}, {}, {**state, "extra": torch.zeros(1)}):
        write_model(tmp_path / "wrong.distill", {**contents, "synthesiser_state_dict": wrong})
        with pytest.raises(DistillError, match="weights do not fit"):
            load_model(tmp_path / "wrong.distill")
    odd = {**contents["spectrogram_config"], "hop_length": 500}
    write_model(tmp_path / "odd.distill", {**contents, "spectrogram_config": odd})
    with pytest.raises(DistillError, match="weights do not fit"):
        load_model(tmp_path / "odd.distill")
    write_model(tmp_path / "none.distill", {**contents, "synthesiser_config": None})
    with pytest.raises(DistillError, match="says that it has a synthesiser"):
        read_card(tmp_path / "none.distill")


def test_the_choice(tiny_model: Path) -> None:
    loaded, device = load_model(tiny_model), choose_device("cpu")
    assert isinstance(choose_synthesiser(loaded, "griffin-lim", device), GriffinLim)
    assert isinstance(choose_synthesiser(loaded, "auto", device), NeuralSynthesiser)
    with pytest.raises(DistillError, match="--synthesiser vocos"):
        choose_synthesiser(loaded, "vocos", device)


def test_the_settings_are_sound() -> None:
    assert SynthesiserSettings().architecture() == SynthesiserConfig()
