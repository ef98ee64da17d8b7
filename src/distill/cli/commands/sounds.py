"""`distill generate`, `reconstruct`, `evaluate`, `info` and `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.options import Device, Model, Synthesiser
from distill.cli.running import last, run


def generate(
    model: Model,
    count: Annotated[int, typer.Option("--count", help="How many sounds.")] = 8,
    seconds: Annotated[float, typer.Option("--seconds", help="Longest duration of each.")] = 1.0,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Number that makes the same sounds again.", show_default="a new one")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the sounds.")] = Path("generated"),
    temperature: Annotated[float, typer.Option("--temperature", help="Above 1 more surprising, below 1 safer.")] = 1.0,
    top_k: Annotated[int, typer.Option("--top-k", help="Draw from this many likeliest codes only; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the likeliest codes of this joint probability.")
    ] = 1.0,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--natural",
            help="Fill the duration with further sounds, or let every sound end where it ends.",
            show_default="natural up to the prior's window, exact above",
        ),
    ] = None,
    audio_format: Annotated[str, typer.Option("--format", help="wav or flac.")] = "wav",
    synthesiser: Synthesiser = "auto",
    texture: Annotated[
        float,
        typer.Option("--texture", help="How much of the recordings' grain to add; 0: none, 1: as it was measured."),
    ] = 1.0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Generate new sounds from a model."""
    from distill import studio
    from distill.events import GenerationCompleteEvent
    from distill.instrument.request import GenerateOptions
    from distill.models.sampling import SamplingOptions

    options = GenerateOptions(
        count, seconds, seed, SamplingOptions(temperature, top_k, top_p), exact, audio_format, synthesiser, texture
    )  # fmt: skip
    done = last(run(studio.generate(model, out, options, device)), GenerationCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            seed=done.seed,
            files=[{"path": sound.path, "seconds": sound.seconds, "seed": sound.seed} for sound in done.sounds],
            sampling_seconds=done.sampling_seconds,
            synthesis_seconds=done.synthesis_seconds,
        )


def reconstruct(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Sounds to send through the codec.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("reconstructed"),
    synthesiser: Synthesiser = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write what the codec makes of sounds, to hear its quality on its own."""
    from distill import studio
    from distill.events import ReconstructionCompleteEvent

    done = last(run(studio.reconstruct(model, files, out, device, synthesiser)), ReconstructionCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            files=[
                {"source": sound.source, "path": sound.path, "seconds": sound.seconds, "mel_l1_db": sound.mel_l1_db}
                for sound in done.sounds
            ],
        )


def evaluate(
    model: Model,
    corpus: Annotated[
        Path | None,
        typer.Option(
            "--corpus", help="A folder of sounds; those it was trained on are left out.", show_default="the model's own"
        ),
    ] = None,
    synthesiser: Synthesiser = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure what the codec and the synthesis lose, on sounds the model has not learned from."""
    from distill import studio
    from distill.evaluation.scores import EvaluationCompleteEvent

    done = last(run(studio.evaluate(model, corpus, device, synthesiser)), EvaluationCompleteEvent).to_dict()
    if as_json:
        emit(**done)
    else:
        levels = ", ".join(f"{error:.2f}" for error in done["mel_l1_db_per_levels"])
        print(f"{done['files']} sounds at {done['bits_per_second']:.0f} bits per second")
        print(
            f"codec: {done['mel_l1_db']:.2f} dB (its encoder alone, by levels 1, 1-2, ...: {levels}; "
            f"unquantised {done['mel_l1_db_unquantised']:.2f})"
        )
        print(f"codec and synthesis: {done['wave_mel_l1_db']:.2f} dB, STFT distance {done['wave_mrstft']:.2f}")
        print(f"synthesis alone: {done['synthesis_mel_l1_db']:.2f} dB, STFT distance {done['synthesis_mrstft']:.2f}")


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

    done = last(run(run_demo(out, device)), DemoCompleteEvent)
    if as_json:
        emit(**done.to_dict())
    else:
        print(done.summary)
