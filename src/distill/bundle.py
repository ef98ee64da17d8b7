"""The `.distill` file, format version 2: everything a model knows, in one file.

A `torch.save` archive of plain values and tensors. It is read with `weights_only=True` (nothing in it can run), every
section is validated before it is used, and it is replaced atomically. New sections are new keys; keys that this
version does not know are kept when the file is rewritten.
"""

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import ConfigDict, Field, ValidationError
from torch import Tensor, nn

from distill.audio.corpus import CorpusManifest
from distill.config import (
    CodecSettings,
    Frozen,
    Origin,
    PriorConfig,
    PriorSettings,
    SpectrogramConfig,
    SynthesiserConfig,
    SynthesiserSettings,
    VQVAEConfig,
)
from distill.errors import DistillError
from distill.files import replacing
from distill.models.prior import CodePrior
from distill.models.synthesiser import SpectrumNetwork
from distill.models.vqvae import ConvVQVAE

ModuleT = TypeVar("ModuleT", bound=nn.Module)

FORMAT = "distill_model"
VERSION = 2


class ModelMetadata(Frozen):
    """How the codec came to be."""

    name: str
    created: str  # ISO 8601, UTC
    distill_version: str
    epochs: int
    best_epoch: int
    val_mel_l1_db: float
    seconds: float


class PriorMetadata(Frozen):
    """How the prior came to be."""

    epochs_trained: int
    hidden_size: int = 0  # 0 here and in the next three: written before they were noted
    num_layers: int = 0
    num_heads: int = 0
    parameters: int = 0
    best_epoch: int
    final_perplexity: float
    best_perplexity: float
    bits_per_code: float
    unigram_bits_per_code: float
    ngram_bits_per_code: float
    overfitting_gap: float
    """Bits per code that held-out sounds cost more than known ones, at the best epoch."""
    tokens_per_second: float
    seconds: float
    memorization_flag: bool
    memorization_message: str
    training_date: str  # ISO 8601, UTC
    corpus_digest: str


class SynthesiserMetadata(Frozen):
    """How the model's own synthesiser came to be."""

    epochs: int
    best_epoch: int
    val_mrstft: float
    shipped_val_mrstft: float
    seconds: float
    training_date: str  # ISO 8601, UTC
    corpus_digest: str


class LevelSnapshot(Frozen):
    """How one level of codes was used when the codec was saved."""

    level: int = Field(ge=1)
    utilisation: float = Field(ge=0.0, le=1.0)
    perplexity: float = Field(ge=0.0)
    dead_codes: int = Field(ge=0)
    usage: tuple[int, ...]


class HealthSnapshot(Frozen):
    """The codebooks' health when the codec was saved."""

    verdict: str
    message: str
    levels: tuple[LevelSnapshot, ...]


class LossPoint(Frozen):
    """One epoch of a training."""

    epoch: int
    train_loss: float
    val: float


class BundleCard(Frozen):
    """Everything in a `.distill` file but the weights."""

    model_config = ConfigDict(extra="ignore")

    format: Literal["distill_model"]
    version: Literal[2]
    model_type: Literal["vqvae"]
    vqvae_config: VQVAEConfig
    spectrogram_config: SpectrogramConfig
    training_config: CodecSettings
    settings_origin: dict[str, dict[str, Origin]]
    """For each stage ("codec", "prior", "synthesiser"), where each setting came from."""
    codebook_health_snapshot: HealthSnapshot
    loss_curve_history: dict[str, tuple[LossPoint, ...]]
    corpus_manifest: CorpusManifest
    metadata: ModelMetadata
    has_prior: bool = False
    prior_config: PriorConfig | None = None
    prior_training_config: PriorSettings | None = None
    prior_metadata: PriorMetadata | None = None
    has_codes: bool = False
    """Whether the codes of the recordings are in the file (they can be decoded to an approximation of them)."""
    texture_db: tuple[Annotated[float, Field(ge=0.0, le=20.0)], ...] | None = None
    """For each mel band, what decoded spectrograms lack of the recordings' grain (`distill.models.texture`)."""
    has_synthesiser: bool = False
    """Whether a synthesiser fitted to the recordings is in the file; every model has the shipped one."""
    synthesiser_config: SynthesiserConfig | None = None
    synthesiser_training_config: SynthesiserSettings | None = None
    synthesiser_metadata: SynthesiserMetadata | None = None


@dataclass(frozen=True)
class LoadedVQModel:
    """A codec, and its prior and synthesiser as soon as the file has them, ready to use in eval mode."""

    codec: ConvVQVAE
    prior: CodePrior | None
    card: BundleCard
    path: Path
    synthesiser: SpectrumNetwork | None = None


def save_bundle(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a `.distill` file, whole or not at all.

    Args:
        contents: the keys of format version 2: sections as pydantic models or plain values, weights as state dicts.
    """
    plain = {
        key: value.model_dump(mode="json") if isinstance(value, Frozen) else value for key, value in contents.items()
    }
    plain = {"format": FORMAT, "version": VERSION, "model_type": "vqvae", "has_prior": False, **plain}
    BundleCard.model_validate(plain)
    with replacing(path) as stream:
        torch.save(plain, stream)


def read_card(path: Path) -> BundleCard:
    """Everything but the weights: tensors stay on the disk, mapped and never touched."""
    return _card(path, read_contents(path))


def read_contents(path: Path, mapped: bool = True) -> dict[str, Any]:
    """The raw keys of a `.distill` file.

    Args:
        mapped: leave the tensors on the disk until they are touched. A file that will be replaced while its tensors
            are still needed is better read in full.

    Raises:
        DistillError: the file is missing, damaged, not a distill model, or newer than this program.
    """
    _refuse_foreign(path)
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


def load_bundle(path: Path, device: torch.device | str = "cpu") -> LoadedVQModel:
    """Codec, prior and synthesiser, ready to use.

    Raises:
        DistillError: as `read_contents`, or weights do not fit what the file says of itself.
    """
    _refuse_foreign(path, checksums=True)
    contents = read_contents(path)
    card = _card(path, contents)
    codec = _with_weights(
        path, lambda: ConvVQVAE(card.vqvae_config, card.spectrogram_config), contents.get("model_state_dict")
    )
    prior = None
    if card.prior_config is not None:
        config = card.prior_config
        weights = contents.get("prior_state_dict")
        if isinstance(weights, dict):  # the first files had one more matrix, which nothing led to
            weights = {
                name: t for name, t in weights.items() if name != f"chosen_vector.{config.rvq_levels - 1}.weight"
            }
        prior = _with_weights(path, lambda: CodePrior(config), weights).to(device).eval()
    synthesiser = None
    if card.synthesiser_config is not None:
        shape = card.synthesiser_config
        state = contents.get("synthesiser_state_dict")
        synthesiser = _with_weights(path, lambda: SpectrumNetwork(shape, card.spectrogram_config), state)
        synthesiser = synthesiser.to(device).eval()
    return LoadedVQModel(codec.to(device).eval(), prior, card, path, synthesiser)


def _card(path: Path, contents: dict[str, Any]) -> BundleCard:
    try:
        card = BundleCard.model_validate(contents)
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


def _refuse_foreign(path: Path, checksums: bool = False) -> None:
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


def _with_weights(path: Path, build: Callable[[], ModuleT], state: object) -> ModuleT:
    """Build a module and put a state dict into it, refusing whatever does not fit to the letter.

    The shapes are compared on the meta device first, so that a description without the weights to match takes no memory.
    """
    damaged = DistillError(f"{path} is damaged: its weights do not fit its description. Use another copy of it.")
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except ValueError as error:
        raise damaged from error
    if not isinstance(state, Mapping) or set(state) != set(expected):
        raise damaged
    for name, wanted in expected.items():
        tensor = state[name]
        if not (isinstance(tensor, Tensor) and tensor.shape == wanted.shape and tensor.dtype == wanted.dtype):
            raise damaged
        if not tensor.is_contiguous() or (tensor.is_floating_point() and not bool(tensor.isfinite().all())):
            raise damaged
    with torch.random.fork_rng():  # the weights that a new module draws are thrown away
        module = build()
    module.load_state_dict(dict(state))
    return module
