#!/usr/bin/env python3
"""What ears hear of a model: two listeners' scores, the stereo image, how sounds end, how loud they are, their pitch.

    python benchmarks/ears.py FOLDER... [--seeds N] [--preset NAME] [--opus] [--work DIR] [--json] [--save NAME]

For every folder and seed `train` and `train-prior` with default settings, the held-out files reconstructed, and 64 sounds
generated. Medians over seeds, [lowest, highest] beside them.

zimtohrli, visqol   Mean MOS (1 to about 5) of reconstructions against their originals: first 5 s, mono, 48 kHz, one gain a
                    file, 0.1 s of silence in front, at least 1 s. ViSQOL hardly hears one-shots.
codec_*             The codec with its synthesiser; `synthesiser_*`: from the original's own mel; with --opus, where
                    `opusenc` and `opusdec` are installed, the originals through Opus at 12, 16 and 24 kbit/s.
image_*             Two-channel originals only: |difference| of the level difference (dB) and of the coherence between the
                    channels, 24 bands, weighted by energy to the power 0.3, what lies within 50 dB of the loudest cell.
loudness_*          |difference| of reconstruction and original in dB (root mean square), median and worst.
ends_loud           Percent of sounds whose last 20 ms lie above -30 dB of their loudest 20 ms: of the folder, its sounds cut
                    as the generated are (at 4 s), and of the generated; `lengths_ks`, `loudness_ks`, `peaks_ks`:
                    Kolmogorov-Smirnov distances of both to the folder's, whose peaks are cut at 0.98 as the program's are.
                    Where both are drawn from one distribution, such a distance is 0.15 in the mean for 64 and 64.
above_nyquist_db    Energy above half of the highest sample rate in the folder, in dB under the whole: the loudest of the
                    generated, and of the reconstructions above half of their original's (where that is under 44.1 kHz).
pitch_*             Where the original has a pitch (YIN): median |cents| of the reconstruction, percent of frames within 50
                    cents, and how much its harmonic-to-noise ratio differs in dB (median of the difference).
decode_x_real_time  Seconds of sound for each CPU-second that decoding takes, one thread: codes and grain of the held-out files
                    to samples, with their stereo image where the model has one.

Needs `pip install zimtohrli visqol-python`; without one of them its column is left out.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from scipy import signal, stats

from distill.audio.master import PEAK
from distill.audio.mel import log_mel_of
from distill.audio.pitch import pitch_track
from distill.audio.reading import as_channels, read_audio, read_planes
from distill.audio.returning import returned
from distill.instrument.synthesisers import choose_synthesiser
from distill.modelfile.opened import load_model
from distill.models.encoding import decode_codes, level_of
from distill.models.grain import code_recording, with_grain
from distill.models.image import with_own_image
from distill.models.sampling import clip_generator
from distill.settings.geometry import SAMPLE_RATE
from running import add_answer_options, give_answer, spread

Samples = npt.NDArray[np.float64]
Pairs = list[tuple[Path, Path]]

HEARD_SECONDS = 5.0
GENERATED = 64
GENERATED_SECONDS = 4.0
AUDIBLE_RATE = 44_100
OPUS_KBITS = (12, 16, 24)
LAST_SECONDS = 0.02


def channels_of(path: Path) -> Samples:
    """[channels, N] at 48 kHz."""
    try:
        samples, rate = soundfile.read(path, always_2d=True)
    except soundfile.LibsndfileError:
        return np.asarray(as_channels(read_planes(path)[0]), dtype=np.float64)
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else samples).T


def mono(path: Path) -> Samples:
    """[N] at 48 kHz."""
    return np.asarray(channels_of(path).mean(0))


def fitted(samples: Samples, length: int) -> Samples:
    """[..., N] -> [..., length], cut or filled with silence."""
    missing = [(0, 0)] * (samples.ndim - 1) + [(0, max(0, length - samples.shape[-1]))]
    return np.pad(samples, missing)[..., :length]


def listeners() -> dict[str, Callable[[Samples, Samples], float]]:
    """Who is here to listen: original and degraded [N], 48 kHz -> MOS."""
    found: dict[str, Callable[[Samples, Samples], float]] = {}
    with contextlib.suppress(ImportError):
        from zimtohrli import mos_from_signals

        found["zimtohrli"] = lambda a, b: float(mos_from_signals(a.astype("f4"), b.astype("f4")))
    with contextlib.suppress(ImportError):
        from visqol import VisqolApi

        api = VisqolApi()
        api.create(mode="audio")

        def visqol(a: Samples, b: Samples) -> float:
            with tempfile.TemporaryDirectory() as room:
                for name, samples in (("a", a), ("b", b)):
                    soundfile.write(Path(room, f"{name}.wav"), np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_24")
                return float(api.measure(f"{room}/a.wav", f"{room}/b.wav").moslqo)

        found["visqol"] = visqol
    return found


def heard(pairs: Pairs) -> dict[str, float]:
    """Mean MOS of each listener; a pair that a listener cannot judge is left out of its mean."""
    scores: dict[str, list[float]] = {name: [] for name in LISTENERS}
    for original, made in pairs:
        a, b = (mono(path)[: round(HEARD_SECONDS * SAMPLE_RATE)] for path in (original, made))
        b = fitted(b, len(a))
        spectra = [np.abs(np.fft.rfft(x)) for x in (a, b)]
        b = b * float((spectra[0] * spectra[1]).sum() / max((spectra[1] ** 2).sum(), 1e-12))
        length = max(SAMPLE_RATE, len(a) + SAMPLE_RATE // 5)
        both = [np.random.default_rng(0).normal(0.0, 1e-6, length) for _ in range(2)]
        for whole, part in zip(both, (a, b), strict=True):
            whole[SAMPLE_RATE // 10 : SAMPLE_RATE // 10 + len(part)] += part
        for name, listen in LISTENERS.items():
            try:
                scores[name].append(listen(*both))
            except (RuntimeError, ValueError) as error:
                print(f"{name} cannot judge {made.name}: {error}", file=sys.stderr)
    return {name: statistics.mean(values) for name, values in scores.items() if values}


def image(pairs: Pairs) -> dict[str, float]:
    """How far the stereo image of reconstructions is from that of two-channel originals."""
    rows = [_image(a[:2], b) for a, b in ((channels_of(x), channels_of(y)) for x, y in pairs) if len(a) >= 2]
    if not rows:
        return {}
    level, coherence = np.mean(rows, axis=0)
    return {"image_level_db": float(level), "image_coherence": float(coherence)}


def _image(original: Samples, made: Samples) -> tuple[float, float]:
    made = fitted(made[:2] if len(made) > 1 else np.repeat(made, 2, 0), original.shape[1])
    (al, ar, ac), (bl, br, bc) = _cells(original), _cells(made)
    energy = al + ar
    kept = energy > energy.max() * 1e-5
    weight = (energy**0.3)[kept] / (energy**0.3)[kept].sum()

    def difference(left: Samples, right: Samples) -> Samples:
        return np.asarray(np.clip(10 * np.log10((left + 1e-15) / (right + 1e-15)), -30, 30))

    level = np.abs(difference(al, ar) - difference(bl, br))[kept]
    return float((level * weight).sum()), float((np.abs(ac - bc)[kept] * weight).sum())


def _cells(pair: Samples) -> tuple[Samples, Samples, Samples]:
    """[2, N] -> energies left and right, and coherence, [24 bands, T] each, smoothed over nine frames."""
    window = torch.hann_window(2048, dtype=torch.float64)
    left, right = (
        torch.stft(torch.from_numpy(np.ascontiguousarray(side)), 2048, 512, window=window, return_complex=True).numpy()
        for side in pair
    )
    edges = np.geomspace(40.0, 20_000.0, 25)
    band = np.searchsorted(edges, np.fft.rfftfreq(2048, 1 / SAMPLE_RATE)) - 1
    inside = (band[None] == np.arange(24)[:, None]).astype(np.float64)

    def smooth(cells: Samples) -> Samples:
        kernel = np.ones(9) / 9
        return np.stack([np.convolve(row, kernel, "same") for row in cells])

    cross = inside @ (left * right.conj())
    one, other = smooth(inside @ np.abs(left) ** 2), smooth(inside @ np.abs(right) ** 2)
    both = np.abs(smooth(cross.real) + 1j * smooth(cross.imag))
    return one, other, both / np.sqrt(one * other + 1e-18)


def level_db(samples: Samples) -> float:
    """Root mean square in dB."""
    return float(10 * np.log10(max(float((samples**2).mean()), 1e-12)))


def loudness(pairs: Pairs) -> dict[str, float]:
    """How much louder or softer reconstructions are."""
    off = [abs(level_db(mono(a)) - level_db(mono(b))) for a, b in pairs]
    return {"loudness_median_db": statistics.median(off), "loudness_worst_db": max(off)}


def ends_loud(samples: Samples) -> bool:
    """Whether a sound is still going on where it ends."""
    last = round(LAST_SECONDS * SAMPLE_RATE)
    parts = np.array_split(samples, max(1, len(samples) // last))
    return level_db(samples[-last:]) > max(map(level_db, parts)) - 30.0


def compared(folder: list[Path], generated: list[Path]) -> dict[str, float]:
    """Ends, lengths and loudness of generated sounds beside those of the folder."""
    both = [[mono(path)[: round(GENERATED_SECONDS * SAMPLE_RATE)] for path in paths] for paths in (folder, generated)]

    def apart(measure: Callable[[Samples], float]) -> float:
        return float(stats.ks_2samp(*([measure(samples) for samples in sounds] for sounds in both)).statistic)

    return {
        "ends_loud_folder": 100 * statistics.mean(map(ends_loud, both[0])),
        "ends_loud_generated": 100 * statistics.mean(map(ends_loud, both[1])),
        "lengths_ks": apart(len),
        "loudness_ks": apart(level_db),
        "peaks_ks": apart(lambda samples: round(min(float(np.abs(samples).max()), PEAK), 3)),
    }


def above_nyquist(pairs: Pairs, generated: list[Path], rates: dict[Path, int]) -> dict[str, float]:
    """What lies above the recordings' Nyquist frequencies, where those are low enough to be heard."""

    def share_db(path: Path, rate: int) -> float:
        samples = mono(path)  # Hann windows: a sound that begins at once is no sound above its Nyquist frequency
        hz, power = signal.welch(samples, SAMPLE_RATE, nperseg=min(2048, len(samples)), scaling="spectrum")
        above = power[hz > rate / 2].sum()
        return float(10 * np.log10(max(above, 1e-30) / max(power.sum(), 1e-30)))

    found: dict[str, float] = {}
    highest = max(rates.values())
    if highest < AUDIBLE_RATE:
        found["above_nyquist_generated_db"] = max(share_db(path, highest) for path in generated)
    low = [(made, rates[original]) for original, made in pairs if rates[original] < AUDIBLE_RATE]
    if low:
        found["above_nyquist_again_db"] = max(share_db(made, rate) for made, rate in low)
    return found


def pitch(pairs: Pairs) -> dict[str, float]:
    """How well reconstructions keep the pitch, over all frames in which the original has one."""
    cents: list[Samples] = []
    harmony: list[Samples] = []
    for original, made in pairs:
        a, b = (pitch_track(samples, SAMPLE_RATE) for samples in (mono(original), mono(made)))
        count = min(len(a.hz), len(b.hz))
        voiced = a.voiced[:count]
        cents.append(np.abs(1200 * np.log2(b.hz[:count] / a.hz[:count]))[voiced])
        harmony.append((b.harmonic_db[:count] - a.harmonic_db[:count])[voiced])
    off = np.concatenate(cents)
    if not len(off):
        return {}
    return {
        "pitch_median_cents": float(np.median(off)),
        "pitch_within_50_cents": 100 * float((off <= 50.0).mean()),
        "pitch_harmonic_db": float(np.median(np.concatenate(harmony))),
    }


def distill(*arguments: str | Path) -> dict[str, Any]:
    """Run a distill command -> its JSON object."""
    line = [sys.executable, "-m", "distill", *map(str, arguments), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def one_seed(folder: Path, seed: int, preset: str, work: Path) -> dict[str, float]:
    """Everything about one training."""
    name = f"{folder.name}-{preset}-{seed}"
    model, again, generated = work / f"{name}.distill", work / f"{name}-again", work / f"{name}-generated"
    if not model.exists():
        distill("train", folder, "--out", model, "--preset", preset, "--seed", str(seed))
        distill("train-prior", model, "--seed", str(seed))
    for room in (again, generated):
        shutil.rmtree(room, ignore_errors=True)
    card = distill("info", model)["corpus_manifest"]
    held_out = [folder / file["name"] for file in card["files"] if file["split"] == "val"]
    answer = distill("reconstruct", model, *held_out, "--out", again)
    pairs = [(Path(file["source"]), Path(file["path"])) for file in answer["files"]]
    distill(
        "generate", model, "--count", str(GENERATED), "--seed", "1", "--seconds", str(GENERATED_SECONDS), "--natural",
        "--out", generated,
    )  # fmt: skip
    rates = {folder / file["name"]: file["native_rate"] for file in card["files"]}
    made = sorted(generated.iterdir())
    sounds = [folder / file["name"] for file in card["files"]]
    return {
        **{f"codec_{who}": score for who, score in heard(pairs).items()},
        **{f"synthesiser_{who}": score for who, score in heard(list(from_own_mels(model, held_out, work))).items()},
        **image(pairs),
        **loudness(pairs),
        **compared(sounds, made),
        **above_nyquist(pairs, made, rates),
        **pitch(pairs),
        "decode_x_real_time": decoding_speed(model, held_out),
    }


def decoding_speed(model: Path, files: list[Path]) -> float:
    """Seconds of sound that one thread decodes in a second; the first file is decoded twice, and counts once."""
    loaded, device = load_model(model), torch.device("cpu")
    synthesise = choose_synthesiser(loaded, "auto", device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = spent = 0.0
    for number, file in enumerate([files[0], *files]):
        planes, info = read_planes(file)
        samples = torch.from_numpy(planes[0])
        frames = log_mel_of(planes[0], loaded.card.spectrogram_config).T.numpy()
        level = level_of(frames)
        coded = code_recording(loaded.codec, frames, level, device)
        begun = time.process_time()
        mel = with_grain(decode_codes(loaded.codec, coded.codes, level) - level, coded.grain) + level
        middle = returned(synthesise(mel[:, : len(frames)], clip_generator(0)), samples, info.native_rate)
        with_own_image(middle, planes, info.native_rate, loaded.image is not None)
        if number:
            seconds, spent = seconds + len(samples) / SAMPLE_RATE, spent + time.process_time() - begun
    torch.set_num_threads(threads)
    return seconds / spent


def from_own_mels(model: Path, files: list[Path], work: Path) -> Iterator[tuple[Path, Path]]:
    """Each file and what the synthesiser makes of its own mel."""
    loaded = load_model(model)
    synthesise = choose_synthesiser(loaded, "auto", torch.device("cpu"))
    room = work / "from-own-mels"
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    for number, file in enumerate(files):
        mel = log_mel_of(read_audio(file)[0], loaded.card.spectrogram_config)
        made = room / f"{number}.wav"
        soundfile.write(made, synthesise(mel, clip_generator(0)).numpy(), SAMPLE_RATE, subtype="FLOAT")
        yield file, made


def opus(files: list[Path], work: Path) -> dict[str, float]:
    """The same ears on the files through Opus."""
    found: dict[str, float] = {}
    for kbits in OPUS_KBITS:
        room = work / f"opus-{kbits}"
        room.mkdir(parents=True, exist_ok=True)
        pairs = []
        for number, file in enumerate(files):
            plain, packed, back = (room / f"{number}.{suffix}" for suffix in ("in.wav", "opus", "wav"))
            soundfile.write(plain, mono(file)[: round(HEARD_SECONDS * SAMPLE_RATE)], SAMPLE_RATE, subtype="PCM_24")
            encode = ["opusenc", "--quiet", "--hard-cbr", "--framesize", "60", "--bitrate", str(kbits), plain, packed]
            subprocess.run([str(part) for part in encode], check=True)
            subprocess.run(["opusdec", "--quiet", "--rate", "48000", str(packed), str(back)], check=True)
            pairs.append((file, back))
        found |= {f"opus_{kbits}_{who}": score for who, score in heard(pairs).items()}
    return found


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['median']:.3g} [{value['lowest']:.3g}, {value['highest']:.3g}]"
    return f"{value:.3g}"


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--opus", action="store_true", help="the originals through Opus too")
    parser.add_argument("--work", type=Path, help="keep models and sounds here, and use those that are here")
    add_answer_options(parser)
    given = parser.parse_args()
    LISTENERS.update(listeners())
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for folder in given.folders:
            runs = [one_seed(folder, seed, given.preset, work) for seed in range(given.seeds)]
            found: dict[str, Any] = {
                name: spread(statistics.median(values), min(values), max(values))
                for name in runs[0]
                if (values := [run[name] for run in runs])
            }
            if given.opus and shutil.which("opusenc"):
                card = distill("info", work / f"{folder.name}-{given.preset}-0.distill")["corpus_manifest"]
                held_out = [folder / file["name"] for file in card["files"] if file["split"] == "val"]
                found |= opus(held_out, work / f"{folder.name}-opus")
            answer[folder.name] = found
            if not given.json:
                print(folder.name)
                for name, value in found.items():
                    print(f"  {name:28} {_shown(value)}")
    give_answer(given, answer)


LISTENERS: dict[str, Callable[[Samples, Samples], float]] = {}

if __name__ == "__main__":
    main()
