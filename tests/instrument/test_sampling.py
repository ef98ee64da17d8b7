"""Codes of any length: a sound's own, whatever is made with it."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from distill.instrument.sampling import sample_pieces
from distill.modelfile.opened import LoadedVQModel
from distill.models.filling import sample_codes
from distill.models.prior import CodePrior
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import COLUMN_SECONDS, SpectrogramConfig
from distill.settings.prior import PriorConfig
from tiny import prior_that_ends

SMALL = PriorConfig(
    hidden_size=32, num_layers=1, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=16, bands=4, rvq_levels=2
)
WINDOW = 4 * COLUMN_SECONDS
LOADED = cast(LoadedVQModel, SimpleNamespace(card=SimpleNamespace(spectrogram_config=SpectrogramConfig(), periods=())))


@pytest.fixture(scope="module")
def prior() -> CodePrior:
    """One that ends a sound every third column or so."""
    return prior_that_ends(SMALL, 2.0)


def made(prior: CodePrior, seeds: range, settings: GenerationSettings) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each seed its codes, and the state that its generator is left in."""
    generators = [clip_generator(seed) for seed in seeds]
    *_, (done, total, sampled) = sample_pieces(prior, generators, LOADED, settings)
    assert done == total
    assert not any(each.ended for each in sampled if settings.ending != "natural")
    return [(each.codes, generator.get_state()) for each, generator in zip(sampled, generators, strict=True)]


@pytest.mark.parametrize(
    ("settings", "filled", "count"),
    [
        (GenerationSettings(seconds=WINDOW, ending="exact"), True, 64),
        (GenerationSettings(seconds=2.2 * WINDOW, temperature=1.4, top_k=5), True, 17),
        (GenerationSettings(seconds=1.5 * WINDOW, ending="natural"), False, 32),
    ],
    ids=["exact", "long", "natural"],
)
def test_a_sound_is_the_same_whatever_is_made_with_it(
    prior: CodePrior, settings: GenerationSettings, filled: bool, count: int
) -> None:
    """Guards against sound i of seed s that is not sound 0 of seed s + i: the oracle makes them one by one.

    What the generator gives next is the noise of texture and synthesis, so that must be the same, too.
    """
    alone = [made(prior, range(seed, seed + 1), settings)[0] for seed in range(count)]
    columns = {len(codes) // 4 for codes, _ in alone}
    assert len(columns) == 1 if filled else len(columns) > 2
    for size in (3, 16):
        batches = [range(first, min(first + size, count)) for first in range(0, count, size)]
        together = [one for seeds in batches for one in made(prior, seeds, settings)]
        for (codes, state), (expected, left) in zip(together, alone, strict=True):
            assert torch.equal(codes, expected)
            assert torch.equal(state, left)


def test_a_sound_may_end_just_where_it_would_be_cut(prior: CodePrior) -> None:
    """Guards against sounds that end with the last column wanted and count as cut; the oracle asks for one more column."""
    seeds = range(40)

    def drawn(columns: int) -> list[int]:
        generators = [clip_generator(seed) for seed in seeds]
        return [len(codes) // 4 for codes in list(sample_codes(prior, generators, columns))[-1]]

    settings = GenerationSettings(seconds=3 * COLUMN_SECONDS, ending="natural")
    *_, (_, total, sampled) = sample_pieces(prior, [clip_generator(seed) for seed in seeds], LOADED, settings)
    assert total == 3
    at_limit = [each.ended for each in sampled if len(each.codes) == 12]
    assert any(at_limit)
    assert not all(at_limit)
    assert [each.ended for each in sampled] == [length <= 3 for length in drawn(4)]
