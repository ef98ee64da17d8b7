"""Sampling one position at a time: the same network as `CodePrior.forward`, arranged for a few rows of one position.

What depends on the weights alone is worked out once: codebook vectors are folded into the tables of codes, the linear
layers of a level's output into one, and matrices are laid out so that a product with few rows reads them in order. The
tests hold it against the plain forward.
"""

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.prior import CLOSENESS, NEIGHBOURS, VECTOR_GAIN, Block, CodePrior, Continuation, LevelHead

MANY_ROWS = 4
"""From more rows than this on, every matrix is read fastest with its outputs side by side."""


class _BlockWeights(NamedTuple):
    attention_norm: nn.LayerNorm
    qkv: Tensor  # [H, 3 H]
    attention_out: Tensor  # [H, H]
    feed_norm: nn.LayerNorm
    feed_in: Tensor  # [H, 4 H]
    feed_in_bias: Tensor
    feed_out: Tensor  # [4 H, H]
    feed_out_bias: Tensor


class _HeadWeights(NamedTuple):
    head: LevelHead
    wide: Tensor  # [H, 2 H]
    wide_bias: Tensor
    narrow: Tensor  # [2 H, H]
    narrow_bias: Tensor
    out: Tensor  # [H, V + D + 2 N]: free, direction, near, same
    out_bias: Tensor
    codebook: Tensor  # [V, D]
    squares: Tensor  # [1, V], CLOSENESS times the squared norm of each code's vector
    grown: tuple[Tensor, ...]
    """What the chosen code of each level up to this one adds to the state of the next, [entries, H] each."""


class Stepper:
    """Draws positions from a prior whose weights do not change meanwhile."""

    @torch.no_grad()
    def __init__(self, prior: CodePrior, batch: int) -> None:
        """`batch`: how many rows will be stepped together; it decides how matrices are laid out."""
        self.prior = prior
        self.batch = batch
        config = prior.config
        width, dim = config.hidden_size, config.codebook_dim
        by_vector = prior.source_vector.weight.view(width, 1 + len(NEIGHBOURS), dim)
        lifted = torch.einsum("qed,hnd->nqeh", VECTOR_GAIN * prior.vectors, by_vector)
        self.source = prior.source_code.weight + lifted.flatten(0, 2)  # [(1 + N) * Q * entries, H]
        position = torch.arange(config.seq_len + 1, device=self.source.device)
        self.place = prior.column(position // config.bands) + prior.band(position % config.bands)  # [S + 1, H]
        self.index = torch.where(prior.source_exists, prior.source_index, prior.nowhere).unbind(0)
        self.vectors = prior.vectors.flatten(0, 1)
        self.parts = [prior.vocabulary, dim, len(NEIGHBOURS), len(NEIGHBOURS)]
        self.blocks = [self._block(block) for block in prior.blocks if isinstance(block, Block)]
        self.heads = [self._head(level, head) for level, head in enumerate(prior.heads) if isinstance(head, LevelHead)]

    @torch.no_grad()
    def step(self, state: Continuation) -> Generator[Tensor, Tensor, None]:
        """The next position, level by level: yields logits [B, V], is sent the chosen codes [B] of that level."""
        prior, at, config = self.prior, state.length, self.prior.config
        sources = state.codes.index_select(1, self.index[at])  # [B, 1 + N, Q]
        z = self._trunk(state, sources)
        neighbours = sources[:, 1:]
        known = (neighbours < config.codebook_size).float()
        copied = neighbours.clamp(max=config.codebook_size - 1)
        codes_of = (neighbours + prior.level_offset).reshape(-1, config.rvq_levels)
        residual = F.embedding_bag(codes_of, self.vectors, mode="sum").view(len(z), len(NEIGHBOURS), -1)
        agree: Tensor | None = None
        chosen: list[Tensor] = []
        for level, weights in enumerate(self.heads):
            logits = self._logits(weights, z, residual, agree, known[..., level], copied[..., level])
            if level or at % config.bands:
                logits[:, prior.eos] = float("-inf")
            codes = yield logits
            state.codes[:, at, level] = codes
            if level + 1 == config.rvq_levels:
                break
            chosen.append(codes)
            residual = residual - prior.vectors[level].index_select(0, codes)[:, None]
            alike = (neighbours[..., level] == codes[:, None]).float()
            agree = alike if agree is None else agree * alike
            for table, each in zip(weights.grown, chosen, strict=True):
                z = z + table.index_select(0, each)
        state.length = at + 1
        yield logits

    def _trunk(self, state: Continuation, sources: Tensor) -> Tensor:
        """[B, 1 + N, Q] -> [B, H], the state of position `state.length`."""
        at, batch, heads = state.length, len(sources), self.prior.config.num_heads
        slots = (sources + self.prior.source_slot).view(batch, -1)
        x = F.embedding_bag(slots, self.source, mode="sum") + self.place[at] + state.started
        for block, cache in zip(self.blocks, state.caches, strict=True):
            q, k, v = (block.attention_norm(x) @ block.qkv).view(batch, 3, heads, -1).unbind(1)
            cache.keys[:, :, at], cache.values[:, :, at] = k, v
            keys, values = cache.keys[:, :, : at + 1], cache.values[:, :, : at + 1]
            seen = F.scaled_dot_product_attention(q[:, :, None], keys, values)
            x = torch.addmm(x, seen.reshape(batch, -1), block.attention_out)
            wide = F.gelu(torch.addmm(block.feed_in_bias, block.feed_norm(x), block.feed_in))
            x = torch.addmm(x, wide, block.feed_out).add_(block.feed_out_bias)
        normed: Tensor = self.prior.norm(x)
        return normed

    def _logits(
        self, weights: _HeadWeights, z: Tensor, residual: Tensor, agree: Tensor | None, known: Tensor, copied: Tensor
    ) -> Tensor:
        """As `LevelHead.forward`, of one position: [B, H] -> [B, V]."""
        head = weights.head
        wide = F.gelu(torch.addmm(weights.wide_bias, head.norm_in(z), weights.wide))
        y = torch.addmm(z, wide, weights.narrow).add_(weights.narrow_bias)
        out = torch.addmm(weights.out_bias, head.norm_out(y), weights.out)
        logits, direction, near, same = torch.split(out, self.parts, dim=-1)
        near = near * known
        if agree is not None:
            same = same + head.agreement * agree
        target = torch.baddbmm(direction[:, None], near[:, None], residual, alpha=2.0 * CLOSENESS)[:, 0]
        logits = torch.addmm(logits, target, weights.codebook.T)
        logits = logits.addmm_(near.sum(-1, keepdim=True), weights.squares, alpha=-1.0)
        return logits.scatter_add_(-1, copied, same * known)

    def _laid_out(self, layer: nn.Linear | Tensor) -> Tensor:
        """A weight [out, in] as [in, out], with the side in memory that few rows are multiplied with fastest."""
        weight = layer if isinstance(layer, Tensor) else layer.weight
        outputs_together = weight.shape[0] >= weight.shape[1] or self.batch > MANY_ROWS
        return weight.T.contiguous() if outputs_together else weight.T

    def _block(self, block: Block) -> _BlockWeights:
        return _BlockWeights(
            block.attention_norm,
            self._laid_out(block.qkv),
            self._laid_out(block.attention_out),
            block.feed_norm,
            self._laid_out(block.feed_in),
            block.feed_in.bias,
            self._laid_out(block.feed_out),
            block.feed_out.bias,
        )

    def _head(self, level: int, head: LevelHead) -> _HeadWeights:
        prior = self.prior
        codebook = prior.vectors[level, : prior.vocabulary]
        out = torch.cat([head.free.weight, VECTOR_GAIN * head.direction.weight, head.near.weight, head.same.weight])
        bias = torch.cat([head.free.bias, head.free.bias.new_zeros(codebook.shape[1]), head.near.bias, head.same.bias])
        grown: list[Tensor] = []
        if level < len(prior.chosen_vector):  # nothing follows the last level
            by_vector = prior.chosen_vector[level]
            grown = [VECTOR_GAIN * by_vector(prior.vectors[below]) for below in range(level + 1)]
            grown[level] = grown[level] + prior.chosen_code.weight.view(len(prior.heads), -1, out.shape[1])[level]
        return _HeadWeights(
            head,
            self._laid_out(head.wide),
            head.wide.bias,
            self._laid_out(head.narrow),
            head.narrow.bias,
            self._laid_out(out),
            bias,
            codebook,
            CLOSENESS * codebook.square().sum(-1)[None],
            tuple(grown),
        )
