"""Tag files of many values, as they come: read piecemeal, and kept as ranks where that takes less memory."""
import ast
import pickle

import pytest

import steps

VALUES = list(range(31))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return steps.make_pictures(tmp_path_factory.mktemp("tag_files") / "images", {"a": 4, "b": 4, "c": 4, "d": 3})


@pytest.fixture(scope="module")
def chain(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("chain")
    steps.pipeline(images, out, "--k-q", "0..30", "--split", 0.5)
    return out


@pytest.fixture
def copy(chain, tmp_path):
    return steps.copy_chain(chain, tmp_path / "copy")


def evaluate(path, out, k_q):
    """{variable: {value: rankings of all pictures}}"""
    out.mkdir()
    steps.run("evaluate", path, "--save-dir", out, "--k-q", k_q)
    found = {}
    for part in steps.found(out, "*-E-*-vars[0-9].pkl"):
        for name, by_value in steps.load(part).items():
            if name.startswith("y_"):
                for value, pictures in by_value.items():
                    found.setdefault(name, {}).setdefault(value, []).append(pictures)
    assert set(found) == {"y_k", "y_q", "y_k_ll", "y_q_ll"}
    return found


def evaluate_one_by_one(path, out):
    """A value has few tags: these are kept as lists."""
    out.mkdir()
    found = {}
    for value in VALUES:
        for name, by_value in evaluate(path, out / str(value), value).items():
            found.setdefault(name, {}).update(by_value)
    return found


def test_many_values_give_what_each_gives(chain, tmp_path):
    path = steps.main_file(chain, "TF")
    expected = evaluate_one_by_one(path, tmp_path / "one")
    assert evaluate(path, tmp_path / "all", "0..30") == expected
    mixed = evaluate(path, tmp_path / "mixed", "30,0,2..20,1")
    assert list(mixed["y_k"]) == [30, 0, *range(2, 21), 1]
    assert all(mixed[name][value] == expected[name][value] for name in mixed for value in mixed[name])


def change(copy, function):
    path = steps.main_file(copy, "TF")
    variables = steps.load(path)
    function(variables)
    return steps.save(path, variables)


def reverse(variables):
    for tags in variables.values():
        for layers in tags.values():
            for layer in layers:
                for labels in layer:
                    labels.reverse()


def drop_tags(variables):
    """What q = 10 has, q = 9 need not have any more."""
    for layer in variables["filTags_q"][10]:
        for labels in layer:
            del labels[1:]


def repeat_tags(variables):
    for labels in variables["filTags_k"][3][2]:
        labels += labels


@pytest.mark.parametrize("function", [reverse, drop_tags, repeat_tags])
def test_lists_that_ranks_cannot_stand_for(copy, tmp_path, function):
    path = change(copy, function)
    assert evaluate(path, tmp_path / "all", "0..30") == evaluate_one_by_one(path, tmp_path / "one")


@pytest.mark.parametrize("protocol", range(6))
def test_one_list_in_two_places(copy, tmp_path, protocol):
    """A file that refers back can't be forgotten on the way, and gives the same."""
    path = steps.main_file(copy, "TF")
    variables = steps.load(path)
    variables["filTags_k"][3] = variables["filTags_k"][2]
    variables["filTags_q"][7][1] = variables["filTags_q"][6][1]
    steps.save(path, variables)
    expected = evaluate(path, tmp_path / "apart", "1..9")
    path.write_bytes(b"".join(pickle.dumps(value, protocol) for value in variables.values()))
    assert evaluate(path, tmp_path / "shared", "1..9") == expected
    exported = steps.run("export", path).stdout
    path.write_bytes(b"".join(pickle.dumps(ast.literal_eval(repr(value)), 2) for value in variables.values()))
    assert steps.run("export", path).stdout == exported


def test_missing_values_are_told_once(chain, tmp_path):
    result = steps.run("evaluate", steps.main_file(chain, "TF"), "--save-dir", tmp_path, "--k-q", "0..30,40")
    assert result.stderr.count("has no tags for k = 40: it is left out") == 1
    assert result.stderr.count("has no tags for q = 40: it is left out") == 1
    assert result.stderr.count("it is left out") == 2


def test_missing_values_are_told_once_where_the_file_is_read_twice(copy, tmp_path):
    path = change(copy, reverse)
    result = steps.run("evaluate", path, "--save-dir", tmp_path, "--k-q", "0..30,40")
    assert result.stderr.count("it is left out") == 2
