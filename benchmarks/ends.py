#!/usr/bin/env python3
"""How sounds end: recordings, new sounds as they are drawn and as they are let go, and what a prior makes of known endings.

    python benchmarks/ends.py MODEL ... [--sounds 128] [--seconds 4] [--seed 1] [--json] [--save NAME]

Models whose recordings are where they were. Percent of sounds whose last 20 ms lie above -30 dB of their loudest 20 ms
(`ends_loud` of `benchmarks/ears.py`), all cut at `--seconds`:

recordings, as_drawn, let_go   Of the folder; of new sounds without the model's `release`, and with it (the same codes).
lengths_ks   Kolmogorov-Smirnov distance of the lengths of new sounds to the folder's.

And of the recordings' codes, those of at most 24 columns (4 s): percent whose last two frames are decoded louder than -15 and
-30 dB of the loudest frame:

known, drawn   As they are; and with the last column drawn anew, its past known and its end told; training files, `_held_out`:
            six times each of those that were held out.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

import ears
from distill.instrument.decoding import decoded_mel
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.synthesisers import choose_synthesiser
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.canvas import Canvas
from distill.models.filling import fill
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, SAMPLE_RATE
from running import add_answer_options, give_answer

LONGEST_COLUMNS = 24
TIMES_HELD_OUT = 6
Samples = ears.Samples


def percent_loud(sounds: list[Samples]) -> float:
    """How many of them still sound where they end."""
    return 100.0 * float(np.mean([ears.ends_loud(each) for each in sounds]))


def made(loaded: LoadedVQModel, settings: GenerationSettings) -> list[Samples]:
    """New sounds, their mix."""
    synthesise = choose_synthesiser(loaded, "auto", torch.device("cpu"))
    found = [each for each in made_sounds(loaded, settings, synthesise) if isinstance(each, MadeSound)]
    return [each.samples.mean(0, dtype=np.float64) for each in found]


def drawn_again(loaded: LoadedVQModel, codes: Tensor, seed: int) -> Tensor:
    """The codes [S, Q] of a sound with its last column drawn anew."""
    assert loaded.prior is not None
    free = torch.zeros_like(codes, dtype=torch.bool)
    free[-BANDS:] = True
    filling = fill(loaded.prior, [Canvas(codes.clone(), free, BANDS, ends="known")], [clip_generator(seed)])
    while True:
        try:
            next(filling)
        except StopIteration as end:
            again: Tensor = end.value[0].codes
            return again


def ends_db(loaded: LoadedVQModel, codes: Tensor) -> float:
    """How loud the last two frames of a sound are decoded, beside the loudest frame."""
    level = float(loaded.codec.typical_level_db)
    power = (10.0 ** ((decoded_mel(loaded, codes, level) - level) / 10.0)).mean(0)
    return 10.0 * float((power[-2:].max() / power.max()).log10())


def last_columns(loaded: LoadedVQModel) -> dict[str, list[float]]:
    """What the prior makes of the last columns of recordings."""
    ends: dict[str, list[float]] = {}
    for file in loaded.card.corpus_manifest.files:
        codes = torch.as_tensor(loaded.codes[file.name]).long()
        if not 2 <= len(codes) // BANDS <= LONGEST_COLUMNS:
            continue
        which = "" if file.split == "train" else "_held_out"
        ends.setdefault(f"known{which}", []).append(ends_db(loaded, codes))
        for seed in range(TIMES_HELD_OUT if which else 1):
            ends.setdefault(f"drawn{which}", []).append(ends_db(loaded, drawn_again(loaded, codes, seed)))
    return {
        name: [100.0 * float(np.mean(np.array(each) > level)) for level in (-15.0, -30.0)]
        for name, each in ends.items()
    }


def measured(path: Path, count: int, seconds: float, seed: int) -> dict[str, Any]:
    """Everything about one model."""
    loaded, most = load_model(path), round(seconds * SAMPLE_RATE)
    manifest = loaded.card.corpus_manifest
    folder = [ears.mono(manifest.place(file.source))[:most] for file in manifest.files]
    settings = GenerationSettings(count=count, seconds=seconds, seed=seed, ending="natural", mono=True)
    plain = replace(loaded, card=loaded.card.model_copy(update={"release": None}))
    drawn, let_go = (made(model, settings) for model in (plain, loaded))
    return {
        "sounds": count,
        "recordings": percent_loud(folder),
        "as_drawn": percent_loud(drawn),
        "let_go": percent_loud(let_go),
        "lengths_ks": float(stats.ks_2samp([len(each) for each in let_go], [len(each) for each in folder]).statistic),
        **last_columns(loaded),
    }


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--sounds", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    add_answer_options(parser)
    given = parser.parse_args()
    answer = {}
    for path in given.models:
        answer[path.stem] = measured(path, given.sounds, given.seconds, given.seed)
        if not given.json:
            print(path.stem, answer[path.stem], flush=True)
    give_answer(given, answer)


if __name__ == "__main__":
    main()
