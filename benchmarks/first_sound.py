#!/usr/bin/env python3
"""The whole way with default settings on folders of real recordings: how long it takes, and whether it beats nothing.

    python benchmarks/first_sound.py FOLDER... [--json] [--save NAME] [--work DIR]

For each folder: `train`, `train-prior` and `generate --count 32` through the command line, each in its own process;
wall-clock and CPU seconds and peak memory of each. Then, on the held-out files, mean |difference| in dB of log-mels floored
60 dB under the file's loudest cell, between each file and
  - its reconstruction by the codec,
  - silence, white noise of the file's level, and the corpus average (mean training spectrum),
and between each held-out file (its first second) and the nearest of 32 generated sounds, against the same three.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.audio.distance import audible_difference
from distill.audio.mel import log_mel
from distill.audio.reading import read_audio
from distill.corpus.manifest import CorpusFile
from distill.corpus.scan import reopen
from distill.corpus.sounds import Corpus
from distill.modelfile.opened import load_model
from distill.models.encoding import decode_codes, encode_codes
from distill.settings.geometry import SpectrogramConfig
from running import add_answer_options, finished, give_answer

SPECTROGRAM = SpectrogramConfig()
SECOND = SPECTROGRAM.crop_frames
GENERATED = 32


def peak_gib() -> float:
    """The largest memory of any command so far; NaN where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def command(*arguments: str | Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Run one distill command -> its JSON object, and what it cost."""
    before, begun = os.times(), time.monotonic()
    line = [sys.executable, "-m", "distill", *map(str, arguments), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    cost = {"wall_s": time.monotonic() - begun, "cpu_s": cpu, "peak_gib_so_far": peak_gib()}
    return json.loads(done.stdout), cost


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean audible error in dB of two log-mels [M, T] under their levels, over the first's frames; the second is fitted."""
    missing = max(0, a.shape[1] - b.shape[1])
    b = torch.nn.functional.pad(b, (0, missing), value=SPECTROGRAM.floor_db)[:, : a.shape[1]]
    return float(audible_difference(a, b).mean())


def opened(model: Path) -> tuple[Corpus, Any]:
    """The model and its corpus."""
    loaded = load_model(model)
    return finished(reopen(loaded.card.corpus_manifest, None, loaded.card.spectrogram_config)), loaded


def mel_of(corpus: Corpus, file: CorpusFile) -> torch.Tensor:
    """Log-mel [M, T] in dB."""
    return torch.tensor(np.array(corpus.mel(file)), dtype=torch.float32).T


def under_level(mel: torch.Tensor) -> torch.Tensor:
    """In dB under the loudest cell."""
    return mel - mel.max()


def judge(model: Path, generated: list[Path]) -> dict[str, float]:
    """Distances on the held-out files, mean over files."""
    corpus, loaded = opened(model)
    average = torch.cat(
        [torch.tensor(np.array(corpus.mel(f)), dtype=torch.float32) for f in corpus.manifest.train]
    ).mean(0)
    made = [log_mel(torch.from_numpy(read_audio(path)[0]), SPECTROGRAM) for path in generated]
    sums: dict[str, list[float]] = {}
    for number, file in enumerate(corpus.manifest.val):
        absolute = mel_of(corpus, file)
        level = float(absolute.max())
        mel = absolute - level
        samples, peak = corpus.audio(file)
        rms = float(np.sqrt(np.mean((np.array(samples, dtype=np.float32) * peak) ** 2)))
        generator = torch.Generator().manual_seed(number)
        noise = log_mel(rms * torch.randn(file.samples, generator=generator), SPECTROGRAM) - level
        baselines = {
            "silence": torch.full_like(mel, SPECTROGRAM.floor_db),
            "noise": noise,
            "average": average[:, None].expand_as(mel),
        }
        codes = encode_codes(loaded.codec, absolute.T.numpy(), level, torch.device("cpu"))
        again = decode_codes(loaded.codec, codes, level) - level
        sums.setdefault("reconstruction", []).append(distance(mel, again))
        first = mel[:, :SECOND]
        sums.setdefault("nearest_generated_1s", []).append(min(distance(first, one) for one in made))
        for name, baseline in baselines.items():
            sums.setdefault(name, []).append(distance(mel, baseline))
            sums.setdefault(f"{name}_1s", []).append(distance(first, baseline))
    return {name: round(float(np.mean(values)), 2) for name, values in sums.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    add_answer_options(parser)
    parser.add_argument("--work", type=Path, help="keep models and sounds here")
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        os.environ["DISTILL_CACHE"] = str(Path(temporary) / "cache")
        for folder in given.folders:
            model = work / f"{folder.name}.distill"
            codec, codec_cost = command("train", folder, "--out", model, "--overwrite")
            prior, prior_cost = command("train-prior", model, "--overwrite")
            out = work / folder.name
            sounds, generate_cost = command("generate", model, "--count", GENERATED, "--seed", 1, "--out", out)
            eight, _ = command("generate", model, "--count", 8, "--seconds", 1, "--exact", "--out", out / "eight")
            seconds = eight["sampling_seconds"] + eight["synthesis_seconds"]
            results[folder.name] = {
                "train": codec_cost,
                "train_prior": prior_cost,
                "generate": generate_cost,
                "total_wall_s": codec_cost["wall_s"] + prior_cost["wall_s"] + generate_cost["wall_s"],
                "generation_times_real_time": 8.0 / seconds,
                "codec_val_mel_l1_db": codec["val_mel_l1_db"],
                "codec_health": codec["codebook_health"]["verdict"],
                "utilisation": [level["utilisation"] for level in codec["codebook_health"]["levels"]],
                "bits_per_code": prior["bits_per_code"],
                "unigram_bits_per_code": prior["unigram_bits_per_code"],
                "held_out_mel_distance_db": judge(model, [Path(file["path"]) for file in sounds["files"]]),
            }
            if not given.json:
                print(folder.name, json.dumps(results[folder.name], indent=1))
    give_answer(given, results)


if __name__ == "__main__":
    main()
