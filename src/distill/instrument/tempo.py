"""`--tempo-from`: the tempo and the bars of a recording, for a loop that goes with it."""

from pathlib import Path
from typing import Any, NamedTuple

from distill.audio.reading import read_planes
from distill.audio.tempo import Grid, find_grid, grid_of
from distill.audio.tempo_said import SaidTempo, said_tempo
from distill.errors import DistillError
from distill.events import TempoRead
from distill.places import given_path
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.geometry import SAMPLE_RATE

USUAL_METER = 4
MOST_BARS, MOST_BEATS = 64, 32
"""Of what can be asked for."""
SURE_BEATS = 0.02
"""By so many beats the length of a loop may be off a whole number, beside what its written tempo is rounded by."""
MOST_OFF_BEATS = 0.1


class Tempo(NamedTuple):
    """What a recording says of its time."""

    bpm: float
    beats: int | None
    """Of the whole recording, where it is a loop of so many."""
    beats_per_bar: int
    first_beat: float
    """Seconds until the first beat of it."""
    read_from: str
    """"tags", "name", "length" or "onsets"."""

    @property
    def bars(self) -> int | None:
        """Of the whole recording, where it is a loop of whole bars."""
        return None if self.beats is None else _bars(self.beats, self.beats_per_bar)


def read_tempo(file: str | Path) -> Tempo:
    """The tempo of a recording, by its tags, else its name, else its onsets; exactly where it is a loop of whole beats.

    Raises:
        DistillError: it is no sound, or it has no tempo.
    """
    path = given_path(file)
    samples = read_planes(path)[0][0]
    said = said_tempo(path)
    if said is not None:
        beats = len(samples) / SAMPLE_RATE * said.bpm / 60.0
        off = min(SURE_BEATS + beats * said.off / said.bpm, MOST_OFF_BEATS)
        return _tempo(grid_of(samples, said.bpm, off), len(samples), said)
    grid = find_grid(samples)
    if grid is None:
        raise DistillError(
            f"--tempo-from {path.name}: no tempo can be heard in it, since nothing comes again in time. Say it with --bpm, such "
            "as --bpm 120."
        )
    return _tempo(grid, len(samples), None)


def with_tempo(settings: GenerationSettings) -> tuple[GenerationSettings, TempoRead | None]:
    """Settings whose tempo is a number: that of the recording they name, if they do, and what was read from it.

    Bars and beats that were asked for stay.

    Raises:
        DistillError: it has no tempo, or the loop cannot be.
    """
    if settings.tempo_from is None:
        return settings, None
    path = given_path(settings.tempo_from)
    tempo = read_tempo(path)
    given = {name: getattr(settings, name) for name in settings.model_fields_set - {"tempo_from"}}
    per_bar = given.get("beats", tempo.beats_per_bar)
    bars = None if tempo.beats is None else _bars(tempo.beats, per_bar)
    read: dict[str, Any] = {"bpm": tempo.bpm, "beats": per_bar, "bars": bars or 1}
    chosen = generation_settings(**{**read, **given})
    return chosen, TempoRead(
        path.name, tempo.bpm, tempo.beats, tempo.bars, tempo.beats_per_bar, tempo.first_beat, tempo.read_from,
        chosen.loop_seconds,
    )  # fmt: skip


def _tempo(grid: Grid, samples: int, said: SaidTempo | None) -> Tempo:
    bpm = grid.bpm
    if grid.beats is not None:
        for meant in (float(round(bpm)), *([] if said is None else [said.bpm])):
            if round(grid.beats * 60.0 / meant * SAMPLE_RATE) == samples:  # it is as long with that number
                bpm = meant
    read_from = said.place if said is not None else "onsets" if grid.beats is None else "length"
    per_bar = said.beats_per_bar if said is not None and said.beats_per_bar is not None else None
    return Tempo(bpm, grid.beats, per_bar or _meter(grid.beats), grid.first_beat, read_from)


def _meter(beats: int | None) -> int:
    """Beats of a bar, for a loop of so many."""
    if beats is None or beats % USUAL_METER == 0:
        return USUAL_METER
    if beats % 3 == 0:
        return 3
    return beats if beats <= MOST_BEATS and _bars(beats, beats) else USUAL_METER


def _bars(beats: int, beats_per_bar: int) -> int | None:
    bars, rest = divmod(beats, beats_per_bar)
    return bars if not rest and 1 <= bars <= MOST_BARS else None
