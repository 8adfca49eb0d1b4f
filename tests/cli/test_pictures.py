"""Pictures and their folders: damaged, misnamed and strangely named ones; the split and --limit."""
import os
import shutil

import numpy as np
import pytest

import steps

BAD = ["bad_empty.png", "bad_zeros.png", "bad_text.jpg", "bad_jpeg_cut_in_middle.jpg", "bad_jpeg_start_only.jpg",
       "bad_png_cut_in_data.png", "bad_png_idat_crc.png", "bad_png_signature_only.png", "bad_tiff_cut_in_pixels.tif",
       "bad_tiff_cut_in_directory.tif", "bad_bmp_cut_in_middle.bmp", "bad_bmp_magic_only.bmp", "bad_ppm_cut.ppm"]


def damage(images, class_name, names=tuple(BAD)):
    for name in names:
        shutil.copy(steps.DAMAGED / name, images / class_name / name)
    return [f"{class_name}/{name}" for name in names]


@pytest.fixture
def images(tmp_path):
    return steps.make_pictures(tmp_path / "images", {"a": 5, "b": 4, "c": 4})


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


# ---------------------------------------------------------------- pictures that can't be used

def test_damaged_pictures_are_left_out(images, tmp_path):
    good = folder(tmp_path, "good")
    steps.activations(images, good, "--split", 0)
    bad_files = damage(images, "b")
    both = folder(tmp_path, "both")
    result = steps.activations(images, both, "--split", 0)
    assert f"{len(BAD)} of {13 + len(BAD)} pictures could not be used: see the warnings log" in result.stdout
    assert "13 train pictures" in result.stdout
    log = steps.warnings(both, "QFA")
    for name in bad_files:
        lines = [line for line in log if f"{images}/{name}: " in line]
        assert len(lines) == 1 and lines[0].endswith(" (the picture is left out)"), name
        assert len(lines[0]) > len(f"{images}/{name}:  (the picture is left out)") + 10, "a reason"
    assert len(log) == len(BAD)
    expected, actual = (steps.load(steps.main_file(path, "QFA")) for path in (good, both))
    assert sorted(actual["train_filenames"]) == sorted(expected["train_filenames"])
    for i in (1, 2, 3):
        for one, other in zip(expected[f"filter_act_{i}"], actual[f"filter_act_{i}"], strict=True):
            assert one.tobytes() == other.tobytes() and one.dtype == np.float32
    record = steps.run_json(both, "QFA")
    assert record["counts"]["n_pictures_bad"] == len(BAD)
    assert record["counts"]["n_train"] == record["counts"]["n_pictures_run"] == 13 + len(BAD)
    assert record["n_warnings"] == len(BAD)


@pytest.mark.parametrize("name", ["bad_empty.png", "bad_jpeg_cut_in_middle.jpg", "bad_tiff_cut_in_pixels.tif"])
def test_strict_makes_a_damaged_picture_an_error(images, tmp_path, name):
    damage(images, "c", [name])
    out = folder(tmp_path, "out")
    result = steps.activations(images, out, "--split", 0, "--strict", status=1)
    assert f"{images}/c/{name}: " in result.stderr and result.stdout == ""
    steps.assert_nothing_final(out)


def test_strict_accepts_good_pictures(images, tmp_path):
    steps.pipeline(images, folder(tmp_path, "out"), "--strict")


def test_damaged_test_pictures(images, tmp_path):
    bad_files = damage(images, "b")
    out = folder(tmp_path, "out")
    result = steps.pipeline(images, out, "--split", 1, status=1)
    assert "activations of at least one class expected, found none" in result.stderr
    chain = folder(tmp_path, "chain")
    steps.pipeline(images, chain, "--split", 0.5)
    kept = steps.load(steps.main_file(chain, "QFA"))
    tested = [name for name in kept["test_filenames"] if name not in bad_files]
    dropped = [name for name in kept["test_filenames"] if name in bad_files]
    assert dropped, "the seed puts some damaged pictures into the test set"
    evaluated = [name for path in steps.found(chain, "*-E-*-vars?.pkl")
                 for names in steps.load(path)["class_images_dict"].values() for name in names]
    assert sorted(evaluated) == sorted(tested)
    for name in dropped:
        assert sum(f"/{name}: " in line for line in steps.warnings(chain, "E")) == 1
    tag_file = steps.main_file(chain, "TF")
    strict = folder(tmp_path, "strict")
    message = steps.fail("evaluate", tag_file, "--save-dir", strict, "--strict")
    assert any(name in message for name in dropped)
    steps.assert_nothing_final(strict)


def test_class_without_a_readable_train_picture(images, tmp_path):
    (images / "bad").mkdir()
    damage(images, "bad")
    out = folder(tmp_path, "out")
    result = steps.pipeline(images, out, "--split", 0.3, "--k-q", "0..5", "--threads", 1)
    variables = steps.load(steps.main_file(out, "QFA"))
    assert variables["labels_id"] == {1: "a", 2: "b", 3: "bad", 4: "c"}
    assert [array.shape for array in variables["filter_act_3"]] == [(0,)] * 9
    assert all(array.dtype == np.float32 for array in variables["filter_act_3"])
    line = "class 3, 'bad', has no readable train picture: it gets no activations and no tags"
    assert line in steps.warnings(out, "QFA") and line in result.stderr
    tags = steps.load(steps.main_file(out, "TF"))
    labels = {label for rule in tags.values() for layers in rule.values() for layer in layers for filter_tags in layer
              for label in filter_tags}
    assert labels == {"a", "b", "c"}
    rates = steps.load(steps.main_file(out, "HR"))
    assert rates["hit_k"]["bad"][1] == {1: None, 3: None, 5: None, 10: None}
    results = steps.only(out, "*-HR-*-results.txt").read_text()
    block = results.split("class 3, bad: 0 pictures\n")[1].split("\n\n")[0].splitlines()[2:]
    assert block and all(set(line.split()[3:]) == {"-"} for line in block)
    table = steps.run("export", steps.main_file(out, "QFA")).stdout
    assert "\nbad," not in table and "\na," in table


def test_strict_and_a_class_without_train_pictures(tmp_path):
    images = steps.make_pictures(tmp_path / "images", {"a": 1, "b": 1})
    out = folder(tmp_path, "out")
    result = steps.activations(images, out, "--split", 0.5, "--strict", status=1)
    assert "a readable train picture expected in every class, found none" in result.stderr
    steps.assert_nothing_final(out)


def test_class_without_test_pictures(tmp_path):
    images = steps.make_pictures(tmp_path / "images", {"a": 20, "b": 1, "c": 1})
    out = folder(tmp_path, "out")
    steps.pipeline(images, out, "--k-q", "1,50")
    tested = {name.split("/")[0] for name in steps.load(steps.main_file(out, "QFA"))["test_filenames"]}
    assert tested == {"a"}
    empty = steps.load(steps.only(out, "*-E-*-vars2.pkl"))
    assert empty == {"y": [], "y_k": {1: [], 50: []}, "y_q": {1: [], 50: []}, "y_k_ll": {1: [], 50: []},
                     "y_q_ll": {1: [], 50: []}, "class_images_dict": {"b": []}}
    rates = steps.load(steps.main_file(out, "HR"))
    assert rates["hit_q_ll"]["b"] == {k: {1: None, 3: None, 5: None, 10: None} for k in (1, 50)}
    assert rates["hit_k"]["a"] == rates["totalhit_k"], "only a has pictures"
    assert "class 2, b: 0 pictures" in steps.only(out, "*-HR-*-results.txt").read_text()


def test_png_named_jpg_is_fine(images, tmp_path):
    (images / "a" / "really.jpg").write_bytes(steps.png(1))
    (images / "b" / "twin.png").write_bytes(steps.png(1))
    (images / "b" / "ppm.TIFF").write_bytes(steps.ppm(1))
    out = folder(tmp_path, "out")
    steps.activations(images, out, "--split", 0, "--strict")
    assert "a/really.jpg" in steps.load(steps.main_file(out, "QFA"))["train_filenames"]
    assert steps.warnings(out, "QFA") == []


# ---------------------------------------------------------------- folders

def test_what_counts_as_a_picture(images, tmp_path):
    endings = ["PNG", "Jpg", "JPEG", "bMp", "ppm", "TIF", "tiff"]
    for ending in endings:
        (images / "b" / f"any.{ending}").write_bytes(steps.ppm(ending))
    for other in ("notes.txt", "picture.gif", "picture.ppm.bak", "ppm", "Thumbs.db", "x.jpgx"):
        (images / "b" / other).write_bytes(steps.ppm(other))
    (images / "b" / "folder.png").mkdir()
    (images / "b" / "folder.png" / "inner.png").write_bytes(steps.png(1))
    (images / "empty").mkdir()
    (images / "only_text").mkdir()
    (images / "only_text" / "a.txt").write_text("none")
    (images / "loose.png").write_bytes(steps.png(2))
    out = folder(tmp_path, "out")
    steps.activations(images, out, "--split", 0, "--strict")
    variables = steps.load(steps.main_file(out, "QFA"))
    expected = [f"{c}/{i}.ppm" for c, n in (("a", 5), ("b", 4), ("c", 4)) for i in range(n)]
    assert sorted(variables["train_filenames"]) == sorted(expected + [f"b/any.{ending}" for ending in endings])
    assert variables["labels_id"] == {1: "a", 2: "b", 3: "c"}, "folders without pictures are no classes"
    assert variables["test_filenames"] == []


def test_folders_that_cannot_be_used(tmp_path):
    out = folder(tmp_path, "out")
    nothing = folder(tmp_path, "nothing")
    (tmp_path / "file").write_bytes(b"")
    loose = folder(tmp_path, "loose")
    (loose / "a.png").write_bytes(steps.png(1))
    common = ["activations", "--model", steps.MODEL, "--save-dir", out, "--images-dir"]
    assert steps.fail(*common, tmp_path / "missing").endswith(
        "missing: the folder cannot be read: No such file or directory\n")
    assert steps.fail(*common, tmp_path / "file").endswith("file: the folder cannot be read: Not a directory\n")
    assert f"{nothing}: one folder per class with " in steps.fail(*common, nothing)
    message = steps.fail(*common, loose)
    assert f"{loose}: one folder per class expected, found no picture in one, but 1 beside" in message
    assert os.listdir(out) == []


def test_symbolic_links(images, tmp_path):
    (images / "c" / "link.ppm").symlink_to("../a/0.ppm")
    (images / "c" / "absolute.png").symlink_to(images / "a" / "1.ppm")
    (images / "linked").symlink_to("a", target_is_directory=True)
    (images / "c" / "dangling.png").symlink_to("nowhere.png")
    (images / "dangling").symlink_to("nowhere", target_is_directory=True)
    (images / "c" / "loop.png").symlink_to("loop.png")
    out = folder(tmp_path, "out")
    result = steps.activations(images, out, "--split", 0)
    variables = steps.load(steps.main_file(out, "QFA"))
    assert variables["labels_id"] == {1: "a", 2: "b", 3: "c", 4: "linked"}
    assert {"c/link.ppm", "c/absolute.png", "linked/0.ppm"} <= set(variables["train_filenames"])
    for one, other in zip(variables["filter_act_1"], variables["filter_act_4"]):
        assert one.tobytes() == other.tobytes()
    assert "2 of 22 pictures could not be used" in result.stdout
    log = steps.warnings(out, "QFA")
    assert len(log) == 2
    assert any("c/dangling.png: " in line and "No such file or directory" in line for line in log)
    assert any("c/loop.png: " in line and "Too many levels of symbolic links" in line for line in log)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.mknod(path, 0o600)], ids=["pipe", "empty"])
def test_special_file_does_not_hang(images, tmp_path, make):
    make(images / "a" / "x.png")
    out = folder(tmp_path, "out")
    steps.activations(images, out, "--split", 0)
    assert len(steps.warnings(out, "QFA")) == 1


# ---------------------------------------------------------------- names

ODD_NAMES = [b" two  blanks ", b"'single' \"double\" `back`", b"new\nline", b"tab\there", b"\x01\x7f", b"x" * 200,
             b"latin1-\xe9\xff\xed\xb2\x80", "gr\u00fc\u00dfe \u65e5\u672c \U0001f41f".encode(), b".hidden", b"-rf",
             b"--help", b"%s%n", b"a,b;c", b"$(true)", b"back\\slash", b"con.png"]


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory):
    """A whole pipeline below a folder that isn't UTF-8 either."""
    base = os.fsencode(str(tmp_path_factory.mktemp("odd"))) + b"/b\xf6se 'Bilder'\n"
    out = tmp_path_factory.mktemp("odd-out")
    for i, name in enumerate(ODD_NAMES):
        os.makedirs(base + b"/" + name)
        for j in range(3):
            with open(base + b"/" + name + b"/" + b"p%d " % j + name[:190] + b".ppm", "wb") as file:
                file.write(steps.ppm(f"{i}/{j}"))
    steps.pipeline(base, out, "--k-q", "1,3", "--split", 0.5)
    return base, out


def test_odd_names_come_back(odd_run):
    base, out = odd_run
    names = sorted(ODD_NAMES)
    files = {name + b"/" + b"p%d " % j + name[:190] + b".ppm" for name in names for j in range(3)}
    variables = steps.load(steps.main_file(out, "QFA"))
    labels = {number: os.fsencode(label) for number, label in variables["labels_id"].items()}
    assert labels == {i + 1: name for i, name in enumerate(names)}
    recorded = variables["train_filenames"] + variables["test_filenames"]
    assert {os.fsencode(name) for name in recorded} == files and len(recorded) == len(files)
    tags = steps.load(steps.main_file(out, "TF"))
    tagged = {os.fsencode(label) for layer in tags["filTags_k"][1] for labels in layer for label in labels}
    assert tagged == set(names) - {name for name, i in zip(names, range(1, 99))
                                   if variables[f"filter_act_{i}"][0].size == 0}
    for i, name in enumerate(names):
        images = steps.load(steps.only(out, f"*-E-*-vars{i + 1}.pkl"))["class_images_dict"]
        assert [os.fsencode(label) for label in images] == [name]
    assert [os.fsencode(label) for label in steps.load(steps.main_file(out, "HR"))["hit_k"]] == names


def test_odd_names_leave_the_text_files_whole(odd_run):
    base, out = odd_run
    for kind in ("QFA", "TF", "E", "HR"):
        record = steps.run_json(out, kind)
        assert bytes.fromhex(record["dataset"]["images_dir"]["hex"]) == base
    results = steps.only(out, "*-HR-*-results.txt").read_bytes().split(b"\n")
    titles = [line for line in results if line.startswith(b"class ")]
    assert len(titles) == len(ODD_NAMES) and all(line.endswith((b" picture", b" pictures")) for line in titles)
    assert not any(byte in line for line in results for byte in (0x01, 0x7f))


def test_chain_through_a_folder_that_is_not_utf8(odd_run, tmp_path):
    _, out = odd_run
    steps.run("tag", steps.main_file(out, "QFA"), "--save-dir", tmp_path, "--k-q", "1,3")
    assert steps.main_file(tmp_path, "TF").read_bytes() == steps.main_file(out, "TF").read_bytes()
    steps.run("evaluate", steps.main_file(tmp_path, "TF"), "--save-dir", tmp_path, "--k-q", "1,3")
    for path in steps.found(out, "*-E-*-vars*.pkl"):
        twin = steps.only(tmp_path, f"*-{path.name.split('-', 4)[4]}")
        assert twin.read_bytes() == path.read_bytes()


def test_model_file_with_an_odd_name(images, tmp_path):
    model = os.fsencode(str(tmp_path)) + b"/m\xfc-1 'x'\n.keras"
    shutil.copy(steps.MODEL, model)
    out = folder(tmp_path, "out")
    steps.pipeline(images, out, "--k-q", 1, model=model)
    names = os.listdir(os.fsencode(str(out)))
    assert any(name.endswith(b"-HR-m\xfc_1 'x'\n-results.txt") for name in names)
    record = steps.run_json(out, "E")
    assert bytes.fromhex(record["network"]["name"]["hex"]) == b"m\xfc_1 'x'\n"
    assert bytes.fromhex(record["network"]["model"]["hex"]) == model


# ---------------------------------------------------------------- split and limit

def test_split_0_and_1(images, tmp_path):
    none, everything = folder(tmp_path, "0"), folder(tmp_path, "1")
    steps.pipeline(images, none, "--split", 0, "--k-q", 1)
    variables = steps.load(steps.main_file(none, "QFA"))
    assert variables["test_filenames"] == [] and len(variables["train_filenames"]) == 13
    rates = steps.load(steps.main_file(none, "HR"))
    assert rates["totalhit_k"] == {1: {1: None, 3: None, 5: None, 10: None}}
    assert "total: 3 classes, 0 pictures" in steps.only(none, "*-HR-*-results.txt").read_text()
    result = steps.activations(images, everything, "--split", 1)
    assert result.stderr.count("has no readable train picture") == 3
    assert steps.load(steps.main_file(everything, "QFA"))["train_filenames"] == []
    assert "found none" in steps.fail("tag", steps.main_file(everything, "QFA"), "--save-dir", everything)
    # every picture of a separate folder
    apart = folder(tmp_path, "apart")
    result = steps.run("evaluate", steps.main_file(none, "TF"), "--split", 1, "--save-dir", apart, "--k-q", 1)
    assert "13 test pictures" in result.stdout


def test_limit(images, tmp_path):
    full, limited = folder(tmp_path, "full"), folder(tmp_path, "limited")
    steps.activations(images, full)
    result = steps.pipeline(images, limited, "--limit", 1, "--k-q", 1)
    assert "limited to 3 of 11 pictures; all of them would take about" in result.stdout
    all_files = steps.load(steps.main_file(full, "QFA"))
    files = steps.load(steps.main_file(limited, "QFA"))
    first = {}
    for name in all_files["train_filenames"]:
        first.setdefault(name.split("/")[0], name)
    assert files["train_filenames"] == list(first.values())
    assert files["test_filenames"] == all_files["test_filenames"], "the split is over all files"
    record = steps.run_json(limited, "QFA")
    assert record["dataset"]["limit"] == 1
    assert (record["counts"]["n_train"], record["counts"]["n_pictures_run"]) == (11, 3)
    assert steps.run_json(limited, "E")["dataset"]["limit"] == 1, "handed on"
    huge = folder(tmp_path, "huge")
    assert "limited" not in steps.activations(images, huge, "--limit", 1000000).stdout
    assert steps.main_file(huge, "QFA").read_bytes() == steps.main_file(full, "QFA").read_bytes()
