#!/usr/bin/env python3
"""How often attribution names the recording that a sound was made from.

    python benchmarks/attribution.py MODEL ... [--cases 12] [--first 0] [--full 0] [--small] [--seed 0] [--json] [--save NAME]

Models with a prior and codes, whose recordings are where they were. Planted, by turns: a training recording 3 % faster,
later, softer and with noise; varied by the model's own prior (amount 0.4); and what that prior generates when it has been
driven to the recording. `found`: the recording (or one that nearly repeats it) has the largest share; `told`: and the
intervals do not overlap; `wrong`: another one is told; `near`: it is among the suspects, and `nearest`: the first of them,
which is what looking without listening gives. `--full N`: for so many cases also priors trained anew from the first step,
without each suspect, and how far both agree.
"""

import argparse
import copy
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from scipy.stats import spearmanr

from distill.compute.device import choose_device
from distill.compute.fabric import launch_fabric
from distill.instrument.recordings import Recording, encode_recording, level_of_all, read_recording
from distill.modelfile.opened import LoadedVQModel, loaded_model, open_model
from distill.models.prior import BOS
from distill.novelty.attribution import TOLD, judged, shares_of
from distill.settings.auto import PRIOR_SIZES
from distill.settings.geometry import BANDS, SAMPLE_RATE
from distill.settings.prior import PriorSettings
from distill.studio.attributing import bits_of, fallen, nearest_groups, vectors_of
from distill.studio.judging import material_of
from distill.studio.model import Model
from distill.training.prior.codes import CodeSequences, unpack_codes
from distill.training.prior.task import PriorObjective
from distill.training.prior.windows import Window, make_batch
from distill.training.prior.without import prior_without
from running import add_answer_options, finished, give_answer

LEAST_SECONDS, MOST_SECONDS = 0.4, 3.0
DRIVEN_LOSS, DRIVEN_STEPS, DRIVEN_RATE = 1.5, 120, 2e-3
"""A prior is driven to a recording until its codes cost so many nats, in so many steps at most."""
WAYS = ("changed", "varied", "driven")
Samples = npt.NDArray[np.float32]


class Subject:
    """A model, its recordings and their codes."""

    def __init__(self, path: Path, small: bool) -> None:
        self.opened = open_model(path)
        self.loaded: LoadedVQModel = loaded_model(self.opened)
        self.card = card = self.opened.card
        self.material = finished(material_of(self.opened, None, choose_device("cpu"), recorded=True))
        sizes = card.vqvae_config.codebook_size, card.prior_levels
        self.sequences: CodeSequences = unpack_codes(self.opened.codes, card.corpus_manifest, *sizes)
        self.train = card.corpus_manifest.train
        assert card.prior_training_config is not None
        assert card.prior_metadata is not None
        plain = {"epochs": card.prior_metadata.best_epoch, "traits": False, "kinds": 0, "views": 1}
        own = card.prior_training_config.of_size(PRIOR_SIZES[0]) if small else card.prior_training_config
        self.settings: PriorSettings = own.model_copy(update=plain)

    def planted(self, number: int, way: str, rng: np.random.Generator) -> Recording:
        """A sound that was made from a training recording."""
        file = self.train[number]
        source = read_recording(self.card.corpus_manifest.place(file.source)).planes[0]
        source = source[: round(MOST_SECONDS * SAMPLE_RATE)]
        model = Model(self.loaded, torch.device("cpu"))
        if way == "changed":
            faster = soxr.resample(source, SAMPLE_RATE * 1.03, SAMPLE_RATE)
            later = np.concatenate([np.zeros(int(rng.integers(300, 8000))), 0.5 * faster])
            made = later + 1e-3 * rng.standard_normal(len(later))
        elif way == "varied":
            made = model.vary(source, SAMPLE_RATE, 0.4, seed=number).samples[0].mean(0)
        else:
            driven = Model(dataclasses.replace(self.loaded, prior=self._driven(number)), torch.device("cpu"))
            made = driven.generate(count=1, seconds=min(2.0, file.seconds), seed=number).samples[0].mean(0)
        return Recording(np.asarray(made, dtype=np.float32)[None], f"{way} {file.name}")

    def _driven(self, number: int) -> Any:
        prior = copy.deepcopy(self.loaded.prior)
        assert prior is not None
        optimizer = torch.optim.AdamW(prior.parameters(), DRIVEN_RATE)
        codes = self.sequences.train_codes[number]
        columns = min(len(codes), self.settings.seq_len) // BANDS
        objective = PriorObjective(prior).train()
        torch.manual_seed(0)
        for _ in range(DRIVEN_STEPS):
            optimizer.zero_grad()
            loss = objective(make_batch([Window(codes, 0, columns, BOS)], self.settings))
            loss.backward()
            optimizer.step()
            if loss.item() < DRIVEN_LOSS:
                break
        return prior.eval()


def measure(subject: Subject, cases: int, first: int, suspects: int, full: int, seed: int) -> dict[str, Any]:
    """Plant, attribute, compare."""
    rng = np.random.default_rng(seed)
    long = [number for number, file in enumerate(subject.train) if file.seconds > LEAST_SECONDS]
    order = rng.permutation(long)[first : first + cases]
    rows: list[dict[str, Any]] = []
    agreed: list[dict[str, Any]] = []
    for case, number in enumerate(map(int, order), start=first):
        way = WAYS[case % len(WAYS)]
        begun = time.process_time()
        sound = subject.planted(number, way, rng)
        groups = nearest_groups(subject.material, subject.opened, sound, suspects, torch.device("cpu"))
        codes = encode_recording(subject.loaded, sound, level_of_all(subject.loaded, (sound,)))
        numbers = [each.numbers for each in groups]
        falls = finished(fallen(subject.loaded, subject.sequences, numbers, codes, subject.settings, "cpu"))
        bits, shares = falls.mean(0).sum(-1), shares_of(falls)
        verdict, _ = judged(shares, bits)
        best = numbers[int(np.argmax(shares.share))]
        right = number in best and bool(bits.max() > 0)
        row = {
            "way": way,
            "planted": subject.train[number].name,
            "near": any(number in each for each in numbers),
            "nearest": number in numbers[0],
            "found": right,
            "told": right and verdict == TOLD,
            "wrong": not right and verdict == TOLD,
            "bits": [round(float(each), 1) for each in bits],
            "cpu_seconds": round(time.process_time() - begun, 1),
        }
        rows.append(row)
        print(f"  {row}", flush=True, file=sys.stderr)
        if len(agreed) < full:
            agreed.append(_agreement(subject, numbers, codes, bits))
            print(f"  {agreed[-1]}", flush=True, file=sys.stderr)
    answer: dict[str, Any] = {"recordings": len(subject.train), **_summary(rows)}
    answer["by_way"] = {way: _summary([row for row in rows if row["way"] == way]) for way in WAYS}
    if agreed:
        answer["full"] = {
            "cases": len(agreed),
            "same_first": float(np.mean([each["same_first"] for each in agreed])),
            "spearman": float(np.mean([each["spearman"] for each in agreed])),
        }
    return answer


def _agreement(subject: Subject, numbers: list[tuple[int, ...]], codes: Any, bits: Any) -> dict[str, Any]:
    """The same by priors that are trained from their first step, one without each suspect."""
    fabric, vectors = launch_fabric("cpu", 0), vectors_of(subject.loaded)
    costs = []
    for left_out in ((), *numbers):
        prior = finished(prior_without(subject.sequences, vectors, subject.settings, fabric, left_out))
        costs.append(float(bits_of(prior, codes).sum()))
    full = np.array(costs[1:]) - costs[0]
    return {
        "full_bits": [round(float(each), 1) for each in full],
        "same_first": bool(np.argmax(full) == np.argmax(bits)),
        "spearman": float(spearmanr(full, bits).statistic),
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    shares = ("near", "nearest", "found", "told", "wrong")
    found: dict[str, Any] = {"cases": len(rows)}
    return found | {name: float(np.mean([row[name] for row in rows])) for name in shares if rows}


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="the case to begin with")
    parser.add_argument("--suspects", type=int, default=4)
    parser.add_argument("--full", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="priors of the smallest size, whatever the model's is")
    parser.add_argument("--seed", type=int, default=0)
    add_answer_options(parser)
    given = parser.parse_args()
    answer = {}
    for path in given.models:
        found = measure(Subject(path, given.small), given.cases, given.first, given.suspects, given.full, given.seed)
        answer[path.stem] = found
        if not given.json:
            print(f"{path.stem}: {found}")
    give_answer(given, answer)


if __name__ == "__main__":
    main()
