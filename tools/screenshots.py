#!/usr/bin/env python3
"""Make docs/images/*.png: pictures of the demo's pages, for README.md and the notebook.

    build/py-web/bin/python tools/screenshots.py [NAME ...]

runs the demo and opens its pages as the tests do (tests/web/pages.py), so a page with an error gives no picture. `./dev
screenshots` does it all.
"""
import argparse
import io
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))

import pages  # noqa: E402
from pages import steps  # noqa: E402

FOLDER = ROOT / "docs" / "images"
WIDE, PHONE = (1280, 800), (390, 844)
LARGEST_BYTES, LARGEST_SUM_BYTES = 250_000, 1_200_000
SCALE = 1.5  # legible on screens of any density
N_COLORS = 256

# name: (kind of page, size, theme, what is chosen)
SHOTS = {
    "visualize": ("VIS", WIDE, "light", "layer=top_conv&filter=74&k=5"),
    "visualize-class": ("VIS", WIDE, "light", "class=Sandal&k=5"),
    "visualize-dark": ("VIS", WIDE, "dark", "layer=block2_conv&filter=9&k=5"),
    "visualize-phone": ("VIS", PHONE, "light", "k=5"),
    "hitrates": ("HP", WIDE, "light", ""),
    "explain": ("EX", WIDE, "light", ""),
}


def take(name, folder):
    kind, (width, height), theme, choice = SHOTS[name]
    path = steps.only(folder, f"*-{kind}-fashion.html")
    with pages.page(path, width, height, theme=theme, hash=choice, scale=SCALE) as p:
        p.wait_for_function("() => document.querySelectorAll('main *').length > 20")
        p.wait_for_timeout(1000)  # heat maps are unpacked after loading, and nothing says when all are drawn
        p.evaluate("() => scrollTo(0, 0)")
        p.settle()
        return p.page.screenshot()


def optimised(png):
    """The picture with a palette: flat colours lose nothing by it, and the heat maps nothing that one sees."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(N_COLORS, Image.Quantize.MEDIANCUT,
                                                                 dither=Image.Dither.NONE)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOTS)} (default: all)")
    names = parser.parse_args().names or list(SHOTS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([steps.FILTAGS, "demo", "--quiet", "--save-dir", folder], check=True)
        for name in names:
            png = optimised(take(name, folder))
            if len(png) > LARGEST_BYTES:
                raise SystemExit(f"screenshots.py: {name}: {len(png)} bytes, more than {LARGEST_BYTES}")
            (FOLDER / f"{name}.png").write_bytes(png)
            print(f"docs/images/{name}.png: {len(png)} bytes")
    pages.browser.close()
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    if total > LARGEST_SUM_BYTES:
        raise SystemExit(f"screenshots.py: {total} bytes together, more than {LARGEST_SUM_BYTES}")


if __name__ == "__main__":
    main()
