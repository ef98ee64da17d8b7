"""`distill library`: every verb, undo, and no way to lose or spoil a model."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.cli.app import main
from distill.library.models import list_models
from distill.places import unfinished_dir

Ask = Callable[..., dict[str, Any]]
Fail = Callable[..., str]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`distill library ... --json` -> its answer."""

    def run(*arguments: str | Path) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["distill", "library", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as done:
            main()
        out, err = capsys.readouterr()
        assert not done.value.code, err
        assert out.count("\n") == 1
        return dict(json.loads(out))

    return run


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fail:
    """`distill library ...` -> its one sentence."""

    def run(*arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["distill", "library", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        out, err = capsys.readouterr()
        assert done.value.code == 1
        assert out == ""
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
        return err

    return run


def test_every_verb(library: Path, ask: Ask, tmp_path: Path) -> None:
    """The whole life of a model; its bytes are the same at the end."""
    before = (library / "kit.distill").read_bytes()
    (model,) = ask("list")["models"]
    assert (model["name"], model["sounds"], model["has_prior"]) == ("kit", 9, True)
    assert model["perplexity"] > 1
    assert ask("info", "kit")["corpus_manifest"]["files"]
    assert ask("rename", "kit", "drum kit")["name"] == "drum kit"
    assert [path.name for path in list_models()] == ["drum kit.distill"]
    assert Path(ask("export", "drum kit", tmp_path)["path"]).read_bytes() == before
    deleted = ask("delete", "drum kit")
    assert ask("list")["models"] == []
    assert Path(deleted["trash"]).read_bytes() == before
    assert [each["name"] for each in ask("list", "--deleted")["models"]] == ["drum kit"]
    assert ask("restore")["name"] == "drum kit"
    assert ask("import", tmp_path / "drum kit.distill")["name"] == "drum kit-2"
    assert ask("import", tmp_path / "drum kit.distill", "--name", "third")["name"] == "third"
    assert {path.read_bytes() == before for path in list_models()} == {True}
    assert len(list_models()) == 3


def test_what_is_no_model_is_not_taken(library: Path, fail: Fail, tmp_path: Path) -> None:
    """Guards against a library with a damaged file in it, and against leftovers of an import that failed."""
    whole = (library / "kit.distill").read_bytes()
    cut, changed, foreign = (tmp_path / f"{name}.distill" for name in ("cut", "changed", "foreign"))
    cut.write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    changed.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    foreign.write_text("no model")
    for path, reason in ((cut, "damaged"), (changed, "checksums"), (foreign, "not a distill model")):
        assert reason in fail("import", path)
    assert "nowhere" in fail("import", tmp_path / "nowhere.distill")
    assert sorted(path.name for path in library.iterdir()) == ["kit.distill"]


def test_no_name_is_taken_twice_and_no_path_is_a_name(library: Path, fail: Fail, tmp_path: Path) -> None:
    """Guards against a rename that replaces another model, and against reaching files outside the library."""
    shutil.copy(library / "kit.distill", library / "other.distill")
    shutil.copy(library / "kit.distill", tmp_path / "outside.distill")
    assert "already" in fail("rename", "kit", "other")
    assert "already" in fail("import", tmp_path / "outside.distill", "--name", "other")
    assert "cannot be a file's name" in fail("rename", "kit", "../kit")
    for name in ("../outside", str(tmp_path / "outside.distill"), "nothing"):
        for verb in (["info", name], ["delete", name], ["rename", name, "mine"], ["export", name, str(tmp_path)]):
            assert "no model called" in fail(*verb)
    assert (tmp_path / "outside.distill").is_file()
    assert "exists already" in fail("export", "kit", tmp_path / "outside.distill")


def test_a_deletion_is_undone_only_where_the_name_is_free(library: Path, ask: Ask, fail: Fail) -> None:
    """Guards against an undo that replaces a newer model, and brings back the newest of two of one name."""
    assert "no deleted model" in fail("restore")
    second = (library / "kit.distill").read_bytes() + b""
    ask("delete", "kit")
    (library / "kit.distill").write_bytes(second)
    assert "another model called 'kit'" in fail("restore", "kit")
    newest = ask("delete", "kit")
    assert len(ask("list", "--deleted")["models"]) == 2
    ask("restore", "kit")
    assert not Path(newest["trash"]).exists()
    assert len(ask("list", "--deleted")["models"]) == 1


def test_a_damaged_file_hides_no_other(library: Path, ask: Ask) -> None:
    (library / "broken.distill").write_text("no model")
    problems = {model["name"]: model["problem"] for model in ask("list")["models"]}
    assert problems["kit"] == ""
    assert "not a distill model" in problems["broken"]


def test_the_trash_is_emptied_on_request_only(library: Path, ask: Ask, fail: Fail) -> None:
    ask("delete", "kit")
    assert "Give --yes" in fail("empty-trash")
    assert len(ask("list", "--deleted")["models"]) == 1
    assert ask("empty-trash", "--yes") == {"removed": 1}
    assert ask("list", "--deleted")["models"] == []
    assert ask("empty-trash") == {"removed": 0}


def test_an_unfinished_training_goes_with_its_model(library: Path, ask: Ask) -> None:
    """And not to another model that gets the name."""
    for name, content in (("kit", b"of kit"), ("kit two", b"of another")):
        run = unfinished_dir(library / f"{name}.distill") / "prior.pt"
        run.parent.mkdir(parents=True, exist_ok=True)
        run.write_bytes(content)
    ask("rename", "kit", "kit two")
    assert (unfinished_dir(library / "kit two.distill") / "prior.pt").read_bytes() == b"of kit"
    assert not unfinished_dir(library / "kit.distill").exists()
