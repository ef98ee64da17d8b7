"""`distill export`."""

import threading
from pathlib import Path
from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Model, Overwrite
from distill.cli.running import last, run


def export(
    model: Model,
    onnx: Annotated[Path, typer.Option("--onnx", help="Folder for the ONNX graphs.", show_default=False)],
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a model for plug-ins and other programs: ONNX graphs, what they mean, and a player of numpy and onnxruntime."""
    from distill import studio
    from distill.cli.running import hint
    from distill.studio.exporting import ExportCompleteEvent

    stop = threading.Event()
    done = last(run(studio.export_onnx(model, onnx, overwrite, stop), stop), ExportCompleteEvent)
    if as_json:
        emit(**done.to_dict())
        return
    for sentence in done.lacks:
        hint(sentence)
    print(
        f"{done.folder}: {', '.join(done.files)}; outputs of onnxruntime within {done.largest_difference:.1e} of the program's"
    )
