#!/usr/bin/env python3
"""What temperature, top-k, top-p and min-p do to what a model makes: how near it comes to recordings that were not heard.

    python benchmarks/sampling.py MODEL ... [--sounds 64] [--seeds 1] [--settings "temperature=0.85 min_p=0.02" ...]
                                  [--json] [--save NAME]

Models with a prior that keep their codes. Nothing is synthesised: all are log-mels that codes decode to, recordings too,
floored 50 dB under their loudest cell, the first second of each (of recordings every second, where fewer than 8 were held
out). Without `--settings` a grid (`GRID`); `default` is a setting, too. Settings share their seeds.

energy     energy distance to the held-out recordings, over means and spreads of the bands and of their changes (256 numbers
           as in `features`, in standard deviations of all recordings); `known_energy`: to the training files.
diversity  mean distance to the nearest other sound, over the same of the first seconds of as many training files: 1 is as varied.
z          how much farther from the corpus than unseen recordings the copy test finds them, in standard deviations.
copied     share of sounds that the copy test calls copies; `nearer`: its median score, spreads from the middle of what
           unseen recordings have, below 0 is nearer; `covered`: share of a sound in runs of known coarse codes.
silent     share of sounds in which nothing is heard; `seconds`: mean length of what was compared.
`recordings`: energy, seconds and silence of the training files themselves.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.instrument.choosing import Sampled
from distill.instrument.making import BATCH
from distill.instrument.picking import SILENT_CODES_DB
from distill.instrument.sampling import sample_pieces
from distill.modelfile.opened import LoadedVQModel, load_model, open_model
from distill.models.sampling import clip_generator
from distill.novelty.measuring import Judged, Known
from distill.novelty.sounds import RANGE_DB
from distill.novelty.verdict import judge
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import HOP_LENGTH, SAMPLE_RATE
from distill.studio.judging import _as_judged, material_of
from running import add_answer_options, finished, give_answer, spread

GRID = (
    "default",
    "temperature=0.7", "temperature=0.85", "temperature=1.15", "temperature=1.3",
    "top_p=0.9", "top_p=0.95", "top_k=64", "min_p=0.02", "min_p=0.05",
    "temperatures=1.0,0.9,0.8", "temperatures=1.0,1.0,0.8", "temperatures=0.9,1.0,1.0", "temperatures=1.15,1.0,1.0",
    "temperature=1.15 min_p=0.05", "temperature=1.15 top_p=0.95",
)  # fmt: skip
CLIP_FRAMES = round(SAMPLE_RATE / HOP_LENGTH)
"""A second."""
FEW_HELD_OUT = 8
BETWEEN_SEEDS = 1000
LEAST_SPREAD = 0.25
"""A number of less spread than this share of its kind's counts as if it had as much: a band that is empty in all."""
Features = npt.NDArray[np.float64]


def features(mel: Tensor) -> Features:
    """A clip [T, M] in dB under a loudest cell -> [4 M]: mean and spread over a second of each band and of its change."""
    heard = mel[:CLIP_FRAMES].clamp_min(-RANGE_DB)
    clip = F.pad(heard, (0, 0, 0, max(0, CLIP_FRAMES - len(mel))), value=-RANGE_DB).double()
    change = clip.diff(dim=0)
    return torch.cat([clip.mean(0), clip.std(0), change.mean(0), change.std(0)]).numpy()


def clips(recordings: Sequence[Known], every_second: bool) -> Features:
    """[N, 4 M] of the first second of each, or of every second that is at least half there."""
    found = []
    for each in recordings:
        mel = each.mels[0]
        last = max(1, len(mel) - CLIP_FRAMES // 2) if every_second else 1
        found += [features(mel[first : first + CLIP_FRAMES]) for first in range(0, last, CLIP_FRAMES)]
    return np.stack(found)


def between(a: Features, b: Features) -> Features:
    """[n, m] root mean square differences."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2.0 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / a.shape[1]))


def energy(a: Features, b: Features) -> float:
    """Energy distance 2 E|x - y| - E|x - x'| - E|y - y'| (Szekely & Rizzo, 2013), unbiased: 0 between sets of one kind."""
    within = [between(each, each).sum() / (len(each) * (len(each) - 1)) for each in (a, b)]
    return float(2.0 * between(a, b).mean() - sum(within))


def nearest_other(points: Features, count: int) -> float:
    """Mean distance to the nearest of others, over draws of `count` of them."""
    rng, found = np.random.default_rng(0), []
    for _ in range(8):
        some = points[rng.permutation(len(points))[:count]]
        apart = between(some, some)
        np.fill_diagonal(apart, np.inf)
        found.append(float(apart.min(1).mean()))
    return statistics.fmean(found)


class Subject:
    """A model, and the recordings that its sounds are compared with."""

    def __init__(self, path: Path) -> None:
        cpu = torch.device("cpu")
        self.loaded: LoadedVQModel = load_model(path, cpu)
        material = finished(material_of(open_model(path), None, cpu, recorded=False))
        self.yardstick = material.yardstick(self.loaded.card.spectrogram_config)
        every_second = len(material.held_out) < FEW_HELD_OUT
        train, unseen = (clips(each, every_second) for each in (material.train, material.held_out))
        both = np.concatenate([train, unseen])
        deviation = both.std(0).reshape(4, -1)
        least = LEAST_SPREAD * np.sqrt(np.square(deviation).mean(1, keepdims=True))
        self.centre, self.scale = both.mean(0), np.maximum(deviation, least).ravel()
        self.train, self.unseen = (self.standard(each) for each in (train, unseen))
        self.firsts = self.standard(clips(material.train, every_second=False))
        codes = [each.codes for each in material.train]
        self.recordings = {
            "unseen_clips": len(unseen),
            "train_clips": len(train),
            "energy": energy(self.train, self.unseen),
            "seconds": statistics.fmean(min(len(each.mels[0]), CLIP_FRAMES) for each in material.train) / CLIP_FRAMES,
            "silent": statistics.fmean(loudest_db(self.loaded, each) < SILENT_CODES_DB for each in codes),
        }

    def standard(self, found: Features) -> Features:
        """In standard deviations of all recordings."""
        return np.asarray((found - self.centre) / self.scale)

    def sounds(self, settings: GenerationSettings) -> tuple[list[Judged], int]:
        """What `distill novelty` would judge, and how many of all are silent or nothing at all."""
        assert self.loaded.prior is not None
        found: list[Judged] = []
        silent = 0
        seeds = settings.seeds()
        for first in range(0, len(seeds), BATCH):
            batch = seeds[first : first + BATCH]
            generators = [clip_generator(seed) for seed in batch]
            sampled: list[Sampled] = []
            for _, _, sampled in sample_pieces(self.loaded.prior, generators, self.loaded, settings):  # noqa: B007
                pass
            for seed, generator, each in zip(batch, generators, sampled, strict=True):
                end = torch.rand(1, generator=generator, dtype=torch.float64).item()
                silent += not len(each.codes) or loudest_db(self.loaded, each.codes) < SILENT_CODES_DB
                if len(each.codes):
                    found.append(_as_judged(self.loaded, f"seed {seed}", each, end))
        return found, silent

    def measured(self, settings: GenerationSettings) -> dict[str, float]:
        """One setting, one seed."""
        sounds, silent = self.sounds(settings)
        made = self.standard(np.stack([features(each.mel) for each in sounds]))
        report = judge("", self.yardstick, list(self.yardstick.measure(sounds)))
        as_many = min(len(made), len(self.firsts))
        return {
            "energy": energy(made, self.unseen),
            "known_energy": energy(made, self.train),
            "diversity": nearest_other(made, as_many) / nearest_other(self.firsts, as_many),
            "z": report.coherence_z,
            "copied": report.copy_rate,
            "nearer": statistics.median(each.score for each in report.sounds),
            "covered": statistics.fmean(each.covered for each in report.sounds),
            "silent": silent / settings.count,
            "seconds": statistics.fmean(min(len(each.mel), CLIP_FRAMES) for each in sounds) / CLIP_FRAMES,
        }


def loudest_db(loaded: LoadedVQModel, codes: Tensor) -> float:
    """The loudest cell that codes stand for, in dB under that of a recording."""
    mel = loaded.codec.codes_to_mel(codes[None, :, : loaded.card.vqvae_config.rvq_levels])
    return float(mel.max())


def parsed(text: str) -> dict[str, str]:
    """Settings as they are given: NAME=VALUE, with spaces between; `default`: none."""
    return dict(each.split("=", 1) for each in text.split() if each != "default")


def measure(path: Path, grid: Sequence[str], sounds: int, seeds: int, quiet: bool) -> dict[str, Any]:
    """One model."""
    subject = Subject(path)
    answer: dict[str, Any] = {"recordings": subject.recordings}
    if not quiet:
        print(f"{path.stem}: " + ", ".join(f"{name} {value:.3g}" for name, value in subject.recordings.items()))
    for text in grid:
        found = [
            subject.measured(
                GenerationSettings.model_validate({**parsed(text), "count": sounds, "seed": 1 + BETWEEN_SEEDS * seed})
            )
            for seed in range(seeds)
        ]
        values: Mapping[str, list[float]] = {name: [each[name] for each in found] for name in found[0]}
        answer[text] = {
            name: each[0] if seeds == 1 else spread(statistics.median(each), min(each), max(each))
            for name, each in values.items()
        }
        if not quiet:
            shown = ", ".join(f"{name} " + " ".join(f"{v:.3f}" for v in each) for name, each in values.items())
            print(f"  {text}: {shown}", flush=True)
    return answer


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--sounds", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1, help="so many times as many sounds, each time others")
    parser.add_argument("--settings", nargs="+", default=GRID, help="such as 'temperature=0.9 top_k=64', or default")
    add_answer_options(parser)
    given = parser.parse_args()
    with torch.inference_mode():
        found = {
            path.stem: measure(path, given.settings, given.sounds, given.seeds, given.json) for path in given.models
        }
    give_answer(given, found)


if __name__ == "__main__":
    main()
