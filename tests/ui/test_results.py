"""What the page says of generations."""

from distill.events import SoundDropped, SoundsPicked
from distill.library.history import Generation
from distill.settings.generation import GenerationSettings
from distill.ui.results import history_html, picked_html


def test_the_history_shows_every_setting_that_changes_the_sound() -> None:
    """Guards against two entries that look alike and sound different."""
    plain, other = (
        history_html(
            [Generation(id="20260101T000000Z-0", created="2026-01-01T00:00:00", model="kit", settings=settings)]
        )
        for settings in (
            GenerationSettings(seed=7),
            GenerationSettings(seed=7, texture=0.5, ending="exact", synthesiser="griffin-lim"),
        )
    )
    assert "<dt>texture</dt><dd>1</dd>" in plain
    assert "griffin-lim" not in plain
    for shown in ("<dt>texture</dt><dd>0.5</dd>", "<dd>exact</dd>", "<dd>griffin-lim</dd>"):
        assert shown in other


def test_what_was_left_out_of_a_batch_is_listed() -> None:
    """Guards against a short batch that looks like a full one, and names of recordings that are markup."""
    dropped = (SoundDropped(3, "cut off"), SoundDropped(4, "like a recording", "<b>kick</b>.wav at 0.00 s"))
    short = picked_html(SoundsPicked(5, 6, 4, (1, 2, 5, 6), dropped))
    assert 'class="d-warn"' in short
    assert "Only 4 of 6 sounds are worth hearing, not 5." in short
    assert "--seconds" not in short
    assert "<td" in short
    assert "&lt;b&gt;kick" in short
    assert "<b>kick" not in short
    assert 'class="d-warn"' not in picked_html(SoundsPicked(2, 6, 4, (1, 2), dropped))
    assert picked_html(None) == ""
