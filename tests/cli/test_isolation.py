"""Files are read by another process, filtags-read: what happens when that misbehaves, as one that a file has taken over
would; and --isolate, which has pictures decoded there."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys

import pytest

import moments
import steps

READER = steps.BUILD / "filtags-read"
SOURCE = steps.TESTS.parent / "src"
MAGIC = int(re.search(r"WIRE_MAGIC UINT64_C\((0x\w+)\)", (SOURCE / "base" / "wire.h").read_text()).group(1), 16)
QUESTIONS = re.findall(r"^    HDF5_ASK_(\w+),", (SOURCE / "model" / "hdf5_serve.h").read_text(), re.MULTILINE)

# A reader that passes everything on to the real one, but for what the test puts in. BEHAVIOUR defines any of
# started(), asked(question) and answered(question, answer), the last of which returns what is sent.
FAKE = """#!{python} -IS
import os, signal, socket, struct, subprocess, sys
MAGIC, READER, QUESTIONS, MODE = {magic}, {reader!r}, {questions!r}, {mode!r}
if sys.argv[1] != MODE:
    os.execv(READER, [READER, *sys.argv[1:]])
talk = socket.socket(fileno=0)
def number(*values): return struct.pack("<%dQ" % len(values), *values)
def numbers(payload): return struct.unpack("<%dQ" % (len(payload) // 8), payload[:len(payload) // 8 * 8])
def text(value): return number(len(value)) + value
def send(to, payload): to.sendall(number(MAGIC, len(payload)) + payload)
def receive(source):
    header = source.recv(16, socket.MSG_WAITALL)
    if len(header) < 16: sys.exit(0)
    n = numbers(header)[1]
    return source.recv(n, socket.MSG_WAITALL) if n else b""
def kind(question): return QUESTIONS[numbers(question[:8])[0]]
def crash(): os.kill(os.getpid(), signal.SIGSEGV)
def started(): pass
def asked(question): pass
def answered(question, answer): return answer
{behaviour}
started()
ours, theirs = socket.socketpair()
real = subprocess.Popen([READER, MODE], stdin=theirs, pass_fds=(3,), env=dict(os.environ))
theirs.close()
receive(ours)
talk.sendall(number(MAGIC, 0))
while True:
    question = receive(talk)
    asked(question)
    send(ours, question)
    send(talk, answered(question, receive(ours)))
"""


def is_loose():
    """Whether the build has sanitizers, which a sandbox would not let work."""
    options = json.loads((steps.BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    return next(option["value"] for option in options if option["name"] == "b_sanitize") != "none"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def install(behaviour, mode="hdf5"):
        path = tmp_path / "fake-reader"
        path.write_text(FAKE.format(python=sys.executable, magic=MAGIC, reader=str(READER), questions=QUESTIONS,
                                    mode=mode, behaviour=behaviour))
        path.chmod(0o755)
        monkeypatch.setenv("FILTAGS_READER", str(path))
    return install


@pytest.fixture
def images(tmp_path):
    return steps.make_pictures(tmp_path / "images", {"a": 3, "b": 3})


def variables(folder, kind="QFA"):
    return steps.main_file(folder, kind).read_bytes()


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


# ---------------------------------------------------------------- a reader that ends

@pytest.mark.parametrize("behaviour, message", [
    ("def asked(question): crash()", "its reader crashed (signal 11, Segmentation fault)"),
    ("def asked(question): os.abort()", "its reader crashed (signal 6, Aborted)"),
    ("def asked(question): sys.exit(0)", "its reader ended without an answer"),
    ("def asked(question): os.close(0); signal.pause()", "its reader crashed (signal 9, Killed)"),
    ("def asked(question): os.kill(os.getpid(), signal.SIGXCPU)", "reading it took more than 0.8"),
    ("def asked(question):\n    while True: pass", "reading it took more than 0.8"),
    ("def asked(question):\n    if kind(question) == 'TEXT': crash()", "its reader crashed (signal 11"),
])
def test_a_reader_that_ends(fake, behaviour, message):
    fake(behaviour)
    expected = f"filtags layers: {steps.MODEL_H5}: malformed file: {message}"
    assert steps.fail("layers", steps.MODEL_H5).startswith(expected)


def test_files_that_libhdf5_cannot_read():
    """Made by tools/make_broken_hdf5.py: they make libhdf5 of some release crash or never end."""
    paths = sorted((steps.TESTS / "unit" / "data" / "models").glob("crashes_*_*.h5"))
    assert len(paths) > 1
    for path in paths:
        message = steps.fail("layers", path)
        assert message.startswith(f"filtags layers: {path}: "), path
        if place("FILTAGS_HDF5_VERSION") in path.name and not is_loose():
            assert f"{path}: malformed file: " in message


# ---------------------------------------------------------------- a reader that lies

NO_SENSE = "malformed file: it made its reader give answers that make no sense"


@pytest.mark.parametrize("behaviour", [
    "def asked(question): talk.sendall(number(MAGIC, 1 << 40)); sys.exit(0)",
    "def asked(question): talk.sendall(number(MAGIC + 1, 8, 0))",
    "def answered(question, answer): return b''",
    "def answered(question, answer): return answer[:7]",
    "def answered(question, answer): return answer + b'x'",
    "def answered(question, answer): return number(99) + text(b'message')",
    "def answered(question, answer): return number(3) + number(1 << 60)",
    "def answered(question, answer): return number(3) + text(b'a' * 5000)",
    "def answered(question, answer): return number(3) + text(b'a\\0b')",
], ids=range(9))
def test_malformed_answers(fake, behaviour):
    fake(behaviour)
    assert f"{steps.MODEL_H5}: {NO_SENSE}" in steps.fail("layers", steps.MODEL_H5)


def test_an_answer_that_breaks_off(fake):
    fake("def asked(question): talk.sendall(number(MAGIC, 100) + b'short'); sys.exit(0)")
    assert f"{steps.MODEL_H5}: malformed file: its reader ended without an answer" in steps.fail(
        "layers", steps.MODEL_H5)


def test_a_message_that_would_forge_lines(fake):
    fake("def answered(question, answer): return number(7) + text(b'\\x1b[2J\\nfiltags: all is well')")
    message = steps.fail("layers", steps.MODEL_H5)
    assert message == f"filtags layers: {steps.MODEL_H5}: malformed file: ?[2J?filtags: all is well\n"


@pytest.mark.parametrize("question, lie", [
    ("TEXT", "number(0, 2)"),
    ("TEXT", "number(0, 1) + text(b'{}\\0')"),
    ("TEXT", "number(0, 1, 1 << 63)"),
    ("NAMES", "number(0, 1 << 40)"),
    ("NAMES", "number(0, 2) + text(b'one')"),
    ("NAMES", "number(0, 1) + text(b'a\\0b')"),
    ("LIST", "number(0, 1 << 40)"),
    ("LIST", "answer[:8] + number(numbers(answer[:16])[1] + 1) + answer[16:]"),
    ("LIST", "answer[:8] + number(numbers(answer[:16])[1] - 1) + answer[16:]"),
    ("LIST", "number(0, 1) + text(b'x' * 5000) + number(0, 0, 4, 0, 0, 1)"),
    ("LIST", "number(0, 1) + text(b'x') + number(7, 0, 4, 0, 0, 1)"),               # no such type
    ("LIST", "number(0, 1) + text(b'x') + number(0, 9, *[1] * 9, 4, 0, 0, 1)"),     # too many dimensions
    ("LIST", "number(0, 1) + text(b'x') + number(0, 1, 1 << 32, 0, 0, 0, 1)"),      # too large a one
    ("LIST", "number(0, 1) + text(b'x') + number(0, 3, *[1 << 31] * 3, 0, 0, 0, 1)"), # a product that overflows
    ("LIST", "number(0, 1) + text(b'x') + number(0, 1, 4, 3, 0, 0, 1)"),            # no size of a float
    ("LIST", "number(0, 1) + text(b'x') + number(0, 1, 4, 4, 2, 0, 1)"),            # no byte order
    ("LIST", "number(0, 1) + text(b'x') + number(0, 1, 4, 4, 0, 1 << 40, 1)"),      # behind the file
    ("LIST", "number(0, 1) + text(b'x') + number(0, 1, 4, 4, 0, (1 << 64) - 8, 1)"), # an end that overflows
    ("LIST", "number(0, 1) + text(b'x') + number(0, 1, 4, 0, 0, 0, 0)"),            # pieces of nothing
])
def test_tables_that_make_no_sense(fake, question, lie):
    fake(f"def answered(question, answer): return {lie} if kind(question) == {question!r} else answer")
    assert f"{steps.MODEL_H5}: {NO_SENSE}" in steps.fail("layers", steps.MODEL_H5)


def lie_about_place(change):
    """Behaviour that changes the numbers of LOCATE: [..., value_bytes, is_big_endian, offset, piece_rows]."""
    return f"""
def answered(question, answer):
    if kind(question) != 'LOCATE': return answer
    said = list(numbers(answer))
    {change}
    return number(*said)
"""


@pytest.mark.parametrize("change, message", [
    ("said[-2] = os.fstat(3).st_size - 3", NO_SENSE),
    ("said[3] += 1", "has changed since the model was loaded"),
    ("said[2:3] = [said[2] + 1, 1]", "has changed since the model was loaded"),
    ("said[1] = 1", "has changed since the model was loaded"),
])
def test_wrong_places(fake, images, tmp_path, change, message):
    fake(lie_about_place(change))
    result = steps.activations(images, folder(tmp_path, "out"), model=steps.MODEL_H5, status=1)
    assert f"{steps.MODEL_H5}: " in result.stderr and message in result.stderr
    assert steps.found(tmp_path / "out", "*vars.pkl") == []


def test_values_in_pieces_are_the_same(fake, images, tmp_path):
    """Said not to lie in one piece, values come by the reader's answers."""
    steps.activations(images, folder(tmp_path, "directly"), model=steps.MODEL_H5)
    fake(lie_about_place("said[-4], said[-1] = 0, 2"))
    steps.activations(images, folder(tmp_path, "pieces"), model=steps.MODEL_H5)
    assert variables(tmp_path / "directly") == variables(tmp_path / "pieces")


@pytest.mark.parametrize("lie", ["answer[:-4]", "answer + bytes(4)", "number(0) + text(b'')",
                                 "number(0) + text(answer[16:] + bytes(4))"])
def test_pieces_of_another_size(fake, images, tmp_path, lie):
    fake(lie_about_place("said[-4] = 0").replace(
        "    if kind", f"    if kind(question) == 'ROWS': return {lie}\n    if kind", 1))
    result = steps.activations(images, folder(tmp_path, "out"), model=steps.MODEL_H5, status=1)
    assert f"{steps.MODEL_H5}: {NO_SENSE}" in result.stderr


def test_places_that_overlap_are_harmless(fake, images, tmp_path):
    """All weights at one place: nonsense, but as good as any other values."""
    fake(lie_about_place("said[-2] = 64"))
    result = subprocess.run([steps.FILTAGS, "activations", "--model", steps.MODEL_H5, "--images-dir", images,
                             "--save-dir", folder(tmp_path, "out")], capture_output=True, check=False,
                            timeout=steps.TIMEOUT_SEC)
    assert result.returncode in (0, 1)


# ---------------------------------------------------------------- where the program is

def test_no_reader(monkeypatch):
    monkeypatch.setenv("FILTAGS_READER", "/nowhere/filtags-read")
    assert steps.fail("layers", steps.MODEL) == (
        "filtags layers: the program filtags-read, which reads files for this one, is not there: looked for "
        "/nowhere/filtags-read (FILTAGS_READER names another place)\n")


def test_a_reader_that_is_no_program(monkeypatch, tmp_path):
    path = tmp_path / "reader"
    path.write_text("no program")
    path.chmod(0o755)
    monkeypatch.setenv("FILTAGS_READER", str(path))
    assert f"{path}, which reads files for this program, cannot be started: Exec format error" in steps.fail(
        "layers", steps.MODEL)


@pytest.mark.parametrize("behaviour, message", [
    ("def started(): sys.exit(3)", "cannot start (exit status 3)"),
    ("def started(): crash()", "cannot start (signal 11)"),
    ("def started(): talk.sendall(number(MAGIC + 1, 0))", "is not of this version of filtags"),
])
def test_a_reader_that_does_not_start(fake, tmp_path, behaviour, message):
    fake(behaviour)
    assert f"{tmp_path}/fake-reader, which was to read it, {message}" in steps.fail("layers", steps.MODEL)


def place(name):
    text = next(steps.BUILD.glob("src/base/reader_place.h")).read_text()
    return re.search(rf'{name} "(.*)"', text).group(1)


def test_an_installation_can_be_moved(tmp_path, monkeypatch):
    """libexecdir is found from where the library is; without it the message names all places."""
    monkeypatch.delenv("FILTAGS_READER", raising=False)
    libraries = tmp_path / place("FILTAGS_LIBDIR")
    programs = tmp_path / place("FILTAGS_LIBEXECDIR")
    libraries.mkdir(parents=True)
    shutil.copy(steps.BUILD / "libfiltags.so.0", libraries)
    shutil.copy(steps.FILTAGS, tmp_path / "filtags")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries))
    monkeypatch.setattr(steps, "FILTAGS", str(tmp_path / "filtags"))
    message = steps.fail("layers", steps.MODEL)
    for path in (libraries, programs, pathlib.Path(place("FILTAGS_READER_FOLDER"))):
        assert f"{path}/filtags-read" in message
    programs.mkdir(parents=True, exist_ok=True)
    shutil.copy(READER, programs)
    assert "tagged" in steps.run("layers", steps.MODEL).stdout


def test_a_user_without_rights():
    def can(*words):
        return subprocess.run(words, user=65534, capture_output=True, check=False).returncode == 0
    if os.geteuid() != 0 or not can("cat", str(steps.MODEL_H5)) or not can(steps.FILTAGS, "--version"):
        pytest.skip("run by root, and readable by others")
    assert "tagged" in steps.run("layers", steps.MODEL_H5, user=65534).stdout


# ---------------------------------------------------------------- the process

@pytest.fixture
def reader():
    """The real one, started by hand, after it has said that it is ready."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(["sh", "-c", 'exec "$0" hdf5 3<"$1"', READER, steps.MODEL_H5], stdin=theirs)
    theirs.close()
    assert ours.recv(16, socket.MSG_WAITALL) == struct.pack("<QQ", MAGIC, 0)
    yield process, ours
    process.kill()
    process.wait()
    ours.close()


def test_the_readers_limits(reader):
    process, _ = reader
    of_process = pathlib.Path(f"/proc/{process.pid}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (of_process / "limits").read_text().splitlines()}
    assert limits["Max file size"] == limits["Max open files"] == limits["Max core file size"] == ["0", "0"]
    assert "\nNoNewPrivs:\t1\n" in (of_process / "status").read_text()
    if not is_loose():
        assert int(limits["Max address space"][0]) < 3 << 30
        if "HAVE_SECCOMP" in (steps.BUILD / "compile_commands.json").read_text():
            assert "\nSeccomp:\t2\n" in (of_process / "status").read_text()


def test_the_reader_ends_with_its_parent(reader):
    process, ours = reader
    ours.close()
    assert process.wait(timeout=steps.TIMEOUT_SEC) == 0


def test_the_reader_takes_no_nonsense(reader):
    process, ours = reader
    ours.sendall(struct.pack("<QQ", MAGIC, 8) + struct.pack("<Q", 1)) # a question before OPEN
    header = struct.unpack("<QQ", ours.recv(16, socket.MSG_WAITALL))
    assert b"malformed question" in ours.recv(header[1], socket.MSG_WAITALL)
    ours.sendall(struct.pack("<QQ", MAGIC + 1, 8))
    assert process.wait(timeout=steps.TIMEOUT_SEC) == 0


def test_the_reader_is_not_for_people():
    result = subprocess.run([READER], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert result.returncode == 2 and "filtags, which starts it" in result.stderr


# ---------------------------------------------------------------- --isolate

def damage(images):
    names = sorted(path.name for path in steps.DAMAGED.glob("bad_*") if path.suffix in (".jpg", ".png", ".tif", ".bmp"))
    for name in names:
        shutil.copy(steps.DAMAGED / name, images / "b" / name)
    return len(names)


def test_the_same_result(images, tmp_path):
    """With good pictures of every kind, and with bad ones: bytes of the results, and reasons in the log."""
    assert damage(images) > 40
    for path in steps.DAMAGED.iterdir():
        if path.is_file() and path.suffix in (".jpg", ".png", ".tif", ".bmp", ".ppm"):
            shutil.copy(path, images / "a" / path.name)
    for name, words in (("here", []), ("isolated", ["--isolate"]), ("threads", ["--isolate", "--threads", 3])):
        steps.activations(images, folder(tmp_path, name), "--split", 0, *words)
    expected = variables(tmp_path / "here")
    assert variables(tmp_path / "isolated") == variables(tmp_path / "threads") == expected
    reasons = [sorted(re.sub(r"^\S+ \S+ ", "", line) for line in steps.warnings(tmp_path / name, "QFA"))
               for name in ("here", "isolated", "threads")]
    assert reasons[0] == reasons[1] == reasons[2] and len(reasons[0]) > 40


def test_all_steps_and_pages(images, tmp_path):
    steps.pipeline(images, folder(tmp_path, "here"), "--split", 0.5, "--k-q", "0,2", "--top-images", 1)
    steps.pipeline(images, folder(tmp_path, "isolated"), "--split", 0.5, "--k-q", "0,2", "--top-images", 1, "--isolate")
    for kind in ("QFA", "TF", "E", "HR"):
        assert variables(tmp_path / "here", kind) == variables(tmp_path / "isolated", kind)
    tags = steps.main_file(tmp_path / "here", "TF")
    picture = next((images / "a").iterdir())
    for command, words in (("single-image", [tags, "--classes-img", "a"]), ("visualize", [tags]),
                           ("explain", ["--filtags-file", tags, picture])):
        for name, option in (("one", []), ("other", ["--isolate"])):
            steps.run(command, *words, "--k-q", 2, "--save-dir", folder(tmp_path, f"{command}-{name}"), *option)
        pattern = "*-results.txt" if command == "single-image" else "*.html"
        one, other = (steps.only(tmp_path / f"{command}-{name}", pattern).read_text() for name in ("one", "other"))
        assert re.sub(r"\d{4}-\d\d-\d\d[-T ]\d\d:?\d\d\w*", "", one).replace("-one", "-other") == re.sub(
            r"\d{4}-\d\d-\d\d[-T ]\d\d:?\d\d\w*", "", other)


def test_the_same_from_the_store(images, tmp_path):
    for name in ("first", "second"):
        steps.activations(images, folder(tmp_path, name), "--isolate", "--store", tmp_path / "store")
    steps.activations(images, folder(tmp_path, "here"))
    assert variables(tmp_path / "first") == variables(tmp_path / "second") == variables(tmp_path / "here")


# pictures that do to their decoder what they say
TAKEN_OVER = """
def asked(question):
    word = os.pread(3, 8, 0)
    if word == b'CRASHES.': crash()
    if word == b'IS-SLOW.': os.kill(os.getpid(), signal.SIGXCPU)
    if word == b'ENDS....': sys.exit(0)
def answered(question, answer):
    word = os.pread(3, 8, 0)
    lies = {b'RUBBISH.': b'rubbish', b'TOO-BIG.': number(0, 1 << 20, 1 << 20, 3), b'OVERFLOW': number(0, 1 << 63, 2, 3),
            b'NOTHING.': number(0, 0, 5, 3), b'TWO-CHAN': number(0, 5, 5, 2), b'MORE....': number(0, 1, 1, 1) + b'x',
            b'STOPS...': number(8) + text(b'all is lost')}
    return lies.get(word, answer)
"""
WORDS = ["CRASHES.", "IS-SLOW.", "ENDS....", "RUBBISH.", "TOO-BIG.", "OVERFLOW", "NOTHING.", "TWO-CHAN", "MORE....",
         "STOPS..."]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_pictures_that_take_their_decoder_over(fake, images, tmp_path, n_threads):
    """Each is left out with a reason, and the run ends with the result of one without them."""
    steps.activations(images, folder(tmp_path, "good"), "--split", 0)
    for word in WORDS:
        (images / "a" / f"a-{word.strip('.')}.jpg").write_text(word)
    fake(TAKEN_OVER, "pictures")
    result = steps.activations(images, folder(tmp_path, "bad"), "--split", 0, "--isolate", "--threads", n_threads)
    assert f"{len(WORDS)} of {6 + len(WORDS)} pictures could not be used" in result.stdout
    log = "\n".join(steps.warnings(tmp_path / "bad", "QFA"))
    for word in WORDS:
        assert f"{images}/a/a-{word.strip('.')}.jpg: malformed file: " in log
    assert "its reader crashed (signal 11, Segmentation fault)" in log
    assert "more than 20 s of processor time" in log
    one, other = (steps.load(steps.main_file(tmp_path / name, "QFA")) for name in ("good", "bad"))
    for i in (1, 2):
        assert [a.tobytes() for a in one[f"filter_act_{i}"]] == [a.tobytes() for a in other[f"filter_act_{i}"]]


def test_strict(fake, images, tmp_path):
    (images / "a" / "aCRASHES.jpg").write_text("CRASHES.")
    fake(TAKEN_OVER, "pictures")
    result = steps.activations(images, folder(tmp_path, "out"), "--split", 0, "--isolate", "--strict", status=1)
    assert "aCRASHES.jpg: malformed file: its reader crashed (signal 11" in result.stderr
    assert steps.found(tmp_path / "out", "*vars.pkl") == []


def test_no_decoder_is_no_pictures_fault(fake, images, tmp_path):
    fake("def started(): sys.exit(3)", "pictures")
    result = steps.activations(images, folder(tmp_path, "out"), "--isolate", status=1)
    assert "which was to read it, cannot start (exit status 3)" in result.stderr
    assert "left out" not in result.stderr


def test_a_limit_of_file_sizes(images, tmp_path):
    """It holds for memory that is shared, too; a model doesn't need any."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    steps.activations(images, folder(tmp_path, "here"), preexec_fn=limit)
    result = steps.activations(images, folder(tmp_path, "out"), "--isolate", status=1, preexec_fn=limit)
    assert "takes a limit on file sizes (ulimit -f) of at least 1610612734 bytes, found 1048576" in result.stderr


def test_nothing_outlives_a_killed_run(images, tmp_path, monkeypatch):
    """A reader that waits for questions ends when the program is killed."""
    path = tmp_path / "reader"
    path.write_text(f'#!/bin/sh\necho $$ "$1" >>{tmp_path}/readers\nexec {READER} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("FILTAGS_READER", str(path))
    for i in range(100):
        shutil.copy(next((images / "a").iterdir()), images / "b" / f"copy{i}.png")
    status, _, err = moments.run(["activations", "--model", steps.MODEL, "--images-dir", images, "--isolate",
                                  "--threads", 1, "--batch", 1, "--save-dir", folder(tmp_path, "out"), "--quiet"],
                                 moments.at("open", 50, f"{images}/", signal.SIGKILL))
    assert status == -signal.SIGKILL, err
    readers = [line.split() for line in (tmp_path / "readers").read_text().splitlines()]
    assert [kind for _, kind in readers].count("pictures") == 1
    moments.wait_until(lambda: not any(moments.is_alive(pid) for pid, _ in readers))
