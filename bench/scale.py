"""Measure what grows with classes and pictures: tags of 1,000 classes, listing 1.28 million files, a second run with
--store.

    ./dev bench scale [--what tags,listing,store] [--network VGG16] [--pictures 400]"""
import json
import subprocess
import sys

# A process's peak memory includes what its parent had when it was started: so this one, which is small, starts the
# program. It has to be made before anything large is imported.
STARTER = """
import json, os, sys
for line in sys.stdin:
    words = json.loads(line)
    process = os.posix_spawn(words[0], words, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)])
    _, status, usage = os.wait4(process, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss]), flush=True)
"""
starter = subprocess.Popen([sys.executable, "-S", "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           text=True)

import argparse
import pathlib
import pickle
import shutil
import tempfile
import time

import numpy as np

import bench
import make_pictures

VGG16_LAYERS = [64, 64, 128, 128, 256, 256, 256] + 6 * [512]


def run(options, *words, expected=0):
    """Seconds and peak memory in MB of a run of the program."""
    start = time.monotonic()
    print(json.dumps([str(word) for word in (options.program, *words)]), file=starter.stdin, flush=True)
    status, peak_kbytes = json.loads(starter.stdout.readline())
    if status != expected:
        sys.exit(f"filtags {' '.join(map(str, words))}: exit status {status}")
    return time.monotonic() - start, peak_kbytes / 1000


def report(what, measured, limit=""):
    print(f"| {what} | {measured[0]:.2f} s | {measured[1]:.0f} MB | {limit} |", flush=True)


def make_activations(folder, n_classes):
    generator = np.random.default_rng(1)
    path = folder / "2026-01-01-0000-QFA-VGG16-vars.pkl"
    names = ["train_filenames", "test_filenames", "labels_id"] + [f"filter_act_{i + 1}" for i in range(n_classes)]
    with open(path, "wb") as file:
        pickle.dump(["a/b.png"], file, 2)
        pickle.dump([], file, 2)
        pickle.dump({i + 1: f"n{1440764 + 37 * i:08d}" for i in range(n_classes)}, file, 2)
        for _ in range(n_classes):
            pickle.dump([generator.beta(2, 8, n).astype("f4") for n in VGG16_LAYERS], file, 2)
    path.with_name(path.name.replace("-vars", "-vars-names")).write_bytes(pickle.dumps(names, 2))
    return path


def measure_tags(options, folder):
    activations = make_activations(folder, options.classes)
    report(f"tag: VGG16's layers, {options.classes} classes, k and q 0..100",
           run(options, "tag", activations, "--save-dir", folder, "--quiet"), "60 s, 2 GB")
    tags = next(folder.glob("*-TF-VGG16-vars.pkl"))
    for k_q in ("1,5,25", "0..100"):
        # it reads the tags first, and then finds no pictures
        report(f"evaluate, reading that tag file ({tags.stat().st_size * 1e-9:.1f} GB), k and q {k_q}",
               run(options, "evaluate", tags, "--k-q", k_q, "--images-dir", folder / "none", expected=1))


def measure_listing(options, folder):
    images = folder / "images"
    for c in range(1000):
        (images / f"n{c:08d}").mkdir(parents=True)
        for i in range(1280):
            open(images / f"n{c:08d}" / f"n{c:08d}_{i * 7919 % 100003}.JPEG", "wb").close()
    report("listing and splitting 1.28 million files",
           run(options, "activations", "--images-dir", images, "--model", folder / "none.keras", expected=1),
           "10 s, 1 GB")


def measure_store(options, folder):
    paths = bench.make_inputs(options, options.network)
    images = folder / "pictures"
    make_pictures.make_pictures(images, 4, -(-options.pictures // 4))
    words = ["activations", "--network", options.network, "--weights", paths["weights"], "--images-dir", images,
             "--save-dir", folder, "--quiet", "--store", folder / "x.store"]
    first, second = run(options, *words), min(run(options, *words) for _ in range(3))
    report(f"{options.network}, {options.pictures} pictures, --store, first run", first)
    report(f"the same again ({first[0] / second[0]:.0f} times faster)", second, "50 times faster")
    one, *others = sorted(folder.glob(f"*-QFA-{options.network}-vars.pkl"))
    if any(one.read_bytes() != other.read_bytes() for other in others):
        sys.exit("the results of the runs differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default="tags,listing,store", help="comma list (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--network", default="VGG16")
    parser.add_argument("--pictures", type=int, default=400, help="of the store's runs (default: %(default)s)")
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, default=bench.ROOT / "build" / "filtags")
    options = parser.parse_args()
    print("| what | time | peak memory | limit |\n|---|---|---|---|", flush=True)
    for name, measure in (("tags", measure_tags), ("listing", measure_listing), ("store", measure_store)):
        if name not in options.what.split(","):
            continue
        folder = pathlib.Path(tempfile.mkdtemp(prefix="filtags-scale-", dir=options.cache))
        try:
            measure(options, folder)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
