"""Verbs from the command line: their flags, what stands in the files, and what is said."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from distill.audio.reading import read_audio
from distill.audio.tagging import read_tags
from distill.settings.generation import GenerationSettings
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]


def test_the_flags_of_the_verbs(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a flag that takes another number of words, or that never reaches what is made."""
    one, two = tmp_path / "one.wav", tmp_path / "two words.wav"
    soundfile.write(one, np.concatenate([hit(3, 0.4), hit(4, 0.4)]), RATE, subtype="PCM_24")
    soundfile.write(two, hit(5, 0.5), RATE, subtype="PCM_24")
    asked = [
        (["--continue", one, "--seconds", "0.4", "--ending", "exact"], 57_600, 2),
        (["--replace", "0.3-0.5", one, "--candidates", "3"], 38_400, 3),
        (["--vary", two, "--amount", "0.2"], 24_000, 2),
        (["--bridge", one, two, "--seconds", "0.25"], 74_400, 2),
        (["--like", two, "--like-strength", "0.8"], 24_000, 2),
        (["--more-like", two], 24_000, 2),
        (["--loop", "--bpm", "200", "--bars", "1", "--beats", "3"], 43_200, 2),
    ]
    for flags, samples, count in asked:
        out = tmp_path / str(flags[0]).strip("-")
        code, stdout, stderr = distill("generate", "kit", *map(str, flags), "--count", "2", "--seed", "1", "--out", str(out),
                                   "--json")  # fmt: skip
        assert code == 0, stderr
        answer = json.loads(stdout)
        assert len(answer["files"]) == count
        assert ("score" in answer["files"][0]) == (flags[0] == "--replace")
        for file in answer["files"]:
            assert len(read_audio(Path(file["path"]))[0]) == samples
            tags = read_tags(Path(file["path"]))
            kept = GenerationSettings.model_validate(tags.request)
            assert f"--{tags.verb}" == f"--{kept.verb}" == flags[0]
            assert (tags.seed, tags.count) == (file["seed"], count)
            assert [each.name for each in tags.sources] == [each.name for each in flags[1:] if isinstance(each, Path)]


def test_two_verbs_are_one_sentence(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against a traceback before there is anything to open."""
    code, _, stderr = distill("generate", "kit", "--vary", str(tmp_path / "x.wav"), "--loop", "--seconds", "1")
    assert code == 1
    assert stderr.strip() == "Error: --vary and --loop: choose one of them."


def test_picked_sounds_and_what_was_left_out(distill: Run, library: Path, tmp_path: Path) -> None:
    """Guards against flags that never arrive, files beyond those that were picked, and another choice the next time."""
    flags = ["--pick", "2", "--of", "6", "--seconds", "0.4", "--ending", "exact", "--seed", "5", "--json"]
    answers = []
    for out in (tmp_path / "one", tmp_path / "two"):
        code, stdout, stderr = distill("generate", "kit", *flags, "--out", str(out))
        assert code == 0, stderr
        answers.append(json.loads(stdout))
        written = [Path(file["path"]) for file in answers[-1]["files"]]
        assert sorted(written) == sorted(out.iterdir())
    picked = answers[0]["picked"]
    assert picked == answers[1]["picked"]
    assert [file["seed"] for file in answers[0]["files"]] == picked["seeds"]
    assert len(picked["seeds"]) == min(2, picked["good"])
    assert len(picked["dropped"]) == 6 - picked["good"]
    assert picked["sentence"] in stderr
    assert all(one.read_bytes() == (tmp_path / "one" / one.name).read_bytes() for one in (tmp_path / "two").iterdir())
    code, _, stderr = distill("generate", "kit", "--pick", "9", "--of", "4")
    assert code == 1
    assert stderr.strip() == "Error: --pick 9 and --of 4: make as many as are picked, --of 9 or more."
