"""The sounds that the package renders itself. Each test's first line says which bug it guards against."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.demo_sounds import EmbeddedSound, embedded_corpus, note_hz, write_embedded_corpus
from distill.synthetic.families import Samples, finish, membrane, modes, pluck, saw, swept_lowpass
from distill.synthetic.variety import FAMILIES, LOWER_RATES, Family, random_recording, random_sound


@pytest.fixture(scope="module")
def corpus() -> list[EmbeddedSound]:
    return list(embedded_corpus())


@pytest.fixture(scope="module")
def stream() -> list[Samples]:
    rng = np.random.default_rng(5)
    return [random_sound(rng, 0.512) for _ in range(200)]


def band_levels_db(samples: Samples) -> Samples:
    """A coarse picture of a sound, [12 moments, 24 bands], 60 dB deep from its loudest cell: level does not count."""
    padded = np.pad(np.asarray(samples, dtype=np.float64), (0, max(0, 5 * SAMPLE_RATE // 10 - len(samples))))
    edges = np.geomspace(30.0, 20_000.0, 25)
    cells = []
    for moment in np.array_split(padded, np.round(np.geomspace(0.02, 1.0, 12)[:-1] * len(padded)).astype(int)):
        power = np.abs(np.fft.rfft(moment, 1 << 14 if len(moment) < 1 << 14 else None)) ** 2
        hz = np.linspace(0.0, SAMPLE_RATE / 2, len(power))
        cells.append([power[(hz >= low) & (hz < high)].sum() for low, high in pairwise(edges)])
    picture = 10 * np.log10(np.array(cells) + 1e-20)
    return np.maximum(picture, picture.max() - 60.0) - picture.max()


def pitch_hz(samples: Samples, lowest_hz: float, highest_hz: float) -> float:
    """The lag at which a sound repeats best, refined by a parabola."""
    power = np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2
    similarity = np.fft.irfft(power)
    shortest, longest = int(SAMPLE_RATE / highest_hz), int(SAMPLE_RATE / lowest_hz)
    lag = shortest + int(similarity[shortest:longest].argmax())
    left, middle, right = similarity[lag - 1 : lag + 2]
    return SAMPLE_RATE / (lag + 0.5 * (left - right) / (left - 2 * middle + right))


def test_there_are_forty_sounds_of_different_names_and_every_family(corpus: list[EmbeddedSound]) -> None:
    """A table that lost a row, or two rows of the same name that overwrite each other's file."""
    assert len(corpus) == 40
    assert len({sound.name for sound in corpus}) == 40
    families = [sound.name.split("-")[0] for sound in corpus]
    assert {family: families.count(family) for family in ("pluck", "bell", "drum", "texture")} == {
        "pluck": 12,
        "bell": 8,
        "drum": 8,
        "texture": 2,
    }


def test_two_renders_are_the_same_to_the_bit(corpus: list[EmbeddedSound]) -> None:
    """A draw from the global generator, or from one generator that the order of sounds moves on."""
    np.random.seed(1)  # noqa: NPY002 - the global generator is what must have no say
    for first, second in zip(corpus, embedded_corpus(), strict=True):
        assert first.name == second.name
        assert np.array_equal(first.samples, second.samples), first.name


def test_every_sound_is_clean(corpus: list[EmbeddedSound]) -> None:
    """Clipping, NaN, an offset, or an end that clicks."""
    for name, samples in ((sound.name, sound.samples) for sound in corpus):
        assert samples.dtype == np.float32, name
        assert samples.ndim == 1, name
        assert np.isfinite(samples).all(), name
        peak = np.abs(samples).max()
        assert 0.05 < peak <= 1.0, name
        assert abs(samples.mean(dtype=np.float64)) < 1e-3 * peak, name
        assert np.abs(samples[[0, -1]]).max() < 1e-6, name
        assert np.abs(samples[-48:]).max() < 3e-3 * peak, name


def test_durations_are_those_of_one_shots_and_two_textures(corpus: list[EmbeddedSound]) -> None:
    """A unit mix-up between samples and seconds."""
    seconds = {sound.name: len(sound.samples) / SAMPLE_RATE for sound in corpus}
    textures = [name for name in seconds if name.startswith("texture-")]
    assert [seconds.pop(name) for name in textures] == [5.0, 5.0]
    assert min(seconds.values()) >= 0.15
    assert max(seconds.values()) <= 2.5
    assert len(set(seconds.values())) > 20


def test_levels_differ(corpus: list[EmbeddedSound]) -> None:
    """Normalising every file: a codec that hears only one level learns none."""
    peaks_db = [20 * np.log10(np.abs(sound.samples).max()) for sound in corpus]
    assert min(peaks_db) < -15.0
    assert max(peaks_db) > -3.0
    assert np.std(peaks_db) > 4.0


def test_no_two_sounds_are_near_duplicates(corpus: list[EmbeddedSound]) -> None:
    """Near-duplicates form one group and shrink the split; two kinds that differ by level alone would."""
    pictures = {sound.name: band_levels_db(sound.samples) for sound in corpus}
    distances = {pair: np.abs(pictures[pair[0]] - pictures[pair[1]]).mean() for pair in combinations(pictures, 2)}
    closest = min(distances, key=lambda pair: distances[pair])
    assert distances[closest] > 2.0, closest


@pytest.mark.parametrize("frequency_hz", [55.0, 110.0, 293.66, 440.0, 987.77])
@pytest.mark.parametrize("brightness", [0.1, 0.5, 1.0])
def test_a_pluck_has_the_pitch_asked_for(frequency_hz: float, brightness: float) -> None:
    """A delay line of whole samples, or one that forgets the delay of its own low-pass, is out of tune."""
    string = pluck(frequency_hz, 1.0, brightness, np.random.default_rng(0))
    found_hz = pitch_hz(string[2400:26_400], frequency_hz / 1.5, frequency_hz * 1.5)
    assert found_hz == pytest.approx(frequency_hz, rel=0.01)


def test_a_pluck_equals_the_filter_it_stands_for() -> None:
    """The blockwise delay line drops or repeats a sample at a block's edge."""
    seconds, frequency_hz, brightness = 0.1, 441.3, 0.5
    string = pluck(frequency_hz, seconds, brightness, np.random.default_rng(3))
    period = SAMPLE_RATE / frequency_hz
    lag, fraction, damping = int(period) - 1, period % 1.0, 0.5 * (1 - brightness) ** 2 + 0.01
    taps = np.convolve([damping / 2, 1 - damping, damping / 2], [1 - fraction, fraction])
    taps *= 10 ** (-3 / (frequency_hz * seconds))
    burst = np.zeros_like(string)
    burst[: lag + 1] = string[: lag + 1]
    burst[lag] -= taps[0] * string[0]  # the burst is one period long, the loop comes back a sample before its end
    denominator = np.concatenate([[1.0], np.zeros(lag - 1), -taps])
    np.testing.assert_allclose(string, lfilter([1.0], denominator, burst), atol=1e-9)


def test_modes_equal_the_plain_sum_of_decaying_sines() -> None:
    """The matrix product mixes up its two time axes, or cuts the last block."""
    frequencies_hz, t60_seconds, amplitudes = np.array([220.0, 1234.5]), np.array([0.5, 0.1]), np.array([1.0, -0.3])
    time = np.arange(1000) / SAMPLE_RATE
    plain = sum(
        amplitude * 10 ** (-3 * time / t60) * np.sin(2 * np.pi * hz * time)
        for hz, t60, amplitude in zip(frequencies_hz, t60_seconds, amplitudes, strict=True)
    )
    np.testing.assert_allclose(modes(frequencies_hz, t60_seconds, amplitudes, 1000 / SAMPLE_RATE), plain, atol=1e-9)


def test_a_drum_struck_in_the_centre_rings_at_its_frequency_and_its_round_modes() -> None:
    """Modes in the wrong order: the second round mode of a membrane is at 2.295 times the first."""
    drum = membrane(100.0, 1.0, 0.0, 0.0)
    spectrum = np.abs(np.fft.rfft(drum * np.hanning(len(drum))))
    assert spectrum[:150].argmax() == 100
    assert 150 + spectrum[150:300].argmax() == pytest.approx(229.5, abs=2)
    assert spectrum[159] < 0.01 * spectrum[100]  # the first mode with a diameter has none of its motion in the centre


def test_swept_lowpass_keeps_length_time_and_what_lies_below_the_cutoff() -> None:
    """Frames that are added up a hop late, or a tail that goes missing."""
    time = np.arange(20_001) / SAMPLE_RATE
    tone, hiss = np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 12_000 * time)
    filtered = swept_lowpass(tone + hiss, np.full(len(time), 2000.0), 0.7)
    assert len(filtered) == len(time)
    assert np.abs(filtered - tone)[1024:-1024].max() < 0.1


def test_finish_takes_out_an_offset_and_leaves_silence_silent() -> None:
    """A gain of 1 / 0, or an offset that the fades turn into a thump."""
    assert not finish(np.zeros(9600), 0.0).any()
    offset = finish(1.0 + np.sin(2 * np.pi * 500 * np.arange(48_000) / SAMPLE_RATE), -6.0)
    assert abs(offset[24_000:].mean()) < 1e-3
    assert np.abs(offset).max() == pytest.approx(10 ** (-6 / 20), rel=1e-5)


def test_a_note_is_tuned() -> None:
    """Octaves that begin at a instead of c."""
    assert note_hz("a4") == 440.0
    assert note_hz("c4") == pytest.approx(261.63, abs=0.01)


def test_the_corpus_on_disk_is_the_corpus(corpus: list[EmbeddedSound], tmp_path: Path) -> None:
    """A wrong rate or bit depth, or a temporary file left beside the sounds."""
    paths = write_embedded_corpus(tmp_path / "embedded")
    assert sorted(paths) == sorted((tmp_path / "embedded").iterdir())
    assert [path.name for path in paths] == [f"{sound.name}.wav" for sound in corpus]
    for path, sound in zip(paths, corpus, strict=True):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_24")
        read, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_allclose(read, sound.samples, atol=2**-23)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """A traceback for a user's mistake."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DistillError, match="Cannot write"):
        write_embedded_corpus(tmp_path / "taken")


def test_the_stream_is_the_same_from_the_same_seed() -> None:
    """A draw from somewhere else than the generator that was handed in."""
    first, second = (np.random.default_rng(9) for _ in range(2))
    for _ in range(20):
        assert np.array_equal(random_sound(first), random_sound(second))


def test_the_stream_is_clean_varied_and_seldom_silent(stream: list[Samples]) -> None:
    """A parameter range that blows up, falls silent or makes everything sound alike."""
    centroids_hz, peaks_db, quiet = [], [], []
    for samples in stream:
        assert samples.dtype == np.float32
        assert len(samples) == round(0.512 * SAMPLE_RATE)
        assert np.isfinite(samples).all()
        peak = np.abs(samples).max()
        assert 0.001 < peak <= 1.0
        assert abs(samples.mean(dtype=np.float64)) < 1e-2 * peak  # half a period of a low drone is left over
        power = np.abs(np.fft.rfft(samples)) ** 2
        centroids_hz.append((power * np.arange(len(power))).sum() / power.sum() / 0.512)
        peaks_db.append(20 * np.log10(peak))
        quiet.append((np.abs(samples.reshape(-1, 512)).max(axis=1) < 1e-3 * peak).mean())
    assert np.percentile(centroids_hz, 10) < 500.0
    assert np.percentile(centroids_hz, 90) > 4000.0
    assert np.std(peaks_db) > 4.0
    assert np.mean(quiet) < 0.25
    assert np.median(quiet) < 0.1


@pytest.mark.parametrize("family", list(dict.fromkeys(FAMILIES)), ids=lambda family: family.__name__.strip("_"))
@pytest.mark.parametrize("seconds", [0.1, 0.333, 1.7])
def test_every_family_fills_the_duration_to_the_sample(family: Family, seconds: float) -> None:
    """A family that is right at one second and a sample short, or silent, at another."""
    rng = np.random.default_rng(2)
    for _ in range(6):
        samples = family(rng, seconds)
        assert len(samples) == round(seconds * SAMPLE_RATE)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() > 1e-4


@pytest.mark.parametrize("seconds", [0.1, 4.0, 11.7])
def test_the_stream_takes_any_duration_from_a_tenth_of_a_second(seconds: float) -> None:
    """A long sound that is one pluck and then silence, or a short one that no filter frame fits."""
    rng = np.random.default_rng(4)
    sounds = [random_sound(rng, seconds) for _ in range(4)]
    assert {len(sound) for sound in sounds} == {round(seconds * SAMPLE_RATE)}
    with pytest.raises(ValueError, match="at least"):
        random_sound(rng, 0.05)


def test_the_saw_does_not_alias() -> None:
    """A naive saw at 3 kHz mirrors its harmonics down to frequencies that no harmonic has."""
    spectrum = np.abs(np.fft.rfft(saw(np.full(SAMPLE_RATE, 3001.0)) * np.hanning(SAMPLE_RATE)))
    hz = np.arange(len(spectrum))
    away_from_harmonics = np.abs((hz + 1500) % 3001 - 1500) > 5
    below = (hz > 100) & (hz < 10_000)
    assert spectrum[below & away_from_harmonics].max() < 0.01 * spectrum.max()


def test_recordings_are_sometimes_of_a_lower_rate() -> None:
    """Guards against pre-training that never hears a sound that ends at 4 kHz, as telephone and old samples do."""

    def highest_hz(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2  # a sound that begins at once is no high one
        return float(np.searchsorted(np.cumsum(power), (1 - 1e-6) * power.sum()) * SAMPLE_RATE / len(sound))

    pairs = [(random_sound(np.random.default_rng(n)), random_recording(np.random.default_rng(n))) for n in range(40)]
    lower = [recorded for sound, recorded in pairs if not np.array_equal(sound, recorded)]
    assert 4 <= len(lower) <= 20
    assert all(abs(len(sound) - len(recorded)) < 48 and np.abs(recorded).max() <= 1.0 for sound, recorded in pairs)
    assert all(highest_hz(recorded) < 0.55 * max(LOWER_RATES) for recorded in lower)
