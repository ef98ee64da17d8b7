"""The `.distill` file, format version 2: everything a model knows, in one file (docs/file-format.md).

A `torch.save` archive of plain values and tensors. It is read with `weights_only=True` (nothing in it can run), every
section is validated before it is used, and it is replaced atomically. New sections are new keys; keys that this
version does not know are kept when the file is rewritten.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from distill.errors import DistillError
from distill.files import NO_PERMISSION, replacing, stamp
from distill.modelfile.card import FORMAT, VERSION, ModelCard
from distill.modelfile.migrate import migrated
from distill.settings.knobs import Frozen

TENSORS = "/data/"
"""What the names of the parts hold that are tensors."""
MOST_PARTS = 100_000
MOST_READINGS = 20
"""How often a file is read again because another took its place meanwhile, as a training does at every best epoch."""
DEEPEST, LARGEST = 32, 2**63
"""How deep values may lie in each other, and how large a number may be: what nothing that was written exceeds."""


def write_model(path: Path, contents: Mapping[str, Any]) -> dict[str, Any]:
    """Write a `.distill` file, whole or not at all -> what it holds now, as plain values and tensors.

    Args:
        contents: the keys of format version 2: sections as pydantic models or plain values, weights as state dicts.

    Raises:
        DistillError: it cannot be written.
    """
    plain = {
        key: value.model_dump(mode="json") if isinstance(value, Frozen) else value for key, value in contents.items()
    }
    plain = {"format": FORMAT, "version": VERSION, "model_type": "vqvae", "has_prior": False, **plain}
    ModelCard.model_validate(plain)
    with replacing(path) as stream:
        torch.save(plain, stream)
    return plain


def read_card(path: Path) -> ModelCard:
    """Everything but the weights: tensors stay on the disk, mapped and never touched."""
    return card_of(path, read_contents(path))


def read_contents(path: Path, mapped: bool = True, checksums: bool = False) -> dict[str, Any]:
    """The keys of a `.distill` file, as this version writes them.

    Args:
        mapped: leave the tensors on the disk until they are touched. A file that will be replaced while its tensors
            are still needed is better read in full.
        checksums: read all of the file and compare its checksums; else those of everything but the tensors.

    Raises:
        DistillError: the file is missing, damaged, not a distill model, or newer than this program.
    """
    for _ in range(MOST_READINGS):
        before = stamp(path)
        try:
            contents = _read_contents(path, mapped, checksums)
        except DistillError:
            if stamp(path) == before:
                raise
        else:
            if stamp(path) == before:
                return contents
    raise DistillError(f"{path} is being replaced again and again. Try again when that is over.")


def _read_contents(path: Path, mapped: bool, checksums: bool) -> dict[str, Any]:
    """As `read_contents`; what is looked at first and what is read then may be two files where one took the other's place."""
    sizes = check_archive(path, checksums)
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        strange = isinstance(contents, dict) and _is_strange(contents, sizes)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # readers of foreign bytes fail in more ways than can be listed
        raise _damaged(path) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise DistillError(f"{path} is not a distill model. Choose a file that `distill train` has written.")
    version = contents.get("version")
    if isinstance(version, int) and version > VERSION:
        raise DistillError(
            f"{path} was written by a newer distill (format {version}, this one reads {VERSION}). Update distill to use it."
        )
    if not isinstance(version, int) or version != VERSION:
        raise DistillError(
            f"{path} has format version {version!r:.20}, which this distill does not read. Train the model again."
        )
    if strange:
        raise DistillError(
            f"{path} is damaged: its values or weights do not fit its description. Use another copy of it."
        )
    return migrated(contents)


def card_of(path: Path, contents: Mapping[str, Any]) -> ModelCard:
    """What a file's contents say of themselves.

    Raises:
        DistillError: a section makes no sense, or does not fit another.
    """
    try:
        card = ModelCard.model_validate(contents)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DistillError(f"{path} is damaged: {where} in it makes no sense. Use another copy of it.") from error
    contradiction = _contradiction(card)
    if contradiction:
        raise DistillError(f"{path} is damaged: {contradiction}. Use another copy of it.")
    return card


def _contradiction(card: ModelCard) -> str:
    """Which of the card's sections do not fit each other, in words; empty where all do."""
    codec, prior = card.vqvae_config, card.prior_config
    if not card.corpus_manifest.train or not card.corpus_manifest.val:
        return "it names no sounds that it was trained on, or none that were held out"
    if card.has_prior and (prior is None or card.prior_metadata is None):
        return "it says that it has a prior, and has none"
    if card.image_size is not None and card.image_size != codec.codebook_size:
        return "its stereo image is not for the codes of its codec"
    levels = codec.rvq_levels + (card.image_size is not None)
    if prior is not None and (prior.codebook_size, prior.rvq_levels) != (codec.codebook_size, levels):
        return "its prior is not for the codes of its codec"
    if prior is not None and prior.image_columns != (1 if card.image_size is None else card.image_columns):
        return "its prior is not for its stereo image"
    if prior is not None and prior.kinds != len(card.kinds):
        return "its prior is not for its kinds of sounds"
    if card.texture_db is not None and len(card.texture_db) != card.spectrogram_config.n_mels:
        return "its texture does not fit its spectrograms"
    if card.has_synthesiser and (card.synthesiser_config is None or card.synthesiser_metadata is None):
        return "it says that it has a synthesiser, and has none"
    return ""


def check_archive(path: Path, checksums: bool = False) -> list[int]:
    """Look at the archive: is this a stored, whole zip file whose parts fit into it, with their checksums?

    Args:
        checksums: read the tensors too, not only the values.

    Returns:
        The sizes of the parts that hold tensors, in order of size.
    """
    try:
        if not path.is_file():
            raise DistillError(f"There is no model {path}. `distill train FOLDER --name NAME` makes one.")
        if not zipfile.is_zipfile(path):
            with path.open("rb") as stream:
                begins_as_zip = stream.read(2) == b"PK"
            what = "is damaged: its end is missing" if begins_as_zip else "is not a distill model"
            raise DistillError(f"{path} {what}. Use a whole copy of a file that `distill train` has written.")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            if packed or sum(entry.file_size for entry in entries) > path.stat().st_size or len(entries) > MOST_PARTS:
                raise DistillError(f"{path} is not a distill model: its parts do not fit into it. Use another file.")
            if len({entry.filename for entry in entries}) < len(entries):
                raise _damaged(path)
            for entry in entries:
                if checksums or TENSORS not in entry.filename:
                    _check_part(path, archive, entry)
            return sorted(entry.file_size for entry in entries if TENSORS in entry.filename and entry.file_size)
    except DistillError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # a damaged directory makes `zipfile` fail in more ways than can be listed
        raise _damaged(path) from error


def _check_part(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Read one part to its end, where `zipfile` compares its checksum."""
    try:
        with archive.open(entry) as part:
            while part.read(2**20):
                pass
    except (zipfile.BadZipFile, EOFError) as error:
        raise DistillError(f"{path} is damaged: its checksums do not match. Use another copy of it.") from error


def _is_strange(contents: dict[Any, Any], sizes: list[int]) -> bool:
    """Whether there is something in it that no distill writes, and that could cost memory or time without end, or
    tensors that are not as large as their parts of the archive (mapped, they would go on into the next ones)."""
    waiting: list[tuple[Any, int]] = [(contents, 0)]
    seen: set[int] = set()
    stored: dict[int, int] = {}
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.device.type != "cpu":
                return True
            storage = value.untyped_storage()
            stored[storage.data_ptr()] = storage.nbytes()
            if value.numel() * value.element_size() > storage.nbytes():
                return True
        elif isinstance(value, int) and abs(value) >= LARGEST:
            return True
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            if depth > DEEPEST:
                return True
            seen.add(id(value))
            waiting.extend((each, depth + 1) for each in value)
            if isinstance(value, dict):
                waiting.extend((each, depth + 1) for each in value.values())
    return sorted(size for size in stored.values() if size) != sizes or not all(
        isinstance(key, str) for key in contents
    )


def _damaged(path: Path) -> DistillError:
    return DistillError(f"{path} is damaged or not a distill model, and cannot be read. Use another copy of it.")


def unreadable(path: Path, error: OSError) -> DistillError:
    """The sentence for a file that the system does not let read."""
    remedy = "Change its permissions" if error.errno in NO_PERMISSION else "Use another copy of it"
    return DistillError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}. {remedy}.")
