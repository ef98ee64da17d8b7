"""Make sound with a model that `distill export` wrote: the reference for other hosts, of numpy and onnxruntime alone.

    python player.py DIR out.wav --seconds 2 --seed 1

model.json, beside the graphs, says what every number here is. Randomness is an argument: anything that has `random` and
`standard_normal` of numpy's generators. Sounds come in one piece; a host that plays long ones makes them in blocks.
"""

import argparse
import json
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort


class Player:
    """The graphs of a folder, in the order that makes sound of them."""

    def __init__(self, folder: Path) -> None:
        self.card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # steps are small: threads would wait for each other
        self.graphs = {
            name: ort.InferenceSession(str(folder / graph["file"]), options, providers=["CPUExecutionProvider"])
            for name, graph in self.card["graphs"].items()
        }

    def run(self, graph: str, **inputs: Any) -> list[Any]:
        """The outputs of a graph; inputs that this model's has not are left out."""
        named = {each.name for each in self.graphs[graph].get_inputs()}
        return list(self.graphs[graph].run(None, {name: np.asarray(inputs[name]) for name in inputs if name in named}))

    def sample(
        self, columns: int, rng: Any, temperature: float = 1.0, kind: int = 0, traits: Any = None, period: int = 0
    ) -> tuple[Any, bool]:
        """New codes [C, bands, levels] of at most so many columns, and whether the sound ends there by itself.

        `kind` and `traits` [4] are wishes (0 and NaN: none). `period`: columns after which it comes round again, 0: none.
        """
        prior, bands, levels = self.card["prior"], self.card["codes"]["bands"], self.card["codes"]["levels"]
        middle, image_columns = self.card["codes"]["middle_levels"], self.card["codes"]["image_columns"]
        wished = np.array(traits or [np.nan] * 4, np.float32)
        codes = np.zeros(((columns + 1) * bands, levels), np.int64)
        first, cache = 0, np.zeros(prior["cache_shape"], np.float32)  # [layers, 1, heads, past, size]
        keys, values = cache, cache
        for column in range(columns + 1):  # behind the last one it is only asked whether the sound is over
            if column < columns and column - first >= prior["window_columns"]:
                first, keys, values = column - prior["kept_columns"], cache, cache  # the newest columns are read again
            points = iter(rng.random(bands * levels if column < columns else 1))
            for place in range(column * bands, (column + 1) * bands):
                steps = np.arange(keys.shape[3], place - first * bands + 1)  # those not read yet; mostly one
                sources = np.full((1, len(steps), len(prior["sources"]), levels), prior["outside"], np.int64)
                for number, source in enumerate(prior["sources"]):  # those to the right are for holes alone
                    back, same = source["places_back"], source["within_column"]
                    back += source.get("periods_back", 0) * period * bands
                    there = (back > 0) & (steps >= back) & ((steps % bands > 0) | (not same))
                    sources[0, there, number] = codes[first * bands + steps[there] - back]
                state, keys, values = self.run(
                    "prior", sources=sources, place=steps, start=np.array([int(first > 0)]), keys=keys, values=values,
                    left_gap=0 * steps, right_gap=0 * steps[None], kind=np.array([kind]),
                    traits=np.tile(wished, (1, len(steps), 1)),
                )  # fmt: skip
                for level in range(levels):
                    chosen = codes[None, place, :level]
                    (logits,) = self.run(
                        f"level_{level + 1}", state=state[:, -1], sources=sources[:, -1], chosen=chosen
                    )
                    if level == 0:  # a sound ends where a column would begin
                        may_end = place % bands == 0 and column > 0
                        logits[0, prior["end"]] += prior["end_logit"] if may_end else -np.inf
                    code = drawn(logits[0], temperature, next(points))
                    if column == columns or code == prior["end"]:
                        return codes[: column * bands].reshape(-1, bands, levels), bool(code == prior["end"])
                    if level >= middle and column % image_columns:
                        code = codes[place - bands, level]  # a stereo image that columns share
                    codes[place, level] = code
        raise AssertionError

    def decode(self, codes: Any, noise: Any, texture: float) -> list[Any]:
        """Codes [C, bands, levels] and normal noise [C, bands, 256] -> the outputs of the decoder."""
        levels, level_db = self.card["codes"]["middle_levels"], np.float32(self.card["decoder"]["level_db"])
        return self.run(
            "decoder", codes=codes[..., :levels], level_db=level_db, noise=noise, texture=np.float32(texture)
        )

    def sound(self, codes: Any, ended: bool, rng: Any, seconds: float, texture: float = 1.0) -> Any:
        """Codes [C, bands, levels] to samples [N], at most so many seconds: mel with grain, waveform, level, fades."""
        card, hop, rate = self.card, self.card["mel"]["hop"], self.card["audio"]["sample_rate"]
        end, point = rng.random(2)
        noise = rng.standard_normal((*codes.shape[:2], 256), np.float32)
        mel, _, *expected = self.decode(codes, noise, texture)
        length = mel.shape[1] * hop
        if ended and "ending" in self.graphs:
            decoded = self.decode(codes[-2:], noise[-2:], 0.0)[1][:, -card["codes"]["frames_per_column"] :]
            upto = np.cumsum(self.run("ending", decoded=decoded)[0].astype(np.float64))
            frame = min(int(np.searchsorted(upto, end)), len(upto) - 1)
            share = (end - upto[frame]) / max(np.diff(upto, prepend=0.0)[frame], 1e-12) + 1.0
            frames = mel.shape[1] - len(upto) + frame + min(max(share, 0.0), 1.0)
            length = max(math.ceil(frames * hop), card["audio"]["least_samples"])
            mel = mel[:, : -(-length // hop)]
        over = ended and "ending" in self.graphs and length <= round(seconds * rate)
        length = min(length, round(seconds * rate))
        samples = self.waveform(mel, rng.random(1, np.float32) * 2 * np.pi)[:length]
        if over and "release" in card:
            samples = self.released(samples)
        samples = band_limited(samples, card["audio"]["highest_rate"], rate)
        if expected:
            samples = band_limited(self.levelled(samples, expected[0], point), card["audio"]["highest_rate"], rate)
        for fade, seconds_of in ((slice(None), "fade_in_seconds"), (slice(None, None, -1), "fade_out_seconds")):
            count = min(len(samples), round(card["audio"][seconds_of] * rate))
            samples[fade][:count] *= np.linspace(0.0, 1.0, count)
        return samples * min(1.0, card["audio"]["peak"] / max(np.abs(samples).max(initial=0.0), 1e-9))

    def released(self, samples: Any) -> Any:
        """Samples [N] of a sound that ends by itself, its end as soft as those of the recordings."""
        release, end = self.card["release"], self.card["release"]["end_samples"]
        if len(samples) < end:
            return samples
        loudest = max(level_of(part) for part in samples[: len(samples) // end * end].reshape(-1, end))
        ends = min(max(level_of(samples[-end:]) - loudest, release["softest_db"]), 0.0)
        softer = max(0.0, ends - np.interp(ends, release["made_db"], release["recorded_db"]))
        length = max(end, min(release["samples"], len(samples) // 2))
        gain_db = -softer / (1.0 - end / (2.0 * length)) * np.linspace(0.0, 1.0, length)
        return np.concatenate([samples[:-length], samples[-length:] * 10.0 ** (gain_db / 20.0)]).astype(np.float32)

    def levelled(self, samples: Any, expected_db: Any, point: float) -> Any:
        """Samples [N] as loud as was learned: by their root mean square or their peak, peaks turned down where that takes it."""
        learned, limiter = self.card["loudness"], self.card["audio"]["limiter"]
        left_open = learned["left_open_db"][int(point * len(learned["left_open_db"]))]
        rms, highest = np.clip(expected_db + left_open, *learned["bounds_db"])
        ceiling = decibels(self.card["audio"]["peak"])
        ceiling = min(highest, ceiling) if learned["is_peak"] else ceiling
        room, has = ceiling - decibels(np.abs(samples).max(initial=0.0)), level_of(samples)
        wanted = min(max(rms, room + has) if learned["is_peak"] else rms, decibels(self.card["audio"]["peak"]))
        gain, made = wanted - has, samples
        if has <= -120.0 or gain <= room:
            return samples * 10.0 ** (gain / 20.0) if has > -120.0 else samples
        for _ in range(limiter["approaches"]):
            gain = min(gain, room + limiter["most_db"])
            made = limited(samples * 10.0 ** (gain / 20.0), 10.0 ** (ceiling / 20.0), limiter["reach_samples"])
            gain += wanted - level_of(made)
        return made

    def waveform(self, mel: Any, begun: Any) -> Any:
        """Log-mel [M, T] in dB and a phase [1] to begin with -> samples [T * hop]."""
        how, length = self.card["synthesiser"], mel.shape[1] * self.card["mel"]["hop"]
        logs = self.run("synthesiser", mel=mel, loudest_db=mel.max())
        logs = [np.pad(log, ((0, 0), (0, 1)), constant_values=how["silent_ln"]) for log in logs]
        magnitude, last, ratio = np.exp(logs[0]), 0.0, how["momentum"] / (1.0 + how["momentum"])
        spectrum = magnitude * np.exp(1j * vocoder_phase(magnitude, begun))
        for _ in range(how["phase_steps"]):  # Griffin-Lim with momentum
            now = to_spectrum(to_samples(spectrum, length), 2 * len(magnitude) - 2)
            ahead, last = now - ratio * last, now
            spectrum = magnitude * ahead / np.maximum(np.abs(ahead), 1e-16)
        samples = to_samples(spectrum, length)
        for _ in range(how["agreement_steps"]):  # a part of the way to the magnitudes of all windows at once
            spectra = [to_spectrum(samples, window) for window in how["windows"]]
            gains = [
                np.exp(np.array(trust)[:, None] * (log - 0.5 * np.log(np.square(np.abs(own)) + 1e-14)))
                for own, log, trust in zip(spectra, logs, how["trust"], strict=True)
            ]
            made = [to_samples(own * gain, length) for own, gain in zip(spectra, gains, strict=True)]
            samples = np.mean(made, axis=0)
        return samples


def drawn(logits: Any, temperature: float, point: float) -> int:
    """The code [] of logits [V] where their distribution is inverted at a point in [0, 1)."""
    if temperature < 1e-3:
        return int(logits.argmax())
    odds = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    return int(np.searchsorted(np.cumsum(odds / odds.sum()), min(point, 1.0 - 1e-12), side="right"))


def to_spectrum(samples: Any, n_fft: int) -> Any:
    """[N] -> [F, T + 1]: frames a quarter of a window apart, zeros around the sound, periodic Hann window."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, n_fft // 2), n_fft)[:: n_fft // 4]
    return np.fft.rfft(frames * hann(n_fft)).T


def to_samples(spectrum: Any, length: int) -> Any:
    """The inverse: windowed again, overlapped, divided by what the squared windows add up to."""
    n_fft, count = 2 * len(spectrum) - 2, spectrum.shape[1]
    hop, window = n_fft // 4, hann(n_fft)
    frames = np.fft.irfft(spectrum.T, n_fft) * window
    total, weight = np.zeros((2, (count + 3) * hop))
    for part in range(4):  # every fourth of a window lies on the grid of hops
        total.reshape(-1, hop)[part : part + count] += frames[:, part * hop : (part + 1) * hop]
        weight.reshape(-1, hop)[part : part + count] += np.square(window[part * hop : (part + 1) * hop])
    return total[n_fft // 2 :][:length] / weight[n_fft // 2 :][:length]


def hann(n_fft: int) -> Any:
    """[n_fft]."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def vocoder_phase(magnitude: Any, begun: Any) -> Any:
    """Magnitudes [F, T] and the phase [1] of the lowest bin in the first frame -> phase [F, T]: every peak goes on at its own
    frequency; to the bins around it, and in the first frame, the phase turns as levels grow over time."""
    bins, level = np.arange(len(magnitude)), np.log(np.maximum(magnitude.T, 1e-9))  # [T, F]
    padded = np.pad(level, ((0, 0), (1, 1)), constant_values=-30.0)
    under, over = padded[:, :-2], padded[:, 2:]
    peak, bend = (level > under) & (level >= over), np.minimum(under - 2.0 * level + over, -1e-6)
    frequency = bins + np.where(peak, np.clip(0.5 * (under - over) / bend, -0.5, 0.5), 0.0)
    under = np.maximum.accumulate(np.where(peak, bins, -(10**6)), axis=1)
    over = np.minimum.accumulate(np.where(peak, bins, 10**6)[:, ::-1], axis=1)[:, ::-1]
    owner = np.clip(np.where(bins - under <= over - bins, under, over), 0, len(bins) - 1)
    around = np.pad(level, ((1, 1), (0, 0)), mode="edge")
    growth = (around[2:] - around[:-2]) * np.where(np.arange(len(level)) > 0, 1.0, 2.0)[:, None]
    late = np.clip(0.0816 * growth, -0.5, 0.5)  # windows that what is in a bin lies after the middle of the frame
    across = -np.pi * np.cumsum(1.0 + late + np.concatenate([late[:, :1], late[:, :-1]], axis=1), axis=1)
    step = across + np.take_along_axis(np.pi / 2 * frequency - across, owner, axis=1)
    phases = [across[0] + begun]
    for peaks, further in zip(owner[1:], step[1:], strict=True):
        phases.append(np.mod(phases[-1][peaks] + further, 2 * np.pi))
    return np.stack(phases, axis=1)


def band_limited(samples: Any, highest_rate: int, rate: int) -> Any:
    """Samples [N] without what recordings at `highest_rate` Hz cannot hold."""
    hertz = np.fft.rfftfreq(len(samples), 1.0 / rate)
    kept = np.clip((highest_rate / 2 - hertz) / (0.05 * highest_rate / 2), 0.0, 1.0)
    return samples if highest_rate >= rate else np.fft.irfft(np.fft.rfft(samples) * kept, len(samples))


def limited(samples: Any, ceiling: float, reach: int) -> Any:
    """Samples [N] turned down around each peak that is higher: by the least gain needed nearby, averaged over as much."""
    gain = np.minimum(1.0, ceiling / np.maximum(np.abs(samples), 1e-9))
    for nearby in (np.min, np.mean):
        around = np.lib.stride_tricks.sliding_window_view(np.pad(gain, reach, mode="edge"), 2 * reach + 1)
        gain = nearby(around, axis=1)
    return samples * gain


def level_of(samples: Any) -> float:
    """The root mean square of samples [N] in dB."""
    return decibels(np.sqrt(np.mean(np.square(samples)))) if len(samples) else -120.0


def decibels(amplitude: Any) -> float:
    """Full scale 1; not below -120."""
    return max(20.0 * math.log10(max(float(amplitude), 1e-15)), -120.0)


def main() -> None:
    """Write one new sound as a WAV file."""
    parser = argparse.ArgumentParser(description="Make a new sound with a model that distill exported.")
    parser.add_argument("folder", type=Path, help="what `distill export` wrote")
    parser.add_argument("out", type=Path, help="the WAV file to write")
    parser.add_argument("--seconds", type=float, default=1.0, help="the longest that it may be")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--texture", type=float, default=1.0, help="how much grain: 0 to 2")
    parser.add_argument("--kind", help="one of the kinds in model.json")
    given = parser.parse_args()
    if given.seconds <= 0.0:
        parser.error(f"--seconds {given.seconds}: give more than 0")
    player = Player(given.folder)
    if not {"prior", "synthesiser"} <= player.graphs.keys():
        parser.error("this model can be decoded, but not play by itself: " + " ".join(player.card["lacks"]))
    kinds = player.card["prior"]["kinds"]
    if given.kind is not None and given.kind not in kinds:
        parser.error(f"--kind {given.kind}: this model knows {', '.join(kinds) or 'no kinds'}")
    kind = 0 if given.kind is None else kinds.index(given.kind) + 1
    rng = np.random.default_rng(given.seed)
    rate, columns = (
        player.card["audio"]["sample_rate"],
        math.ceil(given.seconds / player.card["codes"]["column_seconds"]),
    )
    periods = player.card["prior"].get("periods", []) if columns > player.card["prior"]["window_columns"] else []
    period = int(rng.choice(periods)) if periods else 0
    codes, ended = player.sample(columns, rng, given.temperature, kind, period=period)
    samples = player.sound(codes, ended, rng, given.seconds, given.texture)
    with wave.open(str(given.out), "wb") as file:
        file.setparams((1, 3, rate, 0, "NONE", ""))
        whole = np.round(samples * (2**23 - 1)).astype("<i4")
        file.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())


if __name__ == "__main__":
    main()
