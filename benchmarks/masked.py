#!/usr/bin/env python3
"""The prior against one that is not causal, as masked diffusion trains it: what a hole costs, given both of its sides.

    python benchmarks/masked.py MODEL ... [--seed 0] [--json] [--save NAME]

Models with a prior, whose recordings are where they were. Bits per code of the middle half second of held-out windows.

ordered  the model's own prior, as `prior.py MODEL --only sides` asks it: the past alone, and both sides.
masked   the same trunk without the causal mask, trained anew: its size, its steps, the same codes in the same views, no wishes.
         Of each window whole columns and single cells (all levels of a place) are hidden, each at a rate of its own that is
         drawn anew, and predicted at once; the levels of a cell one after another, as ever. The best epoch by validation.
         `past`: from the past alone, cell by cell. Both sides: by columns from left to right (`columns`), the cell of least
         entropy first (`confidence`; of the coarsest level; then its true code is known), or all cells at once (`at_once`,
         where none hears of the others). `forward`: whole windows, cell by cell.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.compute.fabric import launch_fabric
from distill.corpus.scan import reopen
from distill.modelfile.opened import open_model
from distill.models.image import read_by_priors
from distill.models.prior import IGNORED, NOTHING, Block, CodePrior, Given, Surroundings, at_places
from distill.settings.geometry import BANDS
from distill.settings.prior import PriorConfig, PriorSettings
from distill.training.fit import fit
from distill.training.prior.codes import CodeSequences, extract_code_sequences
from distill.training.prior.task import PriorObjective, PriorTask
from distill.training.prior.validation import LN2
from distill.training.prior.windows import CodeBatch, Window, make_batch
from distill.training.run import Validation
from running import add_answer_options, finished, give_answer
from sides import HOLE_COLUMNS, held_out_windows, sides

DRAWS = 4
"""Masks of each held-out window that the best epoch is chosen by."""


class MaskedPrior(CodePrior):
    """The prior's trunk with attention in both directions; what is hidden is predicted, all at once."""

    def forward(self, codes: Tensor, start: Tensor, hidden: Tensor | None = None, given: Given = NOTHING) -> Tensor:
        """Logits [B, S + 1, Q, V] of every place, the last of nothing; `given.end` [B]: columns that each window has."""
        assert hidden is not None
        assert given.end is not None
        cells = hidden[..., 0]  # [B, S], whole cells
        count = codes.shape[1]
        there = torch.arange(count) < given.end[:, None] * self.config.bands
        around = self._both_sides(codes.masked_fill(hidden, self.hidden), there & ~cells)
        x = self._embed(around, self._added(start, NOTHING, count // self.config.bands))
        for block in self.blocks:
            x = in_both_directions(block, x, there)
        levels = self._levels(self.norm(x), around)
        logits = [next(levels)]
        for level in range(self.config.rvq_levels - 1):
            logits.append(levels.send(codes[..., level]))
        scored = torch.stack(logits, dim=2)
        never = torch.arange(self.vocabulary) == self.eos
        return F.pad(scored.masked_fill(never, float("-inf")), (0, 0, 0, 0, 0, 1))

    def _both_sides(self, seen: Tensor, known: Tensor) -> Surroundings:
        """Of each place itself, the band below, and of its band the two nearest known columns on each side."""
        batch, count, bands = *known.shape, self.config.bands
        grid = known.view(batch, -1, bands)
        columns = grid.shape[1]
        number = torch.arange(columns)[None, :, None]
        left_of = torch.where(grid, number, -1)
        left = F.pad(left_of.cummax(1).values, (0, 0, 1, 0), value=-1)[:, :-1]
        farther = torch.where(left >= 0, left.gather(1, left.clamp_min(0)), -1)
        right_of = torch.where(grid, number, columns)
        right = F.pad(right_of.flip(1).cummin(1).values.flip(1), (0, 0, 0, 1), value=columns)[:, 1:]
        beyond = torch.where(right < columns, right.gather(1, right.clamp_max(columns - 1)), columns)
        band = torch.arange(bands)
        own = (number * bands + band).expand(batch, -1, -1)
        at = [own, *(each * bands + band for each in (left, farther, right, beyond))]
        at = [at[0], at[1], own - 1, at[2], at[3], at[4]]
        far = (left >= 0, (band > 0).expand_as(grid), farther >= 0, right < columns, beyond < columns)
        exists = torch.stack([torch.ones_like(grid), *far], dim=-1).flatten(1, 2)
        source = torch.where(exists, torch.stack(at, dim=-1).flatten(1, 2), 0)
        sources = at_places(seen, source).masked_fill(~exists[..., None], self.outside)
        vectors = F.embedding(sources + self.level_offset, self.vectors.flatten(0, 1)).sum(-2)
        left_gap = torch.where(left >= 0, number - left - 1, 0).flatten(1)
        right_gap = torch.where(right < columns, right - number, 0).flatten(1)
        return Surroundings(sources, vectors, torch.arange(count)[None], left_gap, right_gap)


def in_both_directions(block: Block, x: Tensor, there: Tensor) -> Tensor:
    """A block of the trunk without its causal mask: [B, P, H], `there` [B, P] bool."""
    batch, count, width = x.shape
    qkv = block.qkv(block.attention_norm(x)).view(batch, count, 3, block.heads, width // block.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None, :])
    x = x + block._drop(block.attention_out(attended.transpose(1, 2).reshape(batch, count, width)))
    fed: Tensor = block.feed_out(F.gelu(block.feed_in(block.feed_norm(x))))
    return x + block._drop(fed)


def masked_batch(windows: Sequence[Window], config: PriorConfig, rng: np.random.Generator) -> CodeBatch:
    """Windows with columns and cells hidden at random rates; what is hidden is the target."""
    plain = [window._replace(hole=None, end_known=False, traits=None, kind=0) for window in windows]
    batch = make_batch(plain, config)
    rows, columns = len(windows), batch.codes.shape[1] // config.bands
    of_columns = rng.random((rows, columns, 1)) < rng.random((rows, 1, 1)) * (rng.random((rows, 1, 1)) < 2 / 3)
    of_cells = rng.random((rows, columns, config.bands)) < rng.random((rows, 1, 1)) * (rng.random((rows, 1, 1)) < 2 / 3)
    none = ~(of_columns | of_cells).any((1, 2), keepdims=True)  # then everything
    hidden = torch.from_numpy((of_columns | of_cells | none).reshape(rows, -1))
    counted = [len(w.codes[w.first * config.bands : (w.first + w.columns) * config.bands]) for w in windows]
    hidden &= torch.arange(hidden.shape[1]) < torch.tensor(counted)[:, None]
    hidden = hidden[..., None].expand_as(batch.codes)
    targets = F.pad(batch.codes.masked_fill(~hidden, IGNORED), (0, 0, 0, 1), value=IGNORED)
    ends = torch.tensor([window.columns for window in windows])
    return CodeBatch(batch.codes, batch.start, targets, hidden, Given(end=ends))


class MaskedTask(PriorTask):
    """The library's training, of a masked prior."""

    def __init__(self, sequences: CodeSequences, codebooks: Tensor, settings: PriorSettings) -> None:
        super().__init__(sequences, codebooks, settings, lambda _best: [])
        self.prior = MaskedPrior(settings.architecture(), codebooks)
        self.objective: nn.Module = PriorObjective(self.prior)
        rng = np.random.default_rng(0)
        windows = held_out_windows(self.judged, self.window)
        self.checks = [
            masked_batch([window for window, _ in windows], settings.architecture(), rng) for _ in range(DRAWS)
        ]

    def batches(self, epoch: int) -> Iterator[CodeBatch]:
        """As the library cuts windows, and masked."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        windows = list(self._train_windows(rng))
        order = rng.permutation(len(windows))[: self.windows_per_epoch]
        for batch in range(self.steps_per_epoch):
            yield masked_batch([windows[i] for i in order[batch :: self.steps_per_epoch]], self.settings, rng)

    @torch.no_grad()
    def validate(self, device: torch.device) -> Validation:  # noqa: ARG002 - as the library calls it
        """The loss on held-out windows, always with the same masks."""
        self.prior.eval()
        losses = [float(self.objective(batch)) for batch in self.checks]
        loss = sum(losses) / len(losses)
        details = {"per_level": [], "known_loss": loss, "gap_interval": [0.0, 0.0], "copied": None}
        return Validation(loss, details)


Order = Callable[[Tensor, Tensor], int]
"""Of logits [S, Q, V] and what is still hidden [S]: which cell is next."""


def from_the_left(_logits: Tensor, hidden: Tensor) -> int:
    """The first in time."""
    return int(hidden.nonzero()[0])


def surest(logits: Tensor, hidden: Tensor) -> int:
    """The one whose coarsest code is least in doubt."""
    chances = logits[:, 0, :-1].double().softmax(-1)
    entropy = torch.special.entr(chances).sum(-1)
    return int(entropy.masked_fill(~hidden, torch.inf).argmin())


@torch.no_grad()
def revealed_bits(prior: CodePrior, window: Window, hidden: Tensor, counted: Tensor, order: Order | None) -> Tensor:
    """[Q] bits of the codes in `counted` [S] cells, those of `hidden` [S] being revealed in an order; None: all at once."""
    config = prior.config
    codes = window.codes[window.first * BANDS : (window.first + window.columns) * BANDS][None]
    start, given = torch.tensor([window.start]), Given(end=torch.tensor([window.columns]))
    hidden, bits = hidden.clone(), torch.zeros(config.rvq_levels)
    while bool((hidden & counted).any()):
        logits = prior(codes, start, hidden[None, :, None].expand_as(codes), given)[0, :-1]
        chosen = hidden & counted if order is None else F.one_hot(torch.tensor(order(logits, hidden)), len(hidden)) > 0
        costs = F.cross_entropy(logits.flatten(0, 1), codes[0].flatten(), reduction="none").view_as(codes[0])
        bits += costs[chosen & counted].sum(0) / LN2
        hidden &= ~chosen
    return bits


def filled(prior: CodePrior, files: Sequence[Tensor]) -> dict[str, Any]:
    """What the middle half second costs a masked prior, and whole windows."""
    windows = held_out_windows(files, prior.window)
    ways: dict[str, tuple[str, Order | None]] = {
        "past": ("rest", from_the_left),
        "columns": ("hole", from_the_left),
        "confidence": ("hole", surest),
        "at_once": ("hole", None),
    }
    answer: dict[str, Any] = {}
    for name, (what, order) in ways.items():
        total = torch.zeros(prior.config.rvq_levels)
        for window, (first, stop) in windows:
            column = torch.arange(window.columns * BANDS) // BANDS
            counted = (column >= first) & (column < stop)
            total += revealed_bits(prior, window, counted if what == "hole" else column >= first, counted, order)
        found = total / (len(windows) * HOLE_COLUMNS * BANDS)
        answer[name] = float(found.mean())
        answer[f"{name}_by_level"] = found.tolist()
    bits, cells = torch.zeros(prior.config.rvq_levels), 0
    for window, _ in windows:
        whole = torch.ones(window.columns * BANDS, dtype=torch.bool)
        bits, cells = bits + revealed_bits(prior, window, whole, whole, from_the_left), cells + len(whole)
    answer["forward"] = float(bits.mean() / cells)
    return answer


def codes_of(path: Path) -> tuple[CodeSequences, Tensor, PriorSettings]:
    """What a model's prior learned from, in views drawn again: codes, codebooks, and how it was trained, without wishes."""
    opened = open_model(path)
    card, codec, image = opened.card, opened.codec(torch.device("cpu")), opened.image()
    trained = card.prior_training_config
    assert trained is not None
    corpus = finished(reopen(card.corpus_manifest, None, card.spectrogram_config))
    sequences = finished(extract_code_sequences(codec, corpus, torch.device("cpu"), trained.views, 0, image))
    codebooks = read_by_priors(codec.codebooks(), image)
    return sequences, codebooks, trained.model_copy(update={"patience": 0, "traits": False, "kinds": 0})


def measure(path: Path, seed: int) -> dict[str, Any]:
    """One model."""
    sequences, codebooks, settings = codes_of(path)
    fabric = launch_fabric("cpu", seed)
    task = MaskedTask(sequences, codebooks, settings.model_copy(update={"seed": seed}))
    result = finished(fit(task, fabric))
    task.objective.load_state_dict(result.best.state)
    trained = {"best_epoch": result.best.epoch, "epochs": settings.epochs, "seconds": result.seconds}
    return {"ordered": sides(path), "masked": trained | filled(task.prior.eval(), sequences.val)}


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--seed", type=int, default=0)
    add_answer_options(parser)
    given = parser.parse_args()
    answer = {path.stem: measure(path, given.seed) for path in given.models}
    if not given.json:
        for name, found in answer.items():
            for prior in ("ordered", "masked"):
                print(f"{name}, {prior}: {found[prior]}")
    give_answer(given, answer)


if __name__ == "__main__":
    main()
