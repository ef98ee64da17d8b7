#!/usr/bin/env python3
"""Whether a prior predicts loops better when its training windows begin on beats.

    python benchmarks/beats.py MODEL [--seeds 2] [--json] [--save NAME]

A model with a prior, whose recordings are where they were, some of which come round again; for each seed the prior is trained
anew twice, by the defaults.

anywhere   as the library does: a view's first window begins where it begins, the others anywhere.
on_beats   all windows of a view that is in time with its columns begin at whole periods from its strongest column, but for one
           that holds what is before.

Bits per code of the held-out recordings that can be brought in time, told of their period, in windows laid end to end from the
first column (`from_start`), and from the strongest column on, as many whole periods long as fit (`from_beats`); and of the
held-out recordings as they are (`as_they_are`).
"""

import argparse
import itertools
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill import studio
from distill.audio.traits import ONSETS
from distill.modelfile.opened import open_model
from distill.models.prior import BOS, MID, CodePrior
from distill.settings.geometry import BANDS
from distill.training.prior.codes import CodeView, unpack_codes
from distill.training.prior.task import PriorTask
from distill.training.prior.windows import Window
from running import add_answer_options, give_answer
from sides import bits_of, brought_in_time, laid_end_to_end

ANYWHERE = PriorTask._windows_of


def strongest(onsets: Tensor, period: int) -> int:
    """The first column from which on the columns a period apart hold most of the onsets [C]."""
    return int(torch.stack([onsets[first::period].mean() for first in range(period)]).argmax())


def from_beats(codes: Tensor, first: int, period: int, window: int) -> list[Window]:
    """Windows over codes [S, Q] laid end to end: what is before the beat, then whole periods each."""
    columns, length = len(codes) // BANDS, window // period * period
    edges = sorted({0, *range(first, columns, length), columns})
    return [
        Window(codes, begin, end - begin, MID if begin else BOS, period=period)
        for begin, end in itertools.pairwise(edges)
    ]


def on_beats(task: PriorTask, view: CodeView, rng: np.random.Generator) -> Iterator[Window]:
    """Training windows of a view that begin at beats, where there are any."""
    columns = len(view.codes) // BANDS
    if not view.period or view.traits is None or columns <= task.window:
        yield from ANYWHERE(task, view, rng)
        return
    first = strongest(view.traits[:, ONSETS], view.period)
    begins = [each for each in range(first, columns, view.period) if each + task.window <= columns]
    yield Window(view.codes, 0, task.window, BOS if view.from_start else MID)
    for _ in range(1, -(-columns // task.window)):
        begin = begins[int(rng.integers(len(begins)))] if begins else columns - task.window
        yield Window(view.codes, begin, task.window, MID if begin else BOS)


def measured(prior: CodePrior, sounds: Sequence[tuple[Tensor, int, Tensor]]) -> dict[str, float]:
    """Bits per code of sounds [S, Q] with their period and onsets."""
    plain = [each for codes, period, _ in sounds for each in laid_end_to_end(codes, prior.window, period)]
    beats = [
        each
        for codes, period, onsets in sounds
        for each in from_beats(codes, strongest(onsets, period), period, prior.window)
    ]
    return {
        "from_start": statistics.fmean(bits_of(prior, plain)),
        "from_beats": statistics.fmean(bits_of(prior, beats)),
    }


def trained(model: Path, seed: int, aligned: bool) -> CodePrior:
    """A prior that a copy of a model gets."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(model, folder))
        PriorTask._windows_of = on_beats if aligned else ANYWHERE
        try:
            for _ in studio.train_prior_for(str(copy), overrides={"seed": seed}, overwrite=True, novelty=False):
                pass
        finally:
            PriorTask._windows_of = ANYWHERE
        prior = open_model(copy).prior()
    assert prior is not None
    return prior.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    add_answer_options(parser)
    given = parser.parse_args()
    opened = open_model(given.model)
    card = opened.card
    held_out = unpack_codes(opened.codes, card.corpus_manifest, card.vqvae_config.codebook_size, card.prior_levels).val
    sounds = brought_in_time(opened)
    answer: dict[str, Any] = {"sounds": len(sounds)}
    for seed in range(given.seeds if sounds else 0):
        for name in ("anywhere", "on_beats"):
            prior = trained(given.model, seed, name == "on_beats")
            plain = [each for codes in held_out for each in laid_end_to_end(codes, prior.window)]
            found = measured(prior, sounds) | {"as_they_are": statistics.fmean(bits_of(prior, plain))}
            answer[f"{name}_{seed}"] = {each: round(bits, 3) for each, bits in found.items()}
    if not given.json:
        print("\n".join(f"{name}: {value}" for name, value in answer.items()))
    give_answer(given, answer)


if __name__ == "__main__":
    main()
