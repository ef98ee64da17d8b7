"""What the figures of many sounds come to: one word, and no green light without the data for one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from distill.events import Judgement
from distill.modelfile.card import NoveltySummary
from distill.novelty.measuring import SoundNovelty, Yardstick
from distill.novelty.sounds import positions_in_seconds
from distill.novelty.statistics import shift, standing_out, wilson

Verdict = Literal["new", "close to the source", "copies", "not like your sounds yet", "not enough material to tell"]

FALSE_DISCOVERIES = 0.05
"""Of the sounds that are called copied, this share may be wrongly."""
COPIES_ABOVE = 0.05
"""Of a model that copies, the lower end of the copy rate's interval is over this."""
NEARER_BELOW = 0.02
"""Generated sounds are nearer than unseen recordings where chance does this less often."""
NEARER_CHANCE = 0.4
"""And a generated sound is farther than an unseen one less often than this."""
FARTHER_Z, FARTHER_CHANCE = 3.0, 0.75
"""Not like the corpus: farther from it than unseen recordings by this many standard deviations, and this often."""
ENOUGH_RECORDINGS = 8
"""With fewer recordings there is no saying how near unseen ones come."""
ENOUGH_SOUNDS = 16
"""Where none of so many is a copy, at most one in five is (Wilson's interval)."""
ENOUGH_POWER = 0.5
"""Copies that are put among the recordings must be told from them at least this often."""
VERBATIM_SECONDS = 0.5
"""From here on a run to the letter is a copy, where it is half as long again as any among unseen recordings."""
VERBATIM_FACTOR = 1.5

SAID: dict[str, str] = {
    "new": "The sounds are no nearer to the recordings than recordings that the model has not heard.",
    "close to the source": "The sounds are nearer to the recordings than unseen recordings are: listen to the marked ones "
    "beside their source.",
    "copies": "The model plays recordings back.",
    "not like your sounds yet": "The sounds are farther from the recordings than unseen recordings are: the model has not "
    "learned what they have in common. Train it longer, or with more sounds.",
    "not enough material to tell": "There is too little to compare with or to judge by: no copy was found, and that says little.",
}
"""What each verdict means, in a sentence."""


@dataclass(frozen=True)
class NoveltyReport(Judgement):
    """How new sounds are, and what they were judged by."""

    model: str
    copy_rate: float
    copy_rate_interval: tuple[float, float]
    """95 % (Wilson)."""
    p_value: float
    """The chance that unseen recordings are as near to the corpus as these sounds are (Mann and Whitney)."""
    coherence_z: float
    """How much farther from the corpus they are than unseen recordings, in standard deviations; below 0: nearer."""
    power: float | None
    """Share of copies, put among the recordings for this, that the test finds; None: not measured."""
    recordings: int
    """How many recordings the baseline is of."""
    unseen_run_seconds: float
    """The longest run of codes that an unseen recording has in common with the training files."""
    sounds: tuple[SoundNovelty, ...]
    request: dict[str, Any] | None = None
    """The settings that the sounds were made with; None: they were given."""

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        return f"{SAID[self.verdict]} {self.reason}".strip()

    @property
    def is_warning(self) -> bool:
        """Whether the user should do something about it."""
        return self.verdict in ("copies", "close to the source", "not like your sounds yet")

    def summary(self, training_date: str) -> NoveltySummary:
        """What is kept in the model's file; `training_date`: of the prior that was judged."""
        return NoveltySummary(
            verdict=self.verdict,
            reason=self.reason,
            copy_rate=self.copy_rate,
            copy_rate_interval=self.copy_rate_interval,
            p_value=self.p_value,
            coherence_z=self.coherence_z,
            power=self.power,
            recordings=self.recordings,
            sounds=len(self.sounds),
            training_date=training_date,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        plain = asdict(self)
        files = [
            {
                "file": each["name"],
                "nearest": {"file": each["nearest"], "seconds": each["nearest_seconds"], "at": each["at_seconds"]},
                **{
                    name: each[name]
                    for name in each
                    if name not in ("name", "nearest", "nearest_seconds", "at_seconds")
                },
            }
            for each in plain.pop("sounds")
        ]
        return {**plain, "meaning": SAID[self.verdict], "files": files}


def judge(
    model: str,
    yardstick: Yardstick,
    sounds: Sequence[SoundNovelty],
    power: float | None = None,
    request: dict[str, Any] | None = None,
) -> NoveltyReport:
    """Which sounds are copies, and what all of them come to."""
    p = np.array([each.p for each in sounds])
    unseen_run = positions_in_seconds(yardstick.longest_run)
    verbatim = max(VERBATIM_SECONDS, VERBATIM_FACTOR * unseen_run)
    outstanding = standing_out(p, FALSE_DISCOVERIES)
    marked = tuple(
        replace(each, copied=bool(out) or each.run_seconds >= verbatim)
        for each, out in zip(sounds, outstanding, strict=True)
    )
    copied = sum(each.copied for each in marked)
    interval = wilson(copied, len(marked))
    nearer = shift(np.array([each.score for each in marked]), yardstick.recording_scores)
    farther = shift(np.array([each.farness for each in marked]), yardstick.recording_farness)
    recordings = yardstick.recordings
    verdict, reason = decide(
        copied=copied,
        of=len(marked),
        nearer_p=nearer.p_smaller,
        nearer_chance=nearer.chance_larger,
        farther_z=farther.z,
        farther_chance=farther.chance_larger,
        recordings=recordings,
        power=power,
    )
    return NoveltyReport(
        model=model,
        verdict=verdict,
        reason=reason,
        copy_rate=copied / max(1, len(marked)),
        copy_rate_interval=interval,
        p_value=nearer.p_smaller,
        coherence_z=farther.z,
        power=power,
        recordings=recordings,
        unseen_run_seconds=unseen_run,
        sounds=marked,
        request=request,
    )


def decide(
    *,
    copied: int,
    of: int,
    nearer_p: float,
    nearer_chance: float,
    farther_z: float,
    farther_chance: float,
    recordings: int,
    power: float | None,
) -> tuple[Verdict, str]:
    """The verdict, and the figure that decided.

    Copies that were found are said however little there is to compare with; that there are none is said only with enough.
    """
    counted = f"{copied} of {of} sounds {'is' if copied == 1 else 'are'} nearer to a recording than chance explains."
    if copied and wilson(copied, of)[0] > COPIES_ABOVE:
        return "copies", counted
    if copied:
        return "close to the source", counted
    if recordings < ENOUGH_RECORDINGS:
        return (
            "not enough material to tell",
            f"The baseline is of {recordings} recordings; it takes {ENOUGH_RECORDINGS}.",
        )
    if nearer_p < NEARER_BELOW and nearer_chance < NEARER_CHANCE:
        return "close to the source", (
            f"As a whole they are nearer than unseen recordings (p {nearer_p:.2g}), though none of them alone is surely a copy."
        )
    if farther_z > FARTHER_Z and farther_chance > FARTHER_CHANCE:
        return "not like your sounds yet", f"{farther_chance:.0%} of comparisons find the unseen recording nearer."
    if of < ENOUGH_SOUNDS:
        return "not enough material to tell", f"{of} sounds were judged; it takes {ENOUGH_SOUNDS}."
    if power is not None and power < ENOUGH_POWER:
        return "not enough material to tell", (
            f"The recordings are so much alike that only {power:.0%} of true copies would be told from them."
        )
    return "new", f"No copy among {of} sounds, so at most {wilson(0, of)[1]:.0%} of what it makes are copies."
