"""What became of a certificate when it was checked, and whether two copy tests say the same."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from distill.events import Event
from distill.novelty.certificate import Certificate, CertifiedSound, CopyTest

State = Literal["unchanged", "changed", "missing", "not in the certificate"]
ALIKE = 0.01
"""By how much a share or a chance may differ on another machine."""
ALIKE_Z = 0.1
NAMED = 3
"""Sounds that a sentence names at most."""


@dataclass(frozen=True)
class VerifiedSound:
    """A sound of a pack, beside what its certificate says."""

    file: str
    state: State
    detail: str = ""
    made_again: bool | None = None
    """Whether the model has made the same sound again; None: it was not asked."""


@dataclass(frozen=True)
class VerifyReport(Event):
    """What agrees and what does not."""

    what: str
    pack: str
    distill: str
    """The version that wrote the certificate."""
    verdict: str
    """Of its copy test."""
    model: str
    model_sha256: str
    intact: bool
    """Whether the certificate has the hash that it says it has."""
    model_is_the_one: bool | None
    """None: there was none to look at."""
    judged_again: bool | None
    """Whether the copy test comes to the same; None: it was not made again."""
    sounds: tuple[VerifiedSound, ...]
    disagreements: tuple[str, ...]
    """A sentence each; none: everything that was checked agrees."""
    notes: tuple[str, ...]
    """What was not checked, and why."""

    @property
    def agrees(self) -> bool:
        """Whether everything that was checked agrees."""
        return not self.disagreements

    @property
    def counts(self) -> dict[State, int]:
        """How many sounds are in each state."""
        states = [each.state for each in self.sounds]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {**asdict(self), "agrees": self.agrees}


def told(sounds: tuple[VerifiedSound, ...], certified: int) -> Iterator[str]:
    """A sentence for each way in which sounds do not agree."""
    ways: tuple[tuple[State, str], ...] = (("changed", "changed"), ("missing", "missing"))
    for state, word in ways:
        names = [each.file for each in sounds if each.state == state]
        if names:
            yield f"{len(names)} of {certified} sounds {'is' if len(names) == 1 else 'are'} {word} ({_few(names)})."
    extra = [each.file for each in sounds if each.state == "not in the certificate"]
    if extra:
        yield f"{len(extra)} sound{' is' if len(extra) == 1 else 's are'} not in the certificate ({_few(extra)})."
    other = [each.file for each in sounds if each.made_again is False]
    if other:
        yield (
            f"The model makes another sound than {_few(other)}: it has not made {'it' if len(other) == 1 else 'them'}, or "
            "another kind of machine or version of distill did."
        )


def differences(certificate: Certificate, test: CopyTest, sounds: Mapping[str, CertifiedSound]) -> Iterator[str]:
    """Where a copy test that was made again says another thing than a certificate.

    Args:
        test: of all sounds together.
        sounds: what it says of each, by file; hashes do not count.
    """
    said = certificate.test
    if test.verdict != said.verdict:
        yield f"the verdict is {test.verdict!r}, not {said.verdict!r}"
    for name in ("judged", "copied", "recordings"):
        if getattr(test, name) != getattr(said, name):
            yield f"{name} is {getattr(test, name)}, not {getattr(said, name)}"
    for name, alike in (("p_value", ALIKE), ("power", ALIKE), ("coherence_z", ALIKE_Z), ("unseen_run_seconds", ALIKE)):
        one, other = getattr(test, name), getattr(said, name)
        if (one is None) != (other is None) or (one is not None and abs(one - other) > alike):
            yield f"{name} is {_figure(one)}, not {_figure(other)}"
    for each in certificate.sounds:
        again = sounds.get(each.file)
        if again is not None and not _alike(each, again):
            yield f"{each.file} is judged {_sound(again)}, not {_sound(each)}"


def _alike(one: CertifiedSound, other: CertifiedSound) -> bool:
    if (one.verdict, one.copied) != (other.verdict, other.copied):
        return False
    figures = [(each.p, each.unexplained, each.run_seconds) for each in (one, other)]
    for first, second in zip(*figures, strict=True):
        if (first is None) != (second is None) or (first is not None and abs(first - second) > ALIKE):
            return False
    if one.nearest is None or other.nearest is None:
        return one.nearest is other.nearest
    places = (one.nearest.seconds - other.nearest.seconds, one.nearest.at - other.nearest.at)
    return one.nearest.file == other.nearest.file and all(abs(each) <= ALIKE for each in places)


def _sound(each: CertifiedSound) -> str:
    if each.nearest is None or each.p is None:
        return each.verdict
    return f"{each.verdict} (p {each.p:.3g}, nearest {each.nearest.file} at {each.nearest.seconds:.2f} s)"


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
