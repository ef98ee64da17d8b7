"""Quantiles of a corpus: shares and values lead back to each other."""

import pytest
import torch

from distill.audio.wished import POINTS, Quantiles


def test_shares_are_those_of_the_corpus() -> None:
    """Guards against shares of the range instead of shares of the sounds."""
    skewed = torch.arange(1000.0) ** 3
    quantiles = Quantiles.of(skewed)
    assert quantiles.points.shape == (POINTS,) and quantiles.points.dtype == torch.float32
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        below = (skewed < quantiles.to_value(torch.tensor(share))).float().mean()
        assert float(below) == pytest.approx(share, abs=0.02)
    shares = torch.linspace(0, 1, 50)
    assert torch.allclose(quantiles.to_share(quantiles.to_value(shares)), shares, atol=1e-3)


def test_what_many_sounds_have_is_the_middle_of_their_shares() -> None:
    """Guards against one onset, which most of a corpus has, being the least that can be wished for."""
    counts = torch.tensor([1.0] * 60 + [2.0] * 20 + [7.0] * 20)
    quantiles = Quantiles.of(counts)
    assert quantiles.to_share(torch.tensor([1.0, 2.0, 7.0])).tolist() == pytest.approx([0.3, 0.7, 0.9], abs=0.03)
    assert quantiles.to_value(torch.tensor([0.3, 0.7, 0.9])).tolist() == [1.0, 2.0, 7.0]


def test_of_different_values_every_one_has_its_part() -> None:
    """Guards against wishes for onsets that all mean one, because nine of ten sounds have one."""
    counts = torch.tensor([1.0] * 90 + [2.0, 3.0, 5.0, 15.0])
    assert Quantiles.of(counts).to_value(torch.tensor([0.1, 0.5, 0.9])).tolist() == [1.0, 1.0, 1.0]
    quantiles = Quantiles.of(counts.unique())
    assert quantiles.to_share(torch.tensor([1.0, 2.0, 3.0, 5.0, 15.0])).tolist() == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )


def test_values_outside_are_cut_and_nan_passes() -> None:
    quantiles = Quantiles.of(torch.tensor([1.0, torch.nan, 3.0]))
    shares = quantiles.to_share(torch.tensor([[-9.0, 2.0], [9.0, torch.nan]]))
    assert shares[:, 0].tolist() == [0.0, 1.0] and shares[0, 1] == 0.5 and shares[1, 1].isnan()
    values = quantiles.to_value(torch.tensor([-1.0, 2.0, torch.nan]))
    assert values[:2].tolist() == [1.0, 3.0] and values[2].isnan()


@pytest.mark.parametrize("values", [torch.zeros(0), torch.full((3,), torch.nan)])
def test_a_trait_that_a_corpus_has_not(values: torch.Tensor) -> None:
    """Guards against an exception for drums without any pitch."""
    quantiles = Quantiles.of(values)
    assert not quantiles.known
    assert (
        quantiles.to_share(torch.tensor([1.0])).isnan().all() and quantiles.to_value(torch.tensor([0.5])).isnan().all()
    )


def test_a_corpus_in_which_all_are_alike() -> None:
    quantiles = Quantiles.of(torch.tensor([5.0]))
    assert quantiles.known and quantiles.to_value(torch.tensor(0.9)) == 5.0
    assert quantiles.to_share(torch.tensor([4.0, 5.0, 6.0])).tolist() == [0.0, 0.5, 1.0]
