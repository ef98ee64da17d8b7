"""What long work says while it runs. The library yields these; the faces print, draw or ignore them. No torch here."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base of every event."""


@dataclass(frozen=True)
class Progress(Event):
    """Work that counts: scanning files, encoding, writing."""

    task: str
    """What is being done, in plain words, such as "reading sounds"."""
    done: int
    total: int
    item: str = ""
    """What was just finished, such as a file's name."""


@dataclass(frozen=True)
class TrainingStarted(Event):
    """Everything that is known before the first step, so that it can be shown before the work starts."""

    stage: str
    """"codec", "prior" or "synthesiser"."""
    device: str
    parameters: int
    epochs: int
    train_files: int
    val_files: int
    settings: dict[str, int | float | str]
    origin: dict[str, str]
    """For every setting: "auto", "default" or "set"."""


@dataclass(frozen=True)
class StepMetrics(Event):
    """One optimiser step."""

    epoch: int
    """Counted from 1."""
    step: int
    """Counted from 1, over the whole training."""
    total_steps: int
    loss: float
    learning_rate: float
    seconds_left: float


@dataclass(frozen=True)
class LevelHealth:
    """How one level of codes is used, counted over the whole training set."""

    level: int
    utilisation: float
    """Share of the codes that are used at all, 0 to 1."""
    perplexity: float
    """Effective number of codes in use: exp of the entropy of their usage."""
    dead_codes: int
    usage: tuple[int, ...]
    """How often each code was used."""


@dataclass(frozen=True)
class CodebookHealth(Event):
    """The health of all levels, and what it means."""

    levels: tuple[LevelHealth, ...]
    verdict: str
    """"healthy", "some codes underused" or "collapse"."""
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for files and `--json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "CodebookHealth":
        """The inverse of `to_dict`."""
        levels = tuple(LevelHealth(**{**level, "usage": tuple(level["usage"])}) for level in plain["levels"])
        return cls(levels, plain["verdict"], plain["message"])


@dataclass(frozen=True)
class CodecStepMetrics(StepMetrics):
    """One step of the codec."""

    quantising: bool
    """False while the codec still trains as a plain autoencoder."""


@dataclass(frozen=True)
class CodecEpochMetrics(Event):
    """One epoch of the codec, judged on the held-out files."""

    epoch: int
    epochs: int
    train_loss: float
    val_mel_l1_db: float
    """Mean |difference| in dB between the log-mel of held-out sound and its reconstruction, padding left out."""
    best_val_mel_l1_db: float
    best_epoch: int
    is_best: bool
    quantising: bool
    crops_per_second: float
    seconds_left: float
    health: CodebookHealth | None


@dataclass(frozen=True)
class CodecTrainingCompleteEvent(Event):
    """The codec is trained and saved."""

    model: str
    epochs: int
    best_epoch: int
    val_mel_l1_db: float
    health: CodebookHealth | None
    seconds: float
    stopped_early: bool


@dataclass(frozen=True)
class PriorStepMetrics(StepMetrics):
    """One step of the prior."""

    tokens_per_second: float
    train_perplexity: float
    """Of this step's batch, with dropout and hidden codes: above what an epoch's figures say."""


@dataclass(frozen=True)
class PriorEpochMetrics(Event):
    """One epoch of the prior, judged on the held-out files."""

    epoch: int
    epochs: int
    train_loss: float
    val_loss: float
    """Nats per token, summed loss over summed tokens."""
    train_perplexity: float
    val_perplexity: float
    val_perplexity_per_level: tuple[float, ...]
    bits_per_code: float
    unigram_bits_per_code: float
    """What counting single codes gives on the same files; does not change."""
    ngram_bits_per_code: float
    """What counting short patterns gives."""
    best_perplexity: float
    best_epoch: int
    is_best: bool
    learning_rate: float
    tokens_per_second: float
    seconds_left: float
    overfitting_gap: float
    """Bits per code that held-out sounds cost more than known ones, both in eval mode."""
    overfitting_gap_interval: tuple[float, float]
    """Where it lies with 95 %, were other files of the kind held out."""
    copied: float | None
    """Share of a few new sounds that hold longer stretches of the recordings than unseen ones do; None: not looked for."""
    overfitting: bool
    """Whether the gap has grown since the best epoch while known sounds went on getting better."""
    memorization_flag: bool
    memorization_message: str


@dataclass(frozen=True)
class RacedSize:
    """One size of prior in a race, as it stands after a round."""

    hidden_size: int
    num_layers: int
    num_heads: int
    parameters: int
    epochs: int
    """Epochs it has had."""
    bits_per_code: float | None = None
    """Of the held-out files at its best epoch so far; None before the first round."""
    overfitting_gap: float | None = None
    """Bits per code that they cost more than known ones, at that epoch."""
    goes_on: bool = True
    """Whether it is still in the race."""

    @property
    def name(self) -> str:
        """`192 x 4`."""
        return f"{self.hidden_size} x {self.num_layers}"


@dataclass(frozen=True)
class PriorRaceRound(Event):
    """Sizes of prior race for a corpus: how they stand before the first round and after each."""

    round: int
    """0: before the first."""
    rounds: int
    sizes: tuple[RacedSize, ...]

    @property
    def winner(self) -> RacedSize | None:
        """The size that is trained to its end, once it is known."""
        left = [size for size in self.sizes if size.goes_on]
        return left[0] if len(left) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for files and `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class PriorTrainingCompleteEvent(Event):
    """The prior is trained and saved."""

    model: str
    epochs_trained: int
    best_epoch: int
    best_perplexity: float
    final_perplexity: float
    bits_per_code: float
    unigram_bits_per_code: float
    ngram_bits_per_code: float
    overfitting_gap: float
    overfitting_gap_interval: tuple[float, float] | None
    copied: float | None
    newest_epoch: int | None
    """Another epoch that predicts as well and whose sounds hold less of the recordings; kept beside the best."""
    memorization_flag: bool
    memorization_message: str
    tokens_per_second: float
    seconds: float
    stopped_early: bool


@dataclass(frozen=True)
class SynthesiserStepMetrics(StepMetrics):
    """One step of the synthesiser."""


@dataclass(frozen=True)
class SynthesiserEpochMetrics(Event):
    """One epoch of the synthesiser, judged on the held-out files."""

    epoch: int
    epochs: int
    train_loss: float
    val_mrstft: float
    """Multi-resolution STFT distance of held-out sounds from their own mels."""
    best_val_mrstft: float
    shipped_val_mrstft: float
    """The same with the weights that ship with the program."""
    best_epoch: int
    is_best: bool
    crops_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class SynthesiserTrainingCompleteEvent(Event):
    """The synthesiser is trained, and saved if it is better than the shipped one."""

    model: str
    epochs: int
    best_epoch: int
    val_mrstft: float
    shipped_val_mrstft: float
    kept: bool
    """Whether it is in the file; else the model goes on with the shipped one."""
    seconds: float
    stopped_early: bool


@dataclass(frozen=True)
class TimeEstimated(Event):
    """How long all that is to come will take on this machine, told once, by the rate of its first steps."""

    seconds: float


@dataclass(frozen=True)
class Saved(Event):
    """A file was written."""

    path: str
    what: str
    """"model", "sound" or "picture"."""


@dataclass(frozen=True)
class Warned(Event):
    """Something the user should know; work goes on."""

    message: str


@dataclass(frozen=True)
class Judgement(Event):
    """What a test has found, in a word and a sentence; `distill.novelty.verdict` has all of it."""

    verdict: str
    reason: str
    """The figure that decided, in words."""

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        return self.reason

    @property
    def is_warning(self) -> bool:
        """Whether the user should do something about it."""
        return False


@dataclass(frozen=True)
class PreviewWritten(Event):
    """A held-out sound as the model in training makes it, on the disk while the training goes on."""

    stage: str
    epoch: int
    """0: the sound itself, for comparison."""
    source: str
    """The held-out file's name."""
    audio: str
    picture: str


@dataclass(frozen=True)
class Source:
    """What a second of a sound is nearest to, of the recordings that its model has learned from."""

    begins: float
    """Seconds."""
    ends: float
    nearest: str
    nearest_seconds: float
    """Where in that recording the same moment is."""
    unexplained: float
    """Share of its variation that the recording leaves unexplained: 0 is the recording itself."""
    p: float
    """How often an unseen recording is so near."""
    nearer_than_chance: bool


@dataclass(frozen=True)
class SoundWritten(Event):
    """One generated or reconstructed sound is on the disk."""

    path: str
    seconds: float
    done: int
    total: int
    seed: int | None = None
    source: str | None = None
    mel_l1_db: float | None = None
    fidelity: float | None = None
    """Of a reconstruction: how much of the recording is left, 0: as much as in silence, 100: all."""
    score: float | None = None
    """Of a part that was replaced: the mean log-likelihood of what was drawn and of what follows, in nats."""
    unfinished: bool = False
    """Whether making it was stopped: then its file is called so."""
    sources: tuple[Source, ...] | None = None
    """What each second of it is nearest to; None: nobody asked."""
    way: float | None = None
    """Of a morph's steps: how far along it is."""


@dataclass(frozen=True)
class SoundDropped:
    """A sound of a batch that is not worth hearing."""

    seed: int
    reason: str
    """One of `DROPPED`."""
    detail: str = ""
    """Of a copy: what it is like."""


DROPPED = {
    "silent": "silent",
    "clipped": "clipped",
    "cut off": "cut off at --seconds",
    "like a recording": "nearer to a recording than chance explains",
    "like another": "like another one",
    "unlikely": "among the least likely",
    "too likely": "among the most likely",
}
"""Why sounds are left out, and how that is said."""


@dataclass(frozen=True)
class SoundsPicked(Event):
    """Which of many sounds are worth hearing, and why the others are not."""

    asked: int
    of: int
    good: int
    seeds: tuple[int, ...]
    """Those that were picked: the most typical first, then always what differs most from those before it."""
    dropped: tuple[SoundDropped, ...]
    not_compared: str = ""
    """Why none was compared with the recordings; nothing: all were."""

    @property
    def sentence(self) -> str:
        """What was picked, and what was not, in plain words."""
        counted = [(sum(each.reason == reason for each in self.dropped), said) for reason, said in DROPPED.items()]
        why = ", ".join(f"{count} {said}" for count, said in counted if count)
        left_out = f" Left out: {why}." if why else " None was left out for a fault."
        if self.good < self.asked:
            head = f"Only {self.good} of {self.of} sounds {'is' if self.good == 1 else 'are'} worth hearing, not {self.asked}."
            more = " Choose from more of them with --of." if self.of < 1000 else ""
        else:
            head, more = (
                f"Picked {len(self.seeds)} of {self.of} sounds: those of {self.good} good ones that differ most.",
                "",
            )
        not_compared = f" Not compared with the recordings: {self.not_compared}." if self.not_compared else ""
        return head + left_out + not_compared + more

    @property
    def is_short(self) -> bool:
        """Whether there are fewer than were asked for."""
        return self.good < self.asked

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {**asdict(self), "sentence": self.sentence}


@dataclass(frozen=True)
class TempoRead(Event):
    """What a recording says of its time, before loops are made that go with it."""

    file: str
    bpm: float
    beats: int | None
    """Of the whole recording, where it is a loop of so many."""
    bars: int | None
    """Of the whole recording, where it is a loop of whole bars."""
    beats_per_bar: int
    first_beat: float
    """Seconds until its first beat."""
    read_from: str
    """"tags", "name", "length" or "onsets"."""
    loop_seconds: float
    """How long the loops will be."""

    @property
    def sentence(self) -> str:
        """In words."""
        how = {
            "tags": "by its tags",
            "name": "by its name",
            "length": "by its onsets and length",
            "onsets": "by its onsets",
        }
        whole = "" if self.beats is None else f", a loop of {self.beats} beats"
        first = f", the first beat at {self.first_beat:.3f} s" if self.beats is None else ""
        tempo = f"{self.bpm:.6g} beats a minute {how[self.read_from]}{whole}{first}"
        return f"{self.file}: {tempo}. Loops of {self.loop_seconds:.3f} s."


@dataclass(frozen=True)
class GenerationCompleteEvent(Event):
    """All sounds are written."""

    model: str
    seed: int
    sounds: tuple[SoundWritten, ...] = field(default_factory=tuple)
    sampling_seconds: float = 0.0
    synthesis_seconds: float = 0.0
    picked: SoundsPicked | None = None
    """None: all were written."""


@dataclass(frozen=True)
class PackWritten(Event):
    """A pack is there, whole."""

    folder: str
    sounds: int
    kinds: tuple[str, ...]
    kits: tuple[str, ...] = ()
    """Files for samplers."""
    archive: str | None = None
    certificate: str | None = None
    """What its sounds are, and what the copy test found of them."""


@dataclass(frozen=True)
class AgainCompleteEvent(Event):
    """A sound was made again."""

    model: str
    file: str
    """Whose tags said how."""
    path: str
    seconds: float
    seed: int
    same: bool
    """Whether it has the same samples as the file."""
    notes: tuple[str, ...] = ()
    """Why it may have others."""


@dataclass(frozen=True)
class StreamBegun(Event):
    """What goes into a pipe from now on."""

    seed: int
    form: str
    """"raw" or "wav"."""
    channels: int
    rate: int
    endless: bool


@dataclass(frozen=True)
class StreamCompleteEvent(Event):
    """A stream has ended: the sound was over, or nobody heard it any more."""

    model: str
    seed: int
    seconds: float
    """What was written."""


@dataclass(frozen=True)
class ReconstructionCompleteEvent(Event):
    """All sounds have been through the codec, or those that had when it was stopped."""

    model: str
    sounds: tuple[SoundWritten, ...]
    stopped_early: bool = False


@dataclass(frozen=True)
class CorpusScanned(Event):
    """What a folder holds."""

    folder: str
    files_used: int
    files_skipped: tuple[tuple[str, str], ...]
    """Name and reason of each."""
    seconds: float
    train_files: int
    val_files: int
    groups: int
    """Files, near-duplicates counted once."""
    recordings: int = 0
    """Recordings that sounds were cut out of."""
    split_by: str = "file"
    """"time" where stretches of a recording are held out that is learned from otherwise."""
    notes: tuple[tuple[str, str], ...] = ()
    """Name of a file that is used, and what is to be known of how it was read."""
