"""What the command line says of a folder that was read."""

import pytest

from distill.cli.show import Screen, alike
from distill.events import CorpusScanned


def test_what_many_files_have_in_common_is_said_once() -> None:
    """Against three hundred lines about three hundred pictures, and a note for each file of a recorder that dies often."""
    said = [(f"{number}.jpg", "not a sound") for number in range(300)]
    said += [
        (f"take {number}.wav", f"its header promises {number}.5 s, 0.{number} s can be read") for number in range(1, 3)
    ]
    assert list(alike(said)) == [
        ("0.jpg, 1.jpg, 2.jpg and 297 more", "not a sound"),
        ("take 1.wav, take 2.wav", "its header promises 1.5 s, 0.1 s can be read (the first; the others likewise)"),
    ]


def test_notes_are_shown_after_the_scan(capsys: pytest.CaptureFixture[str]) -> None:
    """Against a note that only the page and --json know."""
    event = CorpusScanned("/x", 5, (("a.txt", "not a sound"),), 10.0, 4, 1, 5, notes=(("b.wav", "its end is cut off"),))
    Screen().show(event)
    shown = capsys.readouterr().err
    assert "  skipped a.txt: not a sound\n" in shown
    assert "  note on b.wav: its end is cut off\n" in shown
