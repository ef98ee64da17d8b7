"""What a model's file says of itself: a few lines on its card, or all of it, as `distill info` shows."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from distill import studio
from distill.corpus.collections import folder_title
from distill.events import CodebookHealth
from distill.modelfile.card import ModelCard
from distill.settings.knobs import knobs_of
from distill.ui.live import HEALTH_CLASSES, health_html
from distill.ui.markup import clock, day, place, table, text
from distill.ui.page_state import PageState

Rows = list[tuple[str, str]]
"""A word, and what is said of it as HTML."""


def rows_html(rows: Iterable[tuple[str, str]]) -> str:
    """Words with what is said of each."""
    return f"<dl>{''.join(f'<dt>{title}</dt><dd>{value}</dd>' for title, value in rows)}</dl>"


def summary(card: ModelCard) -> Rows:
    """What stands on every card."""
    corpus, prior = card.corpus_manifest, card.prior_metadata
    verdict = card.codebook_health_snapshot.verdict
    return [
        ("corpus", f"{text(Path(corpus.folder).name)}, {len(corpus.files)} sounds, {clock(corpus.seconds)}"),
        ("codes", f'<span class="d-{HEALTH_CLASSES.get(verdict, "fair")}">{text(verdict)}</span>'),
        ("codec", f"{card.metadata.val_mel_l1_db:.2f} dB held-out error, {day(card.metadata.created)}"),
        (
            "prior",
            f"perplexity {prior.best_perplexity:.2f}, {day(prior.training_date)}"
            if prior
            else '<span class="d-fair">none yet</span>',
        ),
    ]


def details_html(page_state: PageState, path: Path, card: ModelCard) -> str:
    """Everything else: how each stage went and with which settings, and how the codes are used."""
    health = CodebookHealth.from_dict(card.codebook_health_snapshot.model_dump())
    return (
        rows_html([*_file(card), *_codec(card), *_prior(card), *_synthesiser(card)])
        + health_html(health)
        + _heatmap(page_state, path, card)
        + _settings(card)
    )


def _file(card: ModelCard) -> Rows:
    corpus = card.corpus_manifest
    folders = ", ".join(place(Path(folder_title(root))) for root in corpus.roots.values())
    return [
        ("trained", f"{day(card.metadata.created)}, with distill {text(card.metadata.distill_version)}"),
        (
            "sounds",
            f"{text(folders)}: {len(corpus.train)} learned from, "
            f"{len(corpus.val)} held out, {len(corpus.skipped)} skipped",
        ),
        (
            "recordings",
            "their codes are in the file, from which something like them can be made"
            if card.has_codes
            else "neither they nor their codes are in the file",
        ),
        *((text(each.of or "all others"), text(each.line)) for each in corpus.consents),
        *([("forgotten", f"{len(corpus.forgotten)} recordings")] if corpus.forgotten else []),
    ]


def _codec(card: ModelCard) -> Rows:
    made = card.metadata
    return [("best codec", f"{made.val_mel_l1_db:.2f} dB at epoch {made.best_epoch} of {made.epochs}")]


def _prior(card: ModelCard) -> Rows:
    made = card.prior_metadata
    if made is None:
        return []
    patterns = "not measured" if made.ngram_bits_per_code is None else f"{made.ngram_bits_per_code:.2f}"
    said = (
        f"held-out perplexity {made.best_perplexity:.2f} at epoch {made.best_epoch} of {made.epochs_trained}; "
        f"{made.bits_per_code:.2f} bits for each code, {made.unigram_bits_per_code:.2f} by counting codes, "
        f"{patterns} by counting patterns"
    )
    rows = [("best prior", said), ("by heart?", text(made.memorization_message))]
    new = card.novelty_of_prior
    return rows if new is None else [*rows, ("new?", text(f"{new.verdict}. {new.reason}"))]


def _synthesiser(card: ModelCard) -> Rows:
    own = card.synthesiser_metadata
    if own is None:
        return [("synthesiser", "the one that every model has")]
    return [
        (
            "synthesiser",
            f"its own of {day(own.training_date)}: held-out distance {own.val_mrstft:.3f} at epoch {own.best_epoch} of "
            f"{own.epochs}, {own.shipped_val_mrstft:.3f} with the one that every model has",
        )
    ]


def _heatmap(page_state: PageState, path: Path, card: ModelCard) -> str:
    target = page_state.room / f"card-{path.stat().st_ino}-{path.stat().st_mtime_ns}.png"
    if not target.exists():
        studio.draw_usage(card, target)
    return (
        '<p class="d-note">How often each code is used, a field for each; dark ones never:</p>'
        f'<img class="d-heat" src="{page_state.offers.picture(target)}" alt="Usage of the codes of {text(path.stem)}">'
    )


def _settings(card: ModelCard) -> str:
    rows = []
    stages: list[tuple[str, BaseModel | None]] = [
        ("codec", card.training_config),
        ("prior", card.prior_training_config),
        ("synthesiser", card.synthesiser_training_config),
    ]
    for stage, settings in stages:
        if settings is None:
            continue
        origin = card.settings_origin.get(stage, {})
        rows += [
            [stage, text(knob.label), text(getattr(settings, knob.name)), text(origin.get(knob.name, "default"))]
            for knob in knobs_of(type(settings))
        ]
    return "<h3>Settings</h3>" + table(["Stage", "Setting", "Value", "From"], rows, "Settings", ["", "", "n", ""])
