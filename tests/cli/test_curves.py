"""Curves from files: how people and programs write them, what is no curve, and a sound that comes again without its file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.audio.tagging import read_tags
from distill.cli.curves import read_curve, with_curves_read
from distill.errors import DistillError
from distill.settings.curves import MOST_POINTS, parse_curve
from distill.settings.generation import GenerationSettings

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("0,0.2\n0.5,1\n", "0:0.2,0.5:1"),
        ("# drawn\ntime;value\n0;0,25\n\n1,5;0,5 # end\n", "0:0.25,1.5:0.5"),
        ("0.1\n0.9\n0.4", "0.1,0.9,0.4"),
        ("0.3\n", "0.3"),
        ("\ufeff0\t0\r\n2\t1\r\n", "0:0,2:1"),
    ],
)
def test_a_file_is_read_as_people_and_programs_write_it(tmp_path: Path, lines: str, text: str) -> None:
    """Guards against a decimal comma that becomes two values, a heading or a mark that is an error, and times that are lost."""
    file = tmp_path / "curve.csv"
    file.write_bytes(lines.encode())
    read = with_curves_read({"brightness": str(file), "count": 2, "pitch": "C4"})
    assert GenerationSettings.model_validate(read).brightness == text
    assert (read["count"], read["pitch"]) == (2, "C4")


def test_notes_from_a_file_and_a_bounded_curve(tmp_path: Path) -> None:
    """Guards against sharps that are taken for remarks, and tags as long as an hour of automation."""
    file = tmp_path / "melody.txt"
    file.write_text("# a remark\n0 C#4\n0.5 E4\n1 50%\n", encoding="utf-8")
    assert with_curves_read({"pitch": str(file)})["pitch"] == "0:C#4,0.5:E4,1:50%"
    file.write_text("\n".join(f"{place / 100},{place / 9999}" for place in range(10_000)), encoding="utf-8")
    curve = parse_curve(read_curve(file, "--loudness", True).text)
    assert len(curve.values) == MOST_POINTS
    assert curve.seconds is not None
    assert (curve.seconds[0], curve.seconds[-1], curve.values[-1]) == (0.0, 99.99, "1.0")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"0,0.2\n0.5,1.5\n", "--brightness c.csv, line 2: '1.5' is no number from 0 to 1."),
        (b"0.2\nnan\n", "--brightness c.csv, line 2: 'nan' is no number from 0 to 1."),
        (b"0,0.2\n0.5\n", "--brightness c.csv, line 2: give one value, or seconds and a value, on every line alike."),
        (b"0.5,0.2\n\n0.5,1\n", "--brightness c.csv, line 3: 0.5 s is not after 0.5 s; times must rise."),
        (b"-1,0.2\n", "--brightness c.csv, line 1: '-1' is no time in seconds."),
        (b"1,2,3\n", "--brightness c.csv, line 1: give one value, or seconds and a value, on every line alike."),
        (b"time,value\n", "--brightness c.csv: it holds no values. Give a value, or seconds and a value, on each line."),
        (b"\xff\xfe\x00RIFF", "--brightness c.csv: it is no text. Give a text file with a value on each line."),
        (None, "--brightness {path}: there is no such file."),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_sentence_with_its_line(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """Guards against a traceback, and a sentence that leaves somebody to look for the line."""
    file = tmp_path / "c.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DistillError) as mistake:
        with_curves_read({"brightness": str(file)})
    assert str(mistake.value) == sentence.format(path=file)


def test_a_sound_with_a_curve_comes_again_without_its_file(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against tags that hold the name of the file."""
    file = tmp_path / "fall.csv"
    file.write_text("0,1\n0.3,0\n", encoding="utf-8")
    asked = [
        "generate",
        "kit",
        "--brightness",
        file,
        "--loudness",
        "0,1",
        "--seconds",
        "0.5",
        "--seed",
        "2",
        "--count",
        "1",
    ]
    code, stdout, stderr = distill(*asked, "--out", tmp_path / "one", "--json")
    assert code == 0, stderr
    (path,) = (Path(each["path"]) for each in json.loads(stdout)["files"])
    file.unlink()
    request = read_tags(path).request
    assert (request["brightness"], request["loudness"]) == ("0:1,0.3:0", "0,1")
    code, stdout, stderr = distill("again", path, "--out", tmp_path / "two", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["same"] is True
    code, _, stderr = distill("generate", "kit", "--brightness", "none.csv")
    assert (code, stderr.strip()) == (1, "Error: --brightness none.csv: there is no such file.")
