"""What a `.distill` file says of itself: everything in it but the weights."""

from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field

from distill.corpus.manifest import CorpusManifest
from distill.settings.codec import CodecSettings, VQVAEConfig
from distill.settings.geometry import END_POINTS, MOST_END_LOGIT, QUANTILE_POINTS, SpectrogramConfig
from distill.settings.knobs import Frozen, Origin
from distill.settings.prior import PriorConfig, PriorSettings
from distill.settings.synthesiser import SynthesiserConfig, SynthesiserSettings

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


class RacedPrior(Frozen):
    """A size of prior that was in the race for a corpus, as it stood when it left it, or won."""

    hidden_size: int
    num_layers: int
    num_heads: int
    parameters: int
    epochs: int
    """Epochs it had had."""
    bits_per_code: float | None
    overfitting_gap: float | None
    goes_on: bool
    """Whether it won."""


class KeptEpoch(Frozen):
    """An epoch that predicts as well as the best one, and whose sounds hold the least of the recordings."""

    epoch: int
    perplexity: float
    copied: float


class PriorMetadata(Frozen):
    """How the prior came to be."""

    epochs_trained: int
    hidden_size: int
    num_layers: int
    num_heads: int
    parameters: int
    best_epoch: int
    final_perplexity: float
    best_perplexity: float
    bits_per_code: float
    unigram_bits_per_code: float
    ngram_bits_per_code: float | None = None  # None here and below: made before it was measured
    overfitting_gap: float | None = None
    """Bits per code that held-out sounds cost more than known ones, at the best epoch."""
    overfitting_gap_interval: tuple[float, float] | None = None
    """Where it lies with 95 %."""
    copied: float | None = None
    """Share of a few new sounds that hold longer stretches of the recordings than unseen ones do, when that was last looked
    for; None: it was not."""
    newest: KeptEpoch | None = None
    """Another epoch that is kept beside the best one."""
    in_force: Literal["best", "newest"] = "best"
    """Which of both makes sounds; the other is kept."""
    tokens_per_second: float
    seconds: float
    memorization_flag: bool
    memorization_message: str
    training_date: str  # ISO 8601, UTC
    corpus_digest: str
    race: tuple[RacedPrior, ...] = ()
    """Nothing where the size was set, or was not raced for."""


class SynthesiserMetadata(Frozen):
    """How the model's own synthesiser came to be."""

    epochs: int
    best_epoch: int
    val_mrstft: float
    shipped_val_mrstft: float
    seconds: float
    training_date: str  # ISO 8601, UTC
    corpus_digest: str


class NoveltySummary(Frozen):
    """Whether what the prior makes is new, as a quick copy test found when it was trained (`distill.novelty`)."""

    verdict: str
    reason: str
    copy_rate: float
    copy_rate_interval: tuple[float, float]
    p_value: float
    coherence_z: float
    power: float | None
    recordings: int
    sounds: int
    training_date: str
    """Of the prior that was judged: of another it says nothing."""


class SpreadWidths(Frozen):
    """How far from each other the widths of new sounds are set (`distill.models.widths.Apart`)."""

    centre_db: float = Field(ge=-60.0, le=60.0)
    times: float = Field(ge=1.0, le=10.0)
    widest_db: float = Field(ge=-60.0, le=60.0)
    lost_db: float = Field(ge=0.0, le=200.0)
    training_date: str
    """Of the prior whose sounds were measured: of another it says nothing."""


EndLevels = Annotated[
    tuple[Annotated[float, Field(ge=-200.0, le=0.0)], ...], Field(min_length=END_POINTS, max_length=END_POINTS)
]


class LetGo(Frozen):
    """How new sounds end, and how often (`distill.models.release.Release`)."""

    made_db: EndLevels
    recorded_db: EndLevels
    end_logit: float = Field(0.0, ge=-MOST_END_LOGIT, le=MOST_END_LOGIT)
    """Added to the logit of every end (`distill.models.lengths`)."""
    training_date: str
    """Of the prior whose sounds were measured: of another it says nothing."""


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


MOST_KIND_FILES = 2_000
Curve = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...],
    Field(min_length=QUANTILE_POINTS, max_length=QUANTILE_POINTS),
]
"""The points of a quantile curve."""


MeasuredT = TypeVar("MeasuredT", NoveltySummary, SpreadWidths, LetGo)


class ModelCard(Frozen):
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
    novelty: NoveltySummary | None = None
    has_codes: bool = False
    """Whether the codes of the recordings are in the file (they can be decoded to an approximation of them)."""
    has_grain: bool = False
    """Whether the grain of the recordings was measured (`distill.models.grain`)."""
    texture_db: tuple[Annotated[float, Field(ge=0.0, le=20.0)], ...] | None = None
    """The grain as versions before 0.2 measured it: one deviation for each mel band."""
    has_endings: bool = False
    """Whether it was learned where in their last column sounds end (`distill.models.endings`)."""
    has_loudness: bool = False
    """Whether it was learned how loud sounds are (`distill.models.loudness`)."""
    kinds: tuple[str, ...] = ()
    """Words for groups of the recordings (`distill.corpus.kinds`): the prior's kind n is the n-th, from 1 on."""
    kind_files: int = Field(0, ge=0, le=MOST_KIND_FILES)
    """Of how many recordings the file says how they are spread over frequency (`distill.models.wishes.KindExamples`)."""
    trait_quantiles: dict[str, Curve] = Field(default_factory=dict)
    """The corpus's own range of what may be wished for, by trait (`distill.audio.wished`)."""
    periods: tuple[Annotated[int, Field(ge=1, le=64)], ...] = ()
    """Columns after which recordings come round again, those that do (`distill.audio.beat`)."""
    image_size: int | None = Field(None, ge=2, le=4096)
    """How many codes the level of the stereo image has (`distill.models.image`); None: the model is mono."""
    image_columns: int = Field(1, ge=1, le=64)
    """How many columns share the codes of one stereo image."""
    widths: SpreadWidths | None = None
    """How wide the prior's sounds are, beside the recordings; None: they are as wide as they are drawn."""
    release: LetGo | None = None
    """How the prior's sounds end, beside the recordings; None: they end as they are drawn."""
    has_synthesiser: bool = False
    """Whether a synthesiser fitted to the recordings is in the file; every model has the shipped one."""
    synthesiser_config: SynthesiserConfig | None = None
    synthesiser_training_config: SynthesiserSettings | None = None
    synthesiser_metadata: SynthesiserMetadata | None = None

    @property
    def novelty_of_prior(self) -> NoveltySummary | None:
        """What the copy test found of this prior; None: it was not done, or of another one."""
        return self._of_prior(self.novelty)

    @property
    def widths_of_prior(self) -> SpreadWidths | None:
        """How wide this prior's sounds are; None: it was not measured, or of another one."""
        return self._of_prior(self.widths)

    @property
    def release_of_prior(self) -> LetGo | None:
        """How this prior's sounds end; None: it was not measured, or of another one."""
        return self._of_prior(self.release)

    def _of_prior(self, found: MeasuredT | None) -> MeasuredT | None:
        if found is None or self.prior_metadata is None:
            return None
        return found if found.training_date == self.prior_metadata.training_date else None

    @property
    def prior_levels(self) -> int:
        """Levels of codes that the prior learns: the codec's, and one for a stereo image."""
        return self.vqvae_config.rvq_levels + (self.image_size is not None)
