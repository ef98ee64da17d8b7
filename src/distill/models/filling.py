"""Filling canvases: drawing what is free of them from the prior, column by column, with a key-value cache.

The same canvas and seed give the same codes, whatever else is filled beside it: what a generator is asked for depends on its
own canvas, and so does every token (`models.sampling`).
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.traits import TRAITS
from distill.errors import DistillError
from distill.models.canvas import Canvas, Ends, Reach, Shape, by_shape, open_canvas, reaches
from distill.models.prior import BOS, MID, CodePrior, Continuation, Given
from distill.models.reading import order_around
from distill.models.run_limit import SoundUnderLimit
from distill.models.sampling import Drawing, Points, draw, uniform
from distill.models.stepping import Stepper
from distill.settings.generation import GenerationSettings

PLAIN = GenerationSettings()
CLOSE = 4.0
"""How much closeness to a guide counts at strength 0.5, in units of what a level of codes is worth."""
CLOSEST = 0.999
"""Guides are never followed more strongly than this: at 1 nothing but the guide would count."""


class Filled(NamedTuple):
    """A canvas that has been filled."""

    codes: Tensor  # [S, Q], as long as the sound
    log_likelihood: Tensor  # [S, Q], nats, what the prior made of each code that was drawn; 0 where it was fixed
    ended: bool
    """Whether the sound is over: before the canvas, or just where it ends."""


@dataclass
class _Group:
    """Canvases of one shape that are filled side by side."""

    canvases: Sequence[Canvas]
    generators: Sequence[torch.Generator]
    shape: Shape
    codes: Tensor  # [B, S, Q]
    free: Tensor | None  # [B, S, Q]; None: everything that is drawn
    log_likelihood: Tensor  # [B, S, Q]
    limits: Tensor  # [B], columns
    length: Tensor  # [B], the same for those that have not ended yet
    over: Tensor  # [B], whether it is over just where the canvas is
    may_end: Tensor  # [B]
    asked: Tensor  # [B]
    has_guide: bool
    strength: Tensor | None
    """[B, 1], of wishes: then each canvas is read twice, the second time without its wishes; None: as learned."""
    under_limit: Sequence[SoundUnderLimit] | None
    """What each sound has got so far, where runs of the recordings' codes are limited."""
    first: Tensor  # [B], columns that lie before the canvas

    @classmethod
    def of(
        cls,
        canvases: Sequence[Canvas],
        generators: Sequence[torch.Generator],
        shape: Shape,
        guided: bool,
        prior: CodePrior,
        under_limit: Sequence[SoundUnderLimit] | None,
    ) -> "_Group":
        device, levels = prior.vectors.device, prior.config.rvq_levels
        limits = torch.tensor([canvas.columns for canvas in canvases], device=device)
        codes = torch.zeros(
            len(canvases), int(limits.max()) * prior.config.bands, levels, dtype=torch.long, device=device
        )
        free: Tensor | None = None
        if shape.known:
            free = torch.ones_like(codes, dtype=torch.bool)
            for row, canvas in enumerate(canvases):
                codes[row, : len(canvas.codes)] = canvas.codes
                free[row, : len(canvas.codes)] = canvas.free
        return cls(
            canvases,
            generators,
            shape,
            codes,
            free,
            torch.zeros(codes.shape, device=device),
            limits,
            limits.clone(),
            torch.zeros_like(limits, dtype=torch.bool),
            torch.tensor([canvas.ends in ("asked", "may") for canvas in canvases], device=device),
            torch.tensor([canvas.ends == "asked" for canvas in canvases], device=device),
            any(canvas.guide is not None for canvas in canvases),
            torch.tensor([[canvas.strength] for canvas in canvases], device=device) if guided else None,
            under_limit,
            torch.tensor([canvas.first for canvas in canvases], device=device),
        )


@torch.inference_mode()
def fill(
    prior: CodePrior,
    canvases: Sequence[Canvas],
    generators: Sequence[torch.Generator],
    settings: Drawing | Sequence[Drawing] = PLAIN,
    stepper: Stepper | None = None,
    under_limit: Sequence[SoundUnderLimit] | None = None,
) -> Generator[list[Tensor], None, list[Filled]]:
    """Fill canvases, those of one shape side by side.

    Args:
        generators: one for each canvas.
        settings: how tokens are drawn, alike for all levels of codes or for each.
        stepper: one made before for this prior, where many are filled; without, a new one.
        under_limit: for each canvas the sound that it goes on with, where runs of the recordings' codes are limited. What
            is fixed is none of it.

    Yields:
        After every column, the sounds so far: for each canvas codes [S, Q] up to where it is filled without a hole (int64,
        on the prior's device). What was yielded does not change any more.

    Returns:
        For each canvas what became of it.

    Raises:
        DistillError: a canvas has something fixed behind something free, and the prior is older than that.
    """
    prior.eval()
    by_level = list(settings) if isinstance(settings, Sequence) else [settings] * prior.config.rvq_levels
    stepper = stepper or Stepper(prior)
    found: dict[int, Filled] = {}
    so_far = [canvas.codes[:0].to(prior.vectors.device) for canvas in canvases]
    for (shape, guided, _), numbers in by_shape(canvases).items():
        limited = None if under_limit is None else [under_limit[i] for i in numbers]
        group = _Group.of(
            [canvases[i] for i in numbers], [generators[i] for i in numbers], shape, guided, prior, limited
        )
        filling = _fill_group(prior, group, by_level, stepper)
        while True:
            try:
                filled = next(filling)
            except StopIteration as end:
                ended: list[bool] = end.value
                break
            for row, number in enumerate(numbers):
                last = min(filled, int(group.length[row])) * prior.config.bands
                so_far[number] = group.codes[row, :last].clone()
            yield list(so_far)
        for row, number in enumerate(numbers):
            last = int(group.length[row]) * prior.config.bands
            found[number] = Filled(
                group.codes[row, :last].clone(), group.log_likelihood[row, :last].clone(), ended[row]
            )
    return [found[number] for number in range(len(canvases))]


def sample_codes(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    max_columns: int | Sequence[int],
    settings: Drawing = PLAIN,
    may_end: bool = True,
    stepper: Stepper | None = None,
    may_end_at_limit: bool = False,
) -> Generator[list[Tensor], None, list[bool]]:
    """New sounds: a canvas with nothing fixed for each generator.

    Args:
        max_columns: where every sound ends at the latest, or where each does.
        may_end: let a sound end by itself.
        may_end_at_limit: ask those that reach their limit whether they are over just there.

    Yields:
        As `fill`.

    Returns:
        For each, whether it has ended by itself.
    """
    limits = [max_columns] * len(generators) if isinstance(max_columns, int) else list(max_columns)
    bands, levels = prior.config.bands, prior.config.rvq_levels
    ends: Ends = "never" if not may_end else "asked" if may_end_at_limit else "may"
    canvases = [open_canvas(limit, bands, levels, ends) for limit in limits]
    filled = yield from fill(prior, canvases, generators, settings, stepper)
    return [each.ended for each in filled]


def _fill_group(
    prior: CodePrior, group: _Group, settings: Sequence[Drawing], stepper: Stepper
) -> Generator[int, None, list[bool]]:
    """Yields how many columns of the group are filled without a hole; returns which sounds have ended."""
    bands = prior.config.bands
    columns = int(group.limits.max())
    free = [column for column in range(columns) if column >= len(group.shape.known) or not group.shape.known[column]]
    filled_to = iter([*free[1:], columns])  # they are drawn in order
    before = free[0] if free else 0
    for reach in reaches(group.shape, columns, prior.window):
        if not bool((group.length > reach.first + reach.drawn[0]).any()):
            break
        state = _begun(prior, group, reach)
        for place in reach.drawn:
            column = reach.first + place
            going_on = group.length > column
            if group.under_limit is not None and column > before + 1:
                for sound in group.under_limit:
                    sound.pass_over()
            before = column
            if bool(going_on.any()):
                _draw_column(group, state, stepper, settings, column, going_on)
                asked = group.asked & (group.limits == column + 1) & (group.length == column + 1)
                if bool(asked.any()) and state.place == (place + 1) * bands:
                    (point,) = _points_of_column(group.generators, asked, 1)
                    logits = next(stepper.step(state))
                    over = (
                        _decided(group, stepper, state, 0, logits, settings[0], point, asked, column + 1) == prior.eos
                    )
                    group.over |= over & asked
            yield next(filled_to)
    return (group.over | (group.length < group.limits)).tolist()


def _begun(prior: CodePrior, group: _Group, reach: Reach) -> Continuation:
    """A window of the group, what is known of it read."""
    bands, device, first = prior.config.bands, group.codes.device, reach.first
    width = len(reach.known)
    order = order_around(torch.tensor([reach.known], device=device))
    read = order[0, : sum(reach.known)]
    prefix = group.codes[:, (((first + read) * bands)[:, None] + torch.arange(bands, device=device)).flatten()]
    start = torch.tensor([BOS if canvas.begins and first == 0 else MID for canvas in group.canvases], device=device)
    ends = [canvas.columns - first if canvas.ends == "known" else -1 for canvas in group.canvases]
    kinds = [canvas.kind for canvas in group.canvases]
    periods = [canvas.period for canvas in group.canvases]
    half = [
        place < len(group.shape.partly) and group.shape.partly[place] and not known
        for place, known in enumerate(reach.known, start=first)
    ]
    in_time = not any(half) and bool((order[0].diff() > 0).all())
    if not prior.config.both_sides and not in_time:
        raise DistillError(
            "The prior of this model hears the past alone and cannot fill holes: train it again with --overwrite."
        )
    given = Given(
        order=None if in_time else order,
        partly=torch.tensor([[*half, False]], device=device) if any(half) else None,
        end=torch.tensor(ends, device=device) if max(ends) > 0 else None,
        traits=_traits(group.canvases, first, width + 1, device),
        kind=torch.tensor(kinds, device=device) if any(kinds) else None,
        period=torch.tensor(periods, device=device) if any(periods) else None,
    )
    seen = _half_known(prior, group, first, width) if any(half) else None
    if group.strength is None:
        return prior.begin(start, prefix, given, seen)
    unwished = Given(
        given.order,
        given.partly,
        None if given.end is None else given.end.repeat(2),
        None if given.traits is None else torch.cat([given.traits, torch.full_like(given.traits, torch.nan)]),
        None if given.kind is None else torch.cat([given.kind, torch.zeros_like(given.kind)]),
        None if given.period is None else torch.cat([given.period, torch.zeros_like(given.period)]),
    )
    twice = None if seen is None else seen.repeat(2, 1, 1)
    return prior.begin(start.repeat(2), prefix.repeat(2, 1, 1), unwished, twice)


def _half_known(prior: CodePrior, group: _Group, first: int, width: int) -> Tensor:
    """The codes [B, S, Q] of a window that are fixed, and `hidden` where they are free."""
    bands = prior.config.bands
    part = slice(first * bands, (first + width) * bands)
    codes = group.codes[:, part]
    assert group.free is not None
    seen = codes.masked_fill(group.free[:, part], prior.hidden)
    return F.pad(seen, (0, 0, 0, width * bands - seen.shape[1]), value=prior.hidden)


def _traits(canvases: Sequence[Canvas], first: int, width: int, device: torch.device) -> Tensor | None:
    """[B, width, 4], what is wished for in a window; None where nothing is."""
    if all(canvas.traits is None for canvas in canvases):
        return None
    traits = torch.full((len(canvases), width, len(TRAITS)), torch.nan)
    for row, canvas in enumerate(canvases):
        if canvas.traits is not None:
            part = canvas.traits[first : first + width]
            traits[row, : len(part)] = part
    return traits.to(device)


def _draw_column(
    group: _Group,
    state: Continuation,
    stepper: Stepper,
    settings: Sequence[Drawing],
    column: int,
    going_on: Tensor,
) -> None:
    """All places of a column, into the codes of the group."""
    prior = stepper.prior
    bands, levels = prior.config.bands, prior.config.rvq_levels
    points = _points_of_column(group.generators, going_on, bands * levels)
    every: list[Tensor] = []
    scored: list[Tensor] = []
    column_of = slice(column * bands, (column + 1) * bands)
    shared = (group.first + column) % prior.config.image_columns > 0 if column else torch.zeros_like(group.over)
    is_shared = bool(shared.any())
    for place in range(column * bands, (column + 1) * bands):
        stepping = stepper.step(state)
        logits = next(stepping)
        for level in range(levels):
            drawn = _decided(group, stepper, state, level, logits, settings[level], next(points), going_on, column)
            if is_shared and level == levels - 1:
                drawn = torch.where(shared, group.codes[:, place - bands, level], drawn)
            if group.free is not None:
                drawn = torch.where(group.free[:, place, level], drawn, group.codes[:, place, level])
            if level == 0 and place == column * bands:
                ended = drawn == prior.eos
                if bool(ended.any()):
                    group.length = torch.where(ended, group.length.clamp(max=column), group.length)
                    if bool((group.length <= column).all()):
                        return
                    drawn = drawn.masked_fill(ended, 0)
            if group.under_limit is not None and level == 0:
                _feed(group, group.under_limit, place, drawn, column)
            if group.has_guide:
                group.codes[:, place, level] = drawn
            every.append(drawn)
            scored.append(logits[: len(drawn)])
            logits = stepping.send(drawn if group.strength is None else drawn.repeat(2))
    codes = torch.stack(every, dim=1)  # [B, bands * Q]
    scores = torch.stack(scored, dim=1).log_softmax(-1).gather(-1, codes[..., None])[..., 0].view(-1, bands, levels)
    if is_shared:
        scores[..., -1].masked_fill_(shared[:, None], 0.0)
    group.codes[:, column_of] = codes.view(-1, bands, levels)
    group.log_likelihood[:, column_of] = scores if group.free is None else scores * group.free[:, column_of]


def _feed(group: _Group, under_limit: Sequence[SoundUnderLimit], place: int, drawn: Tensor, column: int) -> None:
    """The coarsest codes [B] of a place, for the runs that are limited: those that were drawn for sounds that go on."""
    going_on = (group.length > column).tolist()
    free = [True] * len(going_on) if group.free is None else group.free[:, place, 0].tolist()
    for row, code in enumerate(drawn.tolist()):
        if going_on[row]:
            under_limit[row].feed(code if free[row] else None)


def _decided(
    group: _Group,
    stepper: Stepper,
    state: Continuation,
    level: int,
    logits: Tensor,
    settings: Drawing,
    points: Points,
    going_on: Tensor,
    column: int,
) -> Tensor:
    """Tokens [B] from the logits of a level; those that their rounding leaves open, from exact ones."""
    batch = len(group.canvases)
    place, gain = column * stepper.prior.config.bands + state.place % stepper.prior.config.bands, 1.0
    if group.strength is not None:
        gain = 1.0 + 2.0 * float(group.strength.abs().max())
    wanted = _wanted(group, stepper.prior, logits, range(batch), level, place, column)
    tokens, left_open = draw(wanted, settings, points, gain)
    if left_open is not None and bool(left_open.any()):
        for row in (left_open & going_on.cpu()).nonzero()[:, 0].tolist():
            own = Points(points.around[row : row + 1], points.slope[row : row + 1])
            again = draw(wanted[row : row + 1], settings, own, gain)  # by the range of this row's logits alone
            if again.open is not None and bool(again.open.any()):
                rows = [row] if group.strength is None else [row, batch + row]
                exact = torch.cat([stepper.exact.logits(state, each, level) for each in rows])
                exact = _wanted(group, stepper.prior, exact, [row], level, place, column)
                tokens[row] = draw(exact, settings, own, gain).tokens[0]
    return tokens.to(logits.device)


def _wanted(
    group: _Group, prior: CodePrior, logits: Tensor, rows: Sequence[int], level: int, place: int, column: int
) -> Tensor:
    """What `rows` of the group are drawn from: the prior's logits [B, V], or [2 B, V] with and without wishes, as the
    canvases want them, float32 or float64."""
    wanted = logits
    if group.strength is not None:
        wished, unwished = logits.chunk(2)
        strength = group.strength[list(rows)].to(logits.dtype)
        wanted = (unwished + strength * (wished - unwished)).masked_fill(wished.isinf(), float("-inf"))
    if group.has_guide:
        near = torch.stack([_closeness(group, prior, row, level, place, column) for row in rows])
        wanted = (wanted.double() + near).to(logits.dtype)
    if level == 0 and group.under_limit is not None:
        wanted = wanted.clone()
        for number, row in enumerate(rows):
            if forbidden := group.under_limit[row].forbidden():
                wanted[number, list(forbidden)] = float("-inf")
    if level == 0 and place % prior.config.bands == 0:
        barred = ~group.may_end[list(rows)] | (column == 0)
        wanted = wanted.clone()
        wanted[:, prior.eos] = (wanted[:, prior.eos] + prior.end_logit).masked_fill(barred, float("-inf"))
    return wanted


def _closeness(group: _Group, prior: CodePrior, row: int, level: int, place: int, column: int) -> Tensor:
    """[V] float64: how near each code of a level brings a place to the guide, the levels below being chosen."""
    codebook = prior.vectors[level, : prior.vocabulary].double()
    guide = group.canvases[row].guide
    if guide is None or place >= len(guide.vectors):
        return torch.zeros_like(codebook[:, 0])
    below = [prior.vectors[each, group.codes[row, place, each]].double() for each in range(level)]
    left = guide.vectors[place].to(codebook) - sum(below, torch.zeros_like(codebook[0]))
    strength = min(float(guide.strength[column, level]), CLOSEST)
    worth = codebook[:-1].square().sum(-1).mean().clamp_min(1e-9)
    near = -CLOSE * strength / (1.0 - strength) * (left - codebook).square().sum(-1) / worth
    near[prior.eos] = near[:-1].max()  # a guide says nothing of where sounds end
    return near


def _points_of_column(generators: Sequence[torch.Generator], going_on: Tensor, count: int) -> Iterator[Points]:
    """`count` times a point for each row; a row that has ended takes none, so that what its generator gives next
    depends on it alone."""
    points = torch.zeros(len(generators), count, dtype=torch.float64)
    rows = going_on.nonzero()[:, 0].tolist()
    points[rows] = uniform([generators[row] for row in rows], count)
    return map(Points, *Points.of(points.T.contiguous()))
