"""The program's results against the oracle's (tests/parity/oracle, Keras on TensorFlow), which tools/make_goldens.py
stored in golden/.

Also what needs the same runs: equal bytes however a run is spread over threads, and pickles that Python loads without a
warning. Runs with NumPy 1 and with NumPy 2. FILTAGS names the program."""

import glob
import hashlib
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FILTAGS = os.environ.get("FILTAGS", os.path.join(ROOT, "build", "filtags"))

MIXED = [
    "--model",
    os.path.join(HERE, "mixed.keras"),
    "--preprocess",
    "unit",
    "--images-dir",
    os.path.join(HERE, "images"),
]
MIXED_INDEX = ["--class-index", os.path.join(HERE, "classes.txt")]


def run(*arguments, status=0):
    done = subprocess.run([FILTAGS, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


def join(values):
    return ",".join(str(v) for v in values)


@pytest.fixture(scope="session")
def demo_options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with zipfile.ZipFile(os.path.join(ROOT, "demo", "images.zip")) as archive:
        archive.extractall(folder)
    return [
        "--model",
        os.path.join(ROOT, "demo", "fashion.keras"),
        "--images-dir",
        str(folder),
        "--class-index",
        os.path.join(ROOT, "demo", "classes.txt"),
    ]


def golden(name):
    with open(os.path.join(HERE, "golden", name, "results.json"), encoding="utf-8") as f:
        return json.load(f)


def run_like(name, options, save_dir):
    expected = golden(name)
    run(
        "pipeline",
        *options,
        "--split",
        str(expected["split"]),
        "--seed-rn",
        str(expected["seed_rn"]),
        "--k-q",
        join(expected["k_q"]),
        "--m",
        join(expected["m"]),
        "--save-dir",
        str(save_dir)
    )
    return expected


def load(folder, kind, suffix=""):
    """{name: value} of the folder's only run of a kind; a warning is an error"""
    (path,) = glob.glob(os.path.join(folder, "*-%s-*-vars%s.pkl" % (kind, suffix)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open(path[:-4] + "-names.pkl", "rb") as f:
            names = pickle.load(f)
        with open(path, "rb") as f:
            values = {name: pickle.load(f) for name in names}
            assert f.read() == b""
    return values


def compare(name, save_dir):
    """The oracle's own judge, at the tolerances that the project promises."""
    done = subprocess.run(
        [
            sys.executable,
            os.path.join(HERE, "oracle", "compare.py"),
            "--oracle",
            os.path.join(HERE, "golden", name),
            "--c-dir",
            str(save_dir),
            "--json",
            "--tol",
            "1e-5",
            "--tie",
            "1e-5",
            "--top1",
            "1",
            "--max-rankings",
            "0",
        ],
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    return report


@pytest.mark.parametrize(
    "name, model, has_index",
    [
        ("mixed-seed7", "mixed.keras", True),
        ("mixed-seed7", "mixed.h5", True),
        ("mixed-seed123", "mixed.keras", True),
        ("mixed-no-index", "mixed.keras", False),
        ("demo-seed123", None, True),
        ("demo-seed5", None, True),
    ],
)
def test_results_are_the_oracles(name, model, has_index, demo_options, tmp_path):
    options = demo_options
    if model:
        options = ["--model", os.path.join(HERE, model)] + MIXED[2:] + (MIXED_INDEX if has_index else [])
    expected = run_like(name, options, tmp_path)
    report = compare(name, tmp_path)
    print(name, report)
    assert report["train_filenames_same_order"] and report["test_filenames_same_order"]
    assert report["top3_equal_share"] == 1
    assert report["top1_probability_max_diff"] < 1e-5
    if report["rankings_equal_share"] == 1:
        assert report["hit_rate_max_diff"] == 0
        assert_last_layer_and_classes(expected, tmp_path)


def assert_last_layer_and_classes(expected, folder):
    """What compare.py leaves out: hit rates of each class, and of the last layer by the program's predictions."""
    hits = load(folder, "HR")
    for kind in "kq":
        for label, by_value in expected["hit_" + kind].items():
            for value, by_m in by_value.items():
                ours = {float(k): v for k, v in hits["hit_" + kind][label].items()}[float(value)]
                assert {str(m): rate for m, rate in ours.items()} == by_m
    pictures = {}
    for number, label in enumerate(expected["labels"], 1):
        variables = load(folder, "E", number)
        pictures[label] = (variables["y"], variables["y_k_ll"])
    for value, by_m in hits["totalhit_k_ll"].items():
        for m, rate in by_m.items():
            found = [
                any(label == top[0][0] for label, _ in ranking[:m])
                for y, ranked in pictures.values()
                for top, ranking in zip(y, ranked[value])
            ]
            assert rate == pytest.approx(sum(found) / len(found), abs=1e-15)


def digests(folder):
    return {
        name.split("-", 4)[4]: hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest()
        for name in os.listdir(folder)
        if name.endswith(".pkl") or name.endswith("-results.txt")
    }


@pytest.mark.parametrize("which", ["mixed", "demo"])
def test_same_bytes_for_any_threads_and_batch(which, demo_options, tmp_path):
    options = demo_options if which == "demo" else MIXED + MIXED_INDEX
    results = []
    for number, extra in enumerate(
        [
            ["--threads", "1", "--batch", "1"],
            ["--threads", "2"],
            ["--threads", "3", "--batch", "5"],
            ["--threads", "8", "--batch", "2"],
            ["--threads", "1", "--batch", "64"],
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(
            "pipeline",
            *options,
            "--split",
            "0.4",
            "--seed-rn",
            "7",
            "--k-q",
            "0,1,5",
            "--save-dir",
            str(folder),
            *extra
        )
        results.append(digests(folder))
    assert len(results[0]) > 12
    assert all(result == results[0] for result in results)


def test_shapes_and_types_of_the_variables(tmp_path):
    run("pipeline", *MIXED, *MIXED_INDEX, "--k-q", "0,1,12.5", "--m", "1,2", "--save-dir", str(tmp_path))
    activations = load(tmp_path, "QFA")
    assert list(activations)[:4] == ["train_filenames", "test_filenames", "labels_id", "filter_act_1"]
    assert sorted(activations["labels_id"]) == [1, 2, 3, 4, 5]
    for array in activations["filter_act_1"]:
        assert isinstance(array, np.ndarray) and array.dtype == np.float32 and array.ndim == 1
        array += 1  # the array is its own master: writable
    tags = load(tmp_path, "TF")
    assert list(tags) == ["filTags_k", "filTags_q"]
    assert list(tags["filTags_k"]) == [0, 1] and list(tags["filTags_q"]) == [0, 1, 12.5]
    assert all(isinstance(k, int) for k in tags["filTags_k"])
    assert [len(layer) for layer in tags["filTags_k"][1]] == [len(a) for a in activations["filter_act_1"]]
    evaluation = load(tmp_path, "E", 1)
    assert list(evaluation) == ["y", "y_k", "y_q", "y_k_ll", "y_q_ll", "class_images_dict"]
    assert all(isinstance(top, tuple) and len(top) == 3 for top in evaluation["y"][0]) and len(evaluation["y"][0]) == 3
    hits = load(tmp_path, "HR")
    assert list(hits) == [
        "totalhit_k",
        "totalhit_q",
        "totalhit_k_ll",
        "totalhit_q_ll",
        "hit_k",
        "hit_q",
        "hit_k_ll",
        "hit_q_ll",
    ]


def test_instruction_sets_agree(tmp_path):
    """What the machine lacks is refused with status 1, never run."""
    found = {}
    for isa in ("portable", "avx2", "avx512"):
        folder = tmp_path / isa
        folder.mkdir()
        done = subprocess.run(
            [FILTAGS, "activations", *MIXED, "--save-dir", str(folder), "--isa", isa], capture_output=True, text=True
        )
        if done.returncode == 0:
            found[isa] = load(folder, "QFA")
        else:
            assert done.returncode == 1 and isa in done.stderr
    assert "portable" in found
    for values in found.values():
        for number in range(1, 6):
            for a, b in zip(values["filter_act_%d" % number], found["portable"]["filter_act_%d" % number]):
                assert np.abs(a - b).max() < 1e-5
