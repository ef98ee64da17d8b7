"""Events rendered on stderr with Rich: progress with time left, one line an epoch, plain words at the end."""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from distill import events as ev
from distill.counting import counted
from distill.places import shell_quoted

NAMED_AT_MOST = 3
PLAIN_SECONDS = 5.0
"""Where stderr is not a terminal, epochs are reported at most this often."""


def duration(seconds: float) -> str:
    """`75` -> `1:15`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Screen:
    """Shows events as they come. Everything goes to stderr; stdout stays free for `--json`."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[item]}"), console=self.console, transient=True,
            disable=quiet or not self.console.is_terminal,
        )  # fmt: skip
        self.tasks: dict[str, TaskID] = {}
        self.last_plain = 0.0
        self.plain_steps = 0.0
        self.begun = time.monotonic()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def say(self, text: str, style: str | None = None) -> None:
        """One line, or several."""
        self.console.print(escape("\n".join(map(printable, text.split("\n")))), style=style)

    def show(self, event: ev.Event) -> None:
        """Render one event."""
        match event:
            case ev.Progress():
                self._advance(event.task, event.done, event.total, event.item)
                if (
                    not self.console.is_terminal
                    and time.monotonic() - self.begun > PLAIN_SECONDS
                    and self._due("steps")
                ):
                    self.say(f"{event.task}: {event.done} of {event.total}, {event.item}".rstrip(", "))
            case ev.CorpusScanned():
                self.scanned_event(event)
            case ev.TrainingStarted():
                self._started(event)
            case ev.StepMetrics():
                left = f"{duration(event.seconds_left)} left"
                self._advance("training", event.step, event.total_steps, left)
                if not self.console.is_terminal and self._due("steps"):
                    self.say(f"step {event.step}/{event.total_steps}, loss {event.loss:.3f}, {left}")
            case ev.CodecEpochMetrics() | ev.PriorEpochMetrics() | ev.SynthesiserEpochMetrics():
                self._epoch(event)
            case ev.PriorRaceRound():
                self._race(event)
            case ev.Judgement():
                self.say(f"Novelty: {event.verdict}. {event.sentence}", "bold yellow" if event.is_warning else None)
            case ev.TimeEstimated():
                minutes = max(1, round(event.seconds / 60))
                self.say(f"About {'a minute' if minutes == 1 else f'{minutes} minutes'} on this machine, all in.")
            case ev.TempoRead():
                self.say(event.sentence)
            case ev.SoundsPicked():
                self.say(event.sentence, "yellow" if event.is_short else None)
            case ev.Warned():
                self.say(f"Note: {event.message}", "yellow")
            case ev.Saved():
                self.say(f"Saved {event.what} {event.path}", "green")
            case ev.PreviewWritten():
                self.say(f"Preview of {event.source}: {event.audio}", "dim")
            case ev.SoundWritten():
                left = "" if event.fidelity is None else f", {event.fidelity:.0f} of 100 of the original"
                part = ", stopped before its end" if event.unfinished else ""
                self.say(f"{event.path} ({event.seconds:.2f} s{left}{part})")
            case ev.StreamBegun():
                channels = "1 channel" if event.channels == 1 else f"{event.channels} channels"
                what = "32-bit float little-endian samples" if event.form == "raw" else "WAV, 24 bit"
                end = "Close the pipe, or press Ctrl-C, to end it." if event.endless else ""
                self.say(f"Seed {event.seed}: {what}, {event.rate} Hz, {channels}. {end}".rstrip())
            case ev.StreamCompleteEvent():
                self.say(f"{event.seconds:.1f} s, seed {event.seed}")
            case ev.CodecTrainingCompleteEvent():
                self._codec_done(event)
            case ev.PriorTrainingCompleteEvent():
                self._prior_done(event)
            case ev.SynthesiserTrainingCompleteEvent():
                self._synthesiser_done(event)
            case ev.PackWritten():
                self._pack(event)
            case ev.GenerationCompleteEvent():
                seconds = sum(sound.seconds for sound in event.sounds)
                self.say(
                    f"{counted(len(event.sounds), 'sound')}, {seconds:.1f} s, seed {event.seed} "
                    f"(sampling {event.sampling_seconds:.1f} s, synthesis {event.synthesis_seconds:.1f} s)"
                )

    def _pack(self, event: ev.PackWritten) -> None:
        self.say(f"Pack of {counted(event.sounds, 'sound')} ({', '.join(event.kinds)}): {event.folder}", "green")
        for kit in event.kits:
            self.say(f"  for samplers: {kit}")
        if event.archive is not None:
            self.say(f"  archive: {event.archive}")
        if event.certificate is not None:
            self.say(f"  certificate: {event.certificate}")

    def _advance(self, task: str, done: int, total: int, item: str) -> None:
        if task not in self.tasks:
            for old in self.tasks.values():
                self.bar.remove_task(old)
            self.tasks = {task: self.bar.add_task(task, total=total, item="")}
        self.bar.update(self.tasks[task], completed=done, total=total, item=escape(printable(item)[-40:]))

    def _due(self, what: str) -> bool:
        now = time.monotonic()
        last = self.plain_steps if what == "steps" else self.last_plain
        if now - last < PLAIN_SECONDS:
            return False
        if what == "steps":
            self.plain_steps = now
        else:
            self.last_plain = now
        return True

    def scanned_event(self, event: ev.CorpusScanned) -> None:
        by_time = ", by time" if event.split_by == "time" else ""
        self.say(
            f"{event.files_used} sounds, {duration(event.seconds)} in all; {event.train_files} to learn from, "
            f"{event.val_files} held out to judge by{by_time}"
        )
        for names, reason in alike(event.files_skipped):
            self.say(f"  skipped {names}: {reason}", "yellow")
        for names, note in alike(event.notes):
            self.say(f"  note on {names}: {note}", "yellow")

    def _started(self, event: ev.TrainingStarted) -> None:
        self.say(
            f"Training the {event.stage} on {event.device}: {event.parameters / 1e6:.1f} M parameters, {event.epochs} epochs. "
            "Ctrl-C stops and keeps the best so far."
        )
        shown = [
            f"{name}={value} ({event.origin[name]})" for name, value in event.settings.items() if name in event.origin
        ]
        self.say("  " + ", ".join(shown), "dim")

    def _epoch(self, event: ev.CodecEpochMetrics | ev.PriorEpochMetrics | ev.SynthesiserEpochMetrics) -> None:
        final = event.epoch == event.epochs
        if not self.console.is_terminal and not final and not self._due("epochs"):
            return
        mark = " *" if event.is_best else ""
        if isinstance(event, ev.CodecEpochMetrics):
            how = "" if event.quantising else " (plain autoencoder)"
            text = f"held-out error {event.val_mel_l1_db:.2f} dB{how}{mark}"
        elif isinstance(event, ev.SynthesiserEpochMetrics):
            text = f"held-out STFT distance {event.val_mrstft:.3f} (as shipped {event.shipped_val_mrstft:.3f}){mark}"
        else:
            text = f"held-out perplexity {event.val_perplexity:.2f} ({event.bits_per_code:.2f} bits per code){mark}"
            if event.overfitting:
                text += f", overfitting since epoch {event.best_epoch}"
            if event.copied is not None:
                text += f", {event.copied:.0%} of a few new sounds hold long stretches of the recordings"
            if event.memorization_flag and event.is_best:
                text += f"\n  Memorization? {event.memorization_message}"
        self.say(
            f"epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.3f}, {text}, {duration(event.seconds_left)} left"
        )

    def _codec_done(self, event: ev.CodecTrainingCompleteEvent) -> None:
        early = " (stopped early)" if event.stopped_early else ""
        self.say(
            f"Codec ready after {duration(event.seconds)}{early}: held-out error {event.val_mel_l1_db:.2f} dB "
            f"at epoch {event.best_epoch}. Codes: {event.health.verdict if event.health else 'not measured'}."
        )
        if event.health and event.health.verdict != "healthy":
            self.say(event.health.message, "yellow")

    def _prior_done(self, event: ev.PriorTrainingCompleteEvent) -> None:
        early = " (stopped early)" if event.stopped_early else ""
        self.say(
            f"Prior ready after {duration(event.seconds)}{early}: held-out perplexity {event.best_perplexity:.2f} at epoch "
            f"{event.best_epoch}; {event.bits_per_code:.2f} bits per code. Counting single codes gives "
            f"{event.unigram_bits_per_code:.2f}, short patterns {event.ngram_bits_per_code:.2f}; known sounds cost "
            f"{event.overfitting_gap:.2f} bits less."
        )
        if event.newest_epoch is not None:
            self.say(
                f"Epoch {event.newest_epoch} predicts as well and holds less of the recordings; it is kept too: "
                f"`distill checkpoint {shell_quoted(Path(event.model).stem)} newest` puts it in force."
            )
        if event.memorization_flag:
            self.say(event.memorization_message, "bold yellow")

    def _race(self, event: ev.PriorRaceRound) -> None:
        if event.round == 0:
            sizes = [size.name for size in event.sizes]
            self.say(
                f"Which size of prior suits these sounds? {', '.join(sizes[:-1])} and {sizes[-1]} race on the held-out ones; "
                "--preset draft or --hidden-size goes without."
            )
            return
        most = max(size.epochs for size in event.sizes)
        for size in event.sizes:
            if size.epochs < most or size.bits_per_code is None or size.overfitting_gap is None:
                continue  # it has left before
            fate = "goes on" if size.goes_on else "leaves"
            if size == event.winner:
                fate = "is trained to the end"
            self.say(
                f"  {size.name}: {size.bits_per_code:.2f} bits per code at epoch {size.epochs}, known sounds cost "
                f"{size.overfitting_gap:.2f} less; {fate}",
                None if size.goes_on else "dim",
            )

    def _synthesiser_done(self, event: ev.SynthesiserTrainingCompleteEvent) -> None:
        early = " (stopped early)" if event.stopped_early else ""
        what = "Synthesiser ready" if event.kept else "The synthesiser was not replaced"
        self.say(
            f"{what} after {duration(event.seconds)}{early}: held-out STFT distance {event.val_mrstft:.3f} at epoch "
            f"{event.best_epoch}, {event.shipped_val_mrstft:.3f} as shipped."
        )


def alike(said: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Names and what is said of them: once for all that have it in common, numbers aside, in the words of the first."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, text in said:
        groups.setdefault(re.sub(r"\d[\d.e+]*", "0", text), []).append((name, text))
    for each in groups.values():
        names = ", ".join(name for name, _ in each[:NAMED_AT_MOST])
        more = f" and {len(each) - NAMED_AT_MOST} more" if len(each) > NAMED_AT_MOST else ""
        differ = " (the first; the others likewise)" if len({text for _, text in each}) > 1 else ""
        yield names + more, each[0][1] + differ


def printable(text: str) -> str:
    """A name or a sentence for the screen: whatever is not text is shown escaped."""
    with contextlib.suppress(UnicodeEncodeError):  # half a character of UTF-16, which names on Windows may hold
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
