#!/usr/bin/env python3
"""What the verbs make: how far variations go, how closely a guide is followed, how well a part is replaced, where loops close;
and how fast new sounds are.

    python benchmarks/instrument.py MODEL [--files DIR]
                                    [--only vary|like|replace|continue|loop|speed|decode|long|pick|map|morph|curves|pitches]
                                    [--sounds N] [--seed N] [--json] [--save NAME]

Of held-out recordings of the model's own corpus (at most `--sounds`, 10, spread over them), or of those in a folder.

vary        For each amount, the mean log-mel distance of variations to their source in dB (cells within 60 dB of its loudest;
            silence is 60 dB under it), beside the codec alone; and for how many the source is the nearest of all recordings.
like        Correlation of the onset envelopes (rise of the log-mel) of guide and sound, by strength.
replace     50 parts of a third of a second, spread over the recordings (of each a minute): log-mel distance to the truth of the
            first of four ways, of the nearest, of all four in the mean, and of a random part of these recordings pasted in with
            crossfades; in how many the first, and the nearest, is nearer than that. The change of the log-mel across both
            joins, and within the truth, in the mean; and in how many it is no larger.
continue    The largest change of the log-mel within 43 ms of where a sound goes on from the first half of a recording, and
            the median of the changes within the recordings: medians.
loop        Of 24 loops, for level and spectrum, the share of changes within a loop that are smaller than the one at its seam: the
            median, and in how many loops it is at most 0.95, or not the largest of all. A loop may begin with a stroke, whose
            attack is then at the seam.
speed       Times real time, medians of five, by the clock and by processor time, which other programs lengthen less: 16 sounds of
            a second on all cores, all in; ten seconds as one stream, and seconds until its first block. With the machine's load.
decode      Times real time, one thread, processor time, medians of five: samples of the codes of held-out recordings of the
            model's own corpus (at most 40, of any length), as long as they are, and each repeated or cut to a second.
long        Ten minutes as one stream: resident memory (the median of each minute), how far it strays from the first minute's, and
            processor time of each, the second half against the first.
            loop, speed and long need no recordings.
pick        12 of 100 sounds of a second: seconds on the clock and of the processors, the model loaded, medians of three; why
            sounds were left out; how far the nearest other sound is in the mean (mel statistics, set side by side) among the
            12, and among the first 12 of the 100; nats a code that the prior gives the 100, and held-out recordings, at 5, 50
            and 95 %.
map         Share of the 5 most alike sounds that are among the 10 nearest on the map: of the recordings alone, and with 64
            generated sounds beside them.
morph       Eight pairs, seven steps each, medians over the pairs: rank correlation of the step with how much nearer it is to the
            second sound than to the first (mel statistics, set side by side), and of the step with brightness and loudness,
            towards the second sound's; the share of steps that are farther from both than those are from each other; the way
            that is gone from step to step, its largest step, and how far the first and last step are from their sound, each
            by the distance of both sounds.
curves      Eight sounds of two seconds for each: rank correlation, within a sound, of a rising and of a falling curve with the
            brightness or loudness of its columns: medians and lowest, of how many sounds; where nothing is drawn, of time.
            Needs no recordings.
pitches     Sixteen sounds of two seconds for each curve of a pitch: rank correlation, within a sound, of the curve and of the
            notes that are heard in its columns, median and lowest; by how many semitones they are off, the median column of
            the median and of the worst sound; of how many sounds (a pitch is heard in three columns), and the share of columns
            that have one; by how much the harmonic-to-noise ratio is changed by leading the sound along. Needs no recordings.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import distill
from between import curved, morphed, pitched
from distill.audio.mel import log_mel_of
from distill.audio.mel_statistics import mel_statistics, side_by_side
from distill.audio.reading import read_planes
from distill.audio.writing import write_audio
from distill.compute.threads import threads
from distill.instrument.joining import FADE, joined
from distill.settings.geometry import BANDS, COLUMN_SECONDS, SAMPLE_RATE, SpectrogramConfig, columns
from running import add_answer_options, give_answer, rounded

AUDIBLE_DB = 60.0
AMOUNTS, STRENGTHS = (0.1, 0.3, 0.6, 1.0), (0.0, 0.5, 1.0)
SHORTEST_SECONDS, LONGEST_SECONDS, WHOLE_SECONDS = 1 / 3, 4.0, 60.0
RUNS, BATCH, STREAM_SECONDS, LONG_MINUTES = 5, 16, 10.0, 10
PICKED, PICKED_OF = 12, 100
DECODED = 40
LOOPS = 24
MIDDLES = 50

Samples = npt.NDArray[np.floating]


def log_mel(sound: Samples, level: float | None = None) -> npt.NDArray[np.float32]:
    """[N] -> [T, M] dB, not below 60 dB under its loudest cell or `level`."""
    mel = log_mel_of(np.asarray(sound, np.float32), SpectrogramConfig()).T.numpy()
    return np.maximum(mel, (float(mel.max()) if level is None else level) - AUDIBLE_DB)


def distance(one: Samples, other: Samples) -> float:
    """Mean difference of two sounds in dB; of `one` the level counts."""
    own = log_mel(one)
    theirs = log_mel(other, float(own.max()))
    frames = min(len(own), len(theirs))
    heard = np.maximum(own[:frames], theirs[:frames]) > float(own.max()) - AUDIBLE_DB
    return float(np.abs(own[:frames] - theirs[:frames])[heard].mean())


def onsets(sound: Samples) -> npt.NDArray[np.float32]:
    """The onset envelope [T]."""
    mel = log_mel(sound)
    return np.maximum(np.diff(mel, axis=0), 0.0).mean(1)


def varied(model: distill.Model, sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "codec": statistics.mean(distance(each, model.reconstruct(each, SAMPLE_RATE).samples[0]) for each in sounds)
    }
    for amount in AMOUNTS:
        made = [model.vary(each, SAMPLE_RATE, amount, seed=seed).samples[0, 0] for each in sounds]
        nearest = [min(range(len(sounds)), key=lambda i: distance(sounds[i], each)) for each in made]
        found[f"{amount:g}"] = statistics.mean(distance(*pair) for pair in zip(sounds, made, strict=True))
        found[f"{amount:g}_source_nearest"] = statistics.mean(i == own for own, i in enumerate(nearest))
    return found


def alike(model: distill.Model, sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    found = {}
    for strength in STRENGTHS:
        made = [model.like(each, SAMPLE_RATE, strength, seed=seed).samples[0, 0] for each in sounds]
        pairs = [(onsets(one), onsets(other)) for one, other in zip(sounds, made, strict=True)]
        found[f"{strength:g}"] = statistics.mean(
            float(np.nan_to_num(np.corrcoef(one[: len(other)], other[: len(one)])[0, 1])) for one, other in pairs
        )
    return found


def middles(sounds: Sequence[Samples], count: int) -> list[tuple[Samples, int, int]]:
    """Parts that are replaced, with up to two seconds of their recording [N] around them: where each begins and ends in it.

    A third of a second each, or less of a short sound; of each recording as many as it is long, evenly spread; none whose loudest
    sample is 40 dB under the recording's.
    """
    total = sum(map(len, sounds))
    found = []
    for sound in sounds:
        part = min(round(0.3 * len(sound)), SAMPLE_RATE // 3)
        wanted = max(1, round(count * len(sound) / total))
        edge = round(0.4 * min(len(sound), SAMPLE_RATE))
        for begin in np.linspace(edge, max(edge, len(sound) - part - edge), wanted + 2)[1:-1].astype(int):
            if np.abs(sound[begin : begin + part]).max() > 0.01 * np.abs(sound).max():
                first = max(0, begin - 2 * SAMPLE_RATE)
                found.append((sound[first : begin + part + 2 * SAMPLE_RATE], begin - first, begin - first + part))
    return found


def replaced(model: distill.Model, sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    firsts, nearest, means, pasted, joins, inside = [], [], [], [], [], []
    rng = np.random.default_rng(seed)
    for sound, begin, end in middles(sounds, MIDDLES):
        ways = model.replace(sound, SAMPLE_RATE, begin / SAMPLE_RATE, end / SAMPLE_RATE, seed=seed).samples[:, 0]
        off = [distance(sound[begin:end], way[begin:end]) for way in ways]
        other = sounds[rng.integers(len(sounds))]
        other = np.resize(other[rng.integers(max(1, len(other) - (end - begin))) :], end - begin + 2 * FADE)
        before, after, filler = (torch.from_numpy(part.copy())[None] for part in (sound[:begin], sound[end:], other))
        patched = joined(before, filler, FADE, FADE + end - begin, after)[0].numpy()
        firsts.append(off[0])
        nearest.append(min(off))
        means.append(statistics.mean(off))
        pasted.append(distance(sound[begin:end], patched[begin:end]))
        steps = np.abs(np.diff(log_mel(ways[0])[::2], axis=0)).mean(1)
        frames = [place // 1024 for place in (begin, end)]
        joins.append(statistics.mean(float(steps[max(0, at - 1) : at + 1].mean()) for at in frames))
        inside.append(float(np.abs(np.diff(log_mel(sound)[::2], axis=0)).mean()))
    return {
        "middles": len(firsts),
        "first": statistics.mean(firsts),
        "nearest_of_four": statistics.mean(nearest),
        "of_four": statistics.mean(means),
        "pasted": statistics.mean(pasted),
        "first_nearer_than_pasted": statistics.mean(one < two for one, two in zip(firsts, pasted, strict=True)),
        "nearest_nearer_than_pasted": statistics.mean(one < two for one, two in zip(nearest, pasted, strict=True)),
        "change_at_joins": statistics.mean(joins),
        "change_inside": statistics.mean(inside),
        "joins_no_larger_than_inside": statistics.mean(one <= two for one, two in zip(joins, inside, strict=True)),
    }


def continued(model: distill.Model, sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    joins, inside = [], []
    for sound in sounds:
        stop = len(sound) // 2
        for made in model.continue_(sound[:stop], SAMPLE_RATE, seconds=0.6, seed=seed, count=2).samples[:, 0]:
            steps = np.abs(np.diff(log_mel(made)[::2], axis=0)).mean(1)
            joins.append(float(steps[max(0, stop // 1024 - 2) : stop // 1024 + 2].max()))
        inside.append(float(np.median(np.abs(np.diff(log_mel(sound)[::2], axis=0)).mean(1))))
    return {"change_at_join": statistics.median(joins), "change_inside": statistics.median(inside)}


def looped(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    made = model.loop(bpm=120, bars=1, count=LOOPS, seed=seed).samples[:, 0]
    ranks: dict[str, list[float]] = {"level": [], "spectrum": []}
    for loop in made:
        turned, seam = np.roll(loop, len(loop) // 2), len(loop) // 2
        frames = np.lib.stride_tricks.sliding_window_view(turned, 1024)[::128]
        places = np.arange(len(frames) - 8) * 128 + 1024
        level = 10 * np.log10(np.square(frames).mean(1) + 1e-8)
        spectra = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(1024))) + 1e-2)
        for name, change in (
            ("level", np.abs(level[8:] - level[:-8])),
            ("spectrum", np.abs(spectra[8:] - spectra[:-8]).mean(1)),
        ):
            near = np.abs(places - seam) < 64
            ranks[name].append(float((change[~near] < change[near].max()).mean()))
    return {
        name: {
            "median": statistics.median(each),
            "within_95_percent": statistics.mean(rank <= 0.95 for rank in each),
            "within_largest": statistics.mean(rank < 1.0 for rank in each),
        }
        for name, each in ranks.items()
    }


class Clocks:
    """Times real time since it was made, by the clock and by processor time."""

    def __init__(self) -> None:
        self.clock, self.processor = time.perf_counter(), time.process_time()

    def times(self, seconds: float) -> dict[str, float]:
        return {
            "clock": seconds / (time.perf_counter() - self.clock),
            "processor": seconds / (time.process_time() - self.processor),
        }


def fast(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    batches, streams, firsts, loads = [], [], [], [load()]
    for turn in range(RUNS + 1):  # the first of all is not counted
        clocks = Clocks()
        made = model.generate(count=BATCH, seconds=1.0, seed=seed + turn, ending="exact").samples
        batches.append(clocks.times(made.shape[0] * made.shape[2] / SAMPLE_RATE))
        clocks, samples, first = Clocks(), 0, 0.0
        for block in model.stream(STREAM_SECONDS, seed=seed + turn, ending="exact"):
            first = first or time.perf_counter() - clocks.clock
            samples += block.shape[1]
        streams.append(clocks.times(samples / SAMPLE_RATE))
        firsts.append(first)
    loads.append(load())
    return {
        "channels": made.shape[1],
        "batch": {each: statistics.median(run[each] for run in batches[1:]) for each in batches[0]},
        "stream": {each: statistics.median(run[each] for run in streams[1:]) for each in streams[0]},
        "first_block_seconds": statistics.median(firsts[1:]),
        "cores": os.cpu_count(),
        "load": loads,
    }


def decoded(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    own = [model.encode(each, SAMPLE_RATE) for each in recordings(model, None, DECODED, shortest=0.02)]
    positions = BANDS * columns(SpectrogramConfig().frames(SAMPLE_RATE))
    lengths = {"own_lengths": own, "a_second": [np.resize(codes, (positions, codes.shape[1])) for codes in own]}
    times: dict[str, list[float]] = {name: [] for name in lengths}
    with threads(1):
        for turn in range(RUNS + 1):  # the first of all is not counted
            for name, every in lengths.items():
                clocks = Clocks()
                made = sum(model.decode(codes, seed=seed + turn).samples.shape[1] for codes in every)
                times[name].append(clocks.times(made / SAMPLE_RATE)["processor"])
    return {
        "sounds": len(own),
        "mean_seconds": sum(map(len, own)) / len(own) / BANDS * COLUMN_SECONDS,
        **{name: statistics.median(each[1:]) for name, each in times.items()},
    }


def resident_mb() -> float:
    """Resident memory of this process; Linux alone says it."""
    of_process = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(of_process.split("VmRSS:")[1].split()[0]) / 1024


def load() -> float | None:
    """How many programs wanted a core during the last minute, where the system says it."""
    said = Path("/proc/loadavg")
    return float(said.read_text(encoding="utf-8").split()[0]) if said.exists() else None


def long_one(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    done, processor, begun = 0, [], time.process_time()
    memory: list[list[float]] = [[]]
    for block in model.stream(LONG_MINUTES * 60.0, seed=seed, ending="exact"):
        done += block.shape[1]
        memory[-1].append(resident_mb())
        if done >= len(memory) * 60 * SAMPLE_RATE:
            processor.append(time.process_time() - begun)
            memory.append([])
            begun = time.process_time()
    minutes = [statistics.median(each) for each in memory if each]
    half = len(processor) // 2
    return {
        "minutes": done / SAMPLE_RATE / 60,
        "resident_mb": minutes,
        "memory_strays": max(abs(each - minutes[0]) for each in minutes) / minutes[0],
        "highest_after_first_minute": max(map(max, memory[1 : len(minutes)])) / max(memory[0]),
        "processor_seconds": processor,
        "second_half_against_first": statistics.mean(processor[-half:]) / statistics.mean(processor[:half]),
        "times_real_time": 60.0 / statistics.median(processor),
        "load": load(),
    }


def picked(model: distill.Model, sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    clock, processor = [], []
    for _ in range(3):
        begun = time.perf_counter(), time.process_time()
        found = model.pick(PICKED, of=PICKED_OF, seed=seed)
        clock.append(time.perf_counter() - begun[0])
        processor.append(time.process_time() - begun[1])
    every = model.generate(PICKED_OF, seed=seed).samples.mean(1)
    trimmed = [each[: int(np.flatnonzero(np.append(1.0, each))[-1]) or 1] for each in every]
    points = side_by_side(np.stack([mel_statistics(torch.from_numpy(log_mel(each))) for each in trimmed]), 128)
    codes = [model.encode(each, SAMPLE_RATE) for each in sounds]
    known = [float(model.likelihood(each).mean()) for each in codes]
    made = [float(model.likelihood(model.encode(each, SAMPLE_RATE)).mean()) for each in trimmed if len(each) > 1024]
    return {
        "seconds": statistics.median(clock),
        "cpu_seconds": statistics.median(processor),
        "left_out": dict(Counter(each.reason for each in found.picked.dropped)),
        "apart": _apart(points[[each - seed for each in found.picked.seeds]]),
        "first_apart": _apart(points[:PICKED]),
        "nats_made": [float(each) for each in np.quantile(made, (0.05, 0.5, 0.95))],
        "nats_held_out": [float(each) for each in np.quantile(known, (0.05, 0.5, 0.95))],
    }


def mapped(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for number, sound in enumerate(model.generate(64, seed=seed).samples):
            write_audio(Path(folder) / f"{number}.wav", sound.T)
        beside = model.map(folder)["neighbours_kept"]
    return {"recordings": model.map()["neighbours_kept"], "with_generated": beside}


def _apart(points: npt.NDArray[np.float64]) -> float:
    """How far the nearest other of [n, D] points is, in the mean."""
    away = np.sqrt(np.square(points[:, None] - points).sum(-1))
    np.fill_diagonal(away, np.inf)
    return float(away.min(1).mean())


MEASURES: dict[str, Callable[[distill.Model, Sequence[Samples], int], dict[str, Any]]] = {
    "vary": varied, "like": alike, "replace": replaced, "continue": continued, "loop": looped, "speed": fast,
    "decode": decoded, "long": long_one,
    "pick": picked, "map": mapped, "morph": morphed, "curves": curved,
    "pitches": pitched,
}  # fmt: skip
NEED_NONE = ("loop", "speed", "decode", "long", "curves", "pitches")
"""Measures that no recordings belong to, or their own."""


def recordings(
    model: distill.Model,
    folder: Path | None,
    count: int,
    seconds: float = LONGEST_SECONDS,
    shortest: float = SHORTEST_SECONDS,
) -> list[Samples]:
    """Held-out recordings of a model's corpus, or those of a folder: their middle channels [N], at most so many seconds; none
    that is shorter than `shortest`."""
    manifest = model.card.corpus_manifest
    paths = [Path(manifest.folder) / file.source for file in manifest.files if file.split == "val"]
    if folder is not None:
        paths = sorted(each for each in folder.iterdir() if each.is_file())
    paths = paths[:: max(1, len(paths) // count)][:count]
    read = (read_planes(path)[0][0, : round(seconds * SAMPLE_RATE)] for path in paths)
    return [each for each in read if len(each) > shortest * SAMPLE_RATE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--only", choices=MEASURES)
    parser.add_argument("--sounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    add_answer_options(parser)
    given = parser.parse_args()
    model = distill.load(given.model, "cpu")
    sounds = {
        seconds: [] if given.only in NEED_NONE else recordings(model, given.files, given.sounds, seconds)
        for seconds in (LONGEST_SECONDS, WHOLE_SECONDS)
    }
    wanted = [given.only] if given.only else list(MEASURES)
    answer = {"model": model.name, "sounds": len(sounds[LONGEST_SECONDS]), "seed": given.seed}
    for name in wanted:
        seconds = WHOLE_SECONDS if name == "replace" else LONGEST_SECONDS
        answer[name] = rounded(MEASURES[name](model, sounds[seconds], given.seed))
    if not given.json:
        for name, figures in itertools.islice(answer.items(), 3, None):
            print(name, figures)
    give_answer(given, answer)


if __name__ == "__main__":
    main()
