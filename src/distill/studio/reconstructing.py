"""Sounds through a model's codec."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from distill.audio.distance import audible_difference, fidelity
from distill.audio.finishing import finished
from distill.audio.griffin_lim import Synthesiser
from distill.audio.mel import log_mel_of
from distill.audio.normalising import told_softer
from distill.audio.reading import read_planes
from distill.audio.returning import returned
from distill.audio.writing import write_audio
from distill.compute.device import choose_device
from distill.errors import Stopped
from distill.events import Event, Progress, ReconstructionCompleteEvent, SoundWritten, Warned
from distill.files import unused_path
from distill.instrument.synthesisers import check_synthesiser, choose_synthesiser
from distill.instrument.tags import made_of
from distill.library.models import find_model
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.encoding import Mel, level_of
from distill.models.grain import code_recording
from distill.models.image import with_own_image
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import HOP_LENGTH, SAMPLE_RATE

AS_IT_IS = GenerationSettings()


def reconstruct(
    model: str,
    files: Sequence[Path],
    out: Path,
    device: str = "auto",
    synthesiser: str = "auto",
    stop: threading.Event | None = None,
    mono: bool = False,
    written: GenerationSettings = AS_IT_IS,
) -> Generator[Event, None, None]:
    """Write what the codec makes of sounds, each as long as its source.

    Args:
        stop: set it to end before the next sound; those that are written stay.
        mono: write one channel, whatever model and sound are.
        written: what `OF_FILES` names counts: what files are written.

    Raises:
        Stopped: before the first sound.
    """
    check_synthesiser(synthesiser)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    synthesise = choose_synthesiser(loaded, synthesiser, chosen)
    sounds: list[SoundWritten] = []
    softer: list[float] = []
    for number, source in enumerate(files, start=1):
        if stop is not None and stop.is_set():
            break
        planes, info = read_planes(source)
        samples = planes[0]
        for note in info.notes:
            yield Warned(f"{source}: {note}.")
        mel = log_mel_of(samples, loaded.card.spectrogram_config)
        made, error = through_the_codec(loaded, mel, chosen)
        waveform = yield from as_sound(synthesise, made, source.name)
        target = unused_path(out / f"{source.stem}.{written.format}")
        original = torch.from_numpy(samples)
        middle = returned(waveform, original, info.native_rate)
        stereo = loaded.image is not None and not mono
        returned_channels = with_own_image(middle, planes, info.native_rate, stereo).numpy()
        ready, rate, softer_db = finished(returned_channels, written)
        tags = made_of(loaded, "reconstruct", source, synthesiser=synthesiser, mono=mono)
        write_audio(target, ready.T, rate, tags, written.bits)
        softer.append(softer_db)
        seconds, left = ready.shape[1] / rate, fidelity(original, middle, loaded.card.spectrogram_config)
        sound = SoundWritten(
            str(target), seconds, number, len(files), source=str(source), mel_l1_db=error, fidelity=left
        )
        sounds.append(sound)
        yield sound
    if any(softer):
        yield Warned(told_softer(softer, written.lufs))
    if not sounds:
        raise Stopped("Stopped before a sound was written.")
    yield ReconstructionCompleteEvent(str(path), tuple(sounds), stopped_early=len(sounds) < len(files))


def through_the_codec(loaded: LoadedVQModel, mel: Tensor, device: torch.device) -> tuple[Tensor, float]:
    """Log-mel [M, T] in dB -> what its codes and its grain decode to, [M, T], and how far that is from it in dB."""
    frames: Mel = mel.T.numpy()
    level = level_of(frames)
    made = code_recording(loaded.codec, frames, level, device).mel
    return made, float(audible_difference(mel, made, level).mean())


def as_sound(synthesise: Synthesiser, mel: Tensor, name: str) -> Generator[Event, None, Tensor]:
    """Log-mel [M, T] in dB -> samples [T * hop]."""
    making = synthesise.gradually(mel, clip_generator(0))
    while True:
        try:
            done = next(making)
        except StopIteration as end:
            samples: Tensor = end.value
            return samples
        seconds, of = (round(frames * HOP_LENGTH / SAMPLE_RATE) for frames in (done, mel.shape[1]))
        yield Progress("making the sound, in seconds", seconds, of, name)
