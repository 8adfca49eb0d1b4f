#!/usr/bin/env python3
"""Make docs/images/*.png: pictures of the demo's pages, for README.md and the notebook.

    build/py-web/bin/python tools/screenshots.py [NAME ...]

runs the demo and opens its pages as the tests do (tests/web/pages.py), so a page with an error gives no picture. `./dev
screenshots` does it all.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))

import pages  # noqa: E402
from pages import steps  # noqa: E402

FOLDER = ROOT / "docs" / "images"
WIDE, TALL, PHONE = (1280, 800), (1280, 1080), (390, 844)
LARGEST_BYTES, LARGEST_SUM_BYTES = 250_000, 1_200_000
SCALES = [1.5, 1.25, 1]  # pixels a CSS pixel: the first with which the picture is small enough

# name: (kind of page, size, theme, what is chosen)
SHOTS = {
    "visualize": ("VIS", WIDE, "light", "layer=top_conv&filter=74&k=5"),
    "visualize-class": ("VIS", WIDE, "light", "class=Sandal&k=5"),
    "visualize-dark": ("VIS", WIDE, "dark", "layer=block2_conv&filter=9&k=5"),
    "visualize-phone": ("VIS", PHONE, "light", "k=5"),
    "hitrates": ("HP", WIDE, "light", ""),
    "explain": ("EX", TALL, "light", ""),
}


def take(name, folder, scale):
    kind, (width, height), theme, choice = SHOTS[name]
    path = steps.only(folder, f"*-{kind}-fashion.html")
    with pages.page(path, width, height, theme=theme, hash=choice, scale=scale) as p:
        p.wait_for_function("() => document.querySelectorAll('main *').length > 20")
        p.wait_for_timeout(1000)  # heat maps are unpacked after loading, and nothing says when all are drawn
        p.evaluate("() => scrollTo(0, 0)")
        p.settle()
        return p.page.screenshot()


def optimised(png):
    """The picture with a palette of its own."""
    return subprocess.run(["pngquant", "--speed", "1", "--strip", "256", "-"], input=png, stdout=subprocess.PIPE,
                          check=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOTS)} (default: all)")
    names = parser.parse_args().names or list(SHOTS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # from within, because the pages show the path that they were told
        subprocess.run([steps.FILTAGS, "demo", "--quiet", "--save-dir", "demo"], cwd=folder, check=True)
        for name in names:
            for scale in SCALES:
                png = optimised(take(name, pathlib.Path(folder) / "demo", scale))
                if len(png) <= LARGEST_BYTES:
                    break
            else:
                raise SystemExit(f"screenshots.py: {name}: {len(png)} bytes, more than {LARGEST_BYTES}")
            (FOLDER / f"{name}.png").write_bytes(png)
            print(f"docs/images/{name}.png: {len(png)} bytes, scale {scale}")
    pages.browser.close()
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    if total > LARGEST_SUM_BYTES:
        raise SystemExit(f"screenshots.py: {total} bytes together, more than {LARGEST_SUM_BYTES}")


if __name__ == "__main__":
    main()
