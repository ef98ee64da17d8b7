"""The prior: code layout, causality, and the cached path against the plain one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distill.config import PriorConfig
from distill.models.prior import BOS, MID, CodePrior, flatten_codes, unflatten_codes

SMALL = PriorConfig(hidden_size=32, num_layers=2, num_heads=2, codebook_size=11, seq_len=16, bands=4, rvq_levels=3)


@pytest.fixture
def prior() -> CodePrior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CodePrior(SMALL).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)  # far from the start, so that a leak would show
    return model


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, SMALL.codebook_size, (batch, length), generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 4), st.integers(0, 12), st.integers(1, 4))
def test_flatten_and_unflatten_are_inverse_and_position_major(batch: int, positions: int, levels: int) -> None:
    """Guards against level-major order, in which a prefix of tokens would not be the past."""
    codes = torch.arange(batch * positions * levels).view(batch, positions, levels)
    flat = flatten_codes(codes)
    assert torch.equal(unflatten_codes(flat, levels), codes)
    if positions:
        assert flat[0, :levels].tolist() == codes[0, 0].tolist()


def test_unflatten_refuses_half_a_position() -> None:
    with pytest.raises(ValueError, match="whole number"):
        unflatten_codes(torch.zeros(1, 7, dtype=torch.long), 3)


@pytest.mark.parametrize("changed", [0, 5, 11, 12, 30, 47])
def test_a_later_token_changes_no_earlier_logit(prior: CodePrior, changed: int) -> None:
    """Guards against leaks through attention or through the neighbour embeddings."""
    before = tokens(2, prior.max_tokens)
    after = before.clone()
    after[:, changed] = (after[:, changed] + 1) % SMALL.codebook_size
    start = torch.tensor([BOS, MID])
    first, second = prior(before, start), prior(after, start)
    assert torch.equal(first[:, : changed + 1], second[:, : changed + 1])
    assert not torch.allclose(first[:, changed + 1 :].nan_to_num(), second[:, changed + 1 :].nan_to_num())


@pytest.mark.parametrize("prefix", [0, 1, 7, 24])
def test_cached_steps_equal_the_plain_forward(prior: CodePrior, prefix: int) -> None:
    """Guards against a cache that is off by one, and against wrong positions after a prefix."""
    sequence, start = tokens(3, prior.max_tokens), torch.tensor([BOS, MID, BOS])
    plain = prior(sequence, start).exp()
    cache = prior.new_cache(3)
    torch.testing.assert_close(prior.prime(cache, sequence[:, :prefix], start).exp(), plain[:, prefix])
    for length in range(prefix + 1, prior.max_tokens):
        torch.testing.assert_close(prior.step(cache, sequence[:, :length], start).exp(), plain[:, length])


def test_eos_is_possible_only_where_a_column_begins(prior: CodePrior) -> None:
    """Guards against sounds that end in the middle of a column, which could not be decoded."""
    logits = prior(tokens(1, prior.max_tokens), torch.tensor([BOS]))[0, :, prior.eos]
    per_column = SMALL.bands * SMALL.rvq_levels
    finite = logits.isfinite().nonzero().flatten().tolist()
    assert finite == list(range(0, prior.max_tokens + 1, per_column))


def test_hidden_tokens_are_really_hidden(prior: CodePrior) -> None:
    """Guards against masking in training that masks nothing."""
    before = tokens(1, prior.max_tokens)
    after = before.clone()
    after[:, 6] = (after[:, 6] + 3) % SMALL.codebook_size
    hidden = torch.zeros_like(before, dtype=torch.bool)
    hidden[:, 6] = True
    start = torch.tensor([MID])
    assert torch.equal(prior(before, start, hidden), prior(after, start, hidden))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="--heads 3 does not divide --hidden-size 32"):
        PriorConfig(hidden_size=32, num_heads=3)
