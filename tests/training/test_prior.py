"""Training the prior: windows, targets, accurate perplexity, and a codec that does not change."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.bundle import load_bundle, read_contents
from distill.config import PriorConfig, PriorSettings
from distill.events import PriorEpochMetrics, PriorTrainingCompleteEvent, TrainingStarted
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.studio import train_prior_for
from distill.training.codes import CodeSequences
from distill.training.prior import (
    PriorTask,
    Window,
    compute_perplexity,
    make_batch,
    unigram_bits,
    validate_prior_epoch,
)
from tiny import TINY_PRIOR

SETTINGS = PriorSettings(
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    codebook_size=9,
    codebook_dim=4,
    seq_len=12,
    bands=4,
    rvq_levels=2,
    batch_size=3,
)


def sequence(columns: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 9, (columns * 4, 2), generator=torch.Generator().manual_seed(seed))


def test_targets_are_the_tokens_and_eos_only_where_a_file_ends() -> None:
    """Guards against EOS at the end of every window, which would teach long sounds to stop after a second."""
    files = [sequence(2, 0), sequence(5, 1)]
    batch = make_batch([Window(0, 0, 2), Window(1, 0, 3), Window(1, 2, 3)], files, SETTINGS)
    assert batch.start.tolist() == [BOS, BOS, MID]
    assert batch.targets[0, 8].tolist() == [9, IGNORED]
    assert (batch.targets[0, 9:] == IGNORED).all()
    assert (batch.targets[1, 12] == IGNORED).all()
    assert batch.targets[2, 12].tolist() == [9, IGNORED]
    assert torch.equal(batch.codes[2], files[1][8:])
    assert torch.equal(batch.targets[1, :12], files[1][:12])


def test_every_code_of_every_file_is_seen_over_the_epochs() -> None:
    """Guards against windows that never reach the end, and against a lost last column."""
    sequences = CodeSequences((sequence(2, 0), sequence(11, 1), sequence(3, 2)), (sequence(4, 3),))
    task = PriorTask(sequences, torch.zeros(2, 9, 4), SETTINGS, lambda best: None)
    windows = [w for epoch in range(30) for w in task._train_windows(np.random.default_rng(epoch))]
    assert len(windows) == 30 * task.windows
    for number, columns in enumerate((2, 11, 3)):
        seen = {c for w in windows if w.sequence == number for c in range(w.first, w.first + w.columns)}
        assert seen == set(range(columns))


def test_validation_is_accurate_per_token() -> None:
    """The slow oracle: every window alone; batches of unlike lengths must not change the sum."""
    prior = CodePrior(PriorConfig(**{name: getattr(SETTINGS, name) for name in PriorConfig.model_fields})).eval()
    files = [sequence(n, n) for n in (1, 3, 7, 2)]
    total, count = 0.0, 0
    with torch.no_grad():
        for codes in files:
            for first in range(0, len(codes), 12):
                window = codes[first : first + 12]
                logits = prior(window[None], torch.tensor([MID if first else BOS]))[0, :-1]
                chosen = logits.log_softmax(-1).gather(-1, window[..., None])
                total, count = total - float(chosen.double().sum()), count + chosen.numel()
    found = validate_prior_epoch(prior, files, torch.device("cpu"))
    assert found.loss == pytest.approx(total / count, rel=1e-5)
    product = math.prod(found.per_level) ** (1 / len(found.per_level))
    assert product == pytest.approx(compute_perplexity(found.loss), rel=1e-4)


def test_perplexity_of_a_diverged_loss_is_a_number() -> None:
    assert compute_perplexity(1e9) == math.exp(20.0)
    assert compute_perplexity(0.0) == 1.0


def test_unigram_bits_of_uniform_codes() -> None:
    codes = torch.arange(16).repeat(500)[:, None].expand(-1, 2)
    assert unigram_bits([codes], [codes[:160]], 16) == pytest.approx(4.0, abs=1e-3)


def test_the_codec_is_unchanged_to_the_bit(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against moving averages or optimisers that touch the frozen codec."""
    path = tmp_path / "again.distill"
    path.write_bytes(tiny_model.read_bytes())
    before = read_contents(path, mapped=False)
    events = list(train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True))
    after = read_contents(path, mapped=False)
    assert list(after["model_state_dict"]) == list(before["model_state_dict"])
    for name, tensor in before["model_state_dict"].items():
        assert torch.equal(after["model_state_dict"][name], tensor)
    assert after["corpus_manifest"] == before["corpus_manifest"]
    started = next(event for event in events if isinstance(event, TrainingStarted))
    card = load_bundle(path).card
    assert started.train_files == len(card.corpus_manifest.train)
    assert started.val_files == len(card.corpus_manifest.val)


def test_the_best_epoch_is_bundled(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.distill"
    path.write_bytes(tiny_model.read_bytes())
    overrides = {**TINY_PRIOR, "epochs": 12, "learning_rate": 0.05}
    events = list(train_prior_for(str(path), overrides=overrides, device="cpu", overwrite=True))
    epochs = [event for event in events if isinstance(event, PriorEpochMetrics)]
    done = events[-1]
    assert isinstance(done, PriorTrainingCompleteEvent)
    assert done.best_perplexity == min(epoch.val_perplexity for epoch in epochs)
    metadata = load_bundle(path).card.prior_metadata
    assert metadata is not None
    assert metadata.best_perplexity == done.best_perplexity
    assert metadata.epochs_trained == 12
