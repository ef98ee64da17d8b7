"""What a sound is from: found by leaving recordings out, and not said where that does not tell."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import distill
from distill import studio
from distill.compute.fabric import launch_fabric
from distill.errors import DistillError
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import open_model
from distill.models.likelihood import log_likelihood
from distill.novelty.attribution import judged, shares_of
from distill.training.prior import without
from distill.training.prior.codes import CodeSequences, CodeView, unpack_codes
from distill.training.prior.without import PriorTaskWithout, prior_without, taught
from tiny import RATE, exhausted


def falls(*bits: float, spread: float = 0.1, seeds: int = 3, columns: int = 12) -> np.ndarray:
    """[seeds, suspects, columns] that fall by `bits` in all, give or take."""
    rng = np.random.default_rng(0)
    each = np.array(bits)[None, :, None] / columns
    return each + spread * rng.standard_normal((seeds, len(bits), columns))


def test_shares_and_when_they_tell() -> None:
    """Guards against a first place that is chance and is called an answer, and against falls below zero that count."""
    clear = falls(40.0, 5.0, -5.0)
    shares = shares_of(clear)
    assert shares.share.sum() == pytest.approx(1.0)
    assert shares.share[0] == pytest.approx(40 / 45, abs=0.05)
    assert shares.share[2] == 0.0
    assert (shares.low <= shares.share).all()
    assert (shares.share <= shares.high).all()
    assert judged(shares, clear.mean(0).sum(-1))[0] == "told"
    by_chance, little = falls(18.0, -9.0, -37.0, spread=0.01), falls(5.0, 0.0, -1.0, spread=0.01)
    assert shares_of(by_chance).low[0] > 0.9 < shares_of(little).low[0]
    for doubtful in (
        by_chance,
        little,
        falls(20.0, 18.0, 0.0, spread=2.0),
        falls(-3.0, -2.0, -4.0),
        falls(0.5, 0.1, 0.2, spread=1.0),
    ):
        assert judged(shares_of(doubtful), doubtful.mean(0).sum(-1))[0] == "cannot tell"


def test_seeds_that_disagree_widen_the_interval() -> None:
    """Guards against intervals from the columns alone: another seed may teach a prior something else."""
    agreed, other = falls(30.0, 10.0), falls(30.0, 10.0)
    other[0] = other[0, ::-1]
    width = [shares.high[0] - shares.low[0] for shares in map(shares_of, (agreed, other))]
    assert width[1] > 2 * width[0]


def test_priors_differ_by_the_file_alone(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against windows of a file that is left out and are learned from, and against pairs that differ by chance."""
    monkeypatch.setattr(without, "TAUGHT_STEPS", 6)
    opened = open_model(tiny_model)
    card = opened.card
    sequences = unpack_codes(opened.codes, card.corpus_manifest, card.vqvae_config.codebook_size, card.prior_levels)
    assert card.prior_training_config is not None
    settings = card.prior_training_config.model_copy(
        update={"traits": False, "kinds": 0, "views": 1, "epochs": 1, "batch_size": 4}
    )
    vectors, fabric = opened.codec().codebooks(), launch_fabric("cpu", 0)
    whole = PriorTaskWithout(sequences, vectors, settings, ())
    some = PriorTaskWithout(sequences, vectors, settings, (0,))
    assert sum(map(whole.items, whole.batches(1))) - sum(map(some.items, some.batches(1))) in (
        sequences.train_codes[0].numel(),
        sequences.train_codes[0].numel() + 1,  # with the end
    )
    other = CodeView(sequences.train_codes[0].flip(0))
    changed = CodeSequences(((other,), *sequences.train[1:]), sequences.val)
    priors = [
        exhausted(prior_without(each, vectors, settings, fabric, (0,))).state_dict() for each in (sequences, changed)
    ]
    assert all(
        torch.allclose(priors[0][name], priors[1][name], atol=1e-4) for name in priors[0]
    )  # nothing of it was learned
    start = exhausted(prior_without(sequences, vectors, settings, fabric, (0, 1)))
    kept = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    told = [
        exhausted(taught(start, sequences, vectors, settings, fabric, (0, 1), out, 5)) for out in ((), (0,), (1,), ())
    ]
    assert all(torch.equal(kept[name], tensor) for name, tensor in start.state_dict().items())
    known = [float(log_likelihood(each, sequences.train_codes[0]).sum()) for each in told]
    assert known[0] == known[3] > known[1]
    assert known[0] - known[1] > abs(known[0] - known[2])


def test_the_recording_itself_is_found(library: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against suspects that are mixed up on the way from the nearest to the report."""
    monkeypatch.setattr(without, "TAUGHT_STEPS", 6)
    card = read_card(library / "kit.distill")
    planted = max(card.corpus_manifest.train, key=lambda file: file.samples)
    samples, rate = soundfile.read(sounds / planted.name, dtype="float32")
    found = distill.load("kit", device="cpu").attribute(0.5 * samples, rate, suspects=3)
    assert found["suspects"][0]["name"] == planted.name
    assert found["suspects"][0]["bits"] > 0
    assert len(found["suspects"]) == 3
    assert found["seeds"] == 2
    assert (found["first"] is None) == (found["verdict"] == "cannot tell")


def test_what_cannot_be_is_said(library: Path, sounds: Path, tmp_path: Path) -> None:
    def attribute(path: Path, **how: int) -> None:
        list(studio.attribute(path, "kit", device="cpu", **how))

    with pytest.raises(DistillError, match="--suspects 1: give 2 to 12"):
        attribute(sounds / "hit 0.wav", suspects=1)
    soundfile.write(tmp_path / "click.wav", np.ones(2000) * 0.1, RATE)
    with pytest.raises(DistillError, match=r"click.wav: it has 0.042 seconds"):
        attribute(tmp_path / "click.wav")
    contents = read_contents(library / "kit.distill", mapped=False)
    write_model(library / "kit.distill", {**contents, "has_codes": False, "codes": {}})
    with pytest.raises(DistillError, match="keeps no codes of its recordings"):
        attribute(sounds / "hit 0.wav")
