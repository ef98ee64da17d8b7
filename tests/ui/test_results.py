"""What the page says of generations."""

from distill.library.history import Generation, generation_settings
from distill.ui.results import history_html


def test_the_history_shows_every_setting_that_changes_the_sound() -> None:
    """Guards against two entries that look alike and sound different."""
    usual = {"model": "kit", "count": 2, "seconds": 1.0, "seed": 7, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    plain, other = (
        history_html([Generation(id="20260101T000000Z-0", created="2026-01-01T00:00:00", settings=settings)])
        for settings in (
            generation_settings(**usual),
            generation_settings(**usual, texture=0.5, ending="exact", synthesiser="griffin-lim"),
        )
    )
    assert "<dt>texture</dt><dd>1</dd>" in plain
    assert "griffin-lim" not in plain
    for shown in ("<dt>texture</dt><dd>0.5</dd>", "<dd>exact</dd>", "<dd>griffin-lim</dd>"):
        assert shown in other
