"""What the page says of generations."""

from distill.library.history import Generation
from distill.settings.generation import GenerationSettings
from distill.ui.results import history_html


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
