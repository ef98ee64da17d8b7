"""The codebooks' usage as a picture."""

from pathlib import Path

import numpy as np

from distill.events import CodebookHealth
from distill.files import replacing

CELL_ROWS = 14


def usage_heatmap(health: CodebookHealth, path: Path) -> None:
    """Draw how often each code of each level is used, the most used first, as a PNG: one row a level."""
    from matplotlib import colormaps
    from PIL import Image

    usage = np.array([sorted(level.usage, reverse=True) for level in health.levels], dtype=float)  # [Q, K]
    share = np.log1p(usage) / max(float(np.log1p(usage).max()), 1e-9)
    coloured = (colormaps["viridis"](share)[..., :3] * 255).astype(np.uint8)
    coloured[usage == 0] = (30, 30, 34)
    picture = np.repeat(np.repeat(coloured, CELL_ROWS, axis=0), max(1, 768 // usage.shape[1]), axis=1)
    picture[CELL_ROWS - 1 :: CELL_ROWS] = 255
    with replacing(path) as stream:
        Image.fromarray(picture).save(stream, format="png")
