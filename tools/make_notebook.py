#!/usr/bin/env python3
"""Make filTagsDEMO.ipynb of tools/notebook.md, and run it: the outputs in it are real.

    FILTAGS=build/filtags build/py-notebook/bin/python tools/make_notebook.py [--output FILE]

runs on the set that the program carries with it, in an empty folder, so that nothing of this machine gets into the
outputs. `./dev notebook` does it all.
"""
import argparse
import os
import pathlib
import re
import tempfile

import nbclient
import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = ROOT / "tools" / "notebook.md"
NOTEBOOK = ROOT / "filTagsDEMO.ipynb"
TIMEOUT_SEC = 1800


def split_source(text):
    """("markdown" or "code", text) of each cell: code between fences, text cut before each heading."""
    text = re.sub(r"\A<!--.*?-->\n", "", text, flags=re.DOTALL)
    for i, part in enumerate(re.split(r"^```(?:python)?\n", text, flags=re.MULTILINE)):
        if i % 2:
            yield "code", part.rstrip()
        else:
            yield from (("markdown", cell.strip()) for cell in re.split(r"^(?=##? )", part, flags=re.MULTILINE)
                        if cell.strip())


def make_notebook(text):
    notebook = nbformat.v4.new_notebook()
    for i, (kind, source) in enumerate(split_source(text), 1):
        make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(source, id=f"cell-{i:02}"))
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}, "colab": {"name": "filTagsDEMO.ipynb"}}
    return notebook


def run_notebook(notebook, folder):
    """Run all cells there; an error in one is an error here."""
    metadata = dict(notebook.metadata)
    nbclient.NotebookClient(notebook, timeout=TIMEOUT_SEC, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata = metadata  # without the version of this Python
    return notebook


def join_streams(notebook):
    """What a cell prints comes in pieces, as the machine's load has it: make one output of neighbours."""
    for cell in notebook.cells:
        joined = []
        for output in cell.get("outputs", []):
            if joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        if joined:
            cell.outputs = joined


def check_outputs(notebook, folder):
    """What is committed tells nothing of the machine it was made on."""
    outputs = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    for word in (str(folder), str(ROOT), str(pathlib.Path.home())):
        if word in outputs:
            raise SystemExit(f"make_notebook.py: an output has '{word}' in it")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=NOTEBOOK)
    options = parser.parse_args()
    os.environ["FILTAGS"] = str(pathlib.Path(os.environ.get("FILTAGS", ROOT / "build" / "filtags")).resolve())
    os.environ["FILTAGS_NOTEBOOK_DATA"] = "demo"
    notebook = make_notebook(SOURCE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        run_notebook(notebook, folder)
        join_streams(notebook)
        check_outputs(notebook, folder)
    nbformat.validate(notebook)
    nbformat.write(notebook, options.output)
    print(f"{options.output}: {len(notebook.cells)} cells, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
