"""Folders of pictures as strangers have them: names, links, devices, rights, loops; folders that change meanwhile."""
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import moments
import steps

NOBODY = 65534


@pytest.fixture
def images(tmp_path):
    return steps.make_pictures(tmp_path / "images", {"a": 3, "b": 3})


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def listed(images):
    """What counts as a picture, as Python sees it: {class: [file]}."""
    endings = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
    found = {}
    for name in os.listdir(images):
        folder = os.path.join(images, name)
        if os.path.isdir(folder):
            files = [file for file in os.listdir(folder)
                     if file.lower().endswith(endings) and not os.path.isdir(os.path.join(folder, file))]
            if files:
                found[name] = files
    return found


def check_run(images, out, result):
    """Every listed picture is in the lists or in the warnings log, with a reason; all files are sound."""
    variables = steps.load(steps.main_file(out, "QFA"))
    record = steps.run_json(out, "QFA")
    log = steps.warnings(out, "QFA")
    good = set(variables["train_filenames"]) | set(variables["test_filenames"])
    n_bad = 0
    for name, files in listed(images).items():
        for file in files:
            if f"{name}/{file}" in good:
                continue
            n_bad += 1
            shown = printable(f"{name}/{file}")
            lines = [line for line in log if f"/{shown}: " in line]
            assert len(lines) == 1 and lines[0].endswith(" (the picture is left out)"), (shown, log)
            reason = lines[0].split(f"/{shown}: ")[1]
            assert len(reason) > len(" (the picture is left out)") + 5, lines
    assert record["counts"]["n_pictures_bad"] == n_bad and record["n_warnings"] == len(log)
    check_text(result.stdout + result.stderr)
    return variables, log


def printable(text):
    """As messages show it: control characters become question marks, one for each byte."""
    shown = bytearray()
    raw = os.fsencode(text)
    for c in text:
        code = ord(c)
        bytes_ = os.fsencode(c)
        is_control = code < 32 or code == 127 or 128 <= code < 160 or 0xdc80 <= code < 0xdca0
        shown += b"?" * len(bytes_) if is_control else bytes_
    assert len(shown) == len(raw)
    return bytes(shown).decode("utf-8", "surrogateescape")


def check_text(text):
    """Nothing that would drive a terminal."""
    bad = [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or 0xdc80 <= ord(c) < 0xdca0]
    assert not bad, repr(text)


# ---------------------------------------------------------------- names

NAMES = [b"new\nline", b"tab\tand\rreturn", b"\x01\x02\x1b[31mred\x07", b"up..and..down", b"..hidden", b"...",
         b"-rf", b"--save-dir=x", b"latin1-\xe4\xf6\xfc", b"cut-utf8-\xe6\x97", b"c1-\xc2\x9b31m-and-raw-\x9b31m",
         b"x" * 250, "\u202ertl \U0001f41f e\u0301".encode(), b" ", b"*?[a-z]", b"$(reboot)", b"C:\\a", b"Upper",
         b"upper", b"UPPER"]


def test_names_come_back_and_do_no_harm(tmp_path, out):
    images = os.fsencode(str(tmp_path)) + b"/images"
    for i, name in enumerate(NAMES):
        os.makedirs(images + b"/" + name)
        for kind, bytes_ in ((b"good.ppm", steps.ppm(i)), (b"bad.PNG", b"none")):
            with open(images + b"/" + name + b"/" + name[:240] + kind, "wb") as file:
                file.write(bytes_)
    result = steps.activations(images, out, "--split", 0, "--verbose")
    variables, log = check_run(os.fsdecode(images), out, result)
    classes = [os.fsdecode(name) for name in sorted(NAMES)]
    assert list(variables["labels_id"].values()) == classes
    expected = {os.fsdecode(name + b"/" + name[:240] + b"good.ppm") for name in NAMES}
    assert set(variables["train_filenames"]) == expected and len(log) == len(NAMES)


def test_longest_names(tmp_path, out):
    """255 bytes each, in a folder so deep that some paths are longer than the system takes."""
    images = str(tmp_path / "images")
    while len(images) < 3500:
        images += "/" + "d" * 240
    for name in ("c" * 255, "d"):
        os.makedirs(f"{images}/{name}")
    folder = os.open(f"{images}/d", os.O_RDONLY)
    (pathlib.Path(images) / "d" / "short.ppm").write_bytes(steps.ppm(1))
    (pathlib.Path(images) / "d" / ("e" * 251 + ".ppm")).write_bytes(steps.ppm(2))
    (pathlib.Path(images) / "d" / ("f" * 251 + ".png")).write_bytes(b"")
    os.close(folder)
    folder = os.open(f"{images}/{'c' * 255}", os.O_RDONLY)
    for name in ("g" * 251 + ".ppm", "h.ppm"):
        file = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder)
        os.write(file, steps.ppm(name))
        os.close(file)
    os.close(folder)
    result = steps.activations(images, out, "--split", 0)
    variables = steps.load(steps.main_file(out, "QFA"))
    log = steps.warnings(out, "QFA")
    too_long = [name for name in (f"{'c' * 255}/{'g' * 251}.ppm", f"{'c' * 255}/h.ppm", f"d/{'e' * 251}.ppm",
                                  "d/short.ppm") if len(f"{images}/{name}") >= 4096]
    assert len(variables["train_filenames"]) == 4 - len(too_long)
    for name in too_long:
        assert any(f"/{name}: " in line and "File name too long" in line for line in log)
    assert any(f"/{'f' * 251}.png: a picture expected, the file is empty" in line for line in log)
    assert f"{len(too_long) + 1} of 5 pictures could not be used" in result.stdout


def test_same_name_but_for_case(images, out):
    for name in ("x.PPM", "X.ppm", "x.ppm"):
        (images / "a" / name).write_bytes(steps.ppm(name))
    (images / "A").mkdir()
    (images / "A" / "x.ppm").write_bytes(steps.ppm("A"))
    variables, _ = check_run(images, out, steps.activations(images, out, "--split", 0))
    assert variables["labels_id"] == {1: "A", 2: "a", 3: "b"}
    assert {"a/x.PPM", "a/X.ppm", "a/x.ppm", "A/x.ppm"} <= set(variables["train_filenames"])


def test_odd_save_dir_and_class_index(images, tmp_path):
    """A chain through names with a newline, a dash in front and bytes that aren't UTF-8."""
    save_dir = os.fsencode(str(tmp_path)) + b"/-out\n\xff"
    index = os.fsencode(str(tmp_path)) + b"/-index\t\xfe.txt"
    os.mkdir(save_dir)
    with open(index, "wb") as file:
        file.write(b"a Apple\nb Pear\nc C\nd D\ne E\n")
    steps.pipeline(images, save_dir, "--k-q", 1, "--class-index", index)
    folder = os.fsdecode(save_dir)
    assert bytes.fromhex(steps.run_json(folder, "QFA")["network"]["class_index"]["hex"]) == index
    steps.run("tag", steps.main_file(folder, "QFA"), "--save-dir", tmp_path, "--k-q", 1)
    assert steps.main_file(tmp_path, "TF").read_bytes() == steps.main_file(folder, "TF").read_bytes()


# ---------------------------------------------------------------- what is no picture

def test_links_devices_and_pipes(images, tmp_path, out):
    folder = images / "a"
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    targets = {"to_pipe.png": tmp_path / "pipe", "zero.png": "/dev/zero", "null.ppm": "/dev/null",
               "tty.bmp": "/dev/tty", "full.tif": "/dev/full", "nowhere.jpeg": "nowhere", "self.png": "self.png",
               "one.png": "two.png", "two.png": "one.png", "proc.jpg": "/proc/self/mem", "maps.jpg": "/proc/self/maps",
               "folder.png": tmp_path / "folder"}
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    (images / "loop").symlink_to("loop")
    (images / "up").symlink_to("..")
    (images / "itself").symlink_to(".")
    (images / "file").write_bytes(steps.ppm(1))
    (images / "file.png").write_bytes(steps.png(1))
    (images / "pipe").symlink_to(tmp_path / "pipe")
    (images / "empty").mkdir()
    (images / "a.png").mkdir()
    variables, log = check_run(images, out, steps.activations(images, out, "--split", 0))
    assert len(log) == len(targets) - 1 + 1, "the link to a folder is none, the pipe is one"
    assert any("/a/zero.png: a regular file expected, found a special file" in line for line in log)
    assert set(variables["labels_id"].values()) == {"a", "b", "itself"}, "a folder that links to itself has file.png"
    assert "itself/file.png" in variables["train_filenames"]


def test_class_folder_that_is_a_file(tmp_path, out):
    images = tmp_path / "images"
    images.mkdir()
    (images / "a").write_bytes(steps.ppm(1))
    message = steps.fail("activations", "--model", steps.MODEL, "--images-dir", images, "--save-dir", out)
    assert f"{images}: one folder per class with " in message and "found no picture" in message
    assert os.listdir(out) == []


@pytest.mark.parametrize("command", ["activations", "pipeline"])
def test_every_picture_damaged(images, out, command):
    for path in images.glob("*/*"):
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    message = steps.run(command, "--model", steps.MODEL, "--images-dir", images, "--save-dir", out, status=None)
    assert message.status in (0, 1) and "Traceback" not in message.stderr
    check_text(message.stderr)
    if message.status == 1:
        assert "class" in message.stderr.splitlines()[-1]


# ---------------------------------------------------------------- rights

@pytest.fixture
def anyones(tmp_path):
    """A folder that another user gets at, with the program in it."""
    if os.geteuid() == 0:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="filtags-"))
        folder.chmod(0o755)
    else:
        folder = tmp_path
    yield folder
    if folder != tmp_path:
        shutil.rmtree(folder)


def as_nobody():
    if os.geteuid() != 0:
        return {}
    return {"preexec_fn": lambda: (os.setgroups([]), os.setgid(NOBODY), os.setuid(NOBODY))}


def run_as_nobody(folder, *words, status):
    """Run with the rights of nobody, or skip where the program can't be reached with them."""
    try:
        can_run = subprocess.run([steps.FILTAGS, "--version"], capture_output=True, check=False, **as_nobody())
    except (PermissionError, subprocess.SubprocessError):
        can_run = None
    if can_run is None or can_run.returncode != 0:
        pytest.skip("the program can't be reached by another user")
    return steps.run(*words, status=status, cwd=folder, **as_nobody())


def test_unreadable_files_and_folders(anyones):
    images = steps.make_pictures(anyones / "images", {"a": 3, "b": 3})
    model = shutil.copy(steps.MODEL, anyones / "m.keras")
    out = anyones / "out"
    out.mkdir()
    out.chmod(0o777)
    os.chmod(model, 0o644)
    (images / "a" / "1.ppm").chmod(0)
    words = ["activations", "--model", model, "--images-dir", images, "--save-dir", out, "--split", 0]
    result = run_as_nobody(anyones, *words, status=0)
    assert "1 of 6 pictures could not be used" in result.stdout
    (line,) = steps.warnings(out, "QFA")
    assert line == f"{images}/a/1.ppm: cannot be opened: Permission denied (the picture is left out)"
    before = steps.snapshot(out)
    try:
        for path, reason in ((images / "b", "the folder cannot be read: Permission denied"),
                             (images, "the folder cannot be read: Permission denied"),
                             (pathlib.Path(model), "cannot be opened: Permission denied")):
            mode = path.stat().st_mode
            path.chmod(0)
            message = run_as_nobody(anyones, *words, status=1).stderr
            path.chmod(mode)
            assert message == f"filtags activations: {path}: {reason}\n"
        images.chmod(0o444)  # names may be read, files not reached
        message = run_as_nobody(anyones, *words, status=1).stderr
        assert f"{images}" in message
    finally:
        images.chmod(0o755)
    assert steps.snapshot(out) == before


# ---------------------------------------------------------------- a folder that changes meanwhile

def change_during_run(images, out, change):
    """Stop the program once it has listed the pictures and read some, change the folder, let it go on."""
    words = ["activations", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", images, "--save-dir", out,
             "--split", 0, "--threads", 2, "--batch", 1]
    with moments.start(words, moments.at("open", 50, f"{images}/", signal.SIGSTOP)) as process:
        moments.wait_until_stopped(process.pid)
        change()
        process.send_signal(signal.SIGCONT)
        stdout, stderr = process.communicate(timeout=steps.TIMEOUT_SEC)
    return subprocess.CompletedProcess(words, process.returncode, stdout.decode(), stderr.decode())


@pytest.fixture
def many(tmp_path):
    return steps.make_pictures(tmp_path / "many", {"a": 600, "b": 600, "c": 600})


def test_pictures_that_vanish_appear_and_change(many, out):
    names = [f"{name}/{i}.ppm" for name in "abc" for i in range(600)]
    generator = random.Random(1)
    generator.shuffle(names)
    vanish, garbage, shrink, new = names[:400], names[400:800], names[800:1200], names[1200:]

    def change():
        for name in vanish:
            (many / name).unlink()
        for name in garbage:
            (many / name).write_bytes(b"P6 garbage")
        for name in shrink:
            os.truncate(many / name, 200)
        for name in new:
            (many / name).with_suffix(".png").write_bytes(steps.png(name))
    result = change_during_run(many, out, change)
    assert result.returncode == 0, result.stderr
    check_text(result.stdout + result.stderr)
    variables = steps.load(steps.main_file(out, "QFA"))
    log = steps.warnings(out, "QFA")
    good = variables["train_filenames"]
    assert len(good) + len(log) == len(names) and set(good) <= set(names)
    assert set(new) <= set(good) and len(log) >= 100, "some were still to be read"
    for name in set(names) - set(good):
        assert sum(f"/{name}: " in line for line in log) == 1
    assert any("No such file or directory" in line for line in log)
    assert steps.run_json(out, "QFA")["counts"]["n_pictures_bad"] == len(log)


def test_folder_that_vanishes(many, out):
    result = change_during_run(many, out, lambda: shutil.rmtree(many))
    log = steps.warnings(out, "QFA")
    assert result.returncode in (0, 1) and len(log) > 100
    assert result.returncode == 0 or result.stderr.splitlines()[-1].startswith("filtags activations: ")
    check_text(result.stdout + result.stderr)


def test_class_folder_replaced_by_other_things(many, tmp_path, out):
    def change():
        shutil.rmtree(many / "a")
        (many / "a").write_bytes(b"")
        shutil.rmtree(many / "b")
        (many / "b").symlink_to("/proc")
        shutil.rmtree(many / "c")
        (many / "c").symlink_to("c")
    result = change_during_run(many, out, change)
    log = steps.warnings(out, "QFA")
    assert result.returncode in (0, 1) and len(log) > 100
    assert any("/a/" in line and "Not a directory" in line for line in log)
    assert any("/c/" in line and "Too many levels of symbolic links" in line for line in log)


def test_folder_that_never_rests(many, out):
    """Files come, go and change all the time that a pipeline runs."""
    words = ["pipeline", "--model", steps.MODEL, "--preprocess", "unit", "--images-dir", many, "--save-dir", out,
             "--k-q", 1, "--split", 0.5]
    generator = random.Random(2)
    with subprocess.Popen([steps.FILTAGS, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for i in range(20000):
            if process.poll() is not None:
                break
            path = many / generator.choice("abc") / f"{generator.randrange(200)}.ppm"
            if generator.random() < 0.5:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(steps.ppm(i)[:generator.choice((0, 100, 10000))])
        stdout, stderr = process.communicate(timeout=steps.TIMEOUT_SEC)
    assert process.returncode in (0, 1), stderr
    check_text((stdout + stderr).decode())
    if process.returncode == 1:
        assert stderr.decode().splitlines()[-1].startswith("filtags pipeline: ")
        assert [name for name in os.listdir(out) if name.startswith(".") and not name.endswith(".progress")] == []
    for path in steps.found(out, "*-run.json"):
        json.loads(path.read_bytes())


# ---------------------------------------------------------------- terminal

def test_terminal_gets_no_commands_from_names(tmp_path, out):
    images = os.fsencode(str(tmp_path)) + b"/im\x1b]0;title\x07ages"
    for name in (b"\x1b[2J", b"\xc2\x9b2J", b"\x9b2J", b"a\rb", b"a\x08b"):
        os.makedirs(images + b"/" + name)
        with open(images + b"/" + name + b"/\x1b[31m.png", "wb") as file:
            file.write(b"none")
    with open(images + b"/a\rb/good.ppm", "wb") as file:
        file.write(steps.ppm(1))
    main, terminal = pty.openpty()
    words = [b"activations", b"--model", os.fsencode(str(steps.MODEL)), b"--images-dir", images, b"--save-dir",
             os.fsencode(str(out)), b"--split", b"0", b"--verbose"]
    with subprocess.Popen([steps.FILTAGS, *words], stdin=terminal, stdout=terminal, stderr=terminal,
                          env={**os.environ, "TERM": "xterm", "LC_ALL": "C"}) as process:
        os.close(terminal)
        printed = b""
        while True:
            try:
                block = os.read(main, 65536)
            except OSError:
                break
            if not block:
                break
            printed += block
        process.wait(steps.TIMEOUT_SEC)
    os.close(main)
    assert process.returncode == 0, printed
    rest = re.sub(rb"\r\n|\r|\x1b\[K", b"\n", printed)  # the program's own
    check_text(rest.decode("utf-8", "surrogateescape"))
    assert b"2J" in rest and b"31m.png" in rest


def test_layer_names_with_control_characters(tmp_path):
    """A network of a stranger's: its layers' names get to the terminal, too."""
    import zipfile
    model = tmp_path / "m.keras"
    with zipfile.ZipFile(steps.MODEL) as source, zipfile.ZipFile(model, "w") as target:
        for entry in source.namelist():
            bytes_ = source.read(entry)
            if entry == "config.json":
                assert b'"stem_conv"' in bytes_
                bytes_ = bytes_.replace(b'"stem_conv"', b'"st\\u001b[31m\\u009b2J"')
            target.writestr(entry, bytes_)
    result = steps.run("layers", model, status=None)
    assert result.status in (0, 1)
    check_text(result.stdout + result.stderr)
