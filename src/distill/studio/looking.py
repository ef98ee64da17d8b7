"""Reading a folder, to say what is in it."""

import threading
from collections.abc import Generator
from pathlib import Path

from distill.corpus.manifest import CorpusManifest
from distill.corpus.scan import scan
from distill.events import CorpusScanned, Event


def look(folder: Path, stop: threading.Event | None = None) -> Generator[Event, None, CorpusManifest | None]:
    """Read a folder and say what is in it -> its manifest; None if it was stopped."""
    scanning = scan(folder)
    try:
        while True:
            yield next(scanning)
            if stop is not None and stop.is_set():
                return None
    except StopIteration as end:
        manifest: CorpusManifest = end.value.manifest
    yield scanned_event(manifest)
    return manifest


def scanned_event(manifest: CorpusManifest) -> CorpusScanned:
    return CorpusScanned(
        folder=manifest.folder,
        files_used=len(manifest.files),
        files_skipped=tuple((skipped.name, skipped.reason) for skipped in manifest.skipped),
        seconds=manifest.seconds,
        train_files=len(manifest.train),
        val_files=len(manifest.val),
        groups=manifest.facts().files,
        notes=tuple((file.name, note) for file in manifest.files for note in file.notes),
    )
