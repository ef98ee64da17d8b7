"""Counting baselines against plain loops."""

import math
from collections import Counter, defaultdict

import pytest
import torch

from distill.training.prior.baselines import ngram_bits, unigram_bits

SIZE, BANDS, LEVELS = 5, 2, 2


def sequences(count: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(0, SIZE, (BANDS * columns, LEVELS), generator=generator) for columns in range(2, 2 + count)]
    for sequence in drawn:
        sequence[:, 1] = (sequence[:, 0] + sequence[:, 1] // 3) % SIZE  # the levels depend on each other
    return drawn


def slow_ngram(train: list[torch.Tensor], val: list[torch.Tensor], shared: int = 1) -> float:
    """Witten-Bell with dictionaries, one code at a time."""

    def places(sequence: torch.Tensor) -> list[tuple[int, int, list[tuple[int, ...]]]]:
        found = []
        for s in range(len(sequence)):
            for q in range(LEVELS if s // BANDS % shared == 0 else LEVELS - 1):
                before = int(sequence[s - BANDS, q]) if s >= BANDS else SIZE
                below = int(sequence[s, q - 1]) if q else int(sequence[s - 1, 0]) if s % BANDS else SIZE
                found.append((q, int(sequence[s, q]), [(q,), (q, before), (q, before, below)]))
        return found

    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for sequence in train:
        for _, code, contexts in places(sequence):
            for context in contexts:
                counts[context][code] += 1
    bits, asked = 0.0, 0
    for sequence in val:
        for _, code, contexts in places(sequence):
            chance = 1.0 / SIZE
            for context in contexts:
                if context in counts:
                    total, kinds = counts[context].total(), len(counts[context])
                    chance = (counts[context][code] + kinds * chance) / (total + kinds)
            bits -= math.log2(chance)
            asked += 1
    return bits / asked


@pytest.mark.parametrize("shared", [1, 3])
def test_the_ngram_model_is_witten_and_bells(shared: int) -> None:
    """Of a last level that columns share, the first of them counts alone."""
    train, val = sequences(9, 0), sequences(4, 1)
    assert ngram_bits(train, val, SIZE, BANDS, shared) == pytest.approx(slow_ngram(train, val, shared))
    assert ngram_bits(train, val, SIZE, BANDS) < unigram_bits(train, val, SIZE, BANDS)


def test_codes_that_were_never_heard_cost_something_finite() -> None:
    """Guards against infinite bits where held-out sounds use new codes."""
    train, val = [torch.zeros(8, 2, dtype=torch.long)], [torch.full((8, 2), 4)]
    assert math.isfinite(ngram_bits(train, val, SIZE, BANDS))
    assert math.isfinite(unigram_bits(train, val, SIZE, BANDS))


def test_unigram_bits_of_uniform_codes() -> None:
    codes = torch.arange(16).repeat(500)[:, None].expand(-1, 2)
    assert unigram_bits([codes], [codes[:160]], 16, BANDS) == pytest.approx(4.0, abs=1e-3)
