#!/usr/bin/env python3
"""What tags cost: a sound written with and without them in turn, in every format, and what goes into them.

    python benchmarks/tagging.py [--seconds 1] [--times 40] [--json] [--save NAME]

`plain` and `tagged` are median milliseconds of writing a stereo sound of noise, the disk's part included, `ratio` the median
over pairs. What follows is processor time alone, which other work on the machine touches less: `cpu_ratio` and `added` of the
same pairs, `read` for reading the tags, `root_note_ms` for hearing the pitch of such a sound, and `digest_ms` for hashing a
model (once for all sounds): `--model`. `bytes` is what a file grows by.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

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


class Spent(NamedTuple):
    """Milliseconds."""

    wall: float
    cpu: float


def spent(work: Callable[[], Any]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu))


def cost(folder: Path, name: str, samples: np.ndarray[Any, Any], tags: SoundTags, times: int) -> dict[str, float]:
    """One format."""
    plain, tagged = folder / f"plain.{name}", folder / f"tagged.{name}"
    pairs = []
    for number in range(times + 1):
        both = [lambda: write_audio(plain, samples), lambda: write_audio(tagged, samples, tags=tags)]
        order = (0, 1) if number % 2 else (1, 0)
        found = {which: spent(both[which]) for which in order}
        pairs.append((found[0], found[1]))
    pairs = pairs[1:]  # the first one imports
    return {
        "plain": statistics.median(one.wall for one, _ in pairs),
        "tagged": statistics.median(other.wall for _, other in pairs),
        "ratio": statistics.median(other.wall / one.wall for one, other in pairs),
        "cpu_ratio": statistics.median(other.cpu / one.cpu for one, other in pairs),
        "added": statistics.median(other.cpu - one.cpu for one, other in pairs),
        "read": statistics.median(spent(lambda: read_tags(tagged)).cpu for _ in range(times)),
        "bytes": tagged.stat().st_size - plain.stat().st_size,
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
        "root_note_ms": statistics.median(spent(lambda: root_note(samples.T)).cpu for _ in range(given.times)),
    }
    if given.model is not None:
        loaded = load_model(find_model(given.model))
        answer["digest_ms"] = spent(lambda: loaded.digest).cpu
    if not given.json:
        for name, found in formats.items():
            print(name, rounded(found))
        print({name: rounded(value) for name, value in answer.items() if name.endswith("_ms")})
    give_answer(given, answer)


if __name__ == "__main__":
    main()
