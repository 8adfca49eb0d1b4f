"""Make files in the form of the published filTags scripts (docs/published-files.md), as NumPy 1 pickled them.

    python tools/make_published_files.py tests/parity/published      (NumPy 1.x)

The activations are random numbers for the 9 convolution layers of tests/parity/mixed.keras and its 5 classes; the tags
are what the scripts' rules make of them. Nothing here is the scripts' own code.
"""
import pathlib
import pickle
import sys

import numpy as np

LAYERS = [16, 12, 8, 20, 8, 26, 26, 24, 32]
CLASSES = [f"n0000000{i}" for i in range(5)]
VALUES = [0, 7, 25, 50]  # of k and of q; 7 percent of 8 filters are still one


def write(folder, name, variables, protocol):
    with open(folder / name, "wb") as file:
        for value in variables.values():
            pickle.dump(value, file, protocol)
    with open(folder / f"{name}-names", "wb") as file:
        pickle.dump(list(variables), file, protocol)


def select(layer, value, is_percent):
    """The most active filters of a layer: value of them, or value percent; those above the mean for 0 and too many."""
    if value == 0 or value > (100 if is_percent else len(layer)):
        return set(np.nonzero(layer > np.average(layer))[0])
    n = round(value / 100 * len(layer)) if is_percent else value
    return set(np.argsort(-layer, kind="stable")[:n])


def make_tags(activations, value, is_percent):
    tags = [[[] for _ in range(n)] for n in LAYERS]
    for label, layers in zip(CLASSES, activations):
        for i, layer in enumerate(layers):
            for j in sorted(select(layer, value, is_percent)):
                tags[i][j].append(label)
    return tags


def main():
    assert np.__version__.startswith("1."), "the published files were made with NumPy 1"
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(5)
    activations = [[random.rand(n).astype(np.float32) for n in LAYERS] for _ in CLASSES]
    activations[0][0][3] = np.float32(-2e-8)  # as 32-bit scaling can leave a filter that is never active
    names = [f"filter_act_{i}: filter activations of class {label}" for i, label in enumerate(CLASSES)]

    # as the script for step 1 wrote it: Python 3.7's protocol 3
    files = {"train_filenames": [f"/data/images/{label}/1.JPEG" for label in CLASSES],
             "test_filenames": [f"/data/images/{label}/2.JPEG" for label in CLASSES],
             "labels_id": dict(enumerate(CLASSES))}
    write(folder, "2021-01-01-0000-CA-VGG16-vars", {**files, **dict(zip(names, activations))}, 3)

    # the same values in other clothes: float64 arrays, lists of NumPy scalars and of floats, a tuple; no file names and
    # no labels_id; protocol 4
    others = [[layer.astype(np.float64) for layer in activations[0]], [list(layer) for layer in activations[1]],
              [layer.tolist() for layer in activations[2]], tuple(tuple(layer.tolist()) for layer in activations[3]),
              [np.float64(0.5) * 2 * layer.astype(np.float64) for layer in activations[4]]]
    others[3] = list(others[3])
    write(folder, "2021-01-01-0001-CA-VGG16-vars", dict(zip(names, others)), 4)

    # as the script for step 2 wrote it: places in the list of values for k, the values for q
    write(folder, "2021-01-02-0000-LF-VGG16-vars",
          {"labels_filters": {i: make_tags(activations, value, False) for i, value in enumerate(VALUES)},
           "labels_filters_per": {value: make_tags(activations, value, True) for value in VALUES}}, 3)


if __name__ == "__main__":
    main()
