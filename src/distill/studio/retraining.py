"""A model learns from new recordings: the codec is kept, or goes on a little, and the prior is trained again."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from distill.compute.fabric import launch_fabric
from distill.compute.processes import ONE, Processes
from distill.corpus.joining import Joined, join
from distill.corpus.sounds import Corpus
from distill.errors import DistillError
from distill.events import Event, PriorTrainingCompleteEvent, Saved, Warned
from distill.library.models import find_model, name_of_folder, new_model_path
from distill.modelfile.card import ModelCard
from distill.modelfile.locks import claimed
from distill.modelfile.opened import OpenedModel, open_model
from distill.models.image import read_by_priors
from distill.novelty.watching import CopyWatch
from distill.places import MODEL_SUFFIX, unfinished_dir
from distill.settings.auto import Resolved, codec_auto, raced_sizes, resolve
from distill.settings.codec import CodecSettings
from distill.settings.knobs import AUTO, flag_name
from distill.settings.prior import PriorSettings, PriorSize
from distill.studio.judging import novelty_of_kept_codes
from distill.studio.looking import scanned
from distill.studio.opening import Opening, open_for_stage
from distill.studio.prior_training import resolve_prior
from distill.studio.spreading import spread_after_training
from distill.studio.stopping import stoppable
from distill.training.codec.train import CODEC_STAGE, train_codec
from distill.training.prior.beside import learned_endings, learned_loudness, measured_grain
from distill.training.prior.codes import CodeSequences, checked_codes, extract_code_sequences
from distill.training.prior.train import PRIOR_STAGE, train_prior
from distill.training.stage import ModelInTraining

UNCHANGED = "Stopped before the training: the model is as it was. Sounds that were read need not be read again."
CONTINUED_SHARE = 0.25
"""How long a codec goes on, of a training of default length."""
RACED_AGAIN_FROM = 2.0
"""Sizes race again where there are this many times as many codes to learn from as before; else the size is kept."""
NAMED_AT_MOST = 3


def train_again(
    model: str,
    add: Path | None = None,
    continue_codec: bool = False,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
    processes: Processes = ONE,
    novelty: bool = True,
) -> Generator[Event, None, None]:
    """Train a model again with the recordings that have come since, in its own folders or in one more.

    Old files keep their side of the split. The prior is trained anew, with the settings that were set for the last one,
    on the codes that are in the model and on those of the new files. The model is as it was until that is done, and then
    written once.

    Args:
        model: its name, its path, or the folder that it is named after.
        add: a folder whose files join the model's.
        continue_codec: let the codec go on from its weights for a few epochs, with all sounds; else it stays to the bit.
        overrides: settings of the codec, where it goes on.
        novelty: judge some of its sounds when it is trained, and keep the verdict in the file.

    Raises:
        DistillError: there is no such model or nothing new, or the sounds that are needed are gone.
    """
    if processes.count > 1:
        raise DistillError("Training again runs in one process: leave out --devices and --num-nodes.")
    chosen = {name: value for name, value in (overrides or {}).items() if value not in (None, AUTO)}
    if chosen and not continue_codec:
        raise DistillError(
            f"The codec is kept as it is, so {flag_name(next(iter(chosen)))} changes nothing: leave it out, or let the codec go "
            "on with --continue-codec."
        )
    stage = CODEC_STAGE if continue_codec else PRIOR_STAGE
    with open_for_stage(stage, _named(model), lambda _card: False, None, True, False) as begun:
        joined = yield from stoppable(_joined(begun, add, continue_codec), stop, UNCHANGED)
        if continue_codec:
            training = _with_new_codec(begun, joined, chosen, device, stop, novelty)
        else:
            fabric = launch_fabric(device, 0)
            training = train_prior_of(begun.file, begun.opened, joined.corpus, fabric, stop, begun.card, novelty)
        with contextlib.closing(training):
            for event in training:
                if isinstance(event, PriorTrainingCompleteEvent) and not event.stopped_early:
                    yield from spread_after_training(begun.file, joined.corpus)
                    if novelty:
                        yield from novelty_of_kept_codes(begun.file)
                yield event


def _named(model: str) -> str:
    """The model, or the one that is named after a folder."""
    try:
        return str(find_model(model))
    except DistillError:
        own = new_model_path(name_of_folder(Path(model))) if Path(model).is_dir() else None
        if own is None or not own.is_file():
            raise
        return str(own)


def _joined(begun: Opening, add: Path | None, all_needed: bool) -> Generator[Event, None, Joined]:
    card = begun.card
    joined = yield from join(card.corpus_manifest, add, card.spectrogram_config)
    yield from scanned(joined.corpus.manifest)
    gone = [file for file in joined.gone if not joined.corpus.has(file)]
    names = _first_few([file.name for file in gone])
    if gone and all_needed:
        raise DistillError(
            f"{len(gone)} of the model's sounds are not there any more ({names}), and a codec that goes on needs all: put them "
            "back, or leave out --continue-codec."
        )
    without = [file.name for file in gone if file.name not in begun.opened.codes]
    if without:
        raise DistillError(
            f"{len(without)} of the model's sounds are not there any more, and their codes are not in the model "
            f"({_first_few(without)}): put them back, or train a new model."
        )
    if gone:
        yield Warned(f"{len(gone)} sounds are not there any more ({names}): their codes are kept and learned from.")
    if joined.changed:
        which = _first_few(joined.changed)
        yield Warned(f"{which}: another recording than before. The new one takes the place of the old one.")
    if joined.unchecked:
        yield Warned(
            f"{joined.unchecked} of the model's sounds are neither there nor in the cache: new ones that nearly repeat those "
            "are not noticed."
        )
    if joined.forgotten:
        yield Warned(f"Forgotten before, and left out: {len(joined.forgotten)} ({_first_few(joined.forgotten)}).")
    new = joined.new
    held_out = sum(file.split == "val" for file in new)
    yield Warned(f"{len(new)} sounds are new: {len(new) - held_out} to learn from, {held_out} held out.")
    return joined


def train_prior_of(
    file: ModelInTraining,
    opened: OpenedModel,
    corpus: Corpus,
    fabric: Fabric,
    stop: threading.Event | None,
    before: ModelCard,
    novelty: bool = True,
) -> Generator[Event, None, None]:
    """Train a prior for the codec of an opened model, on a corpus that has grown.

    Args:
        before: what the model said of itself before, for the settings of its prior.
        novelty: compare a few new sounds with the recordings while it is trained.
    """
    manifest = corpus.manifest
    resolved, sizes = _prior_settings(before, opened.card.model_copy(update={"corpus_manifest": manifest}))
    settings = resolved.settings
    fabric.seed_everything(settings.seed, verbose=False)
    codec, image = opened.codec(fabric.device), opened.image()
    known = {
        each.name: checked_codes(opened.codes, each, settings.codebook_size, opened.card.prior_levels)
        for each in manifest.files
        if each.name in opened.codes and each in before.corpus_manifest.files
    }
    extracting = extract_code_sequences(codec, corpus, fabric.device, settings.views, settings.seed, image, known)
    sequences = yield from stoppable(extracting, stop, UNCHANGED)
    vectors = read_by_priors(codec.codebooks(), image)
    beside = {
        "corpus_manifest": manifest,
        **_measured_again(corpus, sequences, codec),
        **learned_endings(codec, sequences),
    }
    embed = before.has_codes or not before.has_prior
    watch = CopyWatch.of(codec, sequences.train_codes, sequences.val) if novelty else None
    copied = None if watch is None else watch.copied
    yield from train_prior(
        file,
        vectors,
        sequences,
        manifest,
        resolved,
        fabric,
        stop,
        embed,
        None,
        beside,
        sizes,
        at_the_end=True,
        copied=copied,
    )


def _prior_settings(before: ModelCard, card: ModelCard) -> tuple[Resolved[PriorSettings], tuple[PriorSize, ...]]:
    """The settings of the prior and the sizes that race: what was set stays set, and the size that won for about as much
    sound stays chosen."""
    former, origin = before.prior_training_config, before.settings_origin.get(PRIOR_STAGE, {})
    set_before = {} if former is None else {n: v for n, v in former.model_dump().items() if origin.get(n) == "set"}
    resolved = resolve_prior(card, set_before)
    positions = card.corpus_manifest.facts().positions
    sizes = raced_sizes(positions, resolved.settings.preset, resolved.origin)
    raced = before.prior_metadata is not None and before.prior_metadata.race
    if (
        sizes
        and raced
        and former is not None
        and positions < RACED_AGAIN_FROM * before.corpus_manifest.facts().positions
    ):
        size = PriorSize(former.hidden_size, former.num_layers, former.num_heads)
        return replace(resolved, settings=resolved.settings.of_size(size)), ()
    return resolved, sizes


def _measured_again(corpus: Corpus, sequences: CodeSequences, codec: Any) -> dict[str, Any]:
    """Loudness and grain of the sounds that are there; nothing, so that what is known stays, where most are gone."""
    train = corpus.manifest.train
    there = [number for number, file in enumerate(train) if corpus.has(file)]
    if 2 * len(there) < len(train):
        return {}
    some = Corpus(
        corpus.manifest.model_copy(update={"files": tuple(train[number] for number in there)}),
        corpus.spectrogram,
        corpus.paths,
    )
    theirs = replace(sequences, train=tuple(sequences.train[number] for number in there))
    return learned_loudness(codec, some, theirs) | measured_grain(codec, some, theirs)


def _with_new_codec(
    begun: Opening,
    joined: Joined,
    chosen: Mapping[str, Any],
    device: str,
    stop: threading.Event | None,
    novelty: bool,
) -> Generator[Event, None, None]:
    """Let the codec go on and train a prior for it, in a file of their own that takes the model's place when both are done."""
    room = unfinished_dir(begun.file.path)
    room.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="again-", dir=room))
    made = place / f"{begun.file.path.stem}{MODEL_SUFFIX}"
    try:
        done: list[PriorTrainingCompleteEvent] = []
        for event in _trained_beside(begun, joined, chosen, device, stop, made, novelty):
            if isinstance(event, PriorTrainingCompleteEvent):
                done.append(event)  # it is when the model's own file is written
            elif not isinstance(event, Saved):
                yield event
        contents = open_model(made).contents
        yield from begun.file.write(lambda held: {**_without_image(held), **contents})
        yield Saved(str(begun.file.path), "model")
        yield from (replace(each, model=str(begun.file.path)) for each in done)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _without_image(held: Mapping[str, Any]) -> dict[str, Any]:
    """What a model holds but the stereo image, which comes with the codec where there is one."""
    return {name: value for name, value in held.items() if not name.startswith("image_")}


def _trained_beside(
    begun: Opening,
    joined: Joined,
    chosen: Mapping[str, Any],
    device: str,
    stop: threading.Event | None,
    made: Path,
    novelty: bool,
) -> Generator[Event, None, None]:
    corpus, card = joined.corpus, begun.card
    settings = _codec_settings(card, corpus, chosen)
    fabric = launch_fabric(device, settings.settings.seed)
    with claimed(made, CODEC_STAGE) as claim:
        start = begun.opened.codec().state_dict()
        yield from train_codec(ModelInTraining(claim, None), corpus, settings, fabric, stop, start=start)
    with claimed(made, PRIOR_STAGE) as claim:
        opened = open_model(made)
        yield from train_prior_of(ModelInTraining(claim, opened), opened, corpus, fabric, stop, card, novelty)


def _codec_settings(card: ModelCard, corpus: Corpus, chosen: Mapping[str, Any]) -> Resolved[CodecSettings]:
    """The settings of a codec that goes on: its own, for a few epochs of smaller steps, quantising from the first."""
    own = card.training_config
    fixed = [name for name in chosen if name in type(own.architecture()).model_fields]
    if fixed:
        raise DistillError(
            f"A codec that goes on keeps its size: leave out {flag_name(fixed[0])}, or train a new model."
        )
    automatic = codec_auto(corpus.manifest.facts(), {"batch_size": own.batch_size})
    changed = {
        "epochs": max(1, round(CONTINUED_SHARE * automatic["epochs"])),
        "learning_rate": own.learning_rate / 2,
        "matrix_learning_rate": own.matrix_learning_rate / 2,
        "warmup_share": 0.0,
        "preview_every": 0,
    }
    resolved = resolve(CodecSettings, {**own.model_dump(), **changed}, chosen)
    origin = {n: o for n, o in card.settings_origin.get(CODEC_STAGE, {}).items() if n not in {*changed, *chosen}}
    return replace(resolved, origin={**resolved.origin, **origin})


def _first_few(names: list[str] | tuple[str, ...]) -> str:
    more = f", and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more
