"""How large a prior a corpus is worth, and how many steps: for `prior.py --only size`.

The sounds are the program's own (`distill.synthetic.variety`), 20 minutes to learn from and 3 held out, through a codec
that was fitted to them (`--preset draft`). 1 and 5 minutes are the first of them. Two hours are those 20 minutes in six
views each, as sounds of their own: a semitone higher or lower, or later; so they are two hours of codes, not of material.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from distill import studio
from distill.compute.fabric import launch_fabric
from distill.corpus.scan import reopen
from distill.events import PriorEpochMetrics
from distill.modelfile.opened import open_model
from distill.settings.auto import PRIOR_SIZES, CorpusFacts, prior_auto, resolve
from distill.settings.geometry import BANDS, POSITIONS_PER_SECOND, SAMPLE_RATE
from distill.settings.prior import PriorSettings, PriorSize
from distill.synthetic.variety import random_sound
from distill.training.fit import fit
from distill.training.prior.codes import CodeSequences, CodeView, extract_code_sequences
from distill.training.prior.task import PriorTask
from running import finished

MINUTES, HELD_OUT_MINUTES, VIEWS = 20, 3, 6
SMALL, MIDDLE, LARGE = PRIOR_SIZES
GRID: dict[int, Sequence[tuple[PriorSize, int]]] = {
    1: ((SMALL, 220), (MIDDLE, 220), (LARGE, 220), (MIDDLE, 440)),
    5: ((SMALL, 220), (MIDDLE, 220), (MIDDLE, 440), (LARGE, 220), (LARGE, 440)),
    20: ((SMALL, 220), (SMALL, 440), (MIDDLE, 220), (MIDDLE, 440), (LARGE, 440), (MIDDLE, 880)),
    120: ((MIDDLE, 220), (MIDDLE, 440), (MIDDLE, 880), (LARGE, 440), (LARGE, 880)),
}
"""Minutes: which sizes for how many steps."""


def curve(minutes: Sequence[int] | None = None) -> dict[str, Any]:
    """Bits per code at the best epoch, the gap there, and the time, for each size and number of steps."""
    train, val, codebooks, codebook_size = long_codes()
    rows = []
    for wanted in minutes or GRID:
        some = _first(train, wanted * 60.0)
        for size, steps in GRID[wanted]:
            row = {
                "minutes": wanted,
                "size": f"{size}",
                "steps": steps,
                **_trained(some, val, codebooks, codebook_size, size, steps),
            }
            print(row, file=sys.stderr, flush=True)
            rows.append(row)
    return {"size_curve": rows, "size_views": VIEWS}


def long_codes() -> tuple[list[list[CodeView]], tuple[Tensor, ...], Tensor, int]:
    """For each training sound its views, the held-out sounds, the codebooks and their size."""
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "sounds", Path(place) / "long.distill"
        folder.mkdir()
        rng, seconds, number = np.random.default_rng(0), 0.0, 0
        while seconds < 60.0 * (MINUTES + HELD_OUT_MINUTES):
            sound = random_sound(rng)
            soundfile.write(folder / f"{number:05d}.wav", sound, SAMPLE_RATE, subtype="PCM_16")
            seconds, number = seconds + len(sound) / SAMPLE_RATE, number + 1
        finished(studio.train(folder, out=out, overrides={"preset": "draft", "preview_every": 0}))
        opened = open_model(out)
        corpus = finished(reopen(opened.card.corpus_manifest, None, opened.card.spectrogram_config))
        codec = opened.codec()
        found: CodeSequences = finished(extract_code_sequences(codec, corpus, torch.device("cpu"), VIEWS))
        codebooks = codec.codebooks().detach().clone()
    return [list(views) for views in found.train], found.val, codebooks, opened.card.vqvae_config.codebook_size


def _first(train: list[list[CodeView]], seconds: float) -> list[CodeView]:
    """So much sound: the first files as they are; beyond all files their further views."""
    found, left = [], seconds * POSITIONS_PER_SECOND
    for view in _one_after_another(train):
        if left <= 0:
            break
        found.append(view)
        left -= len(view.codes)
    return found


def _one_after_another(train: list[list[CodeView]]) -> Iterator[CodeView]:
    for number in range(VIEWS):
        yield from (views[number] for views in train)


def _trained(
    train: list[CodeView], val: tuple[Tensor, ...], codebooks: Tensor, codebook_size: int, size: PriorSize, steps: int
) -> dict[str, Any]:
    positions = sum(len(view.codes) for view in train)
    seconds = positions / POSITIONS_PER_SECOND
    facts = CorpusFacts(len(train), seconds, sum(-(-len(view.codes) // (BANDS * 6)) for view in train))
    fixed = {"codebook_size": codebook_size, "codebook_dim": codebooks.shape[2], "rvq_levels": len(codebooks)}
    settings = resolve(PriorSettings, prior_auto(facts), size._asdict(), fixed).settings
    fabric = launch_fabric("cpu", settings.seed)
    task = PriorTask(CodeSequences(tuple((view,) for view in train), val), codebooks, settings, lambda _best: [])
    task.epochs = max(1, round(steps / task.steps_per_epoch))
    begun = time.process_time()
    epochs = [event for event in fit(task, fabric) if isinstance(event, PriorEpochMetrics)]
    best = min(epochs, key=lambda epoch: epoch.val_loss)
    return {
        "epochs": task.epochs,
        "best_epoch": best.epoch,
        "bits_per_code": best.bits_per_code,
        "overfitting_gap": best.overfitting_gap,
        "ngram_bits_per_code": task.baselines.ngram,
        "cpu_seconds": time.process_time() - begun,
    }
