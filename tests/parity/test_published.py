"""Files of the published scripts (docs/published-files.md) are read.

published/ was made by tools/make_published_files.py."""
import csv
import json
import os
import pickle
import shutil
import subprocess

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FILTAGS = os.environ.get("FILTAGS", os.path.join(ROOT, "build", "filtags"))
PUBLISHED = os.path.join(HERE, "published")
CA = os.path.join(PUBLISHED, "2021-01-01-0000-CA-VGG16-vars")
CA_OTHER = os.path.join(PUBLISHED, "2021-01-01-0001-CA-VGG16-vars")
LF = os.path.join(PUBLISHED, "2021-01-02-0000-LF-VGG16-vars")
VALUES = "0,7,25,50"


def run(folder, *words, status=0):
    environment = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "LC_ALL": "C"}
    done = subprocess.run([FILTAGS, *map(str, words)], capture_output=True, text=True, cwd=folder, env=environment,
                          stdin=subprocess.DEVNULL, timeout=1200, check=False)
    assert done.returncode == status, done.stderr
    return done


def load(path):
    with open(str(path) + "-names", "rb") as names, open(path, "rb") as file:
        return {name: pickle.load(file) for name in pickle.load(names)}


def load_tags(folder):
    path, = folder.glob("*-TF-*-vars.pkl")
    with open(path, "rb") as file:
        return pickle.load(file), pickle.load(file)


def write(path, variables):
    with open(path, "wb") as file:
        for value in variables.values():
            pickle.dump(value, file, 3)
    with open(str(path) + "-names", "wb") as file:
        pickle.dump(list(variables), file, 3)
    return path


def rows(text):
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("path", [CA, CA_OTHER], ids=["as published", "other types"])
def test_tag(tmp_path, path):
    run(tmp_path, "tag", path, "--k-q", VALUES)
    tags_k, tags_q = load_tags(tmp_path)
    published = load(LF)
    assert list(tags_k) == list(tags_q) == [0, 7, 25, 50]
    assert list(tags_k.values()) == list(published["labels_filters"].values())
    assert tags_q == published["labels_filters_per"]
    assert len(list(tmp_path.glob("*-TF-VGG16-vars.pkl"))) == 1
    with open(next(tmp_path.glob("*-run.json")), encoding="utf-8") as file:
        network = json.load(file)["network"]
    assert (network["name"], network["network"], network["layers_option"]) == ("VGG16", "VGG16", "name")


def test_export_activations(tmp_path):
    table = rows(run(tmp_path, "export", CA).stdout)
    published = load(CA)
    names = [name for name in published if name.startswith("filter_act_")]
    expected = [value for name in names for layer in published[name] for value in layer]
    assert [np.float32(row["activation"]) for row in table] == expected
    assert [row["class"] for row in table] == [f"n0000000{i}" for i in range(5) for _ in range(172)]


def test_export_tags(tmp_path):
    table = {(row["rule"], float(row["value"]), int(row["layer"]), int(row["filter"]), row["label"])
             for row in rows(run(tmp_path, "export", LF).stdout)}
    published = load(LF)
    by_value = {"k": dict(zip(published["labels_filters_per"], published["labels_filters"].values())),
                "q": published["labels_filters_per"]}
    expected = {(rule, float(value), i, j, label) for rule, tags in by_value.items() for value, layers in tags.items()
                for i, layer in enumerate(layers) for j, labels in enumerate(layer) for label in labels}
    assert table == expected


def test_evaluate(tmp_path):
    """From the published tags and from ours of the same activations: the same predictions."""
    model = ["--model", os.path.join(HERE, "mixed.keras"), "--preprocess", "unit",
             "--images-dir", os.path.join(HERE, "images"), "--class-index", os.path.join(HERE, "classes.txt"),
             "--split", "0.5", "--k-q", "7,25,50"]
    run(tmp_path, "tag", CA, "--k-q", VALUES)
    tags, = tmp_path.glob("*-TF-VGG16-vars.pkl")
    predictions = []
    for path, name in ((LF, "a"), (tags, "b")):
        (tmp_path / name).mkdir()
        run(tmp_path, "evaluate", path, *model, "--save-dir", tmp_path / name)
        files = sorted((tmp_path / name).glob("*-vars?.pkl"))
        predictions.append([file.read_bytes() for file in files])
        with open(next((tmp_path / name).glob("*-run.json")), encoding="utf-8") as file:
            assert json.load(file)["network"]["layers_option"] == "name"
    assert len(predictions[0]) == 5 and predictions[0] == predictions[1]


def test_evaluate_lacks_values(tmp_path):
    """7 is a value of k, and 1 a place in the list, which is none."""
    done = run(tmp_path, "evaluate", LF, "--model", os.path.join(HERE, "mixed.keras"),
               "--images-dir", os.path.join(HERE, "images"), "--k-q", "1,7")
    assert "no tags for k = 1" in done.stderr and "no tags for q = 1" in done.stderr
    assert "k = 7" not in done.stderr


def test_network_of_the_name(tmp_path):
    """Without run.json the network is the file name's; its weights are needed, and are not on this machine."""
    done = run(tmp_path, "evaluate", LF, "--images-dir", os.path.join(HERE, "images"), "--offline", status=1)
    assert "the weights of VGG16 are not there, and --offline forbids" in done.stderr
    other = tmp_path / "2021-01-02-0000-LF-MyNet-vars"
    shutil.copy(LF, other)
    shutil.copy(LF + "-names", str(other) + "-names")
    done = run(tmp_path, "evaluate", other, "--images-dir", os.path.join(HERE, "images"), status=2)
    assert "--network or --model is missing, and neither a run.json beside" in done.stderr


def test_labels_from_1_and_0(tmp_path):
    """Numbers from 1 beside filter_act_0 fit nothing."""
    variables = load(CA)
    variables["labels_id"] = {i + 1: label for i, label in variables["labels_id"].items()}
    done = run(tmp_path, "tag", write(tmp_path / "a-CA-VGG16-vars", variables), status=1)
    assert "labels_id: a str for each class number from 0 to 4 expected, found another entry at place 4" in done.stderr


@pytest.mark.parametrize("change, message", [
    (lambda v: v.pop(next(name for name in v if name.startswith("filter_act_3"))),
     "a variable 'filter_act_3' expected, found none of that name"),
    (lambda v: [v.pop(name) for name in list(v) if name.startswith("filter_act_")],
     "labels_id: a str for each class number from 1 to 5 expected, found another entry at place 0"),
    (lambda v: v.update({"filter_act_1: x": [["a"]]}) or v.pop("filter_act_1: filter activations of class n00000001"),
     "filter_act_1: a list of NumPy arrays expected, found something else in it"),
    (lambda v: v["filter_act_2: filter activations of class n00000002"].pop(),
     "filter_act_2: as many layers as in the first class expected"),
    (lambda v: v["filter_act_4: filter activations of class n00000004"].__setitem__(0, [-0.1] * 16),
     "filter_act_4: activations in [0, 1] expected, found others"),
    (lambda v: v["filter_act_4: filter activations of class n00000004"].__setitem__(0, [[0.5]] * 16),
     "filter_act_4: a list of NumPy arrays expected, found something else in it"),
], ids=["a class is missing", "no class", "text", "a layer is missing", "negative", "too deep"])
def test_damaged_activations(tmp_path, change, message):
    variables = load(CA)
    change(variables)
    done = run(tmp_path, "tag", write(tmp_path / "a-CA-VGG16-vars", variables), status=1)
    assert message in done.stderr


def test_no_labels(tmp_path):
    variables = {name.split(":")[0]: value for name, value in load(CA_OTHER).items()}
    done = run(tmp_path, "tag", write(tmp_path / "a-CA-VGG16-vars", variables), status=1)
    assert "a variable labels_id, or 'filter_act_0: filter activations of class LABEL' as a name" in done.stderr


@pytest.mark.parametrize("change", [
    lambda v: v["labels_filters_per"].pop(50),
    lambda v: v["labels_filters"].pop(1),
    lambda v: v["labels_filters"].__setitem__(9, v["labels_filters"].pop(1)),
    lambda v: v["labels_filters"].__setitem__("1", v["labels_filters"].pop(1)),
    lambda v: v["labels_filters_per"].__setitem__("50", v["labels_filters_per"].pop(50)),
], ids=["fewer q", "fewer k", "no place", "text as place", "text as value"])
def test_damaged_tags(tmp_path, change):
    variables = load(LF)
    change(variables)
    done = run(tmp_path, "export", write(tmp_path / "a-LF-VGG16-vars", variables), status=1)
    assert "labels_filters with the places 0, 1, ... of labels_filters_per's" in done.stderr


def test_missing_names(tmp_path):
    shutil.copy(CA, tmp_path / "a-CA-VGG16-vars")
    done = run(tmp_path, "tag", tmp_path / "a-CA-VGG16-vars", status=1)
    assert "a-CA-VGG16-vars-names: cannot be opened" in done.stderr
