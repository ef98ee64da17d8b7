"""Jobs: events are kept for every reader, a second training is refused, stop and failure end in a known state."""

import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from distill import studio
from distill.errors import DistillError
from distill.events import Event, PriorEpochMetrics, PriorTrainingCompleteEvent, Progress, Warned
from distill.studio.jobs import EVALUATE, FINISHED_KEPT, GENERATE, Job, Jobs, until_stopped
from tiny import TINY_PRIOR


def counting(until: int) -> Generator[Event, None, int]:
    for number in range(until):
        yield Progress("counting", number + 1, until)
        yield Warned(str(number))
    return until


def waiting(stop: threading.Event) -> Generator[Event, None, str]:
    yield Warned("begun")
    while not stop.is_set():
        time.sleep(0.005)
        yield Progress("waiting", 1, 2)
    return "kept"


def ended(job: Job) -> Job:
    assert job.wait(20)
    return job


def test_two_readers_lose_nothing() -> None:
    """Guards against a queue that one browser tab empties for the other."""
    job = ended(Jobs().start("count", "Counting", lambda stop: counting(50)))
    first, index = job.drain()
    half, middle = job.drain(25)
    assert [event.message for event in first if isinstance(event, Warned)] == [str(n) for n in range(50)]
    assert (len(half), middle, index) == (25, 50, 50)
    assert job.drain(index) == ([], 50)
    assert isinstance(job.step, Progress)
    assert (job.step.done, job.result, job.state) == (50, 50, "done")


def test_a_second_training_is_refused_until_the_first_has_ended() -> None:
    jobs = Jobs()
    first = jobs.start("codec", "The codec of drums", waiting)
    with pytest.raises(DistillError, match="The codec of drums is still running"):
        jobs.start("prior", "Another", waiting)
    other = jobs.start("scan", "Reading", waiting)
    first.stop()
    assert ended(first).result == "kept"
    second = jobs.start("prior", "Another", waiting)
    jobs.stop_all(20)
    assert (second.state, other.state) == ("done", "done")


def test_an_owner_makes_sounds_and_measures_one_after_the_other() -> None:
    """Guards against two clicks that make everything twice, and against an owner who waits for another."""
    jobs = Jobs()
    first = jobs.start(GENERATE, "Generating with kit", waiting, owner="me")
    with pytest.raises(DistillError, match="Generating with kit is under way already"):
        jobs.start(GENERATE, "Again", waiting, owner="me")
    jobs.start(GENERATE, "Another's", waiting, owner="you")
    jobs.start(EVALUATE, "Measuring kit", waiting, owner="me")
    first.stop()
    ended(first)
    jobs.start(GENERATE, "Again", waiting, owner="me")
    jobs.stop_all(20)


def test_what_is_being_trained_is_left_alone(tmp_path: Path) -> None:
    """Guards against a model that is renamed or deleted under its training, and against all others being kept too."""
    jobs = Jobs()
    assert jobs.training() is None
    jobs.start(GENERATE, "Generating with hats", waiting, about=str(tmp_path / "hats.distill"))
    training = jobs.start("synthesiser", "The synthesiser of kit", waiting, about=str(tmp_path / "kit.distill"))
    assert jobs.training() is training
    with pytest.raises(DistillError, match="kit is being trained"):
        jobs.refuse_while_training("kit")
    jobs.refuse_while_training("hats")
    jobs.stop_all(20)
    jobs.refuse_while_training("kit")


def test_work_that_does_not_look_is_ended_from_outside() -> None:
    """Guards against a measurement that goes on to its end, and against one whose files stay open."""
    stop, closed = threading.Event(), []

    def unaware() -> Generator[Event, None, None]:
        try:
            yield from counting(1000)
        finally:
            closed.append(True)

    events = until_stopped(stop, unaware())
    next(events)
    stop.set()
    assert len(list(events)) <= 1
    assert closed == [True]


def test_a_users_mistake_is_a_sentence_and_a_bug_is_logged() -> None:
    def mistaken(stop: threading.Event) -> Generator[Event, None, None]:
        yield Warned("begun")
        raise DistillError("There is no folder there: check the name.")

    def broken(stop: threading.Event) -> Generator[Event, None, None]:
        yield Warned("begun")
        raise ZeroDivisionError

    jobs = Jobs()
    job = ended(jobs.start("a", "A", mistaken))
    assert (job.state, job.error, job.trace) == ("failed", "There is no folder there: check the name.", "")
    job = ended(jobs.start("b", "B", broken))
    assert job.state == "failed"
    assert "ZeroDivisionError" in job.trace
    assert "Traceback" not in job.error


def test_jobs_are_found_again_by_their_owner() -> None:
    jobs = Jobs()
    mine = ended(jobs.start("scan", "Mine", lambda stop: counting(1), owner="me"))
    yours = ended(jobs.start("scan", "Yours", lambda stop: counting(1), owner="you"))
    assert jobs.latest("scan", "me") is mine
    assert jobs.latest("scan") is yours
    assert jobs.latest("scan", "nobody") is None


def test_finished_jobs_do_not_pile_up() -> None:
    """Guards against memory that grows, and against a training that is forgotten because many sounds were made."""
    jobs = Jobs()
    training = ended(jobs.start("codec", "Training", lambda stop: counting(1)))
    for _ in range(FINISHED_KEPT + 10):
        ended(jobs.start("count", "Counting", lambda stop: counting(1)))
    assert len(jobs._jobs) <= FINISHED_KEPT + 2
    assert jobs.latest("codec") is training


def test_a_real_training_stops_and_keeps_its_best(tiny_model: Path, tmp_path: Path) -> None:
    """From another thread, as the page does it."""
    path = tmp_path / "copy.distill"
    path.write_bytes(tiny_model.read_bytes())
    overrides = {**TINY_PRIOR, "epochs": 10_000}

    def work(stop: threading.Event) -> Generator[Event, None, None]:
        return studio.train_prior_for(str(path), overrides=overrides, device="cpu", overwrite=True, stop=stop)

    job = Jobs().start("prior", "The prior of copy", work)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(isinstance(e, PriorEpochMetrics) for e in job.drain()[0]):
        time.sleep(0.05)
    job.stop()
    assert ended(job).state == "done", job.trace or job.error
    done = job.drain()[0][-1]
    assert isinstance(done, PriorTrainingCompleteEvent)
    assert done.stopped_early
