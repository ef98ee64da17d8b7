"""What the page says of generations."""

from pathlib import Path

from distill.events import SoundDropped, SoundsPicked
from distill.library.history import Generation
from distill.modelfile.file import read_contents, write_model
from distill.settings.generation import GenerationSettings
from distill.ui.page_state import PageState
from distill.ui.results import history_html, picked_html, recordings_of


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


def test_only_the_recordings_of_the_model_that_are_there_are_offered(
    library: Path, sounds: Path, tmp_path: Path
) -> None:
    """Guards against a sound's tags that make the page read what is none of the model's recordings, or are gone."""
    state = PageState(tmp_path, any_folder=True)
    made = Generation(
        id="20260101T000000Z-0", created="2026-01-01T00:00:00", model="kit", settings=GenerationSettings(seed=1)
    )
    find = recordings_of(state, made)
    there = find("long.wav")
    assert there is not None
    assert state.offers.find(there.address.removeprefix("/sound/")) == sounds / "long.wav"
    secret = sounds.parent / "secret.wav"
    secret.write_bytes((sounds / "long.wav").read_bytes())
    for name in ("../secret.wav", str(secret), "none.wav", ""):
        assert find(name) is None
    assert recordings_of(PageState(tmp_path, any_folder=False), made)("long.wav") is None
    contents = read_contents(library / "kit.distill", mapped=False)
    contents["corpus_manifest"] = {**contents["corpus_manifest"], "folder": str(tmp_path / "gone")}
    write_model(library / "kit.distill", contents)
    assert recordings_of(state, made)("long.wav") is None
    assert recordings_of(state, made.model_copy(update={"model": "no such"}))("long.wav") is None
