"""`distill generate`, `reconstruct`, `evaluate`, `info` and `demo`."""

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from distill.cli.answer import Json, emit, spoken_source
from distill.cli.curves import with_curves_read
from distill.cli.flags import settings_flags
from distill.cli.options import Device, Model, Overrides, Synthesiser
from distill.cli.running import last, run
from distill.cli.streaming import stream_sound
from distill.errors import DistillError, Stopped
from distill.settings.generation import OF_FILES, GenerationSettings, generation_settings

USUAL_OUT = Path("generated")


@settings_flags(GenerationSettings)
def generate(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Folder for the sounds.")] = USUAL_OUT,
    exact: Annotated[
        bool | None,
        typer.Option("--exact/--natural", help="In short for --ending exact and --ending natural.", show_default=False),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option("--pack", help="Make a pack: a new folder, by kind, with names, pictures and players; not --out."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="A line that stands in the pack.", show_default="nothing")
    ] = None,
    kit: Annotated[
        list[str] | None,
        typer.Option(
            "--kit",
            metavar="[sfz|decentsampler]",
            show_default=False,
            help="Put a playable kit into the pack: every kind on a key, --count of each; may be given twice.",
        ),
    ] = None,
    zipped: Annotated[bool, typer.Option("--zip", help="Write the pack as a .zip too, beside its folder.")] = False,
    certificate: Annotated[
        bool,
        typer.Option(
            "--certificate",
            help="Judge the sounds of the pack (as novelty --files) and put what is found into it; `distill verify` checks it.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a pack that is there.")] = False,
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            metavar="[raw|wav]",
            help="Write one sound to standard output while it is made, for a player: raw is 32-bit float little-endian "
            "samples at 48 kHz, channels interleaved; wav has 24 bit and a header. Without --seconds it goes on until the "
            "pipe is closed.",
            show_default="files",
        ),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Generate new sounds from a model, or go on from, replace, vary, bridge or follow given ones, or make loops."""
    from distill import studio
    from distill.events import GenerationCompleteEvent, PackWritten, TempoRead

    of_packs = {
        "--licence": licence, "--kit": kit, "--zip": zipped, "--certificate": certificate, "--overwrite": overwrite,
    }  # fmt: skip
    for flag, given in of_packs.items():
        if given and pack is None:
            raise DistillError(f"{flag} is for packs: add --pack FOLDER.")
    if pack is not None and out != USUAL_OUT:
        raise DistillError(f"--out {out} and --pack {pack}: choose one of them.")
    overrides = with_curves_read(overrides)
    short = None if exact is None else "exact" if exact else "natural"
    if short is not None and overrides.setdefault("ending", short) != short:
        raise DistillError(f"--{short} and --ending {overrides['ending']}: choose one of them.")
    settings = generation_settings(**overrides)
    stop = threading.Event()
    if stream is not None:
        if pack is not None:
            raise DistillError("--stream and --pack: a pack is a folder. Leave one of them out.")
        stream_sound(model, stream, settings, overrides, device, as_json, stop)
        return
    work = studio.generate(model, out, settings, device, stop)
    if pack is not None:
        wanted = studio.PackRequest(pack, licence or "", tuple(kit or ()), zipped, overwrite, certificate)  # type: ignore[arg-type]
        work = studio.generate_pack(model, wanted, settings, device, stop)
    events = run(work, stop)
    done = last(events, GenerationCompleteEvent)
    if not done.sounds:
        raise Stopped("Stopped before a sound was written.")
    tempo = next((event for event in events if isinstance(event, TempoRead)), None)
    if as_json:
        emit(
            model=done.model,
            seed=done.seed,
            files=[
                {"path": sound.path, "seconds": sound.seconds, "seed": sound.seed}
                | ({} if sound.score is None else {"score": sound.score})
                | ({} if sound.way is None else {"way": sound.way})
                | ({"unfinished": True} if sound.unfinished else {})
                | ({} if sound.sources is None else {"provenance": [spoken_source(each) for each in sound.sources]})
                for sound in done.sounds
            ],
            sampling_seconds=done.sampling_seconds,
            synthesis_seconds=done.synthesis_seconds,
            **({} if pack is None else {"pack": asdict(last(events, PackWritten))}),
            **({} if done.picked is None else {"picked": done.picked.to_dict()}),
            **({} if tempo is None else {"tempo": asdict(tempo)}),
        )


@settings_flags(GenerationSettings, only=OF_FILES)
def reconstruct(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Sounds to send through the codec.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("reconstructed"),
    mono: Annotated[
        bool, typer.Option("--mono/--no-mono", help="One channel, the mix of both, where model and sound are stereo.")
    ] = False,
    synthesiser: Synthesiser = "auto",
    device: Device = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Write what the codec makes of sounds, to hear its quality on its own."""
    from distill import studio
    from distill.events import ReconstructionCompleteEvent

    stop = threading.Event()
    work = studio.reconstruct(model, files, out, device, synthesiser, stop, mono, generation_settings(**overrides))
    done = last(run(work, stop), ReconstructionCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            files=[
                {name: getattr(sound, name) for name in ("source", "path", "seconds", "fidelity", "mel_l1_db")}
                for sound in done.sounds
            ],
            stopped_early=done.stopped_early,
        )


def evaluate(
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Sounds to measure it by, or folders of them.", show_default="the model's own held-out ones"
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            help="A folder of sounds: where the model's own are now, or others. Those it was trained on, and copies of "
            "those, are left out.",
            show_default="where they were",
        ),
    ] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", hidden=True, help="An older name of --dataset.")] = None,
    synthesiser: Synthesiser = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure what the codec and the synthesis lose, on sounds the model has not learned from."""
    from distill import studio
    from distill.evaluation.scores import EvaluationCompleteEvent

    stop = threading.Event()
    places = [place for place in (dataset, corpus, *(files or [])) if place is not None]
    work = studio.evaluate(model, places, device, synthesiser, stop)
    done = last(run(work, stop), EvaluationCompleteEvent).to_dict()
    if as_json:
        emit(**done)
    else:
        levels = ", ".join(f"{error:.2f}" for error in done["mel_l1_db_per_levels"])
        print(
            f"{done['files']} sound{'s' if done['files'] > 1 else ''} at {done['bits_per_second']:.0f} bits per second of codes "
            f"and {done['grain_bits_per_second']:.0f} of grain"
        )
        print(
            f"left of the sounds, where 0 is silence and 100 the recording: {done['fidelity']:.0f} (codec alone "
            f"{done['codec_fidelity']:.0f}, synthesis alone {done['synthesis_fidelity']:.0f})"
        )
        print(
            f"codec: {done['mel_l1_db']:.2f} dB (without grain, by levels of codes 1, 1-2, ...: {levels}; "
            f"unquantised {done['mel_l1_db_unquantised']:.2f})"
        )
        print(f"codec and synthesis: {done['wave_mel_l1_db']:.2f} dB, STFT distance {done['wave_mrstft']:.2f}")
        print(f"synthesis alone: {done['synthesis_mel_l1_db']:.2f} dB, STFT distance {done['synthesis_mrstft']:.2f}")
        if done.get("image_level_db") is not None:
            print(f"stereo image: {done['image_level_db']:.2f} dB of level, {done['image_coherence']:.2f} of coherence")


def info(
    model: Model,
    heatmap: Annotated[
        Path | None, typer.Option("--heatmap", help="Draw how often each code is used, as this PNG file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a model's file says of itself."""
    from distill import studio
    from distill.cli.card import show_card
    from distill.modelfile.migrate import lacks

    path, card = studio.info(model)
    if heatmap is not None:
        studio.draw_usage(card, heatmap)
    if as_json:
        emit(model=str(path), **card.model_dump(mode="json"), lacks=lacks(card))
    else:
        show_card(path, card)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("demo-output"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The whole way on 40 sounds that the program renders itself: train, generate, picture, summary."""
    from distill.studio.demo import DemoCompleteEvent, run_demo
    from distill.studio.stopping import stoppable

    stop = threading.Event()
    work = stoppable(run_demo(out, device), stop, f"The demo was stopped; what it has made so far is in {out}.")
    done = last(run(work, stop), DemoCompleteEvent)
    if as_json:
        emit(**done.to_dict())
    else:
        print(done.summary)
