"""visualize: what it reads, what it warns of, what it refuses. The page itself is tested in tests/web."""
import json
import os
import re
import shutil

import numpy as np
import pytest

import steps


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("visualize")
    images = steps.make_pictures(folder / "images", {label: 4 for label in ("ant", "bee", "cat")})
    (folder / "out").mkdir()
    steps.activations(images, folder / "out", "--split", 0.25, "--top-images", 2)
    steps.run("tag", steps.main_file(folder / "out", "QFA"), "--k-q", "1,3,12.5", "--save-dir", folder / "out")
    return folder / "out"


def set_previous(folder, previous):
    record = steps.only(folder, "*-TF-*-run.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "previous": str(previous)}))


@pytest.fixture
def copied(chain, tmp_path):
    """The chain without its pictures, which take time."""
    copy = steps.copy_chain(chain, tmp_path / "copy")
    for path in steps.found(copy, "*-top*.pkl"):
        path.unlink()
    set_previous(copy, steps.main_file(copy, "QFA"))
    return copy


def visualize(path, folder, *words):
    return steps.run("visualize", path, "--save-dir", folder, *words)


def block(folder, name):
    """A block of JSON of the page."""
    html = steps.only(folder, "*-VIS-*.html").read_text(encoding="utf-8")
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S).group(1))


def description(folder):
    return block(folder, "description")


def test_files_and_report(chain, tmp_path):
    result = visualize(steps.main_file(chain, "TF"), tmp_path)
    names = sorted(os.listdir(tmp_path))
    run_id = names[0].split("-VIS-")[0]
    assert names == [f"{run_id}-VIS-{name}" for name in
                     ("info.log", "mixed-run.json", "mixed.html", "warnings.log")]
    assert "8 of 9 layers" in result.stdout and f"{run_id}-VIS-mixed.html" in result.stdout
    assert steps.warnings(tmp_path, "VIS") == []
    record = steps.run_json(tmp_path, "VIS")
    assert record["command"] == "visualize" and record["previous"] == str(steps.main_file(chain, "TF"))
    assert record["counts"]["n_layers"] == 8 and record["counts"]["n_layers_left_out"] == 1
    assert record["counts"]["n_classes"] == 3 and record["counts"]["n_heat_maps_left_out"] == 0
    tags = steps.load(steps.main_file(chain, "TF"))
    n_tags = sum(len(labels) for rule in tags.values() for layers in rule.values() for layer in layers[1:]
                 for labels in layer)
    assert record["counts"]["n_tags"] == n_tags
    page = description(tmp_path)
    assert page["k"] == [1, 3] and page["q"] == [1, 3, 12.5] and page["activations"]["bits"] == 16
    assert [(one["key"], one["number"]) for one in page["classes"]] == [("ant", 1), ("bee", 2), ("cat", 3)]


def test_alias_and_option(copied, tmp_path):
    steps.run("filTagsvis", "--filTags_file", steps.main_file(copied, "TF"), "--save_dir", tmp_path)
    assert description(tmp_path)["network"] == "mixed"


def test_nothing_is_overwritten(copied, tmp_path):
    (tmp_path / "out").mkdir()
    visualize(steps.main_file(copied, "TF"), tmp_path / "out")
    before = steps.snapshot(tmp_path / "out")
    visualize(steps.main_file(copied, "TF"), tmp_path / "out")
    after = steps.snapshot(tmp_path / "out")
    assert len(after) == 2 * len(before) and {path: after[path] for path in before} == before


@pytest.mark.parametrize("words, places", [((), range(1, 9)), (("--max-layers", 3), range(6, 9)),
                                           (("--max-layers", 9), range(9)), (("--max-layers", 500), range(9))])
def test_max_layers(copied, tmp_path, words, places):
    visualize(steps.main_file(copied, "TF"), tmp_path, *words)
    page = description(tmp_path)
    names = [layer["name"] for layer in steps.run_json(copied, "QFA")["network"]["layers"]]
    assert [layer["place"] for layer in page["layers"]] == list(places) and page["leftOut"] == places[0]
    assert [layer["name"] for layer in page["layers"]] == [names[i] for i in places]
    assert [layer["filters"] for layer in page["layers"]] == [steps.N_FILTERS[i] for i in places]


def test_vgg_shows_all_layers(copied, tmp_path):
    path = steps.save(tmp_path / "x-TF-VGG19-vars.pkl", steps.load(steps.main_file(copied, "TF")))
    visualize(path, tmp_path)
    assert len(description(tmp_path)["layers"]) == 9 and description(tmp_path)["network"] == "VGG19"


def test_chosen_values(copied, tmp_path):
    result = visualize(steps.main_file(copied, "TF"), tmp_path, "--k-q", "3,7")
    page = description(tmp_path)
    assert page["k"] == [3] and page["q"] == [3]
    assert "no tags for k = 7" in result.stderr and len(steps.warnings(tmp_path, "VIS")) == 2
    assert "found none" in steps.fail("visualize", steps.main_file(copied, "TF"), "--k-q", 7, "--save-dir", tmp_path)


# ---------------------------------------------------------------- activations

def test_moved_chain(copied, tmp_path):
    """The files name each other by absolute path; together in another folder they are still found."""
    moved = tmp_path / "moved"
    copied.rename(moved)
    set_previous(moved, "/nowhere/" + steps.main_file(moved, "QFA").name)
    visualize(steps.main_file(moved, "TF"), tmp_path)
    assert description(tmp_path)["activations"]["source"] == steps.main_file(moved, "QFA").name


def test_no_chain(copied, tmp_path):
    steps.only(copied, "*-TF-*-run.json").unlink()
    result = visualize(steps.main_file(copied, "TF"), tmp_path)
    assert "no class activations" in result.stderr and "activations" not in description(tmp_path)
    assert len(steps.warnings(tmp_path, "VIS")) == 1
    assert "number" not in description(tmp_path)["classes"][0]


def test_given_activations(copied, tmp_path):
    steps.only(copied, "*-TF-*-run.json").unlink()
    visualize(steps.main_file(copied, "TF"), tmp_path, "--activations-file", steps.main_file(copied, "QFA"))
    assert description(tmp_path)["activations"]["rows"] == 3


def other_network(folder):
    variables = {"labels_id": {1: "ant"}, "filter_act_1": [np.zeros(4, np.float32)]}
    return steps.save(folder / "x-QFA-other-vars.pkl", variables)


def test_activations_of_another_network(copied, tmp_path):
    """Asked for, they must fit; found by the chain, the page goes without."""
    other = other_network(tmp_path)
    tags = steps.main_file(copied, "TF")
    message = steps.fail("visualize", tags, "--activations-file", other, "--save-dir", tmp_path)
    assert "x-QFA-other-vars.pkl: the layers and filters of" in message
    steps.assert_nothing_final(tmp_path, "VIS")
    path = steps.main_file(copied, "QFA")
    for old, new in ((path, other), (steps.names_path(path), steps.names_path(other))):
        old.unlink()
        shutil.copy(new, old)
    result = visualize(steps.main_file(copied, "TF"), tmp_path)
    assert "the page has no class activations" in result.stderr and "activations" not in description(tmp_path)


def test_damaged_activations(copied, tmp_path):
    path = steps.main_file(copied, "QFA")
    path.write_bytes(path.read_bytes()[:1000])
    steps.fail("visualize", steps.main_file(copied, "TF"), "--activations-file", path, "--save-dir", tmp_path)
    assert "the page has no class activations" in visualize(steps.main_file(copied, "TF"), tmp_path).stderr


def test_labels_without_activations(copied, tmp_path):
    tags = steps.load(steps.main_file(copied, "TF"))
    tags["filTags_k"][1][8][0] = ["unheard of"]
    steps.save(steps.main_file(copied, "TF"), tags)
    result = visualize(steps.main_file(copied, "TF"), tmp_path)
    assert "1 of 4 labels have no class activations" in result.stderr
    assert description(tmp_path)["classes"][3] == {"key": "unheard of"}


def test_class_without_pictures(copied, tmp_path):
    path = steps.main_file(copied, "QFA")
    variables = steps.load(path)
    variables["filter_act_2"] = [np.zeros(0, np.float32) for _ in steps.N_FILTERS]
    steps.save(path, variables)
    visualize(steps.main_file(copied, "TF"), tmp_path)
    assert [one.get("row") for one in description(tmp_path)["classes"]] == [0, None, 1]


def test_decoded(tmp_path):
    """Words in place of wnids: the chain goes through decode, and classes are matched; two cranes are one class."""
    wnids, random = ["n02012849", "n02088364", "n03126707"], np.random.default_rng(1)
    variables = {"train_filenames": [], "test_filenames": [], "labels_id": dict(enumerate(wnids, 1))}
    for number in variables["labels_id"]:
        variables[f"filter_act_{number}"] = [random.random(n).astype(np.float32) for n in (4, 5)]
    path = steps.save(tmp_path / "2026-01-01-0000-QFA-VGG16-vars.pkl", variables)
    record = {"format": "filtags-run", "format_version": 1, "command": "activations", "previous": None,
              "network": {"name": "VGG16", "network": None, "input_shape": [224, 224, 3], "n_outputs": 3,
                          "layers": [{"name": "a", "filters": 4}, {"name": "b", "filters": 5}]},
              "dataset": {"split": None}}
    path.with_name("2026-01-01-0000-QFA-VGG16-run.json").write_text(json.dumps(record))
    steps.run("tag", path, "--k-q", 2, "--save-dir", tmp_path)
    steps.run("decode", steps.main_file(tmp_path, "TF"), "--save-dir", tmp_path)
    for name, words in (("tags", [steps.main_file(tmp_path, "TFD")]),
                        ("listing", ["--listing", steps.only(tmp_path, "*-listing.txt")])):
        (tmp_path / name).mkdir()
        steps.run("visualize", *words, "--save-dir", tmp_path / name)
        page = description(tmp_path / name)
        assert page["activations"]["source"] == path.name and page["network"] == "VGG16"
        assert [layer["name"] for layer in page["layers"]] == ["a", "b"]
        beagle = {"key": "beagle", "wnid": "n02088364", "number": 2}
        if name == "tags":
            assert page["classes"] == [{**beagle, "row": 0}, {"key": "crane", "ambiguous": True}]
        else:
            assert page["classes"] == [
                {"key": "crane (n02012849)", "label": "crane", "wnid": "n02012849", "number": 1, "row": 0},
                {**beagle, "row": 1},
                {"key": "crane (n03126707)", "label": "crane", "wnid": "n03126707", "number": 3, "row": 2}]


# ---------------------------------------------------------------- listings

LISTING = "filter tags k=1\n0:[' crane (n02012849) ', ' beagle ']\n1:[]\n"


def test_listing(tmp_path):
    (tmp_path / "a.txt").write_text(LISTING)
    result = steps.run("visualize", "--listing", tmp_path / "a.txt", "--save-dir", tmp_path, "--network", "VGG16")
    page = description(tmp_path)
    assert page["isListing"] and page["network"] == "VGG16" and page["k"] == [1] and page["q"] == []
    assert page["layers"] == [{"name": "layer 0", "place": 0, "filters": 2, "entryBytes": 1}]
    assert page["classes"] == [{"key": "beagle"}, {"key": "crane (n02012849)", "label": "crane", "wnid": "n02012849"}]
    assert "no class activations" in result.stderr


def test_listing_that_names_its_layers(tmp_path):
    (tmp_path / "a.txt").write_text("filter tags q=2.5 layer=0 conv <1>\n0:[' a ']\n"
                                    "filter tags q=2.5 layer=1 conv2\n0:[]\n")
    steps.run("visualize", "--listing", tmp_path / "a.txt", "--save-dir", tmp_path)
    assert [layer["name"] for layer in description(tmp_path)["layers"]] == ["conv <1>", "conv2"]
    assert steps.only(tmp_path, "*-VIS-network.html")


def test_damaged_listing(tmp_path):
    (tmp_path / "a.txt").write_text(LISTING + "2:[' cut")
    assert "a.txt" in steps.fail("visualize", "--listing", tmp_path / "a.txt", "--save-dir", tmp_path)
    assert "cannot" in steps.fail("visualize", "--listing", tmp_path / "none.txt", "--save-dir", tmp_path)
    steps.assert_nothing_final(tmp_path, "VIS")


# ---------------------------------------------------------------- pictures

def test_pictures(chain, tmp_path):
    visualize(steps.main_file(chain, "TF"), tmp_path)
    top = steps.load(steps.only(chain, "*-QFA-*-top.pkl"))["top_images"]
    shown = block(tmp_path, "pictures")
    expected = {name for layer in top[1:] for images in layer for name, _ in images}
    assert {one["name"] for one in shown["files"]} == expected
    assert shown["leftOut"] == 0 and all(one["bytes"] > 100 and one["width"] == 24 for one in shown["files"])


def test_same_bytes_for_any_threads(chain, tmp_path):
    pages = []
    for threads in (1, 3):
        (tmp_path / str(threads)).mkdir()
        visualize(steps.main_file(chain, "TF"), tmp_path / str(threads), "--threads", threads)
        path = steps.only(tmp_path / str(threads), "*-VIS-*.html")
        pages.append(path.read_bytes().replace(path.name.split("-VIS-")[0].encode(), b"RUNID"))
    assert pages[0] == pages[1]


@pytest.mark.parametrize("words, expected", [(("--images-dir", "/nowhere"), "/nowhere: cannot be read"),
                                             (("--model", "/nowhere.keras"), "/nowhere.keras"),
                                             (("--layers", "stem_conv"), "the layers and filters of the tags")])
def test_without_pictures(chain, tmp_path, words, expected):
    result = visualize(steps.main_file(chain, "TF"), tmp_path, *words)
    assert "the page has no pictures: " in result.stderr and expected in result.stderr
    assert 'id="pictures"' not in steps.only(tmp_path, "*-VIS-*.html").read_text(encoding="utf-8")


def test_some_pictures_are_gone(chain, tmp_path):
    images = shutil.copytree(chain.parent / "images", tmp_path / "images")
    top = steps.load(steps.only(chain, "*-QFA-*-top.pkl"))["top_images"]
    gone = top[8][0][0][0]
    (images / gone).unlink()
    result = visualize(steps.main_file(chain, "TF"), tmp_path, "--images-dir", images)
    assert gone in result.stderr or any(gone in line for line in steps.warnings(tmp_path, "VIS"))
    assert {one["name"]: one["bytes"] for one in block(tmp_path, "pictures")["files"]}[gone] == 0


def test_damaged_top_pictures(chain, tmp_path):
    copy = steps.copy_chain(chain, tmp_path / "copy")
    steps.only(copy, "*-QFA-*-top.pkl").write_bytes(b"nonsense")
    set_previous(copy, steps.main_file(copy, "QFA"))
    assert "the page has no pictures: " in visualize(steps.main_file(copy, "TF"), tmp_path).stderr


# ---------------------------------------------------------------- refused

def test_usage(copied):
    path = steps.main_file(copied, "TF")
    assert "--listing FILE" in steps.run("visualize", status=2).stderr
    assert "exclude each other" in steps.run("visualize", path, "--listing", path, status=2).stderr
    for words in (("--max-layers", 0), ("--max-layers", -1), ("--max-layers", "x"), ("--k-q", "x")):
        steps.run("visualize", path, *words, status=2)


def test_wrong_files(copied, tmp_path):
    steps.fail("visualize", tmp_path / "none-vars.pkl", "--save-dir", tmp_path)
    assert "filTags_k" in steps.fail("visualize", steps.main_file(copied, "QFA"), "--save-dir", tmp_path)
    steps.fail("visualize", steps.main_file(copied, "TF"), "--save-dir", tmp_path / "none")
    steps.assert_nothing_final(tmp_path, "VIS")


def test_full_disk(copied):
    steps.fail("visualize", steps.main_file(copied, "TF"), "--save-dir", "/proc")
