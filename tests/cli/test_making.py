"""`distill make` as a command: its flags reach the sounds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill import studio
from tiny import TINY_CODEC, TINY_PRIOR, write_sounds

Run = Callable[..., tuple[int, str, str]]


def test_count_seconds_and_seed_are_those_of_the_sounds(
    distill: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a command whose sounds cannot be made a second time, or are always of a second."""
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    folder = write_sounds(tmp_path / "hits")
    for _ in studio.train(folder, "hits", overrides={**TINY_CODEC, "epochs": 1}, device="cpu"):
        pass
    for _ in studio.train_prior_for("hits", overrides=dict(TINY_PRIOR), device="cpu"):
        pass
    flags = ["--count", "2", "--seconds", "0.2", "--seed", "3", "--out", str(tmp_path / "new"), "--device", "cpu"]
    code, out, err = distill("make", str(folder), *flags, "--json")
    assert code == 0, err
    made = json.loads(out)
    assert [file["seed"] for file in made["files"]] == [3, 4]
    assert all(file["seconds"] <= 0.2 for file in made["files"])
    code, _out, err = distill("make", str(folder), "--quick", "--thorough")
    assert (code, err.count("\n")) == (1, 1)
    code, _out, err = distill("make", str(folder), "--seconds", "0")
    assert (code, err.count("\n")) == (1, 1)
    assert "--seconds" in err
