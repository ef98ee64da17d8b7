"""The live chart, drawn as SVG: it follows light and dark, needs no script, and is made in a millisecond."""

from collections.abc import Sequence
from dataclasses import dataclass

from distill.ui.markup import text

WIDTH, HEIGHT = 760, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 22, 34
MOST_POINTS = 400


@dataclass(frozen=True)
class Curve:
    """What is drawn: a value for every epoch, held out and perhaps known."""

    title: str
    held_out: Sequence[tuple[int, float]]
    """(epoch, value)."""
    known: Sequence[tuple[int, float]] = ()
    best_epoch: int = 0
    epochs: int = 1


def line_chart(curve: Curve) -> str:
    """The curve with its best epoch marked, and a key."""
    values = [value for _, value in (*curve.held_out, *curve.known)]
    if not values:
        return ""
    top, bottom = _limits(sorted(values))
    last = max(max(epoch for epoch, _ in curve.held_out), 2)

    def x(epoch: float) -> float:
        return LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (top - min(value, top)) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    def line(points: Sequence[tuple[int, float]], kind: str) -> str:
        kept = points[:: max(1, len(points) // MOST_POINTS)]
        return f'<polyline class="{kind}" points="{" ".join(f"{x(e):.1f},{y(v):.1f}" for e, v in kept)}"/>'

    ticks = [bottom + (top - bottom) * step / 4 for step in range(5)]
    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{_short(v, top - bottom)}</text>'
        for v in ticks
    )
    epochs = sorted({1, *(round(1 + (last - 1) * step / 4) for step in range(1, 5))})
    axis = "".join(
        f'<text x="{x(epoch):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{epoch}</text>' for epoch in epochs
    )
    best = next(((e, v) for e, v in curve.held_out if e == curve.best_epoch), None)
    mark = ""
    if best is not None:
        anchor = "start" if x(best[0]) < WIDTH / 2 else "end"
        mark = (
            f'<circle class="dot" cx="{x(best[0]):.1f}" cy="{y(best[1]):.1f}" r="5.5"/><text class="best" '
            f'x="{x(best[0]):.1f}" y="{max(y(best[1]) - 11, 13):.1f}" text-anchor="{anchor}">best: {best[1]:.2f}, '
            f"epoch {best[0]}</text>"
        )
    key = f"<span><i></i>{text(curve.title)}, held-out sounds</span>"
    if curve.known:
        key += f'<span><i class="b"></i>{text(curve.title)}, known sounds</span>'
    spoken = f"{curve.title} over {curve.held_out[-1][0]} epochs, now {curve.held_out[-1][1]:.2f}"
    return (
        f'<div class="d-key">{key}</div><svg class="d-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'data-points="{len(curve.held_out)}" aria-label="{text(spoken)}">{grid}{axis}'
        f"{line(curve.held_out, 'a')}{line(curve.known, 'b') if curve.known else ''}{mark}</svg>"
    )


def _limits(ranked: list[float]) -> tuple[float, float]:
    """Top and bottom of the chart; the first epochs' heights may be cut off, so that the rest can be read."""
    low = ranked[0]
    high = min(ranked[-1], max(ranked[len(ranked) * 9 // 10] * 1.5, low * 1.2))
    margin = max((high - low) * 0.1, abs(high) * 0.02, 1e-3)
    return high + margin, max(low - margin, 0.0) if low >= 0 else low - margin


def _short(value: float, span: float) -> str:
    return f"{value:.0f}" if span > 20 else f"{value:.1f}" if span > 2 else f"{value:.2f}"
