"""What a training or a measurement takes beside its settings: where it runs, and where the sounds are."""

from collections.abc import Sequence
from typing import Any, get_args

import gradio as gr

from distill.compute.device import DeviceName

DEVICE, DATASET, ALLOW_CHANGED, EMBED_CODES = "device", "dataset", "allow_changed", "embed_codes"


def device_field(key: str) -> gr.Dropdown:
    """Where it is computed."""
    return gr.Dropdown(
        list(get_args(DeviceName)),
        value="auto",
        label="Device",
        info="What computes; auto: a graphics processor where there is one that can, else the processor.",
        filterable=False,
        elem_id=f"{key}-device",
        min_width=200,
    )


def codes_field(key: str) -> gr.Checkbox:
    """Whether the recordings' codes stay in the file."""
    return gr.Checkbox(
        value=True,
        label="Embed codes",
        info="Keep the codes of the recordings in the file: enough to train again, or to approximate them.",
        elem_id=f"{key}-embed_codes",
        min_width=200,
    )


def sounds_fields(key: str, collections: Sequence[str]) -> list[Any]:
    """Where a model's sounds are now, and whether some may be missing."""
    return [
        gr.Dropdown(
            list(collections),
            value=None,
            label="Dataset",
            info="Where the sounds are now: a path on this machine, or a collection of dropped sounds. Empty: where they were.",
            allow_custom_value=True,
            elem_id=f"{key}-dataset",
            min_width=270,
        ),
        gr.Checkbox(
            value=False,
            label="Allow changed",
            info="Go on with the sounds that are still there as they were.",
            elem_id=f"{key}-allow_changed",
            min_width=270,
        ),
    ]
