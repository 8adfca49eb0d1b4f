"""Make class folders of JPEG pictures of ImageNet's usual size (500 x 375, about 110 kB) for the measurements.

    python make_pictures.py FOLDER [--classes 4] [--per-class 24] [--seed 0]

Blurred noise, shapes and fine grain: what a decoder has to do with them is what it has to do with a photograph."""
import argparse
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, QUALITY = 500, 375, 90


def make_picture(generator):
    coarse = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y, w, h = (int(generator.integers(0, n)) for n in (WIDTH, HEIGHT, WIDTH // 3, HEIGHT // 3))
        color = tuple(int(c) for c in generator.integers(0, 256, 3))
        (draw.ellipse if generator.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), fill=color)
    picture = picture.filter(ImageFilter.GaussianBlur(1.2))
    grain = generator.normal(0, 9, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def make_pictures(folder, n_classes, n_per_class, seed=0):
    folder = pathlib.Path(folder)
    for c in range(n_classes):
        class_folder = folder / f"class{c:04d}"
        class_folder.mkdir(parents=True, exist_ok=True)
        for i in range(n_per_class):
            generator = np.random.default_rng([seed, c, i])
            path = class_folder / f"{i:05d}.jpg"
            if not path.exists():
                make_picture(generator).save(path, quality=QUALITY)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--per-class", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    make_pictures(options.folder, options.classes, options.per_class, options.seed)


if __name__ == "__main__":
    main()
