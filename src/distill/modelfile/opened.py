"""A `.distill` file as networks that are ready to use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from distill.errors import DistillError
from distill.files import Stamp, stamp
from distill.modelfile.card import ModelCard
from distill.modelfile.digest import sound_digest
from distill.modelfile.file import card_of, read_contents
from distill.models.codec import ConvVQVAE
from distill.models.endings import Endings
from distill.models.grain import DrawnGrain
from distill.models.image import ImageCodebook
from distill.models.loudness import Loudness
from distill.models.prior import CodePrior
from distill.models.release import Release
from distill.models.synthesiser import SpectrumNetwork
from distill.models.widths import Apart
from distill.models.wishes import KindExamples

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class OpenedModel:
    """A file that has been read, once: whoever needs more of it takes it from here."""

    path: Path
    contents: Mapping[str, Any]
    card: ModelCard
    seen: Stamp | None
    """Of the file that was read."""

    @property
    def codes(self) -> Mapping[str, Any]:
        """The codes of the recordings by name, as far as the file has them; not checked yet."""
        codes = self.contents.get("codes")
        return codes if isinstance(codes, Mapping) else {}

    def codec(self, device: torch.device | str = "cpu") -> ConvVQVAE:
        """The codec, in eval mode.

        Raises:
            DistillError: its weights do not fit what the file says of it.
        """
        config, spectrogram = self.card.vqvae_config, self.card.spectrogram_config
        return self._network(lambda: ConvVQVAE(config, spectrogram), "model_state_dict", device)

    def prior(self, device: torch.device | str = "cpu") -> CodePrior | None:
        """The prior, if there is one, in eval mode."""
        config, ends = self.card.prior_config, self.card.release_of_prior
        if config is None:
            return None
        prior = self._network(lambda: CodePrior(config), "prior_state_dict", device)
        prior.end_logit = 0.0 if ends is None else ends.end_logit
        return prior

    def newest_prior(self) -> CodePrior | None:
        """The epoch of the prior that is kept beside the one in force, if there is one, in eval mode."""
        config, made = self.card.prior_config, self.card.prior_metadata
        if config is None or made is None or made.newest is None:
            return None
        return self._network(lambda: CodePrior(config), "newest_prior_state_dict", "cpu")

    def image(self) -> ImageCodebook | None:
        """The codebook of the stereo image, if the model is stereo; it stays on the processor."""
        size, shared = self.card.image_size, self.card.image_columns
        return None if size is None else self._network(lambda: ImageCodebook(size, shared), "image_state_dict", "cpu")

    def synthesiser(self, device: torch.device | str = "cpu") -> SpectrumNetwork | None:
        """The synthesiser of its own, if there is one, in eval mode."""
        config, spectrogram = self.card.synthesiser_config, self.card.spectrogram_config
        if config is None:
            return None
        return self._network(lambda: SpectrumNetwork(config, spectrogram), "synthesiser_state_dict", device)

    def endings(self, device: torch.device | str = "cpu") -> Endings | None:
        """Where sounds end in their last column, if that was learned."""
        return self._network(Endings, "endings_state_dict", device) if self.card.has_endings else None

    def loudness(self, device: torch.device | str = "cpu") -> Loudness | None:
        """How loud sounds are, if that was learned."""
        if not self.card.has_loudness:
            return None
        dim = self.card.vqvae_config.codebook_dim
        return self._network(lambda: Loudness(dim), "loudness_state_dict", device)

    def grain(self, device: torch.device | str = "cpu") -> DrawnGrain | None:
        """How strong the recordings' grain is, if that was measured."""
        bands = self.card.spectrogram_config.n_mels
        if self.card.has_grain:
            return self._network(lambda: DrawnGrain(bands), "grain_state_dict", device)
        texture_db = self.card.texture_db
        return None if texture_db is None else DrawnGrain.of_texture(texture_db).to(device)

    def kind_examples(self) -> KindExamples | None:
        """How recordings of each kind are spread over frequency, if there are kinds."""
        files, bands = self.card.kind_files, self.card.spectrogram_config.n_mels
        return self._network(lambda: KindExamples(files, bands), "kinds_state_dict", "cpu") if files else None

    def _network(self, build: Callable[[], ModuleT], key: str, device: torch.device | str) -> ModuleT:
        return _with_weights(self.path, build, self.contents.get(key)).to(device).eval()


@dataclass(frozen=True)
class LoadedVQModel:
    """A codec, and its prior and synthesiser as soon as the file has them, ready to use in eval mode."""

    codec: ConvVQVAE
    prior: CodePrior | None
    card: ModelCard
    path: Path
    synthesiser: SpectrumNetwork | None = None
    endings: Endings | None = None
    loudness: Loudness | None = None
    grain: DrawnGrain | None = None
    image: ImageCodebook | None = None
    """None: the model is mono."""
    kind_examples: KindExamples | None = None
    codes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The codes of the recordings by name, as far as the file has them; not checked yet."""

    @property
    def apart(self) -> Apart | None:
        """How far from each other the widths of new sounds are set; None: they are as wide as they are drawn."""
        found = self.card.widths_of_prior
        return None if found is None else Apart(found.centre_db, found.times, found.widest_db, found.lost_db)

    @property
    def release(self) -> Release | None:
        """How new sounds are let go at their ends; None: they end as they are drawn."""
        found = self.card.release_of_prior
        return None if found is None else Release(found.made_db, found.recorded_db)

    @cached_property
    def digest(self) -> str:
        """What tells it from other models (`distill.modelfile.digest`)."""
        return sound_digest(self)


def open_model(path: Path, mapped: bool = False) -> OpenedModel:
    """Read a file, with its checksums.

    Args:
        mapped: leave the tensors on the disk until they are touched; not where the file will be replaced meanwhile.

    Raises:
        DistillError: as `read_contents` and `card_of`.
    """
    seen = stamp(path)
    contents = read_contents(path, mapped, checksums=True)
    return OpenedModel(path, contents, card_of(path, contents), seen)


def load_model(path: Path, device: torch.device | str = "cpu") -> LoadedVQModel:
    """Codec, prior and synthesiser, ready to use.

    Raises:
        DistillError: as `read_contents`, or weights do not fit what the file says of itself.
    """
    return loaded_model(open_model(path, mapped=True), device)


def loaded_model(opened: OpenedModel, device: torch.device | str = "cpu") -> LoadedVQModel:
    """A file that has been read as networks.

    Raises:
        DistillError: weights do not fit what the file says of itself.
    """
    return LoadedVQModel(
        opened.codec(device),
        opened.prior(device),
        opened.card,
        opened.path,
        opened.synthesiser(device),
        opened.endings(),
        opened.loudness(),
        opened.grain(),
        opened.image(),
        opened.kind_examples(),
        {name: codes.clone() for name, codes in opened.codes.items() if isinstance(codes, Tensor)},
    )


def _with_weights(path: Path, build: Callable[[], ModuleT], state: object) -> ModuleT:
    """Build a module and put a state dict into it, refusing whatever does not fit to the letter.

    The shapes are compared on the meta device first, so that a description without the weights to match takes no memory.
    """
    damaged = DistillError(f"{path} is damaged: its weights do not fit its description. Use another copy of it.")
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except (ValueError, RuntimeError, OverflowError) as error:
        raise damaged from error
    if not isinstance(state, Mapping) or set(state) != set(expected):
        raise DistillError(
            f"{path} is damaged, or another version of distill made it: its weights do not fit its description, or are "
            "of networks that this version has not. Use another copy of it, or train the model again."
        )
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
