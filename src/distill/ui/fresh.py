"""The clock that keeps the page fresh: what has news is sent, and nothing else is touched."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from distill.ui.look import TAB_ID
from distill.ui.page_state import HIDDEN, Section, user_errors

REFRESH_SECONDS = 1.0


def keep_fresh(page: gr.Blocks, sections: Sequence[Section], owner: gr.Textbox, seen: gr.State) -> None:
    """One clock for all sections: a reload finds everything as it is, and nothing is sent that has been shown.

    Gradio builds every component that an event could change anew, even where it is skipped, while all other answers
    wait: 30 ms for the whole page. So the clock updates what changes often, and only notifies the browser of other
    sections that have news. The browser then fetches them, made by what the fields say at that moment: news by an older
    search must not replace what a newer one has found. Until they are fetched it is notified again.
    """
    inputs = [component for section in sections for component in section.inputs]
    outputs = [component for section in sections for component in section.outputs]
    often = [number for number, section in enumerate(sections) if section.often]
    notices = {
        number: gr.Textbox(visible="hidden", label="News", elem_id=f"news-{number}")
        for number in range(len(sections))
        if number not in often
    }

    def own_values(values: Sequence[Any]) -> Iterator[tuple[int, Section, list[Any]]]:
        rest = list(values)
        for number, section in enumerate(sections):
            own, rest = rest[: len(section.inputs)], rest[len(section.inputs) :]
            yield number, section, own

    @user_errors
    def show_all(tab: str, shown: dict[str, Any], *values: Any) -> list[Any]:
        updates = [section.refresh(tab or "", shown, *own) for _, section, own in own_values(values)]
        return [*(update for of_one in updates for update in of_one), shown]

    @user_errors
    def update_or_notify(tab: str, shown: dict[str, Any], *values: Any) -> list[Any]:
        sent: list[Any] = []
        notified: list[Any] = []
        for number, section, own in own_values(values):
            if number in often:
                sent += section.refresh(tab or "", shown, *own)
            elif all(update == gr.skip() for update in section.refresh(tab or "", dict(shown), *own)):
                notified.append(gr.skip())
            else:
                shown["notices"] = shown.get("notices", 0) + 1
                notified.append(f"{shown['notices']}")
        return [*sent, *notified, shown]

    def fetching(section: Section) -> Callable[..., Any]:
        def fetch(tab: str, shown: dict[str, Any], *own: Any) -> Any:
            updates = section.refresh(tab or "", shown, *own)
            return updates if len(updates) > 1 else updates[0]

        return user_errors(fetch)

    how = {**HIDDEN, "queue": False}  # answered at once, whatever else is waiting
    page.load(None, None, owner, js=TAB_ID).then(show_all, [owner, seen, *inputs], [*outputs, seen], **how)
    changed = [*(component for number in often for component in sections[number].outputs), *notices.values(), seen]
    gr.Timer(REFRESH_SECONDS).tick(update_or_notify, [owner, seen, *inputs], changed, trigger_mode="once", **how)
    for number, notice in notices.items():
        section = sections[number]
        notice.change(fetching(section), [owner, seen, *section.inputs], list(section.outputs), **how)
