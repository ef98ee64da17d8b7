"""The strip under a sound: in words, not by shade alone, and nothing of a recording's name is markup."""

import re

from distill.events import Source
from distill.instrument.pack_page import Shown, pack_page
from distill.instrument.strip import Beside, in_words, strip_html

ODD = "<img src=x onerror=alert(1)>\"'.wav"
SOURCES = (Source(0.0, 1.0, ODD, 2.5, 0.04, 0.001, True), Source(1.0, 1.5, "snare.wav", 0.0, 0.6, 0.7, False))


def test_a_strip_is_words() -> None:
    """Guards against a strip that says by its shade alone how near a second is, and names that are markup."""
    strip = strip_html(SOURCES, "<b>mine</b>", {ODD: Beside("/sound/abc", 10.0)})
    assert strip.count("<button") == 2
    assert "<img" not in strip
    assert "<b>mine" not in strip
    labels = re.findall(r'aria-label="([^"]*)"', strip)
    assert "nearer than chance" in labels[1]
    assert "differs by 4%" in labels[1]
    assert "1.00 to 1.50 s: nearest to snare.wav at 0.00 s" in labels[2]
    assert "no nearer than unseen recordings" in labels[2]
    assert 'data-url="/sound/abc" data-seconds="12.500"' in strip
    assert strip.count("data-url") == 1
    assert "Nearer than chance in 1 of 2 parts" in strip
    assert strip_html((), "a") == ""


def test_nothing_near_is_said() -> None:
    """Guards against silence where the answer is good news."""
    assert in_words(SOURCES[1:]) == "No nearer to the recordings than chance, in 1 part."


def test_a_pack_shows_it() -> None:
    """Guards against a pack's page that leaves it out, or fetches a recording that is not in the pack."""
    page = pack_page(
        "kit", [], [Shown("a/b.wav", "kick", "", b"", strip_html(SOURCES, "b.wav")), Shown("a/c.wav", "kick", "", b"")]
    )
    assert page.count('class="near"') == 1
    assert "data-url=" not in page
    assert "nearPlay" in page
