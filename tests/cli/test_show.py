"""What the command line says of a folder that was read."""

import dataclasses

import pytest

from distill.cli.show import Screen, alike
from distill.events import CorpusScanned, PriorRaceRound, RacedSize


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


def test_a_race_is_shown_as_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """Against a minute in which nobody knows what is being trained, and a size that comes from nowhere."""
    small, large = RacedSize(64, 2, 2, 10, 8, 4.9, 0.4), RacedSize(128, 3, 4, 40, 8, 4.8, 0.6)
    screen = Screen()
    screen.show(PriorRaceRound(0, 1, (RacedSize(64, 2, 2, 10, 0), RacedSize(128, 3, 4, 40, 0))))
    screen.show(PriorRaceRound(1, 1, (dataclasses.replace(small, goes_on=False), large)))
    shown = capsys.readouterr().err
    assert "64 x 2 and 128 x 3 race" in shown
    assert "64 x 2: 4.90 bits per code at epoch 8, known sounds cost 0.40 less; leaves\n" in shown
    assert "128 x 3: 4.80 bits per code at epoch 8, known sounds cost 0.60 less; is trained to the end\n" in shown
