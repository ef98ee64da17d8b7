"""Sampling: the seed decides, not the batch; the options do what they say; windows slide."""

import pytest
import torch

from distill.models.prior import CodePrior
from distill.models.sampling import SamplingOptions, clip_generator, draw, probabilities, sample_codes, uniform
from distill.settings.prior import PriorConfig

SMALL = PriorConfig(
    hidden_size=32, num_layers=2, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=16, bands=4, rvq_levels=3
)


@pytest.fixture(scope="module")
def prior() -> CodePrior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CodePrior(SMALL, torch.randn(3, 11, 5))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def draw_all(prior: CodePrior, seeds: list[int], columns: int, **options: object) -> list[torch.Tensor]:
    generators = [clip_generator(seed) for seed in seeds]
    return list(sample_codes(prior, generators, columns, **options))[-1]  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [3, 11])
def test_a_seed_gives_the_same_codes_at_any_batch_size(prior: CodePrior, columns: int) -> None:
    """Guards against one generator shared by the batch; 11 columns also cross two window slides."""
    together = draw_all(prior, [1, 2, 3, 4, 5], columns)
    alone = [draw_all(prior, [seed], columns)[0] for seed in [1, 2, 3, 4, 5]]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(together[0][:4], together[1][:4])


def test_sampling_leaves_the_global_randomness_alone(prior: CodePrior) -> None:
    """Guards against drawing from torch's global generator."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draw_all(prior, [1], 3)
    assert torch.equal(torch.rand(3), expected)


def test_within_the_window_each_token_is_drawn_from_the_plain_forward(prior: CodePrior) -> None:
    """The slow oracle: the whole sequence through the network for every token, without a cache."""
    drawn = draw_all(prior, [9], 4, may_end=False)[0]
    generator = clip_generator(9)
    codes = torch.zeros(1, SMALL.seq_len, SMALL.rvq_levels, dtype=torch.long)
    with torch.no_grad():
        for position in range(SMALL.seq_len):
            for level in range(SMALL.rvq_levels):
                logits = prior(codes, torch.tensor([0]))[:, position, level]
                logits[:, prior.eos] = float("-inf")
                token = draw(logits, SamplingOptions(), uniform([generator], 1)[:, 0])
                assert token.item() == drawn[position, level].item()
                codes[:, position, level] = token


def test_a_sequence_ends_where_eos_is_drawn(prior: CodePrior) -> None:
    """Guards against sounds that go on after their end, and against an end that ends its neighbours."""
    eager = CodePrior(SMALL)
    eager.load_state_dict(prior.state_dict())
    with torch.no_grad():
        for parameter in eager.heads[0].parameters():
            parameter.zero_()
        eager.heads[0].free.bias[eager.eos] = 1.2  # e^1.2 against 11 codes: an end every fourth column or so
    generators = [clip_generator(seed) for seed in range(24)]
    lengths = [len(codes) for codes in list(sample_codes(eager, generators, 12))[-1]]
    alone = clip_generator(3)
    list(sample_codes(eager, [alone], 12))
    assert torch.rand(1, generator=alone) == torch.rand(1, generator=generators[3])  # whoever went on longer beside it
    assert len(set(lengths)) > 2
    assert all(length % SMALL.bands == 0 and length > 0 for length in lengths)


def test_probabilities_follow_the_options() -> None:
    """Guards against swapped or ignored temperature, top-k and top-p."""
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    plain = logits.double().softmax(-1)
    torch.testing.assert_close(probabilities(logits, SamplingOptions()), plain)
    assert probabilities(logits, SamplingOptions(temperature=0.0)).tolist() == [[1, 0, 0, 0]]
    assert (probabilities(logits, SamplingOptions(top_k=2)) > 0).tolist() == [[True, True, False, False]]
    kept = probabilities(logits, SamplingOptions(top_p=0.65)) > 0
    assert kept.tolist() == [[True, True, False, False]]  # 0.64 alone is not enough
    sharp = probabilities(logits, SamplingOptions(temperature=0.5))
    assert sharp[0, 0] > plain[0, 0]


def test_draws_follow_the_distribution() -> None:
    """Guards against an inverse CDF that is shifted by one or draws what has no probability."""
    logits = torch.tensor([[0.0, float("-inf"), 1.0, 2.0, float("-inf")]])
    generators = [clip_generator(seed) for seed in range(4000)]
    points = uniform(generators, 1)[:, 0]
    counts = torch.bincount(draw(logits.expand(4000, -1), SamplingOptions(), points), minlength=5) / 4000
    torch.testing.assert_close(counts.double(), logits[0].double().softmax(-1), atol=0.03, rtol=0)
    assert counts[1] == counts[4] == 0
