"""The copy test as a whole, on made sounds: copies are caught, unseen sounds are not, and mistakes are sentences."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
import torch

import distill
from distill import studio
from distill.instrument.sampling import Sampled
from distill.modelfile.file import read_card, read_contents, write_model
from distill.novelty.verdict import NoveltyReport
from distill.novelty.where import WhereReport
from distill.settings.generation import GenerationSettings
from tiny import RATE, TINY_CODEC, TINY_PRIOR, hit

Samples = npt.NDArray[np.float32]


def struck(number: int) -> Samples:
    """One of many unlike sounds: partials, a decay and a noise of its own."""
    rng = np.random.default_rng(1000 + number)
    time = np.arange(round(rng.uniform(0.4, 0.9) * RATE)) / RATE
    made = np.zeros(len(time))
    for _ in range(rng.integers(2, 7)):
        swept = rng.uniform(-0.3, 0.3)
        made += (
            rng.uniform(0.2, 1)
            * np.sin(2 * np.pi * rng.uniform(80, 5000) * time * (1 + swept * time))
            * np.exp(-rng.uniform(2, 25) * time)
        )
    made += rng.uniform(0, 0.3) * rng.standard_normal(len(time)) * np.exp(-rng.uniform(5, 60) * time)
    return (0.5 * made / np.abs(made).max()).astype(np.float32)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("novelty") / "sounds"
    folder.mkdir()
    for number in range(24):
        soundfile.write(folder / f"{number:02d}.wav", struck(number), RATE, subtype="PCM_24")
    return folder


@pytest.fixture(scope="module")
def model(material: Path) -> Path:
    """A model of 24 sounds, with the verdict of its own copy test."""
    path = material.parent / "many.distill"
    list(studio.train(material, out=path, overrides={**TINY_CODEC, "pretrained": True, "epochs": 6}, device="cpu"))
    list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu"))
    return path


def judged(model: Path, folder: Path, **given: Any) -> NoveltyReport:
    return next(e for e in studio.novelty(str(model), folder, device="cpu", **given) if isinstance(e, NoveltyReport))


def faster(samples: Samples) -> Samples:
    return np.asarray(soxr.resample(samples, RATE * 1.03, RATE), dtype=np.float32)


CHANGES: dict[str, Callable[[Samples, Samples], Samples]] = {
    "exact": lambda x, _: x,
    "later": lambda x, _: np.concatenate([np.zeros(3700, dtype=np.float32), x]),
    "softer": lambda x, _: 0.1 * x,
    "turned": lambda x, _: -x,
    "faster": lambda x, _: faster(x),
    "spliced": lambda x, y: np.concatenate([x[:16_000], y[:16_000]]),
}


def test_planted_copies_are_caught_and_their_source_is_named(model: Path, material: Path, tmp_path: Path) -> None:
    """Guards against a test that gain, a shift, polarity, 3 % of speed or a splice hides a copy from."""
    train = [file.name for file in read_card(model).corpus_manifest.train]
    for number, (name, change) in enumerate(CHANGES.items()):
        for again in range(2):
            source = train[2 * number + again]
            first, second = (soundfile.read(material / s, dtype="float32")[0] for s in (source, train[-1 - number]))
            soundfile.write(tmp_path / f"{name}-{source}", change(first, second), RATE, subtype="PCM_24")
    report = judged(model, tmp_path)
    assert report.verdict == "copies"
    missed = [each.name for each in report.sounds if not each.copied]
    assert len(missed) <= 1, missed
    for each in report.sounds:
        if not each.name.startswith("spliced"):
            assert each.name.endswith(each.nearest)
    exact = [each for each in report.sounds if each.name.startswith(("exact", "turned"))]
    assert all(each.run_seconds > 0.3 and each.unexplained < 0.05 for each in exact)


def test_unseen_sounds_are_no_copies(model: Path, tmp_path: Path) -> None:
    """Guards against false alarms: sounds of the same kind that the model has never met."""
    for number in range(100, 124):
        soundfile.write(tmp_path / f"{number}.wav", struck(number), RATE, subtype="PCM_24")
    report = judged(model, tmp_path)
    assert sum(each.copied for each in report.sounds) <= 1
    assert report.verdict != "copies"
    assert report.recordings == 24


def test_a_model_that_plays_back_is_told(model: Path, material: Path) -> None:
    """Guards against held-out recordings that are taken for copies beside training files that are copies."""
    report = judged(model, material)
    assert report.verdict == "copies"
    train = {file.name for file in read_card(model).corpus_manifest.train}
    copied = {each.name for each in report.sounds if each.copied}
    assert copied <= train
    assert len(copied) >= len(train) - 1
    assert report.p_value < 1e-3


def test_the_verdict_is_kept_with_the_prior(model: Path, tmp_path: Path) -> None:
    """Guards against a verdict of a prior that is there no more."""
    card = read_card(model)
    kept = card.novelty_of_prior
    assert kept is not None
    assert kept.recordings == 24
    assert card.prior_metadata is not None
    other = card.prior_metadata.model_copy(update={"training_date": "2020-01-01T00:00:00+00:00"})
    assert card.model_copy(update={"prior_metadata": other}).novelty_of_prior is None
    copy = tmp_path / "again.distill"
    shutil.copy(model, copy)
    events = list(studio.train_prior_for(str(copy), overrides=TINY_PRIOR, device="cpu", overwrite=True, novelty=False))
    assert not any(isinstance(event, NoveltyReport) for event in events)


def test_where_says_file_and_time(model: Path, material: Path, tmp_path: Path) -> None:
    """Guards against a place that is off by where the sound begins."""
    source = read_card(model).corpus_manifest.train[3].name
    samples = soundfile.read(material / source, dtype="float32")[0]
    soundfile.write(tmp_path / "late.wav", np.concatenate([np.zeros(RATE // 2), samples[2400:]]), RATE)
    work = studio.where(tmp_path / "late.wav", str(model), device="cpu")
    report = next(event for event in work if isinstance(event, WhereReport))
    first = report.sources[0]
    assert first.nearest == source
    assert first.nearer_than_chance
    assert first.begins == pytest.approx(0.5, abs=0.05)
    assert first.nearest_seconds == pytest.approx(0.05, abs=0.06)  # a cut after silence is an attack, as at 0


def test_the_command_line(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against figures that --json leaves out, and mistakes that are tracebacks."""
    from distill.cli.app import app

    def run(*arguments: str | Path) -> dict[str, Any]:
        app([*map(str, arguments), "--device", "cpu", "--json"], standalone_mode=False)
        return dict(json.loads(capsys.readouterr().out))

    made = run("novelty", model, "--count", "20", "--seconds", "0.5", "--seed", "3")
    assert {"verdict", "copy_rate", "copy_rate_interval", "p_value", "coherence_z", "power", "files"} <= set(made)
    assert len(made["files"]) == 20
    assert {"copied", "p", "nearest", "run_seconds"} <= set(made["files"][0])
    assert made == run("novelty", model, "--count", "20", "--seconds", "0.5", "--seed", "3")
    soundfile.write(tmp_path / "one.wav", hit(1), RATE)
    found = run("where", tmp_path / "one.wav", model)
    assert {"nearest", "nearest_seconds", "p", "nearer_than_chance"} <= set(found["sources"][0])


def test_little_material_and_odd_files(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a green light for a handful of sounds, and against one bad file that ends all."""
    (tmp_path / "no sound.wav").write_bytes(b"RIFF nothing")
    soundfile.write(tmp_path / "short.wav", hit(3, 0.03), RATE)
    soundfile.write(tmp_path / "other.wav", struck(55), RATE)
    report = judged(tiny_model, tmp_path)
    assert {each.name for each in report.sounds} == {"short.wav", "other.wav"}
    assert report.verdict != "new"
    with pytest.raises(distill.errors.DistillError, match="no file or folder"):
        judged(tiny_model, tmp_path / "nowhere")


def test_without_codes_the_recordings_do(model: Path, material: Path, tmp_path: Path) -> None:
    """Guards against a model without kept codes that cannot be judged, and without recordings a traceback."""
    bare = tmp_path / "bare.distill"
    write_model(bare, {**read_contents(model, mapped=False), "has_codes": False, "codes": {}})
    made = distill.load(bare, device="cpu").novelty(count=4, seconds=0.3, seed=0)
    assert len(made["files"]) == 4
    with pytest.raises(distill.errors.DistillError, match="--dataset"):
        judged(bare, material, dataset=tmp_path / "gone")


def test_codes_that_are_sampled_are_what_is_judged(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a verdict that has nothing to do with what the prior makes: the codes of training files in its place."""
    codes = read_contents(model, mapped=False)["codes"]
    train = [file.name for file in read_card(model).corpus_manifest.train]

    def plays_back(_prior: Any, generators: Any, _loaded: Any, _settings: Any) -> Any:
        yield (
            1,
            1,
            [
                Sampled(codes[train[i]].long(), False, torch.zeros(codes[train[i]].shape))
                for i in range(len(generators))
            ],
        )

    monkeypatch.setattr("distill.studio.judging.sample_pieces", plays_back)
    settings = GenerationSettings(count=16, seed=0)
    work = studio.novelty(str(model), settings=settings, device="cpu")
    report = next(event for event in work if isinstance(event, NoveltyReport))
    assert report.verdict == "copies"
    assert [each.name for each in report.sounds[:2]] == ["seed 0", "seed 1"]
    assert all(each.aligned == 1.0 for each in report.sounds)
