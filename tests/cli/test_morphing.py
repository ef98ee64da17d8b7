"""`generate --morph`: what stands in the files of its steps, that each can be made again alone, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import distill as python
from distill.audio.tagging import read_tags
from distill.errors import DistillError
from distill.settings.generation import generation_settings
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]
SHORT, LONG = 0.2 * hit(3, 0.4), hit(5, 0.9)


def test_a_morph_from_the_command_line_and_its_steps_again(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a step that is lost on the way into a file: it is made again without those beside it."""
    one, two = tmp_path / "one.wav", tmp_path / "two.wav"
    soundfile.write(one, SHORT, RATE, subtype="PCM_24")
    soundfile.write(two, LONG, RATE, subtype="PCM_24")
    asked = ["generate", "kit", "--morph", one, two, "--seed", "5", "--json"]
    code, stdout, stderr = distill(*asked, "--steps", "4", "--out", tmp_path / "out")
    assert code == 0, stderr
    files = json.loads(stdout)["files"]
    assert [Path(each["path"]).name for each in files] == [
        f"kit-morph-seed5-way{way}.wav" for way in ("000", "033", "067", "100")
    ]
    assert [each["way"] for each in files] == [0.0, 0.333333, 0.666667, 1.0]
    third = Path(files[2]["path"])
    tags = read_tags(third)
    assert (tags.verb, tags.seed, tags.request["way"], [each.name for each in tags.sources]) == (
        "morph", 5, 0.666667, ["one.wav", "two.wav"],
    )  # fmt: skip
    code, stdout, stderr = distill("again", third, "--out", tmp_path / "again", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["same"] is True
    assert (tmp_path / "again" / third.name).read_bytes() == third.read_bytes()
    read = soundfile.read(third, dtype="float32")[0]
    model = python.load("kit", "cpu")
    steps, _ = model.morph(SHORT, RATE, LONG, RATE, 4, seed=5)
    assert steps.shape == (4, 1, len(LONG))
    assert np.abs(steps[2, 0, : len(read)] - read).max() < 1e-3  # of files with 24 bits
    for flags, sentence in (
        (
            ["--pick", "2", "--of", "4"],
            "--pick and --morph: all steps are wanted; leave --pick out, or choose a step with --way 0.5.",
        ),
        (["--like", one], "--like and --morph: choose one of them."),
    ):
        code, _, stderr = distill(*asked, *flags)
        assert (code, stderr.strip()) == (1, f"Error: {sentence}")
    with pytest.raises(DistillError, match=r"^--way 0\.5 is for --morph: add it\.$"):
        generation_settings(way=0.5)
    with pytest.raises(DistillError, match=r"^--steps 1: "):
        model.morph(SHORT, RATE, LONG, RATE, 1)
