"""A network by its name, with weights from a file: the whole chain, ImageNet's names, and what doesn't fit."""
import subprocess

import pytest

import steps

BUILD = steps.BUILD
IMAGES = steps.TESTS / "parity" / "images"


def write_weights(folder, network, n_classes):
    """Weights by a formula, in the layout of the published files."""
    name = f"{network}-{n_classes}.h5"
    subprocess.run([BUILD / "tests" / "unit" / "test_networks", folder, name, network, str(n_classes)], check=True)
    return folder / name


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All four steps of ResNet50 with 1,000 outputs, a picture or two of each class."""
    folder = tmp_path_factory.mktemp("resnet")
    weights = write_weights(folder, "ResNet50", 1000)
    steps.run("pipeline", "--network", "resnet50", "--weights", weights, "--images-dir", IMAGES, "--limit", "1",
              "--k-q", "0,1", "--save-dir", folder)
    yield folder
    weights.unlink()  # a hundred megabytes


def test_name_and_labels(run):
    table = (steps.TESTS.parent / "data" / "imagenet_classes.tsv").read_text(encoding="utf-8")
    labels = dict(line.split("\t")[1:] for line in table.splitlines())
    names = [path.name for path in run.glob("*-E-ResNet50-vars[0-9].pkl")]
    assert names, "files carry Keras's spelling of the name"
    for name in names:
        for top in steps.load(run / name)["y"]:
            assert len(top) == 3
            assert all(labels[wnid] == label for wnid, label, _ in top)
            assert top[0][2] >= top[1][2] >= top[2][2] > 0


def test_layers_and_preprocessing(run):
    network = steps.run_json(run, "QFA")["network"]
    assert network["network"] == "ResNet50" and network["preprocess"] == "caffe"
    assert network["input_shape"] == [224, 224, 3] and network["n_outputs"] == 1000
    assert len(network["layers"]) == 53 and sum(layer["filters"] for layer in network["layers"]) == 26560


def test_chain_knows_network_and_weights(run, tmp_path):
    tags = steps.main_file(run, "TF")
    steps.run("evaluate", tags, "--k-q", "0,1", "--save-dir", tmp_path)
    ours, = tmp_path.glob("*-E-ResNet50-vars1.pkl")
    theirs, = run.glob("*-E-ResNet50-vars1.pkl")
    assert ours.read_bytes() == theirs.read_bytes()


def test_number_of_outputs(run, tmp_path):
    words = ["--network", "ResNet50", "--weights", run / "ResNet50-1000.h5", "--images-dir", IMAGES]
    message = steps.run("activations", *words, "--classes", "10", "--save-dir", tmp_path, status=1).stderr
    assert "10" in message and "1000" in message and "predictions" in message


def test_weights_of_another_network(run, tmp_path):
    words = ["--network", "ResNet101", "--weights", run / "ResNet50-1000.h5", "--images-dir", IMAGES]
    message = steps.run("activations", *words, "--save-dir", tmp_path, status=1).stderr
    assert "expected" in message and "ResNet50-1000.h5" in message
    assert not list(tmp_path.iterdir())
