#!/usr/bin/env python3
"""Make the weights that every codec starts from: a codec trained on sounds of the program's own making.

    python tools/pretrain_codec.py [--sounds 2400] [--epochs 14] [--out src/distill/weights/codec.pt]

Renders sounds by `distill.audio.variety`, trains on them as `distill train` would (from nothing), and keeps the weights
without the codebooks, which every corpus makes anew, in half precision.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

from distill import studio
from distill.audio.io import SAMPLE_RATE
from distill.audio.variety import random_sound
from distill.bundle import read_contents
from distill.events import CodecEpochMetrics, CodecTrainingCompleteEvent
from distill.files import replacing


def render(folder: Path, count: int, seed: int) -> None:
    """`count` sounds of a generator that never repeats itself."""
    folder.mkdir()
    for number in range(count):
        sound = random_sound(np.random.default_rng((seed, number)))
        soundfile.write(folder / f"{number:05d}.flac", sound, SAMPLE_RATE, subtype="PCM_24")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("src/distill/weights/codec.pt"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, model = Path(temporary) / "sounds", Path(temporary) / "codec.distill"
        render(folder, given.sounds, given.seed)
        overrides = {
            "pretrained": False,
            "epochs": given.epochs,
            "batch_size": 24,
            "codebook_size": 256,
            "matrix_learning_rate": 0.03,
            "warmup_share": 0.35,
            "seed": given.seed,
        }
        for event in studio.train(folder, out=model, overrides=overrides, device="cpu"):
            if isinstance(event, CodecEpochMetrics):
                print(
                    f"epoch {event.epoch}/{event.epochs}: {event.val_mel_l1_db:.3f} dB, {event.crops_per_second:.0f} crops/s"
                )
            elif isinstance(event, CodecTrainingCompleteEvent):
                print(f"best: {event.val_mel_l1_db:.3f} dB at epoch {event.best_epoch}, {event.seconds:.0f} s")
        state = read_contents(model, mapped=False)["model_state_dict"]
    kept = {name: tensor.half() for name, tensor in state.items() if not name.startswith(("quantizer.", "typical_"))}
    with replacing(given.out) as stream:
        torch.save(kept, stream)
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
