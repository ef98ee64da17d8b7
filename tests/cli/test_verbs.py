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
