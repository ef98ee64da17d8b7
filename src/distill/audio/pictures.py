"""Spectrogram pictures in files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distill.audio.mel import log_mel_of
from distill.audio.reading import Samples, as_channels, read_planes
from distill.events import CodebookHealth
from distill.files import replacing
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANGE_DB = 80.0
MISSING_GLYPH = "\N{WHITE SQUARE}"
USAGE_COLUMNS = 64
"""Codes in one row of the usage heatmap."""


@dataclass(frozen=True)
class Panel:
    """One spectrogram of a sheet."""

    title: str
    sound: Path


def spectrogram_sheet(columns: Sequence[Sequence[Panel]], path: Path) -> None:
    """Draw log-mel spectrograms side by side, one column of panels for each sequence, as a PNG.

    Of a sound with two channels the left is drawn over the right.
    """
    config = SpectrogramConfig()
    rows = max(len(column) for column in columns)
    figure = _figure(4.2 * len(columns), 2.2 * rows)
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for x, column in enumerate(columns):
        for y in range(rows):
            axes = grid[y][x]
            if y >= len(column):
                axes.axis("off")
                continue
            channels = as_channels(read_planes(column[y].sound)[0])
            mels = stacked_mels(channels, config)
            top, height = float(mels.max()), len(channels) * config.n_mels
            axes.imshow(
                mels, origin="lower", aspect="auto", cmap="magma", vmin=top - RANGE_DB, vmax=top,
                extent=(0.0, channels.shape[1] / SAMPLE_RATE, 0, height),
            )  # fmt: skip
            axes.set_title(drawable(column[y].title), fontsize=8, parse_math=False)
            axes.tick_params(labelsize=6)
            if len(channels) == 1:
                axes.set_yticks([])
            else:
                axes.set_yticks([height / 4, 3 * height / 4], ["right", "left"], rotation=90, va="center")
                axes.axhline(height / 2, color="white", linewidth=0.8)
            axes.set_xlabel("seconds", fontsize=6)
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def stacked_mels(channels: Samples, config: SpectrogramConfig) -> npt.NDArray[np.float32]:
    """[channels, N] -> log-mels in dB, [channels * M, T], the last channel first: drawn upwards, the left is at the top."""
    import torch

    mels = [log_mel_of(channel, config) for channel in reversed(channels)]
    return torch.cat(mels).numpy()


def usage_heatmap(health: CodebookHealth, path: Path) -> None:
    """Draw how often each code of each level is used, as a PNG: one field a code, dark where it is never used."""
    codes = len(health.levels[0].usage)
    columns = min(codes, USAGE_COLUMNS)
    rows = -(-codes // columns)
    figure = _figure(8.0, 0.6 + (0.45 + 0.14 * rows) * len(health.levels))
    for axes, level in zip(figure.subplots(len(health.levels), 1, squeeze=False)[:, 0], health.levels, strict=True):
        share = np.full(rows * columns, np.nan)
        share[:codes] = np.array(level.usage) / max(sum(level.usage), 1) * codes  # 1: as often as if all were alike
        axes.imshow(share.reshape(rows, columns), cmap="viridis", vmin=0.0, vmax=3.0, aspect="auto")
        axes.set_title(
            f"level {level.level}: {level.utilisation:.0%} of {codes} codes used, perplexity {level.perplexity:.0f}",
            fontsize=8, loc="left",
        )  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def _figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches. Matplotlib keeps its own affairs to itself: folders that it cannot write, caches of fonts."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def drawable(text: str) -> str:
    """A title as the font can draw it: characters that it has no glyph for become boxes."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    glyphs = get_font(findfont(FontProperties())).get_charmap()
    return "".join(c if ord(c) in glyphs else MISSING_GLYPH for c in text)
