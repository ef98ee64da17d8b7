"""`generate --provenance` and `where --out`: in --json, in the file, the same each time, and to be heard."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from distill.audio.tagging import read_tags
from distill.cli.app import app
from distill.errors import DistillError
from distill.modelfile.file import read_contents, write_model
from tiny import RATE, hit


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    app([*map(str, arguments), "--device", "cpu", "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_second_says_what_it_is_nearest_to(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against files that say another thing than --json, or not the same twice, and sounds that differ for it."""
    wanted = ("generate", "kit", "--count", "2", "--seconds", "1.5", "--exact", "--seed", "5")
    made = run(capsys, *wanted, "--provenance", "--out", tmp_path / "a")
    run(capsys, *wanted, "--provenance", "--out", tmp_path / "b")
    plain = run(capsys, *wanted, "--out", tmp_path / "c")
    assert all("provenance" not in each for each in plain["files"])
    for number, each in enumerate(made["files"]):
        name = Path(each["path"]).name
        seconds = each["provenance"]
        assert seconds
        assert {"at", "ends", "nearest", "seconds", "unexplained", "p", "nearer_than_chance"} == set(seconds[0])
        assert seconds[-1]["ends"] <= each["seconds"] + 1e-9
        nearest = read_tags(tmp_path / "a" / name).nearest
        assert nearest is not None
        assert [(s.nearest, round(s.begins, 2)) for s in nearest.sources()] == [
            (s["nearest"], round(s["at"], 2)) for s in seconds
        ]
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert read_tags(tmp_path / "c" / name).nearest is None
        one, other = (soundfile.read(tmp_path / folder / name)[0] for folder in "ac")
        assert np.array_equal(one, other)
        if number == 0:
            again = run(capsys, "again", tmp_path / "a" / name, "--out", tmp_path / "again")
            assert again["same"]
            assert Path(again["path"]).read_bytes() == (tmp_path / "a" / name).read_bytes()
    what = run_what(capsys, tmp_path / "a" / name)
    assert what["nearest"][0]["nearest"] == seconds[0]["nearest"]


def run_what(capsys: pytest.CaptureFixture[str], file: Path) -> dict[str, Any]:
    app(["what", str(file), "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_sound_written_as_it_is_made_says_it_too(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against long sounds without, and against places that begin anew with each block or passage."""
    made = run(
        capsys, "generate", "kit", "--count", "1", "--seconds", "33", "--seed", "5", "--provenance", "--out", tmp_path
    )
    (each,) = made["files"]
    at = [second["at"] for second in each["provenance"]]
    assert at == sorted(at)
    assert at[-1] > 31
    where = run(capsys, "where", each["path"], "kit")
    assert [second["begins"] for second in where["sources"]] == pytest.approx(at, abs=0.05)


def test_without_recordings_it_is_said(library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against a request that is dropped silently, and a sound that cannot be made again for want of recordings."""
    wanted = ("generate", "bare", "--count", "1", "--seconds", "0.5", "--exact", "--seed", "5", "--provenance")
    shutil.copy(library / "kit.distill", library / "bare.distill")
    made = run(capsys, *wanted, "--out", tmp_path)
    contents = read_contents(library / "bare.distill", mapped=False)
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "folder": str(tmp_path / "gone")}
    write_model(library / "bare.distill", contents)
    decoded = run(capsys, *wanted, "--out", tmp_path / "c")
    assert decoded["files"][0]["provenance"]
    write_model(library / "bare.distill", {**contents, "has_codes": False, "codes": {}})
    with pytest.raises(
        DistillError, match="--provenance: bare holds no codes of its recordings, and not all of them are"
    ):
        app([*wanted, "--out", str(tmp_path / "b"), "--device", "cpu"], standalone_mode=False)
    assert not (tmp_path / "b").exists()
    again = run(
        capsys, "again", made["files"][0]["path"], "--out", tmp_path / "again", "--model", library / "bare.distill"
    )
    assert again["same"]


def test_side_by_side(library: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against a source that is cut at another place than the second beside it."""
    long = soundfile.read(sounds / "long.wav", dtype="float32")[0]
    taken = long[RATE : RATE + RATE // 2]
    soundfile.write(tmp_path / "taken.wav", taken, RATE, subtype="PCM_24")
    out = tmp_path / "both.wav"
    found = run(capsys, "where", tmp_path / "taken.wav", "kit", "--out", out)
    assert found["side_by_side"] == str(out)
    both = soundfile.read(out, dtype="float32")[0]
    (source,) = found["sources"]
    assert source["nearest"] == "long.wav"
    assert source["nearest_seconds"] == pytest.approx(1.0, abs=0.03)
    count = round((source["ends"] - source["begins"]) * RATE)
    assert len(both) == pytest.approx(2 * count + 3 * 0.15 * RATE, abs=3)
    second = both[count + round(0.15 * RATE) :][:count]
    begins = round(source["nearest_seconds"] * RATE)
    assert np.abs(second[500:-500] - long[begins : begins + len(second)][500:-500]).max() < 1e-4


def test_mistakes_are_sentences(library: Path, sounds: Path, tmp_path: Path) -> None:
    """Guards against a sound that is replaced by what is written beside it, and an hour's work for a name that cannot be."""
    soundfile.write(tmp_path / "a.wav", hit(3), RATE)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(DistillError, match="is the sound itself: choose another name"):
        app(["where", str(tmp_path / "a.wav"), "kit", "--out", str(tmp_path / "a.wav")], standalone_mode=False)
    assert (tmp_path / "a.wav").read_bytes() == before
    with pytest.raises(DistillError, match=r"--out .*b\.txt: choose a name that ends with \.wav"):
        app(["where", str(tmp_path / "a.wav"), "kit", "--out", str(tmp_path / "b.txt")], standalone_mode=False)
    with pytest.raises(DistillError, match="--stream and --provenance"):
        app(["generate", "kit", "--stream", "raw", "--provenance"], standalone_mode=False)
