"""How the codec uses its codes, and what that means in plain words."""

import math

from torch import Tensor

from distill.events import CodebookHealth, LevelHealth

WARNING_UTILISATION = 0.30
COLLAPSED = "collapse"
"""The verdict on levels that use fewer codes than that."""
HEALTHY_UTILISATION = 0.70


def judge_health(counts: Tensor) -> CodebookHealth:
    """Usage counts [Q, K] -> utilisation, perplexity and dead codes per level, and a verdict in plain words."""
    levels = []
    for number, count in enumerate(counts, start=1):
        share = count.double() / count.sum().clamp_min(1)
        entropy = float(-(share * share.clamp_min(1e-12).log()).sum())
        used = int((count > 0).sum())
        levels.append(
            LevelHealth(number, used / len(count), math.exp(entropy), len(count) - used, tuple(int(n) for n in count))
        )
    worst = min(levels, key=lambda level: level.utilisation)
    if worst.utilisation < WARNING_UTILISATION:
        verdict = COLLAPSED
        message = (
            f"Level {worst.level} uses only {worst.utilisation:.0%} of its codes: the codec describes your sounds with "
            "very few words. Try a smaller --codebook-size, more epochs or more recordings."
        )
    elif worst.utilisation < HEALTHY_UTILISATION:
        verdict = "some codes underused"
        message = f"Level {worst.level} uses {worst.utilisation:.0%} of its codes; a smaller --codebook-size would do as well."
    else:
        verdict, message = "healthy", "All levels use most of their codes."
    return CodebookHealth(tuple(levels), verdict, message)
