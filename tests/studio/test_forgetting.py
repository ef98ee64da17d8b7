"""A model forgets: nothing of a recording stays in its file, and it does not come back by itself."""

import pickle
import shutil
import threading
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import distill
from distill import studio
from distill.corpus.forgetting import near_copies
from distill.corpus.manifest import CorpusFile
from distill.errors import DistillError, Stopped
from distill.events import Event, PriorEpochMetrics, Warned
from distill.library.trash import deleted_models, restore_model
from distill.modelfile.card import NoveltySummary
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import OpenedModel, open_model
from distill.models.likelihood import bits_per_code
from distill.novelty.forgotten import ForgetReport, ForgottenRecording
from distill.studio import forgetting
from distill.studio.forgetting import _told_before
from distill.training.codec.train import train_codec
from distill.training.unfinished import unfinished_path
from tiny import RATE, TINY_CODEC, hit


@pytest.fixture
def folder(sounds: Path, library: Path, tmp_path: Path) -> Path:
    """The sounds of `kit`, in a folder of the test's own."""
    place = shutil.copytree(sounds, tmp_path / "kit sounds")
    contents = read_contents(library / "kit.distill", mapped=False)
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "folder": str(place)}
    write_model(library / "kit.distill", contents)
    return place


def forget(*names: str, novelty: bool = False, **how: Any) -> tuple[ForgetReport, list[str]]:
    events = list(distill.forget("kit", *names, device="cpu", novelty=novelty, **how))
    assert isinstance(events[-1], ForgetReport)
    return events[-1], said(events)


def said(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def train_file(path: Path, which: int = 0) -> CorpusFile:
    """One that was learned from and is alone in its group."""
    manifest = read_card(path).corpus_manifest
    groups = [file.group for file in manifest.files]
    return [file for file in manifest.train if groups.count(file.group) == 1][which]


def everything_in(path: Path) -> bytes:
    """All bytes of a model's file, and its tensors' names."""
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(entry) for entry in archive.infolist())


def test_nothing_of_it_stays_in_the_file(folder: Path, library: Path) -> None:
    """Guards against a name, codes or figures of a forgotten recording that are left somewhere, and a prior that knows it."""
    path = library / "kit.distill"
    out = train_file(path)
    contents = read_contents(path, mapped=False)
    verdict = NoveltySummary(
        verdict="new", reason="", copy_rate=0, copy_rate_interval=(0, 0), p_value=1, coherence_z=0, power=None,
        recordings=9, sounds=1, training_date=contents["prior_metadata"]["training_date"],
    )  # fmt: skip
    skipped = [{"name": out.name, "reason": "of an earlier day"}]
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "skipped": skipped}
    write_model(path, {**contents, "novelty": verdict, "kept_by_another_version": [out.name]})
    studio.consent("kit", [out.name], whose="Somebody", licence="theirs alone")
    before, old_card = read_contents(path, mapped=False), read_card(path)
    report, notes = forget(out.name)
    after, card = read_contents(path, mapped=False), read_card(path)
    assert out.name.encode() in pickle.dumps(before["corpus_manifest"])
    assert out.name.encode() not in everything_in(path)
    assert b"theirs alone" not in everything_in(path)
    assert (
        set(after["codes"]) == {file.name for file in card.corpus_manifest.files} == set(before["codes"]) - {out.name}
    )
    assert {(f.name, f.split, f.group) for f in card.corpus_manifest.files} == {
        (file["name"], file["split"], file["group"])
        for file in before["corpus_manifest"]["files"]
        if file["name"] != out.name
    }
    for name, codes in after["codes"].items():
        assert torch.equal(codes, before["codes"][name])
    for name, tensor in before["model_state_dict"].items():
        assert torch.equal(after["model_state_dict"][name], tensor)
    assert "novelty" not in after
    assert card.prior_metadata is not None
    assert card.prior_metadata.corpus_digest == card.corpus_manifest.digest
    assert card.settings_origin["prior"]["epochs"] == "set"  # as the last one was trained
    for key in ("loudness_state_dict", "grain_state_dict", "prior_state_dict"):  # measured again, without it
        assert any(not torch.equal(after[key][name], before[key][name]) for name in after[key]), key
    assert after["trait_quantiles"]["length"] != before["trait_quantiles"]["length"]
    assert [(each.sha256, each.in_codec) for each in card.corpus_manifest.forgotten] == [(out.sha256, True)]
    assert [each.name for each in report.recordings] == [out.name]
    theirs = before["codes"][out.name].long()
    old, new = OpenedModel(path, before, old_card, None).prior(), open_model(path).prior()
    assert old is not None
    assert new is not None
    assert report.before == pytest.approx(bits_per_code(old, theirs))  # each prior's own figure, of the right recording
    assert report.after == pytest.approx(bits_per_code(new, theirs))
    unseen = [bits_per_code(new, after["codes"][file.name].long()) for file in card.corpus_manifest.val]
    assert report.unseen_after == pytest.approx(sum(unseen) / len(unseen))
    assert report.left == len(card.corpus_manifest.files)
    assert any("codec was trained with them" in note for note in notes)


def test_the_sentence_follows_the_figures() -> None:
    def report(after: float, learned: bool = True, **given: Any) -> ForgetReport:
        each = ForgottenRecording("a.wav", learned, 3.0, after)
        figures = {
            "unseen_before": 5.0,
            "unseen_after": 5.0,
            "kept_before": 3.0,
            "kept_after": 3.0,
            "error": 0.2,
            **given,
        }
        return ForgetReport("m", (each,), **figures, left=9, codec_retrained=False, undo=None)

    assert report(4.9).is_forgotten
    assert report(4.9).sentence.startswith("Forgotten: before, they cost 3.00 bits")
    assert not report(4.5).is_forgotten
    assert "still easier than unseen" in report(4.5).sentence
    assert report(4.5, error=None).is_forgotten is None
    assert "had not learned" in report(4.9, learned=False).sentence


def test_it_does_not_come_back_by_itself(folder: Path, library: Path) -> None:
    """Guards against `--again` that learns a forgotten recording as a new one, under any name or in another kind of file."""
    path = library / "kit.distill"
    out = train_file(path)
    forget(out.name)
    with pytest.raises(
        DistillError, match=rf"no new recordings .* but what was forgotten and stays out \(1: {out.name}\)"
    ):
        list(studio.train_again("kit", device="cpu"))
    samples, _ = soundfile.read(folder / out.name, dtype="float32")
    more = folder.parent / "more"
    more.mkdir()
    soundfile.write(more / "new.wav", hit(40), RATE)
    soundfile.write(more / "the same.flac", samples, RATE, subtype="PCM_24")
    soundfile.write(more / "softer.wav", 0.4 * samples, RATE, subtype="PCM_16")
    notes = said(list(studio.train_again("kit", more, device="cpu")))
    assert any("Forgotten before, and left out: 3" in note for note in notes)
    names = {file.name for file in read_card(path).corpus_manifest.files}
    assert "more/new.wav" in names
    assert not {name for name in names if "same" in name or "softer" in name or name == out.name}
    assert out.name.encode() not in everything_in(path)
    with pytest.raises(DistillError, match="has learned from all of these"):  # the codec has
        list(studio.evaluate("kit", folder / out.name, device="cpu", synthesiser="griffin-lim"))
    new = studio.train(folder, "kit", overrides={**TINY_CODEC, "epochs": 1}, device="cpu", overwrite=True)
    assert any("Learned from again, though kit had forgotten them: 1" in note for note in said(list(new)))


def test_undo_is_a_copy_in_the_trash_that_still_has_it(folder: Path, library: Path) -> None:
    """Guards against an undo that is not there, one that nobody asked for, and a new prior that nobody has judged."""
    path = library / "kit.distill"
    old = path.read_bytes()
    _, notes = forget(train_file(path).name, novelty=True)
    card = read_card(path)
    assert card.prior_metadata is not None
    assert card.novelty is not None  # of the new prior
    assert (card.novelty.training_date, card.novelty.recordings) == (
        card.prior_metadata.training_date,
        len(card.corpus_manifest.files),
    )
    assert [each.path.read_bytes() for each in deleted_models()] == [old]
    assert any("with all that is forgotten, is in the trash" in note for note in notes)
    path.rename(library / "another.distill")
    assert restore_model("kit").read_bytes() == old


def test_all_or_nothing(folder: Path, library: Path) -> None:
    """Guards against half of it in the file, and against a stop that keeps a prior of one epoch."""
    path = library / "kit.distill"
    before = path.read_bytes()
    running = studio.forget("kit", [train_file(path).name], device="cpu")
    for event in running:
        if isinstance(event, PriorEpochMetrics) and event.epoch == 2:
            break
    running.close()
    assert path.read_bytes() == before
    stop = threading.Event()
    with pytest.raises(Stopped, match="has forgotten nothing"):
        for event in studio.forget("kit", [train_file(path).name], device="cpu", stop=stop):
            if isinstance(event, PriorEpochMetrics):
                stop.set()
    assert path.read_bytes() == before
    assert not deleted_models()
    assert not unfinished_path(path, "prior").parent.exists() or not any(
        unfinished_path(path, "prior").parent.iterdir()
    )


def test_the_codec_too(folder: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a codec that goes on from weights that know the recording."""
    path = library / "kit.distill"
    out = train_file(path)
    before = read_contents(path, mapped=False)
    write_model(path, {**before, "has_synthesiser": False, "synthesiser_state_dict": {"old": torch.zeros(1)}})
    started: list[object] = []

    def trained(*given: Any, start: object = None, **named: Any) -> Generator[Event, None, None]:
        started.append(start)
        return train_codec(*given, start=start, **named)

    monkeypatch.setattr(forgetting, "train_codec", trained)
    report, notes = forget(str(folder / out.name), codec=True)
    after, card = read_contents(path, mapped=False), read_card(path)
    assert report.codec_retrained
    assert report.after is not None  # by the new codec's codes, which were made for it
    assert not any("codec was trained with them" in note for note in notes)
    assert out.name not in after["codes"]
    assert "synthesiser_state_dict" not in after
    assert [each.in_codec for each in card.corpus_manifest.forgotten] == [False]
    assert card.metadata.name == "kit"
    assert card.training_config.codebook_size == TINY_CODEC["codebook_size"]
    assert started == [None]


def test_names_patterns_and_files(folder: Path, library: Path) -> None:
    """Guards against a pattern that takes more than it says, and against a wrong name that takes anything."""
    path = library / "kit.distill"
    with pytest.raises(DistillError, match=r"no recording called 'hitt 3.wav': the nearest is 'hit 3.wav'"):
        forget("hitt 3.wav")
    with pytest.raises(DistillError, match=r"no recording called 'snares/\*'"):
        forget("snares/*")
    with pytest.raises(DistillError, match=r"2 of the model's 9 sounds are left, and at least 5"):
        forget("hit [0-6].wav")
    held_out = [file.name for file in read_card(path).corpus_manifest.val]
    with pytest.raises(DistillError, match="none is left that was held out"):
        forget(*held_out)
    with pytest.raises(DistillError, match="Nothing was named"):
        forget()
    assert not deleted_models()
    copy = shutil.copy(folder / "hit 0.wav", folder.parent / "brought from elsewhere.wav")
    out = [file.name for file in read_card(path).corpus_manifest.train if file.name in ("hit 0.wav", "hit 1.wav")]
    report, notes = forget(str(copy), *(["hit 1*"] if "hit 1.wav" in out else []), undo=False)
    assert report.undo is None
    assert not deleted_models()
    assert not any("trash" in note for note in notes)
    assert {each.name for each in report.recordings} == set(out) | {"hit 0.wav"}


def test_near_copies_that_stay_are_said(tiny_model: Path) -> None:
    """Guards against "forgotten" where the same sound is still learned from under another name; pieces are no copies."""
    manifest = read_card(tiny_model).corpus_manifest
    out, other, piece = manifest.train[:3]
    other, piece = (each.model_copy(update={"group": out.group}) for each in (other, piece))
    piece = piece.model_copy(update={"sha256": out.sha256})
    grown = manifest.model_copy(update={"files": (out, other, piece, *manifest.train[3:], *manifest.val)})
    assert near_copies(grown, [out]) == (other.name,)
    assert any(other.name in event.message for event in _told_before(grown, [out]) if isinstance(event, Warned))


def test_recordings_that_are_gone_are_done_without(
    folder: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against loudness and grain that were measured with a forgotten recording and stay, because none can be measured."""
    path = library / "kit.distill"
    monkeypatch.setenv("DISTILL_CACHE", str(folder.parent / "another cache"))
    shutil.rmtree(folder)
    report, notes = forget(train_file(path).name)
    card = read_card(path)
    assert not card.has_loudness
    assert not card.has_grain
    assert report.after is not None
    assert any("how loud sounds are and their grain could not be measured" in note for note in notes)
    with pytest.raises(DistillError, match="a codec is trained from all"):
        forget(train_file(path).name, codec=True)
    assert np.isfinite(report.unseen_after or np.nan)
