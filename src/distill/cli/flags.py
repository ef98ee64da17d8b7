"""Command-line flags generated from a settings model, so that a setting is declared in one place only."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import annotated_types
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from distill.config import flag_name, is_auto, is_knob

ADVANCED_PANEL = "Advanced"
TRAINING_PANEL = "Settings"


def settings_flags(model: type[BaseModel]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's `overrides` parameter by one optional flag for each knob of `model`.

    The command gets a dict of the flags that were given; what was not given is not in it.
    """
    knobs = {name: field for name, field in model.model_fields.items() if is_knob(field)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        kept = [p for name, p in signature.parameters.items() if name != "overrides"]
        flags = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name, field))
            for name, field in knobs.items()
        ]

        @functools.wraps(command)
        def with_flags(**values: Any) -> None:
            overrides = {name: values[name] for name in knobs if values[name] is not None}
            command(**{name: value for name, value in values.items() if name not in knobs}, overrides=overrides)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept] + flags
        with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        return with_flags

    return decorate


def _annotation(name: str, field: FieldInfo) -> Any:
    extra = field.json_schema_extra
    advanced = isinstance(extra, dict) and bool(extra.get("advanced"))
    shown = "auto" if is_auto(field) else str(field.default)
    flag = flag_name(name)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag,
        help=f"{field.description} {_bounds(field)}",
        show_default=shown,
        rich_help_panel=ADVANCED_PANEL if advanced else TRAINING_PANEL,
    )
    kind: Any = field.annotation
    return Annotated[kind | None, option]


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
