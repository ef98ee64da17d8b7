"""Previews: the same held-out sound every few epochs, so that a training can be heard while it goes on."""

import shutil
from pathlib import Path

import numpy as np
import torch

import distill
from distill.audio.griffin_lim import GriffinLim
from distill.audio.pictures import Panel, spectrogram_sheet
from distill.audio.reading import Samples, as_channels
from distill.audio.returning import returned
from distill.audio.tags import SoundTags, SourceFile
from distill.audio.writing import write_audio
from distill.corpus.sounds import Corpus
from distill.errors import DistillError
from distill.events import Event, PreviewWritten, Warned
from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes, encode_codes, level_of
from distill.models.image import with_own_image
from distill.places import preview_dir
from distill.settings.geometry import SAMPLE_RATE

LONGEST_SECONDS = 4.0
ITERATIONS = 16


class CodecPreviews:
    """Writes previews of one training into a folder of the cache, which the next training of the model empties."""

    def __init__(self, corpus: Corpus, model: Path, stage: str) -> None:
        self.stage = stage
        self.config = corpus.spectrogram
        self.file = sorted(corpus.manifest.val, key=lambda file: file.samples)[len(corpus.manifest.val) // 2]
        frames = self.config.frames(round(LONGEST_SECONDS * SAMPLE_RATE))
        self.mel = np.array(corpus.mel(self.file)[:frames], dtype=np.float32)  # [T, M]
        stored, peak = corpus.audio(self.file)
        side = corpus.side(self.file) if corpus.manifest.stereo else None
        self.planes = np.stack(
            [
                np.array(plane[: frames * self.config.hop_length], dtype=np.float32) * np.float32(peak)
                for plane in (stored, side)
                if plane is not None
            ]
        )
        self.folder = preview_dir(model)
        self.synthesise = GriffinLim(self.config, ITERATIONS)
        self._said = False

    def begin(self) -> list[Event]:
        """Empty the folder and write the sound itself, as epoch 0 -> what is to be said of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return self._write(0, as_channels(self.planes))

    def write(self, codec: ConvVQVAE, epoch: int, device: torch.device) -> list[Event]:
        """The sound through the codec as it now is (in eval mode) -> what is to be said of it."""
        level = level_of(self.mel)
        codes = encode_codes(codec, self.mel, level, device)
        mel = decode_codes(codec, codes, level)[:, : len(self.mel)].cpu()
        samples = self.synthesise(mel, torch.Generator().manual_seed(0))
        middle = returned(samples, torch.from_numpy(self.planes[0]), self.file.native_rate)
        return self._write(epoch, with_own_image(middle, self.planes, self.file.native_rate, stereo=True).numpy())

    def _write(self, epoch: int, channels: Samples) -> list[Event]:
        name = "original" if epoch == 0 else f"epoch-{epoch:04d}"
        audio, picture = self.folder / f"{name}.wav", self.folder / f"{name}.png"
        title = f"{self.file.name}, " + ("original" if epoch == 0 else f"epoch {epoch}")
        made_from = (SourceFile(name=self.file.name),)
        tags = SoundTags(version=distill.__version__, verb="preview", request={"epoch": epoch}, sources=made_from)
        try:
            write_audio(audio, channels.T, tags=tags)
            spectrogram_sheet([[Panel(title, audio)]], picture)
        except DistillError as error:  # a cache that is full costs no training
            first, self._said = not self._said, True
            return [Warned(f"There are no previews. {error} The training goes on.")] if first else []
        return [PreviewWritten(self.stage, epoch, self.file.name, str(audio), str(picture))]
