"""Which model a file holds, and where a model is now whose file was renamed or deleted while it was being trained."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.errors import DistillError
from distill.files import Stamp, stamp
from distill.modelfile.file import read_contents
from distill.places import MODEL_SUFFIX, OLD_MODEL_SUFFIX, library_dir, trash_dir


def codec_digest(contents: Mapping[str, Any]) -> str:
    """One hash for the codec in a file: its weights, to the bit. It is what codes mean something to."""
    digest = hashlib.sha256()
    state = contents.get("model_state_dict")
    for name, tensor in sorted(state.items()) if isinstance(state, Mapping) else ():
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def models_beside(model: Path) -> set[Path]:
    """Every model in the same folder, and in the trash where that folder is the library."""
    folders = [model.parent]
    if _same_folder(model.parent, library_dir()) or _same_folder(model.parent, trash_dir()):
        folders = [library_dir(), trash_dir()]
    found: set[Path] = set()
    for folder in folders:
        try:
            found.update(p for p in folder.iterdir() if p.suffix in (MODEL_SUFFIX, OLD_MODEL_SUFFIX) and p.is_file())
        except OSError:
            continue
    return found


def find_moved(model: Path, digest: str, last: Stamp | None, known: set[Path]) -> Path | None:
    """Where a model is now that is not at `model` any more.

    It is the very file that was there, or else the only one with the same codec that has come since; a copy that was
    there before is another model.

    Args:
        digest: of its codec.
        last: of its file, when it was last seen.
        known: the models that were beside it then.
    """
    beside = models_beside(model) - {model}
    for path in sorted(beside):
        now = stamp(path)
        if now is not None and last is not None and now[:2] == last[:2] and holds_codec(path, digest):
            return path
    come = [path for path in sorted(beside - known) if holds_codec(path, digest)]
    return come[0] if len(come) == 1 else None


def holds_codec(path: Path, digest: str) -> bool:
    """Whether a file holds this codec; one that cannot be read does not."""
    try:
        return codec_digest(read_contents(path)) == digest
    except DistillError:
        return False


def in_trash(path: Path) -> bool:
    """Whether a file is among the deleted models."""
    return _same_folder(path.parent, trash_dir())


def _same_folder(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
