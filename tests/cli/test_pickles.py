"""Files of earlier steps that are missing, malformed or hostile, and run.json files likewise."""
import json
import os
import pickle
import shutil

import numpy as np
import pytest

import steps


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A whole run, not to be changed."""
    folder = tmp_path_factory.mktemp("chain")
    images = steps.make_pictures(folder / "images", {"a": 4, "b": 4})
    (folder / "out").mkdir()
    steps.pipeline(images, folder / "out", "--k-q", "1,5", "--split", 0.5)
    return folder / "out"


@pytest.fixture
def copy(chain, tmp_path):
    return steps.copy_chain(chain, tmp_path / "copy")


COMMANDS = {"tag": "QFA", "evaluate": "TF", "hitrates": "E", "export": "QFA"}


def refuse(command, path, copy, *words):
    """The command must fail, name the file, and leave nothing behind."""
    before = steps.snapshot(copy)
    out = [] if command == "export" else ["--save-dir", copy]
    message = steps.fail(command, path, *out, *words)
    assert steps.snapshot(copy) == before
    return message


# ---------------------------------------------------------------- files that are no pickles

@pytest.mark.parametrize("command, kind", COMMANDS.items())
def test_missing_file(command, kind, copy):
    path = copy / f"none-{kind}-x-vars{'1' if kind == 'E' else ''}.pkl"
    message = refuse(command, path, copy)
    assert str(path)[:-5] in message and ("No such file" in message or "found none" in message)
    if command == "hitrates":
        assert "No such file or directory" in refuse(command, copy / "no" / path.name, copy)
    else:
        assert "a folder" in refuse(command, copy, copy)


@pytest.mark.parametrize("command, kind", COMMANDS.items())
def test_file_that_is_no_pickle(command, kind, copy):
    path = steps.main_file(copy, kind)
    for contents, reason in ((b"", "a pickle expected, the file is empty"), (b"PK\3\4zip", "0x50"),
                             (b"\0\0\0", "this is no pickle: it begins with byte 0x00"), (b"\x80\x09.", "protocol 9")):
        path.write_bytes(contents)
        message = refuse(command, path, copy)
        assert f"{path}: " in message and reason in message


@pytest.mark.parametrize("command, kind", COMMANDS.items())
def test_truncated_pickle(command, kind, copy):
    path = steps.main_file(copy, kind)
    data = path.read_bytes()
    for length in (1, 2, 5, 40, len(data) // 3, len(data) // 2, len(data) - 20, len(data) - 1):
        path.write_bytes(data[:length])
        message = refuse(command, path, copy)
        assert f"{path}: " in message and ("truncated" in message or "variables expected" in message), length


@pytest.mark.parametrize("command, kind", COMMANDS.items())
def test_names_that_do_not_fit(command, kind, copy):
    path = steps.main_file(copy, kind)
    names_file = steps.names_path(path)
    names = pickle.loads(names_file.read_bytes())
    for wrong in (names[:-1], names + ["more"], []):
        names_file.write_bytes(pickle.dumps(wrong, protocol=2))
        message = refuse(command, path, copy)
        expected = f"{len(wrong)} variables expected, as named in {names_file}, found {len(names)}"
        assert f"{path}: {expected}" in message
    for wrong, reason in ((pickle.dumps("x", 2), "one list of names expected"), (b"", "the file is empty"),
                          (pickle.dumps([], 2) * 2, "one list of names expected"),
                          (pickle.dumps([1], 2), "a str expected")):
        names_file.write_bytes(wrong)
        message = refuse(command, path, copy)
        assert f"{names_file}: " in message and reason in message
    names_file.unlink()
    assert f"{names_file}: cannot be opened: No such file or directory" in refuse(command, path, copy)


@pytest.mark.parametrize("command, kind", COMMANDS.items())
@pytest.mark.parametrize("hostile, name", [
    (b"cos\nsystem\n(S'touch hacked'\ntR.", "os.system"),
    (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch hacked\x85R.", "posix.system"),
    (b"(S'touch hacked'\nios\nsystem\n.", "os.system"),
    (pickle.dumps(pickle.Unpickler), "_pickle.Unpickler"),
    (b"\x80\x02cbuiltins\neval\nX\x04\0\0\0quit\x85R.", "builtins.eval"),
], ids=["global", "stack-global", "inst", "class", "eval"])
def test_hostile_pickle_is_refused_by_name(command, kind, copy, hostile, name):
    path = steps.main_file(copy, kind)
    names_file = steps.names_path(path)
    rest = path.read_bytes()
    for data in (hostile, rest + hostile):
        path.write_bytes(data)
        message = refuse(command, path, copy)
        assert f"'{name}'" in message and "refused" in message
    path.write_bytes(rest)
    names_file.write_bytes(hostile)
    assert f"'{name}'" in refuse(command, path, copy)
    assert not os.path.exists("hacked") and not (copy / "hacked").exists()


def test_files_of_the_wrong_step(copy):
    kinds = {kind: steps.main_file(copy, kind) for kind in ("QFA", "TF", "E", "HR")}
    assert "a variable 'labels_id' expected, found none" in refuse("tag", kinds["TF"], copy)
    assert "a variable 'labels_id' expected, found none" in refuse("tag", kinds["HR"], copy)
    assert "a variable 'filTags_k' expected, found none" in refuse("evaluate", kinds["QFA"], copy)
    assert "a variable 'filTags_k' expected, found none" in refuse("evaluate", kinds["E"], copy)
    assert "found none" in refuse("hitrates", kinds["TF"], copy)
    assert "-vars.pkl of step 1, 2 or 4 expected, found other variables" in refuse("export", kinds["E"], copy)


# ---------------------------------------------------------------- step 1's variables

def change_activations(copy, change):
    path = steps.main_file(copy, "QFA")
    variables = steps.load(path)
    change(variables)
    return steps.save(path, variables)


def set_item(variables, name, place, value):
    variables[name][place] = value


LABELS = [{}, {0: "a", 1: "b"}, {1: "a", 3: "b"}, {1: "a", "2": "b"}, {1: "a", 2: 7}, {1.0: "a", 2: "b"},
          {1: "a", 2: None}]


@pytest.mark.parametrize("labels", LABELS)
def test_malformed_labels(copy, labels):
    path = change_activations(copy, lambda variables: variables.update(labels_id=labels))
    for command in ("tag", "export"):
        message = refuse(command, path, copy)
        assert f"{path}: labels_id: " in message and "expected, found" in message


def test_labels_of_another_type_or_number(copy):
    path = change_activations(copy, lambda variables: variables.update(labels_id=["a", "b"]))
    assert "variable 'labels_id': a dict expected, found a list" in refuse("tag", path, copy)
    path = change_activations(copy, lambda variables: variables.update(labels_id={1: "a", 2: "b", 3: "c"}))
    assert "a variable 'filter_act_3' expected, found none" in refuse("tag", path, copy)


@pytest.mark.parametrize("change, message", [
    (lambda v: v["filter_act_2"].pop(), "filter_act_2: as many layers as in the first class expected"),
    (lambda v: set_item(v, "filter_act_2", 3, v["filter_act_2"][3][1:]), "filter_act_2: as many filters in each layer"),
    (lambda v: set_item(v, "filter_act_2", 3, v["filter_act_2"][3][:0]), "filter_act_2: as many filters in each layer"),
    (lambda v: set_item(v, "filter_act_1", 0, ["0.5"] * 16), "filter_act_1: a list of NumPy arrays expected"),
    (lambda v: set_item(v, "filter_act_1", 0, None), "filter_act_1: a list of NumPy arrays expected"),
    (lambda v: v.update(filter_act_1=v["filter_act_1"][0]), "'filter_act_1': a list expected, found"),
    (lambda v: v["filter_act_1"][0].__setitem__(3, 1.5), "filter_act_1: activations in [0, 1] expected"),
    (lambda v: v["filter_act_2"][8].__setitem__(31, -0.1), "filter_act_2: activations in [0, 1] expected"),
    (lambda v: v["filter_act_2"][8].__setitem__(0, np.nan), "filter_act_2: activations in [0, 1] expected"),
    (lambda v: v["filter_act_2"][8].__setitem__(0, np.inf), "filter_act_2: activations in [0, 1] expected"),
    (lambda v: v.pop("filter_act_2"), "a variable 'filter_act_2' expected, found none"),
    (lambda v: v.update(filter_act_1=[], filter_act_2=[]), "activations of at least one class expected, found none"),
])
def test_malformed_activations(copy, change, message):
    path = change_activations(copy, change)
    for command in ("tag", "export"):
        text = refuse(command, path, copy)
        assert f"{path}: " in text and message in text


def test_activations_of_another_kind_of_array(copy, tmp_path):
    """Doubles, and Python's own order of the variables, are fine."""
    path = steps.main_file(copy, "QFA")
    variables = steps.load(path)
    for i in (1, 2):
        variables[f"filter_act_{i}"] = [array.astype(np.float64) for array in variables[f"filter_act_{i}"]]
    steps.save(path, dict(reversed(variables.items())))
    steps.run("tag", path, "--save-dir", tmp_path, "--k-q", "1,5")
    assert steps.main_file(tmp_path, "TF").read_bytes() == steps.main_file(copy, "TF").read_bytes()


# ---------------------------------------------------------------- step 2's variables

def change_tags(copy, change):
    path = steps.main_file(copy, "TF")
    variables = steps.load(path)
    change(variables)
    return steps.save(path, variables)


@pytest.mark.parametrize("change, message", [
    (lambda v: v.update(filTags_k=[]), "variable 'filTags_k': a dict expected, found a list"),
    (lambda v: v.pop("filTags_q"), "a variable 'filTags_q' expected, found none"),
    (lambda v: v["filTags_k"].update({1: 7}), "filTags_k[1]: a list over layers of lists over filters expected"),
    (lambda v: v["filTags_k"].update({1: []}), "filTags_k[1]: as many layers as for the other values expected"),
    (lambda v: v["filTags_k"][5].pop(), "filTags_k[5]: as many layers as for the other values expected"),
    (lambda v: v["filTags_q"][5][2].pop(), "filTags_q[5]: as many filters as for the other values expected"),
    (lambda v: set_item(v["filTags_q"][5], 2, 0, "a"), "filTags_q[5]: a list of labels for each filter expected"),
    (lambda v: v["filTags_q"][5][2][0].append(3), "filTags_q[5]: labels (str) expected, found something else"),
    (lambda v: v.update(filTags_k={}, filTags_q={}), "tags for one of the values of --k-q expected, found none"),
])
def test_malformed_tags(copy, change, message):
    path = change_tags(copy, change)
    for command, words in (("evaluate", ["--k-q", "1,5"]), ("export", [])):
        text = refuse(command, path, copy, *words)
        assert f"{path}: " in text and message in text


def test_keys_that_are_no_numbers(copy):
    path = change_tags(copy, lambda v: v["filTags_k"].update({"one": v["filTags_k"][1]}))
    assert "filTags_k: numbers as keys expected, found a str" in refuse("export", path, copy)


def test_decoded_tags_are_refused(copy):
    for path in (steps.main_file(copy, "TF"), steps.names_path(steps.main_file(copy, "TF"))):
        shutil.copy(path, path.with_name(path.name.replace("-TF-", "-TFD-")))
    message = refuse("evaluate", steps.main_file(copy, "TFD"), copy)
    assert "the tag file of step 2 expected, found a decoded one" in message


def test_tags_of_classes_without_pictures(copy, tmp_path):
    """Labels that no folder has, and filters without tags, are plain data like any other."""
    def rename(variables):
        for rule in variables.values():
            for layers in rule.values():
                layers[:] = [[["other"] if labels else [] for labels in layer] for layer in layers]
    path = change_tags(copy, rename)
    steps.run("evaluate", path, "--save-dir", tmp_path, "--k-q", 5)
    rankings = steps.load(steps.main_file(tmp_path, "E"))["y_k"][5]
    assert rankings and all([label for label, _ in ranking] in (["other"], []) for ranking in rankings)


# ---------------------------------------------------------------- step 3's variables

def change_evaluation(copy, number, change):
    path = steps.only(copy, f"*-E-*-vars{number}.pkl")
    variables = steps.load(path)
    change(variables)
    return steps.save(path, variables)


@pytest.mark.parametrize("change, message", [
    (lambda v: v.update(class_images_dict={}), "class_images_dict: one label expected"),
    (lambda v: v.update(class_images_dict={"a": [], "b": []}), "class_images_dict: one label expected"),
    (lambda v: v.update(class_images_dict={1: []}), "class_images_dict: one label expected"),
    (lambda v: v["y"].append([]), "expected, found something else"),
    (lambda v: v["y"].__setitem__(0, []), "y: lists of (label, name, probability) expected"),
    (lambda v: v["y"].__setitem__(0, [(1, 2, 3)]), "y: lists of (label, name, probability) expected"),
    (lambda v: v["y_k"][1].pop(), "y_k: a list of as many pictures as in y expected"),
    (lambda v: v["y_k"][1].__setitem__(0, 7), "y_k, y_q: rankings (lists) expected"),
    (lambda v: v["y_k"][1].__setitem__(0, [7]), "y_k, y_q: (label, count) in rankings expected"),
    (lambda v: v["y_q_ll"].pop(5), "y_q_ll: the key 5 expected"),
    (lambda v: v.pop("y_k"), "a variable 'y_k' expected, found none"),
    (lambda v: v.update(y=None), "variable 'y': a list expected, found a None"),
])
def test_malformed_evaluation(copy, change, message):
    path = change_evaluation(copy, 2, change)
    text = refuse("hitrates", path, copy)
    assert f"{path}: " in text and message in text


def test_missing_class_of_an_evaluation(copy, tmp_path):
    """The files that are there are the classes."""
    steps.only(copy, "*-E-*-vars1.pkl").unlink()
    steps.run("hitrates", steps.only(copy, "*-E-*-vars2.pkl"), "--save-dir", tmp_path)
    assert list(steps.load(steps.main_file(tmp_path, "HR"))["hit_k"]) == ["b"]


def test_prefix_of_an_evaluation(copy, tmp_path):
    prefix = str(steps.main_file(copy, "E")).replace("-vars1.pkl", "-vars.pkl")
    steps.run("hitrates", prefix, "--save-dir", tmp_path)
    assert steps.main_file(tmp_path, "HR").read_bytes() == steps.main_file(copy, "HR").read_bytes()


# ---------------------------------------------------------------- hit rates

def test_malformed_hit_rates(copy):
    path = steps.main_file(copy, "HR")
    for change in ({"totalhit_q": 3}, {"hit_k": []}, {"hit_k": {1: {}}}, {"hit_k": {"a": 3}}):
        steps.save(path, {**steps.load(steps.main_file(copy, "HR")), **change})
        assert f"{path}: " in refuse("export", path, copy)


# ---------------------------------------------------------------- run.json

def rewrite_record(copy, kind, change):
    path = steps.only(copy, f"*-{kind}-*-run.json")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("contents", [b"", b"{", b"[]", b"nonsense", b"{}", b'{"format": 1}', b"\xff\xfe", b"{}{}",
                                      b'{"a": 1, "a": 2}', b'{"format": "filtags-run"}',
                                      b'{"format": "filtags-run", "format_version": 1}'])
@pytest.mark.parametrize("command", ["tag", "evaluate", "hitrates", "export"])
def test_malformed_run_json(copy, command, contents):
    path = steps.only(copy, f"*-{COMMANDS[command]}-*-run.json")
    path.write_bytes(contents)
    message = refuse(command, steps.main_file(copy, COMMANDS[command]), copy)
    assert f"{path}: " in message and "expected" in message


@pytest.mark.parametrize("change", [
    lambda r: r["network"].update(input_shape=[40, 48]),
    lambda r: r["network"].update(input_shape="40x48"),
    lambda r: r["network"].update(input_shape=[40, 48, -3]),
    lambda r: r["network"].update(layers={}),
    lambda r: r["network"].update(layers=[1]),
    lambda r: r["network"].update(layers=[{"name": "a"}]),
    lambda r: r["network"].update(model=7),
    lambda r: r["network"].update(model={"hex": "00"}),
    lambda r: r["network"].update(model={"hex": "6"}),
    lambda r: r["network"].update(model={"hex": "zz"}),
    lambda r: r["network"].update(model={"hex": " 6-1"}),
    lambda r: r["network"].update(model=""),
    lambda r: r["network"].update(n_outputs=-1),
    lambda r: r["network"].update(preprocess="nonsense"),
    lambda r: r["dataset"].update(split=2),
    lambda r: r["dataset"].update(split="0.2"),
    lambda r: r["dataset"].update(seed_rn=1 << 32),
    lambda r: r["dataset"].update(limit=1.5),
    lambda r: r.update(dataset=None),
    lambda r: r.update(network=[]),
])
def test_malformed_field_of_run_json(copy, change):
    rewrite_record(copy, "TF", change)
    message = refuse("evaluate", steps.main_file(copy, "TF"), copy)
    assert "run.json" in message and "expected" in message


def test_newer_run_json(copy):
    path = rewrite_record(copy, "TF", lambda record: record.update(format_version=2))
    for command in ("evaluate", "export"):
        message = refuse(command, steps.main_file(copy, "TF"), copy)
        assert f"{path}: format version 1 expected, found 2" in message
    rewrite_record(copy, "TF", lambda record: record.update(format_version=1, field_of_the_future={"x": [1]}))
    steps.run("export", steps.main_file(copy, "TF"))


def test_without_run_json(copy, chain, tmp_path):
    for path in steps.found(copy, "*-run.json"):
        path.unlink()
    steps.run("tag", steps.main_file(copy, "QFA"), "--save-dir", tmp_path, "--k-q", "1,5")
    tags = steps.main_file(tmp_path, "TF")
    assert tags.name.endswith("-TF-mixed-vars.pkl"), "the network's name from the file's"
    assert tags.read_bytes() == steps.main_file(chain, "TF").read_bytes()
    tags = steps.main_file(copy, "TF")
    images = chain.parent / "images"
    nothing = f"is missing, and no run.json beside {tags} has it"
    for words, expected in (([], f"--images-dir {nothing}"), (["--model", steps.MODEL], f"--images-dir {nothing}"),
                            (["--images-dir", images], f"and neither a run.json beside {tags} nor its name has it")):
        message = steps.run("evaluate", tags, "--save-dir", tmp_path, *words, status=2).stderr
        assert expected in message
    steps.run("evaluate", tags, "--save-dir", tmp_path, "--images-dir", images, "--model", steps.MODEL, "--preprocess",
              "unit", "--k-q", "1,5", "--split", 0.5)
    for number in (1, 2):
        one, other = (steps.only(folder, f"*-E-*-vars{number}.pkl") for folder in (tmp_path, chain))
        assert one.read_bytes() == other.read_bytes()
    for path in steps.found(tmp_path, "*-E-*-run.json"):
        path.unlink()
    steps.run("hitrates", steps.main_file(tmp_path, "E"), "--save-dir", tmp_path)
    assert steps.main_file(tmp_path, "HR").read_bytes() == steps.main_file(chain, "HR").read_bytes()


def test_name_without_kind(copy, tmp_path):
    """A file under a name of the user's own."""
    source = steps.main_file(copy, "QFA")
    for path, name in ((source, "mine.pkl"), (steps.names_path(source), "mine-names.pkl")):
        shutil.copy(path, tmp_path / name)
    (tmp_path / "out").mkdir()
    steps.run("tag", tmp_path / "mine.pkl", "--save-dir", tmp_path / "out", "--k-q", "1,5")
    tags = steps.only(tmp_path / "out", "*-TF-network-vars.pkl")
    assert tags.read_bytes() == steps.main_file(copy, "TF").read_bytes()
