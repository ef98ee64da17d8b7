"""Which sounds a model has not learned from: hashes alone miss the copies that people have."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill import studio
from distill.corpus.manifest import CorpusManifest
from distill.corpus.unseen import Unseen, unseen_sounds
from distill.errors import DistillError, Stopped
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.events import Event, Progress, Warned
from distill.modelfile.file import read_card, read_contents, write_model
from distill.settings.geometry import SpectrogramConfig
from tiny import RATE, exhausted, hit, write_sounds


@pytest.fixture
def manifest(tiny_model: Path) -> CorpusManifest:
    return read_card(tiny_model).corpus_manifest


def divided(manifest: CorpusManifest, *paths: Path) -> Unseen:
    found: Unseen = exhausted(unseen_sounds(manifest, {path.name: path for path in paths}, SpectrogramConfig()))
    return found


def copies_of(source: Path, folder: Path) -> list[Path]:
    """As a musician has them: the same take in another format, quieter, and begun a little earlier."""
    folder.mkdir()
    samples, _ = soundfile.read(source)
    soundfile.write(folder / "same.flac", samples, RATE, subtype="PCM_24")
    soundfile.write(folder / "quieter.wav", 0.3 * samples, RATE)
    soundfile.write(folder / "later.ogg", np.concatenate([np.zeros(480), samples]), RATE)
    return sorted(folder.iterdir())


def test_copies_of_training_files_are_not_unseen(manifest: CorpusManifest, tmp_path: Path) -> None:
    """Guards against figures from sounds that were learned from: by bytes, by decoded sound, by fingerprint."""
    folder = Path(manifest.folder)
    trained, held_out = folder / manifest.train[0].name, folder / manifest.val[0].name
    new = write_sounds(tmp_path / "new", 1, lambda _number: hit(77)) / "hit 0.wav"
    other = shutil.copy(new, tmp_path / "new" / "new.wav")
    found = divided(manifest, trained, held_out, *copies_of(trained, tmp_path / "copies"), Path(other))
    assert found.known == (trained.name,)
    assert found.copies == ("later.ogg", "quieter.wav", "same.flac")
    assert list(found.held_out.values()) == [held_out]
    assert list(found.strangers) == ["new.wav"]
    assert found.unchecked == 0


def test_training_files_that_are_gone_are_counted(
    manifest: CorpusManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against "unseen" where nothing could be compared."""
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    moved = manifest.model_copy(update={"folder": str(tmp_path / "gone")})
    new = write_sounds(tmp_path / "new", 1, lambda _number: hit(77)) / "hit 0.wav"
    assert divided(moved, new).unchecked == len(manifest.train)
    # one of them is among the sounds that are given, so its copies are found out
    given = Path(manifest.folder) / manifest.train[0].name
    copy = copies_of(given, tmp_path / "copies")[0]
    found = divided(moved, new, given, copy)
    assert (found.unchecked, found.copies) == (len(manifest.train) - 1, (copy.name,))


def measured(events: list[Event]) -> list[str]:
    done = events[-1]
    assert isinstance(done, EvaluationCompleteEvent)
    return [sound.name for sound in done.sounds]


def test_one_file_is_enough_to_measure_by(tiny_model: Path, manifest: CorpusManifest, tmp_path: Path) -> None:
    """Guards against the demands of a training: five files, and two that differ."""
    new = write_sounds(tmp_path / "new", 1, lambda _number: hit(77)) / "hit 0.wav"
    trained = Path(manifest.folder) / manifest.train[0].name

    def evaluate(*dataset: Path) -> list[Event]:
        return list(studio.evaluate(str(tiny_model), dataset, "cpu", "griffin-lim"))

    assert measured(evaluate(new)) == ["hit 0.wav"]
    assert measured(evaluate(new.parent)) == ["hit 0.wav"]
    (tmp_path / "no sound.wav").write_text("text")
    other = write_sounds(tmp_path / "other", 1, lambda _number: hit(78)) / "hit 0.wav"
    events = evaluate(new, trained, tmp_path / "no sound.wav", new.parent, other)
    assert measured(events) == ["hit 0.wav", str(other)]  # two of one name, and one that is given twice
    notes = [event.message for event in events if isinstance(event, Warned)]
    assert any(trained.name in note and "learned from it" in note for note in notes)
    assert any("no sound.wav" in note and "cannot be used" in note for note in notes)
    for dataset, named in (([trained], "learned from all"), ([tmp_path / "no sound.wav"], "no sound.wav")):
        with pytest.raises(DistillError, match=named) as refused:
            evaluate(*dataset)
        assert "--dataset" in str(refused.value)


def test_after_a_move_the_flag_is_named_and_helps(tiny_model: Path, manifest: CorpusManifest, tmp_path: Path) -> None:
    """Guards against "there is no folder", which leaves a musician who has moved their sounds without a way on."""
    contents = read_contents(tiny_model, mapped=False)
    corpus = {**contents["corpus_manifest"], "folder": str(tmp_path / "gone")}
    moved = tmp_path / "moved.distill"
    write_model(moved, {**contents, "corpus_manifest": corpus})
    with pytest.raises(DistillError, match="--dataset DIR"):
        list(studio.evaluate(str(moved), None, "cpu"))
    events = list(studio.evaluate(str(moved), Path(manifest.folder), "cpu", "griffin-lim"))
    assert measured(events) == [file.name for file in manifest.val]


def test_a_stop_keeps_what_is_measured(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against measurements that a Ctrl-C throws away, and against an empty answer."""
    new = write_sounds(tmp_path / "new", 3, lambda number: hit(77 + number))
    stop, events = threading.Event(), []
    for event in studio.evaluate(str(tiny_model), new, "cpu", "griffin-lim", stop):
        events.append(event)
        if isinstance(event, Progress) and event.task == "measuring":
            stop.set()
    assert measured(events) == ["hit 0.wav"]
    assert events[-1].to_dict()["stopped_early"] is True  # type: ignore[attr-defined]
    with pytest.raises(Stopped):
        list(studio.evaluate(str(tiny_model), new, "cpu", "griffin-lim", stop))
