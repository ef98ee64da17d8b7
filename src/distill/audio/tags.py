"""What stands in a sound file of how it was made, whatever the format of the file. No torch."""

import json
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, ValidationError

from distill.audio.nearest_tags import NearestTags
from distill.settings.knobs import LARGEST_SEED, Frozen

FORMAT = 1
"""Of what is written; files of a higher one are of a newer program."""
FIELD = "DISTILL"
"""What the formats' own tags, and the element of an iXML chunk, are called that hold it."""
MOST_TEXT = 2**16
"""Characters of it at most, and of what is read."""
LONGEST_WORD = 4_096
DEEPEST = 4


def _word(value: object) -> str:
    """Text of any kind: names of files may hold what is not Unicode, which pydantic's `str` refuses."""
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        raise ValueError("no text, or too long")
    return value


def plain_value(value: object, depth: int = 0) -> object:
    """A value of a request: what JSON has, not nested without end."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, list | tuple):
        return [plain_value(each, depth + 1) for each in value]
    if isinstance(value, str):
        return _word(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ValueError("no plain value")


Word = Annotated[str, PlainValidator(_word)]
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class SourceFile(Frozen):
    """A recording that a sound was made from."""

    model_config = ConfigDict(extra="ignore")

    name: Word
    sha256: Digest = ""
    """Of the bytes of the file."""


class SoundTags(Frozen):
    """How a sound was made. The same request makes the same tags: there is no date among them."""

    model_config = ConfigDict(extra="ignore")

    distill: int = Field(FORMAT, ge=1)
    version: Word
    """The program's."""
    verb: Word
    """`generate`, or the verb in place of it; `reconstruct`, `preview`, `demo`."""
    model: Word = ""
    model_sha256: Digest = ""
    """Of what the model's sound depends on (`distill.modelfile.digest`): another name, or another verdict, changes nothing."""
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED)
    """This sound's own."""
    index: int = Field(1, ge=1)
    """The how many-th sound of its request it is, by seed."""
    count: int = Field(1, ge=1)
    """How many that made."""
    request: dict[Word, Annotated[Any, PlainValidator(plain_value)]] = Field(default_factory=dict)
    """The settings of the whole request, as `GenerationSettings` has them; what is None is left out."""
    sources: tuple[SourceFile, ...] = ()
    loop: bool = False
    bpm: float | None = Field(None, gt=0.0, le=10_000.0)
    beats: int | None = Field(None, ge=1, le=65_535)
    """Of the whole loop."""
    beats_per_bar: int | None = Field(None, ge=1, le=65_535)
    root_note: int | None = Field(None, ge=0, le=127)
    """The MIDI note that the sound has, if it has one."""
    nearest: NearestTags | None = None
    """What each second of it is nearest to, where that was asked for (`--provenance`)."""

    @property
    def title(self) -> str:
        """In a few words."""
        parts = [self.model or self.verb]
        if self.verb != "generate" and self.model:
            parts.append(self.verb)
        return ", ".join(parts if self.seed is None else [*parts, f"seed {self.seed}"])

    @property
    def sentence(self) -> str:
        """For whoever opens the file anywhere."""
        made = f"Made with distill {self.version}: {self.verb}"
        if self.sources:
            made += f" of {' and '.join(each.name for each in self.sources)}"
        if self.model:
            made += f", model {self.model}"
        if self.seed is not None:
            made += f", seed {self.seed}"
        return made + (f", sound {self.index} of {self.count}." if self.count > 1 else ".")

    def text(self) -> str:
        """As JSON in ASCII: no format's own idea of characters can change it."""
        plain = {name: value for name, value in self.model_dump().items() if value not in (None, "", (), [], {})}
        return json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class DamagedTags(Exception):
    """There are tags of this program, and they make no sense; the reason is the text."""


def parsed(text: str) -> SoundTags:
    """What `SoundTags.text` has written, or somebody else: nothing of it is trusted.

    Raises:
        DamagedTags: it is none of that.
    """
    if len(text) > MOST_TEXT:
        raise DamagedTags(f"they are longer than {MOST_TEXT:,} characters")
    try:
        plain = json.loads(text, parse_constant=_refused)
        if not isinstance(plain, dict):
            raise DamagedTags("they are cut or garbled")
        newer = plain.get("distill")
        if isinstance(newer, int) and newer > FORMAT:
            raise DamagedTags("a newer distill wrote them: update distill to read them")
        return SoundTags.model_validate(plain)
    except ValidationError as error:
        where = ".".join(str(part)[:40] for part in error.errors()[0]["loc"][:2])
        raise DamagedTags(f"{where} in them makes no sense") from error
    except (ValueError, RecursionError) as error:
        raise DamagedTags("they are cut or garbled") from error


def _refused(constant: str) -> None:
    raise ValueError(constant)
