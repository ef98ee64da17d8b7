"""Spectrogram pictures in files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.audio.io import SAMPLE_RATE, read_audio
from distill.audio.mel import log_mel_blocks
from distill.config import SpectrogramConfig
from distill.files import replacing

RANGE_DB = 80.0


@dataclass(frozen=True)
class Panel:
    """One spectrogram of a sheet."""

    title: str
    sound: Path


def spectrogram_sheet(columns: Sequence[Sequence[Panel]], path: Path) -> None:
    """Draw log-mel spectrograms side by side, one column of panels for each sequence, as a PNG."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    config = SpectrogramConfig()
    rows = max(len(column) for column in columns)
    figure = Figure(figsize=(4.2 * len(columns), 2.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for x, column in enumerate(columns):
        for y in range(rows):
            axes = grid[y][x]
            if y >= len(column):
                axes.axis("off")
                continue
            samples, _ = read_audio(column[y].sound)
            mel = torch.cat(list(log_mel_blocks(samples, config)), dim=1).numpy()
            top = float(mel.max())
            axes.imshow(
                mel, origin="lower", aspect="auto", cmap="magma", vmin=top - RANGE_DB, vmax=top,
                extent=(0.0, len(samples) / SAMPLE_RATE, 0, config.n_mels),
            )  # fmt: skip
            axes.set_title(column[y].title, fontsize=8, parse_math=False)
            axes.tick_params(labelsize=6)
            axes.set_yticks([])
            axes.set_xlabel("seconds", fontsize=6)
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)
