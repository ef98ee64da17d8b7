"""The tests behind a verdict, against known answers."""

import numpy as np
import pytest

from distill.novelty.statistics import Null, shift, standing_out, wilson


def test_a_null_says_how_rare_a_value_is() -> None:
    """Guards against a p-value of 0, ranks that are off by one, and a tail that cannot be sure however far a value is."""
    null = Null.of(list(np.linspace(-1.0, 1.0, 99)), list(range(99)))
    assert null.p(np.array([0.0]))[0] == pytest.approx(0.51)
    assert null.p(np.array([2.0]))[0] == pytest.approx(1.0)
    assert 0.0 < null.p(np.array([-8.0]))[0] < 1e-9
    assert (np.diff(null.p(np.linspace(-3, 3, 50))) >= 0).all()


def test_a_recording_counts_once_however_many_pieces_it_has() -> None:
    """Guards against one long recording that is the baseline all by itself."""
    null = Null.of([-5.0] * 90 + [0.0] * 9, ["long"] * 90 + list(range(9)))
    assert null.recordings == pytest.approx(10)
    assert null.p(np.array([-1.0]))[0] == pytest.approx(2 / 11)


def test_honest_values_are_seldom_called_out() -> None:
    """Guards against p-values that are too small: of 400 draws of the null itself, about one in twenty is under 0.05."""
    rng = np.random.default_rng(0)
    p = [
        float(Null.of(list(rng.standard_normal(40)), list(range(40))).p(rng.standard_normal(1))[0]) for _ in range(400)
    ]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_benjamini_and_hochberg() -> None:
    """The example of their paper (1995): of fifteen p-values the four smallest at 0.05."""
    p = np.array(
        [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    )  # fmt: skip
    mixed = np.random.default_rng(0).permutation(15)
    assert standing_out(p[mixed], 0.05).sum() == 4
    assert set(p[mixed][standing_out(p[mixed], 0.05)]) == set(p[:4])
    assert not standing_out(np.array([0.9, 0.8]), 0.05).any()
    assert not len(standing_out(np.array([]), 0.05))


def test_wilson() -> None:
    """Guards against an interval that leaves 0 to 1, or is a point where nothing was found."""
    assert wilson(0, 64) == pytest.approx((0.0, 0.0567), abs=1e-3)
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_shift_has_a_direction() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(0, 1, 30), rng.normal(2, 1, 30)
    assert shift(near, far).p_smaller < 1e-4
    assert shift(near, far).z < -4
    assert shift(far, near).chance_larger > 0.8
    assert shift(far, near).p_smaller > 0.99
    assert shift(np.ones(5), np.ones(5)) == (1.0, 0.0, 0.5)
    assert shift(np.array([]), near).p_smaller == 1.0
