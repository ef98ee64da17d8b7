"""The `distill` command: thin. Flags come from the settings, work from `studio`, rendering from `show`."""

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer

import distill
from distill.cli.flags import settings_flags
from distill.config import CodecSettings, PriorSettings
from distill.errors import DistillError
from distill.events import Event

app = typer.Typer(
    name="distill",
    help="Train a small generative model on your own recordings, and generate new sound from it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout at the end, and nothing else there.")
]
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
Overrides = dict[str, Any]
EventT = TypeVar("EventT", bound=Event)


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 1."""
    try:
        code = app(standalone_mode=False)
    except DistillError as error:
        _fail(str(error))
    except USAGE_ERROR as error:
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        _fail(f"{message}. `distill --help` lists the commands, `distill COMMAND --help` their options.")
    except (KeyboardInterrupt, typer.Abort):
        _next("Stopped.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> None:
    from distill.cli.show import printable
    from distill.processes import is_first

    if is_first():
        print(f"Error: {printable(sentence)}", file=sys.stderr)
    sys.exit(1)


def _version(value: bool) -> None:
    if value:
        print(distill.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@settings_flags(CodecSettings)
def train(
    folder: Annotated[Path, typer.Argument(help="A folder of sounds: WAV, AIFF, FLAC, OGG, MP3.", show_default=False)],
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name.", show_default="the folder's name")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write this .distill file.", show_default="NAME.distill in the library")
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    num_nodes: NumNodes = 1,
    strategy: Strategy = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Train a codec on a folder of sounds (stage 1)."""
    from distill import studio
    from distill.events import CodecTrainingCompleteEvent, CorpusScanned
    from distill.processes import Processes

    stop = threading.Event()
    processes = Processes(devices, num_nodes, strategy)
    events = run(studio.train(folder, name, out, overrides, device, overwrite, resume, stop, processes), stop)
    scanned, done = last(events, CorpusScanned), last(events, CodecTrainingCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            epochs=done.epochs,
            best_epoch=done.best_epoch,
            val_mel_l1_db=done.val_mel_l1_db,
            codebook_health=done.health.to_dict() if done.health else None,
            files_used=scanned.files_used,
            files_skipped=[{"name": name, "reason": reason} for name, reason in scanned.files_skipped],
            train_files=scanned.train_files,
            val_files=scanned.val_files,
            seconds=done.seconds,
            stopped_early=done.stopped_early,
        )
    else:
        _next(f"Next: distill train-prior {_spoken(done.model)}")


@app.command("train-prior")
@settings_flags(PriorSettings)
def train_prior(
    model: Model,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Where the sounds are now.", show_default="where they were")
    ] = None,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Go on with the sounds that are still there as they were.")
    ] = False,
    embed_codes: Annotated[
        bool,
        typer.Option(
            "--embed-codes/--no-embed-codes",
            help="Keep the codes of the recordings in the file: enough to train again, or to approximate them.",
        ),
    ] = True,
    overwrite: Overwrite = False,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    num_nodes: NumNodes = 1,
    strategy: Strategy = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Train the prior of a model on the codec's own files (stage 2)."""
    from distill import studio
    from distill.events import PriorTrainingCompleteEvent
    from distill.processes import Processes

    stop = threading.Event()
    processes = Processes(devices, num_nodes, strategy)
    overwrite = overwrite or (not resume and _agrees_to_replace(model))
    work = studio.train_prior_for(
        model, dataset, overrides, device, overwrite, allow_changed, embed_codes, resume, stop, processes
    )  # fmt: skip
    events = run(work, stop)
    done = last(events, PriorTrainingCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            epochs_trained=done.epochs_trained,
            best_epoch=done.best_epoch,
            best_perplexity=done.best_perplexity,
            final_perplexity=done.final_perplexity,
            bits_per_code=done.bits_per_code,
            unigram_bits_per_code=done.unigram_bits_per_code,
            ngram_bits_per_code=done.ngram_bits_per_code,
            overfitting_gap=done.overfitting_gap,
            memorization={"flag": done.memorization_flag, "message": done.memorization_message},
            tokens_per_second=done.tokens_per_second,
            seconds=done.seconds,
            stopped_early=done.stopped_early,
        )
    else:
        _next(f"Next: distill generate {_spoken(done.model)} --count 8")


@app.command()
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
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Generate new sounds from a model."""
    from distill import studio
    from distill.events import GenerationCompleteEvent
    from distill.models.sampling import SamplingOptions

    options = studio.GenerateOptions(
        count, seconds, seed, SamplingOptions(temperature, top_k, top_p), exact, audio_format
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


@app.command()
def reconstruct(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Sounds to send through the codec.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("reconstructed"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write what the codec makes of sounds, to hear its quality on its own."""
    from distill import studio
    from distill.events import ReconstructionCompleteEvent

    done = last(run(studio.reconstruct(model, files, out, device)), ReconstructionCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            files=[
                {"source": sound.source, "path": sound.path, "seconds": sound.seconds, "mel_l1_db": sound.mel_l1_db}
                for sound in done.sounds
            ],
        )


@app.command()
def evaluate(
    model: Model,
    corpus: Annotated[
        Path | None,
        typer.Option(
            "--corpus", help="A folder of sounds; those it was trained on are left out.", show_default="the model's own"
        ),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure what the codec and the synthesis lose, on sounds the model has not learned from."""
    from distill import studio
    from distill.evaluation import EvaluationCompleteEvent

    done = last(run(studio.evaluate(model, corpus, device)), EvaluationCompleteEvent).to_dict()
    if as_json:
        emit(**done)
    else:
        levels = ", ".join(f"{error:.2f}" for error in done["mel_l1_db_per_levels"])
        print(f"{done['files']} sounds at {done['bits_per_second']:.0f} bits per second")
        print(
            f"codec: {done['mel_l1_db']:.2f} dB (levels 1, 1-2, ...: {levels}; unquantised {done['mel_l1_db_unquantised']:.2f})"
        )
        print(f"codec and synthesis: {done['wave_mel_l1_db']:.2f} dB, STFT distance {done['wave_mrstft']:.2f}")
        print(f"synthesis alone: {done['synthesis_mel_l1_db']:.2f} dB, STFT distance {done['synthesis_mrstft']:.2f}")


@app.command()
def info(model: Model, as_json: Json = False) -> None:
    """Show what a model's file says of itself."""
    from distill import studio
    from distill.cli.card import show_card

    path, card = studio.info(model)
    if as_json:
        emit(model=str(path), **card.model_dump(mode="json"))
    else:
        show_card(path, card)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("demo-output"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The whole way on 40 sounds that the program renders itself: train, generate, picture, summary."""
    from distill.demo import DemoCompleteEvent, run_demo

    done = last(run(run_demo(out, device)), DemoCompleteEvent)
    if as_json:
        emit(**done.to_dict())
    else:
        print(done.summary)


def run(events: Generator[Event, None, None], stop: threading.Event | None = None) -> list[Event]:
    """Show events as they come and return those that are not steps.

    With `stop`, the first Ctrl-C asks the work to end and keep its best; a second one ends the program.
    """
    from distill.cli.show import Screen
    from distill.events import Progress, StepMetrics
    from distill.processes import is_first

    kept: list[Event] = []
    before = signal.getsignal(signal.SIGINT)

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        assert stop is not None
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if is_first():
            print("Stopping after this step; Ctrl-C again quits at once.", file=sys.stderr)

    if stop is not None:
        signal.signal(signal.SIGINT, interrupted)
    try:
        with Screen(quiet=not is_first()) as screen:
            for event in events:
                screen.show(event)
                if not isinstance(event, Progress | StepMetrics):
                    kept.append(event)
    finally:
        events.close()
        signal.signal(signal.SIGINT, before)
    return kept


def last(events: list[Event], kind: type[EventT]) -> EventT:
    """The last event of a kind."""
    return next(event for event in reversed(events) if isinstance(event, kind))


def emit(**values: object) -> None:
    """One JSON object on stdout; what is not a number becomes null, names that are not text are escaped.

    Of several processes, the first one's.
    """
    from distill.processes import is_first

    if not is_first():
        return
    json.dump(_plain(values), sys.stdout, ensure_ascii=True, allow_nan=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _agrees_to_replace(model: str) -> bool:
    """Ask, where someone can answer, before a prior is replaced; the first of several processes has asked."""
    from distill.processes import is_first

    if not is_first():
        return True
    if not sys.stdin.isatty():
        return False
    from distill import studio

    path, card = studio.info(model)
    if card.prior_metadata is None:
        return False
    question = f"{path.name} has a prior of {card.prior_metadata.training_date}. Replace it once the new one is ready?"
    return typer.confirm(question, err=True)


def _spoken(model: str) -> str:
    """How the user would name the model: by its name if it is in the library, else by its path."""
    from distill.files import library_dir

    path = Path(model)
    return path.stem if path.parent == library_dir() else str(path)


def _next(text: str) -> None:
    from distill.processes import is_first

    if is_first():
        print(text, file=sys.stderr)
