"""`distill demo`: the whole way on sounds that the program renders itself, for someone who has no folder at hand."""

import os
import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from distill import studio
from distill.audio.pictures import Panel, spectrogram_sheet
from distill.errors import DistillError
from distill.events import (
    CodecTrainingCompleteEvent,
    Event,
    GenerationCompleteEvent,
    PriorTrainingCompleteEvent,
    ReconstructionCompleteEvent,
    Saved,
    SoundWritten,
)
from distill.settings.generation import GenerationSettings
from distill.synthetic.demo_sounds import write_embedded_corpus

EventT = TypeVar("EventT", bound=Event)

ONE_SHOTS = GenerationSettings(count=8, seed=7)
LONG_PIECE = GenerationSettings(count=1, seed=107, seconds=10.0, ending="exact")
"""What is generated; the page's demo makes the same."""
PICTURED = 4
"""Sounds of each kind in the picture."""


@dataclass(frozen=True)
class DemoCompleteEvent(Event):
    """The demo is done."""

    folder: str
    model: str
    one_shots: tuple[SoundWritten, ...]
    piece: SoundWritten
    picture: str
    codec: CodecTrainingCompleteEvent
    prior: PriorTrainingCompleteEvent
    seconds: float

    @property
    def summary(self) -> str:
        """What happened, for a newcomer."""
        return "\n".join(
            [
                "",
                f"Done in {self.seconds / 60:.1f} minutes. Everything is in {self.folder}:",
                f"  sounds/     {self.codec_files} sounds that this program rendered, the corpus",
                f"  generated/  {len(self.one_shots)} new one-shots and one piece of {self.piece.seconds:.0f} s, by the model",
                "  reconstructed/  held-out sounds through the codec: the best that the model's ear allows",
                f"  {Path(self.picture).name}  spectrograms: original, reconstruction, generated",
                f"  {Path(self.model).name}  the model: one file, codec and prior",
                "",
                f"The codec describes sounds it has never seen with an error of {self.codec.val_mel_l1_db:.1f} dB;",
                f"the prior needs {self.prior.bits_per_code:.2f} bits to guess the next code of an unseen sound,",
                f"where counting codes needs {self.prior.unigram_bits_per_code:.2f}: the difference is what it has learned.",
                "",
                "Now with your own sounds (5 files or more):",
                "  .venv/bin/distill train FOLDER --name mine",
                "  .venv/bin/distill train-prior mine",
                "  .venv/bin/distill generate mine --count 8 --out new-sounds",
            ]
        )

    @property
    def codec_files(self) -> int:
        """Sounds in the demo's corpus."""
        return len(list((Path(self.folder) / "sounds").iterdir()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "folder": self.folder,
            "model": self.model,
            "files": [sound.path for sound in (*self.one_shots, self.piece)],
            "picture": self.picture,
            "val_mel_l1_db": self.codec.val_mel_l1_db,
            "bits_per_code": self.prior.bits_per_code,
            "unigram_bits_per_code": self.prior.unigram_bits_per_code,
            "seconds": self.seconds,
        }


def run_demo(out: Path, device: str = "auto") -> Generator[Event, None, None]:
    """Render the embedded corpus, train codec and prior, generate, draw."""
    begun = time.monotonic()
    sounds, model = out / "sounds", out / "demo.distill"
    if out.exists() and not out.is_dir():
        raise DistillError(f"{out} is a file. Choose an empty folder with --out.")
    if out.exists() and any(out.iterdir()):
        if not model.exists():
            raise DistillError(f"{out} holds other things. Choose an empty folder with --out.")
        for folder in ("sounds", "generated", "reconstructed"):  # an earlier demo's
            shutil.rmtree(out / folder, ignore_errors=True)
    write_embedded_corpus(sounds)
    codec = yield from _until(
        studio.train(sounds, out=model, device=device, overwrite=True), CodecTrainingCompleteEvent
    )
    prior = yield from _until(
        studio.train_prior_for(str(model), device=device, overwrite=True), PriorTrainingCompleteEvent
    )
    made, through = out / "generated", out / "reconstructed"
    shots = yield from _until(studio.generate(str(model), made, ONE_SHOTS, device), GenerationCompleteEvent)
    piece = yield from _until(studio.generate(str(model), made, LONG_PIECE, device), GenerationCompleteEvent)
    held_out = [sounds / file.name for file in studio.info(str(model))[1].corpus_manifest.val[:PICTURED]]
    again = yield from _until(studio.reconstruct(str(model), held_out, through, device), ReconstructionCompleteEvent)
    picture = out / "spectrograms.png"
    columns = [
        [Panel(f"original: {path.stem}", path) for path in held_out],
        [Panel(f"through the codec: {Path(sound.path).stem}", Path(sound.path)) for sound in again.sounds],
        [Panel(f"generated: seed {sound.seed}", Path(sound.path)) for sound in shots.sounds[:PICTURED]],
    ]
    spectrogram_sheet(columns, picture)
    yield Saved(str(picture), "picture")
    yield DemoCompleteEvent(
        os.fspath(out), str(model), shots.sounds, piece.sounds[0], str(picture), codec, prior, time.monotonic() - begun
    )


def _until(events: Generator[Event, None, None], kind: type[EventT]) -> Generator[Event, None, EventT]:
    """Pass events on and return the last one of a kind."""
    found: EventT | None = None
    for event in events:
        if isinstance(event, kind):
            found = event
        yield event
    assert found is not None
    return found
