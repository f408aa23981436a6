"""Plots as SVG, drawn by hand: they follow the reader's light or dark scheme and need nothing to be looked at."""
import math
from xml.sax.saxutils import escape

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .quiet { fill: #59636e; font-size: 12px; }
  .grid { stroke: #d1d9e0; }
  .base { stroke: #59636e; stroke-dasharray: 4 3; }
  .back { fill: #ffffff; }
  .c0 { fill: #0969da; stroke: #0969da; } .c1 { fill: #9a6700; stroke: #9a6700; } .c2 { fill: #8250df; stroke: #8250df; }
  .c3 { fill: #1a7f37; stroke: #1a7f37; } .c4 { fill: #bc4c00; stroke: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; } .base { stroke: #9198a1; }
    .back { fill: #0d1117; }
    .c0 { fill: #58a6ff; stroke: #58a6ff; } .c1 { fill: #d29922; stroke: #d29922; } .c2 { fill: #bc8cff; stroke: #bc8cff; }
    .c3 { fill: #3fb950; stroke: #3fb950; } .c4 { fill: #f0883e; stroke: #f0883e; }
  }
"""
# Shapes as well as colours: not everyone sees the latter. Each is drawn around 0,0.
SHAPES = ("M-5-5h10v10h-10z", "M0-6L6 6H-6z", "M0-7L7 0L0 7L-7 0z", "M-6-2h12v4h-12z", "M-2-6h4v12h-4z")
WIDTH, LEFT, RIGHT, TOP, ROW = 860, 150, 30, 92, 30


def dots(title, axis, rows, names, base=None):
    """A row per label with a dot per name, and a line from its least to its most, on a logarithmic axis.

    `rows` is a list of (label, {name: (value, least, most)}); `base` is a value with a line of its own.
    """
    values = [number for _, row in rows for one in row.values() for number in one if number > 0]
    if not values:
        return None
    low, high = min([*values, base or values[0]]) / 1.1, max([*values, base or values[0]]) * 1.1
    span = WIDTH - LEFT - RIGHT
    height = TOP + ROW * len(rows) + 56

    def at(value):
        return LEFT + span * math.log(max(value, low) / low) / math.log(high / low)

    bottom = TOP + ROW * len(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
           f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
           f'<rect class="back" width="{WIDTH}" height="{height}"/>',
           f'<text class="title" x="16" y="28">{escape(title)}</text>']
    x = 16
    for number, name in enumerate(names):
        out.append(f'<path class="c{number}" transform="translate({x + 6} 54)" d="{SHAPES[number]}"/>')
        out.append(f'<text x="{x + 18}" y="58">{escape(name)}</text>')
        x += 42 + 8 * len(name)
    for tick in ticks(low, high):
        out.append(f'<line class="grid" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{TOP - 10}" y2="{bottom}"/>')
        out.append(f'<text class="quiet" text-anchor="middle" x="{at(tick):.1f}" y="{bottom + 18}">{label(tick)}</text>')
    if base:
        out.append(f'<line class="base" x1="{at(base):.1f}" x2="{at(base):.1f}" y1="{TOP - 10}" y2="{bottom}"/>')
    out.append(f'<text text-anchor="middle" x="{LEFT + span / 2}" y="{bottom + 42}">{escape(axis)}</text>')
    for number, (row_label, row) in enumerate(rows):
        y = TOP + ROW * number + ROW / 2 - 6
        out.append(f'<text text-anchor="end" x="{LEFT - 14}" y="{y + 4}">{escape(row_label)}</text>')
        for kind, name in reversed(list(enumerate(names))):
            if name in row:
                out += dot(kind, name, row_label, row[name], at, y + 3 * (kind - (len(names) - 1) / 2))
    return "\n".join([*out, "</svg>", ""])


def dot(kind, name, row_label, one, at, y):
    value, least, most = one
    said = escape(f"{row_label}, {name}: {value:.3g} ({least:.3g} to {most:.3g})")
    return [
        f'<line class="c{kind}" stroke-width="2" x1="{at(least):.1f}" x2="{at(most):.1f}" y1="{y}" y2="{y}"/>',
        f'<path class="c{kind}" transform="translate({at(value):.1f} {y})" d="{SHAPES[kind]}"><title>{said}</title></path>',
    ]


def ticks(low, high):
    """1, 2 and 5 of each power of ten; only the first, where these would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if high / low > 1000 else (1, 2, 5)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]


def label(tick):
    return f"{tick:,.0f}" if tick >= 1 else f"{tick:g}"
