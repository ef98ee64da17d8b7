"""What the page makes of events: chart, health in words, the warning, previews; nothing from outside becomes HTML."""

import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from distill import studio
from distill.corpus.manifest import CorpusFile, CorpusManifest, SkippedFile
from distill.events import (
    CodebookHealth,
    CodecEpochMetrics,
    Event,
    GenerationCompleteEvent,
    LevelHealth,
    PreviewWritten,
    PriorEpochMetrics,
    PriorRaceRound,
    PriorStepMetrics,
    RacedSize,
    SoundWritten,
)
from distill.settings.generation import GenerationSettings
from distill.studio.jobs import Job, Jobs
from distill.ui.charts import Curve, line_chart
from distill.ui.live import health_html, live_view
from distill.ui.page_state import PageState
from distill.ui.sounds import manifest_html

EVIL = "<img src=x onerror=alert(1)>.wav"


def prior_epoch(epoch: int, **changed: Any) -> PriorEpochMetrics:
    values: dict[str, Any] = {
        "epoch": epoch, "epochs": 9, "train_loss": 1.0, "val_loss": 1.2, "train_perplexity": 30.0 / epoch,
        "val_perplexity": 40.0 / epoch, "val_perplexity_per_level": (1.0,), "bits_per_code": 2.0, "best_perplexity": 9.0,
        "best_epoch": epoch, "is_best": True, "learning_rate": 1e-3, "tokens_per_second": 100.0, "seconds_left": 5.0,
        "unigram_bits_per_code": 4.0, "ngram_bits_per_code": 3.0, "overfitting_gap": 0.1, "overfitting": False,
        "overfitting_gap_interval": (0.0, 0.2),
        "memorization_flag": False, "memorization_message": "", "copied": None,
    }  # fmt: skip
    return PriorEpochMetrics(**{**values, **changed})


def job_of(events: list[Event], ends: bool = True) -> Job:
    """A job that has said these."""
    told = threading.Event()

    def work(stop: threading.Event) -> Generator[Event, None, None]:
        yield from events
        told.set()
        if not ends:
            stop.wait(20)

    job = Jobs().start("prior", "The prior of kit", work)
    assert told.wait(20)
    if ends:
        assert job.wait(20)
    return job


@pytest.fixture
def page_state(tmp_path: Path) -> PageState:
    return PageState(tmp_path, any_folder=True)


def test_the_warning_says_why_and_only_while_it_can_be_heeded(page_state: PageState) -> None:
    flagged = prior_epoch(3, memorization_flag=True, memorization_message="Very low for 8 files.")
    over = prior_epoch(4, overfitting=True, best_epoch=2)
    running = job_of([prior_epoch(1), flagged], ends=False)
    assert live_view(page_state, running).warning == "Very low for 8 files."
    running.stop()
    overfitting = job_of([prior_epoch(1), over], ends=False)
    assert "Since epoch 2" in live_view(page_state, overfitting).warning
    overfitting.stop()
    assert live_view(page_state, job_of([prior_epoch(1)])).warning == ""
    assert live_view(page_state, job_of([flagged])).warning == ""


def test_what_new_sounds_hold_of_the_recordings_is_a_second_curve(page_state: PageState) -> None:
    """Guards against a curve of the epochs in which nobody listened."""
    epochs = [prior_epoch(epoch, copied=copied) for epoch, copied in ((1, 0.5), (2, None), (3, 0.25))]
    shown = live_view(page_state, job_of(list(epochs))).html
    assert shown.count("<svg") == 2
    assert "long stretches" in shown
    assert "25%" in shown
    assert live_view(page_state, job_of([prior_epoch(1), prior_epoch(2)])).html.count("<svg") == 1


def test_the_chart_holds_every_epoch_and_marks_the_best() -> None:
    values = [(epoch, 50.0 / epoch) for epoch in range(1, 31)]
    drawn = line_chart(Curve("Perplexity", values, "known", [(1, 20.0)], best_epoch=30))
    assert drawn.count(",") > 30
    assert "best: 1.67, epoch 30" in drawn
    assert 'data-epochs="30"' in drawn
    assert line_chart(Curve("Perplexity", [])) == ""
    assert "nan" not in line_chart(Curve("Perplexity", [(1, 3.0)], best_epoch=1)).lower()


@pytest.mark.parametrize(
    ("used", "word", "colour"), [(0.9, "well used", "good"), (0.5, "partly used", "fair"), (0.1, "hardly used", "bad")]
)
def test_health_is_told_in_colours_and_in_words(used: float, word: str, colour: str) -> None:
    """Guards against a state that only colour tells."""
    html = health_html(CodebookHealth((LevelHealth(1, used, 5.0, 3, (4, 0)),), "healthy", "All well."))
    assert f'<li class="{colour}">' in html
    assert word in html


def test_previews_and_heatmap_are_offered_by_token(page_state: PageState, tmp_path: Path) -> None:
    health = CodebookHealth((LevelHealth(1, 1.0, 2.0, 0, (3, 4)),), "healthy", "All well.")
    epoch = CodecEpochMetrics(1, 2, 0.1, 2.0, 2.0, 1, True, True, 9.0, 1.0, health)
    audio, picture = tmp_path / "preview.wav", tmp_path / "preview.png"
    audio.write_bytes(b"sound")
    picture.write_bytes(b"picture")
    html = live_view(page_state, job_of([epoch, PreviewWritten("codec", 1, EVIL, str(audio), str(picture))])).html
    assert str(tmp_path) not in html
    assert html.count("/picture/") == 2
    token = html.split("/sound/")[1].split('"')[0]
    assert page_state.offers.find(token) == audio
    assert "<img src=x" not in html
    assert len(list(tmp_path.glob("usage-*.png"))) == 1


def test_names_of_files_are_text(page_state: PageState) -> None:
    """Guards against a recording whose name is a script."""
    file = CorpusFile(
        name=EVIL, sha256="0" * 64, samples=480, native_rate=48_000, channels=1, peak=0.5, group=0, split="val",
        notes=("its end is cut off",),
    )  # fmt: skip
    manifest = CorpusManifest(folder="/x", files=(file,), skipped=(SkippedFile(name=EVIL, reason="<b>no</b>"),))
    html = manifest_html(page_state, manifest)
    assert "<img src=x" not in html
    assert "<b>no</b>" not in html
    assert "&lt;img src=x" in html
    assert "its end is cut off" in html


def test_stop_keeps_the_sounds_that_are_written(tiny_model: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    settings = GenerationSettings(count=40, seconds=0.3, seed=1)
    events: list[Event] = []
    for event in studio.generate(str(tiny_model), tmp_path / "out", settings, "cpu", stop):
        events.append(event)
        if isinstance(event, SoundWritten) and event.done == 3:
            stop.set()
    done = events[-1]
    assert isinstance(done, GenerationCompleteEvent)
    assert [sound.seed for sound in done.sounds] == [1, 2, 3]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_race_of_sizes_is_seen_while_it_goes(page_state: PageState) -> None:
    """Guards against a page that is 'getting ready' for as long as sizes race, and that never says which one won."""
    racing = PriorRaceRound(0, 2, (RacedSize(64, 2, 2, 10, 0), RacedSize(128, 3, 4, 40, 0)))
    job = job_of([racing, PriorStepMetrics(1, 3, 12, 5.0, 1e-3, 9.0, 100.0, 50.0)], ends=False)
    html = live_view(page_state, job).html
    job.stop()
    assert "sizes race, round 1 of 2, about 0:09 left" in html
    assert "64 x 2" in html
    won = PriorRaceRound(
        1, 1, (RacedSize(64, 2, 2, 10, 4, 4.9, 0.4, goes_on=False), RacedSize(128, 3, 4, 40, 4, 4.8, 0.6))
    )
    row = live_view(page_state, job_of([won])).html.split("128 x 3")[1]
    assert "4.80" in row
    assert "chosen" in row
