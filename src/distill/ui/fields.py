"""Fields generated from a settings model, as the command line's flags are: same names, bounds and help."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from distill.errors import DistillError
from distill.settings.knobs import Knob, label_of

NOT_SET = ""
"""The choice that leaves a setting as it is."""


def knob_fields(stage: str, knobs: Sequence[Knob]) -> list[Any]:
    """One field for each knob, empty: what is empty is not set. Its id is `STAGE-NAME`."""
    fields: list[Any] = []
    for knob in knobs:
        place: dict[str, Any] = {
            "label": knob.label,
            "info": knob.help,
            "elem_id": f"{stage}-{knob.name}",
            "min_width": 200,
        }
        if knob.choices:
            fields.append(gr.Dropdown(_choices(knob, knob.unset), value=NOT_SET, filterable=False, **place))
        else:
            fields.append(gr.Textbox(value="", placeholder=_unset(knob, None), max_lines=1, **place))
    return fields


def shown_auto(knobs: Sequence[Knob], auto: Mapping[str, Any]) -> list[Any]:
    """Updates that show what each knob will be if it is left empty; what the user has entered stays."""
    updates: list[Any] = []
    for knob in knobs:
        if knob.choices:
            updates.append(gr.Dropdown(choices=_choices(knob, _spoken(knob, auto.get(knob.name)))))
        else:
            updates.append(gr.Textbox(placeholder=_unset(knob, auto.get(knob.name))))
    return updates


def overrides_from(knobs: Sequence[Knob], values: Sequence[Any]) -> dict[str, Any]:
    """What the user has set; an empty field is not in it.

    Raises:
        DistillError: something that is no number stands where one should.
    """
    overrides: dict[str, Any] = {}
    for knob, value in zip(knobs, values, strict=True):
        written = "" if value is None else f"{value}".strip()
        if written == NOT_SET:
            continue
        if knob.choices:
            overrides[knob.name] = written == "on" if knob.annotation is bool else written
        elif knob.annotation is str:
            overrides[knob.name] = written
        else:
            overrides[knob.name] = number_from(knob.label, written, whole=knob.annotation is int)
    return overrides


def number_from(label: str, written: str, whole: bool) -> int | float:
    """A number that was typed.

    Raises:
        DistillError: it is none; the sentence names the field.
    """
    try:
        value = float(written.replace(",", "."))
        if whole and not value.is_integer():
            raise ValueError
    except (ValueError, OverflowError):
        kind = "a whole number" if whole else "a number"
        raise DistillError(f"{label} {written!r}: give {kind}, or leave the field empty.") from None
    return int(value) if whole else value


def in_page_words(sentence: str) -> str:
    """A sentence about flags as a sentence about fields: `--hidden-size 3` becomes `Hidden size 3`, `--dataset DIR` `Dataset`."""
    return re.sub(r"(?<![^\s(])--([a-z][a-z-]*)( DIR\b)?", lambda flag: label_of(flag[1]), sentence)


def _unset(knob: Knob, value: Any) -> str:
    if knob.auto:
        return "auto" if value is None else f"auto: {_number(value)}"
    return f"{_number(knob.default)}"


def _choices(knob: Knob, unset: str) -> list[tuple[str, str]]:
    named = f"auto: {unset}" if knob.auto and unset != "auto" else "auto" if knob.auto else f"default: {unset}"
    return [(named, NOT_SET), *((choice, choice) for choice in knob.choices)]


def _spoken(knob: Knob, value: Any) -> str:
    if value is None:
        return knob.unset
    return ("on" if value else "off") if isinstance(value, bool) else f"{value}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"
