"""Run the program as a user does, and compare what it prints.

Each folder of cases/ is a test: `command` is a shell script, `stdout`, `stderr` and `status` what it is expected to
give (a missing file: nothing, or 0). In the expected text {...} stands for anything within a line, and alone on a
line for any number of lines. The command runs in an empty folder of its own; in it $FILTAGS is the program and $DATA
the folder tests/.

pytest tests/cli --regenerate writes the expected files anew where they don't match.
"""
import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
CASES = sorted(path.parent for path in (HERE / "cases").glob("*/command"))
FILTAGS = os.environ.get("FILTAGS", str(HERE.parents[1] / "build" / "filtags"))
TIMEOUT_SEC = 600

# what differs from run to run, and is written as {...}
RUN_DEPENDENT = [
    r"\b\d{4}-\d\d-\d\d-\d{4}[b-z]*\b",          # runID
    r"\b\d+\.\d+(?= (?:s|ms|MB/s|pictures/s)\b)", # timings
    r"(?<=filtags )\d+\.\d+\.\d+",                # version
]


def matches(pattern, text):
    expression = ""
    for line in pattern.splitlines(keepends=True):
        if line.rstrip("\n") == "{...}":
            expression += r"(?:.*\n)*?"
        else:
            expression += r"[^\n]*?".join(map(re.escape, line.split("{...}")))
    return re.fullmatch(expression, text) is not None


def generalize(text):
    for expression in RUN_DEPENDENT:
        text = re.sub(expression, "{...}", text)
    return text


def run(case, folder):
    assert os.access(FILTAGS, os.X_OK), f"{FILTAGS} is missing: ./dev build makes it"
    environment = {**os.environ, "FILTAGS": FILTAGS, "DATA": str(HERE.parent), "LC_ALL": "C", "TERM": "dumb",
                   "HOME": str(folder)}
    result = subprocess.run(["sh", str(case / "command")], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_SEC, check=False)
    texts = [stream.decode("utf-8", "backslashreplace") for stream in (result.stdout, result.stderr)]
    return {"stdout": texts[0], "stderr": texts[1], "status": f"{result.returncode}\n"}


def read_expected(case, name):
    path = case / name
    return path.read_text(encoding="utf-8") if path.exists() else ("0\n" if name == "status" else "")


def write_expected(case, name, text):
    path = case / name
    text = generalize(text)
    if text == ("0\n" if name == "status" else ""):
        path.unlink(missing_ok=True)
    else:
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case, tmp_path, request):
    actual = run(case, tmp_path)
    if request.config.getoption("--regenerate"):
        for name, text in actual.items():
            if not matches(read_expected(case, name), text):
                write_expected(case, name, text)
    for name in ("stderr", "stdout", "status"):
        expected = read_expected(case, name)
        assert matches(expected, actual[name]), (
            f"{case.name}: {name}\n--- expected\n{expected}--- found\n{actual[name]}--- stderr\n{actual['stderr']}")
