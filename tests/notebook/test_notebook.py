"""filTagsDEMO.ipynb: run as a user would, its outputs against the committed ones; where it gets the program from."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "cli")]

import steps  # noqa: E402

try:
    import nbconvert  # noqa: F401
    import nbformat
    import make_notebook
except ImportError as error:
    pytest.skip(f"the notebook's tests need {error.name}", allow_module_level=True)

NOTEBOOK = make_notebook.NOTEBOOK
TIMEOUT_SEC = 1800


def read(path):
    notebook = nbformat.read(path, as_version=4)
    make_notebook.join_streams(notebook)
    return notebook


def text_of(lines):
    return lines if isinstance(lines, str) else "".join(lines)


def outputs_of(notebook):
    """(what cell, text) of each output."""
    return [(f"{cell['id']}, output {i}", text_of(output.get("text") or output["data"]["text/plain"]))
            for cell in notebook["cells"] for i, output in enumerate(cell.get("outputs", []))]


def markup_of(notebook):
    return "\n".join(text_of(output.get("data", {}).get("text/html", ""))
                     for cell in notebook["cells"] for output in cell.get("outputs", []))


def masked(text):
    """Without what differs from run to run: runIDs, and how long it took."""
    text = re.sub(r"\d{4}-\d\d-\d\d-\d{4}[b-z]*", "RUNID", text)
    return re.sub(r"[\d.]+ s( \([\d.]+ pictures/s\))?", "TIME", text)


def split_numbers(text):
    """The text without its numbers, and the numbers. The bars of a table are as long as its numbers are large."""
    number = r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])"
    text = masked(text).replace("█", "")
    return re.sub(number, "0", text).split(), [float(found) for found in re.findall(number, text)]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook in a folder of its own, after nbconvert has run it."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copy(NOTEBOOK, folder)
    environment = {**os.environ, "FILTAGS": str(pathlib.Path(steps.FILTAGS).resolve()), "FILTAGS_NOTEBOOK_DATA": "demo",
                   "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    # settings and history of this user's other notebooks are not ours
    environment |= {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR")}
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "executed.ipynb",
               f"--ExecutePreprocessor.startup_timeout={TIMEOUT_SEC}", NOTEBOOK.name]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SEC)
    assert result.returncode == 0, result.stderr
    return folder, read(folder / "executed.ipynb")


# ---------------------------------------------------------------- the committed notebook

def test_notebook_is_made_of_its_source():
    expected = make_notebook.make_notebook(make_notebook.SOURCE.read_text(encoding="utf-8"))
    found = [(cell["id"], cell["cell_type"], text_of(cell["source"])) for cell in read(NOTEBOOK)["cells"]]
    assert found == [(cell.id, cell.cell_type, cell.source) for cell in expected.cells], "./dev notebook makes it anew"


def test_notebook_was_run_in_order():
    cells = [cell for cell in read(NOTEBOOK)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output["output_type"] in ("stream", "display_data") for cell in cells for output in cell["outputs"])
    assert sum(bool(cell["outputs"]) for cell in cells) >= 10


def test_committed_outputs_are_anonymous_and_small():
    outputs = "".join(str(cell.get("outputs", "")) for cell in read(NOTEBOOK)["cells"])
    assert not re.search(r"(?<![\w/.<])/(home|root|tmp|usr|work|mnt|Users)\b", outputs)
    assert "0x" not in re.sub(r"base64,[\w+/=]+", "", outputs)
    assert NOTEBOOK.stat().st_size < 300_000


def test_pictures_of_the_text_are_there():
    texts = [text_of(cell["source"]) for cell in read(NOTEBOOK)["cells"] if cell["cell_type"] == "markdown"]
    for path in re.findall(r"!\[.*?\]\((.*?)\)", "\n".join(texts)):
        assert (ROOT / path).is_file(), path


# ---------------------------------------------------------------- running it

def test_outputs_are_the_committed_ones(executed):
    _, notebook = executed
    committed, found = outputs_of(read(NOTEBOOK)), outputs_of(notebook)
    assert [what for what, _ in found] == [what for what, _ in committed]
    for (what, text), (_, expected) in zip(found, committed):
        words, numbers = split_numbers(text)
        expected_words, expected_numbers = split_numbers(expected)
        assert words == expected_words, what
        # another instruction set may round the last digit that is shown otherwise
        assert numbers == pytest.approx(expected_numbers, abs=1.01e-4), what


def test_outputs_show_the_results(executed):
    folder, notebook = executed
    work = folder / "filtags-notebook"
    variables = steps.load(steps.only(work, "*-QFA-fashion-vars.pkl"))
    shown = "\n".join(text for _, text in outputs_of(notebook))
    chosen = int(re.search(r"filter (\d+) of layer top_conv", shown).group(1))
    for number, label in variables["labels_id"].items():
        value = variables[f"filter_act_{number}"][-1][chosen]
        assert re.search(rf"^{label} +{value:.4f}", shown, re.MULTILINE), label
    tags = steps.load(steps.only(work, "*-TF-fashion-vars.pkl"))["filTags_k"][5][-1]
    rows = re.findall(r"^(\d+) +(\S.*)$", shown[shown.index("filter  tags"):], re.MULTILINE)
    assert [(int(b), labels.split(", ")) for b, labels in rows] == [(b, one) for b, one in enumerate(tags) if one]


def test_page_and_pictures_are_shown(executed):
    folder, notebook = executed
    markup = markup_of(notebook)
    (address,) = re.findall(r'<iframe src="([^"]+)"', markup)
    assert (folder / address).read_bytes().startswith(b"<!doctype html>")
    assert len(re.findall(r"<img src='data:image/png;base64,iVBOR", markup)) == 6
    assert "<script" not in markup


# ---------------------------------------------------------------- the program is found, or got

def start_of_notebook():
    """The code that finds the program: all that is before the first function that uses it."""
    cells = [text_of(cell["source"]) for cell in read(NOTEBOOK)["cells"] if cell["cell_type"] == "code"]
    return "\n".join(cells[:2])


def run_start(folder, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FILTAGS")}
    return subprocess.run([sys.executable, "-c", start_of_notebook() + "\nprint(PROGRAM)"], cwd=folder, text=True,
                          env={**environment, "PATH": "/usr/bin:/bin", **variables}, capture_output=True,
                          timeout=TIMEOUT_SEC)


def make_program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho filtags of test\n")
    path.chmod(0o755)
    return path


def test_no_program(tmp_path):
    if shutil.which("filtags", path="/usr/bin:/bin"):
        pytest.skip("filtags is installed here")
    result = run_start(tmp_path)
    assert result.returncode == 1
    assert "filtags is not here: build it with ./dev build, or set REPOSITORY" in result.stderr


def test_program_is_found(tmp_path):
    beside = make_program(tmp_path / "build" / "filtags")
    assert run_start(tmp_path).stdout.splitlines()[-1] == str(beside)
    on_path = make_program(tmp_path / "bin" / "filtags")
    assert run_start(tmp_path, PATH=f"{on_path.parent}:/usr/bin:/bin").stdout.splitlines()[-1] == str(on_path)
    given = make_program(tmp_path / "given")
    assert run_start(tmp_path, FILTAGS=str(given)).stdout.splitlines() == ["filtags of test", str(given)]


def test_program_is_cloned_and_built(tmp_path):
    if not shutil.which("git"):
        pytest.skip("no git here")
    origin, folder = tmp_path / "origin", tmp_path / "colab"
    make_program(origin / "program")
    (origin / "dev").write_text("#!/bin/sh\n[ $1 = build ] && mkdir build && cp program build/filtags\n")
    (origin / "dev").chmod(0o755)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main", "-C", str(origin)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    folder.mkdir()
    result = run_start(folder, FILTAGS_REPOSITORY=origin.as_uri())
    assert result.stdout.splitlines()[-1] == str(folder / "filTags" / "build" / "filtags"), result.stderr
