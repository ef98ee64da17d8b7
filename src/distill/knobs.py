"""What is offered to the user of a settings model, read off its declaration: flags and page fields are made of this."""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from distill.config import flag_name, is_auto, is_knob


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
        """The words to choose from; empty for numbers."""
        if self.annotation is bool:
            return ("on", "off")
        return get_args(self.annotation) if get_origin(self.annotation) is Literal else ()

    @property
    def unset(self) -> str:
        """What counts while the setting is not set, in a word."""
        if self.auto:
            return "auto"
        return ("on" if self.default else "off") if self.annotation is bool else f"{self.default}"


def label_of(flag: str) -> str:
    """`--hidden-size` -> `Hidden size`."""
    return flag.removeprefix("--").replace("-", " ").capitalize().replace("Rvq", "RVQ")


def knobs_of(model: type[BaseModel]) -> tuple[Knob, ...]:
    """The knobs of a settings model, in the order of their declaration."""
    return tuple(_knob(name, field) for name, field in model.model_fields.items() if is_knob(field))


def _knob(name: str, field: FieldInfo) -> Knob:
    extra = field.json_schema_extra
    return Knob(
        name=name,
        flag=flag_name(name),
        annotation=field.annotation,
        default=field.default,
        auto=is_auto(field),
        advanced=isinstance(extra, dict) and bool(extra.get("advanced")),
        description=field.description or "",
        bounds=_bounds(field),
    )


def _bounds(field: FieldInfo) -> str:
    low = high = ""
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            low = f"{bound.ge}"
        elif isinstance(bound, annotated_types.Gt):
            low = f"above {bound.gt}"
        elif isinstance(bound, annotated_types.Le):
            high = f"{bound.le}"
    return f"[{low} to {high}]" if low and high else ""
