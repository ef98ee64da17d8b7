"""Two channels in: middle and side, from the file to the cache, and what counts as stereo."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from distill.audio import reading
from distill.audio.reading import as_channels, read_audio, read_planes
from distill.corpus.scan import scan
from tiny import RATE, exhausted, hit

RNG = np.random.default_rng(3)


def written(path: Path, *channels: np.ndarray) -> Path:
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="FLOAT")
    return path


def test_channels_come_back_from_middle_and_side(tmp_path: Path) -> None:
    """Guards against left and right exchanged, and against another middle than the mono mix."""
    left, right = hit(1), 0.3 * hit(2)
    path = written(tmp_path / "a.wav", left, right)
    planes, info = read_planes(path)
    assert info.stereo
    np.testing.assert_allclose(as_channels(planes), np.stack([left, right]), atol=1e-6)
    np.testing.assert_array_equal(planes[0], read_audio(path)[0])


def test_a_side_that_is_not_asked_for_is_not_resampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a mono reader that pays for two channels; whether there is a side is known all the same."""
    made: list[object] = []
    stream = soxr.ResampleStream
    monkeypatch.setattr(reading.soxr, "ResampleStream", lambda *given, **more: made.append(1) or stream(*given, **more))
    path = written(tmp_path / "a.wav", hit(1), 0.3 * hit(2))
    assert read_audio(path)[1].stereo
    assert len(made) == 1
    assert read_planes(path)[1].stereo
    assert len(made) == 3


def test_equal_channels_are_mono(tmp_path: Path) -> None:
    """Guards against a model of twice the cost for a folder of mono sounds in two channels."""
    left = hit(1)
    for right in (left, left + (1e-4 * RNG.standard_normal(len(left))).astype(np.float32)):
        planes, info = read_planes(written(tmp_path / "a.wav", left, right))
        assert not info.stereo
        assert planes.shape == (1, len(left))


def test_an_inverted_channel_is_turned_over_in_both(tmp_path: Path) -> None:
    """Guards against a side as loud as the sound where a microphone was wired the wrong way round."""
    left = hit(1, 1.0)
    planes, info = read_planes(written(tmp_path / "a.wav", left, -0.9 * left))
    assert info.notes
    np.testing.assert_allclose(as_channels(planes), np.stack([left, 0.9 * left]), atol=1e-6)


def test_where_one_channel_is_used_there_is_no_side(tmp_path: Path) -> None:
    """Guards against the left channel that is left out of the middle coming back as its side."""
    sound = np.concatenate([hit(number, 0.5) for number in range(4)])
    other = 0.9 * np.where(np.arange(len(sound)) < len(sound) // 2, sound, -sound)
    planes, info = read_planes(written(tmp_path / "a.wav", sound, other))
    assert "only the louder" in info.notes[0]
    assert planes.shape[0] == 1


@pytest.mark.parametrize(("channels", "left"), [(4, (0, 2)), (6, (0, 4)), (8, (0, 4, 6))])
def test_more_channels_are_folded_by_their_layout(tmp_path: Path, channels: int, left: tuple[int, ...]) -> None:
    """Guards against a centre, or a left surround, that ends up on the right; their mean is the mono mix as ever."""
    for loud in range(channels):
        sounds = [hit(1) if number == loud else np.zeros_like(hit(1)) for number in range(channels)]
        path = written(tmp_path / "a.wav", *sounds)
        planes, _ = read_planes(path)
        centre = channels > 4 and loud in (2, 3)
        assert planes.shape[0] == (1 if centre else 2)
        np.testing.assert_allclose(planes[0], hit(1) / channels, atol=1e-7)
        if not centre:
            silent = as_channels(planes)[1 if loud in left else 0]
            assert np.abs(silent).max() < 1e-6


def test_the_corpus_keeps_both_and_the_manifest_says_so(tmp_path: Path) -> None:
    """Guards against a cache from before two channels taken for one of mono sounds, and pieces without a side."""
    for number in range(12):
        channels = [hit(number), 0.2 * hit(number + 1)] if number < 2 else [hit(number)] * (1 + number % 2)
        written(tmp_path / f"{number}.wav", *channels)
    corpus = exhausted(scan(tmp_path))
    assert sorted(file.name for file in corpus.manifest.files if file.stereo) == ["0.wav", "1.wav"]
    file = next(file for file in corpus.manifest.files if file.name == "1.wav")
    side = corpus.side(file)
    assert side is not None
    stored, peak = corpus.audio(file)
    assert side.dtype == stored.dtype == np.float16
    np.testing.assert_allclose(side * np.float32(peak), (hit(1) - 0.2 * hit(2)) / 2, atol=2e-3)
    np.testing.assert_allclose(corpus.planes(file)[1], (hit(1) - 0.2 * hit(2)) / 2, atol=1e-6)
    mono = next(file for file in corpus.manifest.files if not file.stereo)
    assert corpus.side(mono) is None
    assert corpus.planes(mono).shape == (1, mono.samples)
    entry = next(path for path in corpus._cache._root.rglob("facts.json") if path.parent.name == file.sha256)
    entry.write_text(entry.read_text("utf-8").replace('"stereo":true', '"stereo":null'), "utf-8")
    assert corpus._cache.facts(file.sha256) is None


def test_a_corpus_is_stereo_where_one_training_file_in_ten_is(tmp_path: Path) -> None:
    """Guards against one stray stereo file making a model stereo, and against a share that never does."""
    for number in range(6):
        written(tmp_path / f"{number}.wav", hit(number))
    manifest = exhausted(scan(tmp_path)).manifest
    for share, stereo in ((0, False), (1, True)):
        files = [file.model_copy(update={"stereo": i < share}) for i, file in enumerate(manifest.train)]
        assert manifest.model_copy(update={"files": (*files, *manifest.val)}).stereo is stereo
    many = tuple(manifest.train[0].model_copy(update={"stereo": number < 1}) for number in range(11))
    assert not manifest.model_copy(update={"files": many}).stereo
