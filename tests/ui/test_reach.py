"""What the page does beside training and generating: moved sounds, measuring, the demo, the trash, details."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from distill import studio
from distill.corpus.collections import collect
from distill.errors import DistillError
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.events import PriorEpochMetrics, TrainingStarted, Warned
from distill.library.history import list_generations
from distill.library.models import list_models, rename_model
from distill.library.trash import delete_model, deleted_models, empty_trash, restore_model
from distill.modelfile.file import read_card, read_contents, write_model
from distill.studio.jobs import EVALUATE, Job
from distill.training import unfinished
from distill.ui.codec import measured_html
from distill.ui.demo import demo_html, run_demo
from distill.ui.details import details_html
from distill.ui.page_state import PageState
from distill.ui.stages import Stage, TrainingRequest, codec_stage, prior_stage, start, synthesiser_stage
from distill.ui.train import _subject_updates
from distill.ui.trash import trash_html
from tiny import TINY_CODEC, TINY_PRIOR, write_sounds

SECONDS = 120


@pytest.fixture
def page_state(library: Path, tmp_path: Path) -> PageState:
    return PageState(tmp_path, any_folder=True)


def move_sounds(model: Path, folder: str) -> None:
    """Let a model believe that its sounds were in another folder."""
    contents = read_contents(model, mapped=False)
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "folder": folder}
    write_model(model, contents)


def done(job: Job) -> Job:
    assert job.wait(SECONDS)
    return job


def prior_again(page_state: PageState, stage: Stage, **how: Any) -> Job:
    return done(start(page_state, stage, TrainingRequest("kit", "", TINY_PRIOR, replace=True, **how)))


def test_sounds_that_moved_are_asked_for_and_found(
    page_state: PageState, library: Path, sounds: Path, tmp_path: Path
) -> None:
    """Guards against a model that cannot be trained on because its folder was renamed."""
    stage, synthesiser = prior_stage(page_state), synthesiser_stage(page_state)
    assert not stage.moved("kit")
    assert "nothing to select" in stage.describe("kit")
    move_sounds(library / "kit.distill", str(tmp_path / "gone"))
    assert stage.moved("kit")
    assert "are not there any more" in stage.describe("kit")
    assert "learns from the codes" in stage.describe("kit")
    assert "learns from the codes" not in synthesiser.describe("kit")
    refused = done(start(page_state, synthesiser, TrainingRequest("kit", "", {"epochs": 1})))
    assert "is not there: give the folder" in refused.error
    found = prior_again(page_state, stage, dataset=str(sounds), embed_codes=False)
    assert found.error == ""
    assert not read_card(library / "kit.distill").has_codes


def test_changed_sounds_are_left_out_where_that_is_wanted(page_state: PageState, sounds: Path, tmp_path: Path) -> None:
    stage = prior_stage(page_state)
    partial = shutil.copytree(sounds, tmp_path / "partial")
    lost = next(file.name for file in read_card(only_model()).corpus_manifest.train)
    (partial / lost).unlink()
    assert f"{lost} is gone" in prior_again(page_state, stage, dataset=str(partial)).error
    job = prior_again(page_state, stage, dataset=str(partial), allow_changed=True)
    assert job.error == ""
    assert any(isinstance(event, Warned) and lost in event.message for event in job.drain()[0])


def only_model() -> Path:
    """The file of the library's one model."""
    (path,) = list_models()
    return path


def test_the_device_is_the_one_that_was_chosen(page_state: PageState) -> None:
    job = prior_again(page_state, prior_stage(page_state), device="cpu")
    (started,) = [event for event in job.drain()[0] if isinstance(event, TrainingStarted)]
    assert started.device == "cpu"
    assert "no such device" in prior_again(page_state, prior_stage(page_state), device="nonsense").error


def test_a_served_page_opens_no_folder_that_a_model_names(library: Path, sounds: Path, tmp_path: Path) -> None:
    """Guards against a model made to name a folder of the server, and against other folders given for its sounds."""
    served = PageState(tmp_path, any_folder=False)
    prior = prior_stage(served)
    for given in ("", str(sounds)):
        with pytest.raises(DistillError, match="cannot be opened from this page"):
            served.evaluate("kit", given, "me", "cpu", "auto")
        with pytest.raises(DistillError, match="cannot be opened from this page"):
            start(served, prior, TrainingRequest("kit", "", TINY_PRIOR, replace=True, dataset=given))
    assert prior.moved("kit")
    shutil.copytree(sounds, library / "sounds" / "mine")
    job = done(served.evaluate("kit", "mine", "me", "cpu", "griffin-lim"))
    assert job.error == ""


def test_what_is_shown_is_what_was_measured(page_state: PageState, library: Path) -> None:
    job = done(page_state.evaluate("kit", "", "me", "cpu", "griffin-lim"))
    assert page_state.jobs.latest(EVALUATE, "me") is job
    events = list(studio.evaluate(str(library / "kit.distill"), device="cpu", synthesiser="griffin-lim"))
    measured = events[-1]
    assert isinstance(measured, EvaluationCompleteEvent)
    html = measured_html(job)
    assert html.count("<tr>") == len(measured.sounds) + 2
    for sound in measured.sounds:
        assert sound.name in html
        assert f"{sound.mel_l1_db:.2f} dB" in html
    assert f"<b>{measured.to_dict()['wave_mel_l1_db']:.2f} dB</b>" in html
    assert f"<b>{measured.to_dict()['fidelity']:.0f}</b>" in html


def test_measuring_ends_when_it_is_stopped(page_state: PageState, tmp_path: Path) -> None:
    many = write_sounds(tmp_path / "many", 60)
    job = page_state.evaluate("kit", str(many), "me", "cpu", "griffin-lim")
    with pytest.raises(DistillError, match="under way already"):
        page_state.evaluate("kit", "", "me", "cpu", "auto")
    job.stop()
    done(job)
    assert job.error == ""
    assert "Stopped before" in measured_html(job)


def test_the_demo_goes_the_whole_way(page_state: PageState, library: Path) -> None:
    """With tiny settings; its model replaces none."""
    stages = [codec_stage(page_state), prior_stage(page_state)]
    shutil.copy(library / "kit.distill", library / "demo.distill")
    before = (library / "demo.distill").read_bytes()
    job = run_demo(
        page_state, stages, "me", {"codec": {**TINY_CODEC, "epochs": 2, "preview_every": 0}, "prior": TINY_PRIOR}
    )
    with pytest.raises(DistillError, match="A training is running"):
        run_demo(page_state, stages, "you")
    done(job)
    assert job.error == ""
    assert "demo-2" in demo_html(job)
    assert (library / "demo.distill").read_bytes() == before
    assert len(list((library / "sounds" / "demo sounds").iterdir())) == 40
    shots, piece = list_generations()
    assert (len(shots.sounds), shots.model) == (8, "demo-2")
    assert piece.sounds[0].seconds == pytest.approx(10.0, abs=0.1)


def test_a_stopped_demo_says_so(page_state: PageState) -> None:
    job = run_demo(
        page_state,
        [codec_stage(page_state), prior_stage(page_state)],
        "me",
        {"codec": {**TINY_CODEC, "epochs": 10_000}},
    )
    job.stop()
    assert "was stopped" in done(job).error
    assert page_state.jobs.training() is None


def test_the_trash_is_listed_emptied_and_older_namesakes_come_back(library: Path, tiny_model: Path) -> None:
    older = library / "kit.distill"
    older.write_bytes(older.read_bytes() + b"older")
    first = delete_model("kit")
    shutil.copy(tiny_model, library / "kit.distill")
    delete_model("kit")
    assert trash_html().count("Bring back kit") == 2
    assert restore_model(first.path.stem).read_bytes().endswith(b"older")
    assert len(deleted_models()) == 1
    assert empty_trash() == 1
    assert deleted_models() == []
    assert (library / "kit.distill").exists()
    assert "Nothing is deleted" in trash_html()


def test_an_unfinished_training_is_found_after_a_rename(
    page_state: PageState, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    running = studio.train_prior_for(
        str(library / "kit.distill"), overrides={**TINY_PRIOR, "epochs": 4}, device="cpu", overwrite=True
    )
    for event in running:
        if isinstance(event, PriorEpochMetrics) and event.epoch == 2:
            break
    running.close()
    renamed = rename_model("kit", "kit two")
    assert studio.can_resume(renamed, "prior")
    assert not studio.can_resume(library / "kit.distill", "prior")
    job = done(start(page_state, prior_stage(page_state), TrainingRequest("kit two", "", {}, resume=True)))
    assert [event.epoch for event in job.drain()[0] if isinstance(event, PriorEpochMetrics)] == [3, 4]


def test_details_say_what_the_file_says(page_state: PageState, library: Path) -> None:
    path = library / "kit.distill"
    card = read_card(path)
    html = details_html(page_state, path, card)
    assert card.prior_metadata is not None
    for said in (
        f"{card.metadata.val_mel_l1_db:.2f} dB at epoch {card.metadata.best_epoch}",
        f"{card.prior_metadata.bits_per_code:.2f} bits",
        "Learning rate",
        "Usage of the codes of kit",
        "the one that every model has",
    ):
        assert said in html
    assert html.count("/picture/") == 1
    assert str(library) not in html


def test_a_field_in_which_someone_types_is_left_alone(page_state: PageState, tmp_path: Path) -> None:
    """Guards against an update from before the typing that empties the field."""
    stage = codec_stage(page_state)
    written = str(tmp_path)
    seen: dict[str, Any] = {}
    field = _subject_updates(page_state, stage, seen, written, "", written, [])[0]
    assert "value" not in _given(field)
    collect([], "new").mkdir(parents=True)
    field = _subject_updates(page_state, stage, seen, written, "", written, [])[0]
    assert _given(field)["choices"] == ["new"]
    assert "value" not in _given(field)


def _given(update: Any) -> dict[str, Any]:
    """What an update says."""
    return dict(update if isinstance(update, dict) else update.constructor_args)
