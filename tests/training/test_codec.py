"""Training the codec: it learns, padding is left out, and health is told in plain words."""

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.audio.distance import audible_difference
from distill.audio.reading import read_audio
from distill.audio.tagging import read_tags
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.events import CodecEpochMetrics, CodecTrainingCompleteEvent, PreviewWritten, Warned
from distill.modelfile.file import read_contents
from distill.models.codec import FLOOR_DB
from distill.settings.codec import CodecSettings
from distill.studio.codec_training import train
from distill.training import unfinished
from distill.training.codec import crops
from distill.training.codec.crops import CropBatch, CropSource, augment
from distill.training.codec.health import judge_health
from distill.training.codec.task import CodecTask, codebook_decay, mel_error, reconstruction_loss
from distill.training.run import Progressed
from tiny import CORPORA, TINY_CODEC, exhausted


@pytest.fixture(scope="module")
def corpus(sounds: Path) -> Corpus:
    return exhausted(scan(sounds))


def test_padding_counts_for_nothing_in_the_loss() -> None:
    """Guards against silence after short sounds that makes the error look small."""
    mel = torch.zeros(2, 1, 128, 96)
    made = torch.full_like(mel, 2.0)
    made[..., 40:] = 500.0
    expected = 2.0 * 1.1 + 0.3 * 8.686 * (10 ** (2.0 / 20) - 1)  # 2 dB off, in the logarithm and in amplitude
    assert float(reconstruction_loss(made, mel, torch.tensor([40, 40]))) == pytest.approx(expected, rel=1e-3)


def test_what_cannot_be_heard_counts_little() -> None:
    """Guards against a codec that spends its codes on noise 70 dB under the sound."""
    mel = torch.full((1, 1, 128, 96), -78.0)
    assert 1.0 <= float(reconstruction_loss(mel + 10.0, mel, torch.tensor([96]))) < 1.3
    assert float(audible_difference(mel, mel + 10.0).max()) == 0.0


def test_crops_are_the_files_own_sound(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow oracle: without augmentation a crop must be a stretch of the file's own spectrogram."""
    monkeypatch.setattr(crops, "UNCHANGED_SHARE", 1.0)
    monkeypatch.setattr(crops, "augment", lambda mel, rng: mel)
    source = CropSource(corpus)
    whole = {file.name: torch.tensor(np.array(corpus.mel(file)), dtype=torch.float32).T for file in source.files}
    mel, frames = source.draw(30, np.random.default_rng(0))
    for row, length in zip(mel[:, 0], frames.tolist(), strict=True):
        errors = [
            float((row[:, :length] + level - sound[:, first : first + length]).abs().mean())
            for sound, level in zip(whole.values(), source.levels, strict=True)
            for first in range(0, max(1, sound.shape[1] - length + 1), 16)
            if sound.shape[1] >= length
        ]
        assert min(errors) < 0.3
    assert set(frames.tolist()) >= {29, 96}  # the short files whole, the long one in crops


def test_crops_change_speed_and_stay_inside_the_file(corpus: Corpus) -> None:
    """Guards against silence drawn as sound: what is said to be sound must hold some."""
    mel, frames = CropSource(corpus).draw(60, np.random.default_rng(1))
    assert mel.shape == (60, 1, 128, 96)
    assert mel.isfinite().all()
    assert len(set(frames.tolist())) > 5
    assert all(float(row[0, :, : int(n)].max()) > -60 for row, n in zip(mel, frames, strict=True))
    assert all(0 < int(n) <= 96 for n in frames)


def test_an_epoch_is_the_same_for_the_same_seed(corpus: Corpus) -> None:
    def first(seed: int, epoch: int) -> CropBatch:
        return next(CodecTask(corpus, CodecSettings(seed=seed), lambda best: None).batches(epoch))

    assert torch.equal(first(1, 1).mel, first(1, 1).mel)
    assert not torch.equal(first(1, 1).mel, first(1, 2).mel)


def test_mixing_adds_and_never_takes_away() -> None:
    """Guards against mixing in dB instead of in amplitude."""
    quiet, loud = torch.full((1, 128, 10), -70.0), torch.zeros(1, 128, 10)
    rng = np.random.default_rng(3)
    made = torch.stack([augment(torch.cat([quiet, loud]), rng) for _ in range(200)])
    assert float(made[:, 0].max()) > -30.0  # sometimes the loud one below the quiet one
    assert float(made.min()) >= FLOOR_DB


def test_training_lowers_the_held_out_error_and_quantises(sounds: Path, tmp_path: Path) -> None:
    overrides = {**TINY_CODEC, "epochs": 8}
    events = list(train(sounds, out=tmp_path / "m.distill", overrides=overrides, device="cpu"))
    epochs = [event for event in events if isinstance(event, CodecEpochMetrics)]
    assert [epoch.quantising for epoch in epochs] == [False] * 2 + [True] * 6
    assert epochs[-1].val_mel_l1_db < epochs[0].val_mel_l1_db
    done = events[-1]
    assert isinstance(done, CodecTrainingCompleteEvent)
    assert done.val_mel_l1_db == min(epoch.val_mel_l1_db for epoch in epochs if epoch.quantising)
    assert done.health is not None
    assert sum(done.health.levels[0].usage) > 0


@pytest.mark.parametrize(
    ("used", "verdict"), [(100, "healthy"), (60, "some codes underused"), (10, "collapse"), (0, "collapse")]
)
def test_the_verdict_follows_the_worst_level(used: int, verdict: str) -> None:
    counts = torch.ones(3, 100, dtype=torch.long)
    counts[1, used:] = 0
    health = judge_health(counts)
    assert health.verdict == verdict
    assert health.levels[1].dead_codes == 100 - used
    assert health.levels[0].perplexity == pytest.approx(100.0)
    assert health.levels[1].perplexity == pytest.approx(max(used, 1), rel=0.01)


def test_a_resumed_run_equals_an_uninterrupted_one(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit on the processor, codebooks and revival of dead codes included."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    whole, cut = tmp_path / "whole.distill", tmp_path / "cut.distill"
    list(train(sounds, out=whole, overrides=TINY_CODEC, device="cpu"))
    running = train(sounds, out=cut, overrides=TINY_CODEC, device="cpu")
    for event in running:
        if isinstance(event, CodecEpochMetrics) and event.epoch == 3:
            break
    running.close()
    list(train(sounds, out=cut, device="cpu", resume=True))
    first, second = (read_contents(path, mapped=False)["model_state_dict"] for path in (whole, cut))
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())


def test_previews_are_the_same_sound_every_few_epochs(sounds: Path, tmp_path: Path) -> None:
    """Guards against previews of changing sounds, of the wrong length, or of epochs that are not quantised yet."""
    overrides = {**TINY_CODEC, "epochs": 6, "preview_every": 2}
    events = list(train(sounds, out=tmp_path / "m.distill", overrides=overrides, device="cpu"))
    previews = [event for event in events if isinstance(event, PreviewWritten)]
    assert [preview.epoch for preview in previews] == [
        0,
        4,
        6,
    ]  # the sound itself first; epoch 2 is a plain autoencoder
    assert len({preview.source for preview in previews}) == 1
    assert [read_tags(Path(preview.audio)).request["epoch"] for preview in previews] == [
        each.epoch for each in previews
    ]
    original, *made = (read_audio(Path(preview.audio))[0] for preview in previews)
    assert np.abs(original - read_audio(sounds / previews[0].source)[0]).max() < 1e-3
    assert all(len(one) == len(original) and np.abs(one).max() > 0.01 for one in made)
    assert all(Path(preview.picture).read_bytes().startswith(b"\x89PNG") for preview in previews)


def test_collapse_is_warned_of_once(corpus: Corpus) -> None:
    """Guards against a codec that says everything with three codes and nobody told."""
    task = CodecTask(corpus, CodecSettings(preview_every=0), lambda best: None)
    task.objective.quantising = True
    task.objective.usage[:, 1:4] = 5
    validation = task.validate(torch.device("cpu"))
    progressed = Progressed(1, 9, 1, 9, 1.0, 1e-3, 1.0, 1.0)
    told = [*task.epoch_events(progressed, validation, None), *task.epoch_events(progressed, validation, None)]
    assert [type(event) for event in told] == [CodecEpochMetrics, Warned, CodecEpochMetrics]
    assert "Level 1 uses only 2%" in told[1].message  # type: ignore[attr-defined]


def test_quantizer_dropout_draws_fewer_levels_for_its_share(corpus: Corpus) -> None:
    task = CodecTask(corpus, CodecSettings(preview_every=0, level_dropout=0.5), lambda best: None)
    kept = task.objective._kept_levels(2000)
    assert set(kept.tolist()) == {1, 2, 3}
    assert float((kept < 3).float().mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("steps", "decay"), [(1, 0.97), (50, 0.98), (1000, 0.99)])
def test_codebooks_average_over_about_an_epoch(steps: int, decay: float) -> None:
    assert codebook_decay(steps) == pytest.approx(decay)


@pytest.mark.corpus
@pytest.mark.skipif(not CORPORA.is_dir(), reason="no recordings beside the checkout")
def test_the_shipped_weights_know_real_sounds() -> None:
    """Guards against weights that no longer fit the network, and against pre-training on sounds unlike any recording:
    before any training, real strokes come out of the unquantised network within a decibel."""
    corpus = exhausted(scan(CORPORA / "tabla"))
    task = CodecTask(corpus, CodecSettings(preview_every=0), lambda best: None)
    task.objective.eval()
    files = corpus.manifest.files
    started = mel_error(task.codec, corpus, files, torch.device("cpu"), quantising=False)
    nothing = CodecTask(corpus, CodecSettings(preview_every=0, pretrained=False), lambda best: None)
    nothing.objective.eval()
    assert started < 1.0 < mel_error(nothing.codec, corpus, files, torch.device("cpu"), quantising=False)
