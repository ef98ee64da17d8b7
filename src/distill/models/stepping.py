"""Sampling one position at a time: the same network as `CodePrior.forward`, arranged for a few rows of one position.

What depends on the weights alone is worked out once: codebook vectors are folded into the tables of codes, the linear
layers of a level's output into one that scores the codebook at once, the attention's scale into the queries; and
matrices are laid out so that a product with few rows reads them in order. What neighbours are worth is summed up as a vector
before it is scored, since scores are linear in it. The tests hold it against the plain forward.
"""

import copy
import math
from collections.abc import Generator
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.one_row import WIDEST, OneRow
from distill.models.prior import CLOSENESS, VECTOR_GAIN, Block, CodePrior, Continuation, LevelHead, at_places
from distill.models.reading import RIGHT


class _Norm(NamedTuple):
    width: tuple[int, ...]
    gain: Tensor  # [H]
    offset: Tensor  # [H]
    eps: float

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> "_Norm":
        return cls(norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.layer_norm(x, self.width, self.gain, self.offset, self.eps)


class _BlockWeights(NamedTuple):
    attention_norm: _Norm
    qkv: Tensor  # [H, 3 H], queries scaled
    attention_out: Tensor  # [H, H]
    feed_norm: _Norm
    feed_in: Tensor  # [H, 4 H]
    feed_in_bias: Tensor
    feed_out: Tensor  # [4 H, H]
    feed_out_bias: Tensor


class _HeadWeights(NamedTuple):
    norm_in: _Norm
    wide: Tensor  # [H, 2 H]
    wide_bias: Tensor
    narrow: Tensor  # [2 H, H]
    narrow_bias: Tensor
    norm_out: _Norm
    beside: Tensor  # [H, 2 N]: near, same
    beside_bias: Tensor  # [2 N]
    agreement: Tensor  # [N]
    out: Tensor  # [H + D + 1, V]: free and direction as scores of the codes, then how near a vector is to each
    bias: Tensor  # [V]
    bias_inside: Tensor  # the same where no sound may end: EOS has no chance
    grown: tuple[Tensor, ...]
    """What the chosen code of each level up to this one adds to the state of the next, [entries, H] each."""


class Stepper:
    """Draws positions from a prior whose weights do not change meanwhile."""

    @torch.no_grad()
    def __init__(self, prior: CodePrior) -> None:
        self.prior = prior
        config = prior.config
        width, dim = config.hidden_size, config.codebook_dim
        by_vector = prior.source_vector.weight.view(width, 1 + config.neighbours, dim)
        lifted = torch.einsum("qed,hnd->nqeh", VECTOR_GAIN * prior.vectors, by_vector)
        self.source = prior.source_code.weight + lifted.flatten(0, 2)  # [(1 + N) * Q * entries, H]
        position = torch.arange(config.seq_len + 1, device=self.source.device)
        self.place = prior.column(position // config.bands) + prior.band(position % config.bands)  # [S + 1, H]
        if config.both_sides:  # in the order of time nothing lies between, and nothing on the right
            self.place = self.place + prior.left_gap.weight[0] + prior.right_gap.weight[0]
        # One dimension more counts vectors: in what neighbours hold it is 1, in what is taken off it is 0.
        counted = F.pad(prior.vectors, (0, 1), value=1.0 / config.rvq_levels)
        self.vectors, self.vectors_of = counted.flatten(0, 1), F.pad(prior.vectors, (0, 1)).unbind(0)
        self.norm = _Norm.of(prior.norm)
        self.blocks = [self._block(block) for block in prior.blocks if isinstance(block, Block)]
        self.heads = [self._head(level, head) for level, head in enumerate(prior.heads) if isinstance(head, LevelHead)]

    def step(self, state: Continuation) -> Generator[Tensor, Tensor, None]:
        """The next place, level by level: yields logits [B, V], is sent the chosen codes [B] of that level."""
        return self._step(state) if self.one_row is None or len(state.codes) > 1 else self.one_row.step(state)

    @torch.no_grad()
    def _step(self, state: Continuation) -> Generator[Tensor, Tensor, None]:
        """`step` of any number of rows."""
        prior, at, config = self.prior, state.length, self.prior.config
        place, neighbour_count = state.places[at], config.neighbours
        index = state.index[at]
        sources = (
            state.codes.index_select(1, index) if index.ndim == 1 else at_places(state.codes, index)
        )  # [B, 1 + N, Q]
        ending = None if state.ending is None else state.ending[:, at]
        if ending is not None:
            sources[:, RIGHT] = torch.where(ending[:, None] > 0, prior.eos, sources[:, RIGHT])
        z = self._trunk(state, sources, ending)
        neighbours = sources[:, 1:]
        known = (neighbours < config.codebook_size).to(z.dtype)
        copied = neighbours.clamp(max=config.codebook_size - 1)
        codes_of = (neighbours + prior.level_offset).view(-1, config.rvq_levels)
        residual = F.embedding_bag(codes_of, self.vectors, mode="sum").view(len(z), neighbour_count, -1)
        agree: Tensor | None = None
        chosen: list[Tensor] = []
        for level, weights in enumerate(self.heads):
            goes_on = level > 0 or place % config.bands > 0 or state.gaps[at][1] > 0
            bias = weights.bias_inside if goes_on else weights.bias
            logits = self._logits(weights, bias, z, residual, agree, known[..., level], copied[..., level])
            if ending is not None and not goes_on:
                logits[:, prior.eos] = logits[:, prior.eos].masked_fill(ending > 0, float("-inf"))
            codes = yield logits
            state.codes[:, place, level] = codes
            if level + 1 == config.rvq_levels:
                break
            chosen.append(codes)
            residual = residual - self.vectors_of[level].index_select(0, codes)[:, None]
            alike = (neighbours[..., level] == codes[:, None]).to(z.dtype)
            agree = alike if agree is None else agree * alike
            for table, each in zip(weights.grown, chosen, strict=True):
                z = z + table.index_select(0, each)
        state.length = at + 1
        yield logits

    @cached_property
    def one_row(self) -> OneRow | None:
        """The same for one row, where that is quicker: on the processor, in float32, and not too wide."""
        quicker = self.source.device.type == "cpu" and self.source.dtype == torch.float32
        return OneRow(self) if quicker and self.prior.config.hidden_size <= WIDEST else None

    @cached_property
    def exact(self) -> "ExactPrior":
        """The same prior in float64; made where it is first needed."""
        return ExactPrior(self.prior)

    def _trunk(self, state: Continuation, sources: Tensor, ending: Tensor | None) -> Tensor:
        """[B, 1 + N, Q] -> [B, H], the state of step `state.length`."""
        prior, at, place, batch = self.prior, state.length, state.place, len(sources)
        heads, bands = prior.config.num_heads, prior.config.bands
        slots = (sources + prior.source_slot).view(batch, -1)
        x = F.embedding_bag(slots, self.source, mode="sum") + self.place[place] + state.added[:, place // bands]
        if prior.config.both_sides:
            left, right = state.gaps[at]
            if left:
                x = x + (prior.left_gap.weight[left] - prior.left_gap.weight[0])
            if right and ending is None:
                x = x + (prior.right_gap.weight[right] - prior.right_gap.weight[0])
            if ending is not None:
                x = x + (prior.right_gap(right + ending) - prior.right_gap.weight[0])
        for block, cache in zip(self.blocks, state.caches, strict=True):
            qkv = (block.attention_norm(x) @ block.qkv).view(batch, 3, heads, -1)
            cache.both[:, :, :, at] = qkv[:, 1:].transpose(0, 1)
            scores = torch.bmm(qkv[:, 0].reshape(batch * heads, 1, -1), cache.keys[:, : at + 1].transpose(1, 2))
            seen = torch.bmm(scores.softmax(-1), cache.values[:, : at + 1])
            x = torch.addmm(x, seen.view(batch, -1), block.attention_out)
            wide = F.gelu(torch.addmm(block.feed_in_bias, block.feed_norm(x), block.feed_in))
            x = torch.addmm(x, wide, block.feed_out).add_(block.feed_out_bias)
        return self.norm(x)

    def _logits(
        self,
        weights: _HeadWeights,
        bias: Tensor,
        z: Tensor,
        residual: Tensor,
        agree: Tensor | None,
        known: Tensor,
        copied: Tensor,
    ) -> Tensor:
        """As `LevelHead.forward`, of one position: [B, H] -> [B, V]."""
        wide = F.gelu(torch.addmm(weights.wide_bias, weights.norm_in(z), weights.wide))
        y = weights.norm_out(torch.addmm(z, wide, weights.narrow).add_(weights.narrow_bias))
        near, same = torch.addmm(weights.beside_bias, y, weights.beside).chunk(2, dim=1)
        if agree is not None:
            same = torch.addcmul(same, agree, weights.agreement)
        pulled = torch.bmm((near * known)[:, None], residual)[:, 0]  # [B, D + 1]
        logits = torch.addmm(bias, torch.cat([y, pulled], dim=1), weights.out)
        return logits.scatter_add_(-1, copied, same * known)

    def _block(self, block: Block) -> _BlockWeights:
        qkv = block.qkv.weight.clone()
        qkv[: qkv.shape[1]] *= 1.0 / math.sqrt(qkv.shape[1] // block.heads)
        return _BlockWeights(
            _Norm.of(block.attention_norm),
            _laid_out(qkv),
            _laid_out(block.attention_out.weight),
            _Norm.of(block.feed_norm),
            _laid_out(block.feed_in.weight),
            block.feed_in.bias,
            _laid_out(block.feed_out.weight),
            block.feed_out.bias,
        )

    def _head(self, level: int, head: LevelHead) -> _HeadWeights:
        prior = self.prior
        codebook = prior.vectors[level, : prior.vocabulary]
        free = head.free.weight + VECTOR_GAIN * codebook @ head.direction.weight
        # [V, D + 1], without the part of a distance that is equal for every code
        nearness = CLOSENESS * torch.cat([2.0 * codebook, -codebook.square().sum(-1, keepdim=True)], dim=1)
        bias_inside = head.free.bias.clone()
        bias_inside[prior.eos] = float("-inf")
        grown: list[Tensor] = []
        if level < len(prior.chosen_vector):  # nothing follows the last level
            by_vector = prior.chosen_vector[level]
            grown = [VECTOR_GAIN * by_vector(prior.vectors[below]) for below in range(level + 1)]
            grown[level] = grown[level] + prior.chosen_code.weight.view(len(prior.heads), -1, free.shape[1])[level]
        return _HeadWeights(
            _Norm.of(head.norm_in),
            _laid_out(head.wide.weight),
            head.wide.bias,
            _laid_out(head.narrow.weight),
            head.narrow.bias,
            _Norm.of(head.norm_out),
            _laid_out(torch.cat([head.near.weight, head.same.weight])),
            torch.cat([head.near.bias, head.same.bias]),
            head.agreement,
            _laid_out(torch.cat([free, nearness], dim=1)),
            head.free.bias,
            bias_inside,
            tuple(grown),
        )


def _laid_out(weight: Tensor) -> Tensor:
    """A weight [out, in] as [in, out], outputs side by side in memory: so few rows are multiplied with it fastest."""
    return weight.T.contiguous()


class ExactPrior:
    """A prior in float64, one row at a time and on the processor, so that nothing but the row decides a single bit."""

    def __init__(self, prior: CodePrior) -> None:
        self.prior = copy.deepcopy(prior).to("cpu", torch.float64)
        self.stepper = Stepper(self.prior)

    @torch.no_grad()
    def logits(self, state: Continuation, row: int, level: int) -> Tensor:
        """Logits [1, V] of a level of the position that `row` of `state` is at, the levels below being chosen."""
        codes, read = state.codes[row : row + 1].cpu(), state.places[: state.length]
        given = state.given.row(row).to(torch.device("cpu"))
        begun = self.prior.begin(state.start[row : row + 1].cpu(), codes[:, read], given, codes[:, :-2])
        levels = self.stepper.step(begun)
        logits = next(levels)
        for below in range(level):
            logits = levels.send(codes[:, state.place, below])
        return logits
