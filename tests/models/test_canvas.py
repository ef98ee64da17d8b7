"""Canvases: any order of reading against causality and the plain forward; what is filled, in which windows, by what."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill.errors import DistillError
from distill.models.canvas import Canvas, Guide, Shape, open_canvas, reaches
from distill.models.filling import Filled, fill
from distill.models.likelihood import bits_per_code, log_likelihood
from distill.models.prior import BOS, MID, CodePrior, Given
from distill.models.reading import order_around, read_in_order
from distill.models.sampling import clip_generator
from distill.models.stepping import Stepper
from distill.models.wishes import trait_features
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.prior import PriorConfig

BANDS, COLUMNS, LEVELS = 3, 5, 2
SMALL = PriorConfig(
    hidden_size=32, num_layers=2, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=BANDS * COLUMNS, bands=BANDS,
    rvq_levels=LEVELS, both_sides=True, traits=True, kinds=3, periods=True,
)  # fmt: skip
ORDER = torch.tensor([[0, 3, 4, 1, 2, 5], [0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5]])
KNOWN = (True, False, False, True, True)


@pytest.fixture(scope="module")
def prior() -> CodePrior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CodePrior(SMALL, torch.randn(LEVELS, 11, 5)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def draw_codes(rows: int, columns: int = COLUMNS, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 11, (rows, columns * BANDS, LEVELS), generator=generator)


def with_hole(codes: Tensor, known: Sequence[bool], **more: Any) -> Canvas:
    """Codes [S, Q] of which whole columns are known."""
    free = ~torch.tensor(known).repeat_interleave(BANDS)[:, None].expand(-1, LEVELS)
    return Canvas(codes, free, BANDS, **more)


def filled(prior: CodePrior, canvases: Sequence[Canvas], seeds: Sequence[int], **settings: Any) -> list[Filled]:
    filling = fill(prior, canvases, [clip_generator(seed) for seed in seeds], GenerationSettings(**settings))
    while True:
        try:
            next(filling)
        except StopIteration as end:
            return list(end.value)


def told() -> Given:
    """Everything that a window can be told."""
    traits = torch.tensor([-6.0, 9.0, 60.0, 1.0]).repeat(3, COLUMNS + 1, 1)
    traits[1] = math.nan
    traits[2, :3] = math.nan
    return Given(ORDER, None, torch.tensor([-1, 5, 9]), traits, torch.tensor([0, 1, 3]), torch.tensor([2, 1, 3]))


@pytest.mark.parametrize("changed", range(BANDS * COLUMNS * LEVELS))
def test_no_step_sees_what_is_read_later(prior: CodePrior, changed: int) -> None:
    """Guards against a hole that is predicted from itself: through attention, neighbours on either side, or levels above."""
    before = draw_codes(3)
    after = before.clone()
    place, level = divmod(changed, LEVELS)
    after[:, place, level] = (after[:, place, level] + 1) % 11
    start = torch.tensor([BOS, MID, MID])
    first, second = (prior(codes, start, None, told()).flatten(1, 2) for codes in (before, after))
    for row, order in enumerate(ORDER.tolist()):
        step = order.index(place // BANDS) * BANDS + place % BANDS
        read = step * LEVELS + level + 1
        assert torch.equal(first[row, :read], second[row, :read])
        assert not torch.allclose(first[row, read:].softmax(-1), second[row, read:].softmax(-1))


@pytest.mark.parametrize("part", ["end", "traits", "kind", "period"])
def test_what_is_told_is_heard(prior: CodePrior, part: str) -> None:
    """Guards against an end, wishes, a kind or a period that never reach the network."""
    codes, start, everything = draw_codes(3), torch.tensor([BOS, MID, MID]), told()
    less = everything._replace(**{part: None})
    with_it, without = (prior(codes, start, None, each)[2, 6:].softmax(-1) for each in (everything, less))
    assert not torch.allclose(with_it, without)


def test_a_wish_for_nothing_changes_nothing(prior: CodePrior) -> None:
    """Guards against a prior that is told something by being told nothing."""
    codes, start = draw_codes(3), torch.tensor([BOS, MID, MID])
    nothing = Given(
        traits=torch.full((3, COLUMNS + 1, 4), math.nan), end=torch.tensor([-1, -1, -1]), period=torch.tensor([0, 0, 0])
    )
    torch.testing.assert_close(prior(codes, start, None, nothing).softmax(-1), prior(codes, start).softmax(-1))


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("prefix", [0, 1, 9])
@pytest.mark.parametrize("rows", [1, 2])
def test_cached_steps_equal_the_plain_forward_in_any_order(prior: CodePrior, row: int, prefix: int, rows: int) -> None:
    """Guards against a cache, gaps, ends or wishes that the stepper reads from other places than the network learned them; one
    row by itself goes through numpy."""
    codes, start = draw_codes(3)[row : row + 1].expand(rows, -1, -1), torch.tensor([MID] * rows)
    given = told().row(row)._replace(order=ORDER[row : row + 1])
    plain = prior(codes, start, None, given).softmax(-1)
    places = (ORDER[row][:, None] * BANDS + torch.arange(BANDS)).flatten()
    state, stepper = prior.begin(start, codes[:, places[:prefix]], given), Stepper(prior)
    for step in range(prefix, BANDS * COLUMNS):
        assert state.place == int(places[step])
        levels = stepper.step(state)
        logits = next(levels)
        for level in range(LEVELS):
            torch.testing.assert_close(logits.softmax(-1), plain[:, step, level], atol=1e-5, rtol=1e-4)
            logits = levels.send(codes[:, state.place, level] if level + 1 < LEVELS else codes[:, places[step], level])


def test_neighbours_are_the_nearest_known_ones() -> None:
    """Guards against sources that are not known yet, or farther away than need be, and of another place of the period; an
    oracle looks for each by hand."""
    periods = (2, 0, 3)
    reading = read_in_order(ORDER, BANDS, both_sides=True, period=torch.tensor(periods))
    for row, (order, period) in enumerate(zip(ORDER.tolist(), periods, strict=True)):
        for step in range(BANDS * COLUMNS + 1):
            place = order[step // BANDS] * BANDS + step % BANDS
            column, band = divmod(place, BANDS)
            known = sorted(order[: step // BANDS])
            left = [each for each in known if each < column][::-1]
            right = [each for each in known if each > column]
            ago = [each for each in left if period and (column - each) % period == 0]
            later = [each for each in right if period and (each - column) % period == 0]
            wanted = [
                None if step == 0 else order[(step - 1) // BANDS] * BANDS + (step - 1) % BANDS,
                left[0] * BANDS + band if left else None,
                place - 1 if band else None,
                left[1] * BANDS + band if len(left) > 1 else None,
                right[0] * BANDS + band if right else None,
                right[1] * BANDS + band if len(right) > 1 else None,
                ago[0] * BANDS + band if ago else None,
                later[0] * BANDS + band if later else None,
            ]
            exists, source = reading.exists[row, step].tolist(), reading.source[row, step].tolist()
            assert [at if there else None for at, there in zip(source, exists, strict=True)] == wanted
            assert reading.left_gap[row, step] == (column - left[0] - 1 if left else 0)
            assert reading.right_gap[row, step] == (right[0] - column if right else 0)


@given(st.lists(st.booleans(), max_size=14), st.integers(0, 9), st.integers(1, 6))
def test_every_free_column_is_drawn_once_with_all_that_is_known_in_reach(
    fixed: list[bool], more: int, window: int
) -> None:
    """Guards against columns that are left out, drawn twice or over what is fixed, and windows that forget what is known."""
    last = max((place + 1 for place, known in enumerate(fixed) if known), default=0)
    columns, known = len(fixed) + more, [*fixed, *[False] * more]
    shape = Shape(tuple(fixed[:last]), (False,) * last, True)
    drawn: list[int] = []
    for reach in reaches(shape, columns, window):
        assert len(reach.known) == window
        inside = [place < columns and known[place] for place in range(reach.first, reach.first + window)]
        assert reach.known == inside
        assert reach.drawn
        assert all(0 <= place < window and not reach.known[place] for place in reach.drawn)
        for place in reach.drawn:
            drawn.append(reach.first + place)
            known[reach.first + place] = True
    assert drawn == [place for place, there in enumerate([*fixed, *[False] * more]) if not there]


def test_the_last_part_of_a_long_hole_has_both_sides_in_view() -> None:
    """Guards against a hole that is filled from the left alone and does not meet what follows."""
    fixed = (True,) * 8 + (False,) * 12 + (True,) * 8
    last = list(reaches(Shape(fixed, (False,) * 28, True), 28, 6))[-1]
    after = last.known[last.drawn[-1] + 1 :]
    assert any(after)
    assert last.known[last.drawn[0] - 1]


def test_what_is_fixed_stays_and_what_is_free_is_drawn_by_both_sides(prior: CodePrior) -> None:
    """Guards against a canvas that is drawn over, and a hole whose right side does not count."""
    codes = draw_codes(2)
    canvases = [with_hole(each, KNOWN, ends="never") for each in codes]
    found = filled(prior, canvases, [1, 1])
    for canvas, each in zip(canvases, found, strict=True):
        fixed = ~canvas.free
        assert torch.equal(each.codes[fixed], canvas.codes[fixed])
        assert not each.log_likelihood[fixed].any()
        assert bool((each.log_likelihood[canvas.free] < 0).all())
    other = codes[0].clone()
    other[3 * BANDS :] = (other[3 * BANDS :] + 5) % 11  # behind the hole
    (changed,) = filled(prior, [with_hole(other, KNOWN)], [1])
    assert not torch.equal(changed.codes[BANDS : 3 * BANDS], found[0].codes[BANDS : 3 * BANDS])


def test_likelihoods_are_those_of_the_plain_forward(prior: CodePrior) -> None:
    """Guards against likelihoods of another place, level or order: the oracle runs the whole window at once."""
    (found,) = filled(prior, [with_hole(draw_codes(1)[0], KNOWN, begins=False)], [4])
    order = order_around(torch.tensor([KNOWN]))
    logits = prior(found.codes[None], torch.tensor([MID]), None, Given(order))[0].clone()
    logits[..., prior.eos] = -math.inf
    places = (order[0, :-1, None] * BANDS + torch.arange(BANDS)).flatten()
    wanted = logits[:-1].log_softmax(-1).gather(-1, found.codes[places][..., None])[..., 0]
    for step, place in enumerate(places.tolist()):
        if not KNOWN[place // BANDS]:
            torch.testing.assert_close(found.log_likelihood[place], wanted[step], atol=1e-4, rtol=1e-4)


def test_a_canvas_is_filled_alike_whatever_is_filled_beside_it(prior: CodePrior) -> None:
    """Guards against canvases of unlike shape, wishes and guides that get into each other's way."""
    long = draw_codes(1, 13, seed=3)[0]
    traits = torch.tensor([math.nan, 8.0, math.nan, 1.0]).repeat(13, 1)
    guide = Guide(torch.randn(13 * BANDS, 5, generator=torch.Generator().manual_seed(1)), torch.full((13, LEVELS), 0.3))
    some = [True] * 4 + [False] * 6 + [True] * 3
    canvases = [
        open_canvas(7, BANDS, LEVELS, "asked"),
        open_canvas(4, BANDS, LEVELS, "known"),
        with_hole(long, some),
        with_hole(long, some, traits=traits, strength=2.0),
        with_hole(long, some, kind=2, begins=False),
        with_hole(long, some, guide=guide),
        with_hole(long, [True] * 3 + [False] * 10, traits=traits, kind=1, strength=3.0, ends="may"),
    ]
    seeds = list(range(len(canvases)))
    together = filled(prior, canvases, seeds)
    for canvas, seed, found in zip(canvases, seeds, together, strict=True):
        (alone,) = filled(prior, [canvas], [seed])
        assert torch.equal(found.codes, alone.codes)
        assert found.ended == alone.ended
    assert not torch.equal(together[2].codes, filled(prior, [canvases[3]], [2])[0].codes)  # the wish counts
    assert together[1].codes.shape == (4 * BANDS, LEVELS)  # no end before the one that is known


def test_fine_levels_are_drawn_under_coarse_ones(prior: CodePrior) -> None:
    """Guards against a variation that changes what it keeps: a level is fixed, the other is drawn at the same places."""
    codes = draw_codes(1, 9, seed=5)[0]
    free = torch.zeros_like(codes, dtype=torch.bool)
    free[:, 1] = True
    (found,) = filled(prior, [Canvas(codes, free, BANDS)], [2])
    assert torch.equal(found.codes[:, 0], codes[:, 0])
    assert not torch.equal(found.codes[:, 1], codes[:, 1])
    ahead = codes.clone()
    ahead[4 * BANDS : 5 * BANDS, 0] = (ahead[4 * BANDS : 5 * BANDS, 0] + 4) % 11  # of a column that is not drawn yet
    (changed,) = filled(prior, [Canvas(ahead, free, BANDS)], [2])
    before = slice(0, 2 * BANDS)  # the column after that looks at two on its right
    here = (3 * BANDS, 1)  # likelihoods: of one draw, the code need not change with them
    assert torch.equal(changed.codes[before], found.codes[before])
    assert changed.log_likelihood[here] != found.log_likelihood[here]


def _vectors(prior: CodePrior, codes: Tensor) -> Tensor:
    return torch.stack([prior.vectors[level][codes[:, level]] for level in range(LEVELS)]).sum(0)


def test_columns_share_the_last_level(prior: CodePrior) -> None:
    """Guards against stereo images that are drawn anew where columns share one, counted from elsewhere than where the sound
    begins, or drawn over what is fixed; side by side with sounds that begin elsewhere."""
    sharing = CodePrior(SMALL.model_copy(update={"image_columns": 3}), prior.vectors[:, :11].clone()).eval()
    sharing.load_state_dict(prior.state_dict())
    canvases = [replace(open_canvas(13, BANDS, LEVELS, "never"), first=first) for first in (0, 1, 5)]
    for canvas, found in zip(canvases, filled(sharing, canvases, [1, 2, 3]), strict=True):
        image, likely = found.codes.view(13, BANDS, 2)[..., 1], found.log_likelihood.view(13, BANDS, 2)
        again = [bool(torch.equal(image[column], image[column - 1])) for column in range(1, 13)]
        assert again == [(canvas.first + column) % 3 > 0 for column in range(1, 13)]
        assert [bool(likely[column, :, 1].any()) for column in range(1, 13)] == [not each for each in again]
        assert bool((likely[..., 0] < 0).all())
    codes = draw_codes(1)[0]
    likely = log_likelihood(sharing, codes)
    torch.testing.assert_close(likely[:, 0], log_likelihood(prior, codes)[:, 0])
    assert not likely[:, 1].any()  # nothing says where the codes begin
    assert bits_per_code(sharing, codes) == pytest.approx(-float(likely[:, 0].mean()) / math.log(2.0))
    (found,) = filled(sharing, [with_hole(codes, KNOWN, ends="never")], [1])
    assert torch.equal(found.codes[3 * BANDS :], codes[3 * BANDS :])
    assert torch.equal(found.codes[BANDS : 2 * BANDS, 1], codes[:BANDS, 1])


def test_a_guide_is_followed_as_closely_as_is_wished(prior: CodePrior) -> None:
    """Guards against a guide at another place or level: at full strength codes stand for what it is, at none nothing changes."""
    codes = draw_codes(1, 8, seed=7)[0]
    vectors = _vectors(prior, codes)
    plain, none, full = (
        replace(open_canvas(8, BANDS, LEVELS, "never"), guide=guide)
        for guide in (None, Guide(vectors, torch.zeros(8, LEVELS)), Guide(vectors, torch.ones(8, LEVELS)))
    )
    assert torch.equal(filled(prior, [none], [3])[0].codes, filled(prior, [plain], [3])[0].codes)
    left, nearest = vectors, []
    for level in range(LEVELS):  # the oracle: level by level the code that leaves the least
        nearest.append(torch.cdist(left, prior.vectors[level, : prior.eos]).argmin(-1))
        left = left - prior.vectors[level][nearest[-1]]
    found = filled(prior, [full], [3])[0].codes
    assert (found == torch.stack(nearest, dim=1)).float().mean() > 0.95
    off = [(_vectors(prior, codes) - vectors).square().sum() for codes in (filled(prior, [plain], [3])[0].codes, found)]
    assert off[1] < 0.2 * off[0]


def test_strength_exaggerates_wishes(prior: CodePrior) -> None:
    """Guards against guidance that is not: at 0 the wish does not count, at 1 it counts as learned."""
    traits = torch.tensor([math.nan, 12.0, math.nan, math.nan]).repeat(6, 1)
    plain = open_canvas(6, BANDS, LEVELS, "never")
    wished = replace(plain, traits=traits)
    (unwished,) = filled(prior, [plain], [8])
    (nothing,) = filled(prior, [replace(wished, strength=0.0)], [8])
    assert torch.equal(unwished.codes, nothing.codes)
    assert not torch.equal(filled(prior, [wished], [8])[0].codes, unwished.codes)


def test_a_prior_that_hears_the_past_alone_says_so() -> None:
    """Guards against holes that an older model fills with whatever comes."""
    old = CodePrior(SMALL.model_copy(update={"both_sides": False}), torch.randn(LEVELS, 11, 5))
    with pytest.raises(DistillError, match="train it again with --overwrite"):
        filled(old, [with_hole(draw_codes(1)[0], KNOWN)], [1])
    (found,) = filled(old, [with_hole(draw_codes(1)[0], [True, True, False, False, False])], [1])
    assert len(found.codes) == BANDS * COLUMNS


def test_near_wishes_are_alike_and_none_is_nothing() -> None:
    """Guards against traits that are read on the wrong scale."""
    nothing = trait_features(torch.full((1, 4), math.nan))
    assert not nothing.any()
    notes = trait_features(torch.tensor([[math.nan, math.nan, pitch, math.nan] for pitch in (60.0, 60.3, 67.0)]))
    assert (notes[0] - notes[1]).norm() < (notes[0] - notes[2]).norm() / 2
    assert not trait_features(torch.tensor([[math.nan, 9.0, math.nan, math.nan]]))[0, :11].any()  # no loudness


def test_each_level_is_drawn_by_its_own_temperature(prior: CodePrior) -> None:
    """Guards against one temperature for all levels: the coarse one is the likeliest, the fine one is not."""
    settings = GenerationSettings(temperatures="0,3", seed=1)
    canvases = [open_canvas(3, BANDS, LEVELS, "never") for _ in range(6)]
    by_level = [settings.at_level(level) for level in range(LEVELS)]
    *_, drawn = fill(prior, canvases, [clip_generator(seed) for seed in range(6)], by_level)
    first = torch.stack([codes[0] for codes in drawn])
    assert len(first[:, 0].unique()) == 1
    assert len(first[:, 1].unique()) > 1


@pytest.mark.parametrize("text", ["", "a,b", "1.0,-1", "1;2", "nan"])
def test_temperatures_that_are_none_are_refused(text: str) -> None:
    """Guards against a traceback, or a level without a temperature."""
    with pytest.raises(DistillError, match=r"--temperatures .*give numbers from 0 to 10"):
        generation_settings(temperatures=text)


def test_a_sound_does_not_end_where_codes_are_fixed(prior: CodePrior) -> None:
    """Guards against variations that are cut off where the prior would have ended the sound."""
    codes = draw_codes(1, 9, seed=5)[0]
    free = torch.zeros_like(codes, dtype=torch.bool)
    free[:, 1] = True
    eager = copy.deepcopy(prior)
    eager.heads[0].free.bias.data[eager.eos] = 50.0
    (opened,) = filled(eager, [open_canvas(9, BANDS, LEVELS, "may")], [2])
    (found,) = filled(eager, [Canvas(codes, free, BANDS, ends="may")], [2])
    assert len(opened.codes) == BANDS
    assert len(found.codes) == len(codes)
    assert torch.equal(found.codes[:, 0], codes[:, 0])


def test_sounds_of_other_periods_do_not_meddle(prior: CodePrior) -> None:
    """Guards against a batch that takes the period of its first sound for all, and against a period that is not heard."""
    canvases = [replace(open_canvas(8, BANDS, LEVELS, "never"), period=period) for period in (2, 3, 2, 0)]
    together = filled(prior, canvases, [1, 1, 2, 1])
    alone = [filled(prior, [canvas], [seed])[0] for canvas, seed in zip(canvases, [1, 1, 2, 1], strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.codes, other.codes)
    assert not torch.equal(together[0].codes, together[1].codes)
    assert not torch.equal(together[0].codes, together[3].codes)


def test_an_older_prior_has_no_sources_a_period_ago() -> None:
    """Guards against priors of older files that no longer load, or hear of a period that they were never told."""
    torch.manual_seed(0)
    old = CodePrior(PriorConfig(**SMALL.model_dump(exclude={"periods"})), torch.randn(LEVELS, 11, 5)).eval()
    assert old.config.neighbours == 5
    canvas = open_canvas(6, BANDS, LEVELS, "never")
    (plain,), (told_period,) = filled(old, [canvas], [1]), filled(old, [replace(canvas, period=2)], [1])
    assert torch.equal(plain.codes, told_period.codes)
