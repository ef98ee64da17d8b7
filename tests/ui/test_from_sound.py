"""What the page makes of a sound that was dropped, without a browser."""

import shutil
from pathlib import Path

import pytest
import soundfile

from distill.audio.tagging import read_tags
from distill.library.history import find_generation, list_generations
from distill.settings.generation import GenerationSettings, generation_settings
from distill.studio.jobs import Job
from distill.ui.generate import _heard, _history_update, _start_values
from distill.ui.page_state import PageState
from distill.ui.results import history_html, results_html
from tiny import RATE, hit

SECONDS = 120


@pytest.fixture
def page_state(library: Path, tmp_path: Path) -> PageState:
    return PageState(tmp_path / "room", any_folder=True)


def drop(page_state: PageState, name: str, number: int = 3) -> dict[str, str]:
    """A file of the user's as Gradio has it."""
    path = page_state.uploads / f"{number:04}" / "as Gradio calls it.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, hit(number, 0.4), RATE, subtype="PCM_24")
    return {"path": str(path), "orig_name": name}


def dropped(page_state: PageState, name: str, number: int = 3) -> Path:
    path = page_state.dropped_sound(drop(page_state, name, number))
    assert path is not None
    return path


def done(job: Job) -> Job:
    assert job.wait(SECONDS)
    return job


def test_files_say_what_they_started_from_by_the_users_name(page_state: PageState) -> None:
    """Guards against tags and entries that name a temporary file, and are gone with the page."""
    settings = generation_settings(vary=dropped(page_state, "my kick.wav"), count=2, seed=7, amount=0.6)
    job = done(page_state.generate("kit", settings, "me", "cpu"))
    assert job.error == ""
    generation = find_generation(job.result)
    assert [sound.file for sound in generation.sounds] == ["kit-vary-seed7.wav", "kit-vary-seed8.wav"]
    tags = read_tags(generation.path_of(generation.sounds[0]))
    assert [source.name for source in tags.sources] == ["my kick.wav"]
    assert tags.request["vary"].endswith("given/my kick.wav")
    assert "<dt>vary</dt><dd>my kick.wav</dd>" in history_html([generation])
    shutil.rmtree(page_state.room)  # the page ends
    later = PageState(page_state.room, any_folder=True)
    repeated = find_generation(done(later.generate("kit", generation.request(), "me", "cpu")).result)
    first, again = (soundfile.read(each.path_of(each.sounds[0]))[0] for each in (generation, repeated))
    assert first.tolist() == again.tolist()


def test_steps_of_a_morph_are_told_apart(page_state: PageState) -> None:
    """Guards against cards and buttons that are all called after the one seed."""
    both = (dropped(page_state, "a.wav", 1), dropped(page_state, "b.wav", 2))
    job = done(page_state.generate("kit", generation_settings(morph=both, steps=3, seed=7), "me", "cpu"))
    html = results_html(page_state, None, job.result)
    for share in ("0%", "50%", "100%"):
        assert f"<h3>Seed 7, {share} of the way</h3>" in html
        assert html.count(f'aria-label="Start from seed 7, {share} of the way"') == 1
    one = done(page_state.generate("kit", generation_settings(morph=both, way=0.3, count=2, seed=7), "me", "cpu"))
    assert [sound.seed for sound in find_generation(one.result).sounds] == [7, 8]


def test_what_fails_later_names_the_sound_and_no_path(page_state: PageState) -> None:
    """Guards against sentences that show where the page keeps things."""
    short = dropped(page_state, "my kick.wav")
    soundfile.write(short, hit(3, 0.4)[:1200], RATE)
    for settings, sentence in (
        (GenerationSettings(vary=short, seed=1), "--vary my kick.wav: it has 0.025 seconds"),
        (GenerationSettings(replace=("5-9", str(short)), seed=1), "--replace 5-9: my kick.wav has 0.025 seconds"),
    ):
        assert done(page_state.generate("kit", settings, "me", "cpu")).error.startswith(sentence)
    soundfile.write(short, 0.0 * hit(3, 0.4), RATE)
    error = done(page_state.generate("kit", GenerationSettings(vary=short, seed=1), "me", "cpu")).error
    assert error.startswith("my kick.wav cannot be used (")
    html = _heard(
        page_state, ({"path": str(page_state.uploads / "0003" / "as Gradio calls it.wav"), "orig_name": ""}, None)
    )
    assert "as Gradio calls it.wav" in html
    assert str(page_state.room) not in html


def test_an_earlier_generation_fills_the_fields(page_state: PageState) -> None:
    """Guards against fields that say one thing while another is shown, and files in the wrong order."""
    both = (dropped(page_state, "a.wav", 1), dropped(page_state, "b.wav", 2))
    done(page_state.generate("kit", generation_settings(bridge=both, count=1, seed=7), "me", "cpu"))
    (generation,) = list_generations()
    _, verb, part, *files = _start_values(page_state, generation)
    assert (verb, part) == ("bridge", "")
    assert [Path(file).name for file in files] == ["a.wav", "b.wav"]
    assert [Path(file).read_bytes() for file in files] == [path.read_bytes() for path in both]
    for path in generation.request().files:
        path.unlink()
    assert _start_values(page_state, generation)[1:] == ["bridge", "", None, None]


def test_what_failed_is_not_in_the_history_that_is_shown(page_state: PageState) -> None:
    """Guards against entries of no sounds, with nothing to hear and nothing to use."""
    failed = done(page_state.generate("kit", generation_settings(kind="nothing like it"), "me", "cpu"))
    assert "no such kind" in failed.error or "knows no kinds" in failed.error
    assert [len(each.sounds) for each in list_generations()] == [0]
    seen: dict[str, object] = {}
    assert "d-card" not in _history_update(seen)
    done(page_state.generate("kit", generation_settings(count=1, seconds=0.3, seed=5), "me", "cpu"))
    assert "<dt>seed</dt><dd>5" in _history_update(seen)
