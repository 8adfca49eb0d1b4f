"""Every command, with one of the system's calls failing: a clear message, nothing half-written, nothing lost.

faults.c counts and fails the calls. Each command is traced once; then it runs again for each place of the program that
calls the system (told apart by the innermost callers), and for some later calls from there, with that call failing.
FILTAGS_FAULTS=all tries all of these points (half an hour and more), otherwise a sample is tried, the same each time.
"""
import collections
import errno
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import struct
import subprocess
import sys
import threading

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "cli")]
import steps  # noqa: E402
import test_fetch  # noqa: E402

LIBRARY = steps.BUILD / "tests" / "faults" / "faults.so"
FETCH_TOOL = steps.BUILD / "tests" / "cli" / "fetch_tool"
WANTS_ALL = os.environ.get("FILTAGS_FAULTS") == "all"
SAMPLE = 30  # points of a command
LIMIT_SEC = 600  # of processor time and of waiting, for what takes a second: against hanging
KINDS = ["memory", "open", "read", "write", "sync", "resize", "stat", "seek", "lock", "link", "unlink", "folder",
         "close", "map", "thread", "fork"]
STATE_BYTES = 8 * (len(KINDS) + 1) + 32 + 4096

# what each kind of call is made to fail with: "once" that call, "on" that and all later ones
CAUSES = {
    "memory": [("once", "ENOMEM"), ("on", "ENOMEM")],
    "open": [("once", "EIO"), ("on", "EMFILE"), ("on", "ENOSPC")],
    "read": [("once", "EIO"), ("once", "EINTR"), ("once", "short"), ("on", "short")],
    "write": [("on", "ENOSPC"), ("once", "EIO"), ("once", "short"), ("once", "EINTR")],
    "sync": [("once", "EIO"), ("on", "ENOSPC")],
    "resize": [("once", "ENOSPC"), ("once", "EIO")],
    "stat": [("once", "EIO"), ("once", "ENOMEM")],
    "seek": [("once", "EIO")],
    "lock": [("once", "EINTR"), ("once", "ENOLCK")],
    "link": [("once", "EIO"), ("on", "EPERM"), ("on", "ENOSPC")],
    "unlink": [("once", "EIO")],
    "folder": [("once", "EIO"), ("on", "ENOSPC")],
    "close": [("once", "EIO"), ("once", "EINTR")],
    "map": [("once", "ENOMEM"), ("on", "ENOMEM")],
    "thread": [("once", "EAGAIN"), ("on", "EAGAIN")],
    "fork": [("once", "EAGAIN"), ("once", "EINTR")],
}

pytestmark = [
    pytest.mark.skipif(not LIBRARY.exists(), reason="faults.so is not built here"),
    pytest.mark.skipif(b"__asan_init" in pathlib.Path(steps.FILTAGS).read_bytes(), reason="sanitizers preload, too"),
]

SYSTEM = ("/dev/", "/etc/", "/proc/", "/sys/", "/usr/", "/lib", "/var/")

Call = collections.namedtuple("Call", "kind number function place path")
Point = collections.namedtuple("Point", "kind number mode cause")


# ---------------------------------------------------------------- commands

CLASSES = "a Apple\nb Pear\nc Cherry\nd Date\ne Elder\n"


class Command:
    """A command on files of its own. Its results go to a folder that has earlier ones."""

    def __init__(self, root, name, words, program=steps.FILTAGS, env=None, changing=()):
        self.root, self.name, self.words, self.program = root, name, [str(word) for word in words], program
        self.out = root / "out"
        self.changing = list(changing)  # files that a failed run may leave changed: the next one takes them on
        self.env = {**test_fetch.environment(root), **(env or {})}

    def run(self, **variables):
        state = self.root.parent / "state"
        state.write_bytes(bytes(STATE_BYTES))

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SEC, LIMIT_SEC))
        env = {**self.env, "LD_PRELOAD": str(LIBRARY), "FAULTS_STATE": str(state), **variables}
        process = subprocess.run([self.program, *self.words], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                                 timeout=LIMIT_SEC, check=False, preexec_fn=limit, cwd=self.root)
        return steps.Result(process), State(state.read_bytes())

    def trace(self):
        path = self.root.parent / "trace"
        path.unlink(missing_ok=True)
        result, state = self.run(FAULTS_TRACE=str(path))
        assert result.status == 0, result.stderr
        calls = []
        for line in path.read_text(errors="surrogateescape").splitlines():
            kind, number, function, place, file = line.split(" ", 4)
            calls.append(Call(kind, int(number), function, place, file))
        assert len(calls) == sum(state.n_calls.values())
        return calls


class State:
    """What faults.c counted."""

    def __init__(self, contents):
        n = len(KINDS)
        numbers = struct.unpack_from(f"{n + 1}Q", contents)
        self.n_calls, self.n_failed = dict(zip(KINDS, numbers)), numbers[n]
        function, path = struct.unpack_from("32s4096s", contents, 8 * (n + 1))
        self.function = function.split(b"\0")[0].decode()
        self.path = path.split(b"\0")[0].decode(errors="surrogateescape")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Pictures, and the results of all steps."""
    root = tmp_path_factory.mktemp("chain")
    steps.make_pictures(root / "images", {"a": 3, "b": 3})
    (root / "images" / "a" / "0.png").write_bytes(steps.png("a"))
    shutil.copy(steps.TESTS / "unit" / "data" / "images" / "jpeg_420.jpg", root / "images" / "b" / "0.jpg")
    (root / "classes.txt").write_text(CLASSES)
    (root / "out").mkdir()
    steps.pipeline(root / "images", root / "out", "--k-q", "1,5", "--split", 0.5, "--class-index", root / "classes.txt",
                   "--top-images", 2)
    for shard in ("1/2", "2/2"):
        steps.activations(root / "images", root / "out", "--split", 0.5, "--threads", 1, "--shard", shard,
                          "--class-index", root / "classes.txt")
    return root


@pytest.fixture(scope="module")
def server():
    with test_fetch.Server() as running:
        running.files["/small"] = bytes(range(256)) * 200
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield running
        running.shutdown()


def words_of(name, root, server):
    out = root / "out"
    first = ["--model", steps.MODEL, "--preprocess", "unit", "--images-dir", root / "images", "--split", 0.5,
             "--class-index", root / "classes.txt", "--k-q", "1,5"]
    file = {kind: steps.main_file(out, kind) for kind in ("QFA", "TF", "E", "HR")}
    one, to = ["--threads", 1], ["--save-dir", out]
    if name == "fetch":
        contents = server.files["/small"]
        return ["file", f"{server.url}/small", hashlib.md5(contents).hexdigest(), root / "out" / "fetched", 5, 0.01]
    return {
        "activations": ["activations", *first[:-2], *one, *to],
        "activations-h5": ["activations", "--model", steps.MODEL_H5, *first[2:-2], *one, *to],
        "activations-store": ["activations", *first[:-2], *one, *to, "--store", root / "store", "--top-images", 2],
        "activations-threads": ["activations", *first[:-2], "--threads", 3, "--batch", 1, *to],
        "tag": ["tag", file["QFA"], "--k-q", "1,5", *to],
        "evaluate": ["evaluate", file["TF"], "--k-q", "1,5", *one, *to],
        "evaluate-store": ["evaluate", file["TF"], "--k-q", "1,5", *one, *to, "--store", root / "store"],
        "hitrates": ["hitrates", file["E"], *to],
        "decode": ["decode", file["TF"], "--class-index", root / "classes.txt", *to],
        "visualize": ["visualize", file["TF"], *to],
        "plot-hitrates": ["plot-hitrates", file["HR"], *to],
        "single-image": ["single-image", file["TF"], "--classes-img", 1, "--k-q", "1,5", *one, *to],
        "explain": ["explain", "--filtags-file", file["TF"], "--k-q", "1,5", *one, *to,
                    root / "images" / "a" / "1.ppm"],
        "merge": ["merge", *steps.found(out, "*-QFA-*.part"), *to],
        "export": ["export", file["TF"]],
        "export-json": ["export", file["HR"], "--format", "json"],
        "layers": ["layers", steps.MODEL_H5],
        "networks": ["networks"],
        "pipeline": ["pipeline", *first, *one, *to],
        "demo": ["demo", *one, *to],
    }[name]


COMMANDS = ["activations", "activations-h5", "activations-store", "activations-threads", "tag", "evaluate",
            "evaluate-store", "hitrates", "decode", "visualize", "plot-hitrates", "single-image", "explain", "merge",
            "export", "export-json", "layers", "networks", "pipeline", "demo", "fetch"]


@pytest.fixture
def command(request, chain, server, tmp_path):
    root = tmp_path / "here"
    shutil.copytree(chain, root)
    name = request.param
    program = FETCH_TOOL if name == "fetch" else steps.FILTAGS
    changing = {"fetch": [root / "out" / "fetched.part"]}.get(name, [root / "store"] if "store" in name else [])
    return Command(root, name, words_of(name, root, server), program, changing=changing)


# ---------------------------------------------------------------- files before and after

def list_files(root):
    found = {}
    for folder, folders, files in os.walk(root):
        for name in files + folders:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            is_folder = name in folders
            found[path] = (info.st_ino, None if is_folder else info.st_size, None if is_folder else info.st_mtime_ns)
    return found


RUN_ID = re.compile(rb"\d{4}-\d\d-\d\d-\d{4}[b-z]*")


def normalized_name(path):
    return RUN_ID.sub(b"RUN", os.fsencode(path)).decode(errors="surrogateescape")


def without_times(text):
    """Text of a run without what differs between two: runIDs, times, speeds; and the temporary name of a failure."""
    text = RUN_ID.sub(b"RUN", text)
    text = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"TIME", text)
    text = re.sub(rb"[\d.]+ (s\b|pictures/s|h\b|min\b)", rb"N \1", text)
    return re.sub(rb"about .*", b"about", text)


def contents(path):
    """What a file says, times aside."""
    bytes_ = pathlib.Path(path).read_bytes()
    if path.endswith("-run.json"):
        record = json.loads(bytes_)
        for name in ("started", "finished", "timings_sec", "run_id", "elapsed_sec"):
            record.pop(name, None)
        return without_times(json.dumps(record, sort_keys=True).encode())
    return without_times(bytes_) if path.endswith((".txt", ".html", ".log")) else bytes_


class Reference:
    """What an undisturbed run gives."""

    def __init__(self, command):
        self.before = list_files(command.root)
        self.changing = {str(path): path.read_bytes() if path.exists() else None for path in command.changing}
        result, _ = command.run()
        assert result.status == 0, result.stderr
        self.stdout = without_times(os.fsencode(result.stdout))
        self.stderr = without_times(os.fsencode(result.stderr))
        self.files = {normalized_name(path): contents(path) for path in self.new_files(command)}
        self.folders = {path for path in list_files(command.root) if os.path.isdir(path)}
        self.restore(command)

    def new_files(self, command):
        return [path for path in list_files(command.root)
                if path not in self.before and path not in self.changing and not os.path.isdir(path)]

    def restore(self, command):
        """As it was before the run."""
        for path in sorted(list_files(command.root), reverse=True):
            if path in self.before or path in self.changing:
                continue
            if os.path.isdir(path):
                os.rmdir(path)
            else:
                os.unlink(path)
        for path, bytes_ in self.changing.items():
            if bytes_ is not None:
                pathlib.Path(path).write_bytes(bytes_)
            elif os.path.exists(path):
                os.unlink(path)


# ---------------------------------------------------------------- what must hold

def cause_text(point):
    return "out of memory" if point.kind == "memory" else os.strerror(getattr(errno, point.cause))


def shown_name(path):
    """A file's name as messages have it: of the final one, where the failing one is temporary."""
    name = os.path.basename(path.removesuffix(" (deleted)"))
    match = re.fullmatch(r"\.(.+)\.\w{6}", name)
    name = match[1] if match else name
    return "scratch file" if name.endswith("-scratch") else name


def is_of_hdf5(state, message):
    """libhdf5 keeps to itself why it failed: the file is all that can be told."""
    return ".h5" in state.path + message


def problems_of_message(command, point, state, result):
    is_tool = command.name == "fetch"
    text = result.stdout if is_tool else result.stderr
    lines = text.splitlines()
    if not lines:
        return ["fails without a message"]
    message = lines[-1]
    found = []
    if not is_tool and any(not line.startswith(f"filtags {command.words[0]}: ") for line in lines):
        found.append(f"stderr has other lines: {text!r}")
    if not is_tool and (result.stdout or message.startswith(f"filtags {command.words[0]}: warning: ")):
        found.append(f"results or a warning at the end: {text!r}")
    # a program cannot be started without memory: the system's words
    is_told = point.cause == "short" or cause_text(point) in message
    is_told |= point.kind == "memory" and os.strerror(errno.ENOMEM) in message
    if not is_told and not is_of_hdf5(state, message):
        found.append(f"no {cause_text(point)!r} in {message!r}")
    # a full disk shows wherever the next buffer is written
    if point.mode == "once" and state.path.startswith("/") and shown_name(state.path) not in message:
        found.append(f"no {shown_name(state.path)!r} in {message!r}")
    return found


def is_progress(path):
    return os.path.basename(path).startswith(".filtags-") and path.endswith(".progress")


def problems_of_failure(command, reference, state):
    """After exit status 1: logs, whole files of a part that was done, and what the next run goes on from, are all that
    may have come."""
    found = []
    for path in reference.new_files(command):
        name = os.path.basename(path)
        if name.endswith(("-info.log", "-warnings.log")) or is_progress(path):
            continue
        if name.startswith("."):
            if state.function != "unlink":
                found.append(f"left over: {name}")
        elif reference.files.get(normalized_name(path)) != contents(path):
            found.append(f"partial: {name}")
    return found


def is_left_out(command, reference, point, state):
    """A picture that can't be read is left out, and a page is made without what can't be had: that is no failure, but
    the log has to say so, and why."""
    is_picture = state.path.startswith(str(command.root / "images"))
    if point.kind == "memory" or (is_picture and point.cause in ("EMFILE", "ENOMEM")):
        return False
    cause = "" if point.cause == "short" else cause_text(point)
    logs = [path for path in reference.new_files(command) if path.endswith("-warnings.log")]
    return any(os.path.basename(state.path) in line and cause in line for path in logs
               for line in pathlib.Path(path).read_text().splitlines())


def problems_of_success(command, reference, point, state, result):
    """After exit status 0: everything as without the failure."""
    if is_left_out(command, reference, point, state):
        return []
    found = []
    files = {normalized_name(path): contents(path) for path in reference.new_files(command)}
    if state.function == "unlink": # nothing could take the temporary name away
        files = {name: value for name, value in files.items() if not os.path.basename(name).startswith(".")}
    for name in sorted(files.keys() | reference.files.keys()):
        if files.get(name) != reference.files.get(name):
            found.append(f"succeeds with another {os.path.basename(name)}: "
                         f"{str(files.get(name))[:300]} for {str(reference.files.get(name))[:300]}")
    if command.name != "fetch" and without_times(os.fsencode(result.stdout)) != reference.stdout:
        found.append(f"succeeds with another stdout: {result.stdout}")
    return found


def try_point(command, reference, point):
    """Run with one failure. Returns what is wrong."""
    cause = point.cause if point.cause == "short" else getattr(errno, point.cause)
    try:
        result, state = command.run(FAULTS=f"{point.kind} {point.number} {point.mode} {cause}")
    except subprocess.TimeoutExpired:
        return ["hangs"]
    if state.n_failed == 0:
        return []  # with several threads calls are not the same each time
    if result.status == 0:
        found = problems_of_success(command, reference, point, state, result)
    elif result.status == 1:
        found = problems_of_message(command, point, state, result) + problems_of_failure(command, reference, state)
    else:
        found = [f"exit status {result.status}: {result.stderr!r}"]
    after = list_files(command.root)
    for path, before in reference.before.items():
        if path not in reference.changing and after.get(path) != before:
            found.append(f"an earlier file was changed: {path}")
    text = result.stdout + result.stderr
    if any(ord(c) < 32 and c != "\n" for c in text):
        found.append(f"control characters: {text!r}")
    return [f"{state.function} of {state.path!r}: {problem}" for problem in found]


def repeat(command, reference):
    """The same command, undisturbed, where the failed run left things as they are."""
    is_resumed = False
    for path in reference.new_files(command):
        is_resumed |= is_progress(path)
        if not path.endswith(".log") and not is_progress(path):
            os.unlink(path)
    logs = set(reference.new_files(command))
    result, _ = command.run()
    if result.status != 0:
        return [f"the next run fails: {result.stderr!r}"]
    files = {normalized_name(path): contents(path) for path in reference.new_files(command) if path not in logs}
    differing = [name for name in reference.files if files.get(name) != reference.files[name]]
    # what it took from the store, or was done already, it says
    if is_resumed or reference.changing:
        differing = [name for name in differing if not name.endswith((".log", "-run.json"))]
    return [f"the next run gives another {name}" for name in differing]


# ---------------------------------------------------------------- points

def all_points(calls):
    """Every place where a call is made from, with each cause; and later calls from there with the first one."""
    places = collections.defaultdict(list)
    for call in calls:
        if not call.path.startswith(SYSTEM): # which libraries read for themselves
            places[call.kind, call.function, call.place].append(call.number)
    first, later = [], []
    paths = {call.number: call.path for call in calls if call.kind == "close"}
    for (kind, function, place), numbers in places.items():
        for mode, cause in CAUSES[kind]:
            if kind == "close" and paths[numbers[0]].endswith(".h5"):
                continue  # libhdf5 1.10 crashes where a file that it read can't be closed
            if cause == "ENOSPC" and kind == "open" and function != "mkstemp":
                continue
            if cause == "EINTR" and function == "fork":
                continue
            first.append(Point(kind, numbers[0], mode, cause))
        if len(numbers) > 1:
            mode, cause = CAUSES[kind][0]
            later.extend(Point(kind, number, mode, cause) for number in {numbers[len(numbers) // 2], numbers[-1]})
    return first, later


def chosen_points(command, calls):
    first, later = all_points(calls)
    generator = random.Random(command.name)
    if WANTS_ALL:
        n_later = 300
    else: # of each kind some
        generator.shuffle(first)
        by_kind = collections.Counter()
        first.sort(key=lambda point: (by_kind.update([point.kind]), by_kind[point.kind])[1])
        first, n_later = first[:SAMPLE // 6 if command.name == "demo" else SAMPLE], 5
    return first + generator.sample(later, min(n_later, len(later)))


@pytest.mark.parametrize("command", COMMANDS, indirect=True)
def test_each_failure(command):
    reference = Reference(command)
    calls = command.trace()
    reference.restore(command)
    found = []
    points = chosen_points(command, calls)
    for i, point in enumerate(points):
        problems = try_point(command, reference, point)
        is_changed = any((pathlib.Path(path).read_bytes() if os.path.exists(path) else None) != bytes_
                         for path, bytes_ in reference.changing.items())
        is_changed |= any(map(is_progress, reference.new_files(command)))
        if is_changed or i % 40 == 0 or i == len(points) - 1:
            problems += repeat(command, reference)
        found += [f"{point}: {problem}" for problem in problems]
        reference.restore(command)
    if WANTS_ALL:
        print(f"\n{command.name}: {len(points)} points of {len(calls)} calls, {len(found)} problems", *found, sep="\n")
    assert not found, f"{len(found)} of {len(points)} points:\n" + "\n".join(found)
