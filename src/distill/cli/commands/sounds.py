"""`distill generate`, `reconstruct`, `evaluate`, `info` and `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.answer import Json, emit
from distill.cli.flags import settings_flags
from distill.cli.options import Device, Model, Overrides, Synthesiser
from distill.cli.running import last, run
from distill.errors import DistillError
from distill.settings.generation import GenerationSettings, generation_settings


@settings_flags(GenerationSettings)
def generate(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Folder for the sounds.")] = Path("generated"),
    exact: Annotated[
        bool | None,
        typer.Option("--exact/--natural", help="In short for --ending exact and --ending natural.", show_default=False),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Generate new sounds from a model."""
    from distill import studio
    from distill.events import GenerationCompleteEvent

    short = None if exact is None else "exact" if exact else "natural"
    if short is not None and overrides.setdefault("ending", short) != short:
        raise DistillError(f"--{short} and --ending {overrides['ending']}: choose one of them.")
    settings = generation_settings(**overrides)
    done = last(run(studio.generate(model, out, settings, device)), GenerationCompleteEvent)
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
