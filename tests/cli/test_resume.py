"""Checkpoints: a run that is ended at any moment goes on, under its first runID, to the same bytes."""
import fcntl
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import steps

N_KILLS = int(os.environ.get("FILTAGS_TEST_KILLS", "12"))  # of each step


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


def contents(out, kind):
    """The bytes of a step's pickles and info text, without the runID."""
    return {path.name[16:].lstrip("bcd"): path.read_bytes()
            for path in steps.found(out, f"*-{kind}-*") if path.suffix in (".pkl", ".txt")}


def assert_same(one, other, kinds=("QFA",)):
    for kind in kinds:
        assert contents(one, kind) == contents(other, kind) != {}, kind


def progress_files(out):
    return steps.found(out, ".filtags-*")


def assert_clean(out):
    assert [name for name in os.listdir(out) if name.startswith(".")] == []


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Enough pictures for a second of work, some of them damaged."""
    images = steps.make_pictures(tmp_path_factory.mktemp("many") / "images", {"a": 160, "b": 140, "c": 100})
    for name in ("a", "b", "c"):
        for path in list((images / name).iterdir()):
            for copy in range(9):
                os.link(path, path.with_name(f"{path.stem}-{copy}.ppm"))
    for name in ("a", "c"):
        shutil.copy(steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg", images / name / "bad.jpg")
    return images


@pytest.fixture(scope="module")
def undisturbed(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    steps.pipeline(many, out, "--k-q", "1,5", "--split", 0.4, "--top-images", 3)
    return out


def words_of(kind, many, undisturbed, out):
    if kind == "QFA":
        return ["activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", many, "--split", 0.4,
                "--top-images", 3, "--save-dir", out]
    if kind == "E":
        return ["evaluate", steps.main_file(undisturbed, "TF"), "--k-q", "1,5", "--save-dir", out]
    return ["pipeline", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", many, "--k-q", "1,5",
            "--split", 0.4, "--top-images", 3, "--save-dir", out]


def start(words):
    return subprocess.Popen([os.fsencode(str(word)) for word in [steps.FILTAGS, *words]], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end_after(words, sec, number=signal.SIGKILL):
    """Run and send a signal after so long; whether it came before the end."""
    with start(words) as process:
        try:
            process.wait(timeout=sec)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        out, err = process.communicate(timeout=steps.TIMEOUT_SEC)
        assert process.returncode in (0, -number if number == signal.SIGKILL else 128 + number), err
        return process.returncode != 0, out.decode(), err.decode()


def end_when_saved(words, out, number=signal.SIGKILL, more=3000):
    """Run and send a signal as soon as the progress file has grown so much."""
    def size():
        return sum(path.stat().st_size for path in progress_files(out) if path.exists())
    before = size()
    with start(words) as process:
        while process.poll() is None and size() < before + more:
            time.sleep(0.001)
        process.send_signal(number)
        _, err = process.communicate(timeout=steps.TIMEOUT_SEC)
        return process.returncode, err.decode()


@pytest.mark.parametrize("kind", ["QFA", "E"])
def test_killed_again_and_again(kind, many, undisturbed, tmp_path):
    """At random moments, in any stage; each killed run is gone on with until it is done."""
    generator = random.Random(f"kills {kind}")
    start_sec = time.monotonic()
    end_after(words_of(kind, many, undisturbed, folder(tmp_path, "whole")), 60)
    whole_sec = time.monotonic() - start_sec
    n_kills = n_resumed = n_runs = 0
    while n_kills < N_KILLS:
        out = folder(tmp_path, f"out-{n_runs}")
        n_runs += 1
        assert n_runs < 20 * N_KILLS
        while True:
            words = [*words_of(kind, many, undisturbed, out), "--checkpoint-interval",
                     generator.choice([0, 0.01, 0.1]), "--threads", generator.choice([1, 2, 3]), "--batch",
                     generator.choice([1, 2, 5])]
            was_killed, _, _ = end_after([*words, "-v"], generator.uniform(0.02, 1.1 * whole_sec))
            n_kills += was_killed
            if not was_killed:
                break
        info = steps.only(out, f"*-{kind}-info.log").read_text()
        n_resumed += "going on from" in info
        assert_same(out, undisturbed, [kind])
        assert sorted(steps.warnings(out, kind)) == sorted(steps.warnings(undisturbed, kind))
        assert_clean(out)
        shutil.rmtree(out)
    assert n_resumed > 0
    print(f"{kind}: {n_kills} kills, {n_runs} runs, {n_resumed} of them went on from a checkpoint")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("kind", ["QFA", "E"])
def test_signals(kind, number, status, many, undisturbed, tmp_path):
    """The interval hasn't passed, and yet nothing is lost."""
    out = folder(tmp_path, "out")
    words = words_of(kind, many, undisturbed, out)
    with start([*words, "-v"]) as process:
        process.stderr.readline()  # it has begun
        time.sleep(0.2)
        process.send_signal(number)
        err = process.stderr.read().decode()
        process.wait()
    assert process.returncode == status, err
    message = [line for line in err.splitlines() if "stopped after" in line]
    assert len(message) == 1 and message[0].endswith("; the same command goes on from there")
    n_done = int(message[0].split("stopped after ")[1].split()[0])
    left = progress_files(out)
    assert len(left) == (n_done > 0)
    run_id = steps.only(out, f"*-{kind}-info.log").name[:16]
    result = steps.run(*words, "-v")
    assert (f": {n_done} of " in result.stderr and "going on from" in result.stderr) == (n_done > 0)
    assert_same(out, undisturbed, [kind])
    if n_done:
        assert steps.main_file(out, kind).name.startswith(run_id)
    assert_clean(out)
