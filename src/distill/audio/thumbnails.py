"""A sound as a small picture: its waveform over its spectrogram, each channel's where it has two."""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.audio.pictures import stacked_mels
from distill.audio.reading import Samples, as_channels, read_planes
from distill.settings.geometry import SpectrogramConfig

WIDTH = 360
WAVE_ROWS = 44
SPECTROGRAM_ROWS = 96
RANGE_DB = 70.0
WAVE_COLOUR = (196, 181, 253)
BACKGROUND = (17, 16, 34)
LETTER_COLOUR = (226, 232, 240)

Image = npt.NDArray[np.uint8]


@functools.lru_cache(maxsize=512)
def _drawn(path: str, _changed: int) -> bytes:
    return picture_of(as_channels(read_planes(Path(path))[0]))


def picture_of(channels: Samples, colours: int | None = None) -> bytes:
    """A PNG of samples [channels, N] at 48 kHz, 360 x 140.

    Args:
        colours: so many at most; None: as many as there are. With 64 it takes a third of the bytes and looks the same.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    peak = max(float(np.abs(channels).max()), 1e-9)
    rows = WAVE_ROWS // len(channels)
    waves = [_waveform(channel / peak, rows) for channel in channels]
    picture = Pillow.fromarray(np.concatenate([*waves, _spectrogram(stacked_mels(channels, SpectrogramConfig()))]))
    if len(channels) == 2:
        draw = ImageDraw.Draw(picture)
        for middle in (WAVE_ROWS // 2, WAVE_ROWS + SPECTROGRAM_ROWS // 2):
            draw.line([(0, middle), (WIDTH, middle)], LETTER_COLOUR)
        draw.text((2, WAVE_ROWS), "left", LETTER_COLOUR)
        draw.text((2, WAVE_ROWS + SPECTROGRAM_ROWS // 2), "right", LETTER_COLOUR)
    buffer = io.BytesIO()
    (picture if colours is None else picture.quantize(colours)).save(buffer, format="png")
    return buffer.getvalue()


def sound_picture(path: Path) -> bytes:
    """A PNG of a sound file, 360 x 140.

    Raises:
        DistillError: the sound cannot be read.
    """
    return _drawn(str(path), path.stat().st_mtime_ns)


def _waveform(samples: npt.NDArray[np.float32], rows: int) -> Image:
    edges = np.linspace(0, len(samples), WIDTH + 1).astype(int)
    image = np.full((rows, WIDTH, 3), BACKGROUND, dtype=np.uint8)
    middle = (rows - 1) / 2
    for column in range(WIDTH):
        piece = samples[edges[column] : max(edges[column + 1], edges[column] + 1)]
        high, low = (float(piece.max()), float(piece.min())) if len(piece) else (0.0, 0.0)
        top, bottom = round(middle - high * (middle - 2)), round(middle - low * (middle - 2))
        image[top : bottom + 1, column] = WAVE_COLOUR
    return image


def _spectrogram(mel: npt.NDArray[Any]) -> Image:
    from matplotlib import colormaps

    frames = np.linspace(0, mel.shape[1] - 1, WIDTH).round().astype(int)
    bands = np.linspace(mel.shape[0] - 1, 0, SPECTROGRAM_ROWS).round().astype(int)
    shown = mel[bands][:, frames]
    share = np.clip((shown - (mel.max() - RANGE_DB)) / RANGE_DB, 0.0, 1.0)
    coloured: Image = (colormaps["magma"](share)[..., :3] * 255).astype(np.uint8)
    return coloured
