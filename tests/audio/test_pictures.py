"""Pictures: what they show is there."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.image import imread

from distill.audio.pictures import usage_heatmap
from distill.training.codec.health import judge_health


def test_a_heatmap_shows_which_codes_are_used(tmp_path: Path) -> None:
    """Guards against a picture that is the same whatever the codebook does."""
    used, unused = torch.ones(2, 100, dtype=torch.long), torch.ones(2, 100, dtype=torch.long)
    unused[:, 50:] = 0
    pictures = []
    for name, counts in (("used", used), ("unused", unused)):
        usage_heatmap(judge_health(counts), tmp_path / f"{name}.png")
        pictures.append(imread(tmp_path / f"{name}.png"))
    assert pictures[0].shape == pictures[1].shape
    assert float(np.abs(pictures[0] - pictures[1]).max(axis=2).astype(bool).mean()) > 0.1
