"""`distill make`: one command from a folder to new sounds."""

import threading
from pathlib import Path
from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Device
from distill.cli.running import hint, last, run
from distill.errors import DistillError
from distill.settings.generation import generation_settings


def make(
    folder: Annotated[Path, typer.Argument(help="A folder with 5 or more of your recordings.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="Half as long a training: a first impression.")] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="A longer training: as good as it gets.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name.", show_default="the folder's name")
    ] = None,
    count: Annotated[int, typer.Option("--count", help="How many sounds.")] = 16,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="The longest that a sound may be.", show_default="1")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of the sounds: the same seed, the same sounds.", show_default="drawn")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the sounds.", show_default="NAME-sounds")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The whole way: train on a folder and write new sounds. Ctrl-C keeps what is there; run again, it goes on."""
    from distill import studio
    from distill.studio.making import MakingCompleteEvent

    if quick and thorough:
        raise DistillError("--quick and --thorough: choose one of them.")
    effort = "draft" if quick else "thorough" if thorough else "standard"
    settings = generation_settings(count=count, seconds=seconds, seed=seed)
    stop = threading.Event()
    work = studio.make(folder, name, out, settings, effort, device, stop)  # type: ignore[arg-type]
    done = last(run(work, stop), MakingCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            seed=done.seed,
            files=[{"path": sound.path, "seconds": sound.seconds, "seed": sound.seed} for sound in done.sounds],
            seconds=done.seconds,
        )
    else:
        for line in done.next_steps.splitlines():
            hint(line)
