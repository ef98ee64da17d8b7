#!/usr/bin/env python3
"""Ways to lead a sound along a pitch: which follows best, and what becomes of its tone.

    python benchmarks/gliding.py FOLDER [--semitones 5] [--every 4] [--json] [--save NAME]

Of every fourth recording of a folder (two seconds), synthesised from its mel by the shipped network, led from so many semitones
under its own pitch to as many over it: how far it is off, the median of its frames; by how much the harmonic-to-noise ratio is
changed; how many of its frames have a pitch. Medians over the recordings that have a pitch in 30 % of their frames.

stretched   the mel stretched, synthesised, and played at that speed, as the program does (one pass)
played      played at a speed that changes, without stretching: as long as that makes it
magnitudes  the network's magnitudes moved along frequency, before there are phases
mel         the mel moved along frequency
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor

from distill.audio.between import between
from distill.audio.mel import hz_to_mel, log_mel_of, mel_to_hz
from distill.audio.pitch import pitch_track
from distill.audio.reading import read_planes
from distill.audio.traits import HIGHEST_HZ, PITCH_RATE
from distill.audio.varispeed import varispeed
from distill.instrument.gliding import missing_semitones, own_notes, way_of
from distill.models.synthesiser import SILENT_MAGNITUDE, NeuralSynthesiser, shipped_network, waveform
from distill.settings.geometry import HOP_LENGTH, SAMPLE_RATE, SpectrogramConfig
from running import add_answer_options, give_answer, rounded

SECONDS = 2.0
LEAST_VOICED = 0.3

Numbers = npt.NDArray[np.float64]
CONFIG = SpectrogramConfig()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Sound:
    """A recording, synthesised from its mel."""

    def __init__(self, samples: npt.NDArray[np.float32]) -> None:
        network = shipped_network(CONFIG)
        assert network is not None
        self.network, self.synthesise = network, NeuralSynthesiser(network)
        self.mel = log_mel_of(samples, CONFIG)
        self.samples = self.synthesise(self.mel, seeded())
        self.notes = own_notes(self.samples, HOP_LENGTH)

    def stretched(self, wished: Numbers, semitones: Numbers) -> npt.NDArray[np.float32]:
        del wished
        way = way_of(semitones, len(self.samples), HOP_LENGTH)
        return varispeed(self.synthesise(between(self.mel, torch.from_numpy(way.frames)), seeded()).numpy(), way.places)

    def played(self, wished: Numbers, semitones: Numbers) -> npt.NDArray[np.float32]:
        own, places, at = wished - semitones, [], 0.0
        for frame in range(len(wished)):  # the pitch that is met at each place, against what is wished for by then
            here = min(round(at / HOP_LENGTH), len(own) - 1)
            places.append(at)
            at += HOP_LENGTH * 2.0 ** (np.clip(wished[frame] - own[here], -12.0, 12.0) / 12.0)
        samples = np.interp(np.arange(len(places) * HOP_LENGTH) / HOP_LENGTH, np.arange(len(places)), places)
        return varispeed(self.samples.numpy(), samples[samples < len(self.samples) - 1])

    def magnitudes(self, wished: Numbers, semitones: Numbers) -> npt.NDArray[np.float32]:
        del wished
        with torch.no_grad():
            found = self.network(self.mel[None], self.mel.amax()[None])
        logs = []
        for resolution, log in enumerate(found):
            bins, frames = log.shape[1:]
            of_frame = np.interp(np.arange(frames) / 2**resolution, np.arange(len(semitones)), semitones)
            source = torch.from_numpy(np.arange(bins)[:, None] / 2.0 ** (of_frame / 12.0))
            logs.append(_moved(log[0], source, float(np.log(SILENT_MAGNITUDE)))[None])
        with torch.no_grad():
            return waveform(self.network, logs, seeded())[0].numpy()

    def mels(self, wished: Numbers, semitones: Numbers) -> npt.NDArray[np.float32]:
        del wished
        ends = hz_to_mel(CONFIG.f_min_hz), hz_to_mel(CONFIG.f_max_hz)
        centres = mel_to_hz(np.linspace(*ends, CONFIG.n_mels + 2))[1:-1]
        hz = centres[:, None] / 2.0 ** (semitones[: self.mel.shape[1]] / 12.0)
        source = np.interp(hz, centres, np.arange(CONFIG.n_mels), right=CONFIG.n_mels)
        moved = _moved(self.mel, torch.from_numpy(source), CONFIG.floor_db)
        return self.synthesise(moved, seeded()).numpy()


def _moved(values: Tensor, source: Tensor, beyond: float) -> Tensor:
    """[F, T], each cell from a place [F, T] between the rows of its column; `beyond` the last one."""
    last = len(values) - 1
    under = source.long().clamp(0, last)
    low, high = (torch.gather(values, 0, each) for each in (under, (under + 1).clamp_max(last)))
    return torch.where(source > last, beyond, torch.lerp(low, high, (source - under).to(values)))


def measured(samples: npt.NDArray[np.float32], wished: Numbers) -> dict[str, float]:
    track = pitch_track(
        soxr.resample(samples, SAMPLE_RATE, PITCH_RATE), PITCH_RATE, HOP_LENGTH / SAMPLE_RATE, HIGHEST_HZ
    )
    count = min(len(track.hz), len(wished))
    voiced = track.voiced[:count]
    if not voiced.any():
        return {"semitones_off": np.nan, "harmonic_db": np.nan, "voiced": 0.0}
    notes = track.notes[:count][voiced]
    return {
        "semitones_off": float(np.median(np.abs(notes - wished[:count][voiced]))),
        "harmonic_db": float(np.median(track.harmonic_db[:count][voiced])),
        "voiced": float(voiced.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--semitones", type=float, default=5.0)
    parser.add_argument("--every", type=int, default=4)
    add_answer_options(parser)
    given = parser.parse_args()
    ways: dict[str, Callable[[Sound, Numbers, Numbers], npt.NDArray[np.float32]]] = {
        "stretched": Sound.stretched, "played": Sound.played, "magnitudes": Sound.magnitudes, "mel": Sound.mels,
    }  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for path in sorted(each for each in given.folder.iterdir() if each.is_file())[:: given.every]:
        sound = Sound(read_planes(path)[0][0, : round(SECONDS * SAMPLE_RATE)])
        voiced = ~np.isnan(sound.notes)
        if voiced.mean() < LEAST_VOICED:
            continue
        middle = float(np.median(sound.notes[voiced]))
        wished = np.linspace(middle - given.semitones, middle + given.semitones, len(sound.notes))
        semitones = missing_semitones(sound.samples, wished, HOP_LENGTH)
        assert semitones is not None
        own = measured(sound.samples.numpy(), wished)
        for name, way in ways.items():
            led = measured(way(sound, wished, semitones), wished)
            found[name].append(led | {"harmonic_db_changed": led["harmonic_db"] - own["harmonic_db"]})
    answer: dict[str, Any] = {
        "folder": given.folder.name,
        "semitones": given.semitones,
        "recordings": len(found["mel"]),
    }
    answer |= {
        name: rounded({key: float(np.nanmedian([each[key] for each in sounds])) for key in sounds[0]})
        for name, sounds in found.items()
    }
    if not given.json:
        for name, figures in answer.items():
            print(name, figures)
    give_answer(given, answer)


if __name__ == "__main__":
    main()
