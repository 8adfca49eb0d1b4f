"""What the tests of the steps share: running the program, making pictures, reading what came out."""
import fnmatch
import json
import os
import pathlib
import pickle
import random
import shutil
import struct
import subprocess
import zlib

TESTS = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("FILTAGS_BUILD", TESTS.parent / "build"))
FILTAGS = os.environ.get("FILTAGS", str(BUILD / "filtags"))
MODEL = TESTS / "parity" / "mixed.keras"  # input 40x48x3, 5 outputs, 9 Conv2D layers with 172 filters
MODEL_H5 = TESTS / "parity" / "mixed.h5"
N_FILTERS = [16, 12, 8, 20, 8, 26, 26, 24, 32]
DAMAGED = TESTS / "unit" / "data" / "images"  # the bad_... pictures of the unit tests
TIMEOUT_SEC = 600  # for what takes seconds: against hanging, not a measure of how fast a machine is


class Result:
    """What a run of the program gave."""

    def __init__(self, process):
        self.status = process.returncode
        self.stdout = process.stdout.decode("utf-8", "surrogateescape")
        self.stderr = process.stderr.decode("utf-8", "surrogateescape")


def run(*words, status=0, **options):
    """Run filtags; words may be str, bytes, paths and numbers. The exit status is checked, unless it is None."""
    words = [word if isinstance(word, bytes) else os.fsencode(str(word)) for word in words]
    environment = {**os.environ, "LC_ALL": "C", "TERM": "dumb"}
    process = subprocess.run([FILTAGS, *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=TIMEOUT_SEC, check=False, **options)
    result = Result(process)
    assert status in (None, result.status), f"exit status {result.status}: {result.stderr}"
    return result


def fail(*words, **options):
    """Run filtags, which must fail with status 1 and print no result. Returns its message."""
    result = run(*words, status=1, **options)
    assert result.stdout == "" and result.stderr.startswith(f"filtags {words[0]}: ")
    assert result.stderr.endswith("\n")
    return result.stderr


def activations(images, save_dir, *words, model=MODEL, **options):
    return run("activations", "--model", model, "--preprocess", "unit", "--images-dir", images, "--save-dir", save_dir,
               *words, **options)


def pipeline(images, save_dir, *words, model=MODEL, **options):
    return run("pipeline", "--model", model, "--preprocess", "unit", "--images-dir", images, "--save-dir", save_dir,
               *words, **options)


# ---------------------------------------------------------------- files of a run

def found(folder, pattern):
    names = sorted(name for name in os.listdir(folder) if fnmatch.fnmatch(name, pattern))
    return [pathlib.Path(folder) / name for name in names]


def only(folder, pattern):
    """The only file of that pattern."""
    paths = found(folder, pattern)
    assert len(paths) == 1, f"{pattern}: {[path.name for path in paths]}"
    return paths[0]


def main_file(folder, kind):
    return only(folder, f"*-{kind}-*-vars{1 if kind in ('E', 'SI') else ''}.pkl")


def names_path(path):
    return path.with_name(path.name[:-len(".pkl")] + "-names.pkl")


def load(path):
    """The variables of a -vars.pkl."""
    with open(names_path(path), "rb") as file:
        names = pickle.load(file)
    with open(path, "rb") as file:
        variables = {name: pickle.load(file) for name in names}
        assert file.read() == b""
    return variables


def save(path, variables):
    """Write a -vars.pkl, and its names, as the published scripts would."""
    path.write_bytes(b"".join(pickle.dumps(value, protocol=2) for value in variables.values()))
    names_path(path).write_bytes(pickle.dumps(list(variables), protocol=2))
    return path


def run_json(folder, kind):
    return json.loads(only(folder, f"*-{kind}-*-run.json").read_bytes())


def warnings(folder, kind):
    text = only(folder, f"*-{kind}-warnings.log").read_bytes().decode("utf-8", "surrogateescape")
    return text.splitlines()


def copy_chain(source, to):
    """All files of a run; they name each other by absolute path, but are found by their names."""
    shutil.copytree(source, to)
    return to


def assert_nothing_final(folder, kinds="*"):
    """After a failure: nothing that looks like a result, and nothing hidden but the progress; the logs may stay."""
    names = [name for name in os.listdir(folder) if not fnmatch.fnmatch(name, ".filtags-*.progress")]
    assert [name for name in names if not name.endswith(".log") and fnmatch.fnmatch(name, f"*-{kinds}-*")] == []
    assert [name for name in names if name.startswith(".")] == []


def snapshot(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pathlib.Path(folder).iterdir()}


# ---------------------------------------------------------------- pictures

def noise(seed):
    return random.Random(os.fsencode(str(seed)))


def ppm(seed, width=24, height=20):
    return f"P6 {width} {height} 255\n".encode() + noise(seed).randbytes(3 * width * height)


def png(seed, width=24, height=20):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    generator = noise(seed)
    rows = b"".join(b"\0" + generator.randbytes(3 * width) for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_pictures(folder, classes):
    """Class folders with n pictures each, all different: {class: n}."""
    folder = pathlib.Path(folder)
    for name, n in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            (folder / name / f"{i}.ppm").write_bytes(ppm(f"{name}/{i}"))
    return folder
