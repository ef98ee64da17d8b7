"""How sounds end: what is turned down, what stays, from what it is fitted, and that every new sound goes through it."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile
import torch

from distill import studio
from distill.audio.griffin_lim import GriffinLim
from distill.events import Progress, SoundWritten
from distill.instrument.choosing import Sampled
from distill.instrument.rendering import to_samples
from distill.modelfile.card import LetGo
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.endings import Endings
from distill.models.prior import CodePrior
from distill.models.release import RELEASE_SAMPLES, Release, end_db, fit_release, loudest_db, released
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import END_POINTS, FRAMES_PER_COLUMN, HOP_LENGTH
from distill.studio import spreading
from tiny import RATE, TINY_CODEC, TINY_PRIOR, write_sounds

MADE = tuple(np.linspace(-48.0, 0.0, END_POINTS).tolist())
SOFTER = Release(MADE, tuple(each - 12.0 for each in MADE))


def noise(ends_db: float, seconds: float = 1.0) -> torch.Tensor:
    """[1, N] that begins at full level and is so much softer in its second half."""
    sound = torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    sound[:, sound.shape[1] // 2 :] *= 10 ** (ends_db / 20)
    return sound


@pytest.mark.parametrize("ends", [0.0, -6.0, -30.0])
def test_a_sound_ends_as_softly_as_it_is_to(ends: float) -> None:
    """Guards against amplitudes taken for energies, an end that is turned down as its first sample is, and a beginning that is
    turned down as well."""
    sound = noise(ends)
    made = released(sound, SOFTER)
    assert end_db(sound) == pytest.approx(ends, abs=1.0)
    assert end_db(made) == pytest.approx(end_db(sound) - 12.0, abs=1.0)
    assert torch.equal(made[:, :-RELEASE_SAMPLES], sound[:, :-RELEASE_SAMPLES])
    short = released(noise(ends, 0.1), SOFTER)
    assert end_db(short) == pytest.approx(end_db(noise(ends, 0.1)) - 12.0, abs=1.5)
    assert torch.equal(short[:, :2400], noise(ends, 0.1)[:, :2400])


def test_what_ends_softly_stays_as_it_is() -> None:
    """Guards against sounds that are made to end louder, and against silence and splinters."""
    louder = Release(MADE, tuple(min(each + 12.0, 0.0) for each in MADE))
    for sound in (noise(-30.0), torch.zeros(1, RATE), torch.ones(1, 100)):
        assert released(sound, louder) is sound
        assert released(sound, None) is sound


def test_the_loudest_may_lie_before() -> None:
    """Guards against the end of a long sound that is compared with itself."""
    sound = noise(-20.0)
    last = sound[:, -RELEASE_SAMPLES:]
    whole = released(sound, SOFTER)[:, -RELEASE_SAMPLES:]
    torch.testing.assert_close(released(last, SOFTER, loudest_db(sound)), whole)
    assert end_db(last) == pytest.approx(0.0, abs=1.5)


def test_as_many_end_softly_as_recordings_do() -> None:
    """Guards against ranks that are exchanged: the share over any level is that of the recordings, and the order stays."""
    rng = np.random.default_rng(0)
    made, recorded = rng.uniform(-50.0, 0.0, 200), rng.uniform(-80.0, -5.0, 60)
    release = fit_release(made.tolist(), recorded.tolist())
    assert release is not None
    wanted = np.array([release.wanted_db(each) for each in np.sort(made)])
    assert (np.diff(wanted) >= 0.0).all()
    for level in (-60.0, -30.0, -10.0):
        assert (wanted > level).mean() == pytest.approx((recorded > level).mean(), abs=0.05)
    assert fit_release(made[:7].tolist(), recorded.tolist()) is None
    assert fit_release(made.tolist(), recorded[:7].tolist()) is None


def test_new_sounds_are_let_go_where_they_end(tiny_model: Path) -> None:
    """Guards against a release that nothing asks for, and against sounds that are cut where more was drawn, let go there."""
    loaded = load_model(tiny_model)
    endings = Endings()
    endings.bias[15] = 100.0
    codes = torch.arange(3 * 8 * 3).view(24, 3) * 5 % 16
    silenced = LetGo(made_db=MADE, recorded_db=(-90.0,) * END_POINTS, training_date="")

    def made(released_too: bool, ended: bool = True, **settings: float | str) -> np.ndarray:
        assert loaded.card.prior_metadata is not None
        date = loaded.card.prior_metadata.training_date
        update = {"release": silenced.model_copy(update={"training_date": date}) if released_too else None}
        model = replace(loaded, endings=endings, card=loaded.card.model_copy(update=update))
        synthesise = GriffinLim(loaded.card.spectrogram_config, 4)
        sampled = Sampled(codes, ended, torch.zeros(codes.shape))
        wanted = GenerationSettings(**settings)  # type: ignore[arg-type]
        return to_samples(model, sampled, synthesise, clip_generator(1), wanted)

    plain, soft = (torch.from_numpy(made(each)) for each in (False, True))
    assert plain.shape == soft.shape
    assert end_db(soft) < min(end_db(plain), -60.0)
    cut = 2.5 * FRAMES_PER_COLUMN * HOP_LENGTH / RATE
    np.testing.assert_array_equal(made(True, seconds=cut), made(False, seconds=cut))
    np.testing.assert_array_equal(made(True, ended=False), made(False, ended=False))
    np.testing.assert_array_equal(
        made(True, loudness="0.2,0.8"), made(False, loudness="0.2,0.8")
    )  # the end is asked for


def test_a_model_keeps_how_its_sounds_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a file without it, sounds of a model that do not follow it, and what was measured of another prior."""
    monkeypatch.setattr(spreading, "MEASURED", spreading.MEASURED.model_copy(update={"count": 12, "seconds": 1.0}))
    monkeypatch.setattr("distill.models.release.LEAST_ENDS", 2)
    path = tmp_path / "hits.distill"
    list(studio.train(write_sounds(tmp_path / "sounds", 10), out=path, overrides=TINY_CODEC, device="cpu"))
    list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", novelty=False))
    loaded: LoadedVQModel = load_model(path)
    assert loaded.release is not None
    assert loaded.card.widths is None
    assert all(sorted(each) == list(each) for each in loaded.release)
    assert loaded.prior is not None
    assert loaded.card.release is not None
    assert loaded.prior.end_logit == loaded.card.release.end_logit != 0.0
    settings = GenerationSettings(count=6, seconds=2.0, seed=1, ending="natural")

    def made(**changes: object) -> list[float]:
        contents = read_contents(path, mapped=False)
        write_model(path, {**contents, "release": LetGo.model_validate({**dict(contents["release"]), **changes})})
        events = studio.generate(str(path), tmp_path / "out", settings, "cpu")
        written = [event.path for event in events if isinstance(event, SoundWritten)]
        return [end_db(torch.from_numpy(soundfile.read(each, always_2d=True)[0].T.copy())) for each in written]

    plain = made(made_db=MADE, recorded_db=MADE, end_logit=0.0)
    soft = made(recorded_db=(-90.0,) * END_POINTS)
    assert any(after < before - 20.0 for before, after in zip(plain, soft, strict=True))
    assert made(training_date="another") == pytest.approx(plain, abs=0.1)
    assert read_card(path).release_of_prior is None
    made(end_logit=2.0)
    assert cast(CodePrior, load_model(path).prior).end_logit == 0.0


def test_of_few_recordings_nothing_is_measured(tmp_path: Path) -> None:
    """Guards against a wait, as long as a training, for what cannot be told."""
    path = tmp_path / "hits.distill"
    list(studio.train(write_sounds(tmp_path / "sounds", 6), out=path, overrides=TINY_CODEC, device="cpu"))
    events = list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu", novelty=False))
    assert not [event for event in events if isinstance(event, Progress) and event.task.startswith("measuring how")]
    assert read_card(path).release is None
