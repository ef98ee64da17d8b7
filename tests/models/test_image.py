"""The stereo image: what is measured, coded and made again, and that the middle is left alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import distill
from distill import studio
from distill.audio.image_distance import image_errors
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.events import PreviewWritten, SoundWritten
from distill.modelfile.opened import load_model
from distill.models.image import (
    IMAGE_DIM,
    ROWS,
    Cells,
    ImageCodebook,
    centred,
    fit_image,
    image_powers,
    image_vectors,
    recorded_cells,
    widened,
    with_own_image,
)
from distill.settings.generation import GenerationSettings
from distill.ui.codec import evaluation_html
from tiny import RATE, TINY_CODEC, TINY_PRIOR, hit

NOISE = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32) * 0.1


def cells(level: float, coherence: float, columns: int) -> Cells:
    return Cells.of(*(torch.full((ROWS, 2 * columns), each) for each in (level, coherence)), 8)


def test_a_recording_keeps_its_own_image() -> None:
    """Guards against an image of one code for a sixth of a second, and one in another band or moment: a hit on the left, one on
    the right a tenth of a second later, and a high tone in the middle."""
    quiet = np.zeros(int(0.1 * RATE), np.float32)
    low, high = hit(3, 0.3), 0.2 * np.sin(2 * np.pi * 9_000 * np.arange(int(0.5 * RATE)) / RATE).astype(np.float32)
    left, right = (
        np.pad(each, (0, len(high) - len(each))) for each in (low, np.concatenate([quiet, quiet, low[:9_600]]))
    )
    left, right = left + high, right + high
    middle, side = (left + right) / 2, (left - right) / 2
    made = widened(torch.from_numpy(middle), recorded_cells(middle, side)).numpy()
    for first in (0, len(quiet) * 2):  # while only one of them sounds
        part = slice(first + 1_000, first + 5_000)
        loud, soft = (made[0], made[1]) if first == 0 else (made[1], made[0])
        below = np.abs(np.fft.rfft(np.stack([loud[part], soft[part]]))[:, : 4_000 * 3_000 // RATE]) ** 2
        assert below[0].sum() > 20 * below[1].sum()
    above = np.abs(np.fft.rfft(made, axis=1)[:, 8_900 * made.shape[1] // RATE : 9_100 * made.shape[1] // RATE]) ** 2
    assert above[0].sum() == pytest.approx(above[1].sum(), rel=0.1)


@pytest.mark.parametrize(("level", "coherence"), [(6.0, 1.0), (-12.0, 0.9), (0.0, 0.1), (3.0, 0.5), (0.0, -0.5)])
def test_what_is_asked_for_is_made_and_measured(level: float, coherence: float) -> None:
    """Guards against left and right exchanged, a decorrelator that does not decorrelate, and levels that come out smaller."""
    middle = torch.from_numpy(NOISE[0])
    left, right = widened(middle, cells(level, coherence, 6))
    vectors, heard = image_vectors(image_powers(((left + right) / 2).numpy(), ((left - right) / 2).numpy()))
    assert heard.all()
    inner = vectors.view(-1, 8, 2, 4)[1:4, 1:7]
    assert float(inner[:, :, 0].mean()) * 8 == pytest.approx(level, abs=0.5)
    assert float((inner[:, :, 0] * 8 - level).abs().mean()) < 1.0
    assert float(inner[:, :, 1].mean()) == pytest.approx(coherence, abs=0.1)


@pytest.mark.parametrize("sound", ["tones", "noise", "decay"])
def test_what_is_made_is_as_wide_as_what_was_recorded(sound: str) -> None:
    """Guards against an image that comes back narrower than it was: tones, which an all-pass alone leaves as they are, lost 4 to
    10 dB of their side, and noise 2."""
    time = np.arange(RATE) / RATE
    if sound == "tones":
        left, right = (
            sum(np.sin(2 * np.pi * 220.0 * n * time + n + turned * n % 3.0) / n for n in range(1, 20))
            for turned in (0.0, 1.3)
        )
    else:
        left, right = NOISE if sound == "noise" else NOISE * np.exp(-time / 0.05)
    middle, side = ((left + sign * right).astype(np.float32) / 4 for sign in (1, -1))
    made = widened(torch.from_numpy(middle), recorded_cells(middle, side))
    widths = [
        10 * np.log10(np.square(each).sum() / np.square(middle).sum()) for each in (side, made.diff(dim=0).numpy() / 2)
    ]
    assert widths[1] == pytest.approx(widths[0], abs=0.5)


def test_the_mix_of_what_is_made_is_the_middle() -> None:
    """Guards against a fold-down that loses or colours anything, at any image."""
    middle = torch.from_numpy(np.concatenate([hit(1, 1.0), NOISE[0]]))
    made = widened(middle, cells(4.0, 0.2, 12))
    torch.testing.assert_close(made.mean(0), middle, atol=1e-7, rtol=0)
    assert float(made.diff(dim=0).abs().max()) > 0.01


def test_the_first_code_is_exactly_the_middle() -> None:
    """Guards against mono files of a stereo corpus that come back wide."""
    book = ImageCodebook(16)
    middle = torch.from_numpy(hit(3, 0.5))
    left, right = widened(middle, book.decode(torch.zeros(24, dtype=torch.long)))
    torch.testing.assert_close(left, right, atol=1e-6, rtol=0)
    vectors, heard = image_vectors(image_powers(hit(3, 0.5), None))
    assert not fit_image([(vectors, heard)], 16, 0).nearest(vectors, heard).any()


def test_codes_come_back_as_the_cells_they_stand_for() -> None:
    """Guards against bands, moments or channels that change places between measuring and making."""
    rng = torch.Generator().manual_seed(0)
    vectors = torch.randn(40, IMAGE_DIM, generator=rng).clamp(-1, 1)
    book = ImageCodebook(41)
    book.vectors[1:] = vectors
    decoded = book.decode(book.nearest(vectors, torch.ones(40, dtype=torch.bool))).shares
    assert decoded.shape == (2, ROWS, 10)
    by_cell = vectors.view(5, 8, 2, 2, 2)  # column, band, what, row in band, moment
    for column, band, row, moment in ((4, 3, 1, 0), (2, 7, 0, 1)):
        level, coherence = by_cell[column, band, :, row, moment]
        wanted = Cells.of(8.0 * level[None, None], coherence[None, None], 1).shares[:, 0, 0]
        torch.testing.assert_close(decoded[:, 2 * band + row, 2 * column + moment], wanted)


def test_a_limited_recording_holds_no_more_than_its_rate_can() -> None:
    """Guards against a hiss above a telephone's 4 kHz, made by the limiter that keeps the louder channel down."""
    time = np.arange(RATE) / RATE
    middle = sum(np.sin(2 * np.pi * hz * time + hz) for hz in (310, 1210, 2230, 3170)).astype(np.float32)
    middle *= np.float32(0.97 / np.abs(middle).max())
    made = with_own_image(torch.from_numpy(middle), np.stack([middle, 0.8 * middle]), 8_000, stereo=True).numpy()
    assert 0.9 < np.abs(made).max() <= 0.98 + 1e-6
    power = np.abs(np.fft.rfft(made * np.hanning(RATE))) ** 2
    assert power[:, 4_100:].sum() < 1e-9 * power.sum()


def test_what_is_not_heard_keeps_the_image_before_it() -> None:
    book = ImageCodebook(3)
    book.vectors[1] = -centred(1)
    vectors = torch.cat([centred(8), -centred(8), centred(8)])
    heard = torch.tensor([True] * 16 + [False] * 8)
    assert book.nearest(vectors, heard).tolist() == [0] * 8 + [1] * 16


@pytest.mark.parametrize("shared", [1, 2, 3])
def test_columns_share_an_image_of_two_halves(shared: int) -> None:
    """Guards against columns mixed with bands, halves exchanged, soft frames counting as much as loud ones, and silence
    counting at all; the oracle goes cell by cell."""
    rng = torch.Generator().manual_seed(0)
    middle, side = torch.rand(2, ROWS, 100, generator=rng) ** 4
    side[:, 48:] *= 9.0
    middle[2:4, :24], side[2:4, :24] = 0.0, 0.0  # the second band begins late
    common = 0.5 * (middle * side).sqrt()
    vectors, heard = image_vectors(torch.stack([middle, side, common]), shared)
    groups = -(-7 // shared)
    assert vectors.shape == (8 * groups, IMAGE_DIM)
    assert heard.shape == (8 * groups,)
    for group in range(groups):
        for row in range(ROWS):
            for half in range(2):
                first = (2 * group + half) * 8 * shared
                m, s, c = (each[row, first : first + 8 * shared].sum() for each in (middle, side, common))
                if m + s == 0:  # it is as the other half, or not heard at all
                    continue
                level, coherence = vectors[8 * group + row // 2].view(2, 2, 2)[:, row % 2, half]
                torch.testing.assert_close(8 * level, 10 * ((m + s + 2 * c) / (m + s - 2 * c)).log10())
                wanted = (m - s) / ((m + s) ** 2 - 4 * c**2).sqrt()
                torch.testing.assert_close(coherence, wanted, atol=1e-4, rtol=1e-4)
    late = vectors[1].view(2, 2, 2)
    if shared > 1:
        assert torch.equal(late[..., 0], late[..., 1])


def test_columns_that_share_an_image_have_its_codes() -> None:
    """Guards against codes out of step, a last group that is not full, and halves that are decoded elsewhere than they were."""
    rng = torch.Generator().manual_seed(0)
    powers = torch.rand(3, ROWS, 7 * 16, generator=rng) * torch.tensor([1.0, 0.5, 0.1])[:, None, None]
    vectors, heard = image_vectors(powers, 3)
    book = fit_image([(vectors, heard)], 25, 0, 3)
    codes = book.encode(powers)
    by_column = codes.view(7, 8)
    assert all(torch.equal(by_column[column], by_column[column // 3 * 3]) for column in range(7))
    torch.testing.assert_close(book.vectors[by_column[::3].flatten()], vectors)
    shares = book.decode(codes).shares
    assert shares.shape == (2, ROWS, 14)
    for column, half, cells in ((0, 0, (0, 1, 2)), (0, 1, (3, 4, 5)), (3, 0, (6, 7, 8)), (6, 0, (12, 13))):
        level, coherence = vectors.view(3, 8, 2, 2, 2)[column // 3, ..., half].movedim(1, 0).reshape(2, ROWS)
        wanted = Cells.of(8.0 * level[:, None], coherence[:, None], 1).shares
        for cell in cells:
            torch.testing.assert_close(shares[..., cell], wanted[..., 0])
    for first in range(1, 7):
        torch.testing.assert_close(book.decode(codes[8 * first :], first).shares, shares[..., 2 * first :])


@pytest.fixture(scope="module")
def stereo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("stereo")
    sounds = room / "sounds"
    sounds.mkdir()
    for number in range(8):
        pair = np.stack([hit(number), (0.2 + 0.1 * number) * hit(number) + 0.3 * hit(number + 9)], 1)
        soundfile.write(sounds / f"{number}.wav", pair, RATE, subtype="PCM_24")
    path = room / "wide.distill"
    list(studio.train(sounds, out=path, overrides=TINY_CODEC, device="cpu"))
    list(studio.train_prior_for(str(path), overrides=TINY_PRIOR, device="cpu"))
    return path


def test_a_stereo_model_from_folder_to_file(stereo_model: Path, tmp_path: Path) -> None:
    """Guards against an image that gets lost between the stages, and a mix that is not what `--mono` gives, or softer: a whole
    sound was turned down where a channel was too high."""
    loaded = load_model(stereo_model)
    assert loaded.image is not None
    assert loaded.prior is not None
    assert loaded.prior.config.rvq_levels == loaded.card.vqvae_config.rvq_levels + 1
    codec_part = loaded.prior.vectors[:-1, :, 8:]
    assert not codec_part.any()
    settings = GenerationSettings(count=2, seconds=0.5, seed=1)
    list(studio.generate(str(stereo_model), tmp_path / "both", settings, "cpu"))
    list(studio.generate(str(stereo_model), tmp_path / "one", settings.model_copy(update={"mono": True}), "cpu"))
    for path in sorted((tmp_path / "both").iterdir()):
        made, _ = soundfile.read(path, always_2d=True)
        mix, _ = soundfile.read(tmp_path / "one" / path.name, always_2d=True)
        assert made.shape[1] == 2
        assert mix.shape == (len(made), 1)
        both, one = made.mean(1), mix[:, 0]
        assert 10 * np.log10((both**2).mean() / (one**2).mean()) == pytest.approx(0.0, abs=0.2)
        # The same but for the limiter: one gain for both channels that moves within a millisecond or more, not from sample
        # to sample.
        loud = np.flatnonzero(np.abs(one) > 0.05)
        gain = both[loud] / one[loud]
        near = np.diff(loud) == 1
        assert gain.min() > 0.4
        assert np.abs(np.diff(gain))[near].max() < 0.03
    model = distill.load(stereo_model, device="cpu")
    samples, rate = model.generate(count=2, seconds=0.5, seed=1)
    assert samples.shape[:2] == (2, 2)
    again, _ = model.reconstruct(np.stack([hit(1), 0.1 * hit(1)]), rate)
    assert again.shape == (2, len(hit(1)))
    assert np.square(again[0]).sum() > 4 * np.square(again[1]).sum()
    assert model.reconstruct(hit(1), rate).samples.shape == (1, len(hit(1)))


def test_evaluate_says_how_far_the_image_is(stereo_model: Path, tmp_path: Path) -> None:
    """Guards against figures of the mix alone, against the image of codes judged in place of the recording's own, and
    against a mono sound that has an image."""
    (tmp_path / "in").mkdir()
    for name, channels in (("wide.wav", [hit(30), 0.1 * hit(31)]), ("mono.wav", [hit(32)])):
        soundfile.write(tmp_path / "in" / name, np.stack(channels, 1), RATE)
    said = distill.load(stereo_model, device="cpu").evaluate(tmp_path / "in")
    wide, mono = (next(each for each in said["sounds"] if each["name"] == name) for name in ("wide.wav", "mono.wav"))
    assert mono["image_level_db"] is None
    assert wide["image_level_db"] == said["image_level_db"]
    (again,) = [event for event in studio.reconstruct(str(stereo_model), [tmp_path / "in" / "wide.wav"], tmp_path / "out", "cpu")
                if isinstance(event, SoundWritten)]  # fmt: skip
    original, made = (
        torch.from_numpy(soundfile.read(path, dtype="float32")[0].T.copy())
        for path in (tmp_path / "in" / "wide.wav", again.path)
    )
    level, coherence = image_errors(original, made)
    assert (wide["image_level_db"], wide["image_coherence"]) == pytest.approx((level, coherence), abs=0.01)
    mixed = image_errors(original, original.mean(0).expand(2, -1))
    assert level < 0.3 * mixed.level_db
    done = next(
        event
        for event in studio.evaluate(str(stereo_model), tmp_path / "in", "cpu")
        if isinstance(event, EvaluationCompleteEvent)
    )
    page = evaluation_html("wide", done)
    assert f"{level:.2f} dB, {coherence:.2f}" in page
    assert page.count("<th") - page.count("<thead") == 9 + 2
    mono_page = evaluation_html("mono", replace(done, stereo=False))
    assert "mage" not in mono_page


def test_previews_of_a_stereo_model_have_two_channels(stereo_model: Path, tmp_path: Path) -> None:
    """Guards against previews that say nothing of the image: of the sound itself, and of what the codec makes of it."""
    sounds = Path(load_model(stereo_model).card.corpus_manifest.folder)
    overrides = {**TINY_CODEC, "preview_every": 4}
    events = studio.train(sounds, out=tmp_path / "m.distill", overrides=overrides, device="cpu")
    previews = [event for event in events if isinstance(event, PreviewWritten)]
    assert [preview.epoch for preview in previews] == [0, 4]
    original, made = (soundfile.read(preview.audio, dtype="float32")[0].T.copy() for preview in previews)
    source, _ = soundfile.read(sounds / previews[0].source)
    np.testing.assert_allclose(original, source.T, atol=1e-3)
    assert made.shape == original.shape
    assert 10 * np.log10((made.mean(0) ** 2).mean() / (original.mean(0) ** 2).mean()) == pytest.approx(0.0, abs=0.6)
    was, now = (torch.from_numpy(each) for each in (original, made))
    assert image_errors(was, now).level_db < 0.7 * image_errors(was, now.mean(0).expand(2, -1)).level_db


def test_a_stereo_file_is_written_with_two_channels(stereo_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, np.stack([hit(2), 0.2 * hit(2)], 1), RATE)
    list(studio.reconstruct(str(stereo_model), [source], tmp_path / "again", "cpu"))
    list(studio.reconstruct(str(stereo_model), [source], tmp_path / "mono", "cpu", mono=True))
    made, _ = soundfile.read(tmp_path / "again" / "a.wav", always_2d=True)
    mix, _ = soundfile.read(tmp_path / "mono" / "a.wav", always_2d=True)
    assert made.shape == (len(hit(2)), 2)
    assert mix.shape == (len(hit(2)), 1)
    assert np.square(made[:, 0]).sum() > 4 * np.square(made[:, 1]).sum()
