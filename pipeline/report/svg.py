"""Charts as inline SVG. Every number and label passes through here as a number or as escaped text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 460, 150
LEFT, BOTTOM, TOP = 8, 22, 8


def histogram(
    edges: Sequence[float], kept: Sequence[int], dropped: Sequence[int], bounds: Sequence[tuple[str, float]]
) -> Markup:
    """Stacked bars of kept and dropped documents over a signal, with vertical lines at rule bounds."""
    most = max((k + d for k, d in zip(kept, dropped, strict=True)), default=0) or 1
    plot = HEIGHT - BOTTOM - TOP
    step = (WIDTH - 2 * LEFT) / len(kept)
    parts = []
    for i, (k, d) in enumerate(zip(kept, dropped, strict=True)):
        x, hk, hd = LEFT + i * step, plot * k / most, plot * d / most
        tip = escape(f"{number(edges[i])} to {number(edges[i + 1])}: {k:,} kept, {d:,} dropped")
        base = HEIGHT - BOTTOM
        parts.append(f"<g><title>{tip}</title>")
        parts.append(_rect(x, base - hk, step - 1, hk, "kept"))
        parts.append(_rect(x, base - hk - hd, step - 1, hd, "dropped"))
        parts.append("</g>")
    low, high = edges[0], edges[-1]
    for label, value in bounds:
        if low <= value <= high:
            x = LEFT + (value - low) / (high - low) * (WIDTH - 2 * LEFT)
            parts.append(f'<line class="bound" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            anchor = "end" if x > WIDTH * 0.7 else "start"
            shift = -3 if anchor == "end" else 3
            parts.append(
                f'<text class="bound" x="{x + shift:.1f}" y="{TOP + 9}" text-anchor="{anchor}">{escape(label)}</text>'
            )
    parts += _axis(low, high)
    return _svg(parts)


def line(points: Sequence[tuple[float, float]], marks: Sequence[tuple[float, float]], y_label: str) -> Markup:
    """A curve of (x, y) with optional marked points on the same scale."""
    if not points:
        return Markup("")
    xs = [p[0] for p in (*points, *marks)]
    ys = [p[1] for p in (*points, *marks) if math.isfinite(p[1])]
    low_x, high_x, low, high = min(xs), max(xs), min(ys, default=0.0), max(ys, default=1.0)
    plot = HEIGHT - BOTTOM - TOP

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + 34 + (x - low_x) / max(high_x - low_x, 1e-9) * (WIDTH - 2 * LEFT - 34),
            TOP + (high - y) / max(high - low, 1e-9) * plot,
        )

    path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points if math.isfinite(y))
    parts = [f'<polyline class="curve" points="{path}"/>']
    for x, y in marks:
        cx, cy = place(x, y)
        tip = escape(f"step {number(x)}: {y:.3f}")
        parts.append(f'<circle class="mark" cx="{cx:.1f}" cy="{cy:.1f}" r="3"><title>{tip}</title></circle>')
    parts.append(f'<text x="{LEFT}" y="{TOP + 9}">{high:.2f}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - BOTTOM}">{low:.2f}</text>')
    parts.append(f'<text x="{LEFT + 36}" y="{HEIGHT - 6}">step {number(low_x)}</text>')
    parts.append(f'<text x="{WIDTH - LEFT}" y="{HEIGHT - 6}" text-anchor="end">{number(high_x)}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(y_label)}</text>')
    return _svg(parts)


def bar(kept: float, dropped: float) -> Markup:
    """What a gate left and what it dropped, as shares of the whole width."""
    parts = [_rect(0, 0, 220 * kept, 15, "kept"), _rect(220 * kept, 0, 220 * dropped, 15, "dropped")]
    return Markup(f'<svg class="bar" viewBox="0 0 220 15" role="img">{"".join(parts)}</svg>')


def number(value: float) -> str:
    """A number as short as it can be read."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0):.1f}"/>'


def _axis(low: float, high: float) -> list[str]:
    y = HEIGHT - 6
    return [
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>',
        f'<text x="{LEFT}" y="{y}">{number(low)}</text>',
        f'<text x="{WIDTH - LEFT}" y="{y}" text-anchor="end">{number(high)}</text>',
    ]


def _svg(parts: Sequence[str]) -> Markup:
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>')
