#!/usr/bin/env python3
"""The program with columns of another duration, or with more levels than its settings allow: `columns.py` runs it.

    python benchmarks/other_columns.py FRAMES LEVELS CPU_FILE train|train-prior|...   as `distill`, with `--levels` up to 8
    python benchmarks/other_columns.py FRAMES LEVELS CPU_FILE decode MODEL FOLDER OUT

Nothing of the program is changed: constants of this process are, before anything reads them. `FRAMES` are the
spectrogram frames of a column, 16 or 8; with 8 the last of the codec's four halvings is one of bands alone. `CPU_FILE` gets the
CPU seconds that training steps took. `decode` writes what the codes of the sounds in FOLDER stand for, without grain.
"""

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

MOST_LEVELS = 8


def become(frames: int) -> None:
    """Make this process one whose columns have `frames` frames. To be called before the rest of the program is imported."""
    late = sorted(name for name in sys.modules if name.startswith("distill.models") or name == "distill.settings.codec")
    if late:
        raise RuntimeError(f"{late[0]} has read the constants already")
    from distill.settings import geometry, knobs

    declared = knobs.knob

    def with_more_levels(default: Any, help_text: str, **rest: Any) -> Any:
        if "levels of codes" in help_text:
            rest["le"] = MOST_LEVELS
        return declared(default, help_text, **rest)

    knobs.knob = with_more_levels
    shrunk = geometry.FRAMES_PER_COLUMN // frames
    geometry.FRAMES_PER_COLUMN = frames
    geometry.COLUMN_SECONDS /= shrunk
    geometry.POSITIONS_PER_SECOND *= shrunk
    from distill.models import encoding

    encoding.PIECE_COLUMNS *= shrunk
    encoding.OVERLAP_COLUMNS *= shrunk
    if shrunk == 2:
        _halve_bands_alone()
    elif shrunk != 1:
        raise ValueError(f"{frames} frames a column: 16 or 8")


def _halve_bands_alone() -> None:
    """The second halving of the encoder keeps the frames, and the decoder's first doubling."""
    from torch import Tensor, nn

    from distill.models import codec
    from distill.models.blocks import Double, Halve

    class HalveBands(nn.Module):
        """[B, H, W, C] -> [B, H/2, W, C']."""

        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.project = nn.Linear(2 * before, after)

        def forward(self, x: Tensor) -> Tensor:
            batch, height, width, channels = x.shape
            pairs = x.reshape(batch, height // 2, 2, width, channels).transpose(2, 3)
            out: Tensor = self.project(pairs.flatten(3))
            return out

    class DoubleBands(nn.Module):
        """[B, H, W, C] -> [B, 2 H, W, C']."""

        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.project = nn.Linear(before, 2 * after)

        def forward(self, x: Tensor) -> Tensor:
            batch, height, width, _ = x.shape
            pairs = self.project(x).reshape(batch, height, width, 2, -1).transpose(2, 3)
            return pairs.flatten(1, 2)

    plain_encoder, plain_decoder = codec.build_encoder, codec.build_decoder

    def encoder(config: Any, n_mels: int) -> nn.Sequential:
        layers = list(plain_encoder(config, n_mels))
        last = max(place for place, layer in enumerate(layers) if isinstance(layer, Halve))
        layers[last] = HalveBands(config.channels // 2, config.channels)
        return nn.Sequential(*layers)

    def decoder(config: Any) -> nn.Sequential:
        layers = list(plain_decoder(config))
        first = min(place for place, layer in enumerate(layers) if isinstance(layer, Double))
        layers[first] = DoubleBands(config.channels, config.channels // 2)
        return nn.Sequential(*layers)

    codec.build_encoder, codec.build_decoder = encoder, decoder


def count_steps(spent: list[float]) -> None:
    """Add the CPU seconds of all training steps to `spent`."""
    from distill.training.run import Run

    plain = Run.train_epoch

    def timed(self: Run, stop: Any = None) -> Generator[Any, None, list[float]]:
        begun = time.process_time()
        try:
            return (yield from plain(self, stop))
        finally:
            spent[0] += time.process_time() - begun

    Run.train_epoch = timed  # type: ignore[method-assign]


def decode(model: Path, folder: Path, out: Path) -> None:
    """Every sound of a folder through its codes, without grain."""
    import soundfile
    import torch

    from distill.audio.mel import log_mel_blocks
    from distill.audio.reading import read_planes
    from distill.audio.returning import returned
    from distill.instrument.synthesisers import choose_synthesiser
    from distill.modelfile.opened import load_model
    from distill.models.encoding import decode_codes, encode_codes, level_of
    from distill.models.sampling import clip_generator
    from distill.settings.geometry import SAMPLE_RATE

    cpu = torch.device("cpu")
    loaded = load_model(model, cpu)
    synthesise = choose_synthesiser(loaded, "auto", cpu)
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.iterdir()):
        planes, info = read_planes(file)
        frames = torch.cat(list(log_mel_blocks(planes[0], loaded.card.spectrogram_config)), dim=1).T.numpy()
        level = level_of(frames)
        mel = decode_codes(loaded.codec, encode_codes(loaded.codec, frames, level, cpu), level)[:, : len(frames)]
        made = returned(synthesise(mel, clip_generator(0)), torch.from_numpy(planes[0]), info.native_rate)
        soundfile.write(out / f"{file.stem}.wav", made.numpy(), SAMPLE_RATE, subtype="PCM_24")


def main() -> None:
    """Run what is asked for."""
    frames, levels, cpu_file, *asked = sys.argv[1:]
    become(int(frames))
    spent = [0.0]
    count_steps(spent)
    try:
        if asked[0] == "decode":
            decode(*map(Path, asked[1:]))
        else:
            from distill.cli.app import main as distill_main

            more = ["--rvq-levels", levels] if asked[0] == "train" else []
            sys.argv = ["distill", *asked, *more]
            distill_main()
    finally:  # commands end by leaving
        Path(cpu_file).write_text(f"{spent[0]:.2f}\n")


if __name__ == "__main__":
    main()
