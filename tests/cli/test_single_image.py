"""single-image: the tags of the test pictures of one class, against what evaluate gives for the same pictures."""
import os
import random
import re
import shutil

import pytest

import steps

INDEX = "n1 red fox\nn2 blue whale\nn3 crane\nn4 crane\nn5 e\n"
PEOPLE = {"n1": "n1 red fox", "n2": "n2 blue whale", "n3": "n3 crane"}
K_Q = "1,4,30,12.5"
SELECTORS = [("k", 1), ("k", 4), ("k", 30), ("q", 1), ("q", 4), ("q", 30), ("q", 12.5)]


def striped(seed, width=24, height=20):
    """From one colour to another, with stripes: the network's answers to these differ, to noise they don't."""
    generator = random.Random(seed)
    top, bottom = generator.randbytes(3), generator.randbytes(3)
    period, stripe = generator.randrange(2, 7), generator.choice((0, 255))
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            pixels += bytes((top[i] * (height - y) + bottom[i] * y) // height if x % period else stripe
                            for i in range(3))
    return f"P6 {width} {height} 255\n".encode() + bytes(pixels)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single-image")
    images = steps.make_pictures(folder / "images", {"n1": 18, "n2": 22, "n3": 14})
    for file in images.glob("*/*.ppm"):
        file.write_bytes(striped(f"{file.parent.name}/{file.name}"))
    (folder / "classes.txt").write_text(INDEX)
    out = folder / "out"
    out.mkdir()
    steps.pipeline(images, out, "--class-index", folder / "classes.txt", "--split", 0.5, "--k-q", K_Q, "--m", 1)
    return out


def single(chain, out, *words, chosen=2, **options):
    return steps.run("single-image", steps.main_file(chain, "TF"), "--classes-img", chosen, "--k-q", K_Q,
                     "--save-dir", out, *words, **options)


def evaluated(chain, number):
    return steps.load(steps.only(chain, f"*-E-mixed-vars{number}.pkl"))


def results(out):
    return steps.only(out, "*-SI-*-results.txt").read_bytes().decode("utf-8", "surrogateescape")


# ---------------------------------------------------------------- reading what people read

def halves(head, lines):
    """[(count, label)] of all layers and of the last one, and the labels with a *."""
    right = head.index("last layer") - 11
    rankings, marked = [[], []], set()
    for line in lines:
        for half, text in enumerate((line[:right], line[right:])):
            match = re.fullmatch(r" *(\d+) ([ *]) (.*?) *", text)
            if not match:
                assert text.strip() in ("", "(no tags)")
                continue
            rankings[half].append((match[3], int(match[1])))
            if match[2] == "*":
                marked.add(match[3])
    return rankings, marked


def pictures_of(text):
    """{file: (line of the network, {(rule, value): (rankings, marked)})}"""
    pictures = {}
    for block in text.split("\n\n\ntotals of ")[0].split("\n\n\n")[1:]:
        head, *tables = block.split("\n\n")
        title, network = head.split("\n")
        tables_of = {}
        for table in tables:
            head, *lines = table.split("\n")
            rule, value = re.match(r"([kq]) = (\S+)", head).groups()
            tables_of[rule, float(value)] = halves(head, lines)
        pictures[title.split(": ", 1)[1]] = network, tables_of
    return pictures


def totals_of(text):
    """{(rule, value): {label: [tags, first, agreed, and the same of the last layer]}}"""
    totals = {}
    for table in text.split("\n\n\ntotals of ")[1].rstrip("\n").split("\n\n")[1:]:
        head, columns, *lines = table.split("\n")
        assert columns.split() == ["tags", "first", "agreed"] * 2
        rule, value = re.match(r"([kq]) = (\S+)", head).groups()
        rows = [re.fullmatch(r"(.*?)((?: +\d+){6})", line) for line in lines]
        totals[rule, float(value)] = {row[1].rstrip(): [int(cell) for cell in row[2].split()] for row in rows}
    return totals


# ---------------------------------------------------------------- numbers

@pytest.mark.parametrize("number", [1, 2, 3])
def test_pictures_are_those_of_evaluate(chain, tmp_path, number):
    single(chain, tmp_path, chosen=number)
    expected = evaluated(chain, number)
    (files,) = expected["class_images_dict"].values()
    pictures = pictures_of(results(tmp_path))
    assert list(pictures) == files and len(files) > 2
    for j, file in enumerate(files):
        network, tables = pictures[file]
        assert network == "network: " + ", ".join(
            f"{wnid} {label} {probability:.4f}" if wnid != label else f"{wnid} {probability:.4f}"
            for wnid, label, probability in expected["y"][j])
        assert list(tables) == SELECTORS
        for (rule, value), (rankings, marked) in tables.items():
            for name, ranking in zip((f"y_{rule}", f"y_{rule}_ll"), rankings, strict=True):
                assert ranking == [(PEOPLE[label], count) for label, count in expected[name][value][j]]
            assert marked <= {PEOPLE.get(expected["y"][j][0][0])}


def test_the_networks_label_is_marked(chain, tmp_path):
    marks = []
    for number in (1, 2, 3):
        out = tmp_path / str(number)
        out.mkdir()
        single(chain, out, chosen=number)
        for (network, tables), top in zip(pictures_of(results(out)).values(), evaluated(chain, number)["y"]):
            for rankings, marked in tables.values():
                listed = {label for ranking in rankings for label, _ in ranking}
                assert marked == listed & {PEOPLE.get(top[0][0])}
                marks.append(len(marked))
    assert set(marks) == {0, 1}, "the network's label has tags for some pictures, for some it has none"


def test_totals(chain, tmp_path):
    single(chain, tmp_path)
    expected, totals = evaluated(chain, 2), totals_of(results(tmp_path))
    assert list(totals) == SELECTORS
    n_pictures = len(expected["y"])
    assert f"\n\n\ntotals of {n_pictures} pictures\n" in results(tmp_path)
    for (rule, value), rows in totals.items():
        wanted = {}
        for half, name in enumerate((f"y_{rule}", f"y_{rule}_ll")):
            for ranking, top in zip(expected[name][value], expected["y"]):
                for place, (label, count) in enumerate(ranking):
                    for key in (PEOPLE[label], "all labels"):
                        row = wanted.setdefault(key, [0] * 6)
                        row[3 * half] += count
                        row[3 * half + 1] += place == 0
                        row[3 * half + 2] += place == 0 and label == top[0][0]
        assert rows == wanted
        assert list(rows)[-1] == "all labels" and len(rows) > 2
        sums = [row[0] for row in rows.values()][:-1]
        assert sums == sorted(sums, reverse=True)


def test_agreement_is_the_hit_rate(chain, tmp_path):
    """Of m = 1 in step 4, for that class; and step 4 reads the files, too."""
    result = single(chain, tmp_path)
    rates = steps.load(steps.main_file(chain, "HR"))
    lines = {tuple(line.split()[:3:2]): line for line in result.stdout.splitlines() if re.match("[kq] = ", line)}
    totals = totals_of(results(tmp_path))
    n_pictures = len(evaluated(chain, 2)["y"])
    assert len(lines) == len(SELECTORS)
    assert 0 < max(rates["hit_k"]["n2"][value][1] for value in (1, 4, 30)) < 1
    for rule, value in SELECTORS:
        rate, rate_ll = (rates[f"hit_{rule}{last}"]["n2"][value][1] for last in ("", "_ll"))
        row = totals[rule, value]["all labels"]
        assert (row[2] / n_pictures, row[5] / n_pictures) == (rate, rate_ll)
        cells = re.fullmatch(r"[kq] = \S+ +(\d\.\d+)  (.*?) \((\d+)\) +(\d\.\d+)  (?:(.*?) \((\d+)\))?",
                             lines[rule, f"{value:g}"])
        assert (cells[1], cells[4]) == (f"{rate:.4f}", f"{rate_ll:.4f}")
        first = max(row[1] for label, row in totals[rule, value].items() if label != "all labels")
        assert totals[rule, value][cells[2]][1] == first == int(cells[3])
    steps.run("hitrates", steps.only(tmp_path, "*-SI-*-vars2.pkl"), "--save-dir", tmp_path, "--m", 1)
    assert steps.load(steps.main_file(tmp_path, "HR"))["hit_k"] == {"n2": rates["hit_k"]["n2"]}


def test_variables_are_those_of_step_3(chain, tmp_path):
    single(chain, tmp_path, chosen="n3")
    for suffix in ("vars3.pkl", "vars3-names.pkl"):
        same = [steps.only(folder, f"*-{kind}-mixed-{suffix}").read_bytes()
                for folder, kind in ((chain, "E"), (tmp_path, "SI"))]
        assert same[0] == same[1]
    assert len(steps.found(tmp_path, "*-vars?.pkl")) == 1


@pytest.mark.parametrize("words", [("--threads", 1, "--batch", 1), ("--threads", 3, "--batch", 2),
                                   ("--threads", 2, "--batch", 5)])
def test_same_bytes_for_any_threads_and_batch(chain, tmp_path, words):
    reference, out = tmp_path / "reference", tmp_path / "out"
    for folder, more in ((reference, ()), (out, words)):
        folder.mkdir()
        single(chain, folder, *more)
    for suffix in ("results.txt", "vars2.pkl", "vars2-names.pkl", "vars-info.txt"):
        assert len({steps.only(folder, f"*-SI-mixed-{suffix}").read_bytes() for folder in (reference, out)}) == 1


def test_limit(chain, tmp_path):
    result = single(chain, tmp_path, "--limit", 2)
    n_test = len(evaluated(chain, 2)["y"])
    assert f"limited to 2 of {n_test} pictures" in result.stdout
    full = list(evaluated(chain, 2)["class_images_dict"]["n2"])
    assert list(pictures_of(results(tmp_path))) == full[:2]
    record = steps.run_json(tmp_path, "SI")
    assert record["dataset"]["limit"] == 2
    assert (record["counts"]["n_test"], record["counts"]["n_pictures_run"]) == (n_test, 2)


def test_files_beside_the_results(chain, tmp_path):
    result = single(chain, tmp_path)
    n_test = len(evaluated(chain, 2)["y"])
    start = f"tags of class 2, n2, by mixed: {n_test} test pictures, 3 values of k and 4 of q; "
    assert result.stdout.startswith(start)
    assert result.stdout.endswith(f"\nfiles:\n  {steps.only(tmp_path, '*-SI-mixed-results.txt')}\n")
    record, before = steps.run_json(tmp_path, "SI"), steps.run_json(chain, "E")
    assert record["command"] == "single-image" and record["previous"] == str(steps.main_file(chain, "TF"))
    assert record["network"] == before["network"] and record["dataset"] == before["dataset"]
    expected = {"n_classes": 1, "n_test": n_test, "n_pictures_run": n_test, "n_pictures_bad": 0, "n_k": 3, "n_q": 4}
    assert {name: record["counts"][name] for name in expected} == expected
    assert record["options"]["classes-img"] == {"value": "2", "given": True}
    prefix = record["files"][0][:-len("results.txt")]
    assert record["files"] == [prefix + suffix for suffix in ("results.txt", "vars2.pkl", "vars2-names.pkl",
                                                              "vars-info.txt", "run.json")]
    text = steps.only(tmp_path, "*-SI-mixed-vars-info.txt").read_text()
    assert "class X = 2, n2" in text and all(name in text for name in evaluated(chain, 2))
    info = steps.only(tmp_path, "*-SI-info.log").read_text()
    assert f"172 filters, {n_test} test pictures of {n_test}, " in info
    assert steps.warnings(tmp_path, "SI") == []


@pytest.mark.parametrize("name", ["single-image", "si-eval", "si_eval"])
def test_names_of_the_command(chain, tmp_path, name):
    steps.run(name, "--filTags_file", steps.main_file(chain, "TF"), "--save_dir", tmp_path, "--classes_img", "n1",
              "--k_q", 1)
    assert results(tmp_path).startswith("Tags of the test pictures of class 1, n1, by mixed (filTags, single-image).\n")


# ---------------------------------------------------------------- one class

@pytest.mark.parametrize("chosen, message", [
    ("1,2", "one class expected, found 2"), ("1..3", "one class expected, found 3"),
    ("4", "number (1 to 3) or label of one of the classes in {} expected, found '4'"),
    ("0", "number (1 to 3) or label of one of the classes in {} expected, found '0'"),
    ("red fox", "number (1 to 3) or label of one of the classes in {} expected, found 'red fox'"),
])
def test_classes_that_are_none_or_many(chain, tmp_path, chosen, message):
    stderr = single(chain, tmp_path, chosen=chosen, status=2).stderr
    expected = message.format(chain.parent / "images")
    assert stderr.startswith(f"filtags single-image: --classes-img: {expected}\n")
    assert steps.found(tmp_path, "*") == []


def test_the_class_must_be_named(chain, tmp_path):
    stderr = steps.run("single-image", steps.main_file(chain, "TF"), "--save-dir", tmp_path, status=2).stderr
    assert "--classes-img" in stderr and steps.found(tmp_path, "*") == []


def test_folders_with_numbers_as_names(tmp_path):
    """A number is the class's number, else some class could not be named."""
    images = steps.make_pictures(tmp_path / "images", {"0": 3, "1": 3, "2": 3})
    out = tmp_path / "out"
    out.mkdir()
    steps.activations(images, out, "--split", 0)
    steps.run("tag", steps.main_file(out, "QFA"), "--save-dir", out, "--k-q", 1)
    for chosen, label, warning in (("1", "0", True), ("0", "0", False), ("3", "2", False)):
        folder = tmp_path / f"chosen-{chosen}"
        folder.mkdir()
        steps.run("single-image", steps.main_file(out, "TF"), "--split", 1, "--classes-img", chosen, "--k-q", 1,
                  "--save-dir", folder)
        assert f" of class {int(label) + 1}, {label}, " in results(folder)
        said = [line for line in steps.warnings(folder, "SI") if "--classes-img" in line]
        expected = "--classes-img 1 is taken for the class of that number, '0'; the class labelled so is number 2"
        assert said == ([expected] if warning else [])


def test_a_class_without_test_pictures(chain, tmp_path):
    message = single(chain, tmp_path, "--split", 0, status=1).stderr
    assert (f"{chain.parent / 'images'}: class 2, 'n2': test pictures expected, found none (--split 0 keeps that share "
            "back; 1: all)") in message
    assert steps.found(tmp_path, "*") == []


# ---------------------------------------------------------------- pictures and inputs that are wrong

@pytest.fixture
def copy(chain, tmp_path):
    """A copy of the pictures to damage; the tags are those of the originals."""
    images, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(chain.parent / "images", images)
    out.mkdir()
    return images, out


def test_damaged_pictures(chain, copy):
    images, out = copy
    files = evaluated(chain, 2)["class_images_dict"]["n2"]
    other = evaluated(chain, 1)["class_images_dict"]["n1"][0]
    for file in (files[1], other):
        (images / file).write_bytes(b"P6 24 20 255\nshort")
    result = single(chain, out, "--images-dir", images)
    assert f"1 of {len(files)} pictures could not be used: see the warnings log" in result.stdout
    assert list(pictures_of(results(out))) == [file for file in files if file != files[1]]
    assert f"\ntotals of {len(files) - 1} pictures\n" in results(out)
    said = [line for line in steps.warnings(out, "SI") if "left out" in line]
    assert len(said) == 1 and f"{images}/{files[1]}: " in said[0], "other classes' pictures are not looked at"
    assert steps.run_json(out, "SI")["counts"]["n_pictures_bad"] == 1
    strict = out / "strict"
    strict.mkdir()
    assert f"{images}/{files[1]}: " in single(chain, strict, "--images-dir", images, "--strict", status=1).stderr
    steps.assert_nothing_final(strict)


def test_no_picture_that_can_be_used(chain, copy):
    images, out = copy
    for file in evaluated(chain, 2)["class_images_dict"]["n2"]:
        (images / file).write_bytes(b"")
    result = single(chain, out, "--images-dir", images)
    assert re.search(r"^k = 4 +-  +-$", result.stdout, re.MULTILINE)
    assert "\ntotals of 0 pictures\n" in results(out)
    assert set(totals_of(results(out))["k", 4]) == {"all labels"}
    assert steps.load(steps.only(out, "*-SI-*-vars2.pkl"))["y"] == []


def test_odd_names(tmp_path):
    """Folders and files with any bytes are shown as text, a line each."""
    images, out = tmp_path / "images", tmp_path / "out"
    names = [b"a\nb\x1b[31m", b"caf\xe9", "<b>&\"'é".encode(), b"x" * 200]
    for name in names:
        os.makedirs(os.path.join(os.fsencode(images), name))
        for i in range(3):
            with open(os.path.join(os.fsencode(images), name, b"p\n%d\xff.ppm" % i), "wb") as file:
                file.write(steps.ppm(f"{name}/{i}"))
    out.mkdir()
    steps.activations(images, out, "--split", 0)
    steps.run("tag", steps.main_file(out, "QFA"), "--save-dir", out, "--k-q", 2)
    result = steps.run("single-image", steps.main_file(out, "TF"), "--split", 1, "--classes-img", names[0], "--k-q", 2,
                       "--save-dir", out)
    text = results(out)
    assert "Tags of the test pictures of class 2, a?b?[31m, by mixed" in text
    assert "\npicture 1 of 3: a?b?[31m/p?" in text
    assert all(character >= " " or character == "\n" for character in text + result.stdout)
    assert {label for label, _ in halves_of_first(text)} == {"a?b?[31m", "caf\udce9", "<b>&\"'é", "x" * 200}


def halves_of_first(text):
    """The ranking over all layers of the first picture's first table; long labels push the other half away."""
    table = text.split("\n\n\n")[1].split("\n\n")[1].split("\n")[1:]
    return [(re.match(r" *\d+ [ *] (.+?)(?:  .*)?$", line)[1], line) for line in table]


def test_inputs_that_are_wrong(chain, tmp_path):
    """As for evaluate, with which the code is shared."""
    out = tmp_path / "out"
    out.mkdir()
    steps.run("decode", steps.main_file(chain, "TF"), "--save-dir", tmp_path)
    message = single_fails(steps.main_file(tmp_path, "TFD"), out)
    assert "the tag file of step 2 expected, found a decoded one" in message
    assert f"{tmp_path / 'x-vars.pkl'}: " in single_fails(tmp_path / "x-vars.pkl", out)
    assert "tags for one of the values of --k-q expected, found none" in single_fails(
        steps.main_file(chain, "TF"), out, "--k-q", 7)
    assert steps.found(out, "*") == []
    lonely = steps.save(tmp_path / "2026-01-01-0000-TF-mine-vars.pkl", {"filTags_k": {1: [[["a"]]]}, "filTags_q": {}})
    message = steps.run("single-image", lonely, "--classes-img", 1, "--save-dir", out, status=2).stderr
    assert "--images-dir is missing, and no run.json beside" in message


def single_fails(path, out, *words):
    return steps.fail("single-image", path, "--classes-img", 1, "--save-dir", out, *words)
