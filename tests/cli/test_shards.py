"""--shard and merge: the files of a run in parts, put together, are those of a run in one piece."""
import os
import shutil
import signal

import pytest

import moments
import steps
from test_resume import assert_clean, contents, folder, progress_files

WORDS = ["--split", 0.4, "--top-images", 3]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    images = steps.make_pictures(tmp_path_factory.mktemp("shards") / "images", {"a": 12, "b": 9, "c": 7})
    shutil.copy(steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg", images / "a" / "bad.jpg")
    (images / "c" / "empty.png").write_bytes(b"")
    return images


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    steps.pipeline(images, out, "--k-q", "0..9", *WORDS)
    return out


def run_shard(kind, images, whole, out, shard, *words, **options):
    if kind == "QFA":
        return steps.activations(images, out, *WORDS, "--shard", shard, *words, **options)
    return steps.run("evaluate", steps.main_file(whole, "TF"), "--k-q", "0..9", "--save-dir", out, "--shard", shard,
                     *words, **options)


def run_shards(kind, images, whole, out, n, *words):
    for i in range(1, n + 1):
        result = run_shard(kind, images, whole, out, f"{i}/{n}", *words)
        assert f"shard {i} of {n}: " in result.stdout
    parts = steps.found(out, f"*-{kind}-mixed-shard-*-of-{n}.part")
    assert len(parts) == n
    assert_clean(out)
    return parts


def assert_merged(kind, whole, out):
    assert contents(out, kind) == contents(whole, kind) != {}
    assert sorted(steps.warnings(out, kind)) == sorted(steps.warnings(whole, kind))
    ours, theirs = steps.run_json(out, kind), steps.run_json(whole, kind)
    for name in ("command", "network", "dataset"):
        assert ours[name] == theirs[name]
    for name in ("n_classes", "n_test", "n_pictures_run", "n_pictures_bad"):
        assert ours["counts"][name] == theirs["counts"][name]
    assert_clean(out)


@pytest.mark.parametrize("kind", ["QFA", "E"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_same_bytes(kind, n, images, whole, tmp_path):
    parts = run_shards(kind, images, whole, folder(tmp_path, "parts"), n, "--threads", 1 + n % 3)
    before = steps.snapshot(tmp_path / "parts")
    out = folder(tmp_path, "out")
    result = steps.run("merge", *reversed(parts), "--save-dir", out)
    assert str(steps.main_file(out, kind)) in result.stdout
    assert_merged(kind, whole, out)
    assert steps.snapshot(tmp_path / "parts") == before


@pytest.mark.parametrize("n_threads", range(1, 9))
def test_threads(n_threads, images, whole, tmp_path):
    out = folder(tmp_path, "out")
    steps.activations(images, out, *WORDS, "--threads", n_threads, "--checkpoint-interval", 0)
    assert_merged("QFA", whole, out)
    out = folder(tmp_path, "evaluation")
    steps.run("evaluate", steps.main_file(whole, "TF"), "--k-q", "0..9", "--save-dir", out, "--threads", n_threads,
              "--checkpoint-interval", 0)
    assert_merged("E", whole, out)


def test_more_shards_than_pictures(images, whole, tmp_path):
    out = folder(tmp_path, "out")
    few = ["--limit", 1]
    steps.activations(images, out, *WORDS, *few)
    parts = []
    for i in range(1, 6):
        where = folder(tmp_path, f"part-{i}")
        steps.activations(images, where, *WORDS, *few, "--shard", f"{i}/5")
        parts.append(steps.only(where, "*.part"))
    steps.run("merge", *parts, "--save-dir", folder(tmp_path, "merged"))
    assert contents(out, "QFA") == contents(tmp_path / "merged", "QFA") != {}


@pytest.mark.parametrize("kind", ["QFA", "E"])
def test_shards_resume(kind, tmp_path, tmp_path_factory):
    images = steps.make_pictures(tmp_path / "images", {"a": 100, "b": 100})
    for name in "ab":
        for path in list((images / name).iterdir()):
            for copy in range(1):
                os.link(path, path.with_name(f"{path.stem}-{copy}.ppm"))
    whole, out = folder(tmp_path, "whole"), folder(tmp_path, "out")
    steps.pipeline(images, whole, "--k-q", "0..9", *WORDS)
    words = (["activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images, *WORDS]
             if kind == "QFA" else ["evaluate", steps.main_file(whole, "TF"), "--k-q", "0..9"])
    for i in (1, 2):
        again = [*words, "--save-dir", out, "--shard", f"{i}/2", "--checkpoint-interval", 0, "--threads", 1,
                 "--batch", 1]
        status, _, err = moments.run(again, moments.at("write", 20, ".progress", signal.SIGKILL))
        assert status == -signal.SIGKILL, err
        assert len(progress_files(out)) == 1
        assert "going on from" in steps.run(*again, "-v").stderr
    steps.run("merge", *steps.found(out, "*.part"), "--save-dir", folder(tmp_path, "merged"))
    assert contents(whole, kind) == contents(tmp_path / "merged", kind) != {}


# ---------------------------------------------------------------- what merge refuses

@pytest.fixture(scope="module")
def thirds(images, whole, tmp_path_factory):
    return {kind: run_shards(kind, images, whole, tmp_path_factory.mktemp(f"thirds-{kind}"), 3)
            for kind in ("QFA", "E")}


def refuse(tmp_path, *parts):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    message = steps.fail("merge", *parts, "--save-dir", out)
    steps.assert_nothing_final(out)
    return message


def test_missing_and_doubled(thirds, images, whole, tmp_path):
    one, two, three = thirds["QFA"]
    assert "parts of 3 shards expected, found 2: shard 2 is missing" in refuse(tmp_path, one, three)
    assert "parts of 3 shards expected, found 1: shards 1, 3 are missing" in refuse(tmp_path, two)
    copy = tmp_path / "copy.part"
    shutil.copy(two, copy)
    assert f"{two} and {copy}: different shards expected, found shard 2 twice" in refuse(tmp_path, one, two, copy)
    other = folder(tmp_path, "other")
    run_shard("QFA", images, whole, other, "1/2")
    half = steps.only(other, "*.part")
    assert f"{half}: a shard of 3 expected, as in {one}, found one of 2" in refuse(tmp_path, one, half)


@pytest.mark.parametrize("words, expected, found", [
    (["--isa", "portable"], "isa avx", "isa portable"), (["--seed-rn", 5], "seed-rn 123", "seed-rn 5"),
    (["--limit", 3], "limit 0", "limit 3"), (["--preprocess", "tf"], "preprocess unit", "preprocess tf"),
    (["--layers", "c_conv1"], "layer ", "layer "), (["--top-images", 4], "top-images 3", "top-images 4")])
def test_other_options(words, expected, found, thirds, images, whole, tmp_path):
    one, _, three = thirds["QFA"]
    other = folder(tmp_path, "other")
    steps.run("activations", "--model", steps.MODEL, "--images-dir", images, "--save-dir", other,
              *([] if "--preprocess" in words else ["--preprocess", "unit"]), "--split", 0.4,
              *([] if "--top-images" in words else ["--top-images", 3]), "--shard", "2/3", *words)
    part = steps.only(other, "*.part")
    message = refuse(tmp_path, one, part, three)
    assert message.startswith(f"filtags merge: {part}: '{expected}")
    assert f"as in {one}, found '{found}" in message


def test_other_step(thirds, tmp_path):
    message = refuse(tmp_path, thirds["QFA"][0], *thirds["E"][1:])
    assert "'step QFA' expected" in message and "found 'step E'" in message


def test_pictures_that_changed(whole, tmp_path):
    images = steps.make_pictures(tmp_path / "images", {"a": 6, "b": 6})
    parts = run_shards("QFA", images, whole, folder(tmp_path, "parts"), 2)
    (images / "a" / "new.ppm").write_bytes(steps.ppm("new"))
    message = refuse(tmp_path, *parts)
    assert "what is there now: 'pictures " in message and f"as in {parts[0]}" in message


def test_damaged_parts(thirds, tmp_path):
    one, two, three = thirds["E"]
    good = two.read_bytes()
    bad = tmp_path / "bad.part"
    for n in range(0, len(good), len(good) // 40):
        bad.write_bytes(good[:n])
        assert str(bad) in refuse(tmp_path, one, bad, three)
        bad.write_bytes(good[:n] + bytes([good[n] ^ 0x10]) + good[n + 1:])
        if n < len(good) - 16:  # the checksum of the last record, which says nothing
            assert str(bad) in refuse(tmp_path, one, bad, three)
    bad.write_bytes(b"something else")
    assert f"{bad}: a part of filTags expected, found something else" in refuse(tmp_path, one, bad, three)
    assert f"{tmp_path / 'none'}: cannot be opened" in refuse(tmp_path, one, tmp_path / "none")
    steps.run("merge", one, two, three, "--save-dir", folder(tmp_path, "good"))


def test_usage(images, tmp_path):
    for wrong in ("0/3", "4/3", "3", "1/0", "a/b", "1/2/3", "-1/3", "1.5/3"):
        message = steps.activations(images, tmp_path, f"--shard={wrong}", status=2).stderr
        assert f"--shard: I/N such as 1/8, I from 1 to N, N up to 100000, expected, found '{wrong}'" in message
    assert "PART... is missing" in steps.run("merge", status=2).stderr
    assert "--shard: is no option of pipeline, but of activations, evaluate" in steps.pipeline(
        images, tmp_path, "--shard", "1/2", status=2).stderr
