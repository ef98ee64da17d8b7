"""Reading a folder, to say what is in it."""

import threading
from collections.abc import Generator, Iterator
from pathlib import Path

from distill.corpus.manifest import CorpusManifest
from distill.corpus.scan import scan
from distill.corpus.split import GAP_SECONDS
from distill.events import CorpusScanned, Event, Warned


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
    yield from scanned(manifest)
    return manifest


def scanned(manifest: CorpusManifest) -> Iterator[Event]:
    """What a folder holds, and what a musician should know of recordings that were cut into pieces."""
    yield scanned_event(manifest)
    yield from map(Warned, said_of_pieces(manifest))


def said_of_pieces(manifest: CorpusManifest) -> list[str]:
    """What was cut, and what the held-out pieces tell; nothing where files are whole."""
    recordings = manifest.recordings
    if not recordings:
        return []
    one = len(recordings) == 1
    pieces = sum(file.span is not None for file in manifest.files) + manifest.unused_pieces
    which = f"{recordings[0]} is" if one else f"{len(recordings)} recordings are"
    cut = f"{which} cut into {pieces} pieces at silences and onsets."
    if manifest.split_by == "file":
        whole = ", ".join(dict.fromkeys(file.source for file in manifest.val))
        return [cut, f"Held out to judge by, as a whole: {whole}."]
    this = "this recording" if one else "these recordings"
    return [
        cut,
        f"No whole recording can be spared to judge by, so stretches of {this} are held out, with a gap of "
        f"{GAP_SECONDS:.0f} s on each side ({manifest.unused_pieces} pieces are not used): the figures say how well the model "
        f"knows {this}, not how well it would do on another.",
    ]


def scanned_event(manifest: CorpusManifest) -> CorpusScanned:
    return CorpusScanned(
        folder=manifest.folder,
        files_used=len(manifest.files),
        files_skipped=tuple((skipped.name, skipped.reason) for skipped in manifest.skipped),
        seconds=manifest.seconds,
        train_files=len(manifest.train),
        val_files=len(manifest.val),
        groups=manifest.facts().files,
        recordings=len(manifest.recordings),
        split_by=manifest.split_by,
        notes=tuple(dict.fromkeys((file.source, note) for file in manifest.files for note in file.notes)),
    )
