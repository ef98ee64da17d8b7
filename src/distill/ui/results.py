"""Generated sounds as cards, and the history: events and records as HTML."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill.audio.tagging import read_tags
from distill.corpus.manifest import CorpusManifest
from distill.counting import counted
from distill.errors import DistillError
from distill.events import DROPPED, GenerationCompleteEvent, Progress, SoundsPicked, SoundWritten, Source
from distill.instrument.strip import Beside, strip_html
from distill.library.history import Generation, find_generation
from distill.library.models import model_in_library
from distill.modelfile.file import read_card
from distill.places import kept_dir
from distill.settings.generation import OF_FILES, GenerationSettings
from distill.settings.knobs import knobs_of
from distill.studio.jobs import Job
from distill.studio.locating import place_of
from distill.ui.fields import in_page_words
from distill.ui.markup import bar, button, day, empty, failed, length, link, place, sound_card, table, text
from distill.ui.page_state import GenerationBegun, PageState

ONLY_SET = ("candidates", "amount", "like_strength", "steps", "bars", "beats", "of", *OF_FILES)
"""Numbers that say nothing where they were left as they are."""
WORK = {"sampling": "Drawing codes"}
"""What is under way, in the page's words; other work is called what it is."""
NOTHING_YET = "Nothing generated yet."


def results_html(page_state: PageState, job: Job | None, identity: str) -> str:
    """The cards of one generation, and how far it is if it is under way."""
    parts = []
    if job is not None:
        parts.append(_progress(job))
    if identity:
        parts.append(_cards(page_state, find_generation(identity)))
    return "".join(parts) or empty(NOTHING_YET)


def identity_of(job: Job) -> str:
    """The name of a job's generation in the history; empty before it has one."""
    return next((event.id for event in job.drain()[0] if isinstance(event, GenerationBegun)), "")


def history_html(generations: Sequence[Generation]) -> str:
    """Earlier generations with their settings, and how to make them again."""
    if not generations:
        return empty(NOTHING_YET)
    return f'<div class="d-cards">{"".join(_earlier(each) for each in generations)}</div>'


def _progress(job: Job) -> str:
    if job.error:
        return failed(job.error)
    events, _ = job.drain()
    if not job.running:
        done = next((event for event in events if isinstance(event, GenerationCompleteEvent)), None)
        if done is None:
            return ""
        early = " Stopped: what was done is kept." if job.stopping else ""
        return (
            f"<p><b>{counted(len(done.sounds), 'sound')}</b>, {sum(s.seconds for s in done.sounds):.1f} s together, in "
            f"{job.elapsed:.1f} s.{early}</p>{picked_html(done.picked)}"
        )
    written = [event for event in events if isinstance(event, SoundWritten)]
    if job.stopping:
        return "<p>Stopping; what is done is kept.</p>"
    if written:
        return f"<p>{written[-1].done} of {counted(written[-1].total, 'sound')}</p>" + bar(
            written[-1].done / written[-1].total, "Writing sounds"
        )
    step = job.step if isinstance(job.step, Progress) else None
    share = step.done / max(step.total, 1) if step else 0.0
    what = "Opening the model" if step is None else WORK.get(step.task, step.task.capitalize())
    return f"<p>{what}</p>{bar(share, what)}"


def picked_html(picked: SoundsPicked | None) -> str:
    """What was left out of a batch, and why; nothing where all were kept."""
    if picked is None:
        return ""
    rows = [[f"{each.seed}", text(in_page_words(DROPPED[each.reason])), text(each.detail)] for each in picked.dropped]
    listed = table(["Seed", "Why", "Like what"], rows, "Sounds that were left out", ["n", "", "f"]) if rows else ""
    style = "d-warn" if picked.is_short else "d-note"
    more = f"<details><summary>Left out</summary>{listed}</details>" if listed else ""
    return f'<p class="{style}">{text(in_page_words(picked.sentence))}</p>{more}'


def _cards(page_state: PageState, generation: Generation) -> str:
    cards, discarded = [], []
    beside = recordings_of(page_state, generation) if generation.settings.provenance else None
    for sound in generation.sounds:
        path = generation.path_of(sound)
        data = {"id": generation.id, "file": sound.file}
        title = f"Seed {sound.seed}" if sound.way is None else f"Seed {sound.seed}, {sound.way:.0%} of the way"
        spoken = title[0].lower() + title[1:]
        if sound.fate == "discarded":
            back = f"Bring back {spoken}"
            discarded.append(button(back, back, {"act": "open", **data}))
            continue
        if not path.is_file():
            discarded.append(f'<span class="d-note">{spoken}: not on the disk any more, make it again</span>')
            continue
        kept = sound.fate == "kept"
        acts = [
            button("Kept" if kept else "Keep", f"Keep {spoken}", {"act": "open" if kept else "kept", **data}, kept),
            button("Discard", f"Discard {spoken}", {"act": "discarded", **data}),
            button("Use this", f"Start from {spoken}", {"act": "use", **data}),
            link("WAV", page_state.offers.download(path, ".wav"), f"Download {spoken} as WAV"),
            link("FLAC", page_state.offers.download(path, ".flac"), f"Download {spoken} as FLAC"),
        ]
        extra = f'<div class="d-acts">{"".join(acts)}</div>'
        strip = _strip(path, title, beside)
        cards.append(sound_card(page_state.offers, path, title, length(sound.seconds), extra, kept, strip))
    rest = f'<div class="d-acts" style="margin-top:.8rem">{"".join(discarded)}</div>' if discarded else ""
    kept_some = any(sound.fate == "kept" for sound in generation.sounds)
    where = f'<p class="d-note">Kept sounds are copied to {text(place(kept_dir()))}</p>' if kept_some else ""
    return f'<div class="d-cards">{"".join(cards)}</div>{rest}{where}'


def recordings_of(page_state: PageState, generation: Generation) -> Callable[[str], Beside | None]:
    """What finds the recordings of a generation's model by name, as far as this page may play them and they are there."""
    manifest: CorpusManifest | None = None
    with suppress(DistillError):  # the model is gone
        manifest = read_card(model_in_library(generation.model)).corpus_manifest
    if manifest is None or not page_state.has_sounds_of(manifest):
        return lambda _name: None
    known = manifest

    def find(name: str) -> Beside | None:
        place = place_of(known, name)
        return None if place is None else Beside(page_state.offers.player(place[0]), place[1])

    return find


def _strip(path: Path, title: str, beside: Callable[[str], Beside | None] | None) -> str:
    """What the seconds of a sound are nearest to, as its file says."""
    if beside is None:
        return ""
    sources: tuple[Source, ...] = ()
    with suppress(DistillError):  # its tags were taken out
        nearest = read_tags(path).nearest
        sources = () if nearest is None else nearest.sources()
    found = {each.nearest: beside(each.nearest) for each in sources}
    return strip_html(sources, title, {name: place for name, place in found.items() if place is not None})


def _spoken(value: Any) -> str:
    """A setting's value; of a file its name."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, tuple):
        return ", ".join(map(_spoken, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, int | float) else f"{value}"


def _earlier(generation: Generation) -> str:
    made, name = generation.settings, f"{generation.model}, {day(generation.created)}"
    kept = sum(sound.fate == "kept" for sound in generation.sounds)
    acts = button("Show", f"Show the sounds of {name}", {"act": "show", "id": generation.id}) + button(
        "Make again", f"Make again {name}", {"act": "again", "id": generation.id}
    )
    values = [(knob, getattr(made, knob.name)) for knob in knobs_of(GenerationSettings) if knob.name != "count"]
    shown = "".join(
        f"<dt>{knob.label.lower()}</dt><dd>{text(_spoken(value))}</dd>"
        for knob, value in values
        if value != knob.default or (isinstance(value, int | float) and not knob.choices and knob.name not in ONLY_SET)
    )
    return (
        f'<article class="d-card"><h3>{text(generation.model)}</h3><dl><dt>made</dt><dd>{day(generation.created)}</dd>'
        f"<dt>sounds</dt><dd>{len(generation.sounds)} of {made.pick or made.count}, {kept} kept</dd>{shown}"
        f'</dl><div class="d-acts">{acts}</div></article>'
    )
