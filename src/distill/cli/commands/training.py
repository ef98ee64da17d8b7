"""`distill train`, `train-prior` and `train-synth`."""

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from distill.audio.formats import FORMATS
from distill.cli.answer import Json, emit
from distill.cli.flags import settings_flags
from distill.cli.options import (
    AllowChanged,
    Dataset,
    Device,
    Devices,
    Model,
    Novelty,
    NumNodes,
    Overrides,
    Overwrite,
    Resume,
    Strategy,
)
from distill.cli.running import hint, last, run
from distill.errors import DistillError
from distill.events import Event
from distill.settings.codec import CodecSettings
from distill.settings.prior import PriorSettings
from distill.settings.synthesiser import SynthesiserSettings


@settings_flags(CodecSettings)
def train(
    folder: Annotated[
        Path,
        typer.Argument(help=f"A folder of sounds: {FORMATS}. With --again or --add a model.", show_default=False),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name.", show_default="the folder's name")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write this .distill file.", show_default="NAME.distill in the library")
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Train a model again with the sounds that are new in its folders: the codec stays, the prior is made anew.",
        ),
    ] = False,
    add: Annotated[
        Path | None,
        typer.Option("--add", help="As --again, with the sounds of one more folder.", show_default="its own folders"),
    ] = None,
    continue_codec: Annotated[
        bool,
        typer.Option("--continue-codec", help="As --again, and the codec goes on for a few epochs with all sounds."),
    ] = False,
    novelty: Novelty = True,
    device: Device = "auto",
    devices: Devices = 1,
    num_nodes: NumNodes = 1,
    strategy: Strategy = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Train a codec on a folder of sounds (stage 1), or a whole model again when sounds have come (--again, --add)."""
    from distill import studio
    from distill.compute.processes import Processes
    from distill.events import CodecTrainingCompleteEvent, CorpusScanned

    stop = threading.Event()
    processes = Processes(devices, num_nodes, strategy)
    if again or add is not None or continue_codec:
        given = {"--name": name, "--out": out, "--overwrite": overwrite, "--resume": resume}
        refused = [flag for flag, value in given.items() if value]
        if refused:
            raise DistillError(
                f"{refused[0]} is for a new model: leave it out, or leave out --again, --add and --continue-codec."
            )
        work = studio.train_again(str(folder), add, continue_codec, overrides, device, stop, processes, novelty)
        _prior_ready(run(work, stop), as_json)
        return
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
            notes=[{"name": name, "note": note} for name, note in scanned.notes],
            train_files=scanned.train_files,
            val_files=scanned.val_files,
            recordings_cut=scanned.recordings,
            split_by=scanned.split_by,
            seconds=done.seconds,
            stopped_early=done.stopped_early,
        )
    else:
        _say_next("train-prior", done.model)


@settings_flags(PriorSettings)
def train_prior(
    model: Model,
    dataset: Dataset = None,
    allow_changed: AllowChanged = False,
    embed_codes: Annotated[
        bool,
        typer.Option(
            "--embed-codes/--no-embed-codes",
            help="Keep the codes of the recordings in the file: enough to train again, or to approximate them.",
        ),
    ] = True,
    novelty: Novelty = True,
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
    from distill.compute.processes import Processes

    stop = threading.Event()
    processes = Processes(devices, num_nodes, strategy)
    overwrite = overwrite or (not resume and _agrees_to_replace(model))
    work = studio.train_prior_for(
        model, dataset, overrides, device, overwrite, allow_changed, embed_codes, resume, stop, processes, novelty
    )  # fmt: skip
    events = run(work, stop)
    _prior_ready(events, as_json)


def _prior_ready(events: list[Event], as_json: bool) -> None:
    """What is answered when a prior is trained."""
    from distill.events import PriorRaceRound, PriorTrainingCompleteEvent
    from distill.novelty.verdict import NoveltyReport

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
            race=[event.to_dict() for event in events if isinstance(event, PriorRaceRound)],
            tokens_per_second=done.tokens_per_second,
            seconds=done.seconds,
            stopped_early=done.stopped_early,
            novelty=next(
                (
                    event.summary("").model_dump(exclude={"training_date"})
                    for event in events
                    if isinstance(event, NoveltyReport)
                ),
                None,
            ),
        )
    else:
        _say_next("generate", done.model, "--count 8")


@settings_flags(SynthesiserSettings)
def train_synth(
    model: Model,
    dataset: Dataset = None,
    allow_changed: AllowChanged = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    num_nodes: NumNodes = 1,
    strategy: Strategy = "auto",
    as_json: Json = False,
    overrides: Overrides = {},  # noqa: B006 - replaced by flags
) -> None:
    """Fit the synthesiser of a model to its own sounds (stage 3, optional)."""
    from distill import studio
    from distill.compute.processes import Processes
    from distill.events import SynthesiserTrainingCompleteEvent

    stop = threading.Event()
    processes = Processes(devices, num_nodes, strategy)
    work = studio.train_synth_for(model, dataset, overrides, device, overwrite, allow_changed, resume, stop, processes)
    done = last(run(work, stop), SynthesiserTrainingCompleteEvent)
    if as_json:
        emit(
            model=done.model,
            epochs=done.epochs,
            best_epoch=done.best_epoch,
            val_mrstft=done.val_mrstft,
            shipped_val_mrstft=done.shipped_val_mrstft,
            kept=done.kept,
            seconds=done.seconds,
            stopped_early=done.stopped_early,
        )
    else:
        _say_next("generate", done.model, "--count 8")


def _say_next(command: str, model: str, flags: str = "") -> None:
    from distill.library.models import spoken

    hint(f"Next: distill {command} {spoken(Path(model))} {flags}".rstrip())


def _agrees_to_replace(model: str) -> bool:
    """Ask, where someone can answer, before a prior is replaced; the first of several processes has asked."""
    from distill.compute.processes import is_first

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
