"""activations --top-images: the strongest train pictures of every filter."""
import pickle

import pytest

import steps


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    images = steps.make_pictures(tmp_path_factory.mktemp("top") / "images", {"a": 7, "b": 6})
    (images / "b" / "3.ppm").write_bytes((images / "a" / "2.ppm").read_bytes())  # a tie in every filter
    (images / "a" / "5.ppm").write_bytes(b"no picture")
    return images


@pytest.fixture(scope="module")
def out(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    steps.activations(images, out, "--top-images", 3, "--split", 0)
    return out


def top_images(folder):
    return steps.load(steps.only(folder, "*-QFA-mixed-top.pkl"))["top_images"]


@pytest.fixture(scope="module")
def single(images, tmp_path_factory):
    """The activations of every picture by itself: class activations of folders with one picture each."""
    folders = tmp_path_factory.mktemp("single") / "images"
    files = sorted(path for path in images.glob("*/*") if path.stat().st_size > 20)
    for path in files:
        (folders / f"{path.parent.name}-{path.stem}").mkdir(parents=True)
        (folders / f"{path.parent.name}-{path.stem}" / path.name).write_bytes(path.read_bytes())
    steps.activations(folders, folders.parent, "--split", 0)
    variables = steps.load(steps.main_file(folders.parent, "QFA"))
    return {label.replace("-", "/") + ".ppm": variables[f"filter_act_{number}"]
            for number, label in variables["labels_id"].items()}


def test_the_strongest_first(out, single):
    order = steps.load(steps.main_file(out, "QFA"))["train_filenames"]
    found = top_images(out)
    assert [len(layer) for layer in found] == steps.N_FILTERS
    n_ties = 0
    for layer, filters in enumerate(found):
        for number, entries in enumerate(filters):
            for file, activation in entries:
                assert type(file) is str and type(activation) is float
                assert abs(activation - float(single[file][layer][number])) < 1e-7
            ranked = sorted(order, key=lambda file: (-single[file][layer][number], order.index(file)))
            assert [file for file, _ in entries] == ranked[:3]
            n_ties += {"a/2.ppm", "b/3.ppm"} <= {file for file, _ in entries}
    assert n_ties > 5


@pytest.mark.parametrize("words", [("--threads", 1, "--batch", 1), ("--threads", 3, "--batch", 2), ("--batch", 16)])
def test_same_bytes_for_threads_and_batches(images, out, tmp_path, words):
    steps.activations(images, tmp_path, "--top-images", 3, "--split", 0, *words)
    for pattern in ("*-top.pkl", "*-top-names.pkl", "*-vars.pkl"):
        assert steps.only(tmp_path, pattern).read_bytes() == steps.only(out, pattern).read_bytes()


def test_what_is_written(out):
    names = [path.name.split("-QFA-")[1] for path in steps.found(out, "*-top*")]
    assert names == ["mixed-top-names.pkl", "mixed-top.pkl"]
    assert pickle.loads(steps.only(out, "*-top-names.pkl").read_bytes()) == ["top_images"]
    record = steps.run_json(out, "QFA")
    assert record["counts"]["n_top_images"] == 3
    assert record["options"]["top-images"] == {"value": "3", "given": True}
    assert {name.split("-QFA-")[1] for name in record["files"]} >= {"mixed-top.pkl", "mixed-top-names.pkl"}
    assert record["files"][0].endswith("-vars.pkl")
    text = steps.only(out, "*-vars-info.txt").read_text()
    assert "top_images[a][b]" in text and "-top.pkl" in text and "the 3 train" in text


def test_fewer_pictures_than_asked_for(images, tmp_path):
    steps.activations(images, tmp_path, "--top-images", 64, "--split", 0)
    for filters in top_images(tmp_path):
        for entries in filters:
            assert len(entries) == 12 and len({file for file, _ in entries}) == 12


def test_nothing_without_it(images, tmp_path):
    steps.activations(images, tmp_path, "--split", 0)
    assert steps.found(tmp_path, "*-top*") == []
    assert "n_top_images" not in steps.run_json(tmp_path, "QFA")["counts"]
    assert "top" not in steps.only(tmp_path, "*-vars-info.txt").read_text().split("layer 0")[0]


def test_pipeline_and_demo(images, tmp_path):
    for name in "pd":
        (tmp_path / name).mkdir()
    steps.pipeline(images, tmp_path / "p", "--top-images", 2, "--k-q", 1)
    assert {len(entries) for filters in top_images(tmp_path / "p") for entries in filters} == {2}
    steps.run("demo", "--save-dir", tmp_path / "d", "--top-images", 1)
    variables = steps.load(steps.only(tmp_path / "d", "*-top.pkl"))
    train = set(steps.load(steps.main_file(tmp_path / "d", "QFA"))["train_filenames"])
    for filters in variables["top_images"]:
        assert all(len(entries) == 1 and entries[0][0] in train for entries in filters)


@pytest.mark.parametrize("value", ["0", "65", "x"])
def test_values_out_of_range(images, tmp_path, value):
    steps.run("activations", "--model", steps.MODEL, "--images-dir", images, "--save-dir", tmp_path, "--top-images",
              value, status=2)
    assert list(tmp_path.iterdir()) == []
