"""The roofline picture: how close to what the machine can do."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 860, 520, 70, 30, 290, 60
COLORS = ["#666666", "#e69f00", "#d55e00", "#b04000", "#56b4e9", "#0072b2", "#cc79a7", "#aa4499", "#999933", "#009e73"]


def draw(results):
    """results: as bench.py makes them. Intensity: operations of the convolutions as a plain sum, over the bytes of
    their weights and of the maps that they read and write, each once."""
    networks = results["networks"]
    peak = max(found["peak"]["gflops"] for found in networks)
    memory = max(found["peak"]["gbytes"] for found in networks)
    points = [(found["flops"] / found["bytes"], row["gflops"], row["way"], found["network"])
              for found in networks for row in found["rows"]]
    names = list(dict.fromkeys(way for _, _, way, _ in points))
    low_x, high_x = 0.5, 4 * max(x for x, *_ in points)
    low_y, high_y = min(min(y for _, y, *_ in points) / 2, memory), 2 * max(peak, max(y for _, y, *_ in points))

    def at_x(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / low_x) / math.log(high_x / low_x)

    def at_y(value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(value / low_y) / math.log(high_y / low_y)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']

    def text(x, y, words, anchor="middle", extra=""):
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(words)}</text>')

    def line(x1, y1, x2, y2, style):
        parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')
    for power in range(math.ceil(math.log10(low_x)), math.floor(math.log10(high_x)) + 1):
        line(at_x(10 ** power), TOP, at_x(10 ** power), HEIGHT - BOTTOM, 'stroke="#dddddd"')
        text(at_x(10 ** power), HEIGHT - BOTTOM + 16, f"{10 ** power:g}")
    for power in range(math.ceil(math.log10(low_y)), math.floor(math.log10(high_y)) + 1):
        line(LEFT, at_y(10 ** power), WIDTH - RIGHT, at_y(10 ** power), 'stroke="#dddddd"')
        text(LEFT - 6, at_y(10 ** power) + 4, f"{10 ** power:g}", "end")
    ridge = min(max(peak / memory, low_x), high_x)
    line(at_x(max(low_x, low_y / memory)), at_y(max(low_y, low_x * memory)), at_x(ridge), at_y(peak),
         'stroke="black" stroke-width="2"')
    line(at_x(ridge), at_y(peak), WIDTH - RIGHT, at_y(peak), 'stroke="black" stroke-width="2"')
    text(WIDTH - RIGHT - 4, at_y(peak) - 6, f"FMA peak, {peak:.0f} GFLOPS", "end")
    text(at_x(low_x) + 8, TOP + 14, f"memory, {memory:.0f} GB/s", "start")
    for x, y, way, network in points:
        color = COLORS[names.index(way) % len(COLORS)]
        parts.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="{6 if way == "filTags" else 4}" fill="{color}">'
                     f'<title>{escape(f"{network}, {way}: {y:.0f} GFLOPS")}</title></circle>')
    for i, found in enumerate(sorted(networks, key=lambda network: network["flops"] / network["bytes"])):
        text(at_x(found["flops"] / found["bytes"]), HEIGHT - BOTTOM - 8 - 15 * (i % 3), found["network"])
    for i, way in enumerate(names):
        parts.append(f'<circle cx="{WIDTH - RIGHT + 20}" cy="{TOP + 20 + 20 * i}" r="5" '
                     f'fill="{COLORS[i % len(COLORS)]}"/>')
        text(WIDTH - RIGHT + 32, TOP + 24 + 20 * i, way, "start")
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 22,
         "operations a byte (convolutions as plain sums; weights and maps once)")
    text(18, (TOP + HEIGHT - BOTTOM) / 2, "GFLOPS", extra=f'transform="rotate(-90 18 {(TOP + HEIGHT - BOTTOM) / 2})"')
    text(LEFT, 18, f"{results['processor']}, {results['threads']} threads", "start")
    return "\n".join(parts + ["</svg>", ""])
