"""What people get wrong most often: messages name what was expected and found, and what was probably meant."""
import pytest

import steps


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A whole run, not to be changed."""
    folder = tmp_path_factory.mktemp("mistakes")
    images = steps.make_pictures(folder / "images", {"a": 4, "b": 4})
    steps.pipeline(images, folder, "--k-q", "1,5", "--split", 0.5)
    return folder


@pytest.mark.parametrize("command, kind, expected, found", [
    ("tag", "TF", "'labels_id'", "filTags_k, filTags_q: this is a file of step 2"),
    ("tag", "E", "'labels_id'", "y, y_k, y_q, y_k_ll, ...: this is a file of step 3"),
    ("evaluate", "QFA", "'filTags_k'",
     "train_filenames, test_filenames, labels_id, filter_act_1, ...: this is a file of step 1"),
    ("visualize", "HR", "'filTags_k'", "totalhit_k, totalhit_q, totalhit_k_ll, totalhit_q_ll, ...: this is a file of "
     "step 4"),
    ("decode", "QFA", "'filTags_k'", "this is a file of step 1"),
])
def test_file_of_another_step(chain, command, kind, expected, found):
    path = steps.main_file(chain, kind)
    message = steps.fail(command, path, "--save-dir", chain)
    start = f"filtags {command}: {path}: a variable {expected} expected, found none of that name, but "
    assert message.startswith(start)
    assert message.endswith(f"{found}\n")


def test_file_without_its_names(chain, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("I am no result")
    message = steps.fail("export", text)
    assert "notes.txt-names: cannot be opened" in message and f"(it has the names of what is in {text})" in message


def test_pictures_without_class_folders(chain, tmp_path):
    message = steps.fail("activations", "--model", steps.MODEL, "--images-dir", chain / "images" / "a",
                         "--save-dir", tmp_path)
    assert "a: one folder per class expected, found no picture in one, but 4 beside: put each into a folder" in message


@pytest.mark.parametrize("words, meant", [
    (["activations", "--network", "ResNet5O"], "ResNet50"),
    (["activations", "--network", "vgg-19"], "VGG19"),
    (["activations", "--model", "x", "--preprocess", "unti"], "unit"),
    (["activations", "--isa", "avx"], "avx2"),
    (["fetch", "InceptonV3"], "InceptionV3"),
    (["export", "--format", "jsn"], "json"),
    (["activatons"], "activations"),
    (["tag", "--kq", "1"], "--k-q"),
])
def test_word_with_a_mistake(words, meant):
    first = steps.run(*words, status=2).stderr.splitlines()[0]
    assert first.endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("words", [["activations", "--network", "AlexNet"], ["activations", "--isa", "neon9"],
                                   ["frobnicate"], ["fetch", "x"]])
def test_nothing_near_is_suggested(words):
    assert "did you mean" not in steps.run(*words, status=2).stderr


def test_layer_with_a_mistake(chain, tmp_path):
    message = steps.activations(chain / "images", tmp_path, "--layers", "stem_cnov", status=2).stderr
    assert message.splitlines()[0].endswith("...); did you mean stem_conv?")


def test_network_that_is_no_file():
    assert steps.fail("layers", "VGG61").endswith("VGG61: cannot be opened: No such file or directory; did you mean "
                                                  "VGG16?\n")
    assert steps.fail("layers", "net.h5").endswith("net.h5: cannot be opened: No such file or directory\n")


def test_picture_that_is_missing(chain, tmp_path):
    tags = steps.main_file(chain, "TF")
    message = steps.fail("explain", "--filtags-file", tags, "nothing.png", "--save-dir", tmp_path)
    assert message.endswith("explain: nothing.png: cannot be opened: No such file or directory "
                            "(it is the only picture)\n")


def test_one_value_is_no_values(chain, tmp_path):
    path = steps.main_file(chain, "QFA")
    assert " 1 value of k and 1 of q, " in steps.run("tag", path, "--k-q", 1, "--save-dir", tmp_path).stdout
    assert " 2 values of k and 2 of q, " in steps.run("tag", path, "--k-q", "1,2", "--save-dir", tmp_path).stdout
