"""Where the files go: runIDs, folders that can't be written, disks that are full."""
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
from datetime import datetime, timedelta

import pytest

import steps

KINDS = ["QFA", "TF", "E", "HR", "TFD", "SI"]
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return steps.make_pictures(tmp_path_factory.mktemp("output") / "images", {"a": 6, "b": 6})


@pytest.fixture(scope="module")
def chain(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("chain")
    steps.pipeline(images, out, "--k-q", "0..9", "--split", 0.5)
    return out


def words_of(kind, images, chain):
    """The command line of a step, but for --save-dir."""
    if kind == "QFA":
        return ["activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images, "--split", 0.5]
    command, before = {"TF": ("tag", "QFA"), "E": ("evaluate", "TF"), "HR": ("hitrates", "E"), "TFD": ("decode", "TF"),
                       "SI": ("single-image", "TF")}[kind]
    return [command, steps.main_file(chain, before), "--k-q", "0..9", *(["--classes-img", 1] if kind == "SI" else [])]


# ---------------------------------------------------------------- runID

def run_ids(folder):
    return sorted({re.match(r"(\d{4}-\d\d-\d\d-\d{4})([b-z]*)-", name).groups() for name in os.listdir(folder)})


def test_same_minute_gets_a_suffix(images, tmp_path):
    """Runs close together never touch each other's files. (The minute may end meanwhile.)"""
    before = {}
    for _ in range(4):
        steps.pipeline(images, tmp_path, "--k-q", 1)
        for path, state in before.items():
            assert (path.read_bytes(), path.stat().st_mtime_ns) == state
        before = steps.snapshot(tmp_path)
    ids = run_ids(tmp_path)
    assert len(ids) == 4 and len(before) == 4 * len(steps.found(tmp_path, "".join(ids[0]) + "-*"))
    for minute in {minute for minute, _ in ids}:
        suffixes = [suffix for other, suffix in ids if other == minute]
        assert suffixes == ["", "b", "c", "d"][:len(suffixes)]


def test_step_by_step_suffixes_are_of_the_kind(images, chain, tmp_path):
    """A later step alone takes the plain runID although step 1 has it: kinds don't clash."""
    steps.run(*words_of("TF", images, chain), "--save-dir", tmp_path)
    steps.run(*words_of("TF", images, chain), "--save-dir", tmp_path)
    first, second = steps.found(tmp_path, "*-TF-mixed-vars.pkl")
    assert first.read_bytes() == second.read_bytes()
    steps.run(*words_of("HR", images, chain), "--save-dir", tmp_path)
    assert re.search(r"\d{4}-HR-", steps.main_file(tmp_path, "HR").name)


def test_runs_at_the_same_time(images, tmp_path):
    """The same command: one at a time is at work, and the others say so."""
    results = []

    def one():
        words = [steps.FILTAGS, "activations", "--model", steps.MODEL, "--images-dir", images, "--save-dir", tmp_path]
        results.append(subprocess.run(list(map(str, words)), capture_output=True, check=False))
    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n_good = sum(result.returncode == 0 for result in results)
    assert n_good >= 1 and len(steps.found(tmp_path, "*-QFA-mixed-run.json")) == n_good
    assert all(result.returncode == 0 or b"another process is at work on this run" in result.stderr
               for result in results)


def test_time_delta(images, tmp_path):
    for hours in (0, 24, -3.5):
        folder = tmp_path / str(hours)
        folder.mkdir()
        steps.activations(images, folder, "--time-delta", hours)
        minute = datetime.strptime(run_ids(folder)[0][0], "%Y-%m-%d-%H%M")
        started = datetime.strptime(steps.run_json(folder, "QFA")["started"], "%Y-%m-%dT%H:%M:%SZ")
        assert abs(minute - started - timedelta(hours=hours)) <= timedelta(minutes=30)


# ---------------------------------------------------------------- folders

@pytest.mark.parametrize("kind", KINDS)
def test_folder_that_is_none(images, chain, tmp_path, kind):
    words = words_of(kind, images, chain)
    (tmp_path / "file").write_text("")
    for path, reason in ((tmp_path / "no", "No such file or directory"), (tmp_path / "file", "Not a directory")):
        assert f"{path}: --save-dir cannot be read: {reason}" in steps.fail(*words, "--save-dir", path)
    message = steps.fail(*words, "--save-dir", "/proc")
    assert re.search(rf"/proc/(\d+-\d+-\d+-\d+-{kind}-info\.log|\.filtags-{kind}-.*): cannot be created: ", message)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("kind", KINDS)
def test_folder_without_permission(images, chain, tmp_path, kind):
    tmp_path.chmod(0o500)
    message = steps.fail(*words_of(kind, images, chain), "--save-dir", tmp_path)
    assert "cannot be created: Permission denied" in message


def mount(source, target, kind, flags, data=""):
    """Mount something, or skip the test. Needs to be root, and to be let."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, data.encode()):
        pytest.skip(f"no mounting here: {os.strerror(ctypes.get_errno())}")


@pytest.fixture
def mount_point(tmp_path):
    path = tmp_path / "mount"
    path.mkdir()
    yield path
    libc = ctypes.CDLL(None, use_errno=True)
    while os.path.ismount(path):
        assert libc.umount2(os.fsencode(path), MNT_DETACH) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_read_only_disk(images, chain, mount_point, kind):
    mount("tmpfs", mount_point, "tmpfs", MS_RDONLY)
    message = steps.fail(*words_of(kind, images, chain), "--save-dir", mount_point)
    assert "cannot be created: Read-only file system" in message


# ---------------------------------------------------------------- full disks

def limit_file_size(size_bytes, is_ignored):
    def prepare():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    return {"preexec_fn": prepare, "restore_signals": False}


def check_failure(folder, before, message):
    """Nothing under a final name, nothing hidden, what was there untouched."""
    for path, state in before.items():
        assert (path.read_bytes(), path.stat().st_mtime_ns) == state
    new = [name for name in os.listdir(folder) if folder / name not in before and not name.endswith(".progress")]
    assert all(name.endswith(".log") for name in new), new
    assert "Success" not in message


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_may_not_grow(images, chain, tmp_path, kind):
    """A limit on the size of each file: from one that nothing fits to one that only the largest exceeds."""
    words = words_of(kind, images, chain)
    steps.run(*words, "--save-dir", tmp_path)
    sizes = sorted({path.stat().st_size for path in tmp_path.iterdir()})
    before = steps.snapshot(tmp_path)
    main_size = steps.main_file(tmp_path, kind).stat().st_size
    for limit in sorted({0, 1, *(size - 1 for size in sizes if size), *(size // 2 for size in sizes)}):
        if limit >= main_size:
            continue
        message = steps.fail(*words, "--save-dir", tmp_path, **limit_file_size(limit, is_ignored=True))
        assert ": File too large\n" in message, f"{limit}: {message}"
        check_failure(tmp_path, before, message)
        for path in tmp_path.iterdir():
            if path not in before:
                path.unlink()
    steps.run(*words, "--save-dir", tmp_path, **limit_file_size(sizes[-1] + 5000000, is_ignored=True))


def test_scratch_file_that_may_not_grow(images, chain, tmp_path):
    message = steps.fail(*words_of("E", images, chain), "--k-q", "0..40", "--save-dir", tmp_path,
                         **limit_file_size(4500, is_ignored=True))
    assert "filtags evaluate: the scratch file in --save-dir could not be written: File too large" in message
    steps.assert_nothing_final(tmp_path)


def test_warnings_log_that_may_not_grow(images, tmp_path):
    """Warnings that can't be kept are a failure, too."""
    damaged, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(images, damaged)
    for i in range(60):
        (damaged / "a" / f"empty {i}.png").write_bytes(b"")
    out.mkdir()
    message = steps.activations(damaged, out, "--split", 0, "--layers", "c_conv1", status=1,
                                **limit_file_size(4000, is_ignored=True)).stderr
    assert "-QFA-warnings.log: could not be written whole: File too large" in message
    steps.assert_nothing_final(out)


def test_signal_of_the_size_limit(images, chain, tmp_path):
    """As a shell's ulimit -f has it: the signal is not ignored by whoever starts the program."""
    message = steps.fail(*words_of("TF", images, chain), "--save-dir", tmp_path,
                         **limit_file_size(2000, is_ignored=False))
    assert ": File too large\n" in message
    steps.assert_nothing_final(tmp_path)


def test_export_on_a_full_disk(chain, tmp_path):
    to = tmp_path / "table"
    message = steps.fail("export", steps.main_file(chain, "QFA"), "--output", to,
                         **limit_file_size(3000, is_ignored=True))
    assert f"{to}: could not be written whole: File too large" in message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_full_disk(images, chain, mount_point, kind):
    """A small disk that other files fill, by less and less."""
    mount("tmpfs", mount_point, "tmpfs", 0, "size=256k")
    words = words_of(kind, images, chain)
    outcomes, hit = [], set()
    for n_free_pages in (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 18, 40):
        (mount_point / "fill").write_bytes(bytes((64 - n_free_pages) * 4096))
        before = steps.snapshot(mount_point)
        result = subprocess.run([steps.FILTAGS, *map(str, words), "--save-dir", mount_point], capture_output=True,
                                text=True, check=False)
        outcomes.append(result.returncode)
        if result.returncode:
            assert result.returncode == 1 and result.stdout == ""
            assert "No space left on device" in result.stderr or "of disk expected to be free" in result.stderr
            check_failure(mount_point, before, result.stderr)
            hit.add(re.sub(r"[\d-]+[b-z]*-", "", result.stderr.splitlines()[-1]))
        for path in mount_point.iterdir():
            path.unlink()
    assert outcomes[0] == 1 and outcomes[-1] == 0
    assert outcomes == sorted(outcomes, reverse=True), "it fits once there is room"
    assert len(hit) > 2, hit


def test_demo_on_a_full_disk(mount_point):
    mount("tmpfs", mount_point, "tmpfs", 0, "size=700k")
    message = steps.fail("demo", "--save-dir", mount_point)
    assert "No space left on device" in message
    assert steps.found(mount_point, "20*") == []
    assert [path for path in mount_point.rglob(".*")] == []
    first = {path for path in mount_point.rglob("*")}
    assert steps.fail("demo", "--save-dir", mount_point) == message
    assert {path for path in mount_point.rglob("*")} == first


def test_earlier_results_survive_a_later_step(images, chain, tmp_path):
    """The pipeline that fails at step 3 leaves the files of steps 1 and 2 whole."""
    broken = tmp_path / "images"
    shutil.copytree(images, broken)
    out = tmp_path / "out"
    out.mkdir()
    steps.activations(images, tmp_path, "--split", 0.5)
    tested = steps.load(steps.main_file(tmp_path, "QFA"))["test_filenames"]
    (broken / tested[0]).write_bytes(b"")
    message = steps.pipeline(broken, out, "--split", 0.5, "--k-q", "0..9", "--strict", status=1).stderr
    assert tested[0] in message
    for kind in ("QFA", "TF"):
        assert steps.main_file(out, kind).read_bytes() == steps.main_file(chain, kind).read_bytes()
    steps.assert_nothing_final(out, "E")
    steps.assert_nothing_final(out, "HR")
    assert "failed: " in steps.only(out, "*-E-info.log").read_text()
