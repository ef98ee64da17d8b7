"""Sampling a single sound, one position at a time, on the processor: as `Stepper` does, in numpy.

A position of one row is some 150 operations on a few hundred numbers each. A call of torch costs several times what it
computes then, one of numpy about a third of that. The tests hold it against the plain forward and against `Stepper`.
"""

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special
import torch
from torch import Tensor

from distill.models.prior import CodePrior, Continuation
from distill.models.reading import RIGHT

Array = npt.NDArray[Any]
WIDEST = 320
"""Of wider priors numpy multiplies in threads of its own, which would wait for those that make the sound."""


class OneRow:
    """The weights that a `Stepper` has laid out, seen as arrays; they share its memory."""

    def __init__(self, stepper: Any) -> None:
        self.prior: CodePrior = stepper.prior
        prior, self.config = self.prior, self.prior.config
        self.source, self.place, self.norm = _arrays((stepper.source, stepper.place, stepper.norm))
        self.vectors, self.vectors_of = _arrays((stepper.vectors, stepper.vectors_of))
        self.blocks, self.heads = _arrays((stepper.blocks, stepper.heads))
        self.source_slot, self.level_offset = _arrays((prior.source_slot, prior.level_offset))
        if self.config.both_sides:
            self.left_gap, self.right_gap = _arrays((prior.left_gap.weight, prior.right_gap.weight))

    def step(self, state: Continuation) -> Generator[Tensor, Tensor, None]:
        """As `Stepper.step`, of one row."""
        prior, config, at, place = self.prior, self.config, state.length, state.place
        codes = state.codes.numpy()[0]  # [S + 2, Q]
        sources = codes[state.index[at].numpy().reshape(-1)]  # [1 + N, Q]
        ending = 0 if state.ending is None else int(state.ending[0, at])
        if ending > 0:
            sources[RIGHT] = prior.eos
        z = self._trunk(state, sources, ending)
        neighbours = sources[1:]
        known = (neighbours < config.codebook_size).astype(z.dtype)
        copied = np.minimum(neighbours, config.codebook_size - 1)
        residual = self.vectors[neighbours + self.level_offset].sum(1)  # [N, D + 1]
        goes_on = place % config.bands > 0 or state.gaps[at][1] > 0
        agree: Array | None = None
        chosen: list[int] = []
        for level, weights in enumerate(self.heads):
            bias = weights.bias_inside if goes_on or level else weights.bias
            logits = _logits(weights, bias, z, residual, agree, known[:, level], copied[:, level])
            if ending > 0 and not goes_on and not level:
                logits[prior.eos] = -math.inf
            scored = torch.from_numpy(logits)[None]
            code = int((yield scored))
            codes[place, level] = code
            if level + 1 == config.rvq_levels:
                break
            chosen.append(code)
            residual -= self.vectors_of[level][code]
            alike = (neighbours[:, level] == code).astype(z.dtype)
            agree = alike if agree is None else agree * alike
            for table, each in zip(weights.grown, chosen, strict=True):
                z = z + table[each]
        state.length = at + 1
        yield scored

    def _trunk(self, state: Continuation, sources: Array, ending: int) -> Array:
        """[1 + N, Q] -> [H]."""
        at, place, heads = state.length, state.place, self.config.num_heads
        x = self.source[(sources + self.source_slot).reshape(-1)].sum(0)
        x += self.place[place]
        x += state.added.numpy()[0, place // self.config.bands]
        if self.config.both_sides:
            left, right = state.gaps[at][0], state.gaps[at][1] + ending
            if left:
                x += self.left_gap[left] - self.left_gap[0]
            if right:
                x += self.right_gap[right] - self.right_gap[0]
        for block, cache in zip(self.blocks, state.caches, strict=True):
            query, key, value = (_normed(block.attention_norm, x) @ block.qkv).reshape(3, heads, -1)
            keys, values = cache.keys.numpy(), cache.values.numpy()  # [heads, S_max, d]
            keys[:, at], values[:, at] = key, value
            scores = (keys[:, : at + 1] @ query[:, :, None])[..., 0]
            weight = np.exp(scores - scores.max(1, keepdims=True))
            weight /= weight.sum(1, keepdims=True)
            x = x + (weight[:, None] @ values[:, : at + 1]).reshape(-1) @ block.attention_out
            wide = _gelu(_normed(block.feed_norm, x) @ block.feed_in + block.feed_in_bias)
            x += wide @ block.feed_out
            x += block.feed_out_bias
        return _normed(self.norm, x)


def _logits(
    weights: Any, bias: Array, z: Array, residual: Array, agree: Array | None, known: Array, copied: Array
) -> Array:
    """As `Stepper._logits`: [H] -> [V]."""
    wide = _gelu(_normed(weights.norm_in, z) @ weights.wide + weights.wide_bias)
    y = _normed(weights.norm_out, z + wide @ weights.narrow + weights.narrow_bias)
    near, same = (y @ weights.beside + weights.beside_bias).reshape(2, -1)
    if agree is not None:
        same += agree * weights.agreement
    logits: Array = np.concatenate([y, (near * known) @ residual]) @ weights.out
    logits += bias
    np.add.at(logits, copied, same * known)
    return logits


def _normed(norm: Any, x: Array) -> Array:
    """A layer norm of [H]."""
    centred: Array = x - x.sum() / len(x)
    centred *= 1.0 / math.sqrt(centred @ centred / len(x) + norm.eps)
    centred *= norm.gain
    centred += norm.offset
    return centred


def _gelu(x: Array) -> Array:
    made: Array = x * scipy.special.ndtr(x)
    return made


def _arrays(weights: Any) -> Any:
    """Tensors as arrays, in tuples and lists of whatever kind."""
    if isinstance(weights, Tensor):
        return weights.detach().numpy()
    if isinstance(weights, tuple | list):
        every = [_arrays(each) for each in weights]
        return type(weights)(*every) if hasattr(weights, "_fields") else type(weights)(every)
    return weights
