"""A model from Python: `distill.load`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from distill.audio.finishing import finished
from distill.audio.griffin_lim import Synthesiser
from distill.audio.mel import log_mel_of
from distill.audio.returning import returned
from distill.audio.tagging import read_tags
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.events import PackWritten, Progress, SoundsPicked
from distill.instrument.asked import Asked, asked_of, span_in
from distill.instrument.choosing import Sampled
from distill.instrument.kits import KitFormat
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.recordings import encode_recording, level_of_all
from distill.instrument.rendering import to_samples
from distill.instrument.streaming import LongSound, is_long
from distill.instrument.synthesisers import choose_synthesiser
from distill.instrument.tempo import with_tempo
from distill.library.models import find_model
from distill.modelfile.card import ModelCard
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.image import with_own_image
from distill.models.likelihood import log_likelihood
from distill.models.sampling import clip_generator
from distill.novelty.attribution import AttributionReport
from distill.novelty.verdict import NoveltyReport
from distill.places import given_path
from distill.settings.generation import GenerationSettings, generation_settings, steps_of
from distill.settings.geometry import BANDS, COLUMN_SECONDS, SAMPLE_RATE
from distill.studio.arrays import Samples, planes_of, recording_of
from distill.studio.attributing import attribute as attribute_sound
from distill.studio.evaluating import evaluate
from distill.studio.exporting import ExportCompleteEvent, export_onnx
from distill.studio.judging import novelty as judge_novelty
from distill.studio.mapping import MapReport, map_sounds
from distill.studio.packing import PackRequest, generate_pack
from distill.studio.picking import picked_sounds
from distill.studio.reconstructing import as_sound, through_the_codec
from distill.studio.repeating import repeat_of

Place = str | os.PathLike[str]


class Sounds(NamedTuple):
    """Sounds as arrays."""

    samples: npt.NDArray[np.float32]
    """[count, channels, samples], shorter sounds filled up with silence; of one sound [channels, samples]."""
    rate: int
    """Samples in a second: 48,000 unless another was asked for."""


class PickedSounds(NamedTuple):
    """Sounds that are worth hearing, of many."""

    samples: npt.NDArray[np.float32]
    """[count, channels, samples]: the most typical first, then always what differs most from those before it."""
    rate: int
    picked: SoundsPicked
    """Their seeds, and for each sound that was left out its seed and why; `sentence` says it in words."""


class Model:
    """A model that is ready to make sound; `load` opens one."""

    def __init__(self, loaded: LoadedVQModel, device: torch.device) -> None:
        self._loaded = loaded
        self._device = device
        self._synthesisers: dict[str, Synthesiser] = {}

    def __repr__(self) -> str:
        prior = "codec and prior" if self._loaded.prior is not None else "codec, no prior yet"
        return f"<distill model {self.name}: {prior}>"

    @property
    def name(self) -> str:
        """What it is called: its file's name."""
        return self.path.stem

    @property
    def path(self) -> Path:
        """Its file."""
        return self._loaded.path

    @property
    def card(self) -> ModelCard:
        """What its file says of it: settings, corpus, figures."""
        return self._loaded.card

    def generate(self, count: int = 8, seconds: float = 1.0, seed: int | None = None, **settings: Any) -> Sounds:
        """New sounds. Sound number i of seed s is sound 0 of seed s + i.

        Args:
            seconds: the longest that each may be.
            seed: None: a new one each time.
            settings: those of `distill generate`: temperature, top_k, top_p, min_p, ending, level, texture, synthesiser,
                mono, rate, normalise, lufs, trim, fade_in, fade_out.
                brightness, loudness, pitch and onsets may be curves: [0, 1, 0.3], spread evenly over the sound, or [(seconds,
                value), ...].

        Returns:
            float32 samples [count, channels, samples] within +-1, and their rate.

        Raises:
            DistillError: the model has no prior yet, or a setting cannot be.
        """
        chosen = generation_settings(count=count, seconds=seconds, seed=seed, **settings)
        return self._made(chosen, asked_of(chosen))

    def pick(
        self, count: int = 12, of: int = 100, seconds: float = 1.0, seed: int | None = None, **settings: Any
    ) -> PickedSounds:
        """A batch worth hearing: of many new sounds those that are no copies, not faulty, not odd, and unlike each other.

        Args:
            count: how many; there are fewer where fewer are good, which `picked` says.
            of: how many are made to choose from: sound number i of them has the seed `seed` + i.
            settings: as of `generate`.

        Raises:
            DistillError: none is good, the model has no prior yet, or a setting cannot be.
        """
        chosen = generation_settings(pick=count, of=of, seconds=seconds, seed=seed, **settings)
        sounds, picked = self._sounds(chosen, asked_of(chosen))
        assert picked is not None
        return PickedSounds(*sounds, picked)

    def continue_(
        self, samples: Samples, rate: int, seconds: float = 1.0, *, count: int = 1, seed: int | None = None,
        **settings: Any,
    ) -> Sounds:  # fmt: skip
        """A sound that goes on: the sound itself, then up to `seconds` more.

        Args:
            samples: [samples] or [channels, samples], full scale 1, at least 0.17 s; the last seconds of it are heard.
            rate: their rate in Hz.
            count, seed, settings: as of `generate`.

        Returns:
            [count, channels, samples]. The part that was given is the recording as it is, but for a crossfade of 21 ms
            before what is new.

        Raises:
            DistillError: it is no sound or too short, or a setting cannot be.
        """
        chosen = generation_settings(seconds=seconds, count=count, seed=seed, **settings)
        return self._made(chosen, Asked("continue", (recording_of(samples, rate),)))

    def replace(
        self, samples: Samples, rate: int, begin: float, end: float, *, candidates: int = 4, seed: int | None = None,
        **settings: Any,
    ) -> Sounds:  # fmt: skip
        """A sound of which a part is filled anew, between what stands before and after it.

        Args:
            begin, end: the part, in seconds.
            candidates: how many ways to fill it.

        Returns:
            [candidates, channels, samples], each as long as the sound, the likeliest first.

        Raises:
            DistillError: the part is not in the sound, or the prior hears the past alone.
        """
        recording = recording_of(samples, rate)
        chosen = generation_settings(count=candidates, seed=seed, **settings)
        return self._made(chosen, Asked("replace", (recording,), span_in(recording, begin, end)))

    def vary(
        self, samples: Samples, rate: int, amount: float = 0.3, *, count: int = 1, seed: int | None = None,
        **settings: Any,
    ) -> Sounds:  # fmt: skip
        """Variations of a sound, each as long as it.

        Args:
            amount: over 0, at most 1: little draws its finest codes anew here and there, 1 all of its codes.

        Returns:
            [count, channels, samples].

        Raises:
            DistillError: as `continue_`, or the prior hears the past alone.
        """
        chosen = generation_settings(amount=amount, count=count, seed=seed, **settings)
        return self._made(chosen, Asked("vary", (recording_of(samples, rate),)))

    def bridge(
        self, first: Samples, first_rate: int, second: Samples, second_rate: int, seconds: float = 1.0, *,
        count: int = 1, seed: int | None = None, **settings: Any,
    ) -> Sounds:  # fmt: skip
        """One sound that leads to another: the first, `seconds` of new sound, the second.

        Returns:
            [count, channels, samples].

        Raises:
            DistillError: as `vary`.
        """
        chosen = generation_settings(seconds=seconds, count=count, seed=seed, **settings)
        both = recording_of(first, first_rate), recording_of(second, second_rate)
        return self._made(chosen, Asked("bridge", both))

    def like(
        self, samples: Samples, rate: int, strength: float = 0.5, *, count: int = 1, seed: int | None = None,
        **settings: Any,
    ) -> Sounds:  # fmt: skip
        """New sounds after a recording, each as long as it.

        Args:
            strength: 0: not after it at all, 1: as closely as this model can.

        Returns:
            [count, channels, samples].

        Raises:
            DistillError: as `continue_`.
        """
        chosen = generation_settings(like_strength=strength, count=count, seed=seed, **settings)
        return self._made(chosen, Asked("like", (recording_of(samples, rate),)))

    def more_like(
        self, samples: Samples, rate: int, strength: float = 0.5, *, count: int = 1, seed: int | None = None,
        **settings: Any,
    ) -> Sounds:  # fmt: skip
        """More sounds of the sort of one: half as closely after it as `like`, and as bright and as high (as wishes).

        Args:
            strength: as of `like`.

        Returns:
            [count, channels, samples].

        Raises:
            DistillError: as `continue_`.
        """
        chosen = generation_settings(like_strength=strength, count=count, seed=seed, **settings)
        return self._made(chosen, Asked("more-like", (recording_of(samples, rate),)))

    def morph(
        self, first: Samples, first_rate: int, second: Samples, second_rate: int, steps: int = 7, *,
        seed: int | None = None, **settings: Any,
    ) -> Sounds:  # fmt: skip
        """From one sound to another in steps, all of one seed: each after a mixture of both, and as bright, as high, as loud
        and as long as between them.

        Args:
            steps: how many, from one after the first to one after the second; at least 2.
            settings: as of `generate`; like_strength is how closely they are followed.

        Returns:
            [steps, channels, samples], shorter sounds filled up with silence.

        Raises:
            DistillError: as `continue_`.
        """
        chosen = generation_settings(steps=steps, count=steps, seed=seed, **settings)
        both = recording_of(first, first_rate), recording_of(second, second_rate)
        return self._made(chosen, Asked("morph", both, ways=steps_of(steps)))

    def loop(
        self, *, bpm: float | None = None, bars: int | None = None, beats: int | None = None, seconds: float | None = None,
        tempo_from: Place | None = None, count: int = 1, seed: int | None = None, **settings: Any,
    ) -> Sounds:  # fmt: skip
        """Loops whose end runs into their beginning: of `bars` of `beats` at `bpm`, or of `seconds`.

        Args:
            bars, beats: None: one bar of four beats, or those of the recording.
            tempo_from: a recording whose tempo they have, and as many bars where it is a loop of whole bars.

        Returns:
            [count, channels, samples], to the sample as long as that.

        Raises:
            DistillError: neither a tempo nor seconds, the recording has no tempo, or the prior hears the past alone.
        """
        length = {"bpm": bpm, "bars": bars, "beats": beats, "seconds": seconds}
        length["tempo_from"] = None if tempo_from is None else Path(tempo_from)  # type: ignore[assignment]
        chosen = generation_settings(loop=True, count=count, seed=seed, **length, **settings)
        return self._made(chosen, Asked("loop"))

    def pack(
        self, folder: Place, *, licence: str = "", kits: Sequence[KitFormat] = (), zipped: bool = False,
        overwrite: bool = False, certificate: bool = False, **settings: Any,
    ) -> PackWritten:  # fmt: skip
        """New sounds as a pack on the disk, as `distill generate --pack`: by kind, with names, a page and pictures.

        Args:
            folder: a new one.
            licence: a line that stands in it.
            kits: of "sfz" and "decentsampler": playable kits, with `count` sounds of every kind.
            zipped: whether there shall be a .zip beside it.
            overwrite: whether a pack that is there is replaced.
            certificate: whether the sounds are judged, and what is found is put into it; `distill.verify` checks it.
            settings: of `generate`.

        Raises:
            DistillError: something of that name is there, or a setting cannot be.
        """
        request = PackRequest(Path(folder), licence, tuple(kits), zipped, overwrite, certificate)
        work = generate_pack(os.fspath(self.path), request, generation_settings(**settings), self._device.type)
        return next(event for event in work if isinstance(event, PackWritten))

    def again(self, sound: Place, *sources: Place) -> Sounds:
        """The sound of a file that this model has made, again: by its tags, the same to the sample.

        Args:
            sound: the file.
            sources: where the recordings are now that it was made from; none: where they were, or beside the file.

        Returns:
            [1, channels, samples], before they are rounded for a file.

        Raises:
            DistillError: the file does not say how it was made, another model made it (or this one before it was trained
                again), or a recording is gone.
        """
        path = given_path(os.fspath(sound))
        tags = read_tags(path)
        repeat = repeat_of(path, tags, [Path(each) for each in sources])
        if self._loaded.digest != tags.model_sha256:
            raise DistillError(
                f"{self.name} is not the model that made {path.name}, or was changed since. `distill.again(file)` looks for it."
            )
        return self._made(repeat.request.alone(repeat.seed), asked_of(repeat.found))

    def stream(
        self, seconds: float | None = None, seed: int | None = None, **settings: Any
    ) -> Iterator[npt.NDArray[np.float32]]:
        """One new sound while it is made, in constant memory.

        Args:
            seconds: the longest that it may be; None: it goes on as long as blocks are taken.
            seed: None: a new one each time.
            settings: as of `generate`.

        Returns:
            An iterator of blocks, float32 [channels, samples] within +-1 at 48 kHz, of any length, the first within half a
            second. Together they are what `generate` makes of the same seed; a sound of at most four seconds is one block.

        Raises:
            DistillError: the model has no prior yet, or a setting cannot be.
        """
        length = {} if seconds is None else {"seconds": seconds}
        chosen = generation_settings(**{"count": 1, **settings}, seed=seed, **length).seeded()
        if chosen.verb is not None or chosen.count != 1:
            raise DistillError("stream: it is one new sound; leave count and what begins with recordings out.")
        if self._loaded.prior is None:
            raise DistillError(f"{self.path} has a codec and no prior yet: nothing can be generated.")
        synthesise = self._synthesiser(chosen.synthesiser)
        if seconds is None or is_long(self._loaded, chosen):
            (own,) = chosen.seeds()
            return iter(LongSound(self._loaded, chosen, own, synthesise, endless=seconds is None))
        made = made_sounds(self._loaded, chosen, synthesise)
        return (each.samples for each in made if not isinstance(each, Progress))

    def encode(self, samples: Samples, rate: int) -> npt.NDArray[np.int64]:
        """A sound as codes.

        Args:
            samples: [samples] or [channels, samples], full scale 1.
            rate: their rate in Hz.

        Returns:
            [positions, levels]: 8 positions, from low to high, for each column of 0.17 s; of a stereo model the last level
            is the image.

        Raises:
            DistillError: it is no sound, or shorter than 20 ms.
        """
        recording = recording_of(samples, rate)
        return encode_recording(self._loaded, recording, level_of_all(self._loaded, (recording,))).numpy()

    def decode(
        self, codes: npt.NDArray[np.integer], *, seed: int | None = None, synthesiser: str = "auto", **settings: Any
    ) -> Sounds:
        """The sound of codes, as loud as the model makes sounds of such codes.

        Args:
            codes: [positions, levels], as `encode` gives them; a multiple of 8 positions.
            settings: of `generate`: level, texture, mono, rate, normalise, lufs, trim, fade_in, fade_out.

        Returns:
            [channels, samples].

        Raises:
            DistillError: the codes are not of this model.
        """
        checked = self._codes(codes)
        seconds = len(checked) // BANDS * COLUMN_SECONDS
        chosen = generation_settings(seed=seed, seconds=seconds, synthesiser=synthesiser, **settings).seeded()
        sampled = Sampled(checked, ended=False, log_likelihood=torch.zeros(checked.shape))
        generator = clip_generator(chosen.seeds()[0])
        made = to_samples(self._loaded, sampled, self._synthesiser(synthesiser), generator, chosen)
        return Sounds(finished(made, chosen).samples, chosen.rate)

    def likelihood(self, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """How likely the prior takes each code to be after those before it.

        Args:
            codes: [positions, levels], from the beginning of a sound on.

        Returns:
            [positions, levels], natural logarithms; 0 for stereo images that columns share, which are not judged.

        Raises:
            DistillError: the codes are not of this model, or it has no prior yet.
        """
        if self._loaded.prior is None:
            raise DistillError(f"{self.path} has a codec and no prior yet: it cannot say what is likely.")
        return log_likelihood(self._loaded.prior, self._codes(codes)).numpy()

    def _codes(self, codes: npt.NDArray[np.integer]) -> torch.Tensor:
        given = np.asarray(codes)
        config, image = self.card.vqvae_config, self.card.image_size
        sizes = [config.codebook_size] * config.rvq_levels + ([] if image is None else [image])
        fits = given.ndim == 2 and given.shape[1] == len(sizes) and len(given) and len(given) % BANDS == 0
        if not fits or not np.issubdtype(given.dtype, np.integer):
            raise DistillError(
                f"codes of shape {given.shape}: give whole numbers [positions, {len(sizes)}], {BANDS} positions a column."
            )
        if given.min() < 0 or bool((given.max(0) >= sizes).any()):
            raise DistillError(
                f"codes from {given.min()} to {given.max()}: those of this model are from 0 to {sizes[0] - 1}."
            )
        return torch.from_numpy(given.astype(np.int64))

    def _made(self, settings: GenerationSettings, asked: Asked | None) -> Sounds:
        return self._sounds(settings, asked)[0]

    def _sounds(self, settings: GenerationSettings, asked: Asked | None) -> tuple[Sounds, SoundsPicked | None]:
        """Sounds, and of many what was left out."""
        chosen = with_tempo(settings)[0].seeded()
        making = made_sounds if chosen.pick is None else picked_sounds
        events = list(making(self._loaded, chosen, self._synthesiser(chosen.synthesiser), asked=asked))
        made = [finished(each.samples, chosen).samples for each in events if isinstance(each, MadeSound)]
        longest = max(each.shape[1] for each in made)
        stacked = np.stack([np.pad(samples, ((0, 0), (0, longest - samples.shape[1]))) for samples in made])
        picked = next((each for each in events if isinstance(each, SoundsPicked)), None)
        return Sounds(stacked, chosen.rate), picked

    def reconstruct(self, samples: npt.NDArray[np.floating], rate: int, *, synthesiser: str = "auto") -> Sounds:
        """A sound through the codec and back.

        Args:
            samples: [samples] or [channels, samples], full scale 1; two channels stay two where the model is stereo, else
                channels are mixed.
            rate: their rate in Hz.

        Returns:
            float32 samples [channels, samples] at 48 kHz, as long and as loud as what was given.

        Raises:
            DistillError: it is no sound, or shorter than 20 ms.
        """
        planes = planes_of(samples, rate)
        mono = planes[0]
        mel = log_mel_of(mono, self.card.spectrogram_config)
        made, _ = through_the_codec(self._loaded, mel, self._device)
        waveform = _result(as_sound(self._synthesiser(synthesiser), made, "samples"))
        middle = returned(waveform, torch.from_numpy(mono), rate)
        return Sounds(with_own_image(middle, planes, rate, self._loaded.image is not None).numpy(), SAMPLE_RATE)

    def evaluate(self, *sounds: Place, synthesiser: str = "auto") -> dict[str, Any]:
        """What is lost in the codec and in synthesis, as `distill evaluate --json` says it.

        Args:
            sounds: files and folders; none: the model's own held-out recordings. Those it has learned from are left out.

        Returns:
            Means, and under "sounds" the figures of each; `fidelity` is 0 for silence and 100 for the recording itself. Of a
            stereo model also `image_level_db` and `image_coherence`, how far the image is from the recording's; None for
            sounds that are mono.

        Raises:
            DistillError: there is no sound to measure it by.
        """
        given = [Path(sound) for sound in sounds]
        for event in evaluate(os.fspath(self.path), given, self._device.type, synthesiser):
            if isinstance(event, EvaluationCompleteEvent):
                return event.to_dict()
        raise AssertionError

    def novelty(self, *sounds: Place, dataset: Place | None = None, **settings: Any) -> dict[str, Any]:
        """Whether sounds are new or the model's recordings played back, as `distill novelty --json` says it.

        Args:
            sounds: files and folders to judge; none: 64 new sounds.
            dataset: where the recordings are now; None: where they were.
            settings: what to make, as of `generate`; `count` is 64 unless it is given.

        Returns:
            `verdict`, `copy_rate`, `p_value`, `coherence_z` and others, and under "files" the figures of each sound.

        Raises:
            DistillError: there is no prior and no sound, or neither codes nor recordings to compare with.
        """
        given = [Path(sound) for sound in sounds] or None
        chosen = generation_settings(**{"count": 64, **settings})
        where = None if dataset is None else Path(dataset)
        work = judge_novelty(os.fspath(self.path), given, chosen, where, self._device.type)
        return next(event for event in work if isinstance(event, NoveltyReport)).to_dict()

    def attribute(
        self, samples: Samples, rate: int, *, suspects: int = 4, dataset: Place | None = None
    ) -> dict[str, Any]:
        """Which of the model's recordings a sound is from, as `distill attribute --json` says it; a minute or two.

        Args:
            samples: [samples] or [channels, samples], full scale 1, at least 0.17 s.
            rate: their rate in Hz.
            suspects: how many of the nearest recordings are left out in turn.
            dataset: where the recordings are now; None: where they were.

        Returns:
            `verdict`, `first` (None where that cannot be told), `reason`, and under "suspects" the share of each with its
            interval.

        Raises:
            DistillError: it is no sound or too short, or the model keeps no codes or has too few recordings.
        """
        where = None if dataset is None else Path(dataset)
        sound = recording_of(samples, rate)
        work = attribute_sound(sound, os.fspath(self.path), suspects, where, self._device.type)
        return next(event for event in work if isinstance(event, AttributionReport)).to_dict()

    def export_onnx(self, folder: Place, *, overwrite: bool = False) -> dict[str, Any]:
        """Write the model for plug-ins and other programs, as `distill export --onnx` (docs/export.md).

        Args:
            folder: a new or empty one.
            overwrite: replace a model that was exported there.

        Returns:
            What `distill export --json` says: `files`, `largest_difference`, `lacks`.

        Raises:
            DistillError: the packages of `distill[onnx]` are not installed, or the folder cannot be written.
        """
        work = export_onnx(os.fspath(self.path), Path(folder), overwrite)
        return next(event for event in work if isinstance(event, ExportCompleteEvent)).to_dict()

    def map(self, *sounds: Place, out: Place | None = None, dataset: Place | None = None) -> dict[str, Any]:
        """Where the model's recordings, and other sounds, are on a map: sounds that are alike lie near each other.

        Args:
            sounds: files and folders to place beside the recordings.
            out: an HTML page to write, which plays what is clicked; None: none.
            dataset: where the recordings are now, to be played; None: where they were.

        Returns:
            As `distill map --json` says it: `neighbours_kept`, and under "points" each sound's name, what it is, kind, x and y
            from 0 to 1, seconds and file.

        Raises:
            DistillError: there are neither codes nor recordings in the model, or no sound in a place.
        """
        target, where = (None if place is None else Path(place) for place in (out, dataset))
        work = map_sounds(os.fspath(self.path), [Path(sound) for sound in sounds], target, where, self._device.type)
        return next(event for event in work if isinstance(event, MapReport)).to_dict()

    def _synthesiser(self, name: str) -> Synthesiser:
        if name not in self._synthesisers:
            self._synthesisers[name] = choose_synthesiser(self._loaded, name, self._device)
        return self._synthesisers[name]


def load(model: Place, device: str = "auto") -> Model:
    """Open a model.

    Args:
        model: its name in the library, or the path of its file.
        device: auto, cpu, cuda or mps.

    Raises:
        DistillError: there is none, or its file is damaged.
    """
    chosen = choose_device(device)
    return Model(load_model(find_model(os.fspath(model)), chosen), chosen)


def _result(events: Any) -> Any:
    """What a generator of events returns."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value
