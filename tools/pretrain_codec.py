#!/usr/bin/env python3
"""Make the weights that every codec starts from: a codec trained on sounds of the program's own making.

    python tools/pretrain_codec.py [--sounds 6000] [--crops 238000] [--channels 192] [--codebook-size 1024] [--continued]
                                   [--work DIR] [--out src/distill/weights/codec.pt]
    python tools/pretrain_codec.py --average FILE FILE... [--out src/distill/weights/codec.pt]

Renders sounds by `distill.synthetic.variety`, trains on them as `distill train` would (from nothing, with more codes, since
these sounds differ more than any corpus), and keeps the weights without the codebooks, which every corpus makes anew, in
half precision. The defaults take about 50 CPU-minutes where bfloat16 is native, and the tenth of it to read the sounds. An
epoch goes through a share of so many sounds, so that crops are counted here.
`--continued` goes on from the weights that are shipped, more gently (with another `--seed`: other sounds). `--work` keeps the
sounds and what was read of them, for another run on the same. `--average` learns nothing: it takes the mean of the weights of
runs that went on from the same ones, such as two side by side on two cores.
"""

import argparse
import os
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from distill.compute.fabric import launch_fabric
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.events import CodecEpochMetrics
from distill.files import replacing
from distill.models.codec import ConvVQVAE
from distill.settings.auto import codec_auto, epochs_for, resolve
from distill.settings.codec import CodecSettings, VQVAEConfig
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig
from distill.synthetic.variety import random_recording
from distill.training.codec.task import CodecTask
from distill.training.fit import fit
from distill.training.run import Best
from distill.weights import start_from

JUDGED_SOUNDS = 64
SETTINGS = {
    "preview_every": 0,
    "batch_size": 32,
}
FROM_NOTHING = {"pretrained": False, "matrix_learning_rate": 0.03, "warmup_share": 0.35}
CONTINUED = {"pretrained": True, "matrix_learning_rate": 0.02, "warmup_share": 0.2}


def render(folder: Path, count: int, seed: int) -> None:
    """`count` sounds of a generator that never repeats itself; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:05d}.flac"
        if not path.exists():
            sound = random_recording(np.random.default_rng((seed, number)))
            with replacing(path) as stream:
                soundfile.write(stream, sound, SAMPLE_RATE, subtype="PCM_24", format="FLAC")


def read(folder: Path) -> Corpus:
    """The rendered sounds; of those held out, as many as are needed to judge by."""
    events = scan(folder)
    while True:
        try:
            next(events)
        except StopIteration as done:
            corpus: Corpus = done.value
            break
    kept = (*corpus.manifest.train, *corpus.manifest.val[:JUDGED_SOUNDS])
    corpus.manifest = corpus.manifest.model_copy(update={"files": kept})
    return corpus


def epochs_of(crops: int, corpus: Corpus) -> int:
    """How many epochs learn from so many crops."""
    preset = CodecSettings.model_fields["preset"].default
    return max(2, epochs_for(crops, corpus.manifest.facts().crops, preset, SETTINGS["batch_size"]))


def keep(best: Best, out: Path) -> None:
    """Write the encoder and the decoder of the best epoch, in half precision."""
    state = {name.removeprefix("codec."): tensor for name, tensor in best.state.items()}
    kept = {name: tensor.half() for name, tensor in state.items() if not name.startswith(("quantizer.", "typical_"))}
    write(kept, out)


def average(runs: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights of several runs."""
    states = [torch.load(path, weights_only=True) for path in runs]
    write({name: torch.stack([state[name].float() for state in states]).mean(0).half() for name in states[0]}, out)


def write(weights: dict[str, torch.Tensor], out: Path) -> None:
    """In the place of what was there."""
    with replacing(out) as stream:
        torch.save(weights, stream)


def learn(events: Generator[Any, None, Any]) -> None:
    """Run a training to its end, and say how it goes."""
    for event in events:
        if isinstance(event, CodecEpochMetrics):
            print(
                f"epoch {event.epoch}/{event.epochs}: {event.val_mel_l1_db:.3f} dB, {event.crops_per_second:.0f} crops/s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=6000)
    parser.add_argument("--crops", type=int, default=238_000, help="to learn from in all")
    parser.add_argument("--channels", type=int, default=CodecSettings.model_fields["channels"].default)
    parser.add_argument("--codebook-size", type=int, default=1024)
    parser.add_argument("--continued", action="store_true", help="go on from the shipped weights")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--work", type=Path, help="keep the sounds here, those of one --sounds-seed")
    parser.add_argument("--sounds-seed", type=int, help="what the sounds are drawn by (default: --seed)")
    parser.add_argument(
        "--average", type=Path, nargs="+", metavar="FILE", help="write the mean of these, and train nothing"
    )
    parser.add_argument("--out", type=Path, default=Path("src/distill/weights/codec.pt"))
    given = parser.parse_args()
    if given.average:
        average(given.average, given.out)
        return
    network = {"channels": given.channels, "codebook_size": given.codebook_size}
    if given.continued and not start_from(ConvVQVAE(VQVAEConfig(**network), SpectrogramConfig()), "codec"):
        parser.error(f"--continued: the shipped weights are not of --channels {given.channels}")
    bests: list[Best] = []

    def better(best: Best) -> None:
        bests[:] = [best]
        keep(best, given.out)

    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        os.environ["DISTILL_CACHE"] = str(work / "cache")
        folder = work / "sounds"
        render(folder, given.sounds, given.seed if given.sounds_seed is None else given.sounds_seed)
        corpus = read(folder)
        overrides = {
            **SETTINGS,
            **network,
            **(CONTINUED if given.continued else FROM_NOTHING),
            "epochs": epochs_of(given.crops, corpus),
            "seed": given.seed,
        }
        settings = resolve(CodecSettings, codec_auto(corpus.manifest.facts(), overrides), overrides).settings
        learn(fit(CodecTask(corpus, settings, better), launch_fabric("cpu", settings.seed)))
    print(f"{given.out}: {bests[-1].validation.score:.3f} dB, {given.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
