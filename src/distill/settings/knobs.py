"""What a setting is: declared once, with name, default, bounds and help text; flags and page fields are made of it.

The command line and the page are generated from the settings models, and the same names are the keys in a `.distill` file.
A setting that is not overridden is "auto" or has a plain default; `distill.settings.auto` decides. No torch here.
"""

from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

Origin = Literal["auto", "default", "set"]
LARGEST_SEED = 2**31 - 1
AUTO = "auto"
"""What may be said in place of a word to leave a setting to the corpus."""

LEAST_RATE = 1e-8
"""The smallest step size: with smaller ones nothing is learned in float32, and some end in divisions by zero."""


class Frozen(BaseModel):
    """Base of everything that is kept in a file: immutable, and an unknown key is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def knob(
    default: Any, help_text: str, *, auto: bool = False, advanced: bool = False, unset: str = "", **bounds: Any
) -> Any:
    """A field that is shown to the user. Bounds on both sides also keep out NaN and infinity.

    Args:
        auto: `distill.settings.auto` fills it in.
        unset: what None, its default, stands for, in a word.
        bounds: pydantic's ge, le, ...
    """
    return Field(
        default, description=help_text, json_schema_extra={"auto": auto, "advanced": advanced, "unset": unset}, **bounds
    )


def is_auto(field: FieldInfo) -> bool:
    """Whether the field's value comes from the corpus unless the user sets it."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("auto"))


def is_knob(field: FieldInfo) -> bool:
    """Whether the field is offered to the user (others follow from the data)."""
    return isinstance(field.json_schema_extra, dict) and "auto" in field.json_schema_extra


def flag_name(field_name: str) -> str:
    """`hidden_size` -> `--hidden-size`, `num_layers` -> `--layers`, `continue_` -> `--continue`."""
    return "--" + field_name.removeprefix("num_").rstrip("_").replace("_", "-")


def describe_invalid(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong, naming the flag."""
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return message + "."
    return f"{flag_name(str(first['loc'][0]))} {first['input']}: {message[0].lower()}{message[1:]}."


@dataclass(frozen=True)
class Knob:
    """One setting as both faces show it."""

    name: str
    """The field's name: the key in files, `hidden_size`."""
    flag: str
    """`--hidden-size`."""
    annotation: Any
    """int, float, bool or a Literal of strings."""
    default: Any
    auto: bool
    """Whether the value comes from the corpus unless it is set."""
    advanced: bool
    description: str
    bounds: str
    """Such as "[1 to 32]", or nothing."""
    low: float | None
    high: float | None
    """The bounds themselves; `low` may not be reached where it is `above`."""
    above: bool
    none_word: str
    """What a default of None stands for, such as "a new one"."""

    @property
    def label(self) -> str:
        """`Hidden size`."""
        return label_of(self.flag)

    @property
    def help(self) -> str:
        """What the setting does, and between which values."""
        return f"{self.description} {self.bounds}".strip()

    @property
    def choices(self) -> tuple[str, ...]:
        """The words to choose from; empty for numbers. Where nothing set is "auto", that word is none of them."""
        if self.annotation is bool:
            return ("on", "off")
        words = get_args(self.annotation) if get_origin(self.annotation) is Literal else ()
        return tuple(word for word in words if not (self.auto and word == AUTO))

    @property
    def unset(self) -> str:
        """What counts while the setting is not set, in a word."""
        if self.auto:
            return "auto"
        if self.default is None:
            return self.none_word
        return ("on" if self.default else "off") if self.annotation is bool else f"{self.default}"


def label_of(flag: str) -> str:
    """`--hidden-size` -> `Hidden size`."""
    return flag.removeprefix("--").replace("-", " ").capitalize().replace("Rvq", "RVQ")


def knobs_of(model: type[BaseModel]) -> tuple[Knob, ...]:
    """The knobs of a settings model, in the order of their declaration."""
    return tuple(_knob(name, field) for name, field in model.model_fields.items() if is_knob(field))


def _knob(name: str, field: FieldInfo) -> Knob:
    extra = field.json_schema_extra
    shown = extra if isinstance(extra, dict) else {}
    low, high, above = _limits(field)
    return Knob(
        name=name,
        flag=flag_name(name),
        annotation=_without_none(field.annotation),
        default=field.default,
        auto=is_auto(field),
        advanced=bool(shown.get("advanced")),
        description=field.description or "",
        bounds="" if low is None or high is None else f"[{low} to {high}{f', not {low}' if above else ''}]",
        low=low,
        high=high,
        above=above,
        none_word=str(shown.get("unset", "")),
    )


def _without_none(annotation: Any) -> Any:
    """`int | None` -> int."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(annotation) and len(kinds) == 1 else annotation


def _limits(field: FieldInfo) -> tuple[Any, Any, bool]:
    """The lowest and highest value as declared, and whether the lowest is left out."""
    low: Any = None
    high: Any = None
    above = False
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            low = bound.ge
        elif isinstance(bound, annotated_types.Gt):
            low, above = bound.gt, True
        elif isinstance(bound, annotated_types.Le):
            high = bound.le
    return low, high, above
