"""Checkpoints: a run that is ended at any moment goes on, under its first runID, to the same bytes."""
import fcntl
import os
import random
import re
import resource
import shutil
import signal
import subprocess

import pytest

import moments
import steps

N_KILLS = int(os.environ.get("FILTAGS_TEST_KILLS", "12"))  # of each step
SOME_WRITES = 100  # to the progress file: four a picture of command() below


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


def contents(out, kind, run_id="*"):
    """The bytes of a step's pickles and info text, without the runID."""
    return {path.name.split(f"-{kind}-")[1]: path.read_bytes()
            for path in steps.found(out, f"{run_id}-{kind}-*") if path.suffix in (".pkl", ".txt")}


def assert_same(one, other, kinds=("QFA",)):
    for kind in kinds:
        assert contents(one, kind) == contents(other, kind) != {}, kind


def progress_files(out):
    return steps.found(out, ".filtags-*")


def assert_clean(out):
    assert [name for name in os.listdir(out) if name.startswith(".")] == []


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Many pictures, some of them damaged."""
    images = steps.make_pictures(tmp_path_factory.mktemp("many") / "images", {"a": 160, "b": 140, "c": 100})
    for name in ("a", "b", "c"):
        for path in list((images / name).iterdir()):
            os.link(path, path.with_name(f"{path.stem}-0.ppm"))
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


def base_folder(tmp_path):
    """Pictures, earlier results and new ones are in it: what a run does with files, it does there."""
    return tmp_path.parent


@pytest.mark.parametrize("kind", ["QFA", "E"])
def test_killed_again_and_again(kind, many, undisturbed, tmp_path):
    """At random calls of the system, in any stage; each killed run is gone on with until it is done."""
    generator = random.Random(f"kills {kind}")
    where = base_folder(tmp_path)
    n_calls = {}  # of an undisturbed run: they say where a kill may come, and how often a run saves
    for interval in (0, 60):
        words = [*words_of(kind, many, undisturbed, folder(tmp_path, f"counted-{interval}")), "--checkpoint-interval",
                 interval, "--threads", 1, "--batch", 2]
        n_calls[interval] = moments.count(words, "any", where, tmp_path / "total")
    n_kills = n_resumed = n_runs = 0
    while n_kills < N_KILLS:
        out = folder(tmp_path, f"out-{n_runs}")
        n_runs += 1
        assert n_runs < 20 * N_KILLS
        while True:
            interval = generator.choice([0, 0.01, 60])
            words = [*words_of(kind, many, undisturbed, out), "--checkpoint-interval", interval, "--threads",
                     generator.choice([1, 2, 3]), "--batch", generator.choice([1, 2, 5]), "-v"]
            number = generator.randint(1, n_calls[60 if interval else 0] * 11 // 10)
            status, _, err = moments.run(words, moments.at("any", number, where, signal.SIGKILL))
            assert status in (0, -signal.SIGKILL), err
            n_kills += status != 0
            if status == 0:
                break
        # one that is killed before its progress file has a head leaves logs under another runID; one that is killed
        # when it was done already, but for its exit, leaves its results, and the next is a run of its own
        main_suffix = "vars.pkl" if kind == "QFA" else "vars1.pkl"
        run_ids = [path.name.split(f"-{kind}-")[0] for path in steps.found(out, f"*-{kind}-*-{main_suffix}")]
        assert run_ids
        for run_id in run_ids:
            n_resumed += "going on from" in (out / f"{run_id}-{kind}-info.log").read_text()
            assert contents(out, kind, run_id) == contents(undisturbed, kind) != {}
            warnings = (out / f"{run_id}-{kind}-warnings.log").read_text().splitlines()
            assert sorted(warnings) == sorted(steps.warnings(undisturbed, kind))
        assert_clean(out)
        shutil.rmtree(out)
    assert n_resumed > 0
    print(f"{kind}: {n_kills} kills, {n_runs} runs, {n_resumed} of them went on from a checkpoint")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("kind", ["QFA", "E"])
def test_signals(kind, number, status, many, undisturbed, tmp_path):
    """The interval hasn't passed, and yet nothing is lost."""
    out = folder(tmp_path, "out")
    words = [*words_of(kind, many, undisturbed, out), "-v", "--threads", 2, "--batch", 4]
    middle = moments.at("open", 100, f"{many}/", number)
    found, _, err = moments.run(words, middle)
    assert found == status, err
    message = [line for line in err.splitlines() if "stopped after" in line]
    assert len(message) == 1 and message[0].endswith("; the same command goes on from there")
    n_done, n_all = re.search(r"stopped after (\d+) of (\d+) pictures", message[0]).groups()
    assert 90 < int(n_done) < 110 < int(n_all)
    assert len(progress_files(out)) == 1
    run_id = steps.only(out, f"*-{kind}-info.log").name[:16]
    result = steps.run(*words)
    assert f": {n_done} of " in result.stderr and "going on from" in result.stderr
    assert_same(out, undisturbed, [kind])
    assert steps.main_file(out, kind).name.startswith(run_id)
    assert_clean(out)


# ---------------------------------------------------------------- what the file does

@pytest.fixture
def few(tmp_path):
    images = steps.make_pictures(tmp_path / "few", {"a": 30, "b": 30})
    (images / "b" / "empty.png").write_bytes(b"")
    return images


def command(images, out, *words):
    return ["activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images, "--split", 0,
            "--save-dir", out, "--checkpoint-interval", 0, "--batch", 1, "--threads", 1, *words]


def interrupted(words, out):
    """Leave a progress file with some pictures, but not all, in it."""
    status, _, err = moments.run(words, moments.at("write", SOME_WRITES, ".progress", signal.SIGKILL))
    assert status == -signal.SIGKILL, err
    progress, = progress_files(out)
    return progress


def test_restart(few, tmp_path):
    out, whole = folder(tmp_path, "out"), folder(tmp_path, "whole")
    steps.run(*command(few, whole))
    progress = interrupted(command(few, out), out)
    first = steps.only(out, "*-info.log").name
    result = steps.run(*command(few, out, "--restart", "-v"))
    assert f"--restart: {progress}, what an earlier run had done, is discarded" in result.stderr
    assert "going on" not in result.stderr
    assert not steps.main_file(out, "QFA").name.startswith(first.split("-QFA-")[0] + "-")
    assert_same(out, whole)
    assert_clean(out)
    assert "discarded" not in steps.run(*command(few, out, "--restart", "-v")).stderr


def test_locked(few, tmp_path):
    out = folder(tmp_path, "out")
    progress = interrupted(command(few, out), out)
    before = steps.snapshot(out)
    with open(progress, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for words in ((), ("--restart",)):
            assert f"{progress}: another process is at work on this run" in steps.fail(*command(few, out, *words))
    assert steps.snapshot(out) == before
    steps.run(*command(few, out))
    assert_clean(out)


def test_damaged_anywhere(few, tmp_path):
    """A byte is wrong, or the file is cut: an error, or an earlier checkpoint, and in any case no other result."""
    out, whole, kept = folder(tmp_path, "out"), folder(tmp_path, "whole"), tmp_path / "kept"
    steps.run(*command(few, whole))
    progress = interrupted(command(few, out), out)
    shutil.copytree(out, kept)
    good = progress.read_bytes()
    outcomes = set()
    for n in range(0, len(good), max(1, len(good) // 60)):
        for bad in (good[:n], good[:n] + bytes([good[n] ^ 0x20]) + good[n + 1:]):
            shutil.rmtree(out)
            shutil.copytree(kept, out)
            progress.write_bytes(bad)
            result = subprocess.run([steps.FILTAGS, *map(str, command(few, out))], capture_output=True, text=True,
                                    check=False)
            outcomes.add(result.returncode)
            if result.returncode:
                assert result.returncode == 1 and str(progress) in result.stderr, result.stderr
                assert bad.startswith(progress.read_bytes())  # but for what the kill left unfinished at the end
                steps.run(*command(few, out, "--restart"))
            assert_same(out, whole)
            assert_clean(out)
    assert outcomes == {0, 1}


def test_foreign(few, tmp_path):
    """Something else, a store, the progress of another command."""
    out, whole = folder(tmp_path, "out"), folder(tmp_path, "whole")
    steps.run(*command(few, whole, "--store", tmp_path / "store"))
    progress = interrupted(command(few, out), out)
    other = folder(tmp_path, "other")
    another = interrupted(command(few, other, "--seed-rn", 4), other)
    for bad, expected in ((b"anything", "a progress file of filTags expected, found something else"),
                          (b"", "a progress file of filTags expected, found something else"),
                          ((tmp_path / "store").read_bytes(), "a progress file of filTags expected"),
                          (another.read_bytes(), "the progress of this command expected, found that of another")):
        progress.write_bytes(bad)
        assert f"{progress}: {expected}" in steps.fail(*command(few, out))
        assert bad.startswith(progress.read_bytes()), "at most an unfinished end is cut off"
    progress.unlink()
    progress.mkdir()
    assert f"{progress}: cannot be opened for writing: Is a directory" in steps.fail(*command(few, out))


def test_whatever_matters_is_another_run(few, tmp_path):
    out = folder(tmp_path, "out")
    progress = interrupted(command(few, out), out)
    before = progress.read_bytes()
    model = tmp_path / "mixed.keras"
    shutil.copy(steps.MODEL_H5, model)
    changes = [("--seed-rn", 3), ("--split", 0.5), ("--limit", 10), ("--top-images", 2), ("--layers", "c_conv1"),
               ("--preprocess", "tf"), ("--isa", "portable"), ("--model", model)]
    for i, words in enumerate(changes):
        result = steps.run(*command(few, out, *words, "-v"))
        assert "going on" not in result.stderr and progress.read_bytes() == before, words
    picture = few / "a" / "3.ppm"
    os.utime(picture, (1, 1))
    assert "going on" not in steps.run(*command(few, out, "-v")).stderr
    assert progress.read_bytes() == before


def test_whatever_does_not_matter_goes_on(few, tmp_path):
    for words in (("--threads", 3), ("--batch", 7), ("--checkpoint-interval", 0.5), ("--time-delta", 5),
                  ("--store", tmp_path / "store")):
        out = folder(tmp_path, f"out{words[0]}")
        interrupted(command(few, out), out)
        assert "going on from" in steps.run(*command(few, out, *words, "-v")).stderr, words
        assert_clean(out)


def test_strict_keeps_progress(few, tmp_path):
    out, whole = folder(tmp_path, "out"), folder(tmp_path, "whole")
    steps.run(*command(few, whole))
    assert "empty.png" in steps.fail(*command(few, out, "--strict", "--checkpoint-interval", 60))
    assert len(progress_files(out)) == 1
    assert "going on from" in steps.run(*command(few, out, "-v")).stderr
    assert_same(out, whole)
    assert_clean(out)


def test_killed_between_names_and_removal(few, tmp_path):
    """The results have their names, the progress is there still: nothing is done again or replaced."""
    out = folder(tmp_path, "out")
    progress = interrupted(command(few, out), out)
    saved = progress.read_bytes()
    first = steps.run(*command(few, out)).stdout
    progress.write_bytes(saved)
    main = steps.main_file(out, "QFA")
    before = {path: state for path, state in steps.snapshot(out).items() if path != progress}
    os.link(main, main.with_name(f".{main.name}.a1b2c3"))
    second = steps.run(*command(few, out)).stdout
    assert steps.snapshot(out) == before
    assert "this was done already, by the run " in second
    assert f"  {steps.main_file(out, 'QFA')}\n" in first and f"  {steps.main_file(out, 'QFA')}\n" in second
    steps.run(*command(few, out))
    assert len(steps.found(out, "*-QFA-*-vars.pkl")) == 2


def test_killed_while_names_are_given(few, tmp_path):
    """Some files have their names, the main one hasn't: what is there is this run's own, and is made anew."""
    out, whole = folder(tmp_path, "out"), folder(tmp_path, "whole")
    steps.run(*command(few, whole))
    interrupted(command(few, out), out)
    run_id = steps.only(out, "*-QFA-info.log").name.split("-QFA-")[0]
    for name in (f"{run_id}-QFA-mixed-vars-names.pkl", f"{run_id}-QFA-mixed-run.json",
                 f".{run_id}-QFA-mixed-vars.pkl.a1b2c3"):
        (out / name).write_bytes(b"left over")
    (out / "2020-01-01-0000-QFA-mixed-vars.pkl").write_bytes(b"another's")
    steps.run(*command(few, out))
    assert (out / "2020-01-01-0000-QFA-mixed-vars.pkl").read_bytes() == b"another's"
    (out / "2020-01-01-0000-QFA-mixed-vars.pkl").unlink()
    assert_same(out, whole)
    assert_clean(out)


def test_store_and_progress_together(few, tmp_path):
    out, whole, store = folder(tmp_path, "out"), folder(tmp_path, "whole"), tmp_path / "store"
    steps.run(*command(few, whole, "--top-images", 2))
    interrupted(command(few, out, "--store", store, "--top-images", 2), out)
    steps.run(*command(few, out, "--store", store, "--top-images", 2))
    assert_same(out, whole)
    assert_clean(out)


def test_pipeline(many, undisturbed, tmp_path):
    """Killed in any of its steps, it goes on under one runID."""
    generator = random.Random("pipeline")
    words = ["--threads", 2, "-v", "--checkpoint-interval"]
    where = base_folder(tmp_path)
    n_calls = moments.count([*words_of("all", many, undisturbed, folder(tmp_path, "counted")), *words, 60], "any",
                            where, tmp_path / "total")
    for i in range(3):
        out = folder(tmp_path, f"out-{i}")
        status = None
        while status != 0:
            number = generator.randint(n_calls // 10, n_calls)
            interval = generator.choice([0, 0.05])
            status, _, err = moments.run([*words_of("all", many, undisturbed, out), *words, interval],
                                         moments.at("any", number, where, signal.SIGKILL))
            assert status in (0, -signal.SIGKILL), err
        assert_same(out, undisturbed, ["QFA", "TF", "E", "HR"])
        # (one that is killed when it was done already, but for its exit, leaves another run)
        mains = [{path.name.split(f"-{kind}-")[0] for path in steps.found(out, f"*-{kind}-*-vars{number}.pkl")}
                 for kind, number in (("QFA", ""), ("TF", ""), ("E", "1"), ("HR", ""))]
        assert mains[0] and all(ids == mains[0] for ids in mains)
        assert_clean(out)


def test_pipeline_stages(few, tmp_path):
    """Step 1 finished, and nothing else: it isn't run again; another k is another pipeline."""
    out, whole = folder(tmp_path, "out"), folder(tmp_path, "whole")
    steps.pipeline(few, whole, "--k-q", "0..20")
    largest = max(path.stat().st_size for path in steps.found(whole, "*-QFA-*"))
    assert steps.main_file(whole, "TF").stat().st_size > largest + 1000
    for k in ("0..20", "0..21"):  # no room for what follows step 1
        result = steps.pipeline(few, out, "--k-q", k, status=1, preexec_fn=lambda: limit_file_size(largest + 1000))
        assert "File too large" in result.stderr
    assert len(progress_files(out)) == 2
    first = sorted(path.name for path in steps.found(out, "*-QFA-*-vars.pkl"))
    assert len(first) == 2
    result = steps.pipeline(few, out, "--k-q", "0..20")
    assert "activations: this was done already" in result.stdout
    assert sorted(path.name for path in steps.found(out, "*-QFA-*-vars.pkl")) == first
    assert len(progress_files(out)) == 1
    run_id = steps.main_file(out, "HR").name.split("-HR-")[0]
    for kind, suffix in (("QFA", "-vars.pkl"), ("TF", "-vars.pkl"), ("E", "-vars1.pkl"), ("HR", "-vars.pkl")):
        assert steps.only(out, f"{run_id}-{kind}-*{suffix}").read_bytes() == steps.main_file(whole, kind).read_bytes()


def limit_file_size(n_bytes):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def test_full_disk_at_a_checkpoint(few, tmp_path):
    """One warning; the run goes on, and its result is there."""
    out, whole = folder(tmp_path, "out"), folder(tmp_path, "whole")
    steps.run(*command(few, whole, "--layers", "c_conv1"))
    words = command(few, out, "--layers", "c_conv1")
    result = steps.run(*words, preexec_fn=lambda: limit_file_size(8000))
    assert result.stderr.count("progress could not be saved: ") == 1
    assert "(the run goes on, and tries again)" in result.stderr
    assert_same(out, whole)
    assert_clean(out)


def test_usage(few, tmp_path):
    for wrong in ("-1", "x", ""):
        steps.run(*command(few, tmp_path, f"--checkpoint-interval={wrong}"), status=2)


@pytest.mark.parametrize("second", [("open", 1, "/images/"), ("write", 5, ".progress"), ("sync", 1, ".progress")])
def test_second_signal_ends_at_once(second, many, tmp_path):
    """Whether it comes with the first one or while that one's checkpoint is written, the next run goes on."""
    out = folder(tmp_path, "out")
    words = command(many, out, "--checkpoint-interval", 60)
    kind, number, path = second
    status, _, err = moments.run(words, moments.at("open", 100, f"{many}/", signal.SIGINT),
                                 moments.at(kind, number, path, signal.SIGINT))
    assert status == -signal.SIGINT, err
    assert len(progress_files(out)) == 1
    steps.run(*words)
    assert_clean(out)
