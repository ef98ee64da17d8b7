"""`distill info`: a model's card on the screen."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distill.cli.show import duration, printable
from distill.corpus.manifest import CorpusManifest
from distill.library.models import spoken
from distill.modelfile.card import ModelCard, RacedPrior
from distill.modelfile.migrate import lacks
from distill.settings.knobs import is_knob


def show_card(path: Path, card: ModelCard) -> None:
    """Print the card on stdout."""
    console = Console(highlight=False)
    corpus, meta = card.corpus_manifest, card.metadata
    table = Table(title=escape(printable(str(path))), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row("trained", f"{meta.created}, distill {meta.distill_version}")
    table.add_row(
        "corpus",
        escape(
            f"{printable(corpus.folder)}: {len(corpus.files)} sounds ({len(corpus.train)} train, {len(corpus.val)} held out), "
            f"{duration(corpus.seconds)}, {len(corpus.skipped)} skipped"
        ),
    )
    for label, folder in corpus.added_folders.items():
        joined = sum(file.name.startswith(f"{label}/") for file in corpus.files)
        table.add_row("", escape(printable(f"{joined} of them from {folder}, which joined later")))
    if corpus.recordings:
        held_out = "whole recordings" if corpus.split_by == "file" else "stretches of recordings, split by time"
        unused = f" ({corpus.unused_pieces} beside them are not used)" if corpus.unused_pieces else ""
        table.add_row("", f"pieces of {escape(', '.join(corpus.recordings))}; held out: {held_out}{unused}")
    for line in said_of_recordings(corpus):
        table.add_row("", escape(printable(line)))
    table.add_row("codec", f"held-out error {meta.val_mel_l1_db:.2f} dB at epoch {meta.best_epoch} of {meta.epochs}")
    table.add_row("", _settings(card.training_config, card.settings_origin.get("codec", {})))
    health = card.codebook_health_snapshot
    table.add_row("codes", f"{health.verdict}. {health.message}")
    for level in health.levels:
        table.add_row(
            "",
            f"level {level.level}: {level.utilisation:.0%} used, perplexity {level.perplexity:.0f}, {level.dead_codes} dead",
        )
    prior = card.prior_metadata
    if prior is None:
        table.add_row("prior", f"none yet: distill train-prior {escape(printable(spoken(path)))}")
    else:
        table.add_row(
            "prior",
            f"held-out perplexity {prior.best_perplexity:.2f} at epoch {prior.best_epoch} of {prior.epochs_trained}; "
            f"{prior.bits_per_code:.2f} bits per code, {prior.unigram_bits_per_code:.2f} by counting codes, "
            f"{_number(prior.ngram_bits_per_code)} by counting patterns; {prior.training_date}",
        )
        if prior.race:
            stood = ", ".join(f"{each.hidden_size} x {each.num_layers}{_bits(each)}" for each in prior.race)
            table.add_row("", f"the recordings chose its size: {stood}")
        if card.prior_training_config is not None:
            table.add_row("", _settings(card.prior_training_config, card.settings_origin.get("prior", {})))
        table.add_row("", prior.memorization_message)
        new = card.novelty_of_prior
        if new is not None:
            table.add_row("novelty", f"{new.verdict}. {new.reason} (of {new.sounds} sounds)")
        table.add_row(
            "recordings",
            "their codes are in the file and can be decoded to an approximation of them"
            if card.has_codes
            else "neither they nor their codes are in the file",
        )
    own = card.synthesiser_metadata
    table.add_row(
        "synthesiser",
        f"the one every model has; distill train-synth {escape(printable(spoken(path)))} fits it to these sounds"
        if own is None
        else f"its own: held-out STFT distance {own.val_mrstft:.3f} at epoch {own.best_epoch} of {own.epochs}, "
        f"{own.shipped_val_mrstft:.3f} as shipped; {own.training_date}",
    )
    if card.synthesiser_training_config is not None:
        table.add_row("", _settings(card.synthesiser_training_config, card.settings_origin.get("synthesiser", {})))
    for sentence in lacks(card):
        table.add_row("lacks", sentence)
    console.print(table)


def said_of_recordings(corpus: CorpusManifest) -> list[str]:
    """Whose the recordings are, and how many were forgotten."""
    lines = [f"{each.of or 'all others'}: {each.line}" for each in corpus.consents]
    if corpus.forgotten:
        known = sum(each.in_codec for each in corpus.forgotten)
        codec = f"; the codec was trained with {known} of them" if known else ""
        lines.append(f"forgotten recordings: {len(corpus.forgotten)}{codec}")
    return lines


def _bits(size: RacedPrior) -> str:
    measured = "" if size.bits_per_code is None else f" {size.bits_per_code:.2f} bits at epoch {size.epochs}"
    return measured + (" (won)" if size.goes_on else "")


def _number(measured: float | None) -> str:
    return "not measured" if measured is None else f"{measured:.2f}"


def _settings(settings: object, origin: object) -> str:
    assert isinstance(origin, dict)
    fields = type(settings).model_fields  # type: ignore[attr-defined]
    return ", ".join(
        f"{name}={getattr(settings, name)} ({origin.get(name, 'default')})"
        for name, field in fields.items()
        if is_knob(field)
    )
