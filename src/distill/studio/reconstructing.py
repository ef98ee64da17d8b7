"""Sounds through a model's codec."""

from collections.abc import Generator, Sequence
from pathlib import Path

import torch

from distill.audio.distance import audible_difference
from distill.audio.master import finish
from distill.audio.mel import log_mel_blocks
from distill.audio.reading import read_audio
from distill.audio.writing import write_audio
from distill.compute.device import choose_device
from distill.events import Event, ReconstructionCompleteEvent, SoundWritten, Warned
from distill.files import unused_path
from distill.instrument.synthesisers import check_synthesiser, choose_synthesiser
from distill.library.models import find_model
from distill.modelfile.opened import load_model
from distill.models.encoding import decode_codes, level_of
from distill.models.refining import refined_codes
from distill.models.sampling import clip_generator
from distill.settings.geometry import SAMPLE_RATE


def reconstruct(
    model: str, files: Sequence[Path], out: Path, device: str = "auto", synthesiser: str = "auto"
) -> Generator[Event, None, None]:
    """Write what the codec makes of sounds, each as long as its source."""
    check_synthesiser(synthesiser)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    spectrogram = loaded.card.spectrogram_config
    synthesise = choose_synthesiser(loaded, synthesiser, chosen)
    sounds: list[SoundWritten] = []
    for number, source in enumerate(files, start=1):
        samples, info = read_audio(source)
        for note in info.notes:
            yield Warned(f"{source}: {note}.")
        mel = torch.cat(list(log_mel_blocks(samples, spectrogram)), dim=1)
        level = level_of(mel.T.numpy())
        codes = refined_codes(loaded.codec, mel.T.numpy(), level, chosen)
        made = decode_codes(loaded.codec, codes, level).cpu()[:, : mel.shape[1]]
        waveform = finish(synthesise(made, clip_generator(0))[: len(samples)], SAMPLE_RATE)
        target = unused_path(out / f"{source.stem}.wav")
        write_audio(target, waveform.numpy())
        error = float(audible_difference(mel, made, level).mean())
        sound = SoundWritten(
            str(target), len(samples) / SAMPLE_RATE, number, len(files), source=str(source), mel_l1_db=error
        )
        sounds.append(sound)
        yield sound
    yield ReconstructionCompleteEvent(str(path), tuple(sounds))
