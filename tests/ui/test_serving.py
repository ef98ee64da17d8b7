"""What the page's players get: what browsers play as it is, the rest as WAV, by its content."""

import io
from pathlib import Path

import pytest
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient

from distill.ui.serving import Offers, add_routes
from encoded import HZ, KINDS, clicks


@pytest.mark.parametrize(
    ("name", "kind", "served", "as_it_is"),
    [
        ("memo.m4a", "AAC in M4A", "audio/wav", False),
        ("named.wav", "AAC in ADTS", "audio/wav", False),
        ("film.webm", "Opus in WebM", "audio/wav", False),
        ("take.aiff", "AIFF", "audio/wav", False),
        ("noextension", "FLAC", "audio/flac", True),
        ("song.wav", "MP3", "audio/mpeg", True),
    ],
)
def test_a_player_gets_what_browsers_play(tmp_path: Path, name: str, kind: str, served: str, as_it_is: bool) -> None:
    """Against players that stay silent, or play one channel: sound that browsers do not play, or that is not what its name
    says."""
    path = tmp_path / name
    path.write_bytes(KINDS[kind](clicks()))
    offers, app = Offers(), FastAPI()
    add_routes(app, offers)
    answer = TestClient(app).get(offers.player(path))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == served
    assert (answer.content == path.read_bytes()) == as_it_is
    if served == "audio/wav":
        samples, rate = soundfile.read(io.BytesIO(answer.content))
        assert abs(len(samples) / rate - 1.0) < 0.05
        assert samples.shape[1] == 2  # the channels are kept
        louder = float((samples[:, 0] ** 2).sum() / (samples[:, 1] ** 2).sum())
        assert louder == pytest.approx(1.5625, rel=0.1)
    if name == "take.aiff":
        assert rate == HZ


def test_what_is_no_sound_is_not_played(tmp_path: Path) -> None:
    path = tmp_path / "notes.au"
    path.write_text("kick, snare, hat")
    offers, app = Offers(), FastAPI()
    add_routes(app, offers)
    answer = TestClient(app).get(offers.player(path))
    assert answer.status_code == 422
    assert "not a sound" in answer.text
