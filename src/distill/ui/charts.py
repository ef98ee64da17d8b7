"""The live chart, drawn as SVG: it follows light and dark, needs no script, and is made in a millisecond."""

from collections.abc import Sequence
from dataclasses import dataclass

from distill.ui.markup import text

WIDTH, HEIGHT = 900, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 22, 34
MOST_POINTS = 400
TICKS = 8


@dataclass(frozen=True)
class Curve:
    """What is drawn: a value for every epoch, and perhaps a second one for some of them."""

    title: str
    values: Sequence[tuple[int, float]]
    """(epoch, value)."""
    second_title: str = ""
    second: Sequence[tuple[int, float]] = ()
    best_epoch: int = 0


def line_chart(curve: Curve) -> str:
    """The curve with its best epoch marked, and a key."""
    everything = [*curve.values, *curve.second]
    if not everything:
        return ""
    top, bottom = _limits(sorted(value for _, value in everything))
    last = max(2, max(epoch for epoch, _ in everything))

    def x(epoch: float) -> float:
        return LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (top - min(value, top)) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    def line(points: Sequence[tuple[int, float]], kind: str) -> str:
        kept = [*points[:-1][:: max(1, len(points) // MOST_POINTS)], *points[-1:]]
        places = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in kept)
        epoch, value = points[-1]
        end = f'<circle class="end {kind}" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="2.5"/>'
        return f'<polyline class="{kind}" points="{places}"/>{end}'

    lines = (line(curve.values, "a") if curve.values else "") + (line(curve.second, "b") if curve.second else "")
    step = -(-(last - 1) // TICKS)
    epochs = "".join(
        f'<text x="{x(epoch):.1f}" y="{HEIGHT - 10}" text-anchor="middle">{epoch}</text>'
        for epoch in range(1, last + 1, step)
    )
    values = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{_short(value, top - bottom)}</text>'
        for value in (bottom + (top - bottom) * share / 4 for share in range(5))
    )
    mark = ""
    best = next((point for point in curve.values if point[0] == curve.best_epoch), None)
    if best is not None:
        under = y(best[1]) + 19 < HEIGHT - BOTTOM  # where the lowest point of a curve leaves room
        place = f'x="{x(best[0]):.1f}" y="{y(best[1]) + 19 if under else y(best[1]) - 11:.1f}"'
        anchor = "start" if x(best[0]) < WIDTH / 2 else "end"
        mark = (
            f'<circle class="dot" cx="{x(best[0]):.1f}" cy="{y(best[1]):.1f}" r="5.5"/>'
            f'<text class="best" {place} text-anchor="{anchor}">best: {best[1]:.2f}, epoch {best[0]}</text>'
        )
    key = f"<span><i></i>{text(curve.title)}</span>"
    if curve.second:
        key += f'<span><i class="b"></i>{text(curve.second_title)}</span>'
    now = everything[-1] if not curve.values else curve.values[-1]
    spoken = f"{curve.title}, {now[1]:.2f} at epoch {now[0]}" + (
        f"; best {best[1]:.2f} at epoch {best[0]}" if best else ""
    )
    return (
        f'<div class="d-key">{key}</div><div class="d-scroll" tabindex="0"><svg class="d-chart" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'data-epochs="{now[0]}" aria-label="{text(spoken)}">{values}{epochs}{lines}{mark}</svg>'
    )


def _limits(ranked: list[float]) -> tuple[float, float]:
    """Top and bottom of the chart; the first epochs' heights may be cut off, so that the rest can be read."""
    low = ranked[0]
    high = min(ranked[-1], max(ranked[len(ranked) * 9 // 10] * 1.5, low * 1.2))
    margin = max((high - low) * 0.14, abs(high) * 0.02, 1e-3)
    return high + margin, max(low - margin, 0.0) if low >= 0 else low - margin


def _short(value: float, span: float) -> str:
    return f"{value:.0f}" if span > 20 else f"{value:.1f}" if span > 2 else f"{value:.2f}"
