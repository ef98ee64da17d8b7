"""`distill what` and `again`: how a sound was made, and the same sound again."""

import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill.cli.answer import Json, emit, spoken_source
from distill.cli.options import Device
from distill.cli.running import hint, last, run

if TYPE_CHECKING:
    from distill.audio.tags import SoundTags

File = Annotated[Path, typer.Argument(help="A sound file that distill has written.", show_default=False)]


def what(file: File, as_json: Json = False) -> None:
    """Say how a sound was made: model, request, seed and recordings, as its file has them."""
    from distill.audio.tagging import read_tags

    tags = read_tags(file)
    if as_json:
        nearest = None if tags.nearest is None else [spoken_source(each) for each in tags.nearest.sources()]
        emit(file=str(file), **{**tags.model_dump(), "nearest": nearest})
    else:
        _show(file, tags)


def again(
    file: File,
    out: Annotated[Path, typer.Option("--out", help="Folder for the sound.")] = Path("generated"),
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="The model: its name in the library, or a path.", show_default="the one that made it"
        ),
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--source",
            help="Where the recording is now that it was made from; twice for --bridge.",
            show_default="where it was, or beside the file",
        ),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Make a sound again, the same to the sample, by what its file says of how it was made."""
    from distill import studio
    from distill.events import AgainCompleteEvent

    stop = threading.Event()
    done = last(run(studio.again(file, out, model, source or [], device, stop), stop), AgainCompleteEvent)
    if as_json:
        emit(**asdict(done))
    elif done.same:
        hint(f"The same as {file}, sample for sample.")
    else:
        why = "" if done.notes else ": that file was changed, or another kind of machine made it"
        hint(f"Not the same as {file}{why}.")


def _show(file: Path, tags: "SoundTags") -> None:
    from distill.audio.notes import note_name
    from distill.cli.show import printable
    from distill.settings.generation import GenerationSettings

    usual = GenerationSettings().model_dump()
    settings = {
        name: value
        for name, value in tags.request.items()
        if name not in ("seed", "count") and (name not in usual or value != usual[name])
    }
    rows = [
        ("model", f"{tags.model}, hash {tags.model_sha256[:12]}..." if tags.model_sha256 else tags.model),
        *(
            ("made from", f"{each.name}, hash {each.sha256[:12]}..." if each.sha256 else each.name)
            for each in tags.sources
        ),
        ("seed", "" if tags.seed is None else f"{tags.seed}, sound {tags.index} of {tags.count}"),
        (
            "settings",
            ", ".join(f"{name.rstrip('_').replace('_', ' ')} {_spoken(value)}" for name, value in settings.items()),
        ),
        (
            "tempo",
            ""
            if tags.bpm is None
            else f"{tags.bpm:g} beats a minute, {tags.beats} beats of {tags.beats_per_bar} a bar",
        ),
        ("root note", "" if tags.root_note is None else note_name(tags.root_note)),
    ]
    print(printable(f"{file.name}: {tags.sentence}"))
    for name, value in rows:
        if value:
            print(f"  {name:10} {printable(value)}")
    for each in tags.nearest.sources() if tags.nearest is not None else ():
        nearer = "nearer than chance" if each.nearer_than_chance else "no nearer than unseen recordings"
        print(f"  {each.begins:.2f} s     {printable(each.nearest)} at {each.nearest_seconds:.2f} s, {nearer}")


def _spoken(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return " ".join(map(_spoken, value))
    return f"{value:g}" if isinstance(value, float) else f"{value}"
