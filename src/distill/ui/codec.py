"""What a model's codec makes of known sounds: to hear, and measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from distill.corpus.collections import collection_names
from distill.errors import DistillError
from distill.evaluation.scores import EvaluationCompleteEvent, SoundScores
from distill.events import Progress, SoundWritten
from distill.studio.jobs import EVALUATE, RECONSTRUCT, Job
from distill.ui.markup import bar, failed, figures, length, sound_card, table, text
from distill.ui.page_state import HIDDEN, PageState, Section, user_errors

NO_SOUND_CHOSEN = "Choose a model, and drop a sound."
MOST_ROWS = 500


def codec_panels(
    page_state: PageState, owner: gr.Textbox, model: gr.Dropdown, synthesiser: gr.Dropdown, device: gr.Dropdown
) -> Section:
    """Lay out both panels -> what keeps them fresh."""
    with gr.Accordion("Hear sounds through the codec", open=False, elem_id="reconstruct-box"):
        gr.Markdown("What the codec makes of a sound is the best that anything generated can sound like.")
        with gr.Row(equal_height=False):
            sources = gr.File(label="Sounds", file_count="multiple", height=150, elem_id="reconstruct-file")
            through = gr.Button("Through the codec", elem_id="reconstruct-go")
        heard = gr.HTML("", elem_id="reconstruct-results")
    with gr.Accordion("How good is this model?", open=False, elem_id="evaluate-box"):
        gr.Markdown(
            "Sends sounds that the model has not learned from through it, and measures what is lost on the way."
        )
        with gr.Row(equal_height=False):
            corpus = gr.Dropdown(
                collection_names(),
                value=None,
                label="Dataset",
                info="A folder of sounds; those it was trained on, and copies of those, are left out. Empty: the model's "
                "own held-out sounds.",
                allow_custom_value=True,
                elem_id="evaluate-corpus",
                min_width=270,
            )
            measure = gr.Button("Measure", min_width=140, elem_id="evaluate-go")
            stop = gr.Button("Stop measuring", visible=False, min_width=140, elem_id="evaluate-stop")
        measured = gr.HTML("", elem_id="evaluate-results")

    @user_errors
    def reconstruct(
        model_name: str | None, files: list[str] | None, tab: str, synthesiser_name: str, device_name: str
    ) -> str:
        if not model_name or not files:
            raise DistillError(NO_SOUND_CHOSEN)
        job = page_state.reconstruct(model_name, [Path(file) for file in files], tab, device_name, synthesiser_name)
        job.wait(0.3)
        return heard_html(page_state, job)

    @user_errors
    def begin_measuring(
        model_name: str | None, folder: str | None, tab: str, synthesiser_name: str, device_name: str
    ) -> str:
        if not model_name:
            raise DistillError("Choose a model first.")
        job = page_state.evaluate(model_name, folder, tab, device_name, synthesiser_name)
        job.wait(0.3)
        return measured_html(job)

    def end(tab: str) -> None:
        job = page_state.jobs.latest(EVALUATE, tab)
        if job is not None:
            job.stop()

    through.click(reconstruct, [model, sources, owner, synthesiser, device], heard, **HIDDEN)
    measure.click(begin_measuring, [model, corpus, owner, synthesiser, device], measured, **HIDDEN)
    stop.click(end, owner, None, **HIDDEN)

    def refresh(tab: str, seen: dict[str, Any]) -> list[Any]:
        collections = collection_names()
        choices = gr.skip() if seen.get("evaluate choices") == collections else gr.Dropdown(choices=collections)
        seen["evaluate choices"] = collections
        job = page_state.jobs.latest(EVALUATE, tab)
        return [
            _news(page_state.jobs.latest(RECONSTRUCT, tab), seen, "heard", lambda own: heard_html(page_state, own)),
            choices,
            _news(job, seen, "measured", measured_html),
            _news(job, seen, "measure stop", lambda own: gr.Button(visible=own.running and not own.stopping)),
        ]

    return Section([heard, corpus, measured, stop], refresh)


def heard_html(page_state: PageState, job: Job) -> str:
    """Sounds and what the codec makes of them, side by side."""
    if job.error:
        return failed(job.error)
    written = [event for event in job.drain()[0] if isinstance(event, SoundWritten)]
    parts = [f"<p>{text(job.title)}: working.</p>"] if job.running else []
    cards = []
    for sound in written:
        source = Path(sound.source or sound.path)
        left = "" if sound.fidelity is None else f"{sound.fidelity:.0f} of 100 of the original"
        cards.append(sound_card(page_state.offers, source, f"Original: {source.name}", length(sound.seconds)))
        cards.append(sound_card(page_state.offers, Path(sound.path), f"Through the codec: {source.name}", left))
    if cards:
        parts.append(f'<div class="d-cards">{"".join(cards)}</div>')
    return "".join(parts)


def measured_html(job: Job) -> str:
    """What was measured, in figures and for each sound; or how far it is."""
    if job.error:
        return failed(job.error)
    done = next((event for event in job.drain()[0] if isinstance(event, EvaluationCompleteEvent)), None)
    if done is not None:
        return evaluation_html(job.title, done)
    if not job.running:
        return "<p>Stopped before all sounds were measured.</p>"
    step = job.step if isinstance(job.step, Progress) else None
    share, how = (
        (step.done / max(step.total, 1), f"{step.task}, {step.done} of {step.total}") if step else (0.0, "opening")
    )
    return f"<p><b>{text(job.title)}</b>: {text(how)}</p>{bar(share, job.title)}"


def evaluation_html(title: str, done: EvaluationCompleteEvent) -> str:
    """Means in plain words, then a table of all sounds."""
    mean = done.to_dict()
    levels = mean["mel_l1_db_per_levels"]
    coarse = [
        f"{error:.2f} dB with level 1 alone" if n == 1 else f"{error:.2f} with {n}" for n, error in enumerate(levels, 1)
    ]
    said = [
        ("sounds measured", f"{mean['files']}"),
        ("left of the sounds, of 100", f"{mean['fidelity']:.0f}"),
        ("lost in the codec", f"{mean['mel_l1_db']:.2f} dB"),
        ("lost in codec and synthesiser", f"{mean['wave_mel_l1_db']:.2f} dB"),
        ("lost in the synthesiser alone", f"{mean['synthesis_mel_l1_db']:.2f} dB"),
        ("bits for each second of codes", f"{mean['bits_per_second']:,.0f}"),
        ("and of grain", f"{mean['grain_bits_per_second']:,.0f}"),
    ]
    stereo = mean.get("image_level_db") is not None
    if stereo:
        said.append(("the stereo image is off by", f"{mean['image_level_db']:.2f} dB, {mean['image_coherence']:.2f}"))
    notes = (
        "Means of all sounds. Silence would leave 0, the sound itself 100; the codec alone leaves "
        f"{mean['codec_fidelity']:.0f}. In dB lower is better, and 0 is the sound itself. With its codes "
        f"alone, which are what the prior learns, the codec loses {', '.join(coarse)}, with numbers in place of codes "
        f"{mean['mel_l1_db_unquantised']:.2f} dB; the grain is the fine structure below them. The STFT distance compares the "
        "waveforms' spectrograms at several resolutions; the attacks' likeness is 1 where they are as they were."
    )
    if stereo:
        notes += " The image is compared band by band: how many dB left and right differ by, and how coherent they are (0 to 1)."
    titles = [
        "Sound",
        "Length",
        "Left of 100",
        "Codec",
        "Codec and synthesiser",
        "STFT distance",
        "Attacks",
        "Synthesiser alone",
        "STFT distance",
        *(["Image: level", "Image: coherence"] if stereo else []),
    ]
    rows = [["<b>mean</b>", "", *_cells(lambda name: mean[name], stereo)]]
    rows += [_row(sound, stereo) for sound in done.sounds[:MOST_ROWS]]
    shown = table(titles, rows, "Measured sounds", ["f", *["n"] * (len(titles) - 1)])
    more = len(done.sounds) - MOST_ROWS
    rest = f'<p class="d-note">and {more} more, which are in the means as well.</p>' if more > 0 else ""
    return f'<h3>{text(title)}</h3>{figures(said)}<p class="d-note">{text(notes)}</p>{shown}{rest}'


def _row(sound: SoundScores, stereo: bool) -> list[str]:
    return [text(sound.name), length(sound.seconds), *_cells(lambda name: getattr(sound, name), stereo)]


def _cells(value_of: Callable[[str], float | None], stereo: bool) -> list[str]:
    def distance(name: str, unit: str = "") -> str:
        value = value_of(name)
        return "–" if value is None else f"{value:.2f}{unit}"

    return [
        f"{value_of('fidelity') or 0.0:.0f}",
        distance("mel_l1_db", " dB"),
        distance("wave_mel_l1_db", " dB"),
        distance("wave_mrstft"),
        distance("wave_onset_correlation"),
        distance("synthesis_mel_l1_db", " dB"),
        distance("synthesis_mrstft"),
        *([distance("image_level_db", " dB"), distance("image_coherence")] if stereo else []),
    ]


def _news(job: Job | None, seen: dict[str, Any], key: str, shown: Callable[[Job], Any]) -> Any:
    """The update for what a job shows, where it has changed since this browser tab was told."""
    if job is None:
        return gr.skip()
    step = (job.step.task, job.step.done) if isinstance(job.step, Progress) else ()
    signature = (job.number, job.state, job.stopping, len(job.drain()[0]), step)
    if seen.get(key) == signature:
        return gr.skip()
    seen[key] = signature
    return shown(job)
