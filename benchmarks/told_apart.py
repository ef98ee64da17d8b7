#!/usr/bin/env python3
"""Whether a listener of our own can tell decoded sounds from recordings: a two-sample classifier.

    python benchmarks/told_apart.py ORIGINALS DECODED [ORIGINALS DECODED ...] [--seeds N] [--json] [--save NAME]

Each pair of folders is a corpus; files belong together by their stems. A small convolutional network learns on windows of
0.26 s of log-mels of all corpora but one and judges that one: the share of its windows that are judged rightly. 0.5 is
chance. Windows are floored 70 dB under the file's loudest cell, and silent ones are left out; each decoded window stands
beside its original, with the same gain.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from distill.audio.mel import log_mel
from distill.audio.reading import read_audio
from distill.settings.geometry import SpectrogramConfig
from running import add_answer_options, give_answer, spread

FRAMES = 24
FLOOR_DB = 70.0
HEARD_DB = 50.0
STEPS, BATCH = 400, 64
MOST_WINDOWS = 1_500


def windows(original: Path, decoded: Path) -> list[Tensor]:
    """Pairs of windows [2, M, 24] in dB, the original first."""
    config = SpectrogramConfig()
    mels = [log_mel(torch.from_numpy(read_audio(path)[0]), config) for path in (original, decoded)]
    frames = min(mel.shape[1] for mel in mels)
    loudest = float(mels[0].max())
    both = torch.stack([mel[:, :frames] for mel in mels]).sub(loudest).clamp_min(-FLOOR_DB)
    cut = [both[:, :, first : first + FRAMES] for first in range(0, frames - FRAMES + 1, FRAMES // 2)]
    return [window for window in cut if float(window[0].max()) > -HEARD_DB]


def corpus(originals: Path, decoded: Path) -> Tensor:
    """[N, 2, M, 24], at most `MOST_WINDOWS` of them."""
    sources = {path.stem: path for path in sorted(originals.rglob("*")) if path.is_file()}
    found = [
        window
        for path in sorted(decoded.iterdir())
        if path.stem in sources
        for window in windows(sources[path.stem], path)
    ]
    chosen = np.random.default_rng(0).permutation(len(found))[:MOST_WINDOWS]
    return torch.stack([found[i] for i in chosen])


def seen(mel: Tensor) -> Tensor:
    """[B, M, 24] dB -> [B, 3, M, 24]: the levels, and how each cell differs from those beside it in time and over bands."""
    over_time = nn.functional.pad(mel.diff(dim=2), (1, 0))
    over_bands = nn.functional.pad(mel.diff(dim=1), (0, 0, 1, 0))
    return torch.stack([(mel + 35.0) / 20.0, over_time / 5.0, over_bands / 5.0], dim=1)


def network() -> nn.Sequential:
    """[B, 3, M, 24] -> [B, 1] log-odds of being a recording."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 4, stride=2, padding=1), nn.GELU(),
        nn.Conv2d(24, 48, 4, stride=2, padding=1), nn.GELU(), nn.Dropout2d(0.1),
        nn.Conv2d(48, 64, 3, padding=1), nn.GELU(), nn.AdaptiveAvgPool2d((4, 1)),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 1),
    )  # fmt: skip


def judged(others: list[Tensor], own: Tensor, seed: int) -> float:
    """Share of windows of `own` that a network trained on `others` judges rightly."""
    torch.manual_seed(seed)
    net, rng = network(), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
    for step in range(STEPS):
        drawn = [group[rng.integers(0, len(group), BATCH // len(others) + 1)] for group in others]
        pairs = torch.cat(drawn) + 4.0 * torch.from_numpy(rng.standard_normal((sum(map(len, drawn)), 1, 1, 1))).float()
        odds = net(seen(torch.cat([pairs[:, 0], pairs[:, 1]])))[:, 0]
        truth = torch.cat([torch.ones(len(pairs)), torch.zeros(len(pairs))])
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1.0 - step / STEPS)
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(odds, truth).backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        right = [(net(seen(own[:, i]))[:, 0] > 0) == (i == 0) for i in range(2)]
    return float(torch.cat(right).float().mean())


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    add_answer_options(parser)
    given = parser.parse_args()
    pairs = list(zip(given.folders[::2], given.folders[1::2], strict=True))
    if len(pairs) < 2:
        parser.error("give two pairs of folders at least: what one is judged by is learned on the others")
    corpora = [corpus(*pair) for pair in pairs]
    answer = {}
    for i, (originals, _) in enumerate(pairs):
        others = corpora[:i] + corpora[i + 1 :]
        values = [judged(others, corpora[i], seed) for seed in range(given.seeds)]
        answer[originals.name] = spread(statistics.median(values), min(values), max(values))
        if not given.json:
            print(f"{originals.name}: {statistics.median(values):.3f} ({len(corpora[i])} windows)", flush=True)
    give_answer(given, answer)


if __name__ == "__main__":
    main()
