"""What a certificate says in plain sentences, and whether one contradicts itself."""

from collections.abc import Iterator

import distill
from distill.corpus.manifest import Consent
from distill.counting import counted
from distill.novelty.certificate import Certificate, CertifiedModel, CertifiedSound, CopyTest
from distill.novelty.statistics import wilson
from distill.novelty.verdict import ENOUGH_POWER, SAID

NO_SIGNATURE = (
    "This is a record and not a signature: anyone can check it, with `distill verify` or by hand, and anyone could have "
    "written it."
)
NO_LAW = (
    "It compares stretches of sound with the recordings of this model and with no others. Copyright is a judgement about "
    "sound and law, not about codes: nothing here decides it."
)
OF_A_SOUND = {
    "copied": "nearer to a recording than chance explains, or its codes to the letter",
    "near": "as near as one in twenty unseen recordings is, which by chance one new sound in twenty is too",
    "not near": "no nearer than unseen recordings are",
    "not judged": "silent, or too short to judge",
}
LINES, LONGEST_LINE = 8, 300
"""Of consent, that are said in the sentence about it; all of them are in the certificate."""
ALIKE = 1e-6
"""By how much a figure may differ from what it follows from."""


def sentences(
    pack: str,
    licence: str,
    model: CertifiedModel,
    max_copy_seconds: float | None,
    test: CopyTest,
    sounds: tuple[CertifiedSound, ...],
) -> tuple[str, ...]:
    """What stands in a certificate, for people."""
    silent = len(sounds) - test.judged
    said = [
        f"This says how the {counted(len(sounds), 'sound')} of the pack {pack!r} were made and what the copy test found of them. "
        + NO_SIGNATURE,
        f"They were made by the model {model.name!r} (hash {model.sha256}), which has learned from "
        f"{counted(model.learned_from, 'recording')}; {model.held_out} were held out.",
        f"Copy test: {test.verdict}. {test.meaning} {test.reason}".strip(),
        _rate(test),
        _power(test),
        _limit(max_copy_seconds),
        _heard(test),
        f"Of each sound the verdict is one of: {'; '.join(f'{word}, {meaning}' for word, meaning in OF_A_SOUND.items())}.",
    ]
    if silent:
        said.append(f"{counted(silent, 'sound')} could not be judged: silent, or too short.")
    said.append(_consents(model))
    said.append(f"Licence of the pack: {licence}" if licence else "No licence is given for the pack.")
    return (*said, NO_LAW)


def contradictions(certificate: Certificate) -> Iterator[str]:
    """Where a certificate does not hold together: figures that do not follow from others, sentences that say another thing."""
    it, test = certificate, certificate.test
    names = [each.file for each in it.sounds]
    if len(set(names)) < len(names):
        yield "it names a sound twice"
    judged = [each for each in it.sounds if each.copied is not None]
    copied = sum(each.copied is True for each in judged)
    rate = copied / max(1, len(judged))
    if (test.judged, test.copied) != (len(judged), copied) or abs(test.copy_rate - rate) > ALIKE:
        yield "its copy rate is not that of its sounds"
    elif any(abs(a - b) > ALIKE for a, b in zip(test.copy_rate_interval, wilson(copied, len(judged)), strict=True)):
        yield "the interval of its copy rate is not that of its sounds"
    if (
        test.verdict not in SAID
        or (copied and test.verdict not in ("copies", "close to the source"))
        or (not copied and test.verdict == "copies")
    ):
        yield "its verdict is not that of its sounds"
    if any((each.verdict == "copied") != (each.copied is True) for each in it.sounds):
        yield "the verdict of a sound is not what is said of it"
    if any(request.get("max_copy_seconds") != it.max_copy_seconds for request in it.requests):
        yield "its limit is not that of its request"
    if not all(any(_holds(request, each.seed) for request in it.requests) for each in it.sounds):
        yield "the seed of a sound is none of its requests'"
    said = sentences(it.pack, it.licence, it.model, it.max_copy_seconds, test, it.sounds)
    if it.distill == distill.__version__ and it.says != said:  # another version may have other words
        yield "its sentences are not those of its figures"


def _holds(request: dict[str, object], seed: int) -> bool:
    first, count = request.get("seed"), request.get("count")
    return isinstance(first, int) and isinstance(count, int) and first <= seed < first + count


def _rate(test: CopyTest) -> str:
    low, high = test.copy_rate_interval
    return (
        f"Copied: {test.copied} of {test.judged} ({test.copy_rate:.1%}; with 95 % between {low:.1%} and {high:.1%}). Unseen "
        f"recordings would be as near as all the sounds are together with a chance of {test.p_value:.2g}; the sounds are farther "
        f"from the recordings than those by {test.coherence_z:.1f} standard deviations."
    )


def _power(test: CopyTest) -> str:
    if test.power is None:
        return "How many copies the test would find here was not measured."
    little = " So it can tell little here." if test.power < ENOUGH_POWER else ""
    return f"Power: of copies of this model's recordings, made for this, the test finds {test.power:.0%} one by one.{little}"


def _limit(max_copy_seconds: float | None) -> str:
    if max_copy_seconds is None:
        return "No limit on verbatim runs was in force (--max-copy-seconds)."
    return (
        f"A limit was in force: no run of the recordings' codes longer than {max_copy_seconds:g} s comes out again "
        "(--max-copy-seconds), but for what the sounds were given to start from."
    )


def _heard(test: CopyTest) -> str:
    what = (
        "the recordings, and what their codes decode to"
        if "recordings" in test.heard
        else "what the recordings' codes decode to"
    )
    return f"The sound files were compared with {what}; the baseline is of {counted(test.recordings, 'recording')}."


def _consents(model: CertifiedModel) -> str:
    if not model.consents:
        return "Whose the recordings are, and under which licence, is not said (`distill consent`)."
    lines = "; ".join(f"{_of(each)}: {each.line}"[:LONGEST_LINE] for each in model.consents[:LINES])
    lines += f"; and {len(model.consents) - LINES} lines more" if len(model.consents) > LINES else ""
    rest = f" For {counted(model.without_consent, 'recording')} nothing is said." if model.without_consent else ""
    return f"Whose the recordings are, as the model's file has it and nobody has checked: {lines}.{rest}"


def _of(consent: Consent) -> str:
    return consent.of or "all others"
