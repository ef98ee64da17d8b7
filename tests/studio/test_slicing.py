"""A model of one long recording, from training to measuring: every stage takes pieces for files."""

import shutil
from pathlib import Path

import pytest
import soundfile

from distill import studio
from distill.cli.card import show_card
from distill.corpus.manifest import CorpusManifest
from distill.corpus.scan import scan
from distill.errors import DistillError
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.events import CodecEpochMetrics, CorpusScanned, Event, TrainingStarted, Warned
from distill.modelfile.file import read_card
from distill.settings.codec import CodecSettings
from distill.settings.knobs import knobs_of
from distill.studio.opening import given_settings
from distill.training import unfinished
from distill.ui.page_state import PageState
from distill.ui.sounds import manifest_html
from tiny import RATE, TINY_CODEC, TINY_PRIOR, exhausted, hit, session

TINY = {**TINY_CODEC, "epochs": 2, "warmup_share": 0.0}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one recording of half a minute."""
    folder = tmp_path_factory.mktemp("one") / "takes"
    folder.mkdir()
    soundfile.write(folder / "take.wav", session(31.0), RATE, subtype="PCM_24")
    return folder


@pytest.fixture(scope="module")
def trained(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A model with codec and prior, and what was said while the codec was trained."""
    path = tmp_path_factory.mktemp("models") / "take.distill"
    events = list(studio.train(recording, out=path, overrides=TINY, device="cpu"))
    list(studio.train_prior_for(str(path), overrides={**TINY_PRIOR, "epochs": 1, "views": 2}, device="cpu"))
    return path, events


def test_it_is_said_what_was_cut_and_how_it_is_judged(trained: tuple[Path, list[Event]]) -> None:
    """Against figures that a reader takes for those of a model judged on another recording."""
    path, events = trained
    scanned = next(event for event in events if isinstance(event, CorpusScanned))
    assert (scanned.recordings, scanned.split_by) == (1, "time")
    said = " ".join(event.message for event in events if isinstance(event, Warned))
    assert "take.wav is cut into" in said
    assert "not how well it would do on another" in said
    started = next(event for event in events if isinstance(event, TrainingStarted))
    assert (started.settings["slice"], started.origin["slice"]) == ("on", "auto")
    assert read_card(path).training_config.slice == "on"


def test_the_card_says_it(
    trained: tuple[Path, list[Event]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    show_card(trained[0], read_card(trained[0]))
    assert "split by time" in capsys.readouterr().out


def test_evaluation_measures_the_held_out_pieces(trained: tuple[Path, list[Event]], recording: Path) -> None:
    """Against measuring pieces that were learned from, because they are of the same file as the held-out ones; and
    against losing the held-out ones when there are so many files now that none would be cut."""
    path, _ = trained
    held_out = [file.name for file in read_card(path).corpus_manifest.val]
    folder = recording.with_name("more takes")
    shutil.copytree(recording, folder)
    for number in range(5):
        soundfile.write(folder / f"new {number}.wav", hit(40 + number), RATE)
    own = next(e for e in studio.evaluate(str(path), device="cpu") if isinstance(e, EvaluationCompleteEvent))
    assert [sound.name for sound in own.sounds] == held_out
    more = next(e for e in studio.evaluate(str(path), folder, "cpu") if isinstance(e, EvaluationCompleteEvent))
    measured = [sound.name for sound in more.sounds]
    assert [name for name in measured if name.startswith("take")] == held_out
    assert len(measured) > len(held_out)


def test_a_prior_learns_from_the_codes_of_pieces_when_the_recording_is_gone(
    trained: tuple[Path, list[Event]], recording: Path, tmp_path: Path
) -> None:
    path = tmp_path / "again.distill"
    shutil.copy(trained[0], path)
    away = recording.rename(recording.with_name("away"))
    try:
        events = list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", overwrite=True))
    finally:
        away.rename(recording)
    assert any(isinstance(event, Warned) and "learns from the codes" in event.message for event in events)


def test_a_synthesiser_is_fitted_to_pieces(trained: tuple[Path, list[Event]], tmp_path: Path) -> None:
    path = tmp_path / "synth.distill"
    shutil.copy(trained[0], path)
    settings = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 1}
    events = list(studio.train_synth_for(str(path), overrides=settings, device="cpu"))
    started = next(event for event in events if isinstance(event, TrainingStarted))
    assert started.val_files == len(read_card(path).corpus_manifest.val)


def test_a_resumed_training_is_cut_as_it_was_begun(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a resume that refuses ("other sounds") or goes on with whole files, where cutting was asked for by hand."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    folder = tmp_path / "five"
    folder.mkdir()
    for number in range(5):
        soundfile.write(folder / f"{number}.wav", session(4.0, number), RATE)
    path = tmp_path / "m.distill"
    overrides = {**TINY, "slice": "on"}
    running = studio.train(folder, out=path, overrides=overrides, device="cpu")
    next(event for event in running if isinstance(event, CodecEpochMetrics))
    running.close()
    events = list(studio.train(folder, out=path, device="cpu", resume=True))
    assert [event.epoch for event in events if isinstance(event, CodecEpochMetrics)] == [2]
    assert read_card(path).corpus_manifest.recordings


def test_a_word_that_is_no_choice_is_refused(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="--slice perhaps"):
        list(studio.train(recording, out=tmp_path / "m.distill", overrides={"slice": "perhaps"}, device="cpu"))


def test_auto_is_what_is_not_set() -> None:
    """`--slice auto` sets nothing, so what comes of it is called auto; a field that is left alone is auto already."""
    assert given_settings({"slice": "auto", "epochs": 3}, resume=False) == {"epochs": 3}
    assert next(knob for knob in knobs_of(CodecSettings) if knob.name == "slice").choices == ("on", "off")


def test_the_page_shows_pieces(recording: Path, tmp_path: Path) -> None:
    """Against rows of files that do not exist, and hundreds of "copies" that are pieces of one recording."""
    manifest: CorpusManifest = exhausted(scan(recording)).manifest
    shown = manifest_html(PageState(tmp_path, any_folder=True), manifest)
    file = manifest.files[1]
    assert file.span is not None
    assert f"#t={file.span[0] / RATE:.3f},{file.span[1] / RATE:.3f}" in shown
    assert file.name in shown
    assert "<b>0</b><span>copies of others</span>" in shown
    assert "alike" not in shown
    assert "take.wav is cut into" in shown
