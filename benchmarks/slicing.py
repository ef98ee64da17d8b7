#!/usr/bin/env python3
"""How well onsets are found, at which long recordings are cut: F-measure within 50 ms.

    python benchmarks/slicing.py [--recordings PATH ...] [--json]

Loops rendered here, whose hits are at known times (seeds that no constant was tuned on); some are in a room, some under
noise. With `--recordings`: files, and those of folders, against librosa's onset detector where it is installed, which is
another opinion and no truth: on drones and pads, where nothing begins, it names onsets by the dozen.
"""

import argparse
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.audio.reading import read_audio
from distill.corpus.slice import onsets, slices
from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import cymbal, faded, fm_bell, membrane, noise_hit, pluck, scaled, snare
from distill.synthetic.variety import log_uniform, reverberated, sequenced

LOOPS = 32
FIRST_SEED = 1000
LOOP_SECONDS = 12.0
WITHIN_SECONDS = 0.05
LIBROSA_HOP = 256

Times = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]
Detector = Callable[[Samples], Times]


def rendered_loop(seed: int) -> tuple[Samples, Times]:
    """A loop of 2 to 5 drums, plucks and bells at 70 to 180 beats a minute -> samples, and when something is struck."""
    rng = np.random.default_rng(seed)
    step_seconds = 60.0 / rng.uniform(70.0, 180.0) / rng.choice([2, 3, 4])
    kit = [faded(scaled(struck(rng)), 0.0, 0.01) for _ in range(rng.integers(2, 6))]
    velocities = rng.uniform(0.2, 1.0, (len(kit), 16)) * (rng.random((len(kit), 16)) < rng.uniform(0.15, 0.6))
    velocities[0, 0] = 1.0
    track = sequenced(kit, velocities, step_seconds, LOOP_SECONDS)
    steps = np.arange(int((LOOP_SECONDS - WITHIN_SECONDS) / step_seconds) + 1)
    if rng.random() < 0.3:
        track = reverberated(track, rng.uniform(0.3, 1.5), rng.uniform(0.1, 0.4), rng)
    if rng.random() < 0.5:
        track = scaled(track) + 10.0 ** (rng.uniform(-70.0, -45.0) / 20.0) * rng.standard_normal(len(track))
    return scaled(track).astype(np.float32), steps[velocities.any(axis=0)[steps % 16]] * step_seconds


def struck(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """One of six kinds of sounds that begin at once."""
    seconds = log_uniform(rng, 0.08, 0.9)
    kinds: list[Callable[[], npt.NDArray[np.float64]]] = [
        lambda: membrane(log_uniform(rng, 40.0, 400.0), seconds, rng.exponential(0.5), rng.uniform(0.0, 0.9)),
        lambda: snare(log_uniform(rng, 120.0, 350.0), seconds, rng.uniform(0.2, 0.95), rng),
        lambda: cymbal(seconds, log_uniform(rng, 1000.0, 9000.0), rng.uniform(0.1, 1.0), rng),
        lambda: noise_hit(seconds, log_uniform(rng, 100.0, 3000.0), 12_000.0, rng),
        lambda: pluck(log_uniform(rng, 60.0, 900.0), seconds, rng.uniform(0.2, 1.0), rng),
        lambda: fm_bell(log_uniform(rng, 100.0, 1500.0), seconds, rng.uniform(0.5, 4.0), log_uniform(rng, 0.5, 6.0)),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def matched(found: Times, reference: Times) -> list[float]:
    """The differences of as many pairs as can be made within 50 ms, each onset in one pair at most."""
    differences, here, there = [], 0, 0
    while here < len(found) and there < len(reference):
        difference = float(found[here] - reference[there])
        if abs(difference) <= WITHIN_SECONDS:
            differences.append(difference)
        here += difference <= WITHIN_SECONDS
        there += difference >= -WITHIN_SECONDS
    return differences


def agreement(pairs: Sequence[tuple[Times, Times]]) -> dict[str, Any]:
    """Found and reference onsets of several sounds, all onsets alike."""
    differences = np.concatenate([matched(found, reference) for found, reference in pairs])
    found, reference = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    return {
        "f_measure": 2 * len(differences) / max(found + reference, 1),
        "precision": len(differences) / max(found, 1),
        "recall": len(differences) / max(reference, 1),
        "found": found,
        "reference": reference,
        "late_ms_5_50_95": [float(v) for v in 1000 * np.percentile(differences, [5, 50, 95])]
        if len(differences)
        else [],
    }


def distill_onsets(samples: Samples) -> Times:
    """As recordings are cut at."""
    return onsets(samples) / SAMPLE_RATE


def librosa_onsets() -> Detector | None:
    """librosa's detector as it comes; None where it is not installed."""
    if importlib.util.find_spec("librosa") is None:
        return None
    from librosa.onset import onset_detect

    return lambda samples: onset_detect(y=samples, sr=SAMPLE_RATE, hop_length=LIBROSA_HOP, units="time")


def on_rendered(peer: Detector | None) -> dict[str, Any]:
    """Against the times that hits were rendered at."""
    loops = [rendered_loop(seed) for seed in range(FIRST_SEED, FIRST_SEED + LOOPS)]
    detectors = {"distill": distill_onsets, **({"librosa": peer} if peer else {})}
    return {
        name: agreement([(detect(samples), times) for samples, times in loops]) for name, detect in detectors.items()
    }


def on_recordings(places: Sequence[Path], peer: Detector) -> dict[str, Any]:
    """Against librosa, each file and all of them."""
    pairs, files = [], {}
    for path in sorted(path for place in places for path in (place.iterdir() if place.is_dir() else [place])):
        try:
            samples, _ = read_audio(path)
        except DistillError:
            continue
        pairs.append((distill_onsets(samples), peer(samples)))
        files[path.stem] = {**agreement(pairs[-1:]), "pieces": len(slices(samples))}
    return {**agreement(pairs), "files": files}


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, nargs="*", default=[], help="sound files, and folders of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    given = parser.parse_args()
    peer = librosa_onsets()
    answer: dict[str, Any] = {"rendered": on_rendered(peer)}
    if peer is not None and given.recordings:
        answer["against_librosa"] = on_recordings(given.recordings, peer)
    if given.json:
        print(json.dumps(answer))
        return
    for name, found in answer["rendered"].items():
        print(f"rendered loops, {name} against the truth: {_line(found)}, late by {_ms(found)} ms (5, 50, 95 %)")
    if "against_librosa" in answer:
        print(f"recordings, distill against librosa: {_line(answer['against_librosa'])}")
        for name, each in answer["against_librosa"]["files"].items():
            print(f"  {name}: {_line(each)}; {each['pieces']} pieces")
    if peer is None:
        print("librosa is not installed, so nothing is compared with it: pip install librosa")


def _line(found: dict[str, Any]) -> str:
    return (
        f"F {found['f_measure']:.3f} (precision {found['precision']:.3f}, recall {found['recall']:.3f}; "
        f"{found['found']} found, {found['reference']} in the reference)"
    )


def _ms(found: dict[str, Any]) -> str:
    return ", ".join(f"{value:.1f}" for value in found["late_ms_5_50_95"])


if __name__ == "__main__":
    main()
