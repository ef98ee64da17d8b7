"""A prior is watched while it is trained: how sure the gap is, how much of the recordings new sounds hold, and which epochs
are kept."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from distill import studio
from distill.errors import DistillError
from distill.events import PriorEpochMetrics, PriorTrainingCompleteEvent
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import load_model
from distill.models.canvas import open_canvas
from distill.models.filling import fill
from distill.models.prior import CodePrior
from distill.models.sampling import clip_generator
from distill.novelty import watching
from distill.novelty.watching import CopyWatch
from distill.settings.geometry import BANDS
from distill.settings.prior import PriorConfig
from distill.studio import prior_training
from distill.training.prior.validation import LN2, gap_interval, validate_prior_epoch
from tiny import TINY_PRIOR


def test_losses_are_kept_by_file() -> None:
    """Guards against windows that are counted for another file."""
    config = PriorConfig(
        hidden_size=16, num_layers=1, num_heads=2, codebook_size=9, codebook_dim=4, seq_len=12, bands=4, rvq_levels=2
    )
    prior = CodePrior(config).eval()
    files = [torch.randint(0, 9, (columns * 4, 2)) for columns in (7, 1, 4)]
    found = validate_prior_epoch(prior, files, torch.device("cpu"))
    for file, (loss, count) in zip(files, found.by_file.tolist(), strict=True):
        assert count == file.numel()
        assert loss / count == pytest.approx(validate_prior_epoch(prior, [file], torch.device("cpu")).loss, rel=1e-5)


def test_an_interval_is_as_wide_as_files_differ() -> None:
    """Guards against an interval over codes: a hundred codes of one file are one file."""
    alike = torch.tensor([[100.0, 50.0]] * 8, dtype=torch.float64)
    known = torch.tensor([[50.0, 50.0]] * 8, dtype=torch.float64)
    assert gap_interval(alike, known) == pytest.approx((1 / LN2, 1 / LN2))
    unlike = alike * torch.tensor([[0.2], [1.8]] * 4)
    unlike[:, 1] = 50.0
    low, high = gap_interval(unlike, known)
    assert low < 0.6 / LN2 < 1.4 / LN2 < high


def made_by(prior: CodePrior) -> list[torch.Tensor]:
    canvases = [open_canvas(watching.COLUMNS, BANDS, prior.config.rvq_levels, "asked") for _ in range(watching.SOUNDS)]
    filling = fill(prior, canvases, [clip_generator(seed) for seed in range(watching.SOUNDS)])
    while True:
        try:
            next(filling)
        except StopIteration as end:
            return [each.codes for each in end.value]


def test_a_prior_that_plays_back_is_noticed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a watch that looks at other sounds than those it makes, or at silence."""
    loaded = load_model(tiny_model)
    assert loaded.prior is not None
    monkeypatch.setattr(watching, "as_decoded", lambda codec, codes: torch.zeros(len(codes) // BANDS * 16, 4))
    rng = torch.Generator().manual_seed(0)
    levels = loaded.card.vqvae_config.rvq_levels
    unseen = [torch.randint(0, 16, (watching.COLUMNS * BANDS, levels), generator=rng) for _ in range(9)]
    for train, share in ((made_by(loaded.prior), 1.0), (unseen[:5], 0.0)):
        watch = CopyWatch.of(loaded.codec, train, unseen[5:] + unseen[5:])
        assert watch is not None
        assert watch.by_chance < BANDS
        assert watch.copied(loaded.prior) == share
    monkeypatch.setattr(watching, "as_decoded", lambda codec, codes: torch.full((len(codes) // BANDS * 16, 4), -50.0))
    silent = CopyWatch.of(loaded.codec, made_by(loaded.prior), unseen)
    assert silent is not None
    assert silent.copied(loaded.prior) == 0.0
    assert CopyWatch.of(loaded.codec, unseen, unseen[:7]) is None


def trained(
    path: Path, monkeypatch: pytest.MonkeyPatch, shares: list[float], **more: Any
) -> PriorTrainingCompleteEvent:
    """A prior of as many epochs as there are shares, in which new sounds hold that much of the recordings."""
    coming = iter(shares)
    watch = SimpleNamespace(copied=lambda prior: next(coming))
    monkeypatch.setattr(prior_training, "CopyWatch", SimpleNamespace(of=lambda *given: watch))
    overrides = {**TINY_PRIOR, "epochs": len(shares), "learning_rate": 1e-5, **more}
    events = list(studio.train_prior_for(str(path), overrides=overrides, device="cpu", overwrite=True))
    assert [event.copied for event in events if isinstance(event, PriorEpochMetrics)] == shares
    (done,) = (event for event in events if isinstance(event, PriorTrainingCompleteEvent))
    return done


def test_the_newest_of_the_good_epochs_is_kept_and_can_be_put_in_force(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against an epoch that is kept without its weights, one that predicts badly, and a verdict of the other one."""
    path = tmp_path / "m.distill"
    path.write_bytes(tiny_model.read_bytes())
    done = trained(path, monkeypatch, [0.5, 0.125, 0.5, 0.25])
    metadata = read_card(path).prior_metadata
    assert metadata is not None
    assert metadata.newest is not None
    assert done.newest_epoch == metadata.newest.epoch == 2 != metadata.best_epoch
    assert metadata.newest.copied == 0.125
    assert metadata.best_perplexity <= metadata.newest.perplexity <= 1.02 * metadata.best_perplexity
    best = read_contents(path, mapped=False)
    assert studio.checkpoint(str(path)).in_force == "best"
    assert studio.checkpoint(str(path), "newest").in_force == "newest"
    newest = read_contents(path, mapped=False)
    assert read_card(path).novelty is None
    changed = [
        name for name, t in best["prior_state_dict"].items() if not torch.equal(t, newest["prior_state_dict"][name])
    ]
    assert changed
    assert load_model(path).prior is not None
    assert studio.checkpoint(str(path), "best").in_force == "best"
    again = read_contents(path, mapped=False)["prior_state_dict"]
    assert all(torch.equal(again[name], tensor) for name, tensor in best["prior_state_dict"].items())


def test_an_epoch_that_predicts_worse_is_not_kept(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against the first epoch, which plays nothing back because it knows nothing."""
    path = tmp_path / "m.distill"
    path.write_bytes(tiny_model.read_bytes())
    done = trained(path, monkeypatch, [0.0, 0.5, 0.5, 0.5, 0.5, 0.5], learning_rate=1e-2)
    metadata = read_card(path).prior_metadata
    assert metadata is not None
    curve = {point.epoch: point.val for point in read_card(path).loss_curve_history["prior"]}
    assert curve[1] > curve[metadata.best_epoch] + math.log(1.02)
    assert done.newest_epoch != 1
    if metadata.newest is None:
        with pytest.raises(DistillError, match="keeps one epoch of its prior"):
            studio.checkpoint(str(path), "newest")


def test_what_cannot_be_put_in_force(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a damaged epoch that is noticed when it is in force, and against tracebacks."""
    path = tmp_path / "m.distill"
    path.write_bytes(tiny_model.read_bytes())
    with pytest.raises(DistillError, match="say best or newest"):
        studio.checkpoint(str(path), "oldest")
    trained(path, monkeypatch, [0.5, 0.125, 0.5, 0.25])
    contents = read_contents(path, mapped=False)
    write_model(path, {**contents, "newest_prior_state_dict": {}})
    before = path.read_bytes()
    with pytest.raises(DistillError, match="damaged"):
        studio.checkpoint(str(path), "newest")
    assert path.read_bytes() == before
    contents = read_contents(path, mapped=False)
    codec_only = {
        key: value for key, value in contents.items() if "prior" not in key and key not in ("has_codes", "codes")
    }
    write_model(path, {**codec_only, "has_prior": False})
    with pytest.raises(DistillError, match="has no prior yet"):
        studio.checkpoint(str(path), "newest")
