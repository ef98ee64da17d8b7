"""A training as it is seen on the page: made of its events, whichever stage it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill import events as ev
from distill.audio.pictures import usage_heatmap
from distill.studio.jobs import Job
from distill.ui.charts import Curve, line_chart
from distill.ui.fields import in_page_words
from distill.ui.markup import bar, clock, failed, figures, table, text
from distill.ui.page_state import PageState

EpochMetrics = ev.CodecEpochMetrics | ev.PriorEpochMetrics | ev.SynthesiserEpochMetrics
HEALTH_CLASSES = {"healthy": "good", "some codes underused": "fair", "collapse": "bad"}
UNDERUSED, COLLAPSED = 0.70, 0.30
PREVIEWS_SHOWN = 6


@dataclass(frozen=True)
class LiveView:
    """What the page shows of a training."""

    html: str
    warning: str
    """Why memorization is likely; empty where it is not."""
    running: bool


def live_view(page_state: PageState, job: Job) -> LiveView:
    """Everything about a training, under way or over."""
    events, _ = job.drain()
    epochs = [event for event in events if isinstance(event, EpochMetrics)]
    started: ev.TrainingStarted | None = None
    for event in events:
        if isinstance(event, ev.TrainingStarted | ev.PriorRaceRound):  # of two stages, the one that is under way
            started = event if isinstance(event, ev.TrainingStarted) else None
    races = [event for event in events if isinstance(event, ev.PriorRaceRound)]
    parts = [_status(job, started, races), _race(races)]
    if epochs:
        copied = _copied(epochs)
        parts += [_numbers(job, epochs[-1], copied[-1][1] if copied else None), line_chart(_curve(epochs))]
        parts.append(_copy_chart(epochs))
        health = next((e.health for e in reversed(epochs) if isinstance(e, ev.CodecEpochMetrics) and e.health), None)
        if health is not None:
            parts.append(health_html(health) + _heatmap(page_state, job, health, epochs[-1].epoch))
    parts.append(_previews(page_state, [event for event in events if isinstance(event, ev.PreviewWritten)]))
    parts += [
        f'<p class="d-warn">{text(in_page_words(event.message))}</p>'
        for event in events
        if isinstance(event, ev.Warned)
    ]
    if started is not None:
        parts.append(_settings(started))
    return LiveView("".join(parts), _warning(epochs) if job.running else "", job.running)


def held_out_score(epoch: EpochMetrics) -> float:
    """What an epoch is judged by, on the held-out sounds: error in dB, perplexity, or STFT distance."""
    match epoch:
        case ev.CodecEpochMetrics():
            return epoch.val_mel_l1_db
        case ev.PriorEpochMetrics():
            return epoch.val_perplexity
    return epoch.val_mrstft


def health_html(health: ev.CodebookHealth) -> str:
    """How each level of codes is used, in colours and in words."""
    items = []
    for level in health.levels:
        kind, word = _judged(level.utilisation)
        items.append(
            f'<li class="{kind}"><b>Level {level.level}: <span class="d-{kind}">{word}</span></b><br>'
            f"{level.utilisation:.0%} of its codes are used, {level.dead_codes} never; as if {level.perplexity:.0f} "
            "were used equally.</li>"
        )
    kind = HEALTH_CLASSES.get(health.verdict, "fair")
    return (
        f'<h3>Codes: <span class="d-{kind}">{text(health.verdict)}</span></h3>'
        f'<p class="d-note">{text(in_page_words(health.message))}</p><ul class="d-levels">{"".join(items)}</ul>'
    )


def _judged(utilisation: float) -> tuple[str, str]:
    if utilisation < COLLAPSED:
        return "bad", "hardly used"
    return ("fair", "partly used") if utilisation < UNDERUSED else ("good", "well used")


def _status(job: Job, started: ev.TrainingStarted | None, races: Sequence[ev.PriorRaceRound]) -> str:
    if job.error:
        return failed(job.error)
    if not job.running:
        return _finished(job)
    if job.stopping:
        return f"<p><b>{text(job.title)}</b>: stopping after this step; the best so far is kept.</p>"
    step = job.step
    if isinstance(step, ev.StepMetrics) and started is not None:
        share = step.step / max(step.total_steps, 1)
        how = " as a plain autoencoder" if isinstance(step, ev.CodecStepMetrics) and not step.quantising else ""
        sentence = f"epoch {step.epoch} of {started.epochs}{how}, about {clock(step.seconds_left)} left"
    elif isinstance(step, ev.StepMetrics) and races:
        share = step.step / max(step.total_steps, 1)
        number = min(races[-1].round + 1, races[-1].rounds)
        sentence = f"sizes race, round {number} of {races[-1].rounds}, about {clock(step.seconds_left)} left"
    elif isinstance(step, ev.Progress):
        share, sentence = step.done / max(step.total, 1), f"{step.task}, {step.done} of {step.total}"
    else:
        share, sentence = 0.0, "getting ready"
    return f"<p><b>{text(job.title)}</b>: {text(sentence)}</p>{bar(share, job.title)}"


def _finished(job: Job) -> str:
    done = job.drain()[0][-1:]
    match done:
        case [ev.CodecTrainingCompleteEvent() as last]:
            what = f"held-out error {last.val_mel_l1_db:.2f} dB at epoch {last.best_epoch}"
        case [ev.PriorTrainingCompleteEvent() as last]:
            what = (
                f"held-out perplexity {last.best_perplexity:.2f} at epoch {last.best_epoch}, {last.bits_per_code:.2f} "
                f"bits per code (counting codes: {last.unigram_bits_per_code:.2f})"
            )
        case [ev.SynthesiserTrainingCompleteEvent() as last]:
            what = (
                f"held-out distance {last.val_mrstft:.3f}, {last.shipped_val_mrstft:.3f} with the one every model has"
            )
            what += "" if last.kept else "; not better, so the model stays as it was"
        case _:
            return f"<p><b>{text(job.title)}</b> is done.</p>"
    early = ", stopped early; the best epoch is kept" if last.stopped_early else ""
    return f'<p class="d-good"><b>{text(job.title)} is ready</b> after {clock(last.seconds)}{early}: {what}.</p>'


def _race(rounds: Sequence[ev.PriorRaceRound]) -> str:
    """The race of sizes, one row each."""
    if not rounds:
        return ""
    last = rounds[-1]
    rows = []
    for size in last.sizes:
        fate = "in the race" if size.goes_on else "has left"
        bits, gap = ("–" if each is None else f"{each:.2f}" for each in (size.bits_per_code, size.overfitting_gap))
        rows.append([size.name, f"{size.epochs}", bits, gap, "chosen" if size == last.winner else fate])
    titles = ["Width x layers", "Epochs", "Bits per code, held out", "Known sounds less", ""]
    return "<h3>Which size of prior suits these sounds?</h3>" + table(titles, rows, "Sizes", ["", "n", "n", "n", ""])


def _copied(epochs: Sequence[EpochMetrics]) -> list[tuple[int, float]]:
    """Of the epochs in which it was looked for: the share of new sounds that hold long stretches of the recordings."""
    found = [(each.epoch, each.copied) for each in epochs if isinstance(each, ev.PriorEpochMetrics)]
    return [(epoch, copied) for epoch, copied in found if copied is not None]


def _copy_chart(epochs: Sequence[EpochMetrics]) -> str:
    """Its curve, from two points on."""
    points = [(epoch, 100.0 * copied) for epoch, copied in _copied(epochs)]
    if len(points) < 2:
        return ""
    return line_chart(Curve("New sounds that hold long stretches of the recordings, %", points))


def _numbers(job: Job, last: EpochMetrics, copied: float | None) -> str:
    step = job.step
    rate = step.learning_rate if isinstance(step, ev.StepMetrics) else math.nan
    shared = [("best epoch", f"{last.best_epoch or '–'}"), ("learning rate", f"{rate:.2g}")]
    times = [("at work", clock(job.elapsed))]
    if job.running and not job.stopping:
        times.append(("left", clock(step.seconds_left if isinstance(step, ev.StepMetrics) else last.seconds_left)))
    if isinstance(last, ev.PriorEpochMetrics):
        own = [
            ("perplexity, held-out sounds", f"{last.val_perplexity:.2f}"),
            ("perplexity, known sounds", f"{last.train_perplexity:.2f}"),
            ("tokens per second", f"{last.tokens_per_second:,.0f}"),
        ]
        if copied is not None:
            own.insert(2, ("new sounds with long stretches of recordings", f"{copied:.0%}"))
    elif isinstance(last, ev.SynthesiserEpochMetrics):
        own = [
            ("held-out distance", f"{last.val_mrstft:.3f}"),
            ("before", f"{last.shipped_val_mrstft:.3f}"),
            ("crops per second", f"{last.crops_per_second:.0f}"),
        ]
    else:
        own = [
            ("held-out error", f"{last.val_mel_l1_db:.2f} dB"),
            ("training loss", f"{last.train_loss:.3f}"),
            ("crops per second", f"{last.crops_per_second:.0f}"),
        ]
    return figures([*own, *shared, *times])


def _curve(epochs: Sequence[EpochMetrics]) -> Curve:
    priors = [event for event in epochs if isinstance(event, ev.PriorEpochMetrics)]
    if priors:
        return Curve(
            "Perplexity, held-out sounds",
            [(event.epoch, event.val_perplexity) for event in priors],
            "Perplexity, known sounds",
            [(event.epoch, event.train_perplexity) for event in priors],
            priors[-1].best_epoch,
        )
    synthesisers = [event for event in epochs if isinstance(event, ev.SynthesiserEpochMetrics)]
    if synthesisers:
        return Curve(
            "Held-out distance",
            [(event.epoch, event.val_mrstft) for event in synthesisers],
            "the synthesiser that every model has",
            [(event.epoch, event.shipped_val_mrstft) for event in synthesisers],
            synthesisers[-1].best_epoch,
        )
    codecs = [event for event in epochs if isinstance(event, ev.CodecEpochMetrics)]
    return Curve(
        "Held-out error in dB",
        [(event.epoch, event.val_mel_l1_db) for event in codecs if event.quantising],
        "before codes are used",
        [(event.epoch, event.val_mel_l1_db) for event in codecs if not event.quantising],
        codecs[-1].best_epoch,
    )


def _heatmap(page_state: PageState, job: Job, health: ev.CodebookHealth, epoch: int) -> str:
    path = page_state.room / f"usage-{job.number}-{epoch}.png"
    if not path.exists():
        usage_heatmap(health, path)
        for old in page_state.room.glob(f"usage-{job.number}-*.png"):
            if old != path:
                old.unlink(missing_ok=True)
    return (
        f'<p class="d-note">How often each code is used, a field for each; dark ones never:</p><img class="d-heat" '
        f'src="{page_state.offers.picture(path)}" alt="Usage of the codes at epoch {epoch}">'
    )


def _previews(page_state: PageState, previews: Sequence[ev.PreviewWritten]) -> str:
    if not previews:
        return ""
    cards = "".join(
        f'<article class="d-card"><h3>{f"Epoch {each.epoch}" if each.epoch else "The sound itself"}: '
        f"{text(Path(each.source).name)}</h3>"
        f'<img loading="lazy" src="{page_state.offers.picture(Path(each.picture))}" alt="Picture of the preview">'
        f'<audio controls preload="none" src="{page_state.offers.player(Path(each.audio))}" '
        f'aria-label="Play the preview of epoch {each.epoch}"></audio></article>'
        for each in [*previews[:1], *reversed(previews[1:][1 - PREVIEWS_SHOWN :])]
    )
    return f'<h3>Previews: held-out sounds through the codec</h3><div class="d-cards">{cards}</div>'


def _settings(started: ev.TrainingStarted) -> str:
    named = ", ".join(
        f"{name} {value} ({started.origin[name]})" for name, value in started.settings.items() if name in started.origin
    )
    return (
        f'<p class="d-note">{started.train_files} sounds to learn from, {started.val_files} held out; '
        f"{started.parameters / 1e6:.1f} M parameters on {text(started.device)}. Settings: {text(named)}.</p>"
    )


def _warning(epochs: Sequence[EpochMetrics]) -> str:
    last = epochs[-1] if epochs else None
    if not isinstance(last, ev.PriorEpochMetrics):
        return ""
    best = next((e for e in epochs if e.epoch == last.best_epoch and isinstance(e, ev.PriorEpochMetrics)), last)
    flagged = next((event for event in (last, best) if event.memorization_flag), None)
    reasons = [flagged.memorization_message] if flagged is not None else []
    if last.overfitting:
        reasons.append(
            f"Since epoch {last.best_epoch} it gets better on sounds it knows and worse on those it does not: it has begun "
            "to learn them by heart."
        )
    return in_page_words(" ".join(reasons))
