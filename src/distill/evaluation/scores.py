"""How good a model's codec is, measured on sounds: what quantisation, each level and synthesis cost."""

import math
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill.audio.distance import (
    audible_difference,
    audible_mel_distance,
    fidelity,
    mel_fidelity,
    multi_resolution_stft_distance,
    onset_correlation,
)
from distill.audio.griffin_lim import Synthesiser
from distill.audio.image_distance import ImageErrors, image_errors
from distill.audio.loudness import rms_db
from distill.audio.mel import log_mel_of
from distill.audio.reading import as_channels, read_planes
from distill.audio.returning import returned
from distill.errors import Stopped
from distill.events import Event, Progress, Warned
from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import decode_codes, level_of
from distill.models.grain import bits_of_grain, code_recording
from distill.models.image import with_own_image
from distill.models.sampling import clip_generator
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, SAMPLE_RATE

Decoded = Callable[[], tuple[npt.NDArray[np.float32], int]]
"""Gives a sound at 48 kHz, [1, N], the middle, or [2, N], middle and side, and the rate in Hz that it was recorded at."""
IMAGE_SCORES = ("image_level_db", "image_coherence")
"""What a mono model says nothing of."""


@dataclass(frozen=True)
class SoundScores:
    """One sound. Mel distances are in dB, of what lies at most 60 dB under the sound's loudest cell.

    Fidelity says how much of the sound is left: 0 is silence, 100 the sound itself.
    """

    name: str
    seconds: float
    fidelity: float
    """Codec and synthesis."""
    codec_fidelity: float
    synthesis_fidelity: float
    loudness_db: float
    """How much louder than the original the reconstruction is."""
    mel_l1_db: float
    """Codec alone: the mel that codes and grain decode to against the original's."""
    mel_l1_db_per_levels: tuple[float, ...]
    """Without the grain: from the first level of codes only, the first two, ..."""
    mel_l1_db_unquantised: float
    """Without the grain, from the encoder's latents as they are."""
    wave_mel_l1_db: float
    """Codec and synthesis: mel of the waveform against the original's."""
    wave_mrstft: float
    wave_onset_correlation: float | None
    """None for a sound without an attack."""
    synthesis_mel_l1_db: float
    """Synthesis alone, from the original's own mel."""
    synthesis_mrstft: float
    image_level_db: float | None = None
    """How far the level difference of left and right is from the original's, in dB; None for a sound that is mono."""
    image_coherence: float | None = None
    """How far the coherence of left and right is from the original's, 0 to 1."""


@dataclass(frozen=True)
class EvaluationCompleteEvent(Event):
    """All sounds are measured, or those that were when it was stopped."""

    model: str
    sounds: tuple[SoundScores, ...]
    bits_per_second: float
    """Of the codes, the stereo image among them."""
    grain_bits_per_second: float
    """What the numbers of the grain would take, each coded by how often its values occur in these sounds."""
    stopped_early: bool = False
    stereo: bool = False
    """Whether the model has a stereo image."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values: means over sounds, then each sound."""
        sounds = [asdict(sound) for sound in self.sounds]
        for name in () if self.stereo else IMAGE_SCORES:
            for sound in sounds:
                del sound[name]
        names = [name for name in sounds[0] if name not in ("name", "seconds", "mel_l1_db_per_levels")]
        levels = zip(*(sound.mel_l1_db_per_levels for sound in self.sounds), strict=True)
        return {
            "model": self.model,
            "files": len(self.sounds),
            "stopped_early": self.stopped_early,
            "bits_per_second": self.bits_per_second,
            "grain_bits_per_second": self.grain_bits_per_second,
            **{name: _mean([getattr(sound, name) for sound in self.sounds]) for name in names},
            "mel_l1_db_per_levels": [mean(level) for level in levels],
            "sounds": sounds,
        }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def evaluate_sounds(
    loaded: LoadedVQModel,
    sounds: Sequence[tuple[str, Path | Decoded]],
    synthesise: Synthesiser,
    device: torch.device,
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Send sounds (name, file or what decodes it) through the codec and the synthesiser and measure what is lost where.

    Args:
        stop: set it to end before the next sound.

    Raises:
        Stopped: before the first one.
    """
    scores: list[SoundScores] = []
    grain: list[Tensor] = []
    for done, (name, source) in enumerate(sounds, start=1):
        if stop is not None and stop.is_set():
            break
        if isinstance(source, Path):
            planes, info = read_planes(source)
            native_rate = info.native_rate
            for note in info.notes:
                yield Warned(f"{name}: {note}.")
        else:
            planes, native_rate = source()
        score, own_grain = _score(loaded, name, planes, native_rate, synthesise, device)
        scores.append(score)
        grain.append(own_grain)
        yield Progress("measuring", done, len(sounds), name)
    if not scores:
        raise Stopped("Stopped before a sound was measured.")
    config = loaded.card.vqvae_config
    spectrogram = loaded.card.spectrogram_config
    positions_per_second = spectrogram.sample_rate / spectrogram.hop_length / FRAMES_PER_COLUMN * BANDS
    levels = config.rvq_levels + (loaded.image is not None)
    bits = positions_per_second * levels * math.log2(config.codebook_size)
    grain_bits = positions_per_second * bits_of_grain(torch.cat(grain))
    early, stereo = len(scores) < len(sounds), loaded.image is not None
    yield EvaluationCompleteEvent(str(loaded.path), tuple(scores), bits, grain_bits, early, stereo)


@torch.no_grad()
def _score(
    loaded: LoadedVQModel,
    name: str,
    planes: npt.NDArray[np.float32],
    native_rate: int,
    synthesise: Synthesiser,
    device: torch.device,
) -> tuple[SoundScores, Tensor]:
    samples = torch.from_numpy(planes[0])
    codec, config = loaded.codec, loaded.card.spectrogram_config
    mel = log_mel_of(samples.numpy(), config)
    frames = mel.T.contiguous().numpy()
    level = level_of(frames)
    coded = code_recording(codec, frames, level, device)

    def error(made: Tensor) -> float:
        return float(audible_difference(mel, made.cpu()[:, : mel.shape[1]], level).mean())

    made = coded.mel
    per_levels = []
    for count in range(1, coded.codes.shape[1] + 1):
        fewer = coded.codes.to(device, copy=True)
        fewer[:, count:] = -1
        per_levels.append(error(decode_codes(codec, fewer, level)))
    unquantised = codec.decode(coded.latents[None])[0, 0].clamp_max(0.0) + level
    wave = returned(synthesise(made, clip_generator(0)), samples, native_rate)
    alone = returned(synthesise(mel, clip_generator(0)), samples, native_rate)
    image = _image_errors(wave, planes, native_rate) if loaded.image is not None else None
    scores = SoundScores(
        name=name,
        seconds=len(samples) / SAMPLE_RATE,
        fidelity=fidelity(samples, wave, config),
        codec_fidelity=mel_fidelity(mel, made),
        synthesis_fidelity=fidelity(samples, alone, config),
        loudness_db=rms_db(wave) - rms_db(samples),
        mel_l1_db=error(made),
        mel_l1_db_per_levels=tuple(per_levels),
        mel_l1_db_unquantised=error(unquantised),
        wave_mel_l1_db=audible_mel_distance(samples, wave, config),
        wave_mrstft=multi_resolution_stft_distance(samples, wave),
        wave_onset_correlation=onset_correlation(samples, wave, config),
        synthesis_mel_l1_db=audible_mel_distance(samples, alone, config),
        synthesis_mrstft=multi_resolution_stft_distance(samples, alone),
        image_level_db=image and image.level_db,
        image_coherence=image and image.coherence,
    )
    return scores, coded.grain


def _image_errors(wave: Tensor, planes: npt.NDArray[np.float32], native_rate: int) -> ImageErrors | None:
    """Of a middle [N] that came back with the recording's own image; None where the recording is mono."""
    if len(planes) == 1:
        return None
    return image_errors(torch.from_numpy(as_channels(planes)), with_own_image(wave, planes, native_rate, stereo=True))
