"""What counting alone predicts: the figures a prior has to beat to be worth its name."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from distill.training.prior.windows import image_repeated

ADDED = 0.5
"""Added to every count of the unigram model."""


class Baselines(NamedTuple):
    """Bits per code of held-out sequences by counting alone."""

    unigram: float
    ngram: float

    @classmethod
    def of(
        cls, train: Sequence[Tensor], val: Sequence[Tensor], codebook_size: int, bands: int, image_columns: int = 1
    ) -> Self:
        """Counted in the training sequences [S, Q].

        Args:
            image_columns: how many columns share the codes of the last level: one of them counts.
        """
        counted = (codebook_size, bands, image_columns)
        return cls(unigram_bits(train, val, *counted), ngram_bits(train, val, *counted))

    @property
    def best(self) -> float:
        """What a prior has to beat."""
        return min(self)

    def not_beaten(self, bits_per_code: float) -> str:
        """What to say of a prior that has learned less than counting gives."""
        how = "counting single codes" if self.unigram <= self.ngram else "counting short patterns"
        return (
            f"The prior predicts held-out sounds no better ({bits_per_code:.2f} bits per code) than {how} does "
            f"({self.best:.2f}): what it generates will be close to random. More recordings or more --epochs may help."
        )


def unigram_bits(
    train: Sequence[Tensor], val: Sequence[Tensor], codebook_size: int, bands: int, image_columns: int = 1
) -> float:
    """Bits per code of guessing by how often each code of a level was seen in training.

    Args:
        train, val: sequences of codes [S, Q].
    """
    bits, asked = 0.0, 0
    for level in range(train[0].shape[1]):
        heard, wanted = (_contexts(each, level, codebook_size, bands, image_columns).code for each in (train, val))
        counts = torch.bincount(heard, minlength=codebook_size).double() + ADDED
        bits -= float((counts / counts.sum()).log2()[wanted].sum())
        asked += len(wanted)
    return bits / asked


def ngram_bits(
    train: Sequence[Tensor], val: Sequence[Tensor], codebook_size: int, bands: int, image_columns: int = 1
) -> float:
    """Bits per code of a smoothed n-gram model (Witten and Bell's interpolation, 1991).

    A code is predicted from longer and longer contexts, each interpolated with the one before: the level; the code one
    column earlier in the same band and level; and, with that, the code of the level below at the same position (for
    the first level, that of the band below).

    Args:
        train, val: sequences of codes [S, Q].
    """
    levels = train[0].shape[1]
    bits, asked = 0.0, 0
    for level in range(levels):
        heard = _contexts(train, level, codebook_size, bands, image_columns)
        wanted = _contexts(val, level, codebook_size, bands, image_columns)
        chance = torch.full((len(wanted.code),), 1.0 / codebook_size, dtype=torch.double)
        for context, seen in zip(wanted.contexts, heard.contexts, strict=True):
            chance = _interpolated(chance, context, wanted.code, seen, heard.code, codebook_size)
        bits -= float(chance.log2().sum())
        asked += len(chance)
    return bits / asked


class _Contexts:
    """Codes of one level [N], and for each the number of its context, from short to long."""

    def __init__(self, code: Tensor, contexts: list[Tensor]) -> None:
        self.code = code
        self.contexts = contexts


def _contexts(sequences: Sequence[Tensor], level: int, size: int, bands: int, image_columns: int) -> _Contexts:
    """Of every column; of the last level of the first one of each that share its codes."""
    shared = image_columns if level + 1 == sequences[0].shape[1] else 1
    codes, before, below, counted = [], [], [], []
    for sequence in sequences:
        own = sequence[:, level]
        nothing = torch.full((bands,), size)
        codes.append(own)
        counted.append(~image_repeated(0, len(own) // bands, shared, bands))
        before.append(torch.cat([nothing, own])[: len(own)])
        if level:
            below.append(sequence[:, level - 1])
        else:
            lower = torch.cat([nothing[:1], own])[: len(own)]
            below.append(torch.where(torch.arange(len(own)) % bands == 0, size, lower))
    code, earlier, lower = (torch.cat(each)[torch.cat(counted)] for each in (codes, before, below))
    return _Contexts(code, [torch.zeros_like(code), earlier, earlier * (size + 1) + lower])


def _interpolated(shorter: Tensor, context: Tensor, code: Tensor, seen: Tensor, heard: Tensor, size: int) -> Tensor:
    """Witten-Bell: (count(context, code) + kinds(context) * shorter) / (count(context) + kinds(context))."""
    pair, pairs = context * size + code, seen * size + heard
    distinct, counts = torch.unique(pairs, return_counts=True)
    of_pair = _looked_up(distinct, counts, pair)
    contexts, totals = torch.unique(seen, return_counts=True)
    of_context = _looked_up(contexts, totals, context)
    owners, kinds = torch.unique(distinct // size, return_counts=True)
    of_kind = _looked_up(owners, kinds, context)
    known = of_context > 0
    mixed = (of_pair + of_kind * shorter) / (of_context + of_kind).clamp_min(1)
    return torch.where(known, mixed, shorter)


def _looked_up(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """The value of each wanted key, 0 where it is unknown; `keys` are sorted."""
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, values[place], 0).double()
