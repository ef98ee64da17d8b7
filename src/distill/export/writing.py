"""Graphs as ONNX files, and whether a runtime gets from them what the program gets."""

import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.errors import DistillError
from distill.export.parts import Inputs, Part
from distill.files import replacing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
"""How far an output of a graph may be from the program's own."""


def check_packages() -> None:
    """Raise a `DistillError` where what exports is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise DistillError(
            f"Exporting needs {' and '.join(missing)}, which the program does not bring by itself: install "
            "`distill[onnx]` with pip (in a checkout: `pip install '.[onnx]'`)."
        )


@torch.no_grad()
def write_graph(part: Part, path: Path) -> None:
    """Write a graph, its weights inside, without a word about the machine that made it."""
    lengths = sorted({axis for value in part.inputs.values() for axis in value.axes if isinstance(axis, str)})
    named = {axis: torch.export.Dim(axis, min=0 if axis == "past" else 1) for axis in lengths}
    shapes = {
        name: {i: named[axis] for i, axis in enumerate(value.axes) if isinstance(axis, str)}
        for name, value in part.inputs.items()
    }
    part.module(**part.example)  # tables that are made once are made here, not in the trace
    with _quietly():
        program = torch.onnx.export(
            part.module, (), kwargs=part.example, dynamic_shapes=shapes, output_names=list(part.outputs), dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    for node in [*model.graph.node, *(node for function in model.functions for node in function.node)]:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    with replacing(path) as stream:
        stream.write(model.SerializeToString(deterministic=True))


@torch.no_grad()
def largest_difference(part: Part, path: Path, inputs: Inputs) -> float:
    """How far the outputs of the file are from those of the module, at most."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(list(part.outputs), {name: value.numpy() for name, value in inputs.items()})
    made = part.module(**inputs)
    expected = [made] if isinstance(made, Tensor) else list(made)
    return max(float(np.abs(own - each.numpy()).max(initial=0.0)) for own, each in zip(found, expected, strict=True))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch says to its own developers."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
