"""Training the codec: it learns, padding is left out, and health is told in plain words."""

from pathlib import Path

import pytest
import torch

from distill.audio.corpus import Corpus, scan
from distill.config import CodecSettings
from distill.events import CodecEpochMetrics, CodecTrainingCompleteEvent
from distill.studio import train
from distill.training.codec import CodecTask, CropBatch, mel_statistics, reconstruction_loss
from distill.training.health import judge_health
from tiny import TINY_CODEC, exhausted


@pytest.fixture(scope="module")
def corpus(sounds: Path) -> Corpus:
    return exhausted(scan(sounds))


def test_padding_counts_for_nothing_in_the_loss() -> None:
    """Guards against silence after short sounds that makes the error look small."""
    mel = torch.zeros(2, 1, 128, 96)
    made = torch.full_like(mel, 2.0)
    made[..., 40:] = 500.0
    assert float(reconstruction_loss(made, mel, torch.tensor([40, 40]))) == pytest.approx(2.0)


def test_every_epoch_goes_through_every_file(corpus: Corpus) -> None:
    """Guards against crops that are lost or counted twice; the long file has several."""
    task = CodecTask(corpus, CodecSettings(batch_size=4), lambda best: None)
    batches = list(task.batches(1))
    assert len(batches) == task.steps_per_epoch
    assert sum(len(batch.frames) for batch in batches) == len(task.places)
    assert {file.name for file, _ in task.places} == {file.name for file in corpus.manifest.train}
    for mel, frames in batches:
        for row, length in zip(mel, frames, strict=True):
            assert (row[..., int(length) :] == corpus.spectrogram.floor_db).all()
            assert 0 < int(length) <= 96


def test_an_epoch_is_the_same_for_the_same_seed(corpus: Corpus) -> None:
    def first(seed: int, epoch: int) -> CropBatch:
        return next(CodecTask(corpus, CodecSettings(seed=seed), lambda best: None).batches(epoch))

    assert torch.equal(first(1, 1).mel, first(1, 1).mel)
    assert not torch.equal(first(1, 1).mel, first(1, 2).mel)


def test_statistics_are_those_of_the_training_files(corpus: Corpus) -> None:
    mels = torch.cat([torch.tensor(corpus.mel(file)[:], dtype=torch.float64) for file in corpus.manifest.train])
    mean, scale = mel_statistics(corpus)
    torch.testing.assert_close(mean.double(), mels.mean(0), atol=0.1, rtol=0.01)
    assert float(scale) == pytest.approx(float(mels.var(0, correction=0).mean().sqrt()), rel=0.01)


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
