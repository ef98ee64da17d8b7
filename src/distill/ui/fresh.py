"""The clock that keeps the page fresh: what has news is sent, and nothing else is touched."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from distill.ui.desk import HIDDEN, Section, told
from distill.ui.look import TAB_ID

REFRESH_SECONDS = 1.0


def keep_fresh(page: gr.Blocks, sections: Sequence[Section], owner: gr.Textbox, seen: gr.State) -> None:
    """One clock for all sections: a reload finds everything as it is, and nothing is sent that has been shown.

    Gradio builds every component that an event could change anew, even where it is skipped, while all other answers
    wait: 30 ms for the whole page. So the clock changes what changes often, and rings for other sections that have news,
    which are sent then.
    """
    inputs = [component for section in sections for component in section.inputs]
    outputs = [component for section in sections for component in section.outputs]
    often = [number for number, section in enumerate(sections) if section.often]
    bells = {
        number: gr.Textbox(visible="hidden", label="News", elem_id=f"news-{number}")
        for number in range(len(sections))
        if number not in often
    }

    def all_updates(whose: str, shown: dict[str, Any], values: Sequence[Any]) -> Iterator[list[Any]]:
        rest = list(values)
        for section in sections:
            own, rest = rest[: len(section.inputs)], rest[len(section.inputs) :]
            yield section.refresh(whose or "", shown, *own)

    @told
    def show_all(whose: str, shown: dict[str, Any], *values: Any) -> list[Any]:
        return [*(update for updates in all_updates(whose, shown, values) for update in updates), shown]

    @told
    def ring(whose: str, shown: dict[str, Any], *values: Any) -> list[Any]:
        waiting = shown.setdefault("waiting", {})
        sent: list[Any] = []
        rung: list[Any] = []
        for number, updates in enumerate(all_updates(whose, shown, values)):
            if number in often:
                sent += updates
            elif all(update == gr.skip() for update in updates):
                rung.append(gr.skip())
            else:
                waiting[number] = joined(waiting.get(number), updates)
                shown["rung"] = shown.get("rung", 0) + 1
                rung.append(f"{shown['rung']}")
        return [*sent, *rung, shown]

    def handing_over(number: int) -> Callable[[dict[str, Any]], Any]:
        def hand_over(shown: dict[str, Any]) -> Any:
            nothing = [gr.skip()] * len(sections[number].outputs)
            updates = shown.get("waiting", {}).pop(number, nothing)
            return updates if len(updates) > 1 else updates[0]

        return told(hand_over)

    how = {**HIDDEN, "queue": False}  # answered at once, whatever else is waiting
    page.load(None, None, owner, js=TAB_ID).then(show_all, [owner, seen, *inputs], [*outputs, seen], **how)
    changed = [*(component for number in often for component in sections[number].outputs), *bells.values(), seen]
    gr.Timer(REFRESH_SECONDS).tick(ring, [owner, seen, *inputs], changed, trigger_mode="once", **how)
    for number, bell in bells.items():
        bell.change(handing_over(number), seen, list(sections[number].outputs), **how)


def joined(older: Sequence[Any] | None, newer: Sequence[Any]) -> list[Any]:
    """Updates of the same components, those that were not sent yet and newer ones."""
    if older is None:
        return list(newer)
    return [_joined(old, new) for old, new in zip(older, newer, strict=True)]


def _joined(old: Any, new: Any) -> Any:
    if new == gr.skip():
        return old
    if getattr(old, "_is_component_update", False) and getattr(new, "_is_component_update", False):
        return type(new)(**{**vars(old), **vars(new)})
    return new
