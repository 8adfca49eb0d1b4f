"""explain: pictures explained in tags, on the terminal and as the data of a page."""
import base64
import json
import os
import re
import shutil
import zlib

import pytest

import steps

K_Q = "0,1,3"
VALUES = [("k", 0), ("k", 1), ("k", 3), ("q", 0), ("q", 1), ("q", 3)]
INDEX = "a Apple\nb Pear\nc crane\nd crane\ne Elder\n"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Tags of two of the network's five classes, and their evaluation."""
    root = tmp_path_factory.mktemp("explain")
    steps.make_pictures(root / "images", {"a": 6, "b": 6, "c": 5})
    (root / "index.txt").write_text(INDEX)
    out = root / "out"
    out.mkdir()
    steps.pipeline(root / "images", out, "--k-q", K_Q, "--class-index", root / "index.txt", "--split", 0.5)
    return out


@pytest.fixture(scope="module")
def tags(chain):
    return steps.main_file(chain, "TF")


@pytest.fixture(scope="module")
def pictures(chain):
    """What step 3 has of the test pictures: {file: (y, {value: ranking}, {value: ranking of the last layer})}"""
    found = {}
    for path in steps.found(chain, "*-E-mixed-vars?.pkl"):
        variables = steps.load(path)
        (files,) = variables["class_images_dict"].values()
        for j, file in enumerate(files):
            rankings = [{("k", k): variables["y_k" + end][k][j] for k in variables["y_k" + end]} |
                        {("q", q): variables["y_q" + end][q][j] for q in variables["y_q" + end]} for end in ("", "_ll")]
            found[file] = (variables["y"][j], *rankings)
    assert len(found) == 8
    return found


def explain(tags, out, *words, **options):
    return steps.run("explain", "--filtags-file", tags, "--save-dir", out, *words, **options)


def page_of(folder):
    return steps.only(folder, "*-EX-mixed.html").read_bytes()


def block(page, name):
    (text,) = re.findall(rb'<script type="[a-z/]+" id="' + name.encode() + rb'">([^<]*)</script>', page)
    return text


def data_of(folder):
    return json.loads(block(page_of(folder), "explain"))


def bytes_of(folder, name):
    return zlib.decompress(base64.b64decode(block(page_of(folder), name)))


@pytest.fixture(scope="module")
def explained(chain, tags, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("explained")
    result = explain(tags, out, "--k-q", K_Q, *[chain.parent / "images" / file for file in pictures])
    return out, result


# ---------------------------------------------------------------- values

def test_predictions_are_those_of_step_3(explained, chain, pictures):
    data = data_of(explained[0])
    assert [tuple(value) for value in data["values"]] == VALUES
    assert len(data["pictures"]) == len(pictures)
    keys = [key for key, _ in data["labels"]]
    for picture, (file, (y, *rankings)) in zip(data["pictures"], pictures.items()):
        assert picture["file"] == str(chain.parent / "images" / file)
        names = {"c": "crane (c)", "d": "crane (d)"}  # two are called the same
        assert [(key, text) for key, text, _, _ in picture["top"]] == [(w, names.get(w, n)) for w, n, _ in y]
        assert all(abs(p - q) < 1e-8 for (_, _, p, _), (_, _, q) in zip(picture["top"], y))
        for value, found in zip(VALUES, picture["values"]):
            for last in range(2):
                expected = rankings[last][value]
                assert [(keys[label], n) for label, n in found["rankings"][last]] == expected[:10]
                assert found["n_ranked"][last] == len(expected)
                assert found["n_tags"][last] == sum(n for _, n in expected)
                labels = [label for label, _ in expected]
                assert found["places"][last] == (labels.index(y[0][0]) + 1 if y[0][0] in labels else 0)


def active_filters(activations, value):
    """By the rules of SPEC: [(layer, filter)] of a picture's activations."""
    rule, number = value
    active = []
    for a, layer in enumerate(activations):
        n = number if rule == "k" else max(1, round(number / 100 * len(layer))) if number else 0
        if n == 0:
            mean = sum(layer) / len(layer)
            active += [(a, i) for i, x in enumerate(layer) if x > mean]
        else:
            order = sorted(range(len(layer)), key=lambda i: (-layer[i], i))
            active += [(a, i) for i in sorted(order[:n])]
    return active


@pytest.fixture(scope="module")
def activations_of(chain, pictures, tmp_path_factory):
    """{file: the picture's activations}: a class folder for each picture."""
    root = tmp_path_factory.mktemp("single")
    for i, file in enumerate(pictures):
        (root / "images" / f"{i}").mkdir(parents=True)
        shutil.copy(chain.parent / "images" / file, root / "images" / f"{i}")
    steps.activations(root / "images", root, "--split", 0)
    variables = steps.load(steps.main_file(root, "QFA"))
    return {file: [[float(x) for x in layer] for layer in variables[f"filter_act_{i + 1}"]]
            for i, file in enumerate(pictures)}


def test_filters_carry_the_labels(explained, tags, pictures, activations_of):
    data = data_of(explained[0])
    variables = steps.load(tags)
    keys = [key for key, _ in data["labels"]]
    n_cards = 0
    for picture, file in zip(data["pictures"], pictures):
        layers = activations_of[file]
        for value, found in zip(VALUES, picture["values"]):
            own = variables[f"filTags_{value[0]}"][value[1]]
            active = active_filters(layers, value)
            last = [place for place in active if place[0] == len(layers) - 1]
            assert found["n_active"] == [len(active), len(last)]
            chosen = [keys[label] for label, _, _ in found["choices"]]
            assert chosen[:1] == [keys[label] for label, _ in found["rankings"][0][:1]] and len(chosen) <= 8
            for label, n_all, n_last in found["choices"]:
                assert n_all == sum(keys[label] in own[a][b] for a, b in active)
                assert n_last == sum(keys[label] in own[a][b] for a, b in last)
            carriers = [place for place in active if set(own[place[0]][place[1]]) & set(chosen)]
            assert found["n_carriers"] == len(carriers)
            carriers.sort(key=lambda place: (len(own[place[0]][place[1]]), -layers[place[0]][place[1]], place))
            shown = [tuple(picture["filters"][filter_][:2]) for filter_, *_ in found["carriers"]]
            assert len(shown) == min(32, len(carriers)) == len(set(shown))
            assert shown == [place for place in carriers if place in shown], "in the order of all carriers"
            of_top = [place for place in carriers if chosen[0] in own[place[0]][place[1]]]
            assert set(of_top[:12]) <= set(shown)
            for (filter_, n_tags, choices, listed), (a, b) in zip(found["carriers"], shown):
                assert abs(picture["filters"][filter_][2] - layers[a][b]) < 1e-7
                assert [keys[label] for label in listed] == own[a][b] and n_tags == len(own[a][b])
                assert [key for i, key in enumerate(chosen) if choices >> i & 1] == [
                    key for key in chosen if key in own[a][b]]
            n_cards += len(shown)
    assert n_cards > 300


def test_heat_maps_are_the_filters(explained):
    """The mean of a map is the filter's activation."""
    data = data_of(explained[0])
    for i, picture in enumerate(data["pictures"]):
        maps = bytes_of(explained[0], f"maps-{i}")
        assert bytes_of(explained[0], f"image-{i}").startswith(b"\xff\xd8\xff")
        assert picture["size"] == [24, 20]
        first = 0
        for layer, number, activation, h, w in picture["filters"]:
            assert number < steps.N_FILTERS[layer] and 0 < h <= 40 and 0 < w <= 48
            values = maps[first:first + h * w]
            first += h * w
            assert abs(sum(values) / len(values) / 255 - activation) < 0.5 / 255
        assert first == len(maps)


def test_terminal_says_the_same(explained, pictures, chain):
    text = explained[1].stdout
    assert text.startswith("explanation of 8 pictures by the tags of mixed: 3 values of k and 3 of q\n")
    blocks = re.split(r"\n\n(?=/)", text.split("\nfiles:\n")[0])[1:]
    names = {"a": "Apple", "b": "Pear", "c": "crane (c)", "d": "crane (d)", "e": "Elder"}
    assert len(blocks) == 8
    for found, (file, (y, rankings, rankings_last)) in zip(blocks, pictures.items()):
        lines = re.sub(r"\n {16}(?=\S)", " ", found).splitlines()  # what went on below its beginning
        assert lines[0] == str(chain.parent / "images" / file)
        assert lines[1] == "  network       " + ", ".join(f"{names[w]} {100 * p:.1f} %" for w, _, p in y)
        at = 2
        for value in VALUES:
            for title, ranking in ((f"tags, {value[0]} = {value[1]}", rankings[value]),
                                   ("  last layer", rankings_last[value])):
                counts = ", ".join(f"{names[label]} {n}" for label, n in ranking[:3])
                start = f"  {title:13} {counts} of {sum(n for _, n in ranking)} tags; "
                labels = [label for label, _ in ranking]
                end = "disagrees: the network's label is not among them"
                if y[0][0] in labels:
                    place = labels.index(y[0][0]) + 1
                    end = ("agrees with the network" if place == 1 else
                           f"disagrees: the network's label is in place {place}")
                    end += ", a tie" if place > 1 and ranking[place - 1][1] == ranking[0][1] else ""
                if not ranking:
                    assert re.fullmatch(rf"  {title:13} the \d+ active filters have no tags", lines[at])
                else:
                    assert lines[at] == start + end
                at += 1
    assert "  filter  activation  tags, the fewest first\n" in text
    rows = re.findall(r"^    (\S+) +(\d+) +(\d\.\d{4})  (\S.*)$", text, re.MULTILINE)
    assert len(rows) > 50 and {row[0] for row in rows} > {"top_conv2"}
    assert max(len(line) for line in text.splitlines() if not line.startswith("/")) <= 80


def test_terminal_counts_all_tags(explained, chain, tags):
    """As many tags as the line has room for, at most four, and the number of the others."""
    tags = steps.load(tags)
    layers = [layer["name"] for layer in steps.run_json(chain, "QFA")["network"]["layers"]]
    names = {"Apple": "a", "Pear": "b", "crane (c)": "c", "crane (d)": "d", "Elder": "e"}
    section = re.compile(r"^  (\S.*), ([kq]) = (\S+): \d+ of .*\n.*\n((?:    \S.*\n?)+)", re.MULTILINE)
    n_rows = 0
    for top, rule, value, rows in section.findall(explained[1].stdout):
        row = re.compile(r"^    (\S+) +(\d+) +\d\.\d{4}  (.*?)(?: and (\d+) more)?$", re.MULTILINE)
        for layer, number, listed, others in row.findall(rows):
            labels = [names[name] for name in listed.split(", ")]
            own = tags[f"filTags_{rule}"][float(value)][layers.index(layer)][int(number)]
            assert labels[0] == names[top] and len(labels) <= 4 and labels[1:] == [
                label for label in own if label != labels[0]][:len(labels) - 1]
            assert len(labels) + int(others or 0) == len(own)
            n_rows += 1
    assert n_rows > 50


def test_terminal_keeps_to_80_columns(chain, tags, pictures, tmp_path):
    """Long labels are cut, lines go on below, and of a filter's tags those are listed that have room."""
    index = tmp_path / "index.txt"
    index.write_text("".join(f"{wnid} {wnid.upper()}{'ö' * 39}\n" for wnid in "abcde"))
    text = explain(tags, tmp_path, "--k-q", 3, "--class-index", index,
                   *[chain.parent / "images" / file for file in pictures]).stdout
    lines = [line for line in text.split("\nfiles:\n")[0].splitlines() if not line.startswith("/")]
    assert max(map(len, lines)) <= 80
    label = r"[A-E]ö{30}…"
    assert re.search(rf"^  tags, k = 3   {label} \d+,\n {{16}}{label} \d+", text, re.MULTILINE)
    assert re.search(rf"  \d\.\d{{4}}  {label} and [12] more$", text, re.MULTILINE)



@pytest.mark.parametrize("words", [("--threads", 1), ("--threads", 3, "--batch", 1), ("--threads", 2, "--batch", 16)])
def test_same_page_for_threads_and_batches(explained, chain, tags, pictures, tmp_path, words):
    explain(tags, tmp_path, "--k-q", K_Q, *[chain.parent / "images" / file for file in pictures], *words)
    assert page_of(tmp_path) == page_of(explained[0])


def test_files_and_record(explained, tags):
    out = explained[0]
    names = [path.name.split("-EX-")[1] for path in steps.found(out, "*-EX-*")]
    assert names == ["info.log", "mixed-run.json", "mixed.html", "warnings.log"]
    record = steps.run_json(out, "EX")
    assert record["command"] == "explain" and record["previous"] == str(tags)
    assert record["files"][0].endswith("-EX-mixed.html")
    assert {name: record["counts"][name] for name in ("n_pictures_run", "n_pictures_bad", "n_k", "n_q")} == {
        "n_pictures_run": 8, "n_pictures_bad": 0, "n_k": 3, "n_q": 3}
    assert record["counts"]["n_heat_maps"] == sum(len(picture["filters"]) for picture in data_of(out)["pictures"])
    assert record["network"]["name"] == "mixed" and record["options"]["filtags-file"]["given"]
    assert steps.warnings(out, "EX") == []
    assert "-EX-mixed.html\n" in explained[1].stdout


def test_default_value_is_5(chain, pictures, tmp_path):
    steps.run("tag", steps.main_file(chain, "QFA"), "--save-dir", tmp_path, "--k-q", "4,5")
    explain(steps.main_file(tmp_path, "TF"), tmp_path, chain.parent / "images" / next(iter(pictures)))
    assert data_of(tmp_path)["values"] == [["k", 5.0], ["q", 5.0]]


# ---------------------------------------------------------------- pictures

@pytest.fixture
def picture(chain, pictures):
    return chain.parent / "images" / next(iter(pictures))


def test_pictures_are_named_from_the_working_directory(tags, picture, tmp_path):
    (tmp_path / "out").mkdir()
    shutil.copy(picture, tmp_path / "-here.ppm")
    explain(tags, "out", "--k-q", 1, "--", "-here.ppm", os.path.relpath(picture, tmp_path), picture, cwd=tmp_path)
    data = data_of(tmp_path / "out")
    assert [one["file"] for one in data["pictures"]] == ["-here.ppm", os.path.relpath(picture, tmp_path), str(picture)]
    assert data["pictures"][0]["values"] == data["pictures"][1]["values"] == data["pictures"][2]["values"]


def test_picture_that_cannot_be_read(tags, picture, tmp_path):
    bad = steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg"
    result = explain(tags, tmp_path, "--k-q", 1, bad, picture, tmp_path / "nothing.png")
    assert "1 picture by the tags of mixed" in result.stdout
    assert "2 of 3 pictures could not be used" in result.stdout
    assert [one["file"] for one in data_of(tmp_path)["pictures"]] == [str(picture)]
    warnings = "\n".join(steps.warnings(tmp_path, "EX"))
    assert f"{bad}: JPEG: the file is truncated" in warnings and "nothing.png" in warnings
    assert steps.run_json(tmp_path, "EX")["counts"]["n_pictures_bad"] == 2


def test_no_picture_that_can_be_read(tags, tmp_path):
    result = explain(tags, tmp_path, "--k-q", 1, tmp_path / "a.png", tmp_path / "b.png", status=1)
    assert result.stdout == ""
    first = tmp_path / "a.png"
    warnings, error = result.stderr.splitlines()[:-1], result.stderr.splitlines()[-1]
    assert error == (f"filtags explain: none of the 2 pictures could be used: see the warnings. The first: {first}: "
                     "cannot be opened: No such file or directory"), "whatever thread comes to it first"
    assert any(f"{tmp_path / 'b.png'}: " in line for line in warnings)
    steps.assert_nothing_final(tmp_path)


def test_the_only_picture_cannot_be_read(tags, tmp_path):
    """The error itself says which and why; the log has the warning, too."""
    bad = steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg"
    result = explain(tags, tmp_path, "--k-q", 1, bad, status=1)
    reason = f"{bad}: JPEG: the file is truncated: it ends after 1019 bytes, before row 15 of 29 is complete"
    assert result.stderr.splitlines()[-1] == f"filtags explain: {reason} (it is the only picture)"
    assert f"{reason} (the picture is left out)" in "\n".join(steps.warnings(tmp_path, "EX"))
    steps.assert_nothing_final(tmp_path)


def test_large_picture_is_shrunk(tags, tmp_path):
    (tmp_path / "large.ppm").write_bytes(steps.ppm("large", 1500, 100))
    explain(tags, tmp_path, "--k-q", 1, tmp_path / "large.ppm")
    assert data_of(tmp_path)["pictures"][0]["size"] == [720, 48]
    assert len(bytes_of(tmp_path, "image-0")) < 100_000


# ---------------------------------------------------------------- texts

def test_texts_are_text(tmp_path):
    nasty = ["<script>alert(1)<", "\"quotes\" 'and' `ticks`", "a & b &amp; c", "Größe 日本語", "two\nlines",
             "l" * 200, os.fsdecode(b"not \xff utf-8")]
    images = steps.make_pictures(tmp_path / "images", {name: 2 for name in nasty[:5]})
    steps.pipeline(images, tmp_path, "--k-q", "1,2")
    tags = steps.main_file(tmp_path, "TF")
    names = ["<img src=x onerror=alert(1)>.ppm", "new\nline.ppm", nasty[6] + ".ppm", "</script>.ppm".replace("/", "\\")]
    for name in names:
        (tmp_path / name).write_bytes(steps.ppm(name))
    (tmp_path / "page").mkdir()
    result = explain(tags, tmp_path / "page", "--k-q", "1,2", *names, cwd=tmp_path)
    page = page_of(tmp_path / "page")
    assert b"<script>alert" not in page and b"<img src=x" not in page and b"</script>.ppm" not in page
    data = data_of(tmp_path / "page")
    assert [one["file"] for one in data["pictures"]] == [*names[:2], "not \ufffd utf-8.ppm", names[3]]
    assert {key for key, _ in data["labels"]} <= set(nasty)
    assert "\nnew?line.ppm\n" in result.stdout and "two?lines" in result.stdout
    assert len(max(result.stdout.split("\nfiles:")[0].splitlines(), key=len)) < 260
    assert " is in place 5, a tie\n" in result.stdout, "every filter of a layer has all tags"


def test_long_labels_are_shortened_on_the_terminal(chain, tags, picture, tmp_path):
    index = tmp_path / "index.txt"
    index.write_text("\n".join(f"{wnid} {wnid.upper() * 200}" for wnid in "abcde") + "\n")
    result = explain(tags, tmp_path, "--k-q", 1, "--class-index", index, picture)
    assert "A" * 31 + "…" in result.stdout and "A" * 32 not in result.stdout
    assert "A" * 200 in [text for _, text in data_of(tmp_path)["labels"]]


# ---------------------------------------------------------------- what goes wrong

def test_usage(tags, picture, tmp_path):
    for words, message in (((picture,), "--filtags-file FILE is missing"),
                           (("--filtags-file", tags), "IMAGE... is missing"),
                           (("--filtags-file", tags, picture, "--images-dir", tmp_path), "--images-dir: is no option"),
                           (("--filtags-file", tags, ""), "the name of a file expected")):
        assert message in steps.run("explain", *words, status=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_too_many_pictures(tags, picture, tmp_path):
    message = steps.run("explain", "--filtags-file", tags, "--save-dir", tmp_path, "--k-q", 1, *[picture] * 101,
                        status=2).stderr
    assert "at most 100 pictures expected, found 101" in message
    assert list(tmp_path.iterdir()) == []


def test_tags_that_are_not_in_the_file(tags, picture, tmp_path):
    result = explain(tags, tmp_path, "--k-q", "3,77", picture)
    assert "has no tags for k = 77: it is left out" in result.stderr
    assert data_of(tmp_path)["values"] == [["k", 3.0], ["q", 3.0]]
    message = steps.fail("explain", "--filtags-file", tags, "--save-dir", tmp_path, "--k-q", 77, picture)
    assert "tags for one of the values of --k-q expected, found none, but for k = 0, 1, 3; q = 0, 1, 3\n" in message
    steps.run("tag", steps.main_file(tags.parent, "QFA"), "--save-dir", tmp_path, "--k-q", "0..100,0.5")
    message = steps.fail("explain", "--filtags-file", steps.main_file(tmp_path, "TF"), "--k-q", 777, picture)
    assert re.search(r"found none, but for k = 0, 1, 2, [\d, ]+ \.\.\.; q = 0, 1, [\d, ]+ \.\.\.\n$", message)


def test_decoded_tags_are_refused(tags, picture, tmp_path):
    steps.run("decode", tags, "--save-dir", tmp_path)
    message = steps.fail("explain", "--filtags-file", steps.main_file(tmp_path, "TFD"), "--k-q", 1, picture)
    assert "the tag file of step 2 expected, found a decoded one" in message


def test_tags_of_another_network(chain, tags, picture, tmp_path):
    message = steps.fail("explain", "--filtags-file", tags, "--k-q", 1, "--layers", "top_*", picture)
    assert f"{tags}: tags of 2 layers expected, as --layers top_* selects" in message
    shutil.copy(steps.MODEL_H5, tmp_path / "other.h5")
    result = explain(tags, tmp_path, "--k-q", 1, "--model", tmp_path / "other.h5", picture)
    assert "other.h5 is not the file that the tags were made with" in result.stderr


def test_missing_run_json(chain, tags, picture, tmp_path):
    for path in (tags, steps.names_path(tags)):
        shutil.copy(path, tmp_path)
    moved = tmp_path / tags.name
    message = steps.run("explain", "--filtags-file", moved, "--k-q", 1, picture, status=2).stderr
    assert "--network or --model is missing, and neither a run.json" in message
    result = explain(moved, tmp_path, "--k-q", 1, "--model", steps.MODEL, "--preprocess", "unit", "--class-index",
                     chain.parent / "index.txt", picture)
    assert "warning" not in result.stderr
    (tmp_path / "same").mkdir()
    explain(tags, tmp_path / "same", "--k-q", 1, picture)
    assert data_of(tmp_path) == data_of(tmp_path / "same")


def test_malformed_run_json(tags, picture, tmp_path):
    for path in (tags, steps.names_path(tags)):
        shutil.copy(path, tmp_path)
    (tmp_path / tags.name.replace("vars.pkl", "run.json")).write_text("{")
    message = steps.fail("explain", "--filtags-file", tmp_path / tags.name, "--k-q", 1, picture)
    assert "-run.json" in message


def test_outputs_without_names(picture, tmp_path):
    """Names are the class folders', if there are as many as outputs and they are still there; else numbers."""
    images = steps.make_pictures(tmp_path / "images", {name: 2 for name in "abcde"})
    steps.pipeline(images, tmp_path, "--k-q", 1)
    tags = steps.main_file(tmp_path, "TF")
    result = explain(tags, tmp_path, "--k-q", 1, picture)
    assert "5 outputs are assumed to be the class folders in their order" in result.stderr
    assert {row[0] for row in data_of(tmp_path)["pictures"][0]["top"]} <= set("abcde")
    shutil.rmtree(images)
    (tmp_path / "gone").mkdir()
    result = explain(tags, tmp_path / "gone", "--k-q", 1, picture)
    assert "the network's outputs are called by their numbers, and agree with no tag" in result.stderr
    assert {row[0] for row in data_of(tmp_path / "gone")["pictures"][0]["top"]} <= set("01234")
    assert "is not among them" in result.stdout


def test_class_index_of_other_labels(tags, picture, tmp_path):
    index = tmp_path / "index.txt"
    index.write_text("v\nw\nx\ny\nz\n")
    result = explain(tags, tmp_path, "--k-q", 1, "--class-index", index, picture)
    assert "no tag is named like an output of the network ('v', ...): they can't agree" in result.stderr


def test_folder_that_is_not_there(tags, picture, tmp_path):
    message = steps.fail("explain", "--filtags-file", tags, "--save-dir", tmp_path / "none", "--k-q", 1, picture)
    assert str(tmp_path / "none") in message
