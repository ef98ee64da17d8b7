"""Pitches as people write them."""

import pytest

from distill.audio.notes import hz_to_midi, midi_to_hz, note_name, parse_pitch
from distill.errors import DistillError


@pytest.mark.parametrize(
    ("text", "midi"),
    [
        ("C4", 60), ("c#4", 61), ("Db4", 61), ("C♯4", 61), ("D♭4", 61), ("b3", 59), ("Bb3", 58), ("a4", 69), ("C-1", 0),
        ("G9", 127), ("Cb4", 59), ("F##2", 43), (" E 2 ", 40), ("60", 60), ("60.5", 60.5), ("440Hz", 69), ("440 hz", 69),
        ("261.6256 Hz", 60), (".88kHz", 81), ("Ｃ４", 60),
    ],
)  # fmt: skip
def test_notes_numbers_and_frequencies_are_read(text: str, midi: float) -> None:
    assert parse_pitch(text) == pytest.approx(midi, abs=1e-3)


@pytest.mark.parametrize(
    "text", ["", "H4", "C", "C4x", "4C", "0Hz", "-3Hz", "Hz", "nan", "inf", "1e3", "C#b", "٣C", "🎵"]
)
def test_nonsense_is_answered_with_one_sentence(text: str) -> None:
    """Guards against tracebacks, and a bare `C` that is taken for one octave or another."""
    with pytest.raises(DistillError, match="is no pitch: give a note such as C#4") as refused:
        parse_pitch(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("text", ["G#9", "C-2", "-1", "128", "1Hz", "20kHz", "C99"])
def test_what_midi_has_no_number_for_is_refused(text: str) -> None:
    with pytest.raises(DistillError, match="out of range"):
        parse_pitch(text)


def test_names_are_read_back() -> None:
    assert [parse_pitch(note_name(midi)) for midi in range(128)] == list(range(128))
    assert note_name(60.49) == "C4" and note_name(60.5) == "C#4"
    assert hz_to_midi(midi_to_hz(61.5)) == pytest.approx(61.5)
