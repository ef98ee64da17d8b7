"""distill from Python: the same stages and the same sounds as on the command line.

    import distill

    for event in distill.train("sounds", name="mine"):   # stage 1: a folder of recordings to a model
        print(event)
    for event in distill.train_prior("mine"):            # stage 2, in the same file
        print(event)

    model = distill.load("mine")
    samples, rate = model.generate(count=8, seconds=1, seed=7)   # float32 [8, channels, samples], 48000
    again, rate = model.reconstruct(samples[0], rate)            # [channels, samples]: through the codec and back
    longer, rate = model.continue_(samples[0], rate, seconds=2)  # goes on from a sound; also replace, vary, bridge, like, morph
    best, rate, why = model.pick(12, of=100)                     # a batch worth hearing, and what was left out of it
    loops, rate = model.loop(bpm=120, bars=2)                    # the end runs into the beginning
    for block in model.stream(5, seed=7):                        # [channels, samples], while it is made; None: without end
        print(block.shape)
    codes = model.encode(samples[0], rate)                       # [positions, levels]; decode, likelihood

`distill.what(file)` reads how a file of sound was made, `distill.again(file)` makes it again; `distill.verify(pack)` checks a
pack against its certificate.

The same seed makes the same sounds whatever the count, here, on the command line and on the page. Trainings are iterators of
events (`distill.events`): each says how far the work is, and what it has measured. Leaving the loop ends the training with its
best epoch saved. Settings are those of the command line (docs/cli.md), with underscores: `--hidden-size 64` is
`hidden_size=64`. A mistake in what was given is a `distill.errors.DistillError`, whose text is one sentence.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.audio.tagging import read_tags
from distill.audio.tags import SoundTags
from distill.compute.device import choose_device
from distill.corpus.manifest import Consent
from distill.errors import DistillError
from distill.events import Event
from distill.novelty.verified import VerifyReport
from distill.places import given_path
from distill.settings.generation import generation_settings
from distill.studio.codec_training import train as train_codec
from distill.studio.consenting import consent as keep_consent
from distill.studio.forgetting import forget as forget_recordings
from distill.studio.making import Effort
from distill.studio.making import make as make_all
from distill.studio.model import Model, Place, Sounds, load
from distill.studio.prior_training import train_prior_for
from distill.studio.repeating import model_of
from distill.studio.retraining import train_again
from distill.studio.synthesiser_training import train_synth_for
from distill.studio.verifying import verify as verify_pack


def generate(model: Place, count: int = 8, seconds: float = 1.0, seed: int | None = None, **settings: Any) -> Sounds:
    """New sounds from a model, given by its name or path: `load(model).generate(...)`."""
    return load(model).generate(count, seconds, seed, **settings)


def what(sound: Place) -> SoundTags:
    """How a sound was made, as its file says: verb, model, seed, request, recordings, tempo, root note.

    Raises:
        DistillError: there is no such file, it is no sound, or it does not say.
    """
    return read_tags(given_path(os.fspath(sound)))


def again(sound: Place, *sources: Place, device: str = "auto") -> Sounds:
    """A sound again by the tags of its file, with the model of the library that made it: as `Model.again`."""
    path = given_path(os.fspath(sound))
    loaded, _ = model_of(path, read_tags(path), None, device)
    return Model(loaded, choose_device(device)).again(path, *sources)


def verify(
    what: Place, model: Place | None = None, *, again: int = 0, dataset: Place | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Whether a pack is what its certificate says, as `distill verify --json` says it.

    Args:
        what: a pack's folder, its archive, or its certificate beside the sounds.
        model: the one that made it: its hash is compared, and the sounds are judged again. None: the library's, its hash alone,
            if it is there.
        again: so many sounds, the first ones, are made again.
        dataset: where the model's recordings are now; None: where they were.

    Returns:
        `agrees`; `disagreements` and `notes`, a sentence each; `sounds` with the `state` of each; `intact`, `model_is_the_one`,
        `judged_again`.

    Raises:
        DistillError: there is no certificate, or something given cannot be read.
    """
    where, named = None if dataset is None else Path(dataset), None if model is None else os.fspath(model)
    work = verify_pack(Path(what), named, again, where, device)
    return next(event for event in work if isinstance(event, VerifyReport)).to_dict()


def make(
    folder: Place,
    name: str | None = None,
    *,
    out: Place | None = None,
    effort: Effort = "standard",
    device: str = "auto",
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """The whole way, as `distill make`: codec, prior and sounds from a folder, as an iterator of events.

    What is there already is gone on with: a model that is trained makes sounds, a training that was stopped goes on.

    Args:
        folder: the recordings.
        name: the model's name in the library; None: the folder's.
        out: folder for the sounds; None: `NAME-sounds` in the current folder.
        effort: draft, standard or thorough: how long the trainings are.
        stop: set it to end soon and keep what there is.
        settings: those of `generate`; `count` is 16 unless it is given.

    Raises:
        DistillError: the folder cannot be used, or the name is another folder's model.
    """
    chosen = generation_settings(**{"count": 16, **settings})
    yield from make_all(Path(folder), name, None if out is None else Path(out), chosen, effort, device, stop)


def train(
    folder: Place,
    name: str | None = None,
    *,
    out: Place | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    again: bool = False,
    add: Place | None = None,
    continue_codec: bool = False,
    novelty: bool = True,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Stage 1, as `distill train`: fit a codec to a folder of recordings, as an iterator of events.

    Args:
        folder: the recordings; with `again` or `add` a model, by its name or path.
        name: the model's name in the library; None: the folder's.
        out: write this `.distill` file instead.
        overwrite: replace a model that is there.
        resume: go on with a training that was stopped or killed.
        again: train a model again with the recordings that are new in its folders: the codec stays, the prior is made anew,
            and the model is as it was until that is done.
        add: as `again`, with the recordings of one more folder.
        continue_codec: as `again`, and the codec goes on for a few epochs with all recordings.
        novelty: judge some sounds of a prior that is trained again, and keep the verdict in the file.
        stop: set it to end after the current step, the best epoch kept.
        settings: epochs, preset, codebook_size, ...

    Raises:
        DistillError: the folder holds too little or nothing new, or a setting cannot be.
    """
    if again or add is not None or continue_codec:
        if name is not None or out is not None or overwrite or resume:
            raise DistillError(
                "name, out, overwrite and resume are for a new model: leave them out where one is trained again."
            )
        more = None if add is None else Path(add)
        yield from train_again(os.fspath(folder), more, continue_codec, settings, device, stop, novelty=novelty)
        return
    target = None if out is None else Path(out)
    yield from train_codec(Path(folder), name, target, settings, device, overwrite, resume, stop)


def train_prior(
    model: Place,
    *,
    dataset: Place | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    novelty: bool = True,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Stage 2, as `distill train-prior`: fit a prior to the same recordings, saved in the same file.

    Args:
        dataset: where the recordings are now; None: where they were.
        novelty: judge some of its sounds at the end, and keep the verdict in the file.
        overwrite, resume, stop, settings: as of `train`.

    Raises:
        DistillError: the model has a prior already, its recordings are gone, or a setting cannot be.
    """
    where = None if dataset is None else Path(dataset)
    yield from train_prior_for(
        os.fspath(model), where, settings, device, overwrite, resume=resume, stop=stop, novelty=novelty
    )


def train_synth(
    model: Place,
    *,
    dataset: Place | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Stage 3, as `distill train-synth`: fit the synthesiser to the same recordings; where it is no better, nothing changes.

    Args:
        dataset, overwrite, resume, stop, settings: as of `train_prior`.
    """
    where = None if dataset is None else Path(dataset)
    yield from train_synth_for(os.fspath(model), where, settings, device, overwrite, resume=resume, stop=stop)


def forget(
    model: Place,
    *names: Place,
    codec: bool = False,
    undo: bool = True,
    novelty: bool = True,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """Make a model forget recordings, as `distill forget`, as an iterator of events; a `ForgetReport` is the last.

    Args:
        names: of recordings as the manifest has them, folders, patterns such as `kicks/*`, or the files themselves.
        codec: train the codec anew without them too.
        undo: keep a copy of the model as it was in the library's trash; it still has them.
        novelty: as of `train_prior`.
        stop: set it to end before anything is changed.

    Raises:
        DistillError: there is no such recording, or too little would be left.
    """
    recordings = [os.fspath(name) for name in names]
    yield from forget_recordings(os.fspath(model), recordings, codec, undo, device, stop, novelty)


def consent(
    model: Place, *names: Place, whose: str = "", licence: str = "", remove: bool = False
) -> tuple[Consent, ...]:
    """Say whose recordings of a model are and under which licence, as `distill consent` -> all lines that there are.

    Args:
        names: as of `forget`; a folder's line holds for what comes into it later. None: one line for all others.
        whose, licence: neither: nothing is changed.
        remove: take the lines away.

    Raises:
        DistillError: there is no such recording, or the model is being trained.
    """
    _, card = keep_consent(os.fspath(model), [os.fspath(name) for name in names], whose, licence, remove)
    return card.corpus_manifest.consents
