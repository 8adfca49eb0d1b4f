"""The network's files: models that can't be read, layers, sizes, class indices; a model that changes between steps."""
import json
import os
import shutil
import zipfile

import pytest

import steps


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return steps.make_pictures(tmp_path_factory.mktemp("images") / "i", {f"c{i}": 3 for i in range(4)})


@pytest.fixture(scope="module")
def five_classes(tmp_path_factory):
    return steps.make_pictures(tmp_path_factory.mktemp("images") / "i", {f"n0000000{i}": 2 for i in range(5)})


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def copy_archive(path, **changes):
    """A .keras with members replaced, or left out (None)."""
    with zipfile.ZipFile(steps.MODEL) as source, zipfile.ZipFile(path, "w") as copy:
        for name in source.namelist():
            data = changes.get(name.split(".")[0], source.read(name))
            if data is not None:
                copy.writestr(name, data)
    return path


# ---------------------------------------------------------------- models that can't be read

def refuse_model(images, out, model):
    message = steps.fail("activations", "--model", model, "--images-dir", images, "--save-dir", out)
    assert str(model) in message
    assert os.listdir(out) == []
    return message


def test_missing_model(images, out, tmp_path):
    assert "No such file or directory" in refuse_model(images, out, tmp_path / "missing.keras")
    refuse_model(images, out, tmp_path)
    assert "No such file or directory" in steps.fail("layers", tmp_path / "missing.h5")


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("contents", [b"", b"This is text.\n", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"\0" * 5000],
                         ids=["empty", "text", "zip-start", "hdf5-start", "zeros"])
def test_file_that_is_no_model(images, out, tmp_path, ending, contents):
    model = tmp_path / f"bad.{ending}"
    model.write_bytes(contents)
    refuse_model(images, out, model)
    assert str(model) in steps.fail("layers", model)


@pytest.mark.parametrize("source", [steps.MODEL, steps.MODEL_H5], ids=["keras", "h5"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_truncated_model(images, out, tmp_path, source, share):
    model = tmp_path / f"cut{source.suffix}"
    data = source.read_bytes()
    model.write_bytes(data[:int(share * len(data))])
    refuse_model(images, out, model)


@pytest.mark.parametrize("config", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"class_name": "Functional"}',
                                    b'{"class_name": 7, "config": {"layers": []}}',
                                    b'{"class_name": "Functional", "config": {"layers": [1, 2]}}', None])
def test_malformed_configuration(images, out, tmp_path, config):
    refuse_model(images, out, copy_archive(tmp_path / "m.keras", config=config))


def test_malformed_weights(images, out, tmp_path):
    for i, weights in enumerate([None, b"", b"no HDF5"]):
        refuse_model(images, out, copy_archive(tmp_path / f"m{i}.keras", model=weights))


def test_unknown_layer_is_named(images, out, tmp_path):
    with zipfile.ZipFile(steps.MODEL) as archive:
        config = json.loads(archive.read("config.json"))
    layer = next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "res_relu")
    layer["class_name"] = "Hologram"
    message = refuse_model(images, out, copy_archive(tmp_path / "m.keras", config=json.dumps(config)))
    assert "Hologram" in message and "res_relu" in message


# ---------------------------------------------------------------- layers and size

def test_layers_that_match_nothing(images, out):
    for layers, name in (("nosuchlayer", "nosuchlayer"), ("*xyz*", "*xyz*"), ("stem_conv,other", "other")):
        message = steps.activations(images, out, "--layers", layers, status=2).stderr
        assert f"--layers {name}: matches no layer of {steps.MODEL} (there are: image, stem_conv, " in message
    assert os.listdir(out) == []


def test_layers_by_name_and_glob(images, out):
    steps.activations(images, out, "--layers", "top_*,stem_conv", "--split", 0)
    record = steps.run_json(out, "QFA")
    assert [layer["name"] for layer in record["network"]["layers"]] == ["stem_conv", "top_conv1", "top_conv2"]
    assert record["network"]["layers_option"] == "top_*,stem_conv"
    variables = steps.load(steps.main_file(out, "QFA"))
    assert [len(array) for array in variables["filter_act_1"]] == [16, 24, 32]
    info = steps.only(out, "*-QFA-*-vars-info.txt").read_text()
    assert "  layer 1: top_conv1, 24 filters\n" in info


def test_size_that_is_not_the_models(images, out):
    message = steps.activations(images, out, "--size", "32x32", status=1).stderr
    assert f"{steps.MODEL}: the model's input has height 40, 32 was asked for" in message
    assert os.listdir(out) == []
    steps.activations(images, out, "--size", "40x48")


def test_instruction_set_is_recorded(images, out):
    steps.pipeline(images, out, "--isa", "portable", "--k-q", 1)
    assert steps.run_json(out, "QFA")["network"]["isa"] == "portable"


# ---------------------------------------------------------------- class index

def index_file(tmp_path, contents):
    path = tmp_path / "index.txt"
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize("contents, message", [
    (b"", "5 lines expected, one for each output of the network, found 0"),
    (b"c0 a\nc1 b\nc2 c\nc3 d\n", "5 lines expected, one for each output of the network, found 4"),
    (b"a\nb\nc\nd\ne\nf\n", "5 lines expected, one for each output of the network, found 6"),
    (b"a\nb\0\nc\nd\ne\n", "a class index of UTF-8 text expected, found binary data"),
    (b"a\nb\xe9\nc\nd\ne\n", "a class index of UTF-8 text expected, found binary data"),
])
def test_class_index_that_does_not_fit(images, out, tmp_path, contents, message):
    path = index_file(tmp_path, contents)
    for command in (steps.activations, steps.pipeline):
        assert command(images, out, "--class-index", path, status=1).stderr.endswith(f"{path}: {message}\n")
    assert os.listdir(out) == [], "found before the pictures are run"


def test_class_index_that_is_missing(images, out, tmp_path):
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "a folder")):
        message = steps.activations(images, out, "--class-index", path, status=1).stderr
        assert str(path) in message and reason in message


def test_forms_of_a_class_index(images, out, tmp_path):
    path = index_file(tmp_path, b"\xef\xbb\xbfc0  a  label of words \r\n\n\tc1\tb\r\nc2\n  \nc3 d\nz \xc3\xbc")
    steps.pipeline(images, out, "--class-index", path, "--k-q", 1, "--split", 0.5)
    assert steps.warnings(out, "E") == []
    tops = {name: label for file in steps.found(out, "*-E-*-vars?.pkl") for top in steps.load(file)["y"]
            for name, label, _ in top}
    names = {"c0": "a  label of words", "c1": "b", "c2": "c2", "c3": "d", "z": "\u00fc"}
    assert tops and all(names[name] == label for name, label in tops.items())
    assert steps.run_json(out, "HR")["network"]["class_index"] == str(path)


def test_no_folder_matches_an_output(images, out, tmp_path):
    path = index_file(tmp_path, b"v\nw\nx\ny\nz\n")
    result = steps.pipeline(images, out, "--class-index", path, "--k-q", 1)
    line = "no class folder is named like an output of the network ('v', ...): no hit can be counted"
    assert steps.warnings(out, "E") == [line] and line in result.stderr


def test_outputs_are_numbers_without_a_class_index(images, out):
    steps.pipeline(images, out, "--k-q", 1, "--split", 0.5)
    assert steps.warnings(out, "E") == [
        "no class folder is named like an output of the network ('0', ...): no hit can be counted"]
    tops = [top for file in steps.found(out, "*-E-*-vars?.pkl") for top in steps.load(file)["y"]]
    assert tops and all(len(top) == 3 and set("01234") > {name for name, _, _ in top} for top in tops)
    assert all(name == label and 0 <= share <= 1 for top in tops for name, label, share in top)


def test_order_of_the_folders_is_assumed(five_classes, out):
    steps.pipeline(five_classes, out, "--k-q", 1, "--split", 0.5)
    assert steps.warnings(out, "E") == [
        "no --class-index: the network's 5 outputs are assumed to be the class folders in their order"]
    assert steps.run_json(out, "E")["network"]["class_index"] is None


# ---------------------------------------------------------------- a model that changes

@pytest.fixture
def changed(images, out, tmp_path):
    """Tags, and then another file in the model's place."""
    model = tmp_path / "model.keras"
    shutil.copy(steps.MODEL, model)
    steps.activations(images, out, model=model)
    steps.run("tag", steps.main_file(out, "QFA"), "--save-dir", out, "--k-q", 1)
    copy_archive(model)  # the same network, other bytes
    return model


def test_changed_model_is_an_error(changed, out, tmp_path):
    before = set(os.listdir(out))
    message = steps.fail("evaluate", steps.main_file(out, "TF"), "--save-dir", out, "--k-q", 1)
    assert f"{changed}: the file that the tags were made with expected (SHA-256 " in message
    assert "; give --model to use it all the same" in message
    assert set(os.listdir(out)) == before


def test_changed_model_is_a_warning_where_it_is_given(changed, out):
    steps.run("evaluate", steps.main_file(out, "TF"), "--save-dir", out, "--k-q", 1, "--model", changed)
    assert f"{changed} is not the file that the tags were made with" in steps.warnings(out, "E")


def test_model_that_is_gone(changed, out):
    changed.unlink()
    message = steps.fail("evaluate", steps.main_file(out, "TF"), "--save-dir", out, "--k-q", 1)
    assert str(changed) in message and "No such file or directory" in message


def test_tags_of_other_layers(changed, out):
    tags = steps.main_file(out, "TF")
    words = ["evaluate", tags, "--save-dir", out, "--k-q", 1, "--model", changed]
    assert f"{tags}: tags of 1 layers expected" in steps.fail(*words, "--layers", "stem_conv")
    shuffled = "a_conv,b_conv,res_conv*,separable,stem_conv,top_*,c_conv1"
    assert "filters expected, found" in steps.fail(*words, "--layers", shuffled)
    assert "layers expected" in steps.fail(*words[:-1], steps.TESTS.parent / "demo" / "fashion.keras")


def test_output_that_is_no_vector(images, out):
    model = steps.TESTS / "parity" / "layers" / "conv_stride2_valid.keras"
    words = ["pipeline", "--model", model, "--images-dir", images, "--save-dir", out, "--k-q", "1"]
    assert f"{model}: a vector of outputs expected" in steps.fail(*words)
    assert steps.main_file(out, "TF").exists(), "what the first steps found is kept"
