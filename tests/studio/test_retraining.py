"""A model learns from new recordings: what it knew stays where it was, and nothing is lost on the way."""

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import distill
from distill import studio
from distill.errors import DistillError
from distill.events import CorpusScanned, Event, PriorEpochMetrics, PriorTrainingCompleteEvent, Saved, Warned
from distill.modelfile.card import ModelCard, RacedPrior
from distill.modelfile.file import read_card, read_contents, write_model
from distill.novelty.verdict import NoveltyReport
from distill.novelty.watching import LEAST_UNSEEN
from distill.studio.retraining import _prior_settings
from distill.training.unfinished import unfinished_path
from tiny import RATE, hit, write_sounds


@pytest.fixture
def folder(sounds: Path, library: Path, tmp_path: Path) -> Path:
    """The sounds of `kit`, in a folder of the test's own."""
    place = shutil.copytree(sounds, tmp_path / "kit sounds")
    contents = read_contents(library / "kit.distill", mapped=False)
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "folder": str(place)}
    write_model(library / "kit.distill", contents)
    return place


def more(folder: Path, count: int = 6, first: int = 40) -> Path:
    return write_sounds(folder, count, lambda number: hit(first + 3 * number, 0.25 + 0.05 * number))


def again(novelty: bool = False, **how: Any) -> list[Event]:
    return list(studio.train_again("kit", device="cpu", novelty=novelty, **how))


def sides(path: Path) -> dict[str, tuple[str, int]]:
    return {file.name: (file.split, file.group) for file in read_card(path).corpus_manifest.files}


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_second_folder_joins_and_old_files_stay_where_they_were(library: Path, tmp_path: Path) -> None:
    """Guards against a held-out sound that is learned from after all, codes that change, and a codec that moves."""
    path = library / "kit.distill"
    before, old = read_contents(path, mapped=False), sides(path)
    events = again(add=more(tmp_path / "more"))
    after, new = read_contents(path, mapped=False), sides(path)
    assert {name: new[name] for name in old} == old
    joined = {name: side for name, side in new.items() if name not in old}
    assert set(joined) == {f"more/hit {number}.wav" for number in range(6)}
    assert sorted(split for split, _ in joined.values()).count("val") == round(0.15 * 15) - 1
    assert not {group for _, group in joined.values()} & {group for _, group in old.values()}
    for name, tensor in before["model_state_dict"].items():
        assert torch.equal(after["model_state_dict"][name], tensor)
    for name, codes in before["codes"].items():
        assert torch.equal(after["codes"][name], codes)
    assert set(after["codes"]) == set(new)
    assert of(events, CorpusScanned)[0].files_used == len(new)
    assert of(events, PriorTrainingCompleteEvent)[0].model == str(path)
    card = read_card(path)
    assert card.prior_metadata is not None
    assert card.prior_metadata.corpus_digest == card.corpus_manifest.digest
    assert card.settings_origin["prior"]["epochs"] == "set"  # as the last one was trained
    assert card.prior_config is not None
    assert card.prior_config.hidden_size == 32


def test_a_prior_that_was_trained_again_is_judged(library: Path, tmp_path: Path) -> None:
    """Guards against a model that says of its new prior what was found of the old one, or nothing."""
    events = again(novelty=True, add=more(tmp_path / "more"))
    assert [type(event) for event in events if isinstance(event, NoveltyReport | PriorTrainingCompleteEvent)] == [
        NoveltyReport, PriorTrainingCompleteEvent,
    ]  # fmt: skip
    card = read_card(library / "kit.distill")
    assert card.novelty is not None
    assert card.prior_metadata is not None
    assert card.novelty.training_date == card.prior_metadata.training_date
    assert card.novelty.recordings == len(card.corpus_manifest.files)
    listened = [event for event in of(events, PriorEpochMetrics) if event.copied is not None]
    assert bool(listened) == (len(card.corpus_manifest.val) >= LEAST_UNSEEN)


def test_everything_else_works_on_two_folders(library: Path, tmp_path: Path) -> None:
    """Guards against names that lead nowhere once files come from two folders."""
    added = more(tmp_path / "more")
    again(add=added)
    model = distill.load("kit", device="cpu")
    result = model.evaluate(synthesiser="griffin-lim")
    held_out = {file.name for file in model.card.corpus_manifest.val}
    assert {sound["name"] for sound in result["sounds"]} == held_out
    assert any(name.startswith("more/") for name in held_out)
    assert model.generate(count=1, seconds=0.3, seed=0, synthesiser="griffin-lim").samples.size
    trained = list(studio.train_prior_for("kit", overrides={"epochs": 1, "views": 1}, device="cpu", overwrite=True))
    assert not of(trained, Warned) or all("not there" not in each.message for each in of(trained, Warned))
    quick = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "pretrained": False}
    list(studio.train_synth_for("kit", overrides=quick, device="cpu"))
    shutil.rmtree(added)
    with pytest.raises(DistillError, match="more"):
        list(studio.evaluate("kit", device="cpu"))
    whole = studio.train_prior_for("kit", overrides={"epochs": 1, "views": 1}, device="cpu", overwrite=True)
    assert any("more is not there" in each.message for each in of(list(whole), Warned))


def test_new_files_in_the_folder_itself(folder: Path, library: Path) -> None:
    """Guards against a second look that finds what the first has found, and names that get a prefix for nothing."""
    with pytest.raises(DistillError, match=r"no new recordings in .*kit sounds"):
        again()
    more(folder / "later", 3)
    again()
    card = read_card(library / "kit.distill")
    assert not card.corpus_manifest.added_folders
    assert {f"later/hit {number}.wav" for number in range(3)} <= {file.name for file in card.corpus_manifest.files}
    more(folder / "later still", 2, first=90)
    again(add=folder / "later still")  # a folder inside
    assert not read_card(library / "kit.distill").corpus_manifest.added_folders


def test_near_copies_go_where_the_original_is(library: Path, sounds: Path, tmp_path: Path) -> None:
    """Guards against a louder copy of a held-out sound that is learned from."""
    old = read_card(library / "kit.distill").corpus_manifest
    place = more(tmp_path / "more", 2)
    for file in (old.val[0], old.train[0]):
        samples, _ = soundfile.read(sounds / file.name, dtype="float32")
        soundfile.write(place / f"copy of {file.name}", 0.5 * samples, RATE, subtype="PCM_16")
    again(add=place)
    found = sides(library / "kit.distill")
    for file in (old.val[0], old.train[0]):
        assert found[f"more/copy of {file.name}"] == (file.split, file.group)


def test_sounds_that_are_gone_are_remembered_by_their_codes(
    folder: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a model that forgets what is not on the disk any more, and against asking for it."""
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "another cache"))
    path = library / "kit.distill"
    old, codes = sides(path), read_contents(path, mapped=False)["codes"]
    gone = next(file.name for file in read_card(path).corpus_manifest.train)
    (folder / gone).unlink()
    more(folder / "new", 2)
    events = again()
    assert any("their codes are kept" in each.message and gone in each.message for each in of(events, Warned))
    assert {name: sides(path)[name] for name in old} == old
    assert torch.equal(read_contents(path, mapped=False)["codes"][gone], codes[gone])
    more(folder / "newer", 2, first=70)
    with pytest.raises(DistillError, match="a codec that goes on needs all"):
        again(continue_codec=True)


def test_all_or_nothing(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against half of it in the file: the new list of sounds with the old prior, or a prior of one epoch."""
    path, place = library / "kit.distill", more(tmp_path / "more")
    before = path.read_bytes()
    running = studio.train_again("kit", place, device="cpu")
    for event in running:
        if isinstance(event, PriorEpochMetrics) and event.epoch == 2:
            break
        assert path.read_bytes() == before
    running.close()
    assert path.read_bytes() == before
    assert not unfinished_path(path, "prior").exists()
    stop = threading.Event()
    saved = []
    for event in studio.train_again("kit", place, device="cpu", stop=stop):
        saved += [event] if isinstance(event, Saved) else []
        if isinstance(event, PriorEpochMetrics):
            stop.set()
    assert len(saved) == 1
    assert "more" in read_card(path).corpus_manifest.added_folders


def test_the_codec_goes_on_from_its_weights(library: Path, tmp_path: Path) -> None:
    """Guards against a codec that begins anew, a prior for other codes, and a model without one while it is made."""
    path, place = library / "kit.distill", more(tmp_path / "more", 3)
    before = read_contents(path, mapped=False)
    running = studio.train_again(
        "kit", place, True, {"epochs": 2, "seed": 5}, device="cpu"
    )  # another start, if it were one
    old = path.read_bytes()
    for event in running:
        if isinstance(event, Saved):
            break
        assert path.read_bytes() == old
    done = list(running)
    assert isinstance(done[-1], PriorTrainingCompleteEvent)
    assert done[-1].model == str(path)
    after, card = read_contents(path, mapped=False), read_card(path)
    moved = [
        float((after["model_state_dict"][name] - tensor).norm() / tensor.norm().clamp_min(1e-6))
        for name, tensor in before["model_state_dict"].items()
        if name.startswith("encoder") and tensor.ndim > 1
    ]
    assert 0.0 < np.mean(moved) < 0.5
    assert set(after["codes"]) == set(sides(path))
    assert card.prior_metadata is not None
    assert card.prior_metadata.corpus_digest == card.corpus_manifest.digest
    assert (
        distill.load("kit", device="cpu").generate(count=1, seconds=0.3, seed=0, synthesiser="griffin-lim").samples.size
    )


def test_what_cannot_be_is_said(library: Path, tmp_path: Path) -> None:
    """Guards against tracebacks, and against a flag that is taken and does nothing."""
    with pytest.raises(DistillError, match=r"no model called 'nobody'"):
        list(studio.train_again("nobody"))
    with pytest.raises(DistillError, match=r"no folder .*nowhere"):
        again(add=tmp_path / "nowhere")
    place = tmp_path / "texts"
    place.mkdir()
    (place / "notes.txt").write_text("no sound")
    with pytest.raises(DistillError, match=r"no new recordings in .*texts"):
        again(add=place)
    soundfile.write(place / "silence.wav", np.zeros(RATE), RATE)
    with pytest.raises(DistillError, match=r"None of the 1 new files .*silence.wav"):
        again(add=place)
    with pytest.raises(DistillError, match="--epochs changes nothing"):
        again(add=place, overrides={"epochs": 3})
    with pytest.raises(DistillError, match="keeps its size: leave out --codebook-size"):
        again(add=more(tmp_path / "more", 2), continue_codec=True, overrides={"codebook_size": 64})


def test_a_model_is_found_by_its_folder(sounds: Path, library: Path, tmp_path: Path) -> None:
    place = tmp_path / "kit"
    place.mkdir()
    with pytest.raises(DistillError, match=r"no folder .*nowhere"):
        list(distill.train(place, add=tmp_path / "nowhere"))


def test_much_more_sound_lets_sizes_race_again(tiny_model: Path) -> None:
    """Guards against a size that was right for a minute and is kept for an hour, and a race for six sounds more."""
    card = read_card(tiny_model)
    assert card.prior_metadata is not None
    origin = {**card.settings_origin, "prior": dict.fromkeys(card.settings_origin["prior"], "auto")}
    won = RacedPrior(
        hidden_size=32,
        num_layers=1,
        num_heads=2,
        parameters=9,
        epochs=1,
        bits_per_code=1.0,
        overfitting_gap=0.0,
        goes_on=True,
    )
    raced = card.prior_metadata.model_copy(update={"race": (won,)})
    before = card.model_copy(update={"settings_origin": origin, "prior_metadata": raced})

    def with_files(times: int) -> ModelCard:
        files = card.corpus_manifest.files * times
        return before.model_copy(update={"corpus_manifest": card.corpus_manifest.model_copy(update={"files": files})})

    assert card.prior_config is not None
    resolved, sizes = _prior_settings(before, with_files(1))
    assert (resolved.settings.hidden_size, resolved.origin["hidden_size"], sizes) == (32, "auto", ())
    assert len(_prior_settings(before, with_files(2))[1]) == 2
    never = before.model_copy(update={"prior_metadata": card.prior_metadata})
    assert len(_prior_settings(never, with_files(1))[1]) == 2  # of a model that was made before sizes raced
    assert _prior_settings(card, with_files(2))[1] == ()  # where the size was set it stays set
