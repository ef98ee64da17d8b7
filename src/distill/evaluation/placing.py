"""Sounds on a plane: like ones near each other, and the whole as its two strongest axes have it.

The axes are the first principal components of what the sounds are like (`distill.audio.mel_statistics`). Two axes cannot show
every neighbourhood, so sounds then move for a moment: each is drawn to its neighbours and pushed off by all others, with the
forces of t-SNE (van der Maaten & Hinton, "Visualizing data using t-SNE", JMLR 2008). Nothing is random.
"""

import numpy as np
import numpy.typing as npt

NEIGHBOURS = 10.0
"""How many neighbours a sound is drawn to, in effect (perplexity)."""
STEPS, EARLY_STEPS = 400, 100
EARLY_FACTOR = 4.0
"""Neighbours draw so much more at first: groups gather before they keep their distance."""
MOMENTUM = (0.5, 0.8)
START = 1e-2
"""Spread of the axes when sounds begin to move."""
MOST_MOVED = 1_500
"""Of more sounds, so many move, and the others go where the nearest of these are."""
PLACED_BY = 3
TRUE_NEIGHBOURS, SHOWN_NEIGHBOURS = 5, 10

Points = npt.NDArray[np.float64]


def placed(points: Points) -> Points:
    """[n, D] -> [n, 2] from 0 to 1, in their proportion; the first axis is the wider one."""
    if len(points) < 2:
        return np.full((len(points), 2), 0.5)
    moved = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_MOVED)).round().astype(int))
    found = np.zeros((len(points), 2))
    found[moved] = _moved(points[moved])
    others = np.setdiff1d(np.arange(len(points)), moved)
    for first in range(0, len(others), MOST_MOVED):
        some = others[first : first + MOST_MOVED]
        away = squares(points[some], points[moved])
        nearest = away.argsort(1)[:, :PLACED_BY]
        weight = 1.0 / (np.take_along_axis(away, nearest, 1) + 1e-9)
        found[some] = (found[moved][nearest] * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1)
    found -= found.min(0)
    return found / max(float(found.max()), 1e-12)


def squares(one: Points, other: Points) -> Points:
    """[n, D], [m, D] -> [n, m] squared distances."""
    found: Points = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2.0 * one @ other.T
    return found.clip(0.0)


def neighbours_kept(points: Points, shown: Points) -> float:
    """Share of the 5 nearest of each of [n, D] that are among the 10 nearest of its [n, 2]; of fewer sounds, of as many as
    there are."""
    if len(points) < 3:
        return 1.0
    true, near = min(TRUE_NEIGHBOURS, len(points) - 1), min(SHOWN_NEIGHBOURS, len(points) - 1)
    kept = []
    for place in range(len(points)):
        one, other = (np.square(each - each[place]).sum(1) for each in (points, shown))
        one[place] = other[place] = np.inf
        kept.append(np.isin(one.argsort(kind="stable")[:true], other.argsort(kind="stable")[:near]).mean())
    return float(np.mean(kept))


def axes(points: Points) -> Points:
    """[n, D] -> [n, 2], the first two principal components; of each the largest entry counts upwards."""
    centred = points - points.mean(0)
    left, size, right = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(points), 2))
    count = min(2, len(size))
    turned = np.sign(right[np.arange(count), np.abs(right[:count]).argmax(1)])
    found[:, :count] = left[:, :count] * size[:count] * np.where(turned == 0, 1.0, turned)
    return found


def _moved(points: Points) -> Points:
    """[n, D] -> [n, 2], where the forces have led."""
    count = len(points)
    shown = axes(points)
    shown *= START / max(float(shown[:, 0].std()), 1e-12)
    drawn = _affinities(points)
    speed = np.zeros_like(shown)
    gain = np.ones_like(shown)
    rate = max(count / 16.0, 30.0)
    for step in range(STEPS):
        early = step < EARLY_STEPS
        pull = 1.0 / (1.0 + squares(shown, shown))
        np.fill_diagonal(pull, 0.0)
        pushed = pull / pull.sum()
        forces = (drawn * (EARLY_FACTOR if early else 1.0) - pushed) * pull
        slope = 4.0 * (forces.sum(1)[:, None] * shown - forces @ shown)
        gain = np.where(np.sign(slope) == np.sign(speed), gain * 0.8, gain + 0.2).clip(0.01)
        speed = MOMENTUM[not early] * speed - rate * gain * slope
        shown = shown + speed
        shown -= shown.mean(0)
    return shown


def _affinities(points: Points) -> Points:
    """[n, n], how much each two are drawn to each other, 1 in all: each sound has `NEIGHBOURS` neighbours in effect."""
    away = squares(points, points)
    np.fill_diagonal(away, np.inf)
    away -= away.min(1, keepdims=True)
    wanted = np.log(min(NEIGHBOURS, (len(points) - 1) / 2.0)) if len(points) > 3 else 0.0
    low, high = np.full(len(points), -40.0), np.full(len(points), 40.0)
    chance = np.zeros_like(away)
    for _ in range(50):
        width = (low + high) / 2.0
        weight = np.exp(-away * np.exp(width)[:, None])
        chance = weight / weight.sum(1, keepdims=True)
        entropy = -(chance * np.log(chance.clip(1e-300))).sum(1)
        low, high = np.where(entropy > wanted, width, low), np.where(entropy > wanted, high, width)
    both: Points = chance + chance.T
    shared: Points = both / both.sum()
    return shared
