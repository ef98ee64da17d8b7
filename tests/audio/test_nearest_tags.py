"""What seconds are nearest to, in tags: bounded, told again as it was, and nothing of a stranger's believed."""

import json
from pathlib import Path

import numpy as np
import pytest

from distill.audio.nearest_tags import LONGEST_NAME, MOST_CHARACTERS, NearestTags
from distill.audio.tagging import read_tags
from distill.audio.tags import MOST_TEXT, DamagedTags, SoundTags, parsed
from distill.audio.writing import write_audio
from distill.events import Source


def source(number: int, name: str = "kick.wav", p: float = 0.5) -> Source:
    return Source(float(number), number + 1.0, name, 0.25, 0.12, p, p < 0.05)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".ogg", ".mp3"])
def test_every_format_tells_them_again(suffix: str, tmp_path: Path) -> None:
    """Guards against a format whose tags lose names, numbers or their order."""
    sources = (source(0, 'Schl"ag <& 音.wav', 0.001), source(1), source(2, 'Schl"ag <& 音.wav'))
    tags = SoundTags(version="1", verb="generate", nearest=NearestTags.of(sources))
    write_audio(tmp_path / f"a{suffix}", np.full(4800, 0.1, np.float32), tags=tags)
    found = read_tags(tmp_path / f"a{suffix}").nearest
    assert found is not None
    assert found.sources() == sources
    assert len(found.names) == 2


def test_a_long_sound_has_no_longer_tags() -> None:
    """Guards against tags that nobody reads any more: of every few seconds the nearest one is kept."""
    sources = [
        source(number, f"{number % 500:03d} {'ü' * 400}.wav", 0.001 if number == 777 else 0.5)
        for number in range(14_400)
    ]
    tags = SoundTags(version="1", verb="generate", nearest=NearestTags.of(sources))
    assert len(json.dumps(NearestTags.of(sources).model_dump())) <= MOST_CHARACTERS
    assert len(tags.text()) < MOST_TEXT
    found = parsed(tags.text()).nearest
    assert found is not None
    assert 777.0 in [each.begins for each in found.sources()]
    assert all(len(name) <= LONGEST_NAME for name in found.names)
    short = NearestTags.of([source(number) for number in range(60)])
    assert len(short.seconds) == 60


@pytest.mark.parametrize(
    "nearest",
    [
        {"names": [], "seconds": [[0, 1, 0, 0, 0, 0, False]]},
        {"names": ["a"], "seconds": [[0, 1, -1, 0, 0, 0, False]]},
        {"names": ["a"], "seconds": [[0, 1, 0, 1e300, 0, 0, False]]},
        {"names": ["a"], "seconds": [[2, 1, 0, 0, 0, 0, False]]},
        {"names": ["a"], "seconds": [[0, 1, 0, 0, 7, 0, False]]},
        {"names": ["a" * 5000], "seconds": []},
        {"names": ["a"], "seconds": [[0, 1]] * 3},
        {"names": "a", "seconds": 7},
        [],
    ],
)
def test_what_makes_no_sense_is_refused(nearest: object) -> None:
    """Guards against a stranger's file that names recordings by numbers which are none."""
    with pytest.raises(DamagedTags):
        parsed(json.dumps({"distill": 1, "version": "1", "verb": "generate", "nearest": nearest}))
