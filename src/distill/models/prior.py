"""Stage 2: the prior, a small causal transformer over the codec's codes.

Codes [B, S, Q] are time-major. The trunk takes one step a position: the input carries what is known about a place (its
column, its band, the codes of the position read before it and of its known neighbours, what is wished for there) and sees
all positions read before. Columns are read in the order of time, or in any other (`models.reading`): what lies on both sides
of a hole first, then the hole. A small head then predicts the levels of the position one after another, each given the
levels below it (as in RQ-Transformer, Lee et al., 2022). Flattened position by position, level by level, that is an ordinary
chain of next-token predictions, at a third of the trunk's cost.

Two things let it learn from little data. Codes are read and scored through the vectors they stand for (the codec's
codebooks), so what is learned about one code holds for its likes. And every level may point at what its neighbours
hold: sound mostly goes on as it was.

A window begins with BOS at the beginning of a file and with MID inside one, so that a long piece can be continued from
its last columns. EOS, one symbol beyond the codes, can only stand where a column would begin.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.reading import RIGHT, Reading, forward_order, read_in_order
from distill.models.wishes import TRAIT_FEATURES, trait_features
from distill.settings.prior import PriorConfig

BOS = 0
"""Start of a window at the beginning of a file."""
MID = 1
"""Start of a window that begins inside a file."""
IGNORED = -100
"""Target that counts in no loss."""
VECTOR_GAIN = math.sqrt(8.0)
"""Codebook vectors have a norm of about 1; this brings them to the scale of the other inputs."""
WISH_GAIN = 8.0
"""Wishes are few numbers beside many; this lets them be heard soon."""
CLOSENESS = 3.0
"""Scale of the squared distance to a neighbour's vector."""


def flatten_codes(codes: Tensor) -> Tensor:
    """Codes [B, S, Q] -> tokens [B, S * Q]: [pos0_q0, pos0_q1, ..., pos1_q0, ...]."""
    return codes.flatten(1, 2)


def unflatten_codes(tokens: Tensor, levels: int) -> Tensor:
    """Tokens [B, S * Q] -> codes [B, S, Q]."""
    if tokens.shape[1] % levels:
        raise ValueError(f"{tokens.shape[1]} tokens are not a whole number of positions of {levels} levels")
    return tokens.reshape(tokens.shape[0], tokens.shape[1] // levels, levels)


class LayerCache(NamedTuple):
    """Keys and values of one block for the positions seen so far, in one piece so that they are written at once."""

    both: Tensor  # [2, B, heads, S_max, d]
    keys: Tensor  # [B * heads, S_max, d], the first half
    values: Tensor  # [B * heads, S_max, d], the second half

    @classmethod
    def empty(cls, config: PriorConfig, batch: int, like: Tensor) -> "LayerCache":
        """Room for a whole window of `batch` rows."""
        size = config.hidden_size // config.num_heads
        both = like.new_zeros(2, batch, config.num_heads, config.seq_len + 1, size)
        return cls(both, both[0].flatten(0, 1), both[1].flatten(0, 1))


class Given(NamedTuple):
    """What a window is told beside its codes; None: nothing."""

    order: Tensor | None = None  # [B or 1, C + 1], in which its columns are read (`models.reading`)
    partly: Tensor | None = None  # [B or 1, C + 1] bool, columns of which some codes are known before they are read
    end: Tensor | None = None  # [B], the column in which the sound is over, which may lie beyond; -1: not known
    traits: Tensor | None = None  # [B, C + 1, 4], what is wished for in each column (`models.wishes`); NaN: nothing
    kind: Tensor | None = None  # [B], the kind that is wished for, from 1 on; 0: any
    period: Tensor | None = None  # [B or 1], columns after which the sound comes round again; 0: not known

    def row(self, row: int) -> "Given":
        """The same of one row."""
        return Given(*(each if each is None or len(each) == 1 else each[row : row + 1] for each in self))

    def to(self, device: torch.device) -> "Given":
        """The same on a device."""
        return Given(*(None if each is None else each.to(device) for each in self))


NOTHING = Given()


@dataclass
class Continuation:
    """A batch of windows that is being sampled, all in one order."""

    codes: Tensor  # [B, S + 2, Q] by place, drawn up to step `length`; the last place is never drawn
    start: Tensor  # [B], BOS or MID
    given: Given
    index: tuple[Tensor, ...]  # for each step its sources in `codes`: [1 + N], or [B, 1 + N] where periods are unlike
    places: list[int]  # for each step the place that it predicts
    gaps: list[tuple[int, int]]  # for each step the columns to what is known on the left and on the right
    ending: Tensor | None  # [B, P], columns to the end where nothing known comes before it; 0: none; None: none for all
    added: Tensor  # [B, C + 1, H], what start, kind and traits add to every input of a column
    caches: list[LayerCache]
    length: int = 0
    """Steps that are complete."""

    @property
    def place(self) -> int:
        """The place that the next step predicts."""
        return self.places[self.length]


class Surroundings(NamedTuple):
    """What steps may look at directly."""

    sources: Tensor  # [B, P, 1 + N, Q]: codes of the position read before and of the neighbours, with markers
    vectors: Tensor  # [B, P, 1 + N, D]: what those codes stand for
    places: Tensor  # [R, P]
    left_gap: Tensor  # [R, P]
    right_gap: Tensor  # [B or R, P], to what is known on the right or to the end, whichever comes first


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

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """[B, P, H] for positions 0 .. P - 1; a cache is filled with their keys and values."""
        batch, count, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, P, d]
        if cache is not None:
            cache.both[0, :, :, :count], cache.both[1, :, :, :count] = k, v
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self._drop(self.attention_out(attended.transpose(1, 2).reshape(batch, count, width)))
        fed: Tensor = self.feed_out(F.gelu(self.feed_in(self.feed_norm(x))))
        return x + self._drop(fed)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class LevelHead(nn.Module):
    """Logits of one level, from the trunk's state, the levels below, and what the neighbours hold."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        width, places = config.hidden_size, config.neighbours
        self.dropout = config.dropout
        self.codes = config.codebook_size
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.free = nn.Linear(width, config.codebook_size + 1)  # ordinary logits
        self.direction = nn.Linear(width, config.codebook_dim, bias=False)  # a vector, scored against the codebook
        self.near = nn.Linear(width, places)  # how much closeness to each neighbour's vector counts
        self.same = nn.Linear(width, places)  # how much being each neighbour's very code counts
        self.agreement = nn.Parameter(torch.zeros(places))  # added where all levels below agree with that neighbour

    def forward(self, z: Tensor, codebook: Tensor, theirs: Tensor, residual: Tensor, agree: Tensor) -> Tensor:
        """Score the symbols of this level.

        Args:
            z: [B, P, H], trunk and levels below.
            codebook: [V, D], EOS being the zero vector.
            theirs: [B, P, N], this level's code of each neighbour; markers are never copied.
            residual: [B, P, N, D], each neighbour's vector less the levels already chosen here.
            agree: [B, P, N], 1 where all levels below are the neighbour's.

        Returns:
            Logits [B, P, V], float32.
        """
        y = z + self._drop(self.narrow(F.gelu(self.wide(self.norm_in(z)))))
        y = self._drop(self.norm_out(y))
        known = (theirs < self.codes).float()
        near, same = self.near(y).float() * known, (self.same(y).float() + self.agreement * agree) * known
        free, direction = self.free(y).float(), self.direction(y).float()
        with torch.autocast(z.device.type, enabled=False):
            # -CLOSENESS * near * |residual - codebook|^2, without the part that is equal for every code
            target = VECTOR_GAIN * direction + 2.0 * CLOSENESS * (near[..., None, :] @ residual)[..., 0, :]
            distance = CLOSENESS * near.sum(-1, keepdim=True) * codebook.square().sum(-1)
            logits = free + target @ codebook.T - distance
        scored: Tensor = logits.scatter_add(-1, theirs.clamp(max=self.codes - 1), same)
        return scored

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class CodePrior(nn.Module):
    """Causal transformer over codes: `forward` for training, `begin` and a `Stepper` for sampling."""

    vectors: Tensor
    source_slot: Tensor
    level_offset: Tensor

    def __init__(self, config: PriorConfig, codebooks: Tensor | None = None) -> None:
        """`codebooks` [Q, K, D] are the codec's own, kept as a buffer and not trained; None where a state is loaded."""
        super().__init__()
        self.config = config
        width, size, levels, dim = config.hidden_size, config.codebook_size, config.rvq_levels, config.codebook_dim
        self.eos = size
        self.end_logit = 0.0
        """Added to the logit of an end where sounds are drawn, not where a likelihood is asked for (`models.lengths`)."""
        self.vocabulary = size + 1
        self.outside, self.hidden = size + 1, size + 2  # markers: no such position; hidden in training
        self.nowhere = config.seq_len + 1  # a place in `Continuation.codes` that always holds `outside`
        entries = size + 3
        sources = 1 + config.neighbours
        self.register_buffer("vectors", torch.zeros(levels, entries, dim))
        if codebooks is not None:
            self.vectors[:, :size] = codebooks.float() / codebooks.float().square().sum(-1).mean().sqrt().clamp_min(
                1e-6
            )
        level_offset = torch.arange(levels) * entries
        self.register_buffer("level_offset", level_offset, persistent=False)
        slots = torch.arange(sources)[:, None] * (levels * entries) + level_offset
        self.register_buffer("source_slot", slots, persistent=False)
        self.start = nn.Embedding(2, width)
        self.window = config.seq_len // config.bands
        self.column = nn.Embedding(self.window + 1, width)
        self.band = nn.Embedding(config.bands, width)
        if config.both_sides:
            self.left_gap = nn.Embedding(self.window + 1, width)
            self.right_gap = nn.Embedding(2 * self.window + 1, width)  # an end may lie beyond the window
        if config.traits:
            self.trait = nn.Linear(TRAIT_FEATURES, width, bias=False)
        if config.kinds:
            self.kind = nn.Embedding(config.kinds + 1, width)
        self.source_code = nn.Embedding(sources * levels * entries, width)
        self.source_vector = nn.Linear(sources * dim, width, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.chosen_code = nn.Embedding(levels * entries, width)
        self.chosen_vector = nn.ModuleList(nn.Linear(dim, width, bias=False) for _ in range(levels - 1))
        self.heads = nn.ModuleList(LevelHead(config) for _ in range(levels))
        self._start_weights()

    def forward(self, codes: Tensor, start: Tensor, hidden: Tensor | None = None, given: Given = NOTHING) -> Tensor:
        """Predict every code from the ones read before it.

        Args:
            codes: [B, S, Q], S <= `seq_len`; places after the end of a sound may hold any code.
            start: [B], BOS or MID.
            hidden: [B, S, Q] bool, known codes that the network must do without (masking in training).
            given: the order in which the columns are read, and what is wished for.

        Returns:
            Logits [B, S + 1, Q, V]; row p is of the place that step p predicts. In the order of time, row s predicts
            position s, and row S what would follow.
        """
        seen = codes if hidden is None else codes.masked_fill(hidden, self.hidden)
        reading = self._reading(given, codes.shape[1] // self.config.bands, codes.device)
        around = self._surroundings(seen, reading, self._ending(given, reading))
        x = self._embed(around, self._added(start, given, codes.shape[1] // self.config.bands))
        for block in self.blocks:
            x = block(x)
        levels = self._levels(self.norm(x), around)
        logits = [next(levels)]
        following = at_places(F.pad(codes, (0, 0, 0, 1)), reading.places)
        for level in range(self.config.rvq_levels - 1):
            logits.append(levels.send(following[..., level]))
        return torch.stack(logits, dim=2)

    @torch.no_grad()
    def begin(
        self, start: Tensor, prefix: Tensor, given: Given = NOTHING, partly: Tensor | None = None
    ) -> Continuation:
        """Start sampling windows whose first steps are known.

        The steps that follow are drawn by a `Stepper`.

        Args:
            start: [B], BOS or MID.
            prefix: [B, P, Q], the codes of the first P steps in the order of reading; P may be 0, and is less than
                `seq_len`.
            given: with one order for all rows; its width says how long the windows are, without one they are whole.
            partly: [B, S, Q], by place, the codes of columns of which some are known, and `hidden` for those that are not;
                what is known of other columns does not count.
        """
        config = self.config
        batch, length, levels = prefix.shape
        columns = self.window if given.order is None else given.order.shape[1] - 1
        reading = self._reading(given, columns, prefix.device)
        codes = torch.full((batch, config.seq_len + 2, levels), self.outside, device=prefix.device)
        if partly is not None:
            codes[:, : partly.shape[1]] = partly
        codes[:, reading.places[0, :length]] = prefix
        caches = [LayerCache.empty(config, batch, self.vectors) for _ in self.blocks]
        added, ending = self._added(start, given, columns), self._ending(given, reading)
        if length:
            known = reading.row(0, length)
            around = self._surroundings(codes, known, None if ending is None else ending[:, :length])
            x = self._embed(around, added)
            for block, cache in zip(self.blocks, caches, strict=True):
                x = block(x, cache)
        sources = torch.where(reading.exists, reading.source, self.nowhere)
        index = sources[0].unbind(0) if len(sources) == 1 else sources.unbind(1)
        gaps = list(zip(reading.left_gap[0].tolist(), reading.right_gap[0].tolist(), strict=True))
        return Continuation(codes, start, given, index, reading.places[0].tolist(), gaps, ending, added, caches, length)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, object]]:
        """Weight decay for matrices and code tables; none for tables of places, norms and biases."""
        tables = (
            self.start,
            self.column,
            self.band,
            *((self.left_gap, self.right_gap) if self.config.both_sides else ()),
        )
        if self.config.traits:
            tables = (*tables, self.trait)
        if self.config.kinds:
            tables = (*tables, self.kind)
        places = {id(table.weight) for table in tables}
        decayed = [p for p in self.parameters() if p.ndim >= 2 and id(p) not in places]
        chosen = {id(p) for p in decayed}
        others = [p for p in self.parameters() if id(p) not in chosen]
        return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]

    def _reading(self, given: Given, columns: int, device: torch.device) -> Reading:
        order = forward_order(columns, device) if given.order is None else given.order
        period = None
        if self.config.periods:
            period = order.new_zeros(1) if given.period is None else given.period
            order = order.expand(max(len(order), len(period)), -1)
        return read_in_order(order, self.config.bands, self.config.both_sides, given.partly, period)

    def _ending(self, given: Given, reading: Reading) -> Tensor | None:
        """[B, P]: how many columns on the sound is over, where that is known and nothing known comes before it; else 0."""
        if given.end is None or not self.config.both_sides:
            return None
        left = given.end[:, None] - reading.places // self.config.bands
        return left.clamp(0, self.right_gap.num_embeddings - 1).masked_fill(reading.right_gap > 0, 0)

    def _surroundings(self, codes: Tensor, reading: Reading, ending: Tensor | None) -> Surroundings:
        """Gather what each step may look at from `codes` [B, S, Q]."""
        if codes.shape[1] == 0:
            codes = F.pad(codes, (0, 0, 0, 1))
        sources = at_places(codes, reading.source).masked_fill(~reading.exists[..., None], self.outside)
        right_gap = reading.right_gap
        if ending is not None:
            ends = (torch.arange(sources.shape[2], device=codes.device) == RIGHT) & (ending > 0)[..., None]
            sources = sources.masked_fill(ends[..., None], self.eos)
            right_gap = right_gap + ending
        vectors = F.embedding(sources + self.level_offset, self.vectors.flatten(0, 1)).sum(-2)
        return Surroundings(sources, vectors, reading.places, reading.left_gap, right_gap)

    def _added(self, start: Tensor, given: Given, columns: int) -> Tensor:
        """[B, C + 1, H]: what start, kind and traits add to the inputs of every column."""
        added: Tensor = self.start(start)
        if self.config.kinds:  # the first row is that of no kind, which training adds as well
            kind = torch.zeros_like(start) if given.kind is None else given.kind
            added = added + WISH_GAIN * self.kind(kind)
        added = added[:, None].expand(-1, columns + 1, -1)
        if given.traits is not None and self.config.traits:
            added = added + WISH_GAIN * self.trait(trait_features(given.traits).to(self.trait.weight.dtype))
        return added

    def _embed(self, around: Surroundings, added: Tensor) -> Tensor:
        """[B, P, H]."""
        batch, count, sources, levels = around.sources.shape
        slots = (around.sources + self.source_slot).view(batch * count, sources * levels)
        by_code = F.embedding_bag(slots, self.source_code.weight, mode="sum").view(batch, count, -1)
        by_vector = self.source_vector(VECTOR_GAIN * around.vectors.flatten(2))
        columns, bands = around.places // self.config.bands, around.places % self.config.bands
        x = by_code + by_vector + self.column(columns) + self.band(bands) + at_places(added, columns)
        if self.config.both_sides:
            x = x + self.left_gap(around.left_gap) + self.right_gap(around.right_gap)
        return F.dropout(x, self.config.dropout, self.training)

    def _levels(self, z: Tensor, around: Surroundings) -> Generator[Tensor, Tensor, None]:
        """The levels of positions: yields logits [B, P, V] of each, is sent its codes [B, P] before the next."""
        neighbours, residual = around.sources[:, :, 1:], around.vectors[:, :, 1:]
        agree = torch.zeros(neighbours.shape[:3], device=z.device)
        chosen = torch.zeros_like(residual[:, :, 0])
        inside = (around.places % self.config.bands != 0) | (
            around.right_gap > 0
        )  # a sound goes on before what is known
        for level, head in enumerate(self.heads):
            logits = head(z, self.vectors[level, : self.vocabulary], neighbours[..., level], residual, agree)
            may_not_end = inside if level == 0 else torch.ones_like(inside)
            at_eos = torch.arange(self.vocabulary, device=z.device) == self.eos
            codes = yield logits.masked_fill(may_not_end[..., None] & at_eos, float("-inf"))
            vector = self.vectors[level][codes]
            chosen, residual = chosen + vector, residual - vector[:, :, None]
            same = (neighbours[..., level] == codes[..., None]).float()
            agree = same if level == 0 else agree * same
            below = self.chosen_vector[level](VECTOR_GAIN * chosen)
            z = z + self.chosen_code(codes + self.level_offset[level]) + below

    def _start_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Block):
                for layer in (module.attention_out, module.feed_out):
                    layer.weight.data.mul_(1.0 / math.sqrt(2 * len(self.blocks)))


def at_places(values: Tensor, places: Tensor) -> Tensor:
    """Values [B, S, ...] at places [B or 1, ...] of their rows -> [B, ..., ...]."""
    if len(places) == 1:
        found: Tensor = values[:, places[0]]
        return found
    rows = torch.arange(len(values), device=values.device).view(-1, *[1] * (places.ndim - 1))
    each_own: Tensor = values[rows, places]
    return each_own
