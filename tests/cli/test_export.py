"""`distill export` as it is called."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.export import writing
from distill.studio import exporting


def test_export_answers(
    library: Path, tmp_path: Path, distill: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a command that exports another model or another place, and against mistakes without a remedy."""
    monkeypatch.setattr(exporting, "check_packages", lambda: None)
    monkeypatch.setattr(exporting, "write_graph", lambda _part, path: path.write_bytes(b"graph"))
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 1e-6)
    folder = tmp_path / "plug in"
    code, out, _ = distill("export", "kit", "--onnx", folder, "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["model"], said["folder"]) == (str(library / "kit.distill"), str(folder))
    assert sorted(said["files"]) == sorted(path.name for path in folder.iterdir())
    assert {"model.json", "player.py", "prior.onnx"} <= set(said["files"])
    code, _, err = distill("export", "kit", "--onnx", folder)
    assert code == 1
    assert "--overwrite" in err
    assert distill("export", "kit", "--onnx", folder, "--overwrite")[0] == 0


def test_export_without_its_packages_says_how_to_get_them(
    library: Path, tmp_path: Path, distill: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a traceback where the extra is not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(writing.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    code, _, err = distill("export", "kit", "--onnx", tmp_path / "out")
    assert code == 1
    assert "onnxscript" in err
    assert "distill[onnx]" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
