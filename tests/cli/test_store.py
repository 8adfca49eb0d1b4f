"""--store: the same results without the network; what changed is never taken from it; damage is found."""
import fcntl
import os
import resource
import shutil
import signal

import pytest

import moments
import steps


@pytest.fixture
def images(tmp_path):
    return steps.make_pictures(tmp_path / "images", {"a": 5, "b": 4, "c": 4})


@pytest.fixture
def store(tmp_path):
    return tmp_path / "pictures.store"


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


def stored(out, kind):
    counts = steps.run_json(out, kind)["counts"]
    return counts["n_pictures_stored"], counts["n_pictures_run"]


def contents(out, kind):
    """The bytes of a step's pickles and info text, without the runID."""
    return {path.name[15:].lstrip("bcd"): path.read_bytes()
            for path in steps.found(out, f"*-{kind}-*") if path.suffix in (".pkl", ".txt")}


def assert_same(one, other, kinds=("QFA", "TF", "E", "HR")):
    for kind in kinds:
        assert contents(one, kind) == contents(other, kind) != {}, kind


def test_same_bytes(images, store, tmp_path):
    outs = [folder(tmp_path, name) for name in ("without", "first", "second")]
    results = [steps.pipeline(images, outs[0], "--k-q", "0..9"),
               steps.pipeline(images, outs[1], "--k-q", "0..9", "--store", store),
               steps.pipeline(images, outs[2], "--k-q", "0..9", "--store", store)]
    for out in outs[1:]:
        assert_same(outs[0], out)
    assert "n_pictures_stored" not in steps.run_json(outs[0], "QFA")["counts"]
    assert stored(outs[1], "QFA") == (0, 11) and stored(outs[1], "E") == (0, 2)
    assert stored(outs[2], "QFA") == (11, 11) and stored(outs[2], "E") == (2, 2)
    assert "in the store" not in results[0].stdout + results[1].stdout
    assert "  11 of 11 pictures were in the store\n" in results[2].stdout
    assert "  2 of 2 pictures were in the store\n" in results[2].stdout


@pytest.mark.parametrize("words", [("--seed-rn", 7), ("--split", 0.5), ("--limit", 2), ("--split", 0.8),
                                   ("--threads", 3, "--batch", 2)])
def test_another_split_needs_no_network(images, store, tmp_path, words):
    """Step 1 stores predictions, too: whatever picture is in the test set now has one."""
    first, second, without = (folder(tmp_path, name) for name in ("first", "second", "without"))
    steps.activations(images, first, "--split", 0, "--store", store)
    steps.pipeline(images, second, "--k-q", "1,5", "--store", store, *words)
    steps.pipeline(images, without, "--k-q", "1,5", *words)
    assert_same(second, without)
    for kind in ("QFA", "E"):
        n_stored, n_run = stored(second, kind)
        assert n_stored == n_run


def test_changed_pictures_are_not_taken_from_it(images, store, tmp_path):
    first, second, without = (folder(tmp_path, name) for name in ("first", "second", "without"))
    steps.activations(images, first, "--split", 0, "--store", store)
    changed = images / "a" / "0.ppm"
    times = changed.stat()
    changed.write_bytes(steps.ppm("another"))
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed.stat().st_size == times.st_size
    os.rename(images / "b" / "1.ppm", images / "b" / "renamed.ppm")
    shutil.copy(images / "c" / "1.ppm", images / "a" / "copy.ppm")
    steps.activations(images, second, "--split", 0, "--store", store)
    steps.activations(images, without, "--split", 0)
    assert stored(second, "QFA") == (13, 14)
    assert_same(second, without, ["QFA"])


@pytest.mark.parametrize("words, model", [(("--preprocess", "tf"), steps.MODEL),
                                          (("--layers", "res_*,top_*"), steps.MODEL),
                                          (("--isa", "portable"), steps.MODEL), ((), steps.MODEL_H5)])
def test_other_options_are_kept_apart(images, store, tmp_path, words, model):
    first, second, without, third = (folder(tmp_path, name) for name in ("first", "second", "without", "third"))

    def run(out, *more, **options):
        given = [] if "--preprocess" in more else ["--preprocess", "unit"]
        steps.run("activations", "--model", options.get("model", steps.MODEL), *given, "--images-dir", images,
                  "--save-dir", out, *more)
    run(first, "--store", store)
    run(second, "--store", store, *words, model=model)
    assert stored(second, "QFA") == (0, 11)
    run(without, *words, model=model)
    assert_same(second, without, ["QFA"])
    run(third, "--store", store)
    assert stored(third, "QFA") == (11, 11)
    assert_same(first, third, ["QFA"])


def test_evaluate_adds_what_is_missing(images, store, tmp_path):
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    steps.pipeline(images, first, "--k-q", "1,5", "--split", 0.5)
    for n in (0, 6):
        out = folder(tmp_path, f"evaluation-{n}")
        steps.run("evaluate", steps.main_file(first, "TF"), "--save-dir", out, "--store", store)
        assert stored(out, "E") == (n, 6)
        assert_same(first, out, ["E"]) if n == 6 else None
    steps.activations(images, second, "--split", 0, "--store", store)
    assert stored(second, "QFA") == (6, 13)


def test_damaged_pictures_are_told_each_time(images, store, tmp_path):
    shutil.copy(steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg", images / "a" / "bad.jpg")
    (images / "b" / "empty.png").write_bytes(b"")
    os.symlink("nowhere", images / "c" / "gone.png")
    outs = [folder(tmp_path, name) for name in ("without", "first", "second")]
    for out in outs:
        steps.activations(images, out, "--split", 0, *(() if out is outs[0] else ("--store", store)))
        assert steps.run_json(out, "QFA")["counts"]["n_pictures_bad"] == 3
        assert sorted(steps.warnings(out, "QFA")) == sorted(steps.warnings(outs[0], "QFA"))
    assert stored(outs[2], "QFA") == (13, 16)
    assert_same(outs[0], outs[2], ["QFA"])
    message = steps.fail("activations", "--model", steps.MODEL, "--images-dir", images, "--save-dir", outs[0],
                         "--strict", "--store", store)
    assert str(images) in message


def test_no_weights_are_read_where_all_is_stored(images, store, tmp_path):
    """Of a network, a run with nothing new reads the architecture and hashes the file."""
    out = folder(tmp_path, "out")
    result = [steps.activations(images, out, "--split", 0, "--store", store, "-v").stderr for _ in range(2)]
    assert f"{store}: 0 pictures of this network" in result[0]
    assert f"{store}: 13 pictures of this network" in result[1]


# ---------------------------------------------------------------- files that are no good store

def refuse(images, store, out, *words):
    before = store.read_bytes() if store.is_file() else None
    message = steps.fail("activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images,
                         "--save-dir", out, "--store", store, *words)
    assert message.startswith(f"filtags activations: {store}: ")
    if before is not None:
        assert store.read_bytes() == before
    steps.assert_nothing_final(out)
    return message


def test_other_files_are_refused(images, store, tmp_path):
    out = folder(tmp_path, "out")
    steps.activations(images, folder(tmp_path, "first"), "--store", store)
    good = store.read_bytes()
    for wrong, expected in ((b"", "a store of filTags expected, found something else"),
                            (b"class,layer\n", "a store of filTags expected, found something else"),
                            (good[:40], "the 64 bytes that a store begins with expected, found 40"),
                            (good[:16] + b"\2" + good[17:], "a store of format version 1 expected, found 2"),
                            (good[:20] + good[20:24][::-1] + good[24:], "this machine's byte order expected"),
                            (good[:40] + b"?" + good[41:], "byte 0: the start of a store expected, found other bytes"),
                            (good[:70] + b"?" + good[71:], "byte 64: a record expected, found other bytes")):
        store.write_bytes(wrong)
        assert expected in refuse(images, store, out)
    middle = good.index(b"FTR\n", len(good) // 2)
    store.write_bytes(good[:middle + 100] + bytes([good[middle + 100] ^ 1]) + good[middle + 101:])
    assert f"byte {middle}: a record with a right checksum expected, found other bytes" in refuse(images, store, out)


def test_a_folder_or_a_missing_one(images, tmp_path):
    out = folder(tmp_path, "out")
    assert "cannot be opened for writing" in refuse(images, folder(tmp_path, "store"), out)
    assert "No such file or directory" in refuse(images, tmp_path / "none" / "x.store", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(images, store, tmp_path):
    out = folder(tmp_path, "out")
    steps.activations(images, folder(tmp_path, "first"), "--store", store)
    store.chmod(0o444)
    assert "cannot be opened for writing: Permission denied" in refuse(images, store, out)


def test_a_store_in_use(images, store, tmp_path):
    out = folder(tmp_path, "out")
    steps.activations(images, folder(tmp_path, "first"), "--store", store)
    with open(store, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another run is using this store: wait for its end, or take another" in refuse(images, store, out)
    steps.activations(images, out, "--store", store)


def limit_file_size(n_bytes):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def test_full_disk(images, store, tmp_path):
    """What was stored until then is of use."""
    out, second, without = (folder(tmp_path, name) for name in ("out", "second", "without"))
    message = steps.fail("activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images,
                         "--save-dir", out, "--store", store, "--split", 0, preexec_fn=lambda: limit_file_size(5000))
    assert f"{store}: could not be written" in message
    assert store.stat().st_size <= 5000
    steps.assert_nothing_final(out)
    steps.activations(images, second, "--store", store, "--split", 0)
    assert 0 < stored(second, "QFA")[0] < 13
    steps.activations(images, without, "--split", 0)
    assert_same(second, without, ["QFA"])


# ---------------------------------------------------------------- runs that end in the middle

def test_cut_anywhere(images, store, tmp_path):
    steps.activations(images, folder(tmp_path, "first"), "--store", store, "--split", 0)
    expected = contents(tmp_path / "first", "QFA")
    good = store.read_bytes()
    for n in range(64, len(good), len(good) // 12):
        store.write_bytes(good[:n])
        out = folder(tmp_path, f"cut-{n}")
        result = steps.activations(images, out, "--store", store, "--split", 0, "-v")
        assert contents(out, "QFA") == expected
        assert stored(out, "QFA")[0] < 13 or n > len(good) - 200
        dropped = "bytes at the end, which a run left unfinished, are dropped" in result.stderr
        assert dropped or good[n:n + 4] == b"FTR\n"


def test_killed(store, tmp_path):
    """Whenever it is killed, the store is good, and the next run takes what is there."""
    images = steps.make_pictures(tmp_path / "many", {"a": 400, "b": 400})
    without = folder(tmp_path, "without")
    steps.activations(images, without)
    words = ["activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images, "--store", store,
             "--save-dir", folder(tmp_path, "killed"), "--threads", 2]
    for _ in range(4):  # a picture is two writes
        status, _, err = moments.run(words, moments.at("write", 60, store, signal.SIGKILL))
        assert status == -signal.SIGKILL, err
    second = folder(tmp_path, "second")
    steps.activations(images, second, "--store", store)
    assert 4 * 20 < stored(second, "QFA")[0] < 4 * 40
    assert_same(second, without, ["QFA"])


def test_single_image_and_top_images(images, store, tmp_path):
    """The other results that a stored picture is good for: one class's pictures, and the strongest ones of a filter."""
    first, second, without = (folder(tmp_path, name) for name in ("first", "second", "without"))
    steps.activations(images, first, "--split", 0, "--store", store)
    for out, words in ((second, ("--store", store)), (without, ())):
        steps.activations(images, out, "--split", 0.5, "--top-images", 3, *words)
        steps.run("tag", steps.main_file(out, "QFA"), "--k-q", "1,5", "--save-dir", out)
        steps.run("single-image", steps.main_file(out, "TF"), "--classes-img", 1, "--k-q", "1,5", "--save-dir", out,
                  *words)
    for kind in ("QFA", "SI"):
        n_stored, n_run = stored(second, kind)
        assert n_stored == n_run > 0
    assert_same(second, without, ("QFA", "TF", "SI"))
    assert any(name.endswith("-top.pkl") for name in contents(second, "QFA"))
