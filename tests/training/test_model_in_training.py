"""What else becomes of a model's file while a stage is trained: nothing is lost, and nobody's model is replaced."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from distill import studio
from distill.errors import DistillError
from distill.events import Event, PriorEpochMetrics, PriorTrainingCompleteEvent, Saved, Warned
from distill.library.models import export_model, import_model, list_models, rename_model
from distill.library.trash import delete_model, deleted_models, empty_trash, restore_model
from distill.modelfile import file as modelfile
from distill.modelfile import locks
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.locks import claimed, stage_in_training
from distill.modelfile.opened import load_model, open_model
from distill.training import unfinished
from distill.training.stage import ModelInTraining
from distill.training.synthesiser import task as synthesiser_task
from distill.training.unfinished import unfinished_path
from tiny import TINY_CODEC, TINY_PRIOR

QUICK_PRIOR = {**TINY_PRIOR, "views": 1}

QUICK_SYNTHESISER = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 2, "pretrained": False, "learning_rate": 2e-3}


@contextmanager
def trained(path: Path, stage: str = "prior") -> Iterator[ModelInTraining]:
    """The file of a model that a later stage is trained for."""
    with claimed(path, stage) as claim:
        yield ModelInTraining(claim, open_model(path))


@contextmanager
def made(path: Path) -> Iterator[ModelInTraining]:
    """The file of a model that is being made."""
    with claimed(path, "codec") as claim:
        yield ModelInTraining(claim, None)


def marked(held: Mapping[str, Any]) -> dict[str, Any]:
    """What the file holds, and what a stage adds."""
    return {**held, "mark": held.get("mark", 0) + 1}


def names(library: Path) -> list[str]:
    return sorted(path.name for path in library.iterdir())


def said(news: list[Event]) -> str:
    return " ".join(event.message for event in news if isinstance(event, Warned))


def another_model(path: Path, source: Path) -> bytes:
    """Another codec, in a file."""
    contents = read_contents(source, mapped=False)
    state = {name: t + 1 if t.is_floating_point() else t for name, t in contents["model_state_dict"].items()}
    write_model(path, {**contents, "model_state_dict": state})
    return path.read_bytes()


def test_what_others_have_written_meanwhile_stays(library: Path) -> None:
    """Guards against writing what was read at the start: a synthesiser that is trained during a prior was lost."""
    kit = library / "kit.distill"
    with trained(kit) as prior, trained(kit, "synthesiser") as synthesiser:
        assert synthesiser.write(lambda held: {**held, "theirs": 1}) == []
        assert prior.write(marked) == []
        assert synthesiser.write(lambda held: {**held, "theirs": 2}) == []
        assert prior.write(marked) == []
    contents = read_contents(kit)
    assert (contents["theirs"], contents["mark"]) == (2, 2)
    assert names(library) == ["kit.distill"]


def test_a_rename_is_followed(library: Path) -> None:
    """Guards against two names for one model: by the program's own rename, and by hand."""
    with trained(library / "kit.distill") as model:
        model.write(marked)
        assert rename_model("kit", "drum kit").name == "drum kit.distill"
        assert "kit is called drum kit now" in said(model.write(marked))
        assert stage_in_training(library / "drum kit.distill") == "prior"
        assert stage_in_training(library / "kit.distill") is None
        (library / "drum kit.distill").rename(library / "by hand.distill")
        assert "is called by hand now" in said(model.write(marked))
        assert model.write(marked) == []
    assert names(library) == ["by hand.distill"]
    assert read_contents(library / "by hand.distill")["mark"] == 4


def test_a_rename_is_followed_after_somebody_else_has_written(library: Path, tmp_path: Path) -> None:
    """Guards against knowing the file by its number alone: the other stage has replaced it, and a copy is not it."""
    shutil.copy(library / "kit.distill", library / "copy.distill")
    before = (library / "copy.distill").read_bytes()
    with trained(library / "kit.distill") as model:
        with trained(library / "kit.distill", "synthesiser") as other:
            other.write(lambda held: {**held, "theirs": 1})
        (library / "kit.distill").rename(library / "moved.distill")
        assert "is called moved now" in said(model.write(marked))
    assert read_contents(library / "moved.distill")["theirs"] == 1
    assert (library / "copy.distill").read_bytes() == before
    assert names(library) == ["copy.distill", "moved.distill"]


def test_a_deleted_model_gets_its_epochs_in_the_trash(library: Path) -> None:
    """Guards against a model that rises from the trash under the user's hands, and against an epoch that is lost."""
    with trained(library / "kit.distill") as model:
        delete_model("kit")
        news = said(model.write(marked))
        assert "was deleted meanwhile" in news
        assert "`distill library restore kit`" in news
        assert list_models() == []
        assert restore_model("kit") == library / "kit.distill"
        assert "is called kit now" in said(model.write(marked))
    assert deleted_models() == []
    assert read_contents(library / "kit.distill")["mark"] == 2


def test_a_model_that_is_gone_for_good_is_written_again(library: Path) -> None:
    with trained(library / "kit.distill") as model:
        delete_model("kit")
        model.write(marked)
        empty_trash()
        assert "was removed meanwhile" in said(model.write(marked))
        (library / "kit.distill").unlink()
        assert "was removed meanwhile" in said(model.write(marked))
    assert load_model(library / "kit.distill").prior is not None
    assert [path.name for path in list_models()] == ["kit.distill"]


@pytest.mark.parametrize("was_moved", [False, True])
def test_another_model_of_that_name_is_left_alone(library: Path, tiny_model: Path, was_moved: bool) -> None:
    """Guards against a prior in a file whose codec it was not trained on."""
    kit = library / "kit.distill"
    with trained(kit) as model:
        if was_moved:
            rename_model("kit", "elsewhere")
        theirs = another_model(kit, tiny_model)
        news = said(model.write(marked))
        model.write(marked)
    assert kit.read_bytes() == theirs
    ours = library / ("elsewhere.distill" if was_moved else "kit with new prior.distill")
    assert str(ours) in news
    assert names(library) == sorted([kit.name, ours.name])
    assert read_contents(ours)["mark"] == 2
    assert load_model(ours).prior is not None


def test_what_lies_there_damaged_is_left_alone(library: Path) -> None:
    kit = library / "kit.distill"
    with trained(kit) as model:
        kit.write_bytes(b"PK half copied")
        model.write(marked)
    assert kit.read_bytes() == b"PK half copied"
    assert read_contents(library / "kit with new prior.distill")["mark"] == 1


def test_a_new_model_replaces_only_what_it_was_to_replace(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a model that was put there, or moved away, between the beginning and the first best epoch."""
    contents = read_contents(tiny_model, mapped=False)
    fresh = another_model(tmp_path / "fresh.distill", tiny_model)
    new = read_contents(tmp_path / "fresh.distill", mapped=False)
    with made(library / "new.distill") as model:
        theirs = shutil.copy(tiny_model, library / "new.distill").read_bytes()
        assert "another model" in said(model.write(lambda _: new))
    assert (library / "new.distill").read_bytes() == theirs
    assert (library / "new-2.distill").read_bytes() == fresh
    with made(library / "kit.distill") as model:
        rename_model("kit", "kept")  # the model that would have been replaced
        assert model.write(lambda _: new) == []
        rename_model("kit", "mine")
        assert "is called mine now" in said(model.write(lambda _: contents))
    assert names(library) == ["kept.distill", "mine.distill", "new-2.distill", "new.distill"]


def test_no_name_is_taken_that_is_in_training(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against an import, a rename, a copy or a training that is replaced without a word by the first best epoch."""
    with made(library / "mine.distill") as model:
        with pytest.raises(DistillError, match="mine is being trained already: its codec"):
            import_model(tiny_model, "mine")
        with pytest.raises(DistillError, match="mine is being trained"):
            rename_model("kit", "mine")
        with pytest.raises(DistillError, match="mine is being trained"):
            export_model("kit", library / "mine.distill", overwrite=True)
        mine = shutil.copy(tiny_model, tmp_path / "mine.distill")
        assert import_model(mine).name == "mine-2.distill"
        model.write(lambda _: read_contents(tiny_model, mapped=False))
        delete_model("mine")
        with pytest.raises(DistillError, match="mine is being trained"):
            restore_model("mine")
    assert restore_model("mine") == library / "mine.distill"


def test_every_writer_takes_the_lock(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a verb, or a stage, that writes while another program is writing."""
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.05)
    shutil.copy(library / "kit.distill", library / "gone.distill")
    trashed = delete_model("gone").path
    exported = shutil.copy(library / "kit.distill", tmp_path / "out.distill")
    before = {path.name: path.stat().st_mtime_ns for path in library.glob("*.distill")}
    with trained(library / "kit.distill") as model:
        for held, work in (
            (library / "kit.distill", lambda: model.write(marked)),
            (library / "kit.distill", lambda: rename_model("kit", "other")),
            (library / "other.distill", lambda: rename_model("kit", "other")),
            (library / "kit.distill", lambda: delete_model("kit")),
            (trashed, lambda: restore_model("gone")),
            (library / "gone.distill", lambda: restore_model("gone")),
            (trashed, empty_trash),
            (library / "new.distill", lambda: import_model(exported, "new")),
            (exported, lambda: export_model("kit", exported, overwrite=True)),
        ):
            with locks.locked(held), pytest.raises(DistillError, match="Another program is writing"):
                work()
    assert {path.name: path.stat().st_mtime_ns for path in library.glob("*.distill")} == before
    assert trashed.is_file()


def test_two_trainings_of_one_name(library: Path, sounds: Path) -> None:
    """Guards against two `train --name mine` of which the last to reach a best epoch wins."""
    first = studio.train(sounds, "mine", overrides=TINY_CODEC, device="cpu")
    next(first)
    for second in (
        studio.train(sounds, "mine", overrides=TINY_CODEC, device="cpu"),
        studio.train(sounds, "mine", overrides=TINY_CODEC, device="cpu", overwrite=True),
    ):
        with pytest.raises(DistillError, match="mine is being trained already: its codec"):
            next(second)
    first.close()
    assert names(library) == ["kit.distill"]


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthesiser that has learned anything is worth keeping."""
    monkeypatch.setattr(synthesiser_task, "shipped_network", lambda spectrogram: None)


@pytest.mark.usefixtures("nothing_shipped")
def test_a_prior_beside_a_synthesiser_and_under_another_name(
    library: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole way: during a prior the model gets a synthesiser and another name; both are in it in the end, once."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    running = studio.train_prior_for("kit", overrides={**QUICK_PRIOR, "epochs": 4}, device="cpu", overwrite=True)
    events: list[Event] = []
    for event in running:
        events.append(event)
        if isinstance(event, PriorEpochMetrics) and event.epoch == 1:
            list(studio.train_synth_for("kit", overrides=QUICK_SYNTHESISER, device="cpu"))
        if isinstance(event, PriorEpochMetrics) and event.epoch == 2:
            (library / "kit.distill").rename(library / "theirs.distill")
    theirs = library / "theirs.distill"
    assert names(library) == ["theirs.distill"]
    card = read_card(theirs)
    assert card.has_synthesiser
    assert {*card.loss_curve_history} == {*card.settings_origin} == {"codec", "prior", "synthesiser"}
    done = events[-1]
    assert isinstance(done, PriorTrainingCompleteEvent)
    assert done.model == str(theirs)
    assert card.prior_metadata is not None
    assert card.prior_metadata.best_perplexity == done.best_perplexity
    assert [event.path for event in events if isinstance(event, Saved)] == [str(theirs)]
    assert "kit is called theirs now" in said(events)
    assert not unfinished_path(theirs, "prior").exists()
    assert not unfinished_path(library / "kit.distill", "prior").exists()


def test_a_codec_that_is_replaced_by_an_older_program_keeps_its_file(
    library: Path, sounds: Path, tiny_model: Path
) -> None:
    """Guards the file against a training that takes no locks: the prior goes beside."""
    running = studio.train_prior_for("kit", overrides={**QUICK_PRIOR, "epochs": 2}, device="cpu", overwrite=True)
    next(running)
    theirs = another_model(library / "kit.distill", tiny_model)
    list(running)
    assert (library / "kit.distill").read_bytes() == theirs
    assert load_model(library / "kit with new prior.distill").prior is not None


@pytest.mark.usefixtures("nothing_shipped")
def test_a_model_file_is_opened_once(library: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against reading and checking a model three or four times in a training."""
    opened: list[str] = []
    real_load, real_check = torch.load, modelfile.check_archive
    launched: list[int] = []

    def load(source: Any, *more: Any, **named: Any) -> Any:
        if Path(str(source)).suffix == ".distill":
            opened.append("load")
        return real_load(source, *more, **named)

    def check(*given: Any) -> list[int]:
        opened.append("check")
        return real_check(*given)

    monkeypatch.setattr(torch, "load", load)
    monkeypatch.setattr(modelfile, "check_archive", check)
    from lightning_fabric import Fabric

    real_launch = Fabric.launch
    monkeypatch.setattr(Fabric, "launch", lambda self, *given: launched.append(1) or real_launch(self, *given))
    for stage in (
        studio.train(sounds, "mine", overrides={**TINY_CODEC, "epochs": 2}, device="cpu"),
        studio.train_prior_for("mine", overrides=QUICK_PRIOR, device="cpu"),
        studio.train_synth_for("mine", overrides=QUICK_SYNTHESISER, device="cpu"),
    ):
        opened.clear()
        launched.clear()
        done = list(stage)[-1]
        assert opened == ([] if "Codec" in type(done).__name__ else ["check", "load"])
        assert launched == [1]
