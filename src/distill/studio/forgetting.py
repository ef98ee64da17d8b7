"""A model forgets recordings: its prior is trained again without them, and nothing of them stays in its file."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.compute.fabric import launch_fabric
from distill.corpus.cache import SoundCache
from distill.corpus.forgetting import corpus_without, near_copies
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.corpus.naming import named_files
from distill.corpus.sounds import Corpus, has_content
from distill.errors import DistillError
from distill.events import (
    CodecTrainingCompleteEvent,
    Event,
    PriorTrainingCompleteEvent,
    Progress,
    Saved,
    Warned,
)
from distill.library.trash import copy_to_trash
from distill.modelfile.card import ModelCard
from distill.modelfile.file import write_model
from distill.modelfile.locks import claimed
from distill.modelfile.opened import OpenedModel, open_model
from distill.models.likelihood import bits_per_code
from distill.models.prior import CodePrior
from distill.novelty.forgotten import ForgetReport, ForgottenRecording, error_of, mean
from distill.places import MODEL_SUFFIX, preview_dir, shell_quoted, unfinished_dir
from distill.settings.auto import Resolved, codec_auto, resolve
from distill.settings.codec import CodecSettings
from distill.studio.codec_training import starts_from_nothing
from distill.studio.judging import novelty_of_kept_codes
from distill.studio.opening import Opening, open_for_stage
from distill.studio.retraining import train_prior_of
from distill.studio.stopping import stoppable
from distill.training.codec.train import CODEC_STAGE, train_codec
from distill.training.prior.codes import checked_codes, codes_of_file
from distill.training.prior.train import PRIOR_STAGE
from distill.training.stage import ModelInTraining

UNCHANGED = "Stopped before the training was over: the model is as it was, and has forgotten nothing."
SYNTHESISER = "synthesiser"
OF_CODEC = (
    "format", "version", "model_type", "vqvae_config", "spectrogram_config", "training_config", "model_state_dict",
    "codebook_health_snapshot", "metadata", "settings_origin", "loss_curve_history", "image_size", "image_columns",
    "image_state_dict",
)  # fmt: skip
"""Keys of a model's file that stay where its codec stays; all others are made again, or go."""
COMPARED = 64
"""Recordings of each side whose cost is measured at most."""
NAMED_AT_MOST = 3


def forget(
    model: str,
    names: Sequence[str],
    codec: bool = False,
    undo: bool = True,
    device: str = "auto",
    stop: threading.Event | None = None,
    novelty: bool = True,
) -> Generator[Event, None, None]:
    """Make a model forget recordings; a `ForgetReport` is the last event.

    The prior is trained anew from the codes that are kept, with its settings; the model is as it was until that is done,
    and then written once. The recordings are remembered by their hashes, so that they do not join again by themselves.

    Args:
        model: its name in the library, or its path.
        names: of recordings, as `distill.corpus.naming.named_files` takes them.
        codec: train the codec anew without them too, from the recordings that are left.
        undo: keep a copy of the model as it was in the trash; it still has them.
        stop: set it to end before anything is changed.
        novelty: judge some of the new prior's sounds, and keep the verdict in the file.

    Raises:
        DistillError: there is no such model or recording, or too little would be left.
        Stopped: before the model was changed.
    """
    if not names:
        raise DistillError("Nothing was named: give the recordings that are to be forgotten.")
    stage = CODEC_STAGE if codec else PRIOR_STAGE
    with open_for_stage(stage, model, lambda _card: False, None, True, False) as begun:
        card = begun.card
        if not codec and not card.has_prior:
            raise DistillError(
                f"{begun.file.path} has no prior yet, and a codec forgets by being trained again: give --codec."
            )
        out = named_files(card.corpus_manifest, names)
        left = corpus_without(card.corpus_manifest, out, SoundCache(card.spectrogram_config), codec)
        everything = _at_hand(card)
        _check_at_hand(begun.opened, left, everything, needed=codec)
        yield from _told_before(card.corpus_manifest, out)
        compared = [*out[:COMPARED], *left.val[:COMPARED], *left.train[:: -(-len(left.train) // COMPARED)]]
        codes = _codes(begun.opened, everything, compared)
        before = _costs(begun.opened.prior(), codes)
        with _room(begun.file.path) as made:
            yield from _made_without(begun, _of_files(everything, left), made, codec, device, stop, novelty)
            opened = open_model(made)
            yield Progress("measuring what is forgotten", 0, 1)
            after = _costs(opened.prior(), _codes(opened, everything, compared, {} if codec else codes))
            copy = copy_to_trash(begun.file.path) if undo else None
            try:
                yield from begun.file.write(lambda held: _with_synthesiser(opened.contents, held, codec))
            except DistillError:
                if copy is not None:
                    copy.path.unlink(missing_ok=True)
                raise
        path = begun.file.path
        for place in (unfinished_dir(path), preview_dir(path)):  # what has learned from them, or sounds like them
            shutil.rmtree(place, ignore_errors=True)
        yield Saved(str(path), "model")
        if novelty and opened.card.has_prior:
            yield from novelty_of_kept_codes(begun.file)
        yield from _told_after(card, opened.card, codec)
        if copy is not None:
            yield Warned(
                "The model as it was, with all that is forgotten, is in the trash: `distill library empty-trash` removes it "
                "for good. To undo this, give this one another name with `distill library rename`, then `distill library "
                f"restore {shell_quoted(copy.name)}`."
            )
        yield _report(path, out, before, after, left, codec, None if copy is None else str(copy.path))


def _made_without(
    begun: Opening, corpus: Corpus, made: Path, codec: bool, device: str, stop: threading.Event | None, novelty: bool
) -> Generator[Event, None, None]:
    """Make the model without what is forgotten, in a file of its own; its events are those of the model itself."""
    with contextlib.closing(_trained(begun, corpus, made, codec, device, stop, novelty)) as training:
        for event in training:
            if isinstance(event, CodecTrainingCompleteEvent | PriorTrainingCompleteEvent):
                yield replace(event, model=str(begun.file.path))
            elif not isinstance(event, Saved):
                yield event


def _trained(
    begun: Opening, corpus: Corpus, made: Path, codec: bool, device: str, stop: threading.Event | None, novelty: bool
) -> Generator[Event, None, None]:
    card, manifest = begun.card, corpus.manifest
    if codec:
        settings = _codec_settings(card, corpus)
        with claimed(made, CODEC_STAGE) as claim:
            fabric = launch_fabric(device, settings.settings.seed)
            training = train_codec(ModelInTraining(claim, None), corpus, settings, fabric)
            yield from stoppable(training, stop, UNCHANGED)
        if not card.has_prior:
            return
    else:
        names = {file.name for file in manifest.files}
        codes = {name: each for name, each in begun.opened.codes.items() if name in names}
        kept = {key: begun.opened.contents[key] for key in OF_CODEC if key in begun.opened.contents}
        fabric = launch_fabric(device, 0)
        write_model(made, {**kept, "corpus_manifest": manifest, "has_codes": bool(codes), "codes": codes})
    with claimed(made, PRIOR_STAGE) as claim:
        opened = open_model(made)
        training = train_prior_of(ModelInTraining(claim, opened), opened, corpus, fabric, None, card, novelty)
        yield from stoppable(training, stop, UNCHANGED)


def _codec_settings(card: ModelCard, corpus: Corpus) -> Resolved[CodecSettings]:
    """The settings of a codec that is trained anew: what was set for the old one stays set, the rest is by what is left."""
    origin = card.settings_origin.get(CODEC_STAGE, {})
    chosen = {name: value for name, value in card.training_config.model_dump().items() if origin.get(name) == "set"}
    wanted = resolve(CodecSettings, {}, chosen).settings
    if starts_from_nothing(wanted, corpus.spectrogram):
        chosen["pretrained"] = False
    resolved = resolve(CodecSettings, codec_auto(corpus.manifest.facts(), chosen), chosen)
    return replace(resolved, settings=resolved.settings.model_copy(update={"preview_every": 0}))


@contextlib.contextmanager
def _room(model: Path) -> Iterator[Path]:
    """A place for the new model while it is made, that goes with what lies there."""
    room = unfinished_dir(model)
    room.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="forget-", dir=room))
    try:
        yield place / f"{model.stem}{MODEL_SUFFIX}"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _at_hand(card: ModelCard) -> Corpus:
    """The model's sounds that are where they were; others may be in the cache."""
    manifest = card.corpus_manifest
    sources = {file.source: file for file in manifest.files}
    paths = {source: manifest.place(source) for source in sources}
    there = {source: path for source, path in paths.items() if has_content(path, sources[source].sha256)}
    return Corpus(manifest, card.spectrogram_config, there)


def _of_files(corpus: Corpus, manifest: CorpusManifest) -> Corpus:
    return Corpus(manifest, corpus.spectrogram, corpus.paths)


def _check_at_hand(opened: OpenedModel, left: CorpusManifest, corpus: Corpus, needed: bool) -> None:
    """Raises DistillError where a recording that is left is gone and is needed, or its codes are not in the model."""
    gone = [file.name for file in left.files if not corpus.has(file) and (needed or file.name not in opened.codes)]
    if gone and needed:
        raise DistillError(
            f"{len(gone)} of the recordings that are left are not there any more ({first_few(gone)}), and a codec is "
            "trained from all: put them back, or leave out --codec."
        )
    if gone:
        raise DistillError(
            f"{len(gone)} of the recordings that are left are not there any more, and their codes are not in the model "
            f"({first_few(gone)}): put them back."
        )


def _codes(
    opened: OpenedModel, corpus: Corpus, files: Sequence[CorpusFile], known: Mapping[CorpusFile, Tensor] = {}
) -> dict[CorpusFile, Tensor]:
    """The codes of recordings by a model's codec: those that are kept, else of what is at hand."""
    card, codec, image = opened.card, opened.codec(), opened.image()
    found: dict[CorpusFile, Tensor] = {}
    for file in files:
        if file.name in opened.codes:
            found[file] = checked_codes(opened.codes, file, card.vqvae_config.codebook_size, card.prior_levels)
        elif file in known:
            found[file] = known[file]
        elif corpus.has(file):
            found[file] = codes_of_file(codec, corpus, file, torch.device("cpu"), image)
    return found


def _costs(prior: CodePrior | None, codes: Mapping[CorpusFile, Tensor]) -> dict[str, float]:
    """Bits per code of recordings, by name."""
    return {} if prior is None else {file.name: bits_per_code(prior, each) for file, each in codes.items()}


def _with_synthesiser(made: Mapping[str, Any], held: Mapping[str, Any], codec: bool) -> dict[str, Any]:
    """What the model's file holds from now on: the new model, and the synthesiser that there is by now. Where the codec was
    made anew, so that nothing of them should be left, the one that every model has."""
    if codec:
        return dict(made)
    own = {key: value for key, value in held.items() if SYNTHESISER in key}
    beside = {
        section: {**made.get(section, {}), **{n: v for n, v in held.get(section, {}).items() if n == SYNTHESISER}}
        for section in ("settings_origin", "loss_curve_history")
    }
    return {**made, **own, **beside}


def _told_before(manifest: CorpusManifest, out: Sequence[CorpusFile]) -> Iterator[Event]:
    """What is to be known before minutes are spent."""
    held_out = sum(file.split == "val" for file in out)
    left = len(manifest.files) - len(out)
    yield Warned(f"To be forgotten: {len(out)} ({held_out} of them held out). Left: {left}.")
    copies = near_copies(manifest, out)
    if copies:
        yield Warned(
            f"{first_few(copies)}: nearly the same as what is forgotten, and kept. Name {_them(copies)} too where that "
            "is not what you want."
        )


def _told_after(before: ModelCard, after: ModelCard, codec: bool) -> Iterator[Event]:
    """What the model still owes to what it has forgotten, and what it has lost."""
    if not codec:
        own = (
            " So was its own synthesiser: `distill train-synth --overwrite` fits it anew."
            if before.has_synthesiser
            else ""
        )
        yield Warned(
            "The codec was trained with them, and is as it was: it may know their timbre, not what happens in them. "
            f"--codec trains it anew without them.{own}"
        )
    elif before.has_synthesiser:
        yield Warned(
            "Its own synthesiser was fitted to them and is gone: `distill train-synth` fits one to what is left."
        )
    lost = [
        what
        for what, had, has in (
            ("how loud sounds are", before.has_loudness, after.has_loudness),
            ("their grain", before.has_grain, after.has_grain),
        )
        if had and not has
    ]
    if lost and after.has_prior:
        yield Warned(
            f"Most recordings are not there any more, so {' and '.join(lost)} could not be measured without the forgotten "
            "ones: sounds are made without. Put the recordings back and train the prior again."
        )


def _report(
    path: Path,
    out: Sequence[CorpusFile],
    before: Mapping[str, float],
    after: Mapping[str, float],
    left: CorpusManifest,
    codec: bool,
    undo: str | None,
) -> ForgetReport:
    recordings = tuple(
        ForgottenRecording(file.name, file.split == "train", before.get(file.name), after.get(file.name))
        for file in out
    )
    unseen = [file.name for file in left.val]
    kept = [file.name for file in left.train]
    learned = sum(each.learned and each.bits_after is not None for each in recordings)
    return ForgetReport(
        model=str(path),
        recordings=recordings,
        unseen_before=mean([before.get(name) for name in unseen]),
        unseen_after=mean([after.get(name) for name in unseen]),
        kept_before=mean([before.get(name) for name in kept]),
        kept_after=mean([after.get(name) for name in kept]),
        error=error_of([after[name] for name in unseen if name in after], learned),
        left=len(left.files),
        codec_retrained=codec,
        undo=undo,
    )


def first_few(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f", and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more


def _them(names: Sequence[str]) -> str:
    return "them" if len(names) > 1 else "it"
