#!/usr/bin/env python3
"""How often provenance names the recording, and the time in it, of each second of a sound that was spliced of recordings.

    python benchmarks/provenance.py MODEL ... [--recordings DIR] [--cases 40] [--seed 0] [--json] [--save NAME]

Models whose recordings are where they were. A case is two or three stretches of different training recordings behind each
other, each 1 to 2 s where the recording has that, else all of it; by turns as they are, softer or louder (-24 to 0 dB), as MP3,
and through the model's codec. Each stretch is cut into seconds, counted from its beginning, the last of at least half a second
(a shorter stretch is one); a second in which nothing is within 35 dB of the sound's loudest is left out. `right`: at the middle
of what is heard in that second, the nearest recording is the one that it was taken from, or of the same content, and the time
in it is within 0.2 s. `file`: the recording alone. `time`: share of all audible moments, one every 10 ms, that are right,
those beside a splice too. `nearer`: share of these seconds that are said to be nearer than chance; `alarms`: the same of the
parts of a quarter as many sounds that are spliced, as they are, of recordings that were held out. `once`, `a second`: seconds
of processor time before the first sound, beside reading the recordings, and for each second of sound.
"""

import argparse
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from distill.events import Source
from distill.novelty.measuring import Known
from distill.novelty.where import Provenance
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.judging import judged_samples
from novelty import Samples, Subject
from running import add_answer_options, give_answer

WITHIN_SECONDS = 0.2
LEAST_SECONDS, MOST_SECONDS = 1.0, 2.0
QUIET_DB = 35.0
MOMENT_SECONDS = 0.01
WAYS = ("exact", "gain", "mp3", "codec")


class Stretch(NamedTuple):
    """A part of a spliced sound."""

    name: str
    """The recording's."""
    begins: float
    """Seconds, in the sound."""
    ends: float
    taken_from: float
    """Where in the recording it begins, seconds."""


class Second(NamedTuple):
    """What was found for a second of a spliced sound."""

    file: bool
    right: bool
    nearer: bool


def spliced(subject: Subject, train: Sequence[Known], rng: np.random.Generator) -> tuple[Samples, list[Stretch]]:
    """Two or three stretches of different recordings behind each other."""
    parts: list[Samples] = []
    stretches: list[Stretch] = []
    at = 0
    for number in rng.permutation(len(train))[: int(rng.integers(2, 4))]:
        name = train[number].name
        recording = subject.samples[name]
        length = min(len(recording), round(rng.uniform(LEAST_SECONDS, MOST_SECONDS) * SAMPLE_RATE))
        first = int(rng.integers(0, len(recording) - length + 1))
        parts.append(recording[first : first + length])
        begins = at / SAMPLE_RATE
        at += length
        stretches.append(Stretch(name, begins, at / SAMPLE_RATE, first / SAMPLE_RATE))
    return np.concatenate(parts), stretches


def changed(subject: Subject, sound: Samples, way: str, rng: np.random.Generator) -> Samples:
    """The sound in one of `WAYS`."""
    if way == "gain":
        return np.asarray(sound * 10 ** (rng.uniform(-24.0, 0.0) / 20), dtype=np.float32)
    if way == "mp3":
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
        buffer.seek(0)
        return np.asarray(soundfile.read(buffer, dtype="float32")[0], dtype=np.float32)[: len(sound)]
    if way == "codec":
        judged = judged_samples(subject.material.codec, "", sound, subject.opened, torch.device("cpu"))
        return subject.through_the_codec(Known("", 0, judged.codes, ()))[: len(sound)]
    return sound


def audible(sound: Samples) -> npt.NDArray[np.bool_]:
    """[moments]: whether there is something to hear."""
    hop = round(MOMENT_SECONDS * SAMPLE_RATE)
    padded = np.pad(sound, (0, -len(sound) % hop)).reshape(-1, hop)
    level = 10 * np.log10(np.square(padded, dtype=np.float64).mean(1) + 1e-12)
    heard: npt.NDArray[np.bool_] = level > level.max() - QUIET_DB
    return heard


def is_right(found: Sequence[Source], at: float, stretch: Stretch, same: dict[str, str]) -> Second:
    """Whether a moment of the sound has the right source."""
    source = next((each for each in found if each.begins <= at < each.ends), None)
    if source is None:
        return Second(False, False, False)
    time = source.nearest_seconds + at - source.begins
    right = abs(time - (stretch.taken_from + at - stretch.begins)) <= WITHIN_SECONDS
    file = same[source.nearest] == same[stretch.name]
    return Second(file, file and right, source.nearer_than_chance)


def seconds_of(stretch: Stretch) -> list[tuple[float, float]]:
    """Where the seconds of a stretch begin and end in the sound."""
    count = max(1, round(stretch.ends - stretch.begins))
    return [
        (stretch.begins + number, stretch.ends if number == count - 1 else stretch.begins + number + 1)
        for number in range(count)
    ]


def measure(subject: Subject, cases: int, seed: int, verbose: bool = False) -> dict[str, Any]:
    """One model."""
    rng = np.random.default_rng(seed)
    train = subject.material.train
    begun = time.process_time()
    provenance = Provenance.of(train, subject.material.held_out, subject.spectrogram)
    once, spent, heard_seconds = time.process_time() - begun, 0.0, 0.0
    same = {file.name: file.content for file in subject.opened.card.corpus_manifest.files}
    seconds: dict[str, list[Second]] = {way: [] for way in WAYS}
    moments: list[Second] = []
    for case in range(cases):
        way = WAYS[case % len(WAYS)]
        clean, stretches = spliced(subject, train, rng)
        sound = changed(subject, clean, way, rng)
        begun = time.process_time()
        found = list(provenance.sources(sound))
        spent += time.process_time() - begun
        heard_seconds += len(sound) / SAMPLE_RATE
        heard = np.flatnonzero(audible(clean)) * MOMENT_SECONDS
        for stretch in stretches:
            for begins, ends in seconds_of(stretch):
                within = heard[(heard >= begins) & (heard + MOMENT_SECONDS <= ends)]
                if not len(within):
                    continue
                seconds[way].append(is_right(found, float(within[0] + within[-1]) / 2, stretch, same))
                moments += [is_right(found, float(at), stretch, same) for at in within]
                if verbose and not seconds[way][-1].right:
                    print(case, way, stretch, (begins, ends), seconds[way][-1])
                    for each in found:
                        print("     ", each)
    every = [each for found in seconds.values() for each in found]
    alarms: list[bool] = []
    if len(subject.material.held_out) > 1:
        for _ in range(cases // 4):
            unseen, _ = spliced(subject, subject.material.held_out, rng)
            alarms += [each.nearer_than_chance for each in provenance.sources(unseen)]
    return {
        "cases": cases,
        "seconds": len(every),
        "right": float(np.mean([each.right for each in every])),
        "file": float(np.mean([each.file for each in every])),
        "time": float(np.mean([each.right for each in moments])),
        "nearer": float(np.mean([each.nearer for each in every])),
        "alarms": float(np.mean(alarms)) if alarms else None,
        "unseen_parts": len(alarms),
        "processor_seconds_once": once,
        "processor_seconds_a_second": spent / heard_seconds,
        "by_way": {way: float(np.mean([each.right for each in found])) for way, found in seconds.items() if found},
    }


def _share(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.1%}"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--recordings", type=Path, help="where the recordings of the (one) model are now")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--misses", action="store_true", help="print what was found for each second that is wrong")
    add_answer_options(parser)
    given = parser.parse_args()
    answer = {}
    if not given.json:
        print(f"{'':10}  cases seconds  right   file   time  nearer  alarms  {'   '.join(WAYS)}   once  a second")
    for path in given.models:
        found = answer[path.stem] = measure(Subject(path, given.recordings), given.cases, given.seed, given.misses)
        if not given.json:
            ways = "   ".join(f"{found['by_way'].get(way, float('nan')):.0%}".rjust(len(way)) for way in WAYS)
            print(f"{path.stem:10}  {found['cases']:5} {found['seconds']:7}  {found['right']:5.0%}  {found['file']:5.0%}  "
                  f"{found['time']:5.0%}   {found['nearer']:5.0%}   {_share(found['alarms'])}  {ways}  "
                  f"{found['processor_seconds_once']:5.1f}  {found['processor_seconds_a_second']:.2f}")  # fmt: skip
    give_answer(given, answer)


if __name__ == "__main__":
    main()
