"""The prior: code layout, causality, and the cached path against the plain one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distill.models.prior import BOS, MID, CodePrior, flatten_codes, unflatten_codes
from distill.models.stepping import Stepper
from distill.settings.prior import PriorConfig

SMALL = PriorConfig(
    hidden_size=32, num_layers=2, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=16, bands=4, rvq_levels=3
)


@pytest.fixture
def prior() -> CodePrior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CodePrior(SMALL, torch.randn(3, 11, 5)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)  # far from the start, so that a leak would show
    return model


def draw_codes(batch: int, positions: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, SMALL.codebook_size, (batch, positions, SMALL.rvq_levels), generator=generator)


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
    """Guards against leaks through attention, the neighbours' codes and vectors, or the levels above."""
    before = draw_codes(2, SMALL.seq_len)
    after = before.clone()
    position, level = divmod(changed, SMALL.rvq_levels)
    after[:, position, level] = (after[:, position, level] + 1) % SMALL.codebook_size
    start = torch.tensor([BOS, MID])
    first, second = (flatten_codes(prior(codes, start)) for codes in (before, after))
    assert torch.equal(first[:, : changed + 1], second[:, : changed + 1])
    assert not torch.allclose(first[:, changed + 1 :].softmax(-1), second[:, changed + 1 :].softmax(-1))


@pytest.mark.parametrize("prefix", [0, 1, 7, 15])
@pytest.mark.parametrize("batch", [1, 3, 6])
def test_cached_steps_equal_the_plain_forward(prior: CodePrior, prefix: int, batch: int) -> None:
    """Guards against a cache that is off by one, wrong places after a prefix, and tables folded wrongly."""
    codes, start = draw_codes(batch, SMALL.seq_len), torch.tensor([BOS, MID] * 3)[:batch]
    plain = prior(codes, start).softmax(-1)
    state, stepper = prior.begin(start, codes[:, :prefix]), Stepper(prior)
    for position in range(prefix, SMALL.seq_len):
        levels = stepper.step(state)
        logits = next(levels)
        for level in range(SMALL.rvq_levels):
            torch.testing.assert_close(logits.softmax(-1), plain[:, position, level], atol=1e-5, rtol=1e-4)
            logits = levels.send(codes[:, position, level])
    torch.testing.assert_close(next(stepper.step(state)).softmax(-1), plain[:, -1, 0], atol=1e-5, rtol=1e-4)


def test_shorter_windows_are_prefixes_of_longer_ones(prior: CodePrior) -> None:
    """Guards against logits that depend on how much room follows."""
    codes, start = draw_codes(2, SMALL.seq_len), torch.tensor([BOS, MID])
    short, long = prior(codes[:, :8], start), prior(codes, start)
    torch.testing.assert_close(short[:, :8].softmax(-1), long[:, :8].softmax(-1))
    torch.testing.assert_close(short[:, 8, 0].softmax(-1), long[:, 8, 0].softmax(-1))
    assert prior(codes[:, :0], start).shape == (2, 1, 3, 12)


def test_eos_is_possible_only_where_a_column_begins(prior: CodePrior) -> None:
    """Guards against sounds that end in the middle of a column, which could not be decoded."""
    logits = prior(draw_codes(1, SMALL.seq_len), torch.tensor([BOS]))[0, :, :, prior.eos]
    possible = {tuple(place) for place in logits.isfinite().nonzero().tolist()}
    assert possible == {(position, 0) for position in range(0, SMALL.seq_len + 1, SMALL.bands)}


def test_hidden_codes_are_really_hidden(prior: CodePrior) -> None:
    """Guards against masking in training that masks nothing: only the position's own levels above may see the code."""
    before = draw_codes(1, SMALL.seq_len)
    after = before.clone()
    after[:, 6, 1] = (after[:, 6, 1] + 3) % SMALL.codebook_size
    hidden = torch.zeros_like(before, dtype=torch.bool)
    hidden[:, 6, 1] = True
    first, second = (prior(codes, torch.tensor([MID]), hidden) for codes in (before, after))
    assert torch.equal(first[:, 7:], second[:, 7:])
    assert torch.equal(first[:, 6, :2], second[:, 6, :2])


def test_the_codebooks_are_kept_and_not_trained() -> None:
    """Guards against a prior that loses the vectors its codes stand for when it is saved."""
    books = torch.randn(3, 11, 5, generator=torch.Generator().manual_seed(1))
    prior = CodePrior(SMALL, books)
    again = CodePrior(SMALL)
    again.load_state_dict(prior.state_dict())
    assert torch.equal(again.vectors, prior.vectors)
    torch.testing.assert_close(prior.vectors[:, :11] / prior.vectors[0, 0, 0], books / books[0, 0, 0])
    assert "vectors" not in dict(prior.named_parameters())


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="--heads 3 does not divide --hidden-size 32"):
        PriorConfig(hidden_size=32, num_heads=3)
