"""Where sounds end: learned from the codes of last columns, drawn from one number."""

import pytest
import torch

from distill.models.codec import ConvVQVAE
from distill.models.endings import LEAST_SAMPLES, Endings, fit_endings
from distill.settings.geometry import HOP_LENGTH

COLUMN = 16 * HOP_LENGTH


def tail(code: int, columns: int = 3) -> torch.Tensor:
    """Codes [S, Q] whose last column is of one code."""
    return torch.cat([torch.arange(8 * (columns - 1)) % 16, torch.full((8,), code)])[:, None].expand(-1, 2)


def test_where_it_ends_is_learned(codec: ConvVQVAE) -> None:
    """Guards against ends that do not depend on the codes, or on those of another column; also of a sound of one column."""
    for columns in (1, 3):
        endings = fit_endings(codec, [(tail(code, columns), code + 1) for code in range(16) for _ in range(3)])
        for code in range(16):
            before = (columns - 1) * COLUMN + code * HOP_LENGTH
            wanted = max(before + HOP_LENGTH / 2, LEAST_SAMPLES)
            assert abs(endings.samples(codec, tail(code, columns), 0.5) - wanted) <= HOP_LENGTH


def test_every_sample_of_a_column_can_be_the_last(codec: ConvVQVAE) -> None:
    """Guards against durations in whole frames: between two frames the point decides, evenly."""
    endings = Endings()  # which knows nothing: all frames alike
    points = torch.linspace(0.0, 0.999, 50).tolist()
    lengths = [endings.samples(codec, tail(3), point) - 2 * COLUMN for point in points]
    assert all(abs(length - point * COLUMN) <= 2 for length, point in zip(lengths, points, strict=True))
    assert endings.samples(codec, tail(3, 1), 0.0) == LEAST_SAMPLES


def test_what_is_known_of_many_ends_is_a_distribution(codec: ConvVQVAE) -> None:
    """Where the codes say nothing, ends come as often as they were."""
    endings = fit_endings(codec, [(tail(5), 4)] * 30 + [(tail(5), 12)] * 10)
    lengths = [
        endings.samples(codec, tail(5), point) - 2 * COLUMN for point in torch.linspace(0.0, 0.999, 400).tolist()
    ]
    early = sum(length < 8 * HOP_LENGTH for length in lengths) / len(lengths)
    assert early == pytest.approx(0.75, abs=0.03)
