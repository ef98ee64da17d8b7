"""Sampling: the seed decides, not the batch; the options do what they say; windows slide."""

import math

import pytest
import torch

from distill.models import sampling
from distill.models.filling import sample_codes
from distill.models.prior import CodePrior
from distill.models.sampling import Points, clip_generator, draw, probabilities, uniform
from distill.models.stepping import Stepper
from distill.settings.generation import GenerationSettings
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
                token = draw(logits, GenerationSettings(), Points.of(uniform([generator], 1)[:, 0])).tokens
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


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"temperature": 0.7},
        {"temperature": 1e-310},
        {"temperature": 0.0},
        {"top_k": 4},
        {"top_p": 0.8},
        {"min_p": 0.2},
    ],
    ids=str,
)
def test_rounding_of_logits_decides_nothing(
    prior: CodePrior, monkeypatch: pytest.MonkeyPatch, given: dict[str, float]
) -> None:
    """Guards against a draw that the batch's size, the processor or its threads decide: here logits are off by far more
    than any of these makes them, and no code is another. (Without the draws from exact logits most sounds are.)"""
    settings = GenerationSettings.model_validate(given)
    plain = draw_all(prior, list(range(32)), 6, settings=settings)
    rounding = 3e-3
    noise = torch.Generator().manual_seed(0)
    real = Stepper._logits

    def rounded(self: Stepper, *args: torch.Tensor) -> torch.Tensor:
        logits = real(self, *args)  # type: ignore[arg-type]
        if logits.dtype == torch.float64:
            return logits
        extent = logits[:, :-1].amax(1, keepdim=True) - logits[:, :-1].amin(1, keepdim=True)
        return logits + (2.0 * torch.rand(logits.shape, generator=noise) - 1.0) * 0.8 * rounding * extent

    monkeypatch.setattr(Stepper, "_logits", rounded)
    monkeypatch.setattr(sampling, "ROUNDING", rounding)
    for again in (
        draw_all(prior, list(range(32)), 6, settings=settings),
        draw_all(prior, [31, 4], 6, settings=settings),
    ):
        seeds = range(32) if len(again) == 32 else (31, 4)
        assert all(torch.equal(codes, plain[seed]) for codes, seed in zip(again, seeds, strict=True))


@pytest.mark.parametrize(
    ("given", "clear", "unclear"),
    [
        ({"temperature": 0.0}, [4.0, 3.0, 0.0, -6.0], [4.0, 4.0 - 1e-6, 0.0, -6.0]),
        ({"top_k": 2}, [4.0, 3.0, 0.0, -6.0], [4.0, 3.0, 3.0 - 1e-6, -6.0]),
        ({"top_p": 0.5}, [4.0, 3.0, 0.0, -6.0], [4.0, 4.0 + 1e-6, -5.0, -6.0]),
        ({"min_p": 0.25}, [4.0, 3.0, 0.0, -6.0], [4.0, 4.0 + math.log(0.25) + 1e-7, -5.0, -6.0]),
        ({}, [4.0, 3.0, 0.0, -6.0], [4.0, 4.0, -60.0, -61.0]),
    ],
    ids=str,
)
def test_draws_that_rounding_leaves_open_are_noticed(
    given: dict[str, float], clear: list[float], unclear: list[float]
) -> None:
    """Guards against a tie, or a point between two codes, that is decided by the last bits; and against a check that is
    always alarmed, which would cost a pass of the whole window for each draw."""
    settings = GenerationSettings.model_validate(given)
    points = Points.of(torch.tensor([0.5], dtype=torch.float64))
    for logits, expected in ((clear, False), (unclear, True)):
        left_open = draw(torch.tensor([[*logits, float("-inf")]]), settings, points).open
        assert (left_open is not None and bool(left_open.any())) is expected


def test_exact_logits_are_a_rows_own(prior: CodePrior) -> None:
    """The slow oracle is the plain forward; to the last bit they are the same whatever stands beside the row."""
    prefix, start = torch.randint(0, 11, (3, 8, 3), generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 1])
    together, alone = prior.begin(start, prefix), prior.begin(start[1:2], prefix[1:2])
    stepper = Stepper(prior)
    steps = [stepper.step(together), stepper.step(alone)]
    chosen = torch.tensor([3, 4, 5])
    for step in steps:
        next(step)
    for level in range(3):
        found = stepper.exact.logits(together, 1, level)
        assert torch.equal(found, stepper.exact.logits(alone, 0, level))
        with torch.no_grad():
            expected = prior(together.codes[1:2, :9], start[1:2])[:, 8, level]
        assert torch.equal(found.isfinite(), expected.isfinite())
        finite = expected.isfinite()
        torch.testing.assert_close(found[finite].float(), expected[finite], atol=1e-4, rtol=0)
        steps[0].send(chosen)
        steps[1].send(chosen[1:2])


def test_each_row_has_its_own_end(prior: CodePrior) -> None:
    """Guards against a generator that is asked on because another row is longer: its noise would be another's."""
    generators = [clip_generator(seed) for seed in range(3)]
    together = list(sample_codes(prior, generators, [1, 5, 3], may_end=False))[-1]
    for seed, columns in enumerate([1, 5, 3]):
        generator = clip_generator(seed)
        (alone,) = list(sample_codes(prior, [generator], columns, may_end=False))[-1]
        assert torch.equal(alone, together[seed])
        assert torch.equal(generator.get_state(), generators[seed].get_state())


def test_probabilities_follow_the_options() -> None:
    """Guards against swapped or ignored temperature, top-k, min-p and top-p."""
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    plain = logits.double().softmax(-1)
    torch.testing.assert_close(probabilities(logits, GenerationSettings()), plain)
    assert probabilities(logits, GenerationSettings(temperature=0.0)).tolist() == [[1, 0, 0, 0]]
    assert (probabilities(logits, GenerationSettings(top_k=2)) > 0).tolist() == [[True, True, False, False]]
    kept = probabilities(logits, GenerationSettings(top_p=0.65)) > 0
    assert kept.tolist() == [[True, True, False, False]]  # 0.64 alone is not enough
    assert probabilities(logits, GenerationSettings(temperature=1e-310)).tolist() == [[1, 0, 0, 0]]  # no NaN
    kept = probabilities(logits, GenerationSettings(min_p=0.2))  # e^-2 is under it, e^-1 over
    torch.testing.assert_close(kept[0, :2], logits[0, :2].double().softmax(-1))
    assert kept[0, 2:].tolist() == [0, 0]
    assert (probabilities(logits, GenerationSettings(min_p=0.2, temperature=2.0)) > 0).sum() == 4
    sharp = probabilities(logits, GenerationSettings(temperature=0.5))
    assert sharp[0, 0] > plain[0, 0]


def test_draws_follow_the_distribution() -> None:
    """Guards against an inverse CDF that is shifted by one or draws what has no probability."""
    logits = torch.tensor([[0.0, float("-inf"), 1.0, 2.0, float("-inf")]])
    generators = [clip_generator(seed) for seed in range(4000)]
    points = Points.of(uniform(generators, 1)[:, 0])
    drawn = draw(logits.expand(4000, -1), GenerationSettings(), points).tokens
    counts = torch.bincount(drawn, minlength=5) / 4000
    torch.testing.assert_close(counts.double(), logits[0].double().softmax(-1), atol=0.03, rtol=0)
    assert counts[1] == counts[4] == 0
