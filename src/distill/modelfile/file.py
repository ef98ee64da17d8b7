"""The `.distill` file, format version 2: everything a model knows, in one file.

A `torch.save` archive of plain values and tensors. It is read with `weights_only=True` (nothing in it can run), every
section is validated before it is used, and it is replaced atomically. New sections are new keys; keys that this
version does not know are kept when the file is rewritten.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from distill.errors import DistillError
from distill.files import replacing
from distill.modelfile.card import FORMAT, VERSION, ModelCard
from distill.settings.knobs import Frozen


def write_model(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a `.distill` file, whole or not at all.

    Args:
        contents: the keys of format version 2: sections as pydantic models or plain values, weights as state dicts.
    """
    plain = {
        key: value.model_dump(mode="json") if isinstance(value, Frozen) else value for key, value in contents.items()
    }
    plain = {"format": FORMAT, "version": VERSION, "model_type": "vqvae", "has_prior": False, **plain}
    ModelCard.model_validate(plain)
    with replacing(path) as stream:
        torch.save(plain, stream)


def read_card(path: Path) -> ModelCard:
    """Everything but the weights: tensors stay on the disk, mapped and never touched."""
    return card_of(path, read_contents(path))


def read_contents(path: Path, mapped: bool = True) -> dict[str, Any]:
    """The raw keys of a `.distill` file.

    Args:
        mapped: leave the tensors on the disk until they are touched. A file that will be replaced while its tensors
            are still needed is better read in full.

    Raises:
        DistillError: the file is missing, damaged, not a distill model, or newer than this program.
    """
    check_archive(path)
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        KeyError,
        EOFError,
        AttributeError,
        IndexError,
        TypeError,
    ) as error:
        raise DistillError(
            f"{path} is damaged or not a distill model, and cannot be read. Use another copy of it."
        ) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise DistillError(f"{path} is not a distill model. Choose a file that `distill train` has written.")
    version = contents.get("version")
    if isinstance(version, int) and version > VERSION:
        raise DistillError(
            f"{path} was written by a newer distill (format {version}, this one reads {VERSION}). Update distill to use it."
        )
    if version != VERSION:
        raise DistillError(
            f"{path} has format version {version!r}, which this distill does not read. Train the model again."
        )
    return contents


def card_of(path: Path, contents: dict[str, Any]) -> ModelCard:
    try:
        card = ModelCard.model_validate(contents)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DistillError(f"{path} is damaged: {where} in it makes no sense. Use another copy of it.") from error
    if card.has_prior and (card.prior_config is None or card.prior_metadata is None):
        raise DistillError(f"{path} is damaged: it says that it has a prior, and has none. Use another copy of it.")
    if card.texture_db is not None and len(card.texture_db) != card.spectrogram_config.n_mels:
        raise DistillError(f"{path} is damaged: its texture does not fit its spectrograms. Use another copy of it.")
    if card.has_synthesiser and (card.synthesiser_config is None or card.synthesiser_metadata is None):
        raise DistillError(
            f"{path} is damaged: it says that it has a synthesiser, and has none. Use another copy of it."
        )
    return card


def check_archive(path: Path, checksums: bool = False) -> None:
    """Look at the archive's directory: is this a stored, whole zip file whose parts fit into it?

    Args:
        checksums: read it all and compare the checksums too.
    """
    if not path.is_file():
        raise DistillError(f"There is no model {path}. `distill train FOLDER --name NAME` makes one.")
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as stream:
                begins_as_zip = stream.read(2) == b"PK"
            what = "is damaged: its end is missing" if begins_as_zip else "is not a distill model"
            raise DistillError(f"{path} {what}. Use a whole copy of a file that `distill train` has written.")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            if packed or sum(entry.file_size for entry in entries) > path.stat().st_size or len(entries) > 100_000:
                raise DistillError(f"{path} is not a distill model: its parts do not fit into it. Use another file.")
            if checksums and archive.testzip() is not None:
                raise DistillError(f"{path} is damaged: its checksums do not match. Use another copy of it.")
    except (OSError, zipfile.BadZipFile) as error:
        raise DistillError(f"{path} cannot be read: {error}. Use another copy of it.") from error
