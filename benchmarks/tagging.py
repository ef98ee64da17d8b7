#!/usr/bin/env python3
"""What tags cost: a sound written with and without them in turn, in every format, and what goes into them.

    python benchmarks/tagging.py [--seconds 1] [--times 40] [--json] [--save NAME]

`plain` and `tagged` are median milliseconds of writing a stereo sound of noise, the disk's part included, `ratio` the median
over pairs, `bytes` what a file grows by, `read` how long it takes to read the tags. `root_note_ms` is what it takes to listen
for the pitch of such a sound, `digest_ms` what it takes to hash a model (once for all sounds): `--model`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np

import distill
from distill.audio.tagging import read_tags
from distill.audio.tags import SoundTags, SourceFile
from distill.audio.writing import write_audio
from distill.instrument.tags import root_note
from distill.library.models import find_model
from distill.modelfile.opened import load_model
from distill.settings.generation import AudioFormat, GenerationSettings
from distill.settings.geometry import SAMPLE_RATE
from running import add_answer_options, give_answer, rounded


def milliseconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


def cost(folder: Path, name: str, samples: np.ndarray[Any, Any], tags: SoundTags, times: int) -> dict[str, float]:
    """One format."""
    plain, tagged = folder / f"plain.{name}", folder / f"tagged.{name}"
    pairs = []
    for number in range(times + 1):
        both = [lambda: write_audio(plain, samples), lambda: write_audio(tagged, samples, tags=tags)]
        order = (0, 1) if number % 2 else (1, 0)
        found = {which: milliseconds(both[which]) for which in order}
        pairs.append((found[0], found[1]))
    pairs = pairs[1:]  # the first one imports
    return {
        "plain": statistics.median(one for one, _ in pairs),
        "tagged": statistics.median(other for _, other in pairs),
        "ratio": statistics.median(other / one for one, other in pairs),
        "bytes": tagged.stat().st_size - plain.stat().st_size,
        "read": statistics.median(milliseconds(lambda: read_tags(tagged)) for _ in range(times)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--model", help="a model to hash")
    add_answer_options(parser)
    given = parser.parse_args()
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(given.seconds * SAMPLE_RATE), 2)).astype(np.float32)
    request = GenerationSettings(seed=1, count=8, loop=True, bpm=120.0, bars=2)
    tags = SoundTags(
        version=distill.__version__, verb="loop", model="a model", model_sha256="0" * 64, seed=3, index=3, count=8,
        request=request.plain(), sources=(SourceFile(name="a sound.wav", sha256="0" * 64),), loop=True, bpm=120.0, beats=8,
        beats_per_bar=4, root_note=60,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        formats = {name: cost(Path(folder), name, samples, tags, given.times) for name in get_args(AudioFormat)}
    root_note(samples.T)
    answer: dict[str, Any] = {
        "seconds": given.seconds,
        "formats": formats,
        "root_note_ms": statistics.median(milliseconds(lambda: root_note(samples.T)) for _ in range(given.times)),
    }
    if given.model is not None:
        loaded = load_model(find_model(given.model))
        answer["digest_ms"] = milliseconds(lambda: loaded.digest)
    if not given.json:
        for name, found in formats.items():
            print(name, rounded(found))
        print({name: rounded(value) for name, value in answer.items() if name.endswith("_ms")})
    give_answer(given, answer)


if __name__ == "__main__":
    main()
