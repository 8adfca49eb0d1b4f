"""Made results of step 1 and 2, of any size, in the program's own files: for trying and measuring pages.

    made_data.py FOLDER ResNet152|VGG16 [VALUES]      (FILTAGS: the program)
"""
import json
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]

VGG16 = [(f"block{block}_conv{i}", n)
         for block, n, depth in ((1, 64, 2), (2, 128, 2), (3, 256, 3), (4, 512, 3), (5, 512, 3))
         for i in range(1, depth + 1)]
# The last ten of ResNet152's 155 tagged layers; a page shows eight.
RESNET152_END = [(f"conv5_block{block}_{i}_conv", n) for block in (1, 2, 3)
                 for i, n in (((0, 2048),) if block == 1 else ()) + ((1, 512), (2, 512), (3, 2048))]
NETWORKS = {"VGG16": VGG16, "ResNet152": RESNET152_END}


def imagenet_wnids():
    lines = (ROOT / "data" / "imagenet_classes.tsv").read_text().splitlines()
    return [line.split("\t")[1] for line in lines]


def class_activations(layers, n_classes, seed=1):
    """[n_classes, all filters] as trained networks have them: filters differ widely in how active they are, most
    classes are near a filter's mean, a few excite it much more."""
    random = np.random.default_rng(seed)
    rows = []
    for _, n in layers:
        base = random.lognormal(-3.2, 0.7, n)
        common = random.lognormal(0, 0.25, (n_classes, n))
        excited = 1 + (random.random((n_classes, n)) < 0.02) * random.exponential(1.5, (n_classes, n))
        rows.append(np.clip(base * common * excited, 0, 1))
    return np.concatenate(rows, axis=1).astype(np.float32)


def write_activations(folder, network, layers, labels, rows):
    """Write step 1's files. Returns the -vars.pkl."""
    folder = pathlib.Path(folder)
    prefix = folder / f"2026-01-01-0000-QFA-{network}"
    bounds = np.cumsum([n for _, n in layers])[:-1]
    variables = {"train_filenames": [], "test_filenames": [], "labels_id": dict(enumerate(labels, 1))}
    names = [*variables, *(f"filter_act_{i}" for i in variables["labels_id"])]
    path = pathlib.Path(f"{prefix}-vars.pkl")
    with open(path, "wb") as file:
        for value in variables.values():
            pickle.dump(value, file, protocol=2)
        for row in rows:
            pickle.dump([part.copy() for part in np.split(row, bounds)], file, protocol=2)
    pathlib.Path(f"{prefix}-vars-names.pkl").write_bytes(pickle.dumps(names, protocol=2))
    record = {
        "format": "filtags-run", "format_version": 1, "command": "activations", "previous": None,
        "network": {"name": network, "network": None, "weights": None, "model": None, "preprocess": "caffe",
                    "input_shape": [224, 224, 3], "n_outputs": len(labels), "layers_option": "conv",
                    "layers": [{"name": name, "filters": n} for name, n in layers]},
        "dataset": {"images_dir": None, "split": None, "seed_rn": None, "limit": None}}
    pathlib.Path(f"{prefix}-run.json").write_text(json.dumps(record))
    return path


def make(folder, network, layers, labels, k_q, program, seed=1):
    """Step 1 made, step 2 by the program. Returns the paths of both -vars.pkl."""
    path = write_activations(folder, network, layers, labels, class_activations(layers, len(labels), seed))
    subprocess.run([program, "tag", path, "--k-q", k_q, "--save-dir", folder, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    tags = [name for name in os.listdir(folder) if "-TF-" in name and name.endswith("-vars.pkl")]
    return path, pathlib.Path(folder) / tags[0]


def main():
    folder, network, *values = sys.argv[1:]
    os.makedirs(folder)
    _, tags = make(folder, network, NETWORKS[network], imagenet_wnids(), values[0] if values else "1,5,25",
                   os.environ.get("FILTAGS", ROOT / "build" / "filtags"))
    print(tags)


if __name__ == "__main__":
    main()
