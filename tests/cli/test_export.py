"""Tables for other programs: export as CSV and JSON, the list of layers."""
import csv
import io
import json
import os

import numpy as np
import pytest

import steps

LABELS = ["a,b", 'quote"s "', "plain", "two\nlines", " blanks ", "gr\u00fc\u00dfe", "\udce9latin1"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    images = steps.make_pictures(folder / "images", {label: 1 if label == "plain" else 5 for label in LABELS})
    (folder / "out").mkdir()
    steps.pipeline(images, folder / "out", "--k-q", "1,3,12.5", "--split", 0.4)
    return folder / "out"


def read_csv(text):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return rows[0], rows[1:]


def export(path, *words):
    return steps.run("export", path, *words).stdout


def as_text(row, header):
    """A row of JSON as CSV has it; U+FFFD stands for bytes that aren't UTF-8."""
    cells = [row[name] for name in header]
    return ["" if cell is None else cell if isinstance(cell, str) else float(cell) for cell in cells]


def check_both_formats(path, expected_header, expected_rows):
    header, rows = read_csv(export(path))
    assert header == expected_header
    numbers = [name in ("layer", "filter", "activation", "value", "m", "hit_rate") for name in header]
    rows = [[float(cell) if cell and is_number else cell for cell, is_number in zip(row, numbers)] for row in rows]
    assert rows == expected_rows
    objects = json.loads(export(path, "--format", "json"))
    assert all(list(row) == header for row in objects)
    replaced = [[cell.replace("\udce9", "\ufffd") if isinstance(cell, str) else cell for cell in row] for row in rows]
    assert [as_text(row, header) for row in objects] == replaced


def layer_names(chain):
    return [layer["name"] for layer in steps.run_json(chain, "QFA")["network"]["layers"]]


def test_activations(chain):
    path = steps.main_file(chain, "QFA")
    variables = steps.load(path)
    expected = []
    for number, label in variables["labels_id"].items():
        for layer, array in enumerate(variables[f"filter_act_{number}"]):
            expected += [[label, layer, layer_names(chain)[layer], i, value] for i, value in enumerate(array)]
    header, rows = read_csv(export(path))
    assert [np.float32(row[4]) for row in rows] == [row[4] for row in expected], "to the last bit"
    assert len(rows) > 500
    rounded = [[*row[:4], float(f"{row[4]:.9g}")] for row in expected]
    check_both_formats(path, ["class", "layer", "layer_name", "filter", "activation"], rounded)


def test_tags(chain):
    path = steps.main_file(chain, "TF")
    expected = [[rule, value, layer, layer_names(chain)[layer], i, label]
                for rule in "kq" for value, layers in steps.load(path)[f"filTags_{rule}"].items()
                for layer, filters in enumerate(layers) for i, labels in enumerate(filters) for label in labels]
    assert {row[5] for row in expected} == set(LABELS)
    check_both_formats(path, ["rule", "value", "layer", "layer_name", "filter", "label"], expected)


def test_hit_rates(chain):
    path = steps.main_file(chain, "HR")
    variables = steps.load(path)
    expected = []
    for ending, layers in (("", "all"), ("_ll", "last")):
        for rule in "kq":
            per_label = {"": variables[f"totalhit_{rule}{ending}"], **variables[f"hit_{rule}{ending}"]}
            expected += [[rule, layers, label, value, m, "" if rate is None else rate]
                         for label, rates in per_label.items() for value, by_m in rates.items()
                         for m, rate in by_m.items()]
    assert any(row[5] == "" for row in expected) and any(row[5] != "" for row in expected)
    check_both_formats(path, ["rule", "layers", "class", "value", "m", "hit_rate"], expected)


def test_without_run_json_there_are_no_layer_names(chain, tmp_path):
    copy = steps.copy_chain(chain, tmp_path / "copy")
    for path in steps.found(copy, "*-run.json"):
        path.unlink()
    for kind in ("QFA", "TF"):
        _, rows = read_csv(export(steps.main_file(copy, kind)))
        assert rows and {row[3 if kind == "TF" else 2] for row in rows} == {""}
        objects = json.loads(export(steps.main_file(copy, kind), "--format", "json"))
        assert {row["layer_name"] for row in objects} == {None}


def test_empty_tables(tmp_path):
    """No tags and no rates: a header alone, an empty list."""
    empty = [[[] for _ in range(n)] for n in (2, 3)]
    tags = steps.save(tmp_path / "x-TF-n-vars.pkl", {"filTags_k": {1: empty}, "filTags_q": {}})
    names = [f"{kind}_{rule}{ending}" for ending in ("", "_ll") for rule in "kq" for kind in ("totalhit", "hit")]
    rates = steps.save(tmp_path / "x-HR-n-vars.pkl", {name: {} for name in names})
    for path in (tags, rates):
        assert export(path).count("\n") == 1 and json.loads(export(path, "--format", "json")) == []


# ---------------------------------------------------------------- the output

@pytest.mark.parametrize("form", ["csv", "json"])
def test_output_file(chain, tmp_path, form):
    path, to = steps.main_file(chain, "TF"), tmp_path / "table"
    text = export(path, "--format", form)
    assert export(path, "--format", form, "--output", "-") == text
    n_rows = len(json.loads(export(path, "--format", "json")))
    assert export(path, "--format", form, "--output", to) == f"{n_rows} rows written to {to}\n"
    assert to.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert os.listdir(tmp_path) == ["table"]


def test_output_never_replaces(chain, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("precious", "dangling", ""):
        message = steps.fail("export", steps.main_file(chain, "TF"), "--output", tmp_path / name)
        assert "precious: exists already, and is not replaced" in message or name != "precious"
    assert (tmp_path / "precious").read_text() == "precious"
    assert os.path.islink(tmp_path / "dangling")
    assert sorted(os.listdir(tmp_path)) == ["dangling", "precious"]


def test_output_that_cannot_be_written(chain, tmp_path):
    path = steps.main_file(chain, "TF")
    assert "No such file or directory" in steps.fail("export", path, "--output", tmp_path / "no" / "table")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in steps.fail("export", path, "--output", tmp_path / "file" / "table")
    steps.fail("export", path, "--output", "/proc/table")


def test_failed_export_leaves_no_file(chain, tmp_path):
    steps.fail("export", steps.main_file(chain, "E"), "--output", tmp_path / "table")
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------- layers

def test_layers_as_json():
    layers = json.loads(steps.run("layers", steps.MODEL, "--json").stdout)
    assert [layer["index"] for layer in layers] == list(range(25))
    for layer in layers:
        is_conv = layer["class"] == "Conv2D"
        assert list(layer) == ["index", "name", "class", "output_shape", *(["filters"] if is_conv else []), "tagged"]
        assert layer["tagged"] is is_conv
        assert layer["output_shape"][0] is None
        if is_conv:
            assert layer["output_shape"][-1] == layer["filters"]
    assert [layer["filters"] for layer in layers if layer["tagged"]] == steps.N_FILTERS
    assert layers[0] == {"index": 0, "name": "image", "class": "InputLayer", "output_shape": [None, 40, 48, 3],
                         "tagged": False}
    assert layers[24]["output_shape"] == [None, 5]


def test_layers_as_a_table():
    lines = steps.run("layers", steps.MODEL).stdout.splitlines()
    layers = json.loads(steps.run("layers", steps.MODEL, "--json").stdout)
    assert lines[0].split() == ["index", "name", "class", "output", "shape", "filters", "tagged"]
    assert lines[-1] == "25 layers, 23927 parameters; 9 layers with 172 filters are tagged"
    assert len(lines) == len(layers) + 2
    for line, layer in zip(lines[1:], layers):
        assert line.split()[:3] == [str(layer["index"]), layer["name"], layer["class"]]
        shape = ", ".join("None" if n is None else str(n) for n in layer["output_shape"])
        assert f"({shape})" in line
        assert line.split()[-2:] == [str(layer["filters"]), "yes"] if layer["tagged"] else line.rstrip().endswith(")")


def test_layers_of_both_formats_of_a_model():
    assert steps.run("layers", steps.MODEL, "--json").stdout == steps.run("layers", steps.MODEL_H5, "--json").stdout


def test_layers_by_option():
    layers = json.loads(steps.run("layers", steps.MODEL, "--json", "--layers", "top_conv2,stem*").stdout)
    assert [layer["name"] for layer in layers if layer["tagged"]] == ["stem_conv", "top_conv2"]
    layers = json.loads(steps.run("layers", steps.MODEL, "--json", "--layers", "name").stdout)
    assert {layer["name"] for layer in layers if layer["tagged"]} == {
        layer["name"] for layer in layers if "conv" in layer["name"].lower()}
    assert "matches no layer" in steps.run("layers", steps.MODEL, "--layers", "x", status=2).stderr
