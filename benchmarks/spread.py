#!/usr/bin/env python3
"""Whether generated sounds are spread as the recordings are: how long, how loud and how wide they are, and what a mono mix loses.

    python benchmarks/spread.py MODEL ... [--sounds 64] [--seconds 4] [--seed 1] [--json] [--save NAME]

Models whose recordings are where they were. Sounds end by themselves; recordings count as far as `--seconds`.

length, loudness, width   Kolmogorov-Smirnov distance of the generated sounds to all recordings: seconds until a sound has sunk
            into silence, K-weighted dB, and side over middle in dB (-60 at least; two-channel models only, against the
            recordings with two channels or one).
*_of_held_out   The same of the held-out recordings to the training files: what chance makes of so few.
ends_seen   How many of the recordings' ends (sounds of at most 24 columns, 4 s) a prior expects where they are, as new sounds are
            asked: the chances that it gives to these places, summed, over how many there are; `ends_seen_held_out`.
lost_db     How much softer the mono mix is than the channels' energies together, in the band that loses most (eight bands of
            the mel, those within 40 dB of the loudest): the 95th percentile over sounds, and `lost_db_of_recordings`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

import distill
import wishes
from distill.audio.mel import log_mel_of
from distill.audio.reading import as_channels, read_planes
from distill.modelfile.file import read_card
from distill.modelfile.opened import open_model
from distill.models.lengths import end_log_odds
from distill.models.widths import width_db
from distill.settings.geometry import BANDS, SAMPLE_RATE, SpectrogramConfig
from running import add_answer_options, give_answer

HEARD_DB = 40.0
GROUPS = 8
LONGEST_COLUMNS = 24
Samples = npt.NDArray[np.float32]


def bands(samples: Samples) -> npt.NDArray[np.float64]:
    """The energy of eight bands of a sound [N]."""
    mel = log_mel_of(np.ascontiguousarray(samples), SpectrogramConfig())
    return np.asarray((10.0 ** (mel.double() / 10.0)).view(GROUPS, -1, mel.shape[1]).sum((1, 2)))


def lost_db(channels: Samples) -> float:
    """What a mono mix of [channels, N] loses in the band that loses most, dB; 0: both channels are equal."""
    if len(channels) == 1:
        return 0.0
    together = (bands(channels[0]) + bands(channels[1])) / 2
    lost = 10.0 * np.log10(np.maximum(together, 1e-12) / np.maximum(bands(channels.mean(0)), 1e-12))
    return float(lost[together > together.max() * 10.0 ** (-HEARD_DB / 10.0)].max())


def measured(channels: Samples) -> dict[str, float]:
    """One sound [channels, N]."""
    found = wishes.measured(channels)
    return {
        "length": found.length,
        "loudness": found.traits.loudness,
        "width": width_db(torch.from_numpy(channels)),
        "lost": lost_db(channels),
    }


def ends_seen(path: Path, split: str) -> float:
    """Share of the recordings' ends that the prior of a model expects."""
    opened = open_model(path)
    prior = opened.prior()
    assert prior is not None
    prior.eval()
    chances = []
    for file in opened.card.corpus_manifest.files:
        codes = torch.as_tensor(opened.codes[file.name]).long()
        if file.split == split and len(codes) // BANDS <= LONGEST_COLUMNS:
            chances.append(float((end_log_odds(prior, codes)[-1] + prior.end_logit).sigmoid()))
    return float(np.mean(chances)) if chances else float("nan")


def spread(path: Path, sounds: int, seconds: float, seed: int) -> dict[str, Any]:
    """Everything about one model."""
    card = read_card(path)
    most = round(seconds * SAMPLE_RATE)

    def recorded(files: Sequence[Any]) -> list[dict[str, float]]:
        return [
            measured(as_channels(read_planes(card.corpus_manifest.place(file.source))[0][:, :most])) for file in files
        ]

    train, val = recorded(card.corpus_manifest.train), recorded(card.corpus_manifest.val)
    made = [
        measured(each[:, : int(np.flatnonzero(np.abs(each).max(0))[-1]) + 1])
        for each in distill.load(path).generate(count=sounds, seconds=seconds, seed=seed, ending="natural").samples
        if np.abs(each).max() > 0
    ]
    found: dict[str, Any] = {"sounds": len(made), "recordings": len(train) + len(val)}
    for name in ("length", "loudness", "width"):
        own = [each[name] for each in (*train, *val)]
        found[name] = float(stats.ks_2samp([each[name] for each in made], own).statistic)
        found[f"{name}_of_held_out"] = float(
            stats.ks_2samp([each[name] for each in val], [each[name] for each in train]).statistic
        )
    found |= {"ends_seen": ends_seen(path, "train"), "ends_seen_held_out": ends_seen(path, "val")}
    found["lost_db"] = float(np.quantile([each["lost"] for each in made], 0.95))
    found["lost_db_of_recordings"] = float(np.quantile([each["lost"] for each in (*train, *val)], 0.95))
    return found


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--sounds", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    add_answer_options(parser)
    given = parser.parse_args()
    answer = {path.stem: spread(path, given.sounds, given.seconds, given.seed) for path in given.models}
    if not given.json:
        for name, found in answer.items():
            print(name, {key: round(value, 3) for key, value in found.items()})
    give_answer(given, answer)


if __name__ == "__main__":
    main()
