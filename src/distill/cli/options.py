"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Devices = Annotated[
    int, typer.Option("--devices", help="Train on this many processes: accelerators, or processor cores.", min=1)
]
NumNodes = Annotated[int, typer.Option("--num-nodes", help="Train on this many machines.", min=1)]
Strategy = Annotated[str, typer.Option("--strategy", help="How processes work together: a Lightning Fabric strategy.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a training of this model that was stopped or killed.")
]
Model = Annotated[str, typer.Argument(help="A model: its name in the library, or a path.", show_default=False)]
Novelty = Annotated[
    bool,
    typer.Option(
        "--novelty/--no-novelty",
        help="Judge some of its sounds when a prior has been trained: new, or recordings played back?",
    ),
]
Synthesiser = Annotated[
    str,
    typer.Option(
        "--synthesiser",
        help="What makes the waveform: auto, neural (fitted by train-synth, or as shipped) or griffin-lim.",
    ),
]
Dataset = Annotated[
    Path | None, typer.Option("--dataset", help="Where the sounds are now.", show_default="where they were")
]
AllowChanged = Annotated[
    bool, typer.Option("--allow-changed", help="Go on with the sounds that are still there as they were.")
]
Overrides = dict[str, Any]
