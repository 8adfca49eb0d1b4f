"""Lists of k, q, m and classes: what is out of range, missing or fractional, and the warnings; the rule of the tags."""
import math

import pytest

import steps


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A whole run with k = q = 0..5, not to be changed."""
    folder = tmp_path_factory.mktemp("chain")
    images = steps.make_pictures(folder / "images", {"a": 4, "b": 4, "c c": 4})
    (folder / "out").mkdir()
    steps.pipeline(images, folder / "out", "--k-q", "0..5", "--split", 0.5)
    return folder / "out"


def tag(chain, out, k_q):
    result = steps.run("tag", steps.main_file(chain, "QFA"), "--save-dir", out, f"--k-q={k_q}")
    return result, steps.load(steps.main_file(out, "TF")), steps.warnings(out, "TF")


def select(activations, n):
    """Filters of a layer by the rule of step 2: the n most active ones, ties to the lower index; 0: above the mean."""
    if n == 0:
        return {i for i, value in enumerate(activations) if value > math.fsum(activations) / len(activations)}
    return set(sorted(range(len(activations)), key=lambda i: (-activations[i], i))[:n])


def expected_tags(chain, n_of_layer):
    """n_of_layer: number of filters -> n."""
    variables = steps.load(steps.main_file(chain, "QFA"))
    tags = [[[] for _ in range(n)] for n in steps.N_FILTERS]
    for number, label in variables["labels_id"].items():
        for layer, array in enumerate(variables[f"filter_act_{number}"]):
            for i in select(array.astype(float).tolist(), n_of_layer(len(array))):
                tags[layer][i].append(label)
    return tags


# ---------------------------------------------------------------- tag

def test_tags_follow_the_rule(chain, tmp_path):
    _, tags, _ = tag(chain, tmp_path, "0..40,12.5,99.9,100")
    for k, found in tags["filTags_k"].items():
        assert found == expected_tags(chain, lambda n: k if k <= n else 0), f"k = {k}"
    for q, found in tags["filTags_q"].items():
        assert found == expected_tags(chain, lambda n: max(1, round(q / 100 * n)) if q else 0), f"q = {q}"


def test_values_out_of_range(chain, tmp_path):
    result, tags, log = tag(chain, tmp_path, "-3,0,1,9,25,101,1000000")
    expected = []
    for k in (-3, 9, 25, 101, 1000000):
        for layer, (name, n) in enumerate(zip(layer_names(chain), steps.N_FILTERS)):
            if k < 0 or k > n:
                value = "1e+06" if k == 1000000 else k
                expected.append(f"k = {value} is not in [0, {n}], the filters of layer {layer}, {name}: those above "
                                "the layer's mean are tagged")
    n_k = len(expected)
    expected += [f"q = {q} is not in [0, 100]: the filters above the layer's mean are tagged"
                 for q in ("-3", "101", "1e+06")]
    assert sorted(log) == sorted(expected)
    assert len(log) == steps.run_json(tmp_path, "TF")["n_warnings"]
    assert f"({n_k} pairs of k and layer: see the warnings log)" in result.stderr, "not one by one on the terminal"
    assert result.stderr.count("\n") == 4
    above = expected_tags(chain, lambda n: 0)
    for rule in tags.values():
        for value in (-3, 0, 101, 1000000):
            assert rule[value] == above
    assert tags["filTags_k"][25][8] == expected_tags(chain, lambda n: 25 if n >= 25 else 0)[8]
    assert tags["filTags_k"][25][7] == above[7]


def layer_names(chain):
    return [layer["name"] for layer in steps.run_json(chain, "QFA")["network"]["layers"]]


def test_no_warning_for_what_is_in_range(chain, tmp_path):
    result, tags, log = tag(chain, tmp_path, "0,1,8")
    assert log == [] and result.stderr == ""
    assert list(tags["filTags_k"]) == list(tags["filTags_q"]) == [0, 1, 8]


def test_fractions_serve_q_only(chain, tmp_path):
    _, tags, log = tag(chain, tmp_path, "0.5,2,12.5")
    assert list(tags["filTags_k"]) == [2] and list(tags["filTags_q"]) == [0.5, 2, 12.5] and log == []
    (tmp_path / "q").mkdir()
    _, tags, _ = tag(chain, tmp_path / "q", "12.5")
    assert tags["filTags_k"] == {} and list(tags["filTags_q"]) == [12.5]
    out = tmp_path / "e"
    out.mkdir()
    steps.run("evaluate", steps.main_file(tmp_path / "q", "TF"), "--save-dir", out, "--k-q", 12.5)
    steps.run("hitrates", steps.main_file(out, "E"), "--save-dir", out)
    rates = steps.load(steps.main_file(out, "HR"))
    assert rates["totalhit_k"] == {} and list(rates["totalhit_q"]) == [12.5]
    assert "q = 12.5 " in steps.only(out, "*-HR-*-results.txt").read_text()


def test_values_given_twice_count_once(chain, tmp_path):
    _, tags, _ = tag(chain, tmp_path, "2,1,2,1..3,2.0")
    assert sorted(tags["filTags_k"]) == sorted(tags["filTags_q"]) == [1, 2, 3]


def test_keys_are_ints_where_they_can_be(chain, tmp_path):
    _, tags, _ = tag(chain, tmp_path, "0.5,2")
    assert [type(key) for key in tags["filTags_q"]] == [float, int]


def test_defaults_of_k_and_q(chain, tmp_path):
    steps.run("tag", steps.main_file(chain, "QFA"), "--save-dir", tmp_path)
    tags = steps.load(steps.main_file(tmp_path, "TF"))
    assert list(tags["filTags_k"]) == list(tags["filTags_q"]) == list(range(101))
    steps.run("evaluate", steps.main_file(tmp_path, "TF"), "--save-dir", tmp_path)
    assert list(steps.load(steps.main_file(tmp_path, "E"))["y_k"]) == [1, 5, 25]


def test_defaults_that_the_tags_do_not_have(chain, tmp_path):
    """Each is a warning and left out, and it is an error where nothing is left."""
    (tmp_path / "other").mkdir()
    steps.run("tag", steps.main_file(chain, "QFA"), "--save-dir", tmp_path, "--k-q", "5,6")
    steps.run("tag", steps.main_file(chain, "QFA"), "--save-dir", tmp_path / "other", "--k-q", 6)
    result = steps.run("evaluate", steps.main_file(tmp_path, "TF"), "--save-dir", tmp_path)
    assert result.stderr.count("it is left out") == 4
    assert list(steps.load(steps.main_file(tmp_path, "E"))["y_k"]) == [5]
    message = steps.fail("evaluate", steps.main_file(tmp_path / "other", "TF"), "--save-dir", tmp_path / "other")
    assert message.count("it is left out") == 6 and "one of the values of --k-q expected, found none" in message


# ---------------------------------------------------------------- evaluate and hitrates

def test_values_that_the_tags_do_not_have(chain, tmp_path):
    tags = steps.main_file(chain, "TF")
    steps.run("evaluate", tags, "--save-dir", tmp_path, "--k-q=1,7,0.5,5")
    expected = [f"{tags} has no tags for {rule}: it is left out" for rule in ("k = 7", "q = 7", "q = 0.5")]
    log = steps.warnings(tmp_path, "E")
    assert sorted(log[:3]) == sorted(expected) and len(log) == 4
    variables = steps.load(steps.main_file(tmp_path, "E"))
    for name in ("y_k", "y_q", "y_k_ll", "y_q_ll"):
        assert list(variables[name]) == [1, 5]
    message = steps.fail("evaluate", tags, "--save-dir", tmp_path, "--k-q", "6,7")
    assert f"{tags}: tags for one of the values of --k-q expected, found none" in message


def test_values_that_the_evaluation_does_not_have(chain, tmp_path):
    evaluation = steps.main_file(chain, "E")
    steps.run("hitrates", evaluation, "--save-dir", tmp_path, "--k-q", "3,77")
    assert steps.warnings(tmp_path, "HR") == [
        f"{evaluation} has no predictions for {rule} = 77: it is left out" for rule in "kq"]
    assert list(steps.load(steps.main_file(tmp_path, "HR"))["totalhit_q_ll"]) == [3]
    message = steps.fail("hitrates", evaluation, "--save-dir", tmp_path, "--k-q", 77)
    assert f"{evaluation}: predictions for one of the values of --k-q expected, found none" in message


@pytest.mark.parametrize("k_q", ["0", "1", "2,4", "0..5"])
def test_any_number_of_values(chain, tmp_path, k_q):
    """One value is as good as many, in every step."""
    steps.run("evaluate", steps.main_file(chain, "TF"), "--save-dir", tmp_path, "--k-q", k_q)
    steps.run("hitrates", steps.main_file(tmp_path, "E"), "--save-dir", tmp_path, "--k-q", k_q)
    rates, full = (steps.load(steps.main_file(folder, "HR")) for folder in (tmp_path, chain))
    for k, by_m in rates["totalhit_k"].items():
        assert by_m == full["totalhit_k"][k]


def test_hit_rates_are_what_the_evaluation_says(chain):
    rates = steps.load(steps.main_file(chain, "HR"))
    hits, n_images = {}, 0
    for path in steps.found(chain, "*-E-*-vars?.pkl"):
        variables = steps.load(path)
        n_images += len(variables["y"])
        for name in ("y_k", "y_q", "y_k_ll", "y_q_ll"):
            for value, rankings in variables[name].items():
                for m in (1, 3, 5, 10):
                    n = sum(top[0][0] in [label for label, _ in ranking[:m]]
                            for top, ranking in zip(variables["y"], rankings, strict=True))
                    key = (name.replace("y_", "totalhit_"), value, m)
                    hits[key] = hits.get(key, 0) + n
    assert n_images == 6
    for (name, value, m), n in hits.items():
        assert rates[name][value][m] == n / n_images


def test_m_beyond_the_classes(chain, tmp_path):
    steps.run("hitrates", steps.main_file(chain, "E"), "--save-dir", tmp_path, "--m", "1,3,1000000")
    rates = steps.load(steps.main_file(tmp_path, "HR"))
    for by_m in rates["totalhit_k"].values():
        assert list(by_m) == [1, 3, 1000000] and by_m[1000000] == by_m[3]


# ---------------------------------------------------------------- classes

@pytest.mark.parametrize("words, labels", [("1", ["a"]), ("2..3", ["b", "c c"]), ("c c", ["c c"]), ("b,2", ["b"]),
                                           ("3,a", ["a", "c c"]), ("1..3", ["a", "b", "c c"])])
def test_classes_of_the_hit_rates(chain, tmp_path, words, labels):
    steps.run("hitrates", steps.main_file(chain, "E"), "--save-dir", tmp_path, "--classes-img", words)
    rates, full = (steps.load(steps.main_file(folder, "HR")) for folder in (tmp_path, chain))
    assert list(rates["hit_k"]) == labels
    for label in labels:
        assert rates["hit_q_ll"][label] == full["hit_q_ll"][label]
    results = steps.only(tmp_path, "*-HR-*-results.txt").read_text()
    assert f"\ntotal: {len(labels)} class{'es' if len(labels) > 1 else ''}, " in results
    assert [line.split(", ")[1].split(":")[0] for line in results.splitlines() if line.startswith("class ")] == labels
    if len(labels) == 1:
        assert rates["totalhit_k"] == rates["hit_k"][labels[0]]


@pytest.mark.parametrize("words, unknown", [("4", "4"), ("1,other", "other"), ("c", "c"), ("3..5", "4"), ("0", "0")])
def test_unknown_classes(chain, tmp_path, words, unknown):
    message = steps.run("hitrates", steps.main_file(chain, "E"), "--save-dir", tmp_path, "--classes-img", words,
                        status=2).stderr
    assert "--classes-img: " in message and f"found '{unknown}'" in message
    assert steps.found(tmp_path, "*") == []


# ---------------------------------------------------------------- what differs from step 1

def test_split_and_seed_that_differ(chain, tmp_path):
    tags = steps.main_file(chain, "TF")
    slip = "the test pictures are not those that step 1 left out"
    steps.run("evaluate", tags, "--save-dir", tmp_path, "--k-q", 1, "--split", 0.25, "--seed-rn", 7)
    log = steps.warnings(tmp_path, "E")
    assert f"--split 0.25 differs from step 1's 0.5: {slip}" in log
    assert f"--seed-rn 7 differs from step 1's 123: {slip}" in log
    record = steps.run_json(tmp_path, "E")["dataset"]
    assert (record["split"], record["seed_rn"]) == (0.25, 7)


def test_same_split_and_seed_are_no_warning(chain, tmp_path):
    images = chain.parent / "images"
    result = steps.run("evaluate", steps.main_file(chain, "TF"), "--save-dir", tmp_path, "--k-q", 1, "--split", 0.5,
                       "--seed-rn", 123, "--images-dir", images / ".." / "images")
    assert "differs" not in result.stderr


def test_other_pictures_are_a_warning(chain, tmp_path):
    images = steps.make_pictures(tmp_path / "other", {"a": 2, "new": 2})
    out = tmp_path / "out"
    out.mkdir()
    steps.run("evaluate", steps.main_file(chain, "TF"), "--save-dir", out, "--k-q", 1, "--split", 1, "--images-dir",
              images)
    assert f"--images-dir {images} differs from step 1's {chain.parent / 'images'}" in steps.warnings(out, "E")
    labels = [label for path in steps.found(out, "*-E-*-vars?.pkl") for label in steps.load(path)["class_images_dict"]]
    assert labels == ["a", "new"]
