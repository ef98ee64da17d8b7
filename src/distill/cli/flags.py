"""Command-line flags generated from a settings model, so that a setting is declared in one place only."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel

from distill.errors import DistillError
from distill.settings.knobs import Knob, knobs_of

ADVANCED_PANEL = "Advanced"
TRAINING_PANEL = "Settings"


def settings_flags(
    model: type[BaseModel],
    without: Sequence[str] = (),
    defaults: Mapping[str, Any] = {},
    only: Sequence[str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's `overrides` parameter by one optional flag for each knob of `model`.

    The command gets a dict of the flags that were given, and of `defaults`; what was not given is not in it.

    Args:
        without, only: knobs that mean nothing to this command, or all that mean something.
        defaults: where this command's are others than the model's.
    """
    knobs = {
        knob.name: knob for knob in knobs_of(model) if knob.name in (only or (knob.name,)) and knob.name not in without
    }
    unset = {name: str(value) for name, value in defaults.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        kept = [p for name, p in signature.parameters.items() if name != "overrides"]
        flags = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(knob, unset.get(name))
            )
            for name, knob in knobs.items()
        ]

        @functools.wraps(command)
        def with_flags(**values: Any) -> None:
            given = {name: _known(knobs[name], values[name]) for name in knobs if values[name] is not None}
            overrides = {**defaults, **given}
            command(**{name: value for name, value in values.items() if name not in knobs}, overrides=overrides)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept] + flags
        with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        return with_flags

    return decorate


def _known(knob: Knob, value: Any) -> Any:
    words = get_args(knob.annotation) if get_origin(knob.annotation) is Literal else ()
    if words and value not in words:
        raise DistillError(f"{knob.flag} {value}: choose {', '.join(words[:-1])} or {words[-1]}.")
    return value


def _annotation(knob: Knob, unset: str | None = None) -> Any:
    words = get_origin(knob.annotation) is Literal
    option = typer.Option(
        f"{knob.flag}/--no-{knob.flag[2:]}" if knob.annotation is bool and knob.default is not False else knob.flag,
        help=knob.help,
        show_default=unset or (str(knob.default) if knob.annotation is bool else knob.unset),
        metavar=f"[{'|'.join(get_args(knob.annotation))}]" if words else None,
        rich_help_panel=ADVANCED_PANEL if knob.advanced else TRAINING_PANEL,
    )
    kind: Any = str if words else knob.annotation  # `_known` says it in the program's own words
    return Annotated[kind | None, option]
