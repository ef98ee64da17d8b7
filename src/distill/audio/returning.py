"""A recording through the codec and back: what is done to the waveform, so that it is as loud as the recording and holds
nothing that the recording's own sample rate could not."""

from torch import Tensor

from distill.audio.bandwidth import below_nyquist
from distill.audio.loudness import as_loud, rms_db
from distill.audio.master import not_clipped


def returned(made: Tensor, original: Tensor, native_rate: int) -> Tensor:
    """Samples [N'] that the synthesiser gives -> [N] as the original's, safe to play.

    A file's level travels beside its codes; it is chosen so that what is decoded with it is as loud as the file.

    Args:
        original: [N] at 48 kHz.
        native_rate: what the original was recorded at, in Hz.
    """
    samples = below_nyquist(made[: len(original)], native_rate)
    samples = below_nyquist(as_loud(samples, rms_db(original)), native_rate)  # a limiter makes higher frequencies
    return not_clipped(samples)  # without fades: it begins and ends as the recording does
