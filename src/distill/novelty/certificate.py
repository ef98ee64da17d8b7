"""A certificate: what the sounds of a pack are, and what the copy test found of them, as a record that anyone can check."""

import hashlib
import json
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, ValidationError

from distill.audio.tags import SourceFile, Word, plain_value
from distill.corpus.manifest import Consent
from distill.errors import DistillError
from distill.settings.knobs import LARGEST_SEED, Frozen

FORMAT, VERSION = "distill_certificate", 1
NAME = "certificate.json"
MOST_BYTES = 16 * 2**20
"""Of a certificate: of what is read, and of what is written."""
MOST_SOUNDS = 20_000
NEAR = 0.05
"""A sound is near a recording where unseen ones are so near less often than this: by chance one in twenty is."""
OWN_HASH = "record_sha256"

Heard = Literal["codes and recordings", "codes"]
SoundVerdict = Literal["copied", "near", "not near", "not judged"]


def _inside(name: str) -> str:
    """A path in a pack: never one that leads out of it."""
    parts = PurePosixPath(name).parts
    outside = "\\" in name or PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).drive) or ".." in parts
    if not parts or outside or str(PurePosixPath(name)) != name:
        raise ValueError("no path in a pack")
    return name


Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class _Part(Frozen):
    """A part of a certificate: what a newer program says besides does not matter here."""

    model_config = ConfigDict(extra="ignore")


class Nearest(_Part):
    """The recording that a sound is nearest to."""

    file: Word
    seconds: Seconds
    """Where in it."""
    at: Seconds
    """Where in the sound."""


class CertifiedSound(_Part):
    """One sound of a pack."""

    file: Annotated[Word, AfterValidator(_inside)]
    """In the pack, with slashes."""
    sha256: Hash
    """Of the bytes of the file."""
    samples_sha256: Hash
    """Of its decoded samples (`distill.audio.hashing`)."""
    bytes: Annotated[int, Field(ge=0, le=2**40)]
    seconds: Seconds
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)]
    verdict: SoundVerdict
    copied: bool | None = None
    """None, here and below: it is silent, so that there is nothing to judge."""
    p: Share | None = None
    nearest: Nearest | None = None
    unexplained: Figure | None = None
    run_seconds: Seconds | None = None


class CertifiedModel(_Part):
    """The model that made the sounds."""

    name: Word
    sha256: Hash
    """Of what its sound depends on (`distill.modelfile.digest`), as in the tags of the sounds."""
    learned_from: Count
    """Recordings."""
    held_out: Count
    consents: Annotated[tuple[Consent, ...], Field(max_length=10_000)] = ()
    """Whose the recordings are, in the lines of `distill consent`."""
    without_consent: Count
    """Recordings for which there is no line."""


class CopyTest(_Part):
    """What the copy test found of all sounds together (docs/novelty.md)."""

    verdict: Word
    meaning: Word
    reason: Word
    judged: Count
    copied: Count
    copy_rate: Share
    copy_rate_interval: tuple[Share, Share]
    p_value: Share
    coherence_z: Figure
    power: Share | None
    recordings: Count
    """That the baseline is of."""
    unseen_run_seconds: Seconds
    heard: Heard
    """What the sounds were compared with: what the model keeps of the recordings, or those themselves as well."""
    material_sha256: Hash
    """Of all codes that they were compared with."""


class Certificate(_Part):
    """All of it."""

    distill: Word
    """The program's version."""
    says: Annotated[tuple[Word, ...], Field(max_length=100)]
    """The same in plain sentences."""
    pack: Word
    licence: Word = ""
    """Of the pack."""
    model: CertifiedModel
    requests: Annotated[
        tuple[dict[Word, Annotated[Any, PlainValidator(plain_value)]], ...], Field(min_length=1, max_length=1000)
    ]
    """As in the tags of the sounds; a kit has one for each kind."""
    sources: Annotated[tuple[SourceFile, ...], Field(max_length=10)] = ()
    """The recordings that the sounds were made from, by a verb."""
    max_copy_seconds: Seconds | None
    """The limit on verbatim runs that was in force; None: none was."""
    test: CopyTest
    sounds: Annotated[tuple[CertifiedSound, ...], Field(min_length=1, max_length=MOST_SOUNDS)]

    def text(self) -> str:
        """As a file has it: JSON in ASCII, with the hash of its own content.

        Raises:
            DistillError: it is larger than one may be.
        """
        body = {"format": FORMAT, "version": VERSION, **self.model_dump(mode="json")}
        text = json.dumps({**body, OWN_HASH: _own_hash(body)}, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
        if len(text) > MOST_BYTES:
            raise DistillError(
                "--certificate: it would be too large. Make a pack of fewer sounds, or say less with `distill consent`."
            )
        return text


class ReadCertificate(NamedTuple):
    """A certificate that was read, by whomever it was written."""

    certificate: Certificate
    intact: bool
    """Whether it has the hash that it says it has."""


def read_certificate(data: bytes, where: str) -> ReadCertificate:
    """What `Certificate.text` has written, or somebody else: nothing of it is trusted.

    Args:
        data: at most `MOST_BYTES`; with more it is refused.
        where: what the sentences call it.

    Raises:
        DistillError: it is none of that.
    """
    damaged = f"{where} is no certificate, or is cut or garbled: use another copy of it."
    if len(data) > MOST_BYTES:
        raise DistillError(f"{where} is larger than a certificate may be ({MOST_BYTES // 2**20} MB).")
    try:
        plain = json.loads(data.decode(), parse_constant=_refused, object_pairs_hook=_once_each)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise DistillError(damaged)
        version = plain.get("version")
        if isinstance(version, int) and version > VERSION:
            raise DistillError(f"{where} is of a newer distill: update distill to read it.")
        said = plain.pop(OWN_HASH, None)
        return ReadCertificate(Certificate.model_validate(plain), said == _own_hash(plain))
    except ValidationError as error:
        place = ".".join(str(part)[:40] for part in error.errors()[0]["loc"][:4])
        raise DistillError(f"{where}: {place} in it makes no sense. Use another copy of it.") from error
    except (ValueError, RecursionError) as error:
        raise DistillError(damaged) from error


def _own_hash(body: dict[str, Any]) -> str:
    plain = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(plain.encode()).hexdigest()


def _refused(constant: str) -> None:
    raise ValueError(constant)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that stands twice would be one thing for one reader and another for the next."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
