"""How wide sounds are as a whole: what is set apart, what stays, and from what it is fitted."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill import studio
from distill.events import SoundWritten
from distill.modelfile.card import SpreadWidths
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import load_model
from distill.models.widths import Apart, fit_apart, lost_db, set_apart, width_db
from distill.settings.generation import GenerationSettings
from distill.studio import spreading
from tiny import RATE, TINY_CODEC, TINY_PRIOR, hit

FREELY = Apart(centre_db=-10.0, times=2.0, widest_db=40.0, lost_db=60.0)


def sound(side_db: float) -> torch.Tensor:
    """Left and right [2, N] of noise whose side is so much louder than its middle."""
    middle, side = torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))
    side = side * 10 ** (side_db / 20)
    return torch.stack([middle + side, middle - side])


def test_the_wide_become_wider_and_the_narrow_narrower() -> None:
    """Guards against a mix that changes, left and right exchanged, and amplitudes taken for energies."""
    for before, after in ((-10.0, -10.0), (-4.0, 2.0), (-16.0, -22.0)):
        channels = sound(before)
        made = set_apart(channels, FREELY)
        assert width_db(made) == pytest.approx(after, abs=0.1)
        torch.testing.assert_close(made.mean(0), channels.mean(0), atol=1e-5, rtol=0)
        assert float((made[0] - made[1]) @ (channels[0] - channels[1])) > 0


def test_no_sound_becomes_wider_or_loses_more_than_the_recordings() -> None:
    """Guards against sounds that vanish in a mono mix; one that was as wide already stays as it is."""
    assert width_db(set_apart(sound(-4.0), FREELY._replace(widest_db=-3.0))) == pytest.approx(-3.0, abs=0.1)
    assert width_db(set_apart(sound(-4.0), FREELY._replace(widest_db=-9.0))) == pytest.approx(-4.0, abs=0.1)
    tone = torch.sin(2 * torch.pi * 200 * torch.arange(RATE) / RATE)
    uneven = sound(-30.0) * 0.1 + torch.stack([tone, tone + 0.5 * tone.roll(60)])
    wider = FREELY._replace(centre_db=-40.0)
    assert lost_db(set_apart(uneven, wider)) > lost_db(uneven) + 0.5
    limit = lost_db(uneven) + 0.2
    assert lost_db(set_apart(uneven, wider._replace(lost_db=limit))) == pytest.approx(limit, abs=0.02)
    assert lost_db(set_apart(uneven, wider._replace(lost_db=0.01))) == pytest.approx(lost_db(uneven), abs=0.01)


def test_what_is_in_the_middle_stays_there() -> None:
    """Guards against mono recordings of a stereo corpus that come back wide."""
    channels = sound(-55.0)
    assert set_apart(channels, FREELY) is channels


def test_spreads_are_compared_without_what_is_in_the_middle() -> None:
    made, recorded = list(np.linspace(-12.0, -8.0, 9)), list(np.linspace(-14.0, -6.0, 9))
    apart = fit_apart([*made, -60.0, -60.0], [*recorded, -60.0], 3.0)
    assert apart == pytest.approx((-10.0, 2.0, -6.0, 3.0))
    narrower = fit_apart(recorded, made, 3.0)
    assert narrower is not None
    assert narrower.times == 1.0
    assert fit_apart(made[:7], recorded, 3.0) is None
    assert fit_apart(made, recorded[:7], 3.0) is None


def test_a_model_keeps_how_wide_its_sounds_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a file without it, sounds that do not follow it, and what was measured of another prior."""
    monkeypatch.setattr(spreading, "MEASURED", spreading.MEASURED.model_copy(update={"count": 10, "seconds": 0.5}))
    sounds, path = tmp_path / "sounds", tmp_path / "wide.distill"
    sounds.mkdir()
    for number in range(10):
        pair = np.stack([hit(number), (0.2 + 0.1 * number) * hit(number) + 0.3 * hit(number + 9)], 1)
        soundfile.write(sounds / f"{number}.wav", pair, RATE, subtype="PCM_24")
    list(studio.train(sounds, out=path, overrides=TINY_CODEC, device="cpu"))
    monkeypatch.setattr(spreading, "LEAST_SOUNDS", 4)
    monkeypatch.setattr("distill.models.widths.LEAST_SOUNDS", 4)
    list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", novelty=False))
    loaded = load_model(path)
    assert loaded.apart is not None
    assert loaded.apart.lost_db > 0.0
    settings = GenerationSettings(count=1, seconds=0.5, seed=1, level="match")

    def made(**changes: float | str) -> float:
        contents = read_contents(path, mapped=False)
        widths = {**contents["widths"], **changes}
        write_model(path, {**contents, "widths": SpreadWidths(**widths)})
        events = studio.generate(str(path), tmp_path / "out", settings, "cpu")
        (written,) = [event.path for event in events if isinstance(event, SoundWritten)]
        return width_db(torch.from_numpy(soundfile.read(written)[0].T.copy()))

    plain = made(times=1.0)
    assert made(times=2.0, centre_db=plain + 6.0) == pytest.approx(plain - 6.0, abs=1.0)
    assert made(training_date="another") == pytest.approx(plain, abs=0.1)
    assert read_card(path).widths_of_prior is None
