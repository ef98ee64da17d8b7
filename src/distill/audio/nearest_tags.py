"""Of what each second of a sound is nearest to, as much as goes into a file's tags. No torch."""

import json
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator

from distill.events import Source
from distill.settings.knobs import Frozen

MOST_CHARACTERS = 12_000
"""Of all of it: of a sound with more seconds than go in, those of every few that are nearest are kept."""
MOST_ENTRIES = 1_000
LONGEST_NAME = 300
"""Characters of a recording's name that are kept."""

Seconds = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class TaggedSecond(NamedTuple):
    """A second of the sound; `Source` says what the figures are."""

    at: Seconds
    ends: Seconds
    recording: Annotated[int, Field(ge=0, le=MOST_ENTRIES)]
    """Number of its name."""
    seconds: Seconds
    unexplained: Share
    p: Share
    nearer: bool


class NearestTags(Frozen):
    """The recordings by name, and the seconds."""

    model_config = ConfigDict(extra="ignore")

    names: tuple[Annotated[str, Field(max_length=LONGEST_NAME)], ...] = Field((), max_length=MOST_ENTRIES)
    seconds: tuple[TaggedSecond, ...] = Field((), max_length=MOST_ENTRIES)

    @model_validator(mode="after")
    def _every_number_has_a_name(self) -> Self:
        if any(each.recording >= len(self.names) or each.ends < each.at for each in self.seconds):
            raise ValueError("a second that no recording is named for")
        return self

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Self:
        """As many seconds as go in."""
        step = -(-len(sources) // MOST_ENTRIES) or 1
        while True:
            some = [min(sources[i : i + step], key=lambda each: each.p) for i in range(0, len(sources), step)]
            names = list(dict.fromkeys(_word(each.nearest) for each in some))
            made = cls(names=tuple(names), seconds=tuple(_second(each, names) for each in some))
            if len(some) <= 1 or len(json.dumps(made.model_dump())) <= MOST_CHARACTERS:
                return made
            step *= 2

    def sources(self) -> tuple[Source, ...]:
        """The same as events have it."""
        return tuple(
            Source(each.at, each.ends, self.names[each.recording], each.seconds, each.unexplained, each.p, each.nearer)
            for each in self.seconds
        )


def _word(name: str) -> str:
    """A name without halves of characters, cut."""
    return name.encode(errors="replace").decode()[:LONGEST_NAME]


def _second(source: Source, names: Sequence[str]) -> TaggedSecond:
    return TaggedSecond(
        round(source.begins, 2), round(source.ends, 2), names.index(_word(source.nearest)), round(source.nearest_seconds, 2),
        float(f"{source.unexplained:.2g}"), float(f"{source.p:.2g}"), source.nearer_than_chance,
    )  # fmt: skip
