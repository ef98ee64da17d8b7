#!/usr/bin/env python3
"""How often the copy test is right: planted copies that it finds, and unseen recordings that it takes for copies.

    python benchmarks/novelty.py MODEL ... [--recordings DIR] [--unseen DIR] [--cases 100] [--sizes 5,10,20,60]
                                    [--seed 0] [--json] [--save NAME]

Models with a prior, whose recordings are where they were. Planted: training files replayed in ten ways, a file each.
Honest: in each of several folds some training files are taken out of the corpus and judged by the rest; sounds of codes
that are drawn by counting (`by_counting`: each by the one a column before and the level below, after Witten and Bell), which
remember no longer stretch than that; and sounds that the model has never met, where a folder of them is given. Sizes: the
same with that many recordings. Each case is judged by itself, at a chance of 5 %. `own_sounds.py` makes corpora of drones,
and of many sounds; with --seed 1 more of the kind, for --unseen.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch

from distill.audio.reading import read_audio
from distill.modelfile.opened import OpenedModel, open_model
from distill.models.encoding import decode_codes
from distill.models.synthesiser import NeuralSynthesiser, shipped_network
from distill.novelty.measuring import Judged, Known, Yardstick
from distill.novelty.sounds import WIDE_DB, as_decoded
from distill.novelty.verdict import FALSE_DISCOVERIES
from distill.settings.geometry import BANDS, COLUMN_SECONDS, SAMPLE_RATE
from distill.studio.judging import Material, judged_samples, material_of
from running import add_answer_options, finished, give_answer

FOLDS = 5
LONGEST_SECONDS = 4.0
HALF_SECONDS = 0.35
"""What is spliced is at least this long, as far as the recording has it."""
Samples = npt.NDArray[np.float32]
Way = Callable[[Samples, Samples, Samples, np.random.Generator], Samples]
"""Of a training recording, another one, and an unseen one."""


def halves(one: Samples, other: Samples) -> Samples:
    """The first half of one, and as much of another."""
    length = max(len(one) // 2, min(len(one), round(HALF_SECONDS * SAMPLE_RATE)))
    return np.concatenate([one[:length], other[:length]])


def at_speed(samples: Samples, speed: float) -> Samples:
    """Faster and higher."""
    return np.asarray(soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE), dtype=np.float32)


WAYS: dict[str, Way] = {
    "exact": lambda x, _y, _u, _r: x,
    "later": lambda x, _y, _u, r: np.concatenate([np.zeros(int(r.integers(300, 8000)), dtype=np.float32), x]),
    "gain": lambda x, _y, _u, r: x * np.float32(10 ** (r.uniform(-30, 0) / 20)),
    "polarity": lambda x, _y, _u, _r: -x,
    "faster": lambda x, _y, _u, _r: at_speed(x, 1.03),
    "slower": lambda x, _y, _u, _r: at_speed(x, 0.97),
    "spliced": lambda x, y, _u, _r: halves(x, y),
    "half new": lambda x, _y, u, _r: halves(x, u),
    "texture": lambda x, _y, _u, r: (
        x + np.float32(0.003 * np.abs(x).max()) * r.standard_normal(len(x)).astype(np.float32)
    ),
}


class Subject:
    """A model and its recordings."""

    def __init__(self, path: Path, recordings: Path | None) -> None:
        self.opened: OpenedModel = open_model(path)
        self.spectrogram = self.opened.card.spectrogram_config
        device = torch.device("cpu")
        self.material: Material = finished(material_of(self.opened, recordings, device, recorded=True))
        manifest = self.opened.card.corpus_manifest
        folder = recordings or Path(manifest.folder)
        longest = round(LONGEST_SECONDS * SAMPLE_RATE)
        self.samples = {file.name: read_audio(folder / file.name)[0][:longest] for file in manifest.files}
        network = shipped_network(self.spectrogram)
        assert network is not None
        self.synthesise = NeuralSynthesiser(network)

    def p(self, yardstick: Yardstick, sounds: Sequence[Samples]) -> npt.NDArray[np.float64]:
        """The chance of each sound by itself."""
        device = torch.device("cpu")
        judged = [judged_samples(self.material.codec, "", each, self.opened, device) for each in sounds]
        return np.array([each.p for each in yardstick.measure(judged)])

    def through_the_codec(self, known: Known) -> Samples:
        """What its codes sound like."""
        mel = decode_codes(self.material.codec, known.codes, -20.0)
        return np.asarray(self.synthesise(mel, torch.Generator().manual_seed(0)).numpy(), dtype=np.float32)


def planted(subject: Subject, yardstick: Yardstick, train: Sequence[Known], cases: int, seed: int) -> dict[str, Any]:
    """Share of planted copies that are found, way by way."""
    rng = np.random.default_rng(seed)
    unseen = [subject.samples[each.name] for each in subject.material.held_out]
    made: dict[str, list[Samples]] = {}
    ways = [*WAYS, "codec"]
    for case in range(cases):
        way = ways[case % len(ways)]
        one, other = (train[int(rng.integers(len(train)))] for _ in range(2))
        if way == "codec":
            sound = subject.through_the_codec(one)
        else:
            x, y, u = subject.samples[one.name], subject.samples[other.name], unseen[int(rng.integers(len(unseen)))]
            sound = WAYS[way](x, y, u, rng)
        made.setdefault(way, []).append(sound)
    found = {way: subject.p(yardstick, sounds) <= FALSE_DISCOVERIES for way, sounds in made.items()}
    return {
        "cases": cases,
        "caught": float(np.concatenate(list(found.values())).mean()),
        "by_way": {way: float(each.mean()) for way, each in found.items()},
    }


def honest(subject: Subject, train: Sequence[Known], held_out: Sequence[Known], seed: int) -> dict[str, Any]:
    """Share of unseen recordings that are taken for copies: the held-out ones, and each fold of the training files."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    alarms: list[bool] = []
    groups = np.array([each.group for each in train])
    for fold in range(min(FOLDS, len(train) // 2)):
        out = {int(groups[i]) for i in order[fold::FOLDS]}
        rest = [each for each in train if each.group not in out]
        taken = [each for each in train if each.group in out]
        if len(rest) < 2 or not taken:
            continue
        yardstick = Yardstick.of(rest, held_out, subject.spectrogram)
        alarms += list(subject.p(yardstick, [subject.samples[each.name] for each in taken]) <= FALSE_DISCOVERIES)
    return {"cases": len(alarms), "false_alarms": float(np.mean(alarms)) if alarms else None}


def counted(train: Sequence[Known], columns: int, rng: np.random.Generator) -> torch.Tensor:
    """Codes [S, Q] of so many columns, drawn by counting in the training files."""
    seen: dict[tuple[int, ...], Counter[int]] = {}
    for each in train:
        grid = each.codes.view(-1, BANDS, each.codes.shape[1]).tolist()
        for column, before in zip(grid, [None, *grid[:-1]], strict=True):
            for band, codes in enumerate(column):
                for level, code in enumerate(codes):
                    for context in _contexts(band, level, codes, None if before is None else before[band][level]):
                        seen.setdefault(context, Counter())[code] += 1
    made: list[list[list[int]]] = []
    for _ in range(columns):
        column = []
        for band in range(BANDS):
            codes: list[int] = []
            for level in range(train[0].codes.shape[1]):
                before = made[-1][band][level] if made else None
                for context in reversed(_contexts(band, level, codes, before)):
                    counts = seen.get(context, Counter())
                    total, kinds = counts.total(), len(counts)
                    if counts and (len(context) == 2 or rng.random() < total / (total + kinds)):
                        codes.append(int(rng.choice(list(counts), p=np.array([*counts.values()]) / total)))
                        break
            column.append(codes)
        made.append(column)
    return torch.tensor(made).view(columns * BANDS, -1)


def _contexts(band: int, level: int, codes: Sequence[int], before: int | None) -> list[tuple[int, ...]]:
    """What a code is counted under, from little to much; `before` is -1 where a sound begins."""
    earlier = -1 if before is None else before
    return [(band, level), (band, level, earlier), (band, level, earlier, codes[level - 1] if level else -1)]


def by_counting(
    subject: Subject, yardstick: Yardstick, train: Sequence[Known], cases: int, seed: int
) -> dict[str, Any]:
    """Share of sounds drawn by counting that are taken for copies; as long as training files, at most `LONGEST_SECONDS`."""
    rng = np.random.default_rng(seed)
    longest = round(LONGEST_SECONDS / COLUMN_SECONDS)
    sounds = []
    for _ in range(cases):
        like = train[int(rng.integers(len(train)))]
        codes = counted(train, min(longest, len(like.codes) // BANDS), rng)
        sounds.append(Judged("", as_decoded(subject.material.codec, codes, None, WIDE_DB), codes))
    p = np.array([each.p for each in yardstick.measure(sounds)])
    return {"cases": len(sounds), "false_alarms": float((p <= FALSE_DISCOVERIES).mean())}


def never_met(subject: Subject, yardstick: Yardstick, folder: Path) -> dict[str, Any]:
    """Share of the sounds of a folder that are taken for copies."""
    longest = round(LONGEST_SECONDS * SAMPLE_RATE)
    p = subject.p(yardstick, [read_audio(path)[0][:longest] for path in sorted(folder.iterdir())])
    return {"cases": len(p), "false_alarms": float((p <= FALSE_DISCOVERIES).mean())}


def measure(subject: Subject, cases: int, sizes: Sequence[int], seed: int, unseen: Path | None) -> dict[str, Any]:
    """One model: all of its recordings, then fewer."""
    train, held_out = subject.material.train, subject.material.held_out
    yardstick = Yardstick.of(train, held_out, subject.spectrogram)
    answer: dict[str, Any] = {
        "recordings": len(train) + len(held_out),
        "planted": planted(subject, yardstick, train, cases, seed),
        "honest": honest(subject, train, held_out, seed),
        "by_counting": by_counting(subject, yardstick, train, cases, seed),
    }
    if unseen is not None:
        answer["unseen"] = never_met(subject, yardstick, unseen)
    rng = np.random.default_rng(seed)
    for size in sizes:
        if size >= len(train) + len(held_out):
            continue
        kept_out = held_out[: max(1, round(0.15 * size))]
        some = [train[i] for i in rng.permutation(len(train))[: size - len(kept_out)]]
        fewer = Yardstick.of(some, kept_out, subject.spectrogram)
        answer[f"of {size} recordings"] = {
            "planted": planted(subject, fewer, some, max(20, cases // 2), seed)["caught"],
            "honest": honest(subject, some, kept_out, seed),
        }
    return answer


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--recordings", type=Path, help="where the recordings of the (one) model are now")
    parser.add_argument(
        "--unseen", type=Path, help="a folder of sounds like those of the (one) model, none of them its own"
    )
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--sizes", default="5,10,20,60")
    parser.add_argument("--seed", type=int, default=0)
    add_answer_options(parser)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",") if size]
    answer = {}
    for path in given.models:
        found = answer[path.stem] = measure(
            Subject(path, given.recordings), given.cases, sizes, given.seed, given.unseen
        )
        if not given.json:
            print(f"{path.stem}: {found['recordings']} recordings, caught {found['planted']['caught']:.0%} of {given.cases}, "
                  f"false alarms {found['honest']['false_alarms']:.1%} of {found['honest']['cases']}, "
                  f"by counting {found['by_counting']['false_alarms']:.1%} of {found['by_counting']['cases']}")  # fmt: skip
            print("  " + ", ".join(f"{way} {share:.0%}" for way, share in found["planted"]["by_way"].items()))
            if "unseen" in found:
                print(f"  unseen: false alarms {found['unseen']['false_alarms']:.1%} of {found['unseen']['cases']}")
            for name, each in found.items():
                if name.startswith("of "):
                    print(f"  {name}: caught {each['planted']:.0%}, false alarms {each['honest']['false_alarms']}")
    give_answer(given, answer)


if __name__ == "__main__":
    main()
