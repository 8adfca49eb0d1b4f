"""run.json and the chain through it; the runs of the pipeline; the demo."""
import hashlib
import json
import os
import re
import shutil

import pytest

import steps

KINDS = {"QFA": "activations", "TF": "tag", "E": "evaluate", "HR": "hitrates"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return steps.make_pictures(tmp_path_factory.mktemp("chain") / "images", {"a": 4, "b": 4})


@pytest.fixture(scope="module")
def single(images, tmp_path_factory):
    """The four steps one by one, with options of which all are handed on."""
    out = tmp_path_factory.mktemp("single")
    index = out.parent / "index.txt"
    index.write_text("a A\nb B\nc C\nd D\ne E\n")
    steps.activations(images, out, "--split", 0.25, "--seed-rn", 9, "--layers", "top_*,a_conv", "--limit", 3,
                      "--class-index", index, "--threads", 2, "--batch", 2)
    for kind, command in (("QFA", "tag"), ("TF", "evaluate"), ("E", "hitrates")):
        steps.run(command, steps.main_file(out, kind), "--save-dir", out, "--k-q", "1,2")
    return out


# ---------------------------------------------------------------- fields

@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_every_step(single, images, kind):
    record = steps.run_json(single, kind)
    fields = ["format", "format_version", "command", "program_version", "dependencies", "run_id", "started", "previous",
              "options", "network", "dataset", "counts", *(["timings_sec"] if kind in ("QFA", "E") else []),
              "n_warnings", "elapsed_sec", "files"]
    assert list(record) == fields
    assert (record["format"], record["format_version"], record["command"]) == ("filtags-run", 1, KINDS[kind])
    assert record["dependencies"] and all(re.fullmatch(r"\S.* [\d.]+", line) for line in record["dependencies"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{4}[b-z]*", record["run_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["started"])
    assert record["n_warnings"] == len(steps.warnings(single, kind))
    assert 0 <= record["elapsed_sec"] < steps.TIMEOUT_SEC
    assert record["network"] == {
        "name": "mixed", "model": str(steps.MODEL), "network": None, "weights": None, "weights_official": False,
        "preprocess": "unit", "input_shape": [40, 48, 3], "n_outputs": 5,
        "model_sha256": hashlib.sha256(steps.MODEL.read_bytes()).hexdigest(),
        "class_index": str(single.parent / "index.txt"), "layers_option": "top_*,a_conv",
        "layers": [{"name": name, "filters": n} for name, n in (("a_conv", 12), ("top_conv1", 24), ("top_conv2", 32))],
        "isa": record["network"]["isa"]}
    assert record["network"]["isa"] in ("portable", "avx2", "avx512")
    assert record["dataset"] == {"images_dir": str(images), "split": 0.25, "seed_rn": 9, "limit": 3}


def test_reports_of_one_thing(tmp_path):
    """Numbers agree with their nouns: 1 class, 1 picture."""
    images = steps.make_pictures(tmp_path / "images", {"a": 2})
    text = steps.pipeline(images, tmp_path, "--split", 0.5, "--k-q", 1, "--m", 1, "--layers", "top_conv2").stdout
    assert "activations of mixed: 1 class, 1 train picture, 1 layer, 32 filters;" in text
    assert re.search(r"^tags of mixed: 1 class, 32 filters, 1 value of k and 1 of q, 2 tags;", text, re.MULTILINE)
    assert "evaluation of mixed: 1 class, 1 test picture, 1 value of k and 1 of q;" in text
    assert "total: 1 class, 1 picture\n" in text


def test_counts_and_timings(single):
    counts = {kind: steps.run_json(single, kind)["counts"] for kind in KINDS}
    trained = steps.load(steps.main_file(single, "QFA"))["train_filenames"]
    assert counts["QFA"] == {"n_classes": 2, "n_train": 6, "n_test": 2, "n_pictures_run": len(trained),
                             "n_pictures_bad": 0, "n_filters": 68, "n_threads": 2, "batch": 2}
    assert counts["TF"] == {"n_classes": 2, "n_k": 2, "n_q": 2}
    expected = {"n_classes": 2, "n_test": 2, "n_pictures_run": 2, "n_pictures_bad": 0, "n_k": 2, "n_q": 2}
    assert {name: counts["E"][name] for name in expected} == expected
    assert set(counts["E"]) == {*expected, "n_threads", "batch"}
    assert counts["HR"] == {"n_classes": 2, "n_pictures": 2}
    for kind in ("QFA", "E"):
        timings = steps.run_json(single, kind)["timings_sec"]
        assert list(timings) == ["decode_all_threads", "network_all_threads", "pictures"]
        assert all(value >= 0 for value in timings.values())


def test_each_step_names_the_one_before(single):
    previous = {kind: steps.run_json(single, kind)["previous"] for kind in KINDS}
    assert previous == {"QFA": None, "TF": str(steps.main_file(single, "QFA")), "E": str(steps.main_file(single, "TF")),
                        "HR": str(steps.main_file(single, "E"))}


def test_options_tell_what_was_given(single, images):
    options = steps.run_json(single, "QFA")["options"]
    assert {name for name, option in options.items() if option["given"]} == {
        "model", "preprocess", "images-dir", "save-dir", "split", "seed-rn", "layers", "limit", "class-index",
        "threads", "batch"}
    assert options["split"] == {"value": "0.25", "given": True}
    assert options["time-delta"] == {"value": "0", "given": False}
    assert options["strict"] == {"value": "false", "given": False}
    assert options["size"] == {"value": None, "given": False}
    options = steps.run_json(single, "TF")["options"]
    assert options["activations-file"] == {"value": str(steps.main_file(single, "QFA")), "given": True}
    assert options["k-q"] == {"value": "1,2", "given": True}
    options = steps.run_json(single, "E")["options"]
    assert not options["model"]["given"] and not options["split"]["given"]
    for kind, command in KINDS.items():
        listed = set(re.findall(r"^ .*?--([a-z-]+)", steps.run(command, "--help").stdout, re.MULTILINE)) - {"help"}
        assert set(steps.run_json(single, kind)["options"]) == listed


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_listed(single, kind):
    files = steps.run_json(single, kind)["files"]
    there = [path.name for path in steps.found(single, f"*-{kind}-mixed-*")]
    assert sorted(files) == there
    assert files[0] == steps.main_file(single, kind).name and files[-1].endswith("-run.json")
    logs = [path.name for path in steps.found(single, f"*-{kind}-*.log")]
    assert [name.split(f"-{kind}-")[1] for name in logs] == ["info.log", "warnings.log"]
    info = steps.only(single, f"*-{kind}-info.log").read_text()
    assert re.search(r"^\d+\.\d s: done in \d+\.\d\d s, \d+ warnings$", info, re.MULTILINE)


def test_info_file_describes_how_to_load(single):
    for kind in KINDS:
        text = steps.only(single, f"*-{kind}-mixed-vars-info.txt").read_text()
        names = list(steps.load(steps.main_file(single, kind)))
        for name in names:
            assert re.sub(r"^filter_act_\d+$", "filter_act_i", name) in text, name
        assert "pickle.load(f)" in text


# ---------------------------------------------------------------- the chain

def test_pipeline_gives_the_same(single, images, tmp_path):
    steps.pipeline(images, tmp_path, "--split", 0.25, "--seed-rn", 9, "--layers", "top_*,a_conv", "--limit", 3,
                   "--class-index", single.parent / "index.txt", "--k-q", "1,2")
    run_ids = {steps.run_json(tmp_path, kind)["run_id"] for kind in KINDS}
    assert len(run_ids) == 1
    for path in steps.found(single, "*-vars*.pkl"):
        twin = steps.only(tmp_path, "*-" + path.name.split("-", 4)[4])
        assert twin.read_bytes() == path.read_bytes()
    previous = {kind: steps.run_json(tmp_path, kind)["previous"] for kind in KINDS}
    assert previous["HR"] == str(steps.main_file(tmp_path, "E")) and previous["QFA"] is None


def test_steps_may_change_folders(single, tmp_path):
    """Each step's files in a folder of their own, named from the working directory."""
    for name in "xyz":
        (tmp_path / name).mkdir()
    steps.run("tag", steps.main_file(single, "QFA"), "--save-dir", "x", "--k-q", "1,2", cwd=tmp_path)
    tags = steps.main_file(tmp_path / "x", "TF")
    steps.run("evaluate", f"../x/{tags.name}", "--save-dir", "../y", "--k-q", "1,2", cwd=tmp_path / "z")
    record = steps.run_json(tmp_path / "y", "E")
    assert record["previous"] == str(tags), "absolute"
    steps.run("hitrates", "--eval-file", os.path.relpath(steps.main_file(tmp_path / "y", "E"), tmp_path / "z"),
              cwd=tmp_path / "z")
    assert steps.main_file(tmp_path / "z", "HR").read_bytes() == steps.main_file(single, "HR").read_bytes()


def test_options_override_the_chain(single, images, tmp_path):
    index = tmp_path / "other.txt"
    index.write_text("v\nw\nx\ny\nz\n")
    steps.run("evaluate", steps.main_file(single, "TF"), "--save-dir", tmp_path, "--k-q", 1, "--class-index", index,
              "--preprocess", "tf")
    record = steps.run_json(tmp_path, "E")
    assert record["network"]["class_index"] == str(index) and record["network"]["preprocess"] == "tf"
    assert record["options"]["preprocess"] == {"value": "tf", "given": True}


def test_pictures_that_are_gone(single, images, tmp_path):
    moved = tmp_path / "images"
    out = tmp_path / "out"
    shutil.copytree(images, moved)
    out.mkdir()
    steps.activations(moved, out)
    steps.run("tag", steps.main_file(out, "QFA"), "--save-dir", out, "--k-q", "1..3")
    shutil.rmtree(moved)
    message = steps.fail("evaluate", steps.main_file(out, "TF"), "--save-dir", out, "--k-q", 1)
    assert f"{moved}: the folder cannot be read: No such file or directory" in message
    steps.run("evaluate", steps.main_file(out, "TF"), "--save-dir", out, "--k-q", 1, "--images-dir", images)


def test_reports_and_quiet(images, tmp_path):
    result = steps.pipeline(images, tmp_path, "--k-q", 1)
    for words in ("activations of mixed: 2 classes, ", "tags of mixed: 2 classes, ", "evaluation of mixed: 2 classes, ",
                  "hit rates of mixed: ", "\nfiles:\n"):
        assert words in result.stdout
    for line in result.stdout.split("\nfiles:\n")[1].splitlines():
        assert os.path.exists(line.strip())
    assert steps.pipeline(images, tmp_path, "--k-q", 1, "--quiet").stdout == ""


# ---------------------------------------------------------------- the demo

@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    return folder, steps.run("demo", "--save-dir", folder)


def test_demo_tells_its_results(demo):
    folder, result = demo
    assert "what excites them" in result.stdout and "hit rates of fashion" in result.stdout
    assert "total: 10 classes, 120 pictures" in result.stdout
    files, pages = result.stdout.split("\nfiles:\n")[1].split("\npages, to be opened in a browser:\n")
    assert len(files.splitlines()) == 5 and all(os.path.exists(line.strip()) for line in files.splitlines())
    shown = [line.strip() for line in pages.splitlines() if line.endswith(".html")]
    assert shown == [str(steps.only(folder, f"*-{kind}-fashion.html")) for kind in ("VIS", "HP", "EX")]
    assert len(pages.splitlines()) == 6, "each with a line of what it shows"
    assert len(list(folder.glob("images/*/*.png"))) == 600
    record = steps.run_json(folder, "QFA")
    assert record["network"]["model"] == str(folder / "fashion.keras")


def test_demo_parts_belong_together(demo):
    folder, result = demo
    previous = {"QFA": None, "TF": "QFA", "E": "TF", "HR": "E", "VIS": "TF", "HP": "HR", "EX": "TF"}
    records = {kind: steps.run_json(folder, kind) for kind in previous}
    assert len({record["run_id"] for record in records.values()}) == 1
    for kind, before in previous.items():
        assert records[kind]["previous"] == (before and str(steps.main_file(folder, before)))
        assert records[kind]["n_warnings"] == 0
    assert steps.load(steps.only(folder, "*-QFA-fashion-top.pkl"))["top_images"][5][74][0][0].startswith("Bag/")
    explained = re.search(r"^(.*/Ankle-boot/Ankle-boot_\d+\.png)\n  network +Ankle-boot", result.stdout, re.MULTILINE)
    picture = os.path.relpath(explained.group(1), folder / "images")
    assert picture in steps.load(steps.main_file(folder, "QFA"))["test_filenames"]


def test_demo_keeps_as_many_pictures_as_it_is_told(tmp_path):
    result = steps.run("demo", "--save-dir", tmp_path / "demo", "--top-images", 1, "--quiet")
    assert result.stdout == ""
    top = steps.load(steps.only(tmp_path / "demo", "*-QFA-fashion-top.pkl"))["top_images"]
    assert {len(files) for layer in top for files in layer} == {1}


def test_demo_twice(demo, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(demo[0], folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    steps.run("demo", "--save-dir", folder)
    for path, contents in before.items():
        assert path.read_bytes() == contents
    first, second = steps.found(folder, "*-QFA-fashion-vars.pkl")
    assert first.read_bytes() == second.read_bytes()
    assert len(steps.found(folder, "*-HR-fashion-results.txt")) == 2


@pytest.mark.parametrize("name", ["fashion.keras", "classes.txt", "picture"])
@pytest.mark.parametrize("change", ["append", "shorten", "folder", "link"])
def test_demo_does_not_replace_a_changed_file(demo, tmp_path, name, change):
    folder = tmp_path / "demo"
    shutil.copytree(demo[0], folder, ignore=shutil.ignore_patterns("20*"))
    path = sorted(folder.glob("images/*/*.png"))[7] if name == "picture" else folder / name
    contents = path.read_bytes()
    path.unlink()
    if change == "append":
        path.write_bytes(contents + b"x")
    elif change == "shorten":
        path.write_bytes(contents[:-1])
    elif change == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    message = steps.fail("demo", "--save-dir", folder)
    assert f"{path}: the demo's file expected, found another, which is not replaced; choose another" in message
    assert path.is_dir() if change == "folder" else path.is_symlink() or path.read_bytes() != contents
    assert steps.found(folder, "20*") == []


def test_demo_among_other_pictures(demo, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(demo[0], folder, ignore=shutil.ignore_patterns("20*"))
    for stranger in ("images/bag/mine.png", "images/mine/1.png"):
        if stranger.startswith("images/bag"):
            stranger = f"images/{sorted(os.listdir(folder / 'images'))[0]}/mine.png"
        (folder / stranger).parent.mkdir(exist_ok=True)
        (folder / stranger).write_bytes(steps.png(1))
        assert f"{folder}/{stranger}: is none of the demo's pictures" in steps.fail("demo", "--save-dir", folder)
        (folder / stranger).unlink()


def test_demo_where_it_cannot_be_unpacked(tmp_path):
    (tmp_path / "file").write_text("")
    assert "file: folder cannot be made: " in steps.fail("demo", "--save-dir", tmp_path / "file")
    assert "No such file or directory" in steps.fail("demo", "--save-dir", tmp_path / "no" / "demo")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "images").write_text("")
    assert "images: folder cannot be made: " in steps.fail("demo", "--save-dir", tmp_path / "demo")
