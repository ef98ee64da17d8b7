"""Making sounds: everything that may be asked of a model, declared once.

Flags of `distill generate`, the fields of the page, the endpoint for scripts, the records of the history and the tags
of the files are made of it, and it goes down to the sampler as it is. No torch here.
"""

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from distill.settings.auto import resolve
from distill.settings.curves import as_text, checked_shares, is_curve, parse_curve
from distill.settings.knobs import LARGEST_SEED, Frozen, knob

SynthesiserName = Literal["auto", "neural", "griffin-lim"]
Ending = Literal["auto", "natural", "exact"]
Level = Literal["match", "normalise"]
AudioFormat = Literal["wav", "flac", "aiff", "ogg", "mp3"]
Bits = Literal["16", "24", "32"]
Normalise = Literal["off", "peak", "lufs"]
Verb = Literal["continue", "replace", "vary", "bridge", "like", "more-like", "morph", "loop"]
FROM_SOUNDS = ("continue_", "replace", "vary", "bridge", "like", "more_like", "morph")
"""The settings that name recordings to start from."""
OF_PICKING = ("pick", "of")
"""The settings that choose among sounds: of one sound alone they say nothing."""
LONGEST_SECONDS = 600.0
"""Of what begins with a recording, and of loops."""
LONG_SECONDS = 4.0
"""New sounds that may be longer are made piece by piece, in every face, so that they can be heard meanwhile."""
LONGEST_PIECE_SECONDS = 14_400.0
"""Four hours: what a WAV file of 24 bit and two channels holds."""
NEW_SEEDS = 1_000_000
"""A seed that nobody chose is below this: short enough to be typed again."""
USUAL_STRENGTH = 1.5
USUAL_RATE = 48_000
USUAL_LUFS = -23.0
"""EBU R 128. Drums whose peaks are at -1 dB have -20 LUFS in the median: at -23 nine in ten are alike, at -18 a third."""
MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
OF_FILES = ("format", "bits", "rate", "normalise", "lufs", "trim", "fade_in", "fade_out")
"""Settings of what becomes of a sound that is made, on its way into a file."""
NOT_OF_CODES = ("synthesiser", "texture", "level", "mono", "provenance", *OF_FILES)
"""Settings of what becomes of the codes that are sampled: they make no sound newer."""
OF_VERBS = (
    *FROM_SOUNDS, "candidates", "amount", "like_strength", "steps", "way", "loop", "bpm", "tempo_from", "bars", "beats",
)  # fmt: skip
"""Settings of sounds that begin with others, or end where they begin."""
SHARES = ("brightness", "loudness", "onsets")
"""Wishes that are shares of the corpus's own range."""
DRAWN = (*SHARES, "pitch")
"""Wishes that may be drawn over the sound."""
DIGITS_OF_A_WAY = 6


class GenerationSettings(Frozen):
    """What to make. Sound number i of seed s is sound 0 of seed s + i, whatever else is made with it."""

    count: int = knob(8, "How many sounds.", ge=1, le=1000)
    seconds: float = knob(1.0, "The longest that each may be, in seconds.", ge=0.01, le=LONGEST_PIECE_SECONDS)
    seed: int | None = knob(
        None, "The same number makes the same sounds; the next sound has the next number.",
        unset="a new one", ge=0, le=LARGEST_SEED,
    )  # fmt: skip
    pick: int | None = knob(
        None, "Make many sounds (--of) and write so many that are worth hearing: none that is faulty, a copy or odd, and those "
        "that differ most.", unset="all that are made", ge=1, le=1000,
    )  # fmt: skip
    of: int = knob(100, "For --pick, in place of --count: how many sounds are made to choose from.", ge=1, le=1000)
    temperature: float = knob(
        1.0, "Above 1 more surprising, below 1 safer; 0: always the likeliest code.", ge=0.0, le=10.0
    )
    temperatures: str | None = knob(
        None, "A temperature for each level of codes from coarse to fine, such as 1.0,0.9,0.8; the last counts for those "
        "beyond; in place of --temperature.", unset="one for all",
    )  # fmt: skip
    top_k: int = knob(0, "Draw from this many likeliest codes only; 0: from all.", ge=0, le=4096)
    top_p: float = knob(
        1.0, "Draw from the likeliest codes of this joint probability only; 1: from all.", gt=0.0, le=1.0
    )
    min_p: float = knob(
        0.0, "Draw from codes at least this share as likely as the likeliest only; 0: from all.", ge=0.0, le=0.99
    )
    kind: str | None = knob(
        None,
        "A word for what to make, such as kick: sub-folders and beginnings of file names are such words.",
        unset="any",
    )
    brightness: str | None = knob(
        None, "How bright, from 0 (as the darkest recordings) to 1 (as the brightest); or a curve: 0,1,0.3 spread evenly over "
        "the sound, 0:0.2,0.5:1 at seconds, or a text file with a value, or seconds and a value, on each line.",
        unset="as it comes",
    )  # fmt: skip
    loudness: str | None = knob(
        None, "How loud, from 0 (as the softest recordings) to 1 (as the loudest); or a curve, as for --brightness.",
        unset="as it comes",
    )  # fmt: skip
    pitch: str | None = knob(
        None, "Which note: its name (C#4), its MIDI number (61), a frequency (277Hz), or a share of the recordings' range "
        "(30%); or a curve of those, as for --brightness, which sounds of at most four seconds are led along, and those after "
        "others (--like, --more-like, --morph); in other sounds it is a hint.", unset="as it comes",
    )  # fmt: skip
    onsets: str | None = knob(
        None, "How many hits, from 0 (as the fewest in a recording) to 1 (as the most); or a curve, as for --brightness.",
        unset="as it comes",
    )  # fmt: skip
    length: float | None = knob(
        None, "How long, from 0 (as the shortest recordings) to 1 (as the longest); --seconds is the limit.",
        unset="as it comes", ge=0.0, le=1.0,
    )  # fmt: skip
    strength: float = knob(
        USUAL_STRENGTH,
        "How strongly wishes are followed; 1: as learned, more: exaggerated, 0: not at all.",
        ge=0.0,
        le=5.0,
    )
    tries: int = knob(
        8,
        "For a wish, so many are tried for each sound, up to four times if need be, and the nearest is kept.",
        ge=1,
        le=64,
    )
    max_copy_seconds: float | None = knob(
        None,
        "No stretch of the recordings longer than this comes out again, in seconds: a dial from familiar to new. What is "
        "given (--continue, --vary, the seam of --loop) is left as it is.",
        unset="no limit",
        ge=0.17,
        le=LONGEST_SECONDS,
    )
    ending: Ending = knob(
        "auto",
        "natural: each ends where it ends; exact: filled with further sounds; auto: exact above the prior's window.",
    )
    synthesiser: SynthesiserName = knob(
        "auto", "What makes the waveform: neural (fitted by train-synth, or as shipped) or griffin-lim; auto: the best."
    )
    texture: float = knob(
        1.0,
        "How much fine structure (grain) to draw, as the recordings have it; 0: none, 1: as it was measured.",
        ge=0.0,
        le=2.0,
    )
    level: Level = knob(
        "match", "How loud: match gives each sound a loudness as the recordings have it, normalise the highest peak."
    )
    provenance: bool = knob(
        False, "Find for each second of each sound the nearest recording and the place in it, and whether that is nearer than "
        "chance: said in --json and in the file. Takes some seconds more, and a little for each sound.",
    )  # fmt: skip
    mono: bool = knob(False, "One channel, the mix of both, where the model is stereo.")
    format: AudioFormat = knob(
        "wav", "What files are written: wav, flac and aiff without loss, ogg and mp3 smaller and with loss."
    )
    bits: Bits = knob("24", "Bits of each sample in wav, flac and aiff files; 32: floating point, in wav alone.")
    rate: int = knob(USUAL_RATE, "Samples in a second of what is written, such as 44100.", ge=8_000, le=192_000)
    normalise: Normalise = knob(
        "off", "peak: each sound's highest peak, between samples too, at -1 dB; lufs: each as loud as --lufs."
    )
    lufs: float = knob(
        USUAL_LUFS, "The loudness of --normalise lufs (ITU-R BS.1770); softer where peaks would pass -1 dB.",
        ge=-60.0, le=-3.0,
    )  # fmt: skip
    trim: float | None = knob(
        None, "Cut off both ends as far as they are softer than this in dB, of the sound's highest peak, such as -60.",
        unset="as it is", ge=-120.0, le=-6.0,
    )  # fmt: skip
    fade_in: float = knob(0.0, "Fade in over so many seconds.", ge=0.0, le=60.0)
    fade_out: float = knob(0.0, "Fade out over so many seconds.", ge=0.0, le=60.0)
    continue_: Path | None = knob(None, "Go on from the end of this sound, for --seconds more.", unset="from nothing")
    replace: tuple[str, str] | None = knob(
        None, "Fill a part of a sound anew, given as FROM-TO in seconds and the file: 1.2-1.8 FILE.", unset="nothing"
    )
    candidates: int = knob(
        4, "For --replace, in place of --count: how many ways to fill the part are made; the likeliest comes first.",
        ge=1, le=64,
    )  # fmt: skip
    vary: Path | None = knob(None, "Make variations of this sound, each as long as it.", unset="nothing")
    amount: float = knob(
        0.3, "How far variations go: little draws fine codes anew, more all fine ones, 1 everything.", gt=0.0, le=1.0
    )
    bridge: tuple[Path, Path] | None = knob(
        None, "Lead from the first of two sounds to the second, with --seconds between them.", unset="nothing"
    )
    like: Path | None = knob(None, "Make sounds after this one, each as long as it.", unset="nothing")
    more_like: Path | None = knob(
        None, "More sounds of the sort of this one: half as closely after it as --like, and as bright and as high.",
        unset="nothing",
    )  # fmt: skip
    like_strength: float = knob(
        0.5,
        "How closely --like, --more-like or --morph is followed; 0: not at all, 1: as closely as this model can.",
        ge=0.0,
        le=1.0,
    )
    morph: tuple[Path, Path] | None = knob(
        None, "Go from the first of two sounds to the second in --steps, all of one seed.", unset="nothing"
    )
    steps: int = knob(
        7, "For --morph, in place of --count: how many sounds, from one after the first to one after the second.",
        ge=2, le=64,
    )  # fmt: skip
    way: float | None = knob(
        None, "For --morph, in place of --steps: --count sounds at this share of the way, 0 the first and 1 the second.",
        unset="all steps", ge=0.0, le=1.0,
    )  # fmt: skip
    loop: bool = knob(False, "Loops whose end runs into their beginning: of --bars at --bpm, or of --seconds.")
    bpm: float | None = knob(None, "The tempo of a loop, beats a minute.", unset="by --seconds", ge=20.0, le=400.0)
    tempo_from: Path | None = knob(
        None, "Read the tempo of a loop from this recording, and its bars where it is a loop of whole bars.",
        unset="by --bpm",
    )  # fmt: skip
    bars: int = knob(1, "How many bars a loop with a tempo has.", ge=1, le=64)
    beats: int = knob(4, "How many beats a bar of a loop has.", ge=1, le=32)

    @field_validator("temperatures")
    @classmethod
    def _numbers(cls, text: str | None) -> str | None:
        if text is not None:
            _by_level(text)
        return text

    @field_validator(*DRAWN, mode="before")
    @classmethod
    def _drawn(cls, given: Any) -> Any:
        return as_text(given)

    @field_validator(*SHARES)
    @classmethod
    def _shares(cls, text: str | None) -> str | None:
        return None if text is None else checked_shares(text)

    @field_validator("pitch")
    @classmethod
    def _notes(cls, text: str | None) -> str | None:
        return parse_curve(text).text if text is not None and is_curve(text) else text

    @field_validator("bits", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        return f"{given}" if isinstance(given, int) and not isinstance(given, bool) else given

    @model_validator(mode="after")
    def _a_file_that_can_be(self) -> Self:
        if self.bits != "24" and self.format in ("ogg", "mp3"):
            raise ValueError(f"--bits {self.bits}: {self.format} files have no bits a sample; choose --format wav")
        if self.bits == "32" and self.format != "wav":
            raise ValueError(f"--bits 32 is floating point, which {self.format} files are not; choose --format wav")
        if self.format == "mp3" and self.rate not in MPEG_RATES:
            near = min(MPEG_RATES, key=lambda rate: (abs(rate - self.rate), rate))
            raise ValueError(f"--rate {self.rate}: mp3 files have other rates; choose {near}, or --format wav")
        if self.lufs != USUAL_LUFS and self.normalise != "lufs":
            raise ValueError(f"--lufs {self.lufs:g} is for --normalise lufs: add it")
        return self

    @model_validator(mode="after")
    def _a_loop_keeps_its_ends(self) -> Self:
        for name, given in (("trim", self.trim is not None), ("fade-in", self.fade_in), ("fade-out", self.fade_out)):
            if self.loop and given:
                raise ValueError(f"--{name} and --loop: a loop keeps its length and its ends; leave --{name} out")
        return self

    @model_validator(mode="after")
    def _every_sound_has_a_seed(self) -> Self:
        flag, count = ("--count", self.count) if self.pick is None else ("--of", self.of)
        if self.seed is not None and self.seed + count - 1 > LARGEST_SEED:
            raise ValueError(
                f"--seed {self.seed} and {flag} {count}: the last sound's seed would be over {LARGEST_SEED}; "
                f"choose a seed of at most {LARGEST_SEED - count + 1}"
            )
        return self

    @model_validator(mode="after")
    def _more_than_are_picked(self) -> Self:
        if self.pick is None:
            return self
        if self.pick > self.of:
            raise ValueError(
                f"--pick {self.pick} and --of {self.of}: make as many as are picked, --of {self.pick} or more"
            )
        if self.replace is not None:
            raise ValueError(
                "--pick and --replace: choose one of them; --replace makes --candidates, the likeliest first"
            )
        if self.morph is not None and self.way is None:
            raise ValueError(
                "--pick and --morph: all steps are wanted; leave --pick out, or choose a step with --way 0.5"
            )
        return self

    @model_validator(mode="after")
    def _one_verb_that_can_be(self) -> Self:
        verbs = self._verbs
        if len(verbs) > 1:
            raise ValueError(f"--{verbs[0]} and --{verbs[1]}: choose one of them")
        if self.way is not None and self.morph is None:
            raise ValueError(f"--way {self.way:g} is for --morph: add it")
        if self.bpm is not None and not self.loop:
            raise ValueError(f"--bpm {self.bpm:g} is for loops: add --loop")
        if self.tempo_from is not None and not self.loop:
            raise ValueError(f"--tempo-from {self.tempo_from}: it is for loops; add --loop")
        if self.tempo_from is not None and self.bpm is not None:
            raise ValueError(f"--bpm {self.bpm:g} and --tempo-from {self.tempo_from}: choose one of them")
        if self.loop and self.bpm is None and self.tempo_from is None and "seconds" not in self.model_fields_set:
            raise ValueError("--loop: say how long, with --bpm and --bars, with --tempo-from or with --seconds")
        if verbs and self.bpm is None and self.seconds > LONGEST_SECONDS:
            raise ValueError(f"--seconds {self.seconds:g}: with --{verbs[0]} at most {LONGEST_SECONDS:.0f}")
        if self.bpm is not None and self.loop_seconds > LONGEST_SECONDS:
            raise ValueError(
                f"--bars {self.bars} of --beats {self.beats} at --bpm {self.bpm:g} take {self.loop_seconds:.0f} seconds; "
                f"the longest loop has {LONGEST_SECONDS:.0f}"
            )
        return self

    @property
    def _verbs(self) -> list[Verb]:
        given: dict[Verb, bool] = {
            "continue": self.continue_ is not None,
            "replace": self.replace is not None,
            "vary": self.vary is not None,
            "bridge": self.bridge is not None,
            "like": self.like is not None,
            "more-like": self.more_like is not None,
            "morph": self.morph is not None,
            "loop": self.loop,
        }
        return [verb for verb, wanted in given.items() if wanted]

    @property
    def verb(self) -> Verb | None:
        """What is asked for instead of new sounds, if anything."""
        return next(iter(self._verbs), None)

    @property
    def loop_seconds(self) -> float:
        """How long a loop is; not before its tempo has been read."""
        return self.seconds if self.bpm is None else self.bars * self.beats * 60.0 / self.bpm

    def seeded(self) -> "GenerationSettings":
        """The same with a seed, a new one where there was none, and with as many sounds as are made (not: picked)."""
        seed = secrets.randbelow(NEW_SEEDS) if self.seed is None else self.seed
        count = self.of if self.pick is not None else self.count if self.replace is None else self.candidates
        count = self.steps if self.morph is not None and self.way is None else count
        return self.model_copy(update={"seed": seed, "count": count})

    @property
    def ways(self) -> tuple[float, ...]:
        """How far along each sound of a morph is, 0 to 1; one share: all sounds are."""
        if self.morph is None:
            return ()
        return steps_of(self.steps) if self.way is None else (self.way,)

    def at(self, way: float | None) -> "GenerationSettings":
        """The same for one step of a morph; None: there are no steps."""
        if way is None or self.way is not None:
            return self
        return self.model_copy(update={"way": way, "count": 1})

    def seeds(self) -> list[int]:
        """The seed of each sound."""
        if self.seed is None:
            raise ValueError("there is no seed yet")
        return list(range(self.seed, self.seed + self.count))

    def at_level(self, level: int) -> "GenerationSettings":
        """The same for one level of codes: with its own temperature."""
        if self.temperatures is None:
            return self
        each = _by_level(self.temperatures)
        return self.model_copy(update={"temperature": each[min(level, len(each) - 1)], "temperatures": None})

    def alone(self, seed: int) -> "GenerationSettings":
        """The same for one of the sounds."""
        one_way: dict[str, Any] = {"pick": None} if self.replace is None else {"candidates": 1}
        return self.model_copy(update={"seed": seed, "count": 1, **one_way})

    @property
    def files(self) -> tuple[Path, ...]:
        """The recordings that it starts from."""
        if self.replace is not None:
            return (Path(self.replace[1]),)
        given = self.continue_ or self.vary or self.like or self.more_like
        return self.bridge or self.morph or (() if given is None else (given,))

    def with_files(self, files: Sequence[Path]) -> "GenerationSettings":
        """The same, starting from other files: as many as `files` has."""
        if not files:
            return self
        if self.replace is not None:
            return self.model_copy(update={"replace": (self.replace[0], os.fspath(files[0]))})
        for name in ("bridge", "morph"):
            if getattr(self, name) is not None:
                return self.model_copy(update={name: tuple(files)})
        of_one = (name for name in ("continue_", "vary", "like", "more_like") if getattr(self, name) is not None)
        return self.model_copy(update=dict.fromkeys(of_one, files[0]))

    def plain(self) -> dict[str, Any]:
        """Its values as JSON has them, without those that are None; the home folder of whoever made it is `~`."""
        kept = self.with_files([_from_home(file) for file in self.files])
        values = ((name, getattr(kept, name)) for name in type(self).model_fields)
        return {name: _as_plain(value) for name, value in values if value is not None}


def _from_home(file: Path) -> Path:
    with contextlib.suppress(RuntimeError, ValueError):  # no home, or not in it
        return "~" / file.relative_to(Path.home())
    return file


def _as_plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, Path) else value


def _by_level(text: str) -> tuple[float, ...]:
    """`1.0,0.9,0.8` -> temperatures."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0.0 <= each <= 10.0 for each in found):
        raise ValueError("give numbers from 0 to 10 with commas between them, such as 1.0,0.9,0.8")
    return found


def steps_of(count: int) -> tuple[float, ...]:
    """Shares of a way in so many steps, both ends with them, as files have them."""
    return tuple(round(step / (count - 1), DIGITS_OF_A_WAY) for step in range(count))


def generation_settings(**given: Any) -> GenerationSettings:
    """Settings of which some are given; None counts as not given.

    Raises:
        DistillError: one of them cannot be; the sentence names its flag.
    """
    return resolve(GenerationSettings, {}, given).settings
