"""What is asked for beside new sounds: one verb, and the recordings that it is about."""

from dataclasses import dataclass, replace

from distill.errors import DistillError
from distill.instrument.recordings import Recording, check_a_column, read_recording
from distill.modelfile.opened import LoadedVQModel
from distill.settings.generation import LONGEST_SECONDS, GenerationSettings, Verb
from distill.settings.geometry import SAMPLE_RATE

LEAST_REPLACED = 0.02
BOTH_SIDES: tuple[Verb, ...] = ("replace", "vary", "bridge", "loop")
"""What a prior cannot do that hears the past alone."""
AS_LONG: tuple[Verb, ...] = ("vary", "like", "more-like", "morph")
"""Verbs whose sounds are as long as the recording, or as one between both."""


@dataclass(frozen=True)
class Asked:
    """A verb with what it is about."""

    verb: Verb
    recordings: tuple[Recording, ...] = ()
    span: tuple[int, int] = (0, 0)
    """The samples that are replaced, first and after the last."""
    ways: tuple[float, ...] = ()
    """Of a morph, how far along each sound is, all of one seed; one share: all sounds are, each of its own seed."""

    def checked(self, loaded: LoadedVQModel, settings: GenerationSettings) -> "Asked":
        """Itself, if this model can do it.

        Raises:
            DistillError: it cannot; the sentence says why.
        """
        flag = f"--{self.verb}"
        prior = loaded.card.prior_config
        if prior is not None and not prior.both_sides and self.verb in BOTH_SIDES:
            raise DistillError(
                f"{flag}: the prior of {loaded.path.stem} hears the past alone. Train it again: "
                f"`distill train-prior {loaded.path.stem} --overwrite`."
            )
        if settings.length is not None:
            raise DistillError(f"{flag} and --length: the length is given already. Leave --length out.")
        if settings.seconds > LONGEST_SECONDS:
            raise DistillError(f"--seconds {settings.seconds:g}: with {flag} at most {LONGEST_SECONDS:.0f}.")
        for each in self.recordings:
            check_a_column(each, flag)
            if self.verb in AS_LONG and each.samples > LONGEST_SECONDS * SAMPLE_RATE:
                raise DistillError(f"{flag} {each.name}: give a sound of at most {LONGEST_SECONDS:.0f} seconds.")
        return self

    def part(self, first: int, count: int) -> "Asked":
        """The same for some of its sounds."""
        return replace(self, ways=self.ways[first : first + count]) if len(self.ways) > 1 else self


def asked_of(settings: GenerationSettings) -> Asked | None:
    """What the settings of a generation ask for, its files read; None: new sounds.

    Raises:
        DistillError: a file is no sound, or the part to replace is not in it.
    """
    if settings.verb is None:
        return None
    recordings = tuple(read_recording(file) for file in settings.files)
    if settings.replace is None:
        return Asked(settings.verb, recordings, ways=settings.ways)
    return Asked("replace", recordings, span_in(recordings[0], *_seconds(settings.replace[0])))


def span_in(recording: Recording, begin: float, end: float) -> tuple[int, int]:
    """Seconds of a recording as samples.

    Raises:
        DistillError: they are not a part of it.
    """
    written, seconds = f"--replace {begin:g}-{end:g}", recording.samples / SAMPLE_RATE
    if not 0.0 <= begin < end <= seconds + 1.0 / SAMPLE_RATE:
        raise DistillError(
            f"{written}: {recording.name} has {seconds:.3f} seconds; give a part of it, such as "
            f"{seconds * 0.4:.2f}-{seconds * 0.6:.2f}."
        )
    if end - begin < LEAST_REPLACED:
        raise DistillError(f"{written}: the part is too short to hear; replace at least {LEAST_REPLACED} seconds.")
    if end - begin > LONGEST_SECONDS:
        raise DistillError(f"{written}: replace at most {LONGEST_SECONDS:.0f} seconds at a time.")
    return round(begin * SAMPLE_RATE), min(round(end * SAMPLE_RATE), recording.samples)


def _seconds(text: str) -> tuple[float, float]:
    begin, dash, end = text.partition("-")
    try:
        found = float(begin), float(end)
    except ValueError:
        found = float("nan"), float("nan")
    if not dash or not all(0.0 <= each < float("inf") for each in found):
        raise DistillError(f"--replace {text}: give the part as FROM-TO in seconds, such as 1.2-1.8.")
    return found
