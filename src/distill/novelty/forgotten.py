"""Is it really forgotten? What recordings cost a prior before and after, beside those that it never heard."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distill.events import Event

ERRORS = 2.0
"""So many standard errors cheaper than unseen recordings is still known."""


@dataclass(frozen=True)
class ForgottenRecording:
    """One recording, and the bits per code that it costs; None: there was no prior, or it was not at hand."""

    name: str
    learned: bool
    """Whether the prior had learned from it, or it was held out."""
    bits_before: float | None
    bits_after: float | None


@dataclass(frozen=True)
class ForgetReport(Event):
    """What a model has forgotten, and whether it shows."""

    model: str
    recordings: tuple[ForgottenRecording, ...]
    unseen_before: float | None
    """Mean bits per code of the recordings that are held out, as they were and as they are now."""
    unseen_after: float | None
    kept_before: float | None
    """Of those that are still learned from."""
    kept_after: float | None
    error: float | None
    """Standard error of the difference between what was forgotten and what was never heard, from the spread of the latter."""
    left: int
    """Recordings that the model still has."""
    codec_retrained: bool
    undo: str | None
    """The copy in the trash that still has them."""

    @property
    def before(self) -> float | None:
        """Mean bits per code of what was learned and is forgotten, before."""
        return mean([each.bits_before for each in self.recordings if each.learned])

    @property
    def after(self) -> float | None:
        """The same, now."""
        return mean([each.bits_after for each in self.recordings if each.learned])

    @property
    def is_forgotten(self) -> bool | None:
        """Whether they are as strange to the new prior as what it never heard; None: that was not measured."""
        if self.after is None or self.unseen_after is None or self.error is None:
            return None
        return self.after > self.unseen_after - ERRORS * self.error

    @property
    def sentence(self) -> str:
        """What the figures mean."""
        if not any(each.learned for each in self.recordings):
            return "They were held out, so the prior had not learned from them; their codes and names are gone."
        if self.is_forgotten is None or self.before is None or self.unseen_before is None:
            return "Their codes and names are gone; what they cost a prior was not measured."
        figures = (
            f"before, they cost {self.before:.2f} bits a code and unseen recordings {self.unseen_before:.2f}; now "
            f"{self.after:.2f} and {self.unseen_after:.2f}"
        )
        if self.kept_before is not None and self.kept_after is not None:
            figures += f" (those that are kept {self.kept_before:.2f} and {self.kept_after:.2f})"
        if self.is_forgotten:
            return f"Forgotten: {figures}, so that they are as strange to the new prior as what it never heard."
        return (
            f"Their codes are gone, but they are still easier than unseen recordings: {figures}. Either they are simple, or "
            "something that was kept is much like them."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            **asdict(self),
            "recordings": [asdict(each) for each in self.recordings],
            "before": self.before,
            "after": self.after,
            "is_forgotten": self.is_forgotten,
            "sentence": self.sentence,
        }


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None: there are none."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def error_of(unseen: Sequence[float], forgotten: int) -> float | None:
    """Standard error of the difference of means, where both spread as the unseen do; None: there are too few to tell."""
    if len(unseen) < 2 or not forgotten:
        return None
    return statistics.stdev(unseen) * math.sqrt(1 / len(unseen) + 1 / forgotten)
