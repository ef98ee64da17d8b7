"""Locks of a model's file: one that is held for as long as the file takes to be changed, and one for each stage that is
trained, held as long as the training lasts.

They are locks of the operating system (`filelock`) on hidden files beside the model, which go when they are released: a
killed program holds nothing, and what it leaves behind blocks nobody. Whoever only reads needs none of them, because a
file is replaced whole. Several processes that train one model together are one to everybody else: the first holds.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from distill.compute.processes import is_first
from distill.errors import DistillError
from distill.files import cannot_write
from distill.places import cache_dir

STAGES = ("codec", "prior", "synthesiser")
WAIT_SECONDS = 60.0
"""How long a file may be in the hands of another program that changes it."""
PATIENCE_SECONDS = 0.3
"""How long a training waits for its lock: others hold it for a moment to see whether anybody does."""
NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(*models: Path) -> Iterator[None]:
    """Hold the locks of files while they are read to be changed: for seconds, all in one call.

    Raises:
        DistillError: the folder cannot be written, or another program does not let go.
    """
    with ExitStack() as held:
        for model in sorted(set(models)):  # in one order, so that no two wait for each other
            try:
                lock = _acquire(model, "", WAIT_SECONDS)
            except Timeout as error:
                raise DistillError(f"Another program is writing {model}. Try again when it is done.") from error
            held.callback(_release, lock)
        yield


class Claim:
    """That one stage of one model is being trained, for everybody to see who would train it too or take its name."""

    def __init__(self, model: Path, stage: str) -> None:
        """
        Raises:
            DistillError: that stage is being trained already, or one that cannot be trained at the same time, or the
                model's folder cannot be written.
        """
        self.model = model
        self.stage = stage
        self._lock: BaseFileLock | None = None
        if not is_first():
            return
        try:
            self._lock = _acquire(model, stage)
        except Timeout as error:
            raise _being_trained(model, stage) from error
        for other in STAGES:  # a codec that is replaced is no ground for the others to stand on
            if other != stage and "codec" in (stage, other) and _is_held(model, other):
                self.release()
                raise _being_trained(model, other)

    def follow(self, model: Path) -> bool:
        """The model has another name now -> whether nobody else trains this stage under that one.

        Raises:
            DistillError: that folder cannot be written.
        """
        if self._lock is None or model == self.model:
            return True
        try:
            lock = _acquire(model, self.stage)
        except Timeout:
            return False
        _release(self._lock)
        self.model, self._lock = model, lock
        return True

    def release(self) -> None:
        """The training is over."""
        if self._lock is not None:
            _release(self._lock)
            self._lock = None


@contextmanager
def claimed(model: Path, stage: str) -> Iterator[Claim]:
    """A `Claim` for as long as the block runs."""
    claim = Claim(model, stage)
    try:
        yield claim
    finally:
        claim.release()


def refuse_in_training(model: Path, stages: Sequence[str] = STAGES) -> None:
    """Raises DistillError where one of these stages is being trained under this name.

    A codec in training will take its name; the later stages go on with a model that is there, wherever it is moved.
    """
    stage = stage_in_training(model, stages)
    if stage is not None:
        raise _being_trained(model, stage)


def stage_in_training(model: Path, stages: Sequence[str] = STAGES) -> str | None:
    """The first stage of the model that is being trained, by any program; None: none is."""
    return next((stage for stage in stages if _is_held(model, stage)), None)


def _being_trained(model: Path, stage: str) -> DistillError:
    return DistillError(
        f"{model.stem} is being trained already: its {stage}. Wait until that is done, or stop it first; or choose "
        "another name."
    )


def _is_held(model: Path, stage: str) -> bool:
    if not any(path.exists() for path in (_beside(model, stage), _in_cache(model, stage))):
        return False  # nothing is made only to look
    try:
        _release(_acquire(model, stage))
    except Timeout:
        return True
    except DistillError:
        return False  # of a place that cannot be written nobody trains anything
    return False


def _acquire(model: Path, stage: str, wait: float = PATIENCE_SECONDS) -> BaseFileLock:
    """The lock, beside the model or, where the file system has none, in the cache: that holds on this machine.

    Raises:
        Timeout: it is held.
        DistillError: its file cannot be made.
    """
    try:
        return _locked_file(_beside(model, stage), wait)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS_HERE:
            raise cannot_write(model, error) from error
    try:
        return _locked_file(_in_cache(model, stage), wait)
    except Timeout:
        raise
    except OSError as error:
        raise cannot_write(_in_cache(model, stage), error) from error


def _locked_file(path: Path, wait: float) -> BaseFileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A training's generator may be closed in another thread than it was run in, so the lock is not the thread's.
    lock = FileLock(path, timeout=wait, thread_local=False, fallback_to_soft=False)
    lock.acquire()
    return lock


def _release(lock: BaseFileLock) -> None:
    if os.name != "nt":  # there filelock does it; here while it is held: whoever waits finds out and begins anew
        with suppress(OSError):
            Path(lock.lock_file).unlink()
    with suppress(OSError):
        lock.release()


def _beside(model: Path, stage: str) -> Path:
    return model.with_name(f".{model.name}{stage and '.'}{stage}.lock")


def _in_cache(model: Path, stage: str) -> Path:
    name = hashlib.sha256(str(model.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache_dir() / "locks" / f"{name}{stage and '.'}{stage}.lock"
