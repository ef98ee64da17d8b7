"""The deleted models, below the Library's cards: to bring back, or to remove for good."""

from typing import Any

import gradio as gr

from distill.counting import counted
from distill.library.trash import deleted_models, empty_trash, restore_model
from distill.ui.look import CLICKS
from distill.ui.markup import button, day, empty, text
from distill.ui.page_state import HIDDEN, Section, user_errors

NOTHING_DELETED = "Nothing is deleted."


def trash_section() -> Section:
    """Lay it out -> what keeps it fresh."""
    with gr.Accordion("Deleted models", open=False, elem_id="trash-box"):
        listed = gr.HTML(trash_html(), js_on_load=CLICKS, elem_id="trash-list")
        ask = gr.Button("Remove them for good", visible=False, min_width=220, elem_id="trash-empty")
        with gr.Column(visible=False, elem_id="trash-confirm") as confirm:
            question = gr.HTML("", padding=True)
            with gr.Row():
                remove = gr.Button("Remove for good", variant="stop", scale=0, min_width=220, elem_id="trash-remove")
                cancel = gr.Button("Keep them", scale=0, min_width=220, elem_id="trash-cancel")

    @user_errors
    def clicked(event: gr.EventData) -> str:
        data = event._data or {}
        if data.get("act") == "restore":
            restore_model(str(data.get("file", "")))
        return trash_html()

    def asked() -> tuple[Any, str]:
        count = len(deleted_models())
        what = counted(count, "deleted model")
        return gr.Column(visible=True), f"<p>{what} will be gone for good: that cannot be undone.</p>"

    @user_errors
    def removed() -> tuple[Any, Any, str]:
        empty_trash()
        return gr.Column(visible=False), gr.Button(visible=False), trash_html()

    listed.click(clicked, None, listed, **HIDDEN)
    in_turn: dict[str, Any] = {
        **HIDDEN,
        "concurrency_id": "trash",
        "concurrency_limit": 1,
    }  # "keep" may not overtake "ask"
    ask.click(asked, None, [confirm, question], **in_turn)
    remove.click(removed, None, [confirm, ask, listed], **in_turn)
    cancel.click(lambda: gr.Column(visible=False), None, confirm, **in_turn)

    def refresh(_owner: str, seen: dict[str, Any]) -> list[Any]:
        signature = [each.path.name for each in deleted_models()]
        if seen.get("trash") == signature:
            return [gr.skip()] * 3
        seen["trash"] = signature
        return [trash_html(), gr.Button(visible=bool(signature)), gr.Column(visible=False)]

    return Section([listed, ask, confirm], refresh)


def trash_html() -> str:
    """The deleted models, the newest first."""
    found = deleted_models()
    if not found:
        return empty(NOTHING_DELETED)
    cards = "".join(
        f'<article class="d-card"><h3>{text(each.name)}</h3><p class="d-note">deleted {day(each.deleted)}</p>'
        f'<div class="d-acts">{button("Bring back", f"Bring back {each.name}", {"act": "restore", "file": each.path.stem})}</div>'
        "</article>"
        for each in found
    )
    return f'<div class="d-cards">{cards}</div>'
