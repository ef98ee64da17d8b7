#!/usr/bin/env python3
"""Whether a model does what it is asked: loudness, brightness, length, onsets, pitch and kind, wished against measured.

    python benchmarks/wishes.py MODEL_OR_FOLDER... [--sounds N] [--strength X] [--seed N] [--preset NAME] [--work DIR]
                                [--json] [--save NAME]

A model with a prior, or a folder, for which one is trained with default settings. Sounds are made one by one, each with one
wish, by `Model.generate`.

loudness, brightness, length, onsets
            Spearman's rank correlation of wish and measurement over 64 sounds (`--sounds`), wishes evenly spread from 0.05
            to 0.95 of the corpus's own range. 1: what was wished louder is always louder; 0: nothing was heard. A trait in
            which nine of ten training files or more are alike (one onset each) is left out.
pitch       Pitches of the corpus's own notes are wished: percent of sounds within 50 cents (`pitch_within_50_cents`), and
            within 50 cents of the note in any octave; a sound without a pitch is within nothing. Left out where fewer than
            half of the training files have a pitch.
kind        Every kind in turn: percent of sounds whose nearest training file (mean mel) is of the kind. Beside it what the
            recordings themselves reach, each compared with all others (`kind_of_recordings`), and guessing (`kind_by_chance`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from distill.audio.mel import log_mel_of
from distill.audio.notes import note_name, parse_pitch
from distill.audio.traits import SoundTraits, frame_traits, sounding_seconds, traits_of
from distill.corpus.kinds import Kinds, find_kinds, mean_mel, nearest_kind
from distill.corpus.sounds import Corpus
from distill.modelfile.card import ModelCard
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig
from running import add_answer_options, give_answer

SOUNDS = 64
RANKED = ("loudness", "brightness", "length", "onsets")
WISHED = (0.05, 0.95)
MOST_ALIKE = 0.9
SECONDS = (1.0, 8.0)
"""The longest that each sound may be: what nearly all training files are, within these."""
WITHIN_SEMITONES = 0.5

Samples = npt.NDArray[np.floating]
Wishes = Mapping[str, float | str]
Make = Callable[[Wishes, int], Samples]
"""Wishes and a seed -> samples [channels, N] or [N] at 48 kHz."""


class Measured(NamedTuple):
    """What one sound is like."""

    traits: SoundTraits
    length: float
    """Seconds until it has sunk into silence."""
    mean_mel: npt.NDArray[np.float32]

    def trait(self, name: str) -> float:
        """NaN where the sound has none."""
        value = self.length if name == "length" else getattr(self.traits, name)
        return float("nan") if value is None else float(value)


def measured(samples: Samples, spectrogram: SpectrogramConfig | None = None) -> Measured:
    """Samples [N] or [channels, N] at 48 kHz."""
    chosen = spectrogram or SpectrogramConfig()
    mono = np.asarray(samples, dtype=np.float32)
    mono = mono if mono.ndim == 1 else mono.mean(axis=0)
    mel = log_mel_of(mono, chosen).T
    frames = frame_traits(mel, mono, chosen)
    return Measured(traits_of(frames, len(mono) / SAMPLE_RATE), sounding_seconds(frames, chosen), mean_mel(mel.numpy()))


def rank_correlation(wished: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's, over the sounds that have the trait; 0 where all are alike."""
    pairs = [(a, b) for a, b in zip(wished, found, strict=True) if not np.isnan(b)]
    if len({b for _, b in pairs}) < 2:
        return 0.0
    return float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)


def varied(known: Sequence[Measured]) -> list[str]:
    """The traits that can be wished more or less of: those in which training files differ."""

    def most_alike(name: str) -> float:
        values = [round(sound.trait(name), 3) for sound in known]
        return max(Counter(values).values()) / len(values)

    return [name for name in RANKED if most_alike(name) < MOST_ALIKE]


def followed(make: Make, sounds: int, seed: int = 0, traits: Sequence[str] = RANKED) -> dict[str, float]:
    """How well a wish for more of a trait makes more of it."""
    wished = np.linspace(*WISHED, sounds).tolist()
    order = np.random.default_rng(seed).permutation(sounds)  # no trait may follow the seed instead
    found: dict[str, float] = {}
    for name in traits:
        values = [
            measured(make({name: wish}, seed + int(place))).trait(name)
            for wish, place in zip(wished, order, strict=True)
        ]
        found[name] = rank_correlation(wished, values)
    return found


def in_tune(make: Make, pitches: Sequence[float], sounds: int, seed: int = 0) -> dict[str, float]:
    """How many sounds have the pitch that was wished. `pitches`: MIDI note numbers of the corpus's files."""
    notes = sorted({note_name(pitch) for pitch in pitches}, key=parse_pitch)
    off = []
    for place in range(sounds):
        note = notes[place * len(notes) // sounds]
        pitch = measured(make({"pitch": note}, seed + place)).trait("pitch")
        off.append(np.inf if np.isnan(pitch) else pitch - parse_pitch(note))
    semitones = np.array(off)
    in_octave = np.abs((np.where(np.isinf(semitones), 6.0, semitones) + 6.0) % 12.0 - 6.0)
    return {
        "pitch_within_50_cents": 100.0 * float((np.abs(semitones) <= WITHIN_SEMITONES).mean()),
        "pitch_in_any_octave": 100.0 * float((in_octave <= WITHIN_SEMITONES).mean()),
        "pitch_heard": 100.0 * float(np.isfinite(semitones).mean()),
    }


def recognised(make: Make, kinds: Kinds, mels: npt.NDArray[np.float32], sounds: int, seed: int = 0) -> dict[str, float]:
    """How many sounds are of the kind that was wished. `mels`: [F, M], mean mels of the files that `kinds` is of."""
    right = []
    for place in range(sounds):
        kind = place % len(kinds.names)
        made = measured(make({"kind": kinds.names[kind]}, seed + place))
        right.append(nearest_kind(made.mean_mel, mels, kinds) == kind)
    return {"kind": 100.0 * statistics.mean(right), **of_recordings(kinds, mels)}


def of_recordings(kinds: Kinds, mels: npt.NDArray[np.float32]) -> dict[str, float]:
    """What the recordings reach, every kind counted alike as it is wished alike, and guessing."""
    rows = np.arange(len(mels))
    right: dict[int, list[bool]] = {}
    for file, kind in enumerate(kinds.of_file):
        if kind is not None:
            others = rows != file
            left = kinds._replace(of_file=tuple(np.array(kinds.of_file, dtype=object)[others]))
            right.setdefault(kind, []).append(nearest_kind(mels[file], mels[others], left) == kind)
    return {
        "kind_of_recordings": 100.0 * statistics.mean(statistics.mean(each) for each in right.values()),
        "kind_by_chance": 100.0 / len(kinds.names),
    }


def training_sounds(card: ModelCard) -> tuple[list[str], list[Measured]]:
    """The training files' names, and what each is like."""
    manifest = card.corpus_manifest
    paths = {file.source: Path(manifest.folder) / file.source for file in manifest.files}
    corpus = Corpus(manifest, card.spectrogram_config, paths)
    sounds = [measured(corpus.planes(file)[0], card.spectrogram_config) for file in manifest.train]
    return [file.name for file in manifest.train], sounds


def all_wishes(card: ModelCard, make: Make, sounds: int, seed: int, kinds: Kinds | None = None) -> dict[str, Any]:
    """Everything about one model; `kinds`: its own, of its training files, None: found here."""
    names, known = training_sounds(card)
    mels = np.stack([each.mean_mel for each in known])
    kinds = kinds or find_kinds(names, mels)
    pitches = [each.traits.pitch for each in known if each.traits.pitch is not None]
    found: dict[str, Any] = followed(make, sounds, seed, varied(known))
    if len(pitches) >= len(known) / 2:
        found |= in_tune(make, pitches, sounds, seed)
    if len(kinds.names) > 1:
        found |= recognised(make, kinds, mels, sounds, seed)
        found["kinds"] = {name: Counter(kinds.of_file)[kind] for kind, name in enumerate(kinds.names)}
    return found


def trained(folder: Path, preset: str, work: Path) -> Path:
    """A model of a folder with default settings."""
    model = work / f"{folder.name}-{preset}.distill"
    if not model.exists():
        program = [sys.executable, "-m", "distill"]
        subprocess.run([*program, "train", folder, "--out", model, "--preset", preset, "--json"], check=True)
        subprocess.run([*program, "train-prior", model, "--json"], check=True)
    return model


def asked(model: Any, seconds: float, strength: float | None) -> Make:
    """A model as something that makes sounds by wishes."""
    extra = {} if strength is None else {"strength": strength}

    def make(wishes: Wishes, seed: int) -> Samples:
        samples: Samples = model.generate(
            count=1, seconds=seconds, seed=seed, ending="natural", **wishes, **extra
        ).samples
        return samples[0]

    return make


def of_model(path: Path, sounds: int = SOUNDS, strength: float | None = None, seed: int = 1) -> dict[str, Any]:
    """Everything about the model in a file."""
    import distill

    model = distill.load(path)
    longest = float(np.quantile([file.seconds for file in model.card.corpus_manifest.train], 0.95))
    make = asked(model, float(np.clip(longest, *SECONDS)), strength)
    examples = model._loaded.kind_examples
    own = tuple(kind - 1 if kind else None for kind in examples.of_file.tolist()) if examples else ()
    kinds = Kinds(model.card.kinds, own, "clusters") if examples else None
    return all_wishes(model.card, make, sounds, seed, kinds)


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="+", type=Path, metavar="MODEL_OR_FOLDER")
    parser.add_argument("--sounds", type=int, default=SOUNDS)
    parser.add_argument("--strength", type=float, help="how strongly wishes are followed; default: the program's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--work", type=Path, help="keep trained models here, and use those that are here")
    add_answer_options(parser)
    given = parser.parse_args()
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for place in given.places:
            path = trained(place, given.preset, work) if place.is_dir() else place
            answer[place.stem] = of_model(path, given.sounds, given.strength, given.seed)
            if not given.json:
                print(place.stem)
                for name, value in answer[place.stem].items():
                    print(f"  {name:24}", json.dumps(value) if isinstance(value, dict) else f"{value:.3g}")
    give_answer(given, answer)


if __name__ == "__main__":
    main()
