"""Stage 2: the prior, a small causal transformer over the codec's codes.

Codes [B, S, Q] are flattened position by position, level by level, into tokens [B, T = S * Q]. The network reads
[start, token 0, ..., token T-1] and predicts [token 0, ..., token T]: input i carries the token before i and
everything that is known about place i (its column, band and level, and the codes of its past neighbours).

The start is BOS at the beginning of a file and MID where a window begins inside one, so that a long piece can be
continued from its last columns. EOS, one symbol beyond the codes, can only stand where a column would begin.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.config import PriorConfig

BOS = 0
"""Start symbol of a sequence at the beginning of a file."""
MID = 1
"""Start symbol of a sequence that begins inside a file."""
IGNORED = -100
"""Target that counts in no loss."""


def flatten_codes(codes: Tensor) -> Tensor:
    """Codes [B, S, Q] -> tokens [B, S * Q]: [pos0_q0, pos0_q1, ..., pos1_q0, ...]."""
    return codes.flatten(1, 2)


def unflatten_codes(tokens: Tensor, levels: int) -> Tensor:
    """Tokens [B, S * Q] -> codes [B, S, Q]."""
    if tokens.shape[1] % levels:
        raise ValueError(f"{tokens.shape[1]} tokens are not a whole number of positions of {levels} levels")
    return tokens.reshape(tokens.shape[0], -1, levels) if tokens.numel() else tokens.reshape(tokens.shape[0], 0, levels)


class LayerCache(NamedTuple):
    """Keys and values of one block for the inputs seen so far."""

    keys: Tensor  # [B, heads, T_max, d]
    values: Tensor  # [B, heads, T_max, d]


class Block(nn.Module):
    """Pre-norm transformer block: causal self-attention, then a feed-forward of four times the width."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_heads
        self.dropout = config.dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cache: LayerCache | None = None, first: int = 0) -> Tensor:
        # x [B, n, H]: inputs first .. first + n - 1
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            last = first + x.shape[1]
            cache.keys[:, :, first:last], cache.values[:, :, first:last] = k, v
            k, v = cache.keys[:, :, :last], cache.values[:, :, :last]
        if first and x.shape[1] > 1:
            raise ValueError("inputs after the first call come one at a time")
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=x.shape[1] > 1)
        x = x + F.dropout(self.attention_out(attended.transpose(1, 2).flatten(2)), self.dropout, self.training)
        hidden = F.gelu(self.feed_in(self.feed_norm(x)))
        return x + F.dropout(self.feed_out(hidden), self.dropout, self.training)


class CodePrior(nn.Module):
    """Causal transformer over codes: `forward` for training, `prime` and `step` with a cache for sampling."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        width, codes, levels = config.hidden_size, config.codebook_size, config.rvq_levels
        self.eos = codes
        self.vocabulary = codes + 1
        columns = config.seq_len // config.bands + 1
        self.start = nn.Embedding(2, width)
        self.column = nn.Embedding(columns, width)
        self.band = nn.Embedding(config.bands, width)
        self.level = nn.Embedding(levels, width)
        nowhere = 1
        self.code = nn.Embedding(levels * codes + nowhere, width)
        self.code_before = nn.Embedding(levels * codes + nowhere, width)
        self.code_below = nn.Embedding(levels * codes + nowhere, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.Parameter(torch.zeros(levels, width, self.vocabulary))
        self.apply(_start_weights)
        nn.init.normal_(self.heads, std=0.02)

    @property
    def max_tokens(self) -> int:
        """Tokens in a full context window."""
        return self.config.seq_len * self.config.rvq_levels

    def forward(self, tokens: Tensor, start: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Predict every token from the ones before it.

        Args:
            tokens: [B, T] codes, T <= `max_tokens`; places after the end of a sound may hold any code.
            start: [B], BOS or MID.
            hidden: [B, T] bool, tokens that the network must do without (masking in training).

        Returns:
            Logits [B, T + 1, V]; row i predicts token i, and row T what would follow.
        """
        x = self._embed(tokens, start, 0, tokens.shape[1] + 1, hidden)
        for block in self.blocks:
            x = block(x)
        return self._logits(x, 0)

    def new_cache(self, batch: int) -> list[LayerCache]:
        """Room for a full window of `batch` sequences."""
        parameter = self.start.weight
        shape = (batch, self.config.num_heads, self.max_tokens + 1, self.config.hidden_size // self.config.num_heads)
        return [
            LayerCache(
                torch.zeros(shape, device=parameter.device, dtype=parameter.dtype),
                torch.zeros(shape, device=parameter.device, dtype=parameter.dtype),
            )
            for _ in self.blocks
        ]

    def prime(self, cache: list[LayerCache], tokens: Tensor, start: Tensor) -> Tensor:
        """Read a prefix [B, T] (T may be 0) into an empty cache -> logits [B, V] of what follows."""
        x = self._embed(tokens, start, 0, tokens.shape[1] + 1, None)
        for block, layer in zip(self.blocks, cache, strict=True):
            x = block(x, layer, 0)
        return self._logits(x[:, -1:], tokens.shape[1])[:, 0]

    def step(self, cache: list[LayerCache], tokens: Tensor, start: Tensor) -> Tensor:
        """Read the last of `tokens` [B, T], the others being in the cache -> logits [B, V] of what follows."""
        index = tokens.shape[1]
        x = self._embed(tokens, start, index, index + 1, None)
        for block, layer in zip(self.blocks, cache, strict=True):
            x = block(x, layer, index)
        return self._logits(x, index)[:, 0]

    def _embed(self, tokens: Tensor, start: Tensor, first: int, stop: int, hidden: Tensor | None) -> Tensor:
        """Inputs first .. stop - 1 -> [B, stop - first, H]."""
        levels, codes, bands = self.config.rvq_levels, self.config.codebook_size, self.config.bands
        index = torch.arange(first, stop, device=tokens.device)
        level, position = index % levels, index // levels
        band, column = position % bands, position // bands
        nowhere = levels * codes
        coded = tokens + torch.arange(tokens.shape[1], device=tokens.device) % levels * codes
        if hidden is not None:
            coded = coded.masked_fill(hidden, nowhere)
        coded = F.pad(coded, (1, 0), value=nowhere)  # slot i + 1 holds token i, slot 0 nothing

        def neighbour(back: int, exists: Tensor) -> Tensor:
            slot = torch.where(exists, index - back + 1, 0)
            return coded[:, slot]

        x = self.code(neighbour(1, index > 0))
        x = x + self.code_before(neighbour(bands * levels, column > 0))
        x = x + self.code_below(neighbour(levels, band > 0))
        x = x + (self.column(column) + self.band(band) + self.level(level))
        if first == 0:
            x = torch.cat([x[:, :1] + self.start(start)[:, None], x[:, 1:]], dim=1)
        return F.dropout(x, self.config.dropout, self.training)

    def _logits(self, x: Tensor, first: int) -> Tensor:
        """[B, n, H] for inputs first .. -> [B, n, V], EOS only where a column begins."""
        levels, bands = self.config.rvq_levels, self.config.bands
        index = torch.arange(first, first + x.shape[1], device=x.device)
        x = self.norm(x)
        if x.shape[1] == 1:
            logits = x @ self.heads[first % levels]
        else:
            missing = -x.shape[1] % levels
            grid = F.pad(x, (0, 0, 0, missing))
            grid = grid.view(x.shape[0], -1, levels, x.shape[2])  # [B, S, Q, H]
            heads = self.heads.roll(-(first % levels), 0)
            logits = torch.einsum("bsqh,qhv->bsqv", grid, heads).flatten(1, 2)[:, : x.shape[1]]
        logits = logits.float()
        forbidden = index % (levels * bands) != 0
        at_eos = torch.arange(self.vocabulary, device=x.device) == self.eos
        return logits.masked_fill(forbidden[:, None] & at_eos, float("-inf"))


def _start_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
