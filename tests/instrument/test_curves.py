"""Curves: how they are written and read, where they are on a sound, and that a sound with one needs no file to come again."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.audio.griffin_lim import GriffinLim
from distill.audio.traits import BRIGHTNESS, LOUDNESS, PITCH, column_traits, frame_traits
from distill.errors import DistillError
from distill.instrument import unending
from distill.instrument.choosing import Sampled, judged
from distill.instrument.envelopes import MOST_UP_DB, faded, following
from distill.instrument.streaming import LongSound
from distill.instrument.unending import Course, columns_drawn
from distill.instrument.wishes import Wishes, wishes_of
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.canvas import Canvas, open_canvas
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.geometry import COLUMN_SECONDS, SpectrogramConfig

Run = Callable[..., tuple[int, str, str]]
LINE = tuple(float(value) for value in np.linspace(0.0, 32.0, 33))


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    """A model with scales that are easy to reckon with."""
    found = load_model(tiny_model)
    scales = {
        "loudness": tuple(value - 40.0 for value in LINE),
        "brightness": tuple(7.0 + value / 8.0 for value in LINE),
        "pitch": tuple(48.0 + value for value in LINE),
        "onsets": LINE,
        "length": tuple(0.1 + value / 32.0 for value in LINE),
    }
    assert found.card.prior_config is not None
    config = found.card.prior_config.model_copy(update={"both_sides": True, "traits": True})
    return replace(found, card=found.card.model_copy(update={"trait_quantiles": scales, "prior_config": config}))


def wished(loaded: LoadedVQModel, **settings: Any) -> torch.Tensor:
    found = wishes_of(loaded, generation_settings(seed=1, **settings)).traits
    assert found is not None
    return found


def test_a_curve_is_where_it_is_drawn(loaded: LoadedVQModel) -> None:
    """Guards against a curve that is turned round, never reaches its ends, or does not know seconds from shares."""
    length = 6 * COLUMN_SECONDS
    assert wished(loaded, brightness="0,1", seconds=length)[:, BRIGHTNESS].tolist() == pytest.approx(
        [7.0, 7.8, 8.6, 9.4, 10.2, 11.0], abs=1e-5
    )
    timed = wished(loaded, brightness="0:0,0.5:1", seconds=length)[:, BRIGHTNESS]
    middles = (np.arange(6) + 0.5) * COLUMN_SECONDS
    assert timed.tolist() == pytest.approx((7.0 + 4.0 * np.minimum(middles / 0.5, 1.0)).tolist(), abs=1e-5)
    assert wished(loaded, pitch="C4,0%", seconds=length)[[0, -1], PITCH].tolist() == [60.0, 48.0]
    one = wishes_of(loaded, generation_settings(seed=1, brightness="0.5", pitch="C4,E4", seconds=length))
    assert one.traits is not None
    assert set(one.traits[:, BRIGHTNESS].tolist()) == {9.0}
    assert one.samples == round(length * 48_000)  # a curve is drawn over all of the sound


def test_loudness_within_a_sound_is_beside_its_mean(loaded: LoadedVQModel) -> None:
    """Guards against decibels of another scale than those that the prior has learned, and a whole that is not as loud."""
    found = wishes_of(loaded, generation_settings(seed=1, loudness="0,1", seconds=6 * COLUMN_SECONDS))
    assert found.traits is not None
    curve = found.traits[:, LOUDNESS].double()
    assert float(curve[-1] - curve[0]) == pytest.approx(32.0, abs=1e-4)
    assert float((10 ** (curve / 10)).mean()) == pytest.approx(1.0, abs=1e-4)
    assert found.loudness_db == pytest.approx(-8.0 - float(curve[-1]), abs=1e-4)
    assert wishes_of(loaded, generation_settings(seed=1, loudness="0.5")).traits is None


def test_a_curve_begins_where_the_new_sound_does() -> None:
    """Guards against a curve over what is known, and one that begins again with every window of a long sound."""
    curve = Wishes(torch.arange(12.0).view(3, 4))
    found = curve.of(open_canvas(5, 8, 3), 1.0, first=1).traits
    assert found is not None
    assert found[0].isnan().all()
    assert found[1:, 0].tolist() == [0.0, 4.0, 8.0, 8.0]
    later = curve.of(open_canvas(2, 8, 3), 1.0, first=-1).traits
    assert later is not None
    assert later[:, 0].tolist() == [4.0, 8.0]


def test_the_windows_of_a_long_sound_go_on_with_the_curve(
    loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a second window that begins the curve again: each column has one value, whichever window it is in."""
    asked: list[tuple[int, Canvas]] = []
    real = unending.fill

    def noted(prior: Any, canvases: Any, *rest: Any) -> Any:
        asked.append((int((~canvases[0].free[:, 0]).sum()) // 8, canvases[0]))
        return real(prior, canvases, *rest)

    monkeypatch.setattr(unending, "fill", noted)
    assert loaded.prior is not None
    count = loaded.prior.window * 2
    settings = GenerationSettings(seed=1, strength=1.0)
    curve = torch.full((count, 4), math.nan)
    curve[:, BRIGHTNESS] = torch.arange(count) / 10.0 + 7.0
    assert (
        len(list(columns_drawn(loaded.prior, clip_generator(1), settings, Wishes(curve), Course(False, count))))
        == count
    )
    assert len(asked) > 1
    done = 0
    for known, canvas in asked:
        assert canvas.traits is not None
        assert float(canvas.traits[known, BRIGHTNESS]) == pytest.approx(float(curve[done, BRIGHTNESS]))
        done += min(loaded.prior.window, canvas.columns) - known


def test_of_several_sounds_the_one_nearest_to_the_curve_is_kept(loaded: LoadedVQModel) -> None:
    """Guards against tries that are judged by the mean of a curve."""
    count = loaded.card.vqvae_config.codebook_size
    codes = (torch.arange(48)[:, None] * torch.tensor([7, 3, 1])) % count
    sampled = Sampled(codes, False, torch.zeros(codes.shape))
    flat, steep = torch.full((6, 4), math.nan), torch.full((6, 4), math.nan)
    flat[:, BRIGHTNESS], steep[:, BRIGHTNESS] = 10.0, 10.0 + torch.linspace(-5, 5, 6)
    misses = [judged(loaded, sampled, Wishes(each), None).miss for each in (flat, steep)]
    assert misses[0] != pytest.approx(misses[1], abs=0.1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0.8, "0.8"),
        ("0.8", "0.8"),
        ([0.2, 1], "0.2,1"),
        ([(0, 0.2), (0.5, 1)], "0:0.2,0.5:1"),
        (np.array([0.0, 1.0]), "0,1"),
    ],
)
def test_a_curve_from_python_and_a_number_of_an_older_file(given: Any, kept: str) -> None:
    """Guards against tags with plain numbers that cannot be made again any more."""
    assert generation_settings(brightness=given).brightness == kept
    again = GenerationSettings.model_validate(json.loads(json.dumps(generation_settings(brightness=given).plain())))
    assert again.brightness == kept


@pytest.mark.parametrize(
    "text", ["1.5", "nan", "loud", "", "0.2,", "0:0.2,1", "1:0.2,0.5:0.3", "0.2,0.3,7", "inf:0,1:1"]
)
def test_a_text_that_is_no_curve_is_one_sentence(text: str) -> None:
    """Guards against NaN, which is within any bounds, and halves of curves."""
    with pytest.raises(DistillError, match=r"^--loudness .*\.$") as mistake:
        generation_settings(loudness=text)
    assert "\n" not in str(mistake.value)


def test_loudness_follows_the_curve_but_rests_stay_rests() -> None:
    """Guards against a gain that is turned round or a column late, and against rests that become as loud as what is played."""
    config = SpectrogramConfig()
    steady = torch.full((config.n_mels, 12 * 16), -30.0)
    rise = torch.linspace(-20.0, 5.0, 12)
    found = column_traits(frame_traits(following(steady, rise, config).T, np.zeros(0), config), 12)[:, LOUDNESS]
    torch.testing.assert_close(found - found.mean(), rise - rise.mean(), atol=1.5, rtol=0.0)
    gone = steady.clone()
    gone[:, 6 * 16 :] = -90.0
    after = following(gone, torch.zeros(12), config)
    assert float(after[:, 8 * 16 :].max()) <= -90.0 + MOST_UP_DB
    assert float(after[:, : 4 * 16].mean()) == pytest.approx(
        -33.0, abs=0.2
    )  # it is half of the sound: 3 dB over its mean
    assert torch.equal(following(steady, torch.zeros(12), config), steady)


def test_a_fader_of_a_long_sound_does_not_see_its_pieces() -> None:
    """Guards against a gain that jumps where a piece begins."""
    mel, gains = torch.full((4, 12 * 16), -30.0), torch.linspace(-9.0, 3.0, 12)
    whole = faded(mel, gains, 0, -100.0)
    pieces = [faded(mel[:, first : first + 48], gains, first, -100.0) for first in range(0, 192, 48)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    assert float(whole[0, 5 * 16 + 8]) == pytest.approx(-30.0 + float(gains[5]), abs=0.1)


def test_a_sound_without_an_end_has_no_curve(loaded: LoadedVQModel) -> None:
    """Guards against a stream that ends where a curve does, or never gets to its end."""
    settings = generation_settings(loudness="0,1", seconds=6.0, seed=1)
    with pytest.raises(DistillError, match="say how long it is with --seconds"):
        LongSound(loaded, settings, 1, GriffinLim(loaded.card.spectrogram_config, 1), endless=True)
