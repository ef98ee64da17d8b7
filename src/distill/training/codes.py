"""From a corpus to sequences of codes: every file encoded through the frozen codec, once."""

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from distill.audio.corpus import Corpus
from distill.events import Event, Progress
from distill.models.encoding import encode_codes, level_of
from distill.models.vqvae import ConvVQVAE


@dataclass(frozen=True)
class CodeSequences:
    """The codes of whole files, on the CPU."""

    train: tuple[Tensor, ...]  # one [S, Q] int64 for each training file
    val: tuple[Tensor, ...]  # one for each held-out file


def extract_code_sequences(
    codec: ConvVQVAE, corpus: Corpus, device: torch.device
) -> Generator[Event, None, CodeSequences]:
    """Encode every file of the corpus once, in eval mode, without gradient."""
    codec.eval()
    files = corpus.manifest.files
    found: dict[str, list[Tensor]] = {"train": [], "val": []}
    for done, file in enumerate(files, start=1):
        mel = corpus.mel(file)
        found[file.split].append(encode_codes(codec, mel, level_of(mel), device).cpu())
        yield Progress("encoding sounds", done, len(files), file.name)
    return CodeSequences(tuple(found["train"]), tuple(found["val"]))
