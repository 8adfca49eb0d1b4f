"""Several processes under mpirun: the bytes of one process, whoever does which picture, fails or is killed.

For MPICH: meson setup build/mpich -Dmpi_package=mpich, and FILTAGS_MPIRUN=mpirun.mpich."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import moments
import steps

MODULE = steps.BUILD / "filtags_mpi.so"
MPIRUN = shutil.which(os.environ.get("FILTAGS_MPIRUN", "mpirun"))
TIMEOUT_SEC = steps.TIMEOUT_SEC
ASAN_OPTIONS = "detect_leaks=0"  # MPI keeps memory to its end, which is not ours to judge
KINDS = ("QFA", "TF", "E", "HR")

needs_mpirun = pytest.mark.skipif(not MPIRUN or not MODULE.exists(), reason="mpirun or an MPI to build with is missing")


def is_open_mpi():
    result = subprocess.run([MPIRUN, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return b"Open MPI" in result.stdout


def mpirun(*words):
    """mpirun with what a test on one machine needs."""
    return [MPIRUN, *(["--oversubscribe"] if is_open_mpi() else []), *words]


def environment(**variables):
    """For tests alone: root may run it."""
    return {**os.environ, "LC_ALL": "C", "TERM": "dumb", "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_ALLOW_RUN_AS_ROOT": "1",
            "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "ASAN_OPTIONS": ASAN_OPTIONS, **variables}


def start(words, **variables):
    return subprocess.Popen([os.fsencode(str(word)) for word in words], env=environment(**variables),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(words, status=0, **variables):
    with start(words, **variables) as process:
        try:
            out, err = process.communicate(timeout=TIMEOUT_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    out, err = out.decode(), err.decode()
    assert process.returncode == status, f"exit status {process.returncode}: {out}{err}"
    return out, err


def fail(words, status=1, **variables):
    """The program's lines on stderr, which it says once; mpirun adds its own."""
    out, err = run(words, status, **variables)
    assert out == ""
    return [line for line in err.splitlines() if line.startswith("filtags")]


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


def contents(out, kind):
    """The bytes of a step's pickles and info text, without the runID."""
    return {path.name[15:].lstrip("bcdefgh"): path.read_bytes()
            for path in steps.found(out, f"*-{kind}-*") if path.suffix in (".pkl", ".txt")}


def assert_same(one, other, kinds=KINDS):
    for kind in kinds:
        assert contents(one, kind) == contents(other, kind) != {}, kind


def assert_clean(out):
    assert [name for name in os.listdir(out) if name.startswith(".")] == []


def progress_files(out):
    return steps.found(out, ".filtags-*")


def info_log(out, kind):
    return steps.only(out, f"*-{kind}-info.log").read_text()


def shares(out, kind):
    """How many pictures each rank but 0 has done."""
    return [int(n) for n in re.findall(r": rank \d+ on \S+: (\d+) pictures$", info_log(out, kind), re.MULTILINE)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    images = steps.make_pictures(tmp_path_factory.mktemp("pictures") / "images", {"a": 60, "b": 50, "c": 40})
    for name in ("a", "c"):
        for i in range(3):
            shutil.copy(steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg", images / name / f"bad{i}.jpg")
    return images


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    images = steps.make_pictures(tmp_path_factory.mktemp("many") / "images", {"a": 200, "b": 200})
    for path in list(images.glob("*/*.ppm")):
        os.link(path, path.with_name(f"{path.stem}-copy.ppm"))
    return images


def words_of(command, images, out, *words):
    return [steps.FILTAGS, command, "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images,
            "--save-dir", out, "--threads", 1, *words]


PIPELINE = ("--k-q", "1,5,40", "--split", 0.3, "--top-images", 3)


@pytest.fixture(scope="module")
def alone(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    run(words_of("pipeline", images, out, *PIPELINE))
    return out


# ---------------------------------------------------------------- results

@needs_mpirun
@pytest.mark.parametrize("n, words", [(1, ()), (2, ()), (3, ("--checkpoint-interval", 0, "--batch", 1)),
                                      (8, ("--batch", 3))])
def test_same_bytes(n, words, images, alone, tmp_path):
    out = folder(tmp_path, "out")
    stdout, stderr = run([*mpirun("-n", n), *words_of("pipeline", images, out, *PIPELINE, *words)])
    assert_same(out, alone)
    assert_clean(out)
    assert stdout.count("\nfiles:\n") == 1 and stdout.count("activations of") == 1
    for kind in KINDS:
        assert sorted(steps.warnings(out, kind)) == sorted(steps.warnings(alone, kind))
    for kind in ("QFA", "E"):
        n_bad = len([line for line in steps.warnings(out, kind) if "bad" in line])
        assert n_bad == steps.run_json(out, kind)["counts"]["n_pictures_bad"] > 0
        assert len(shares(out, kind)) == n - 1 and all(share > 0 for share in shares(out, kind))
        assert sum(shares(out, kind)) < steps.run_json(out, kind)["counts"]["n_pictures_run"]
        assert steps.run_json(out, kind)["counts"].get("n_processes", 1) == n
    assert stderr.count("bad_jpeg") == 0 and stderr.count("/bad0.jpg") == 2


@needs_mpirun
def test_more_processes_than_pictures(tmp_path):
    images = steps.make_pictures(tmp_path / "images", {"a": 1, "b": 1})
    one, four = folder(tmp_path, "one"), folder(tmp_path, "four")
    run(words_of("activations", images, one, "--split", 0))
    run([*mpirun("-n", 4), *words_of("activations", images, four, "--split", 0)])
    assert_same(one, four, ["QFA"])


# ---------------------------------------------------------------- ended at any moment

def words_with_progress(kind, images, alone, out):
    if kind == "QFA":
        return words_of("activations", images, out, "--split", 0, "--top-images", 3, "--checkpoint-interval", 0,
                        "--batch", 4)
    return [steps.FILTAGS, "evaluate", steps.main_file(alone, "TF"), "--images-dir", images, "--split", 1, "--k-q",
            "1,5", "--save-dir", out, "--threads", 1, "--checkpoint-interval", 0, "--batch", 4]


@pytest.fixture(scope="module", params=["QFA", "E"])
def long_run(request, many, alone, tmp_path_factory):
    """A kind of step, its command for a folder, and what it comes to."""
    out = tmp_path_factory.mktemp("undisturbed")
    run(words_with_progress(request.param, many, alone, out))
    return request.param, lambda other: words_with_progress(request.param, many, alone, other), out


def with_pid(words, path):
    """Write the process's number into a file."""
    return ["sh", "-c", f"echo $$ >'{path}'; exec \"$@\"", "sh", *words]


MIDDLE = 60  # writes of rank 0 to the progress: of the 800 pictures some are done, and most aren't


def start_three(words, tmp_path, number=None):
    """Run by three processes. In the middle the first stops, and gets a signal as it goes on. Gives their numbers, once
    it has stopped."""
    pids = [tmp_path / f"pid{i}" for i in range(3)]
    at_middle = [moments.at("write", MIDDLE, ".progress", signal.SIGSTOP)]
    if number:
        at_middle.append(moments.at("write", 1, ".progress", number))
    variables = moments.variables(*at_middle, asan_options=ASAN_OPTIONS)
    first = ["env", *(f"{name}={value}" for name, value in variables.items()), *words]
    each = [word for pid in pids for word in (":", "-n", 1, *with_pid(first if pid == pids[0] else words, pid))]
    process = start(mpirun(*each[1:]))
    moments.wait_until(lambda: process.poll() is not None or all(is_written(pid) for pid in pids))
    numbers = [int(pid.read_text()) for pid in pids]
    moments.wait_until_stopped(numbers[0])
    return process, numbers


def is_written(path):
    return path.exists() and path.read_text().endswith("\n")


@needs_mpirun
@pytest.mark.parametrize("rank, n_resumed", [(0, 3), (1, 1)])
def test_killed(rank, n_resumed, long_run, tmp_path):
    """mpirun ends the job, and the same command goes on from the checkpoint, with any number of processes."""
    kind, words_for, undisturbed = long_run
    out = folder(tmp_path, "out")
    process, pids = start_three(words_for(out), tmp_path)
    with process:
        os.kill(pids[rank], signal.SIGKILL)
        moments.wait_until(lambda: not moments.is_alive(pids[rank]))
        if rank != 0 and moments.is_alive(pids[0]):  # which can't come to an end without the other
            os.kill(pids[0], signal.SIGCONT)
        process.communicate(timeout=TIMEOUT_SEC)
    assert process.returncode != 0
    steps.assert_nothing_final(out)
    assert len(progress_files(out)) == 1
    prefix = mpirun("-n", n_resumed) if n_resumed > 1 else []
    _, err = run([*prefix, *words_for(out), "-v"])
    assert "going on from" in err
    assert_same(out, undisturbed, [kind])
    assert_clean(out)


@needs_mpirun
@pytest.mark.parametrize("number, ranks, status", [(signal.SIGINT, (0, 1, 2), 130), (signal.SIGTERM, (0,), 143),
                                                   (signal.SIGTERM, (2,), 1)])
def test_signals(number, ranks, status, long_run, tmp_path):
    """All of them (as a batch system does it) or one: nothing that was done is lost."""
    kind, words_for, undisturbed = long_run
    out = folder(tmp_path, "out")
    process, pids = start_three(words_for(out), tmp_path, number if 0 in ranks else None)
    with process:
        for rank in ranks:
            if rank != 0:
                os.kill(pids[rank], number)
                moments.wait_until_noticed(pids[rank], number)
        os.kill(pids[0], signal.SIGCONT)
        out_text, err = process.communicate(timeout=TIMEOUT_SEC)
    assert process.returncode == status, (out_text, err)
    stopped = re.findall(r"stopped after (\d+) of (\d+) pictures; the same command goes on from there", err.decode())
    assert len(stopped) == 1, err.decode()
    steps.assert_nothing_final(out)
    _, err = run([*mpirun("-n", 2), *words_for(out), "-v"])
    assert f": {stopped[0][0]} of {stopped[0][1]} pictures done" in err
    assert_same(out, undisturbed, [kind])
    assert_clean(out)


# ---------------------------------------------------------------- failures

@needs_mpirun
def test_failing_helper(tmp_path):
    """Every process gets a picture before any gets its second, so rank 1 meets a damaged one."""
    out = folder(tmp_path, "out")
    images = steps.make_pictures(tmp_path / "images", {"a": 1})
    for i in range(40):
        shutil.copy(steps.DAMAGED / "bad_jpeg_cut_in_middle.jpg", images / "a" / f"bad{i}.jpg")
    words = words_of("activations", images, out, "--split", 0, "--batch", 2)
    lines = fail(mpirun("-n", 1, *words, ":", "-n", 1, *words, "--strict"))
    errors = [line for line in lines if "warning" not in line]
    assert len(errors) == 1
    assert re.fullmatch(r"filtags activations: rank 1 on \S+: .*/a/bad\d+\.jpg: .*", errors[0])
    steps.assert_nothing_final(out)
    run([*mpirun("-n", 2), *words])
    # where nothing had been done yet, the second run is one of its own
    log = steps.found(out, "*-QFA-warnings.log")[-1].read_text()
    named = re.findall(r"/(bad\d+)\.jpg: ", log)
    assert sorted(named) == sorted(f"bad{i}" for i in range(40))
    assert_clean(out)


@needs_mpirun
@pytest.mark.parametrize("given, ours, theirs", [(("--seed-rn", 7), "seed-rn 123", "seed-rn 7"),
                                                 (("--top-images", 2), "top-images 0", "top-images 2"),
                                                 (("--limit", 3), "limit 0", "limit 3")])
def test_keys_differ(given, ours, theirs, images, tmp_path):
    out = folder(tmp_path, "out")
    words = words_of("activations", images, out)
    lines = fail(mpirun("-n", 2, *words, ":", "-n", 1, *words, *given))
    assert len(lines) == 1
    assert re.fullmatch(rf"filtags activations: rank 2 on \S+: '{ours}' expected, as rank 0 on \S+ has, found "
                        rf"'{theirs}': all processes need the same program, files and options", lines[0])
    assert_clean(out)
    steps.assert_nothing_final(out)


@needs_mpirun
def test_helper_without_model(images, tmp_path):
    out = folder(tmp_path, "out")
    words = words_of("pipeline", images, out)
    others = [tmp_path / "none.keras" if word == steps.MODEL else word for word in words]
    lines = fail(mpirun("-n", 1, *words, ":", "-n", 2, *others))
    assert len(lines) == 1
    assert re.fullmatch(r"filtags pipeline: rank [12] on \S+: \S*/none.keras: cannot be opened: .*", lines[0])
    assert_clean(out)


@needs_mpirun
@pytest.mark.parametrize("command", ["activations", "pipeline"])
def test_leader_without_folder(command, images, tmp_path):
    lines = fail([*mpirun("-n", 3), *words_of(command, images, tmp_path / "none")])
    assert len(lines) == 1
    assert "/none" in lines[0] and lines[0].endswith("No such file or directory") and "rank" not in lines[0]


# ---------------------------------------------------------------- what is for one process, and modules

@needs_mpirun
def test_other_commands(alone):
    lines = fail([*mpirun("-n", 3), steps.FILTAGS, "tag", steps.main_file(alone, "QFA")], status=2)
    assert lines == ["filtags tag: activations, evaluate or pipeline expected, which several processes can share, as "
                     "mpirun has started 3: run this command without mpirun"]


@needs_mpirun
def test_store(images, tmp_path):
    out = folder(tmp_path, "out")
    lines = fail([*mpirun("-n", 2), *words_of("activations", images, out, "--store", tmp_path / "store")], status=2)
    assert lines == ["filtags activations: --store: one process expected, since a store belongs to one process, but "
                     "mpirun has started 2"]
    assert os.listdir(out) == []


@needs_mpirun
def test_each_by_itself():
    words = [*mpirun("-n", 2), steps.FILTAGS, "layers", steps.MODEL]
    stdout, _ = run(words, FILTAGS_MPI_MODULE="none")
    assert stdout.count("layers are tagged") + stdout.count("filters are tagged") == 2


def fail_as_first_of_two(images, tmp_path, module):
    """As mpirun would start it; no mpirun is needed to find that there is no module."""
    words = words_of("activations", images, folder(tmp_path, "out"))
    lines = fail(words, OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_RANK="0", FILTAGS_MPI_MODULE=str(module))
    assert len(lines) == 1 and os.listdir(tmp_path / "out") == []
    return lines[0]


def test_missing_module(images, tmp_path):
    message = fail_as_first_of_two(images, tmp_path, tmp_path / "none.so")
    assert "/none.so: the module for MPI expected, as mpirun has started 2 processes, found none" in message


def test_no_module(images, tmp_path):
    (tmp_path / "text.so").write_text("no module")
    message = fail_as_first_of_two(images, tmp_path, tmp_path / "text.so")
    assert "/text.so: the module for MPI cannot be loaded: " in message


def test_other_module(images, tmp_path):
    """A library, but no module."""
    library = steps.BUILD / "libfiltags.so.0"
    shutil.copy(library, tmp_path / "other.so")
    message = fail_as_first_of_two(images, tmp_path, tmp_path / "other.so")
    assert "/other.so: a module of filTags " in message and message.endswith(" for MPI expected, found another")


@pytest.mark.parametrize("variables", [{"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
                                       {"PMI_SIZE": "x", "PMI_RANK": "0"}, {"PMI_SIZE": "4"},
                                       {"PMI_SIZE": "2", "PMI_RANK": "5"}, {"PMIX_RANK": "0"}])
def test_alone(variables, images, tmp_path):
    """Nothing is loaded."""
    out = folder(tmp_path, "out")
    run(words_of("activations", images, out, "--limit", 2), FILTAGS_MPI_MODULE="/none.so", **variables)
    assert "n_processes" not in json.loads(steps.only(out, "*-run.json").read_bytes())["counts"]
