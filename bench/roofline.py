"""The roofline picture: how close to what the machine can do, an SVG."""
import math
from xml.sax.saxutils import escape

import bench_tables

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 960, 600, 72, 64, 176, 150
NAME_GAP = 19  # between the names of networks, which are written upwards
# Okabe and Ito's colours, and a shape each: neither colour-blind readers nor a printer in black need the other
MARKS = {"scripts' way": ("#7f7f7f", "cross"), "TensorFlow": ("#e69f00", "square"), "OpenVINO": ("#56b4e9", "diamond"),
         "ONNX Runtime": ("#0072b2", "triangle"), "PyTorch": ("#cc79a7", "ring"), "filTags": ("#d55e00", "disc")}


def shape(kind, x, y, color, title):
    """A mark of about ten units, with a title that browsers show beside the pointer."""
    around = {"square": [(-5, -5), (5, -5), (5, 5), (-5, 5)], "diamond": [(0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)],
              "triangle": [(0, -6), (6, 5), (-6, 5)]}
    inside = f"<title>{escape(title)}</title>"
    if kind in around:
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in around[kind])
        return f'<polygon points="{points}" fill="{color}" stroke="white">{inside}</polygon>'
    if kind == "cross":
        return (f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="{color}" stroke-width="2.4" '
                f'fill="none">{inside}</path>')
    fill = f'fill="none" stroke="{color}" stroke-width="2.4"' if kind == "ring" else f'fill="{color}" stroke="white"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 if kind == "ring" else 7.5}" {fill}>{inside}</circle>'


def ticks(low, high):
    """1, 2, 5, 10 ... between them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10 ** power for power in powers for step in (1, 2, 5) if low <= step * 10 ** power <= high]


def spread(places, gap, low, high):
    """Places for names, in the same order, at least gap apart: the mean of pushing them right and left."""
    right, left = list(places), list(places)
    for i in range(1, len(places)):
        right[i] = max(right[i], right[i - 1] + gap)
    for i in range(len(places) - 2, -1, -1):
        left[i] = min(left[i], left[i + 1] - gap)
    spots = [(a + b) / 2 for a, b in zip(right, left)]
    for i in range(len(spots)):
        spots[i] = max(spots[i], low + i * gap)
    for i in range(len(spots)):
        spots[i] = min(spots[i], high - (len(spots) - 1 - i) * gap)
    return spots


class Axes:
    """Both logarithmic."""

    def __init__(self, points, peak, memory):
        self.low_x, self.high_x = min(peak / memory, min(x for x, *_ in points)) / 2, 2 * max(x for x, *_ in points)
        top = max(peak, max(y for _, y, *_ in points))
        self.low_y, self.high_y = min(y for _, y, *_ in points) / 1.6, 1.8 * top

    def x(self, value):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / self.low_x) / math.log(self.high_x / self.low_x)

    def y(self, value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(value / self.low_y) / math.log(
            self.high_y / self.low_y)


class Drawing:
    def __init__(self):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
                      f'height="{HEIGHT}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">'
                      f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']

    def text(self, x, y, words, anchor="middle", turn=0, extra='fill="#333333"'):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.parts.append(f"<text {place} {extra}{turned}>{escape(words)}</text>")

    def line(self, x1, y1, x2, y2, style):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')


def draw_axes(drawing, axes):
    for value in ticks(axes.low_x, axes.high_x):
        drawing.line(axes.x(value), TOP, axes.x(value), HEIGHT - BOTTOM, 'stroke="#ececec"')
        drawing.text(axes.x(value), TOP - 8, f"{value:g}")
    for value in ticks(axes.low_y, axes.high_y):
        drawing.line(LEFT, axes.y(value), WIDTH - RIGHT, axes.y(value), 'stroke="#ececec"')
        drawing.text(LEFT - 8, axes.y(value) + 4, f"{value:g}", "end")
    drawing.text((LEFT + WIDTH - RIGHT) / 2, TOP - 26, "operations a byte (weights and maps moved once)")
    drawing.text(22, (TOP + HEIGHT - BOTTOM) / 2, "GFLOPS (convolutions as plain sums)", turn=-90)


def draw_roof(drawing, axes, peak, memory):
    style = 'stroke="#222222" stroke-width="2" stroke-linecap="round"'
    ridge = peak / memory
    start = max(axes.low_x, axes.low_y / memory)
    drawing.line(axes.x(start), axes.y(start * memory), axes.x(ridge), axes.y(peak), style)
    drawing.line(axes.x(ridge), axes.y(peak), WIDTH - RIGHT, axes.y(peak), style)
    drawing.text(WIDTH - RIGHT + 8, axes.y(peak) - 3, "FMA peak", "start")
    drawing.text(WIDTH - RIGHT + 8, axes.y(peak) + 12, f"{peak:.0f} GFLOPS", "start")
    drawing.text(LEFT + 12, axes.y(peak) - 12, "above: fewer multiplications than a plain sum has (Winograd)",
                 "start", extra='fill="#777777" font-style="italic"')
    middle = math.sqrt(start * ridge)
    slope = math.degrees(math.atan2(axes.y(middle * memory) - axes.y(ridge * memory), axes.x(ridge) - axes.x(middle)))
    drawing.text(axes.x(middle), axes.y(middle * memory) + 16, f"memory, {memory:.0f} GB/s", turn=-slope)


def draw_names(drawing, axes, networks):
    """Below the axis, each with a line to where it belongs."""
    networks = sorted(networks, key=lambda found: found["flops"] / found["bytes"])
    places = [axes.x(found["flops"] / found["bytes"]) for found in networks]
    for found, place, spot in zip(networks, places, spread(places, NAME_GAP, LEFT + 8, WIDTH - RIGHT - 8)):
        drawing.line(place, TOP, place, HEIGHT - BOTTOM, 'stroke="#d0d0d0" stroke-dasharray="2 3"')
        drawing.line(place, HEIGHT - BOTTOM, spot, HEIGHT - BOTTOM + 18, 'stroke="#999999"')
        drawing.text(spot + 4, HEIGHT - BOTTOM + 24, found["network"], "end", turn=-90)


def draw_legend(drawing, families):
    x, y = WIDTH - RIGHT + 24, HEIGHT - BOTTOM - 22 * len(families) - 8
    for i, family in enumerate(families):
        color, kind = MARKS[family]
        drawing.parts.append(shape(kind, x, y + 22 * i, color, family))
        drawing.text(x + 14, y + 22 * i + 4, family, "start")


def draw(results):
    """results: as bench.py makes them; of each framework the fastest way. Operations: of the convolutions as a plain
    sum. Bytes: their weights and the maps that they read and write, each once."""
    networks = [found for found in results["networks"] if found["rows"]]
    peak = max(found["peak"]["gflops"] for found in networks)
    memory = max(found["peak"]["gbytes"] for found in networks)
    points = [(found["flops"] / found["bytes"], row["gflops"], family, found["network"], row["way"])
              for found in networks for family, row in bench_tables.best_rows(found).items()]
    axes, drawing = Axes(points, peak, memory), Drawing()
    draw_axes(drawing, axes)
    draw_names(drawing, axes, networks)
    draw_roof(drawing, axes, peak, memory)
    for x, y, family, network, way in points:
        color, kind = MARKS[family]
        drawing.parts.append(shape(kind, axes.x(x), axes.y(y), color,
                                   f"{network}, {way}: {y:.0f} GFLOPS, {y / peak:.0%} of peak"))
    draw_legend(drawing, [family for family in MARKS if any(point[2] == family for point in points)])
    drawing.text(LEFT, 20, f"{results['processor']}, {results['threads']} threads, {results['date']}", "start",
                 extra='fill="#111111" font-size="14" font-weight="bold"')
    return "\n".join(drawing.parts + ["</svg>", ""])
