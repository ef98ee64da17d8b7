"""What stands in the files of sounds: who made them, of what, and how to make them again."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

import distill
from distill.audio.nearest_tags import NearestTags
from distill.audio.notes import hz_to_midi
from distill.audio.pitch import one_pitch
from distill.audio.tags import SoundTags, SourceFile
from distill.events import Source
from distill.modelfile.opened import LoadedVQModel
from distill.places import given_path
from distill.settings.curves import is_curve
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE

HEARD_SECONDS = 10
"""How much of a sound is listened to for its root note."""
PITCH_RATE = SAMPLE_RATE // 2
HIGHEST_HZ = 4_500.0


def tags_of(
    loaded: LoadedVQModel,
    request: GenerationSettings,
    seed: int,
    samples: npt.NDArray[np.float32],
    sources: Sequence[SourceFile],
    nearest: Sequence[Source] | None = None,
) -> SoundTags:
    """The tags of one sound [channels, N] of a request, which has a seed; `nearest`: what its seconds are nearest to."""
    loop = request.verb == "loop"
    timed = loop and request.bpm is not None
    has_curve = request.pitch is not None and is_curve(request.pitch)
    return SoundTags(
        version=distill.__version__,
        verb=request.verb or "generate",
        model=loaded.path.stem,
        model_sha256=loaded.digest,
        seed=seed,
        index=seed - request.seeds()[0] + 1,
        count=request.count,
        request=request.plain(),
        sources=tuple(sources),
        loop=loop,
        bpm=request.bpm if timed else None,
        beats=request.bars * request.beats if timed else None,
        beats_per_bar=request.beats if timed else None,
        root_note=None if has_curve else root_note(samples),
        nearest=None if nearest is None else NearestTags.of(nearest),
    )


def made_of(loaded: LoadedVQModel, verb: str, source: Path | None = None, **request: str | bool) -> SoundTags:
    """The tags of what is no sound of a prior: a reconstruction."""
    return SoundTags(
        version=distill.__version__,
        verb=verb,
        model=loaded.path.stem,
        model_sha256=loaded.digest,
        request=dict(request),
        sources=() if source is None else (source_file(source),),
    )


def source_file(path: Path) -> SourceFile:
    """A recording by name and content."""
    with given_path(path).open("rb") as stream:
        return SourceFile(name=path.name, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def root_note(samples: npt.NDArray[np.float32]) -> int | None:
    """The MIDI note of a sound [channels, N] at 48 kHz, as it is heard: None where it has no one pitch."""
    mono = samples[:, : HEARD_SECONDS * SAMPLE_RATE].mean(axis=0)
    if not len(mono):
        return None
    hz = one_pitch(soxr.resample(mono, SAMPLE_RATE, PITCH_RATE), PITCH_RATE, HIGHEST_HZ)
    note = None if hz is None else round(hz_to_midi(hz))
    return note if note is not None and 0 <= note <= 127 else None
