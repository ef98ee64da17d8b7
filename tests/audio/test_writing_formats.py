"""Every format that is offered is written and read back."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from distill.audio.writing import write_audio
from distill.settings.generation import AudioFormat
from tiny import RATE, hit


@pytest.mark.parametrize("name", get_args(AudioFormat))
def test_a_sound_in_every_format(tmp_path: Path, name: str) -> None:
    """Guards against a format that is offered and cannot be written, or changes rate or channels."""
    sound = np.stack([hit(1), hit(2)], axis=1)
    path = tmp_path / f"a.{name}"
    write_audio(path, sound)
    read, rate = soundfile.read(path)
    assert rate == RATE
    assert read.shape[1] == 2
    lossless = name in ("wav", "flac", "aiff")
    assert abs(len(read) - len(sound)) <= (0 if lossless else 2304)
    if lossless:
        assert np.abs(read - sound).max() < 2**-22


def test_a_minute_of_vorbis(tmp_path: Path) -> None:
    """Guards against one long write, on which libsndfile's Vorbis ends the process."""
    path = tmp_path / "long.ogg"
    write_audio(path, np.zeros((60 * RATE, 2), np.float32))
    assert soundfile.info(path).frames == 60 * RATE
