"""decode: words in place of wnids, as a pickle and as a listing."""
import ast
import os
import pathlib
import shutil
import sys

import pytest

import steps

TSV = steps.TESTS.parent / "data" / "imagenet_classes.tsv"
TAGS = "2026-01-01-0000-TF-VGG16-vars.pkl"


def imagenet():
    return dict(line.split("\t")[1:] for line in TSV.read_text().splitlines())


def tag_file(folder, k, q=None, name=TAGS):
    return steps.save(folder / name, {"filTags_k": k, "filTags_q": q if q is not None else {}})


def decode(path, folder, *words, **options):
    return steps.run("decode", path, "--save-dir", folder, *words, **options)


def refused(path, folder, *words):
    message = steps.fail("decode", path, "--save-dir", folder, *words)
    steps.assert_nothing_final(folder, "TFD")
    return message


def index(folder, contents):
    path = folder / "names.txt"
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


def decoded(folder):
    return steps.load(steps.main_file(folder, "TFD"))


def listing(folder):
    return steps.only(folder, "*-TFD-*-listing.txt").read_text()


def sections(text):
    """{heading: [labels of each filter]}, as Python reads it."""
    result = {}
    for line in text.splitlines():
        if line.startswith("filter tags "):
            filters = result.setdefault(line, [])
            continue
        number, labels = line.split(":", 1)
        assert int(number) == len(filters)
        filters.append(ast.literal_eval(labels))
        assert f"{number}:{filters[-1]!r}" == line, "as Python's repr"
    return result


# ---------------------------------------------------------------- ImageNet

def test_all_of_imagenet(tmp_path):
    """Every wnid, in an order that isn't the list's, over layers and filters."""
    names = imagenet()
    assert len(names) == 1000
    wnids = sorted(names, key=lambda wnid: wnid[::-1])
    layer = [wnids[:400], [], wnids[400:]]
    decode(tag_file(tmp_path, {1: [layer]}), tmp_path)
    variables = decoded(tmp_path)
    assert list(variables) == ["filTags_k", "filTags_q"]
    assert variables == {"filTags_k": {1: [[[names[wnid] for wnid in filter_] for filter_ in layer]]}, "filTags_q": {}}
    shared = {label for label in names.values() if list(names.values()).count(label) > 1}
    assert shared == {"crane", "maillot"}
    expected = [[f" {names[wnid]} ({wnid}) " if names[wnid] in shared else f" {names[wnid]} " for wnid in filter_]
                for filter_ in layer]
    assert sections(listing(tmp_path)) == {"filter tags k=1": expected}
    assert listing(tmp_path).count(" crane (n02012849) ") == 1 and listing(tmp_path).count(" crane (n03126707) ") == 1
    assert steps.warnings(tmp_path, "TFD") == []
    assert (names["n02088364"], names["n15075141"]) == ("beagle", "toilet_tissue")


def test_form_of_the_published_listing(tmp_path):
    wnids = {label: wnid for wnid, label in imagenet().items()}
    k = {1: [[[wnids["chiton"], wnids["soccer_ball"]], [], [wnids["jellyfish"], wnids["jack-o'-lantern"]]]]}
    decode(tag_file(tmp_path, k), tmp_path)
    assert listing(tmp_path) == ("filter tags k=1\n0:[' chiton ', ' soccer_ball ']\n1:[]\n"
                                 "2:[' jellyfish ', \" jack-o'-lantern \"]\n")


# ---------------------------------------------------------------- a run of one's own

@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decode")
    images = steps.make_pictures(folder / "images", {"n1": 3, "n2": 3, "n3": 3})
    (folder / "classes.txt").write_text("n1 red fox\nn2 crane\nn3 crane\nn4 d\nn5 e\n")
    out = folder / "out"
    out.mkdir()
    steps.pipeline(images, out, "--class-index", folder / "classes.txt", "--k-q", "1,2,12.5", "--layers",
                   "top_*,a_conv")
    return out


def test_the_run_names_its_classes(chain, tmp_path):
    tags = steps.main_file(chain, "TF")
    result = decode(tags, tmp_path)
    before, variables = steps.load(tags), decoded(tmp_path)
    names = {"n1": "red fox", "n2": "crane", "n3": "crane"}
    assert variables == {name: {value: [[[names[label] for label in filter_] for filter_ in layer] for layer in layers]
                                for value, layers in tags_of.items()} for name, tags_of in before.items()}
    n_tags = sum(len(filter_) for tags_of in before.values() for layers in tags_of.values() for layer in layers
                 for filter_ in layer)
    assert result.stdout.startswith("decoded tags of mixed: 3 of 3 labels in words, 68 filters, 2 values of k and 3 "
                                    f"of q, {n_tags} tags; ")
    written = [line.strip() for line in result.stdout.split("\nfiles:\n")[1].splitlines()]
    assert written == [str(steps.main_file(tmp_path, "TFD")), str(steps.only(tmp_path, "*-TFD-mixed-listing.txt"))]

    listed = {"n1": " red fox ", "n2": " crane (n2) ", "n3": " crane (n3) "}
    layers = list(enumerate(["a_conv", "top_conv1", "top_conv2"]))
    assert list(sections(listing(tmp_path)).items()) == [
        (f"filter tags {rule}={value} layer={i} {name}", [[listed[label] for label in filter_] for filter_ in
                                                          before[f"filTags_{rule}"][value][i]])
        for rule, values in (("k", (1, 2)), ("q", (1, 2, 12.5))) for value in values for i, name in layers]


def test_files_beside_the_pickle(chain, tmp_path):
    decode(steps.main_file(chain, "TF"), tmp_path, "--k-q", 2)
    record, before = steps.run_json(tmp_path, "TFD"), steps.run_json(chain, "TF")
    assert record["command"] == "decode" and record["previous"] == str(steps.main_file(chain, "TF"))
    assert record["network"] == before["network"] and record["dataset"] == before["dataset"]
    assert record["counts"] == {"n_labels": 3, "n_labels_kept": 0, "n_k": 1, "n_q": 1}
    assert record["options"]["k-q"] == {"value": "2", "given": True}
    assert record["options"]["class-index"]["given"] is False
    prefix = record["files"][0][:-len("vars.pkl")]
    assert record["files"] == [prefix + suffix for suffix in ("vars.pkl", "vars-names.pkl", "listing.txt",
                                                              "vars-info.txt", "run.json")]
    text = steps.only(tmp_path, "*-TFD-mixed-vars-info.txt").read_text()
    assert "pickle.load(f)" in text and "filTags_k[a][b][c]" in text and "layer 2: top_conv2, 32 filters" in text
    info = steps.only(tmp_path, "*-TFD-info.log").read_text()
    assert f"names of 5 classes from {chain.parent / 'classes.txt'}" in info and "decoded tags of mixed: " in info


def test_class_index_of_the_command_line(chain, tmp_path):
    """It has any number of lines, and doesn't become the network's."""
    names = index(tmp_path, "\ufeffn2 zwei\r\n\n  n1\tone  more \r\nn2 zwei\nn1 one  more\nn3 drei")
    decode(steps.main_file(chain, "TF"), tmp_path, "--class-index", names, "--k-q", 1)
    labels = {label for layer in decoded(tmp_path)["filTags_k"][1] for filter_ in layer for label in filter_}
    assert labels == {"one  more", "zwei", "drei"}
    record = steps.run_json(tmp_path, "TFD")
    assert record["network"]["class_index"] == str(chain.parent / "classes.txt")
    assert record["options"]["class-index"] == {"value": str(names), "given": True}


def test_values_of_k_and_q(chain, tmp_path):
    result = decode(steps.main_file(chain, "TF"), tmp_path, "--k-q", "12.5,7,2")
    assert {name: list(values) for name, values in decoded(tmp_path).items()} == {"filTags_k": [2],
                                                                                  "filTags_q": [12.5, 2]}
    warnings = steps.warnings(tmp_path, "TFD")
    assert [line.split(".pkl ")[1] for line in warnings] == ["has no tags for k = 7: it is left out",
                                                             "has no tags for q = 7: it is left out"]
    assert result.stderr.count("warning: ") == 2
    out = tmp_path / "out"
    out.mkdir()
    message = refused(steps.main_file(chain, "TF"), out, "--k-q", 7)
    assert "tags for one of the values of --k-q expected, found none" in message


@pytest.mark.parametrize("name", ["decode", "labdecode", "labeldecode"])
def test_names_of_the_command(chain, tmp_path, name):
    steps.run(name, "--filTags_file", steps.main_file(chain, "TF"), "--save_dir", tmp_path, "--k-q", 1)
    assert decoded(tmp_path)["filTags_k"]


def test_published_file(tmp_path):
    tags = {0: [[["n02088364"], []]], 1: [[["n02088364", "n02012849"], []]]}
    path = tmp_path / "2021-01-01-0000-LF-VGG16-vars"
    steps.save(path.with_suffix(".pkl"), {"labels_filters": tags, "labels_filters_per": {1: tags[0], 5: tags[1]}})
    path.with_suffix(".pkl").rename(path)
    steps.names_path(path.with_suffix(".pkl")).rename(path.with_name(path.name + "-names"))
    decode(path, tmp_path)
    words = {1: [[["beagle"], []]], 5: [[["beagle", "crane"], []]]}
    assert decoded(tmp_path) == {"filTags_k": words, "filTags_q": words}
    assert steps.run_json(tmp_path, "TFD")["network"]["network"] == "VGG16"
    assert list(sections(listing(tmp_path)))[1] == "filter tags k=5 layer=0"


# ---------------------------------------------------------------- labels without a name

def test_labels_without_a_name_are_kept(tmp_path):
    path = tag_file(tmp_path, {1: [[["cat", "n02088364", "dog", "cat"], ["dog"]]]})
    result = decode(path, tmp_path)
    assert decoded(tmp_path)["filTags_k"] == {1: [[["cat", "beagle", "dog", "cat"], ["dog"]]]}
    warning = "2 of 3 labels have no name in ImageNet's classes and are kept: 'cat', ..."
    assert steps.warnings(tmp_path, "TFD") == [warning]
    assert result.stderr == f"filtags decode: warning: {warning}\n"
    assert "1 of 3 labels in words" in result.stdout
    assert steps.run_json(tmp_path, "TFD")["counts"]["n_labels_kept"] == 2


def test_a_kept_label_that_is_anothers_word(tmp_path):
    """A class folder called beagle beside the beagle's wnid: two classes, which the listing tells apart."""
    decode(tag_file(tmp_path, {1: [[["beagle", "n02088364"]]]}), tmp_path)
    assert decoded(tmp_path)["filTags_k"] == {1: [[["beagle", "beagle"]]]}
    assert listing(tmp_path) == "filter tags k=1\n0:[' beagle ', ' beagle (n02088364) ']\n"
    assert steps.warnings(tmp_path, "TFD") == [
        "1 of 2 labels have no name in ImageNet's classes and are kept: 'beagle'"]


# ---------------------------------------------------------------- odd labels

def test_odd_labels(tmp_path):
    odd = ["<script>&amp;\"'", "it's", 'say "x"', "a\nb\tc\rd\\e", "\x01\x7f\x85\xa0\xad", "é€😀", "x" * 200,
           "\udcff\udc80z", " outer ", "\u200b\u2028\ufeff\U000e0001\ufffe"]
    path = tag_file(tmp_path, {1: [[odd, []]], 2: [[[], odd[::-1]]]})
    decode(path, tmp_path, "--class-index", index(tmp_path, "n1 one\n"))
    assert decoded(tmp_path)["filTags_k"] == {1: [[odd, []]], 2: [[[], odd[::-1]]]}
    assert sections(listing(tmp_path)) == {
        "filter tags k=1 layer=0": [[f" {label} " for label in odd], []],
        "filter tags k=2 layer=0": [[], [f" {label} " for label in odd[::-1]]]}
    assert steps.warnings(tmp_path, "TFD")[0].endswith("and are kept: '<script>&amp;\"'', ...")


def test_escapes_are_those_of_python(tmp_path):
    """Every character up to the version of Unicode that the program knows, in labels of 500."""
    import unicodedata
    characters = [chr(code) for code in range(1, sys.maxunicode + 1)
                  if unicodedata.category(chr(code)) not in ("Cn", "Cs") and not 0xe000 <= code < 0xf800
                  and not 0xf0001 <= code < 0xffffd and not 0x100001 <= code]
    labels = ["".join(characters[i:i + 500]) for i in range(0, len(characters), 500)]
    decode(tag_file(tmp_path, {1: [[[label] for label in labels]]}), tmp_path)
    # sections() compares each line with Python's repr, which escapes whatever else splitlines() would cut at
    assert sections(listing(tmp_path)) == {"filter tags k=1": [[f" {label} "] for label in labels]}


# ---------------------------------------------------------------- refused

def test_decoded_files_are_refused(chain, tmp_path):
    decode(steps.main_file(chain, "TF"), tmp_path)
    path = steps.main_file(tmp_path, "TFD")
    expected = "the tag file of step 2 expected, found one that is decoded already"
    out = tmp_path / "out"
    out.mkdir()
    assert expected in refused(path, out)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for file in steps.found(tmp_path, "*-TFD-mixed-*"): # the name says nothing; run.json does
        shutil.copy(file, renamed / file.name.replace("-TFD-", "-TF-"))
    assert expected in refused(steps.main_file(renamed, "TF"), out)
    message = steps.fail("evaluate", steps.main_file(renamed, "TF"), "--save-dir", out)
    assert "the tag file of step 2 expected, found a decoded one, in which different classes can have one" in message
    os.remove(steps.only(renamed, "*-run.json"))
    named = renamed / "2026-01-01-0000-TFD-mixed-vars.pkl" # no run.json: the name says it
    shutil.copy(path, named)
    shutil.copy(steps.names_path(path), steps.names_path(named))
    assert expected in refused(named, out)


@pytest.mark.parametrize("contents, message", [
    ("", "lines of 'wnid label' expected, found none"),
    (" \n\r\n\t\n", "lines of 'wnid label' expected, found none"),
    ("n1 one\n\nn2\n", "line 3: a wnid and a label expected, found one word, 'n2'"),
    ("n1 one\nn2  \t\r\n", "line 2: a wnid and a label expected, found one word, 'n2'"),
    ("n2 two\nn1 one\nn2 zwei\n", "line 3: 'two' expected for n2, as in line 1, found 'zwei'"),
    (b"n1 one\0\n", "a class index of UTF-8 text expected, found binary data"),
    (b"n1 \xff\n", "a class index of UTF-8 text expected, found binary data"),
])
def test_class_index_that_is_wrong(tmp_path, contents, message):
    names = index(tmp_path, contents)
    path = tag_file(tmp_path, {1: [[["n1"]]]})
    assert refused(path, tmp_path, "--class-index", names).endswith(f"{names}: {message}\n")


def test_class_index_that_cannot_be_read(chain, tmp_path):
    path = tag_file(tmp_path, {1: [[["n1"]]]})
    missing = tmp_path / "missing.txt"
    assert f"{missing}: " in refused(path, tmp_path, "--class-index", missing)
    assert f"{tmp_path}: " in refused(path, tmp_path, "--class-index", tmp_path)
    moved = steps.copy_chain(chain, tmp_path / "moved") # the run's own is gone
    run_json = steps.only(moved, "*-TF-*-run.json")
    run_json.write_text(run_json.read_text().replace("classes.txt", "gone.txt"))
    assert f"{chain.parent / 'gone.txt'}: " in refused(steps.main_file(moved, "TF"), tmp_path)


def test_tag_file_that_is_wrong(tmp_path):
    assert f"{tmp_path / 'x-vars.pkl'}: " in refused(tmp_path / "x-vars.pkl", tmp_path)
    path = tag_file(tmp_path, {1: [[["n1", 2]]]})
    assert "labels (str) expected, found something else" in refused(path, tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    assert f"{path}: " in refused(path, tmp_path)
    steps.save(path, {"labels_id": {}})
    assert "filTags_k" in refused(path, tmp_path)
    (tmp_path / TAGS.replace("vars.pkl", "run.json")).write_text("{")
    assert "run.json" in refused(path, tmp_path)


def test_shared_lists_are_no_bomb(tmp_path):
    filters = [["n02088364"] * 300] * 300 # one list in many places: a small file, and 27 million tags
    path = tag_file(tmp_path, {1: [filters] * 300})
    assert path.stat().st_size < 20000
    assert "filTags_k[1]: at most 4194304 filters and tags expected in a file of that size, found more" in \
        refused(path, tmp_path)


def test_folder_that_is_missing(tmp_path):
    path = tag_file(tmp_path, {1: [[["n1"]]]})
    message = steps.fail("decode", path, "--save-dir", tmp_path / "missing")
    assert f"{tmp_path / 'missing'}: " in message


def test_same_minute_twice(tmp_path):
    path = tag_file(tmp_path, {1: [[["n02088364"]]]})
    decode(path, tmp_path)
    first = steps.snapshot(tmp_path)
    decode(path, tmp_path)
    assert {file: state for file, state in steps.snapshot(tmp_path).items() if file in first} == first
    assert len({pathlib.Path(file).name for file in steps.found(tmp_path, "*-TFD-*-listing.txt")}) == 2
