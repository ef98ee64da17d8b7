"""How loud sounds are: learned from codes, with what those leave open drawn from the corpus."""

import numpy as np
import pytest
import torch

from distill.audio.loudness import HIGHEST_DB, peak_db, rms_db
from distill.models.codec import ConvVQVAE
from distill.models.loudness import RESIDUALS, Loudness, Wanted, fit_loudness

POINTS = [(number + 0.5) / RESIDUALS for number in range(RESIDUALS)]


def of_code(code: int) -> torch.Tensor:
    return torch.full((16, 2), code)


def test_loud_codes_are_loud(codec: ConvVQVAE) -> None:
    """Guards against one level for all: what the codes say of loudness is in the sound, within the corpus's bounds."""
    sounds = [(of_code(code), -40.0 if code % 2 else -10.0, -3.0) for code in range(8)] * 2
    loudness = fit_loudness(codec, sounds)
    for code in range(8):
        wanted = [loudness.wanted(codec, of_code(code), point) for point in POINTS]
        assert np.median([each.rms_db for each in wanted]) == pytest.approx(-40.0 if code % 2 else -10.0, abs=4.0)
        assert all(-40.0 <= each.rms_db <= -10.0 for each in wanted)


@pytest.mark.parametrize("steady", ["rms", "peak"])
def test_what_codes_do_not_say_is_spread_as_in_the_corpus(codec: ConvVQVAE, steady: str) -> None:
    rng = np.random.default_rng(0)
    loud = rng.normal(-20.0, 5.0, 200)
    sounds = [(of_code(3), *((-20.0, level) if steady == "rms" else (level, -1.0))) for level in loud]
    loudness = fit_loudness(codec, sounds)
    assert bool(loudness.is_peak) == (steady == "peak")
    drawn = [loudness.wanted(codec, of_code(3), point)[steady == "rms"] for point in POINTS]
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(loud, [0.1, 0.5, 0.9]), abs=1.0)


@pytest.mark.parametrize("is_peak", [False, True])
def test_a_sound_gets_what_is_known_better(is_peak: bool) -> None:
    """The peak where a corpus has one peak, the root mean square where it has one loudness."""
    loudness = Loudness(8)
    loudness.is_peak.fill_(is_peak)
    tone = torch.sin(torch.arange(48_000) * 0.05)  # 3 dB from root mean square to peak
    made = loudness.applied(tone, Wanted(-30.0, -6.0))
    assert (peak_db(made) if is_peak else rms_db(made)) == pytest.approx(-6.0 if is_peak else -30.0, abs=0.05)
    loud = loudness.applied(tone, Wanted(-1.0, 3.0))
    assert peak_db(loud) <= HIGHEST_DB + 1e-4
