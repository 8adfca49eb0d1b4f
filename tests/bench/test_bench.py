"""What ./dev bench does with what it measures, and with ways that fail. The ways themselves need frameworks that the
tests don't have; a small program answers in their place."""
import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import xml.etree.ElementTree

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FILTAGS_BUILD", ROOT / "build"))
sys.path.insert(0, str(ROOT / "bench"))

import bench  # noqa: E402
import bench_tables  # noqa: E402
import costs  # noqa: E402
import filtags_library  # noqa: E402
import roofline  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
FACTS = {"flops": 30_000_000_000, "bytes": 150_000_000, "n_filters": 3}
GOOD = ["scripts' way (Keras predict + scikit-learn)", "TensorFlow, batch 1", "TensorFlow, batch 8",
        "TensorFlow, batch 32", "OpenVINO, latency", "OpenVINO, throughput", "ONNX Runtime, batch 1",
        "ONNX Runtime, batch 8", "PyTorch, batch 1", "PyTorch, batch 8", "PyTorch, batch 32", "torch.compile, batch 8",
        "filTags"]


@pytest.fixture(name="bench_run")
def make_bench_run(tmp_path, monkeypatch):
    """A function that measures networks with ways that fail as it is told; returns (results, what failed)."""
    peak = tmp_path / "peak"
    peak.write_text('#!/bin/sh\necho \'{"gflops": 200.0, "gbytes": 25.0}\'\n')
    peak.chmod(0o755)
    (tmp_path / "facts").write_text(json.dumps(FACTS))
    monkeypatch.setattr(bench, "CONTENDER", ROOT / "tests/bench/fake_contender.py")

    def make_inputs(_, network):
        if network == "broken":
            raise RuntimeError("graphs.py: no such network")
        return {"weights": "w", "onnx": "o", "steps": "s", "facts": tmp_path / "facts"}
    monkeypatch.setattr(bench, "make_inputs", make_inputs)

    def measure(networks=("net",), ways="all", patience=300, **fakes):
        monkeypatch.setenv("FAKES", json.dumps({name.replace("_", "-"): kind for name, kind in fakes.items()}))
        options = types.SimpleNamespace(ways=ways, pictures=10, rounds=3, threads=2, no_decode=False, cache=tmp_path,
                                        out=tmp_path, library="l", patience=patience)
        results = {"processor": "Some <CPU> & more", "threads": 2, "pictures": 10, "rounds": 3, "date": "2026-01-01",
                   "versions": {"torch": "1.2"}, "load_before": 0.5, "wanted": list(networks), "networks": []}
        return results, bench.measure_all(options, results, peak)
    return measure


def test_all_ways_are_measured(bench_run, tmp_path):
    results, failed = bench_run(("net", "other"))
    assert not failed
    assert [found["network"] for found in results["networks"]] == ["net", "other"]
    for found in results["networks"]:
        assert [row["way"] for row in found["rows"]] == GOOD and found["left_out"] == {}
    rows = {row["way"]: row for row in results["networks"][0]["rows"]}
    # of ten pictures, or as many as fill the batches: 16 and 32
    assert [rows[name]["pictures"] for name in GOOD[:4]] == [10, 10, 16, 32]
    assert rows["filTags"]["plain"]["ms"] == pytest.approx(1000 * 0.01 * len("filtags") / 10)
    assert rows["TensorFlow, batch 32"]["decode"]["cpu_ms"] == pytest.approx(1000 * 0.02 * len("tensorflow") / 32)
    assert rows["filTags"]["peak_mbytes"] == pytest.approx(123.456)
    assert rows["filTags"]["gflops"] == pytest.approx(30 / 0.007)
    assert rows["filTags"]["share_of_peak"] == pytest.approx(30 / 0.007 / 200)
    assert json.loads((tmp_path / "results.json").read_text())["networks"] == results["networks"]
    assert (tmp_path / "results.md").read_text().count("\n### ") == 2


def test_ways_are_chosen_by_the_beginning_of_their_names(bench_run):
    results, _ = bench_run(ways="pytorch,FILTAGS")
    assert [row["way"] for row in results["networks"][0]["rows"]] == ["PyTorch, batch 1", "PyTorch, batch 8",
                                                                    "PyTorch, batch 32", "filTags"]


@pytest.mark.parametrize("kind, reason", [
    ("no start", "ImportError: no such framework"), ("dies", "MemoryError: no room"),
    ("killed", "ended by signal 9 (out of memory?)"), ("other result", "the activations differ by 0.01 from those of "
                                                      "scripts' way (Keras predict + scikit-learn)"),
    ("not a number", "the activations differ by nan"), ("other filters", "4 filters, scripts' way"),
    ("nonsense", "Expecting value")])
def test_a_way_that_fails_is_left_out_alone(bench_run, tmp_path, capfd, kind, reason):
    results, failed = bench_run(("net", "other"), onnxruntime=kind)
    assert not failed
    for found in results["networks"]:
        assert [row["way"] for row in found["rows"]] == [name for name in GOOD if "ONNX" not in name]
        assert set(found["left_out"]) == {"ONNX Runtime, batch 1", "ONNX Runtime, batch 8"}
        assert all(words.startswith(reason) for words in found["left_out"].values()), found["left_out"]
    assert f"ONNX Runtime, batch 1: left out ({reason}" in (tmp_path / "results.md").read_text()
    assert f"ONNX Runtime, batch 8: left out: {reason}" in capfd.readouterr().out


@pytest.mark.parametrize("kind", ["slow start", "hangs"])
def test_a_way_that_does_not_answer_is_given_up(bench_run, kind):
    results, _ = bench_run(ways="filtags,scripts", scripts=kind, patience=10)
    assert [row["way"] for row in results["networks"][0]["rows"]] == ["filTags"]
    assert list(results["networks"][0]["left_out"].values()) == ["no answer within 10 s"]


def test_a_talkative_way_is_no_problem(bench_run):
    results, _ = bench_run(ways="filtags,onnx", onnxruntime="talks")
    assert len(results["networks"][0]["rows"]) == 3


def test_a_network_that_fails_costs_no_other(bench_run, tmp_path):
    results, failed = bench_run(("net", "broken", "other"), ways="filtags")
    assert failed == {"broken": "graphs.py: no such network"}
    assert [found["network"] for found in results["networks"]] == ["net", "other"]
    assert [found["network"] for found in json.loads((tmp_path / "results.json").read_text())["networks"]] == \
        ["net", "other"]


def test_no_way_at_all(bench_run, tmp_path):
    results, _ = bench_run(ways="filtags", filtags="no start")
    assert results["networks"][0]["rows"] == []
    assert not (tmp_path / "roofline.svg").exists()
    assert "filTags: left out" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize("words, message", [
    (["--ways", "filTags,pytroch"], "--ways: the beginning of one of scripts' way"), (["--ways", ""], "found ''"),
    (["--pictures", "0"], "--pictures, --rounds, --threads, --patience: at least 1 expected")])
def test_wrong_options(words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.py", "--cache", "c", *words])
    with pytest.raises(SystemExit) as ended:
        bench.parse_options()
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_the_command_that_all_networks_are_measured_with(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench.py", "--cache", "c", "--ways",
                                      "scripts,TensorFlow,OpenVINO,ONNX,PyTorch,filTags"])
    options = bench.parse_options()
    assert [name for name in bench.WAYS if bench.is_wanted(name, options)] == \
        [name for name in GOOD if not name.startswith("torch.compile")]


def some_results(n_networks=10):
    """As of ten networks, most of them of nearly the same intensity."""
    networks = []
    for number in range(n_networks):
        rows = []
        for i, name in enumerate(GOOD):
            ms = 400.0 / (i + 1) + number
            gflops = 30e9 / ms * 1e-6
            rows.append({"way": name, "pictures": 10,
                         "plain": {"ms": ms, "ms_least": ms, "ms_most": ms, "cpu_ms": 2 * ms},
                         "peak_mbytes": 100.0, "gflops": gflops, "share_of_peak": gflops / 200})
        networks.append({"network": f"Network{number}", "flops": 30e9, "bytes": 700e6 - 2e6 * number, "n_filters": 3,
                         "rows": rows, "left_out": {}, "largest_difference": 1e-6,
                         "machine_before": {"gflops": 190.0, "gbytes": 24.0},
                         "machine_after": {"gflops": 200.0, "gbytes": 25.0}, "peak": {"gflops": 200.0, "gbytes": 25.0}})
    return {"processor": "Some <CPU> & more", "threads": 2, "pictures": 10, "rounds": 3, "date": "2026-01-01",
            "versions": {"torch": "1.2"}, "load_before": 0.5, "load_after": 0.25, "networks": networks}


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_readme_table():
    lines = bench_tables.write_readme(some_results()).splitlines()
    assert cells(lines[0]) == ["ms a picture", "scripts' way", "TensorFlow", "OpenVINO", "ONNX Runtime", "PyTorch",
                               "filTags", "× scripts", "× best peer"]
    assert len(cells(lines[1])) == 9 and set(lines[1]) == {"|", "-"}
    # of several batches the fastest; the best peer is torch.compile: 400 / 12 beside 400 / 13
    assert cells(lines[2]) == ["Network0", "400", "100", "66.7", "50.0", "33.3", "**30.8**", "13.0", "1.1"]
    assert [cells(line)[0] for line in lines[2:12]] == [f"Network{i}" for i in range(10)]
    assert lines[13].startswith("Some <CPU> & more, 2 threads, FMA peak 200 to 200 GFLOPS, 2026-01-01; 10 pictures")
    assert "torch 1.2" in lines[13]


def test_readme_table_with_gaps():
    results = some_results(1)
    rows = results["networks"][0]["rows"]
    results["networks"][0]["rows"] = [row for row in rows if row["way"].startswith(("scripts", "Tensor"))]
    assert cells(bench_tables.write_readme(results).splitlines()[2]) == ["Network0", "400", "100"] + 6 * [""]


def test_whole_table():
    results = some_results(2)
    results["networks"][1]["left_out"] = {"filTags": "no library"}
    results["networks"][1]["rows"].pop()
    text = bench_tables.write_all(results)
    assert "| filTags | 30.8 | 1.0 | 488% | 61.5 | 1.0 |  |  | 100 MB |" in text
    assert "| TensorFlow, batch 1 | 201.0 |  | 75% | 402.0 |  |  |  | 100 MB |" in text  # nothing to compare it with
    assert "\nfilTags: left out (no library)\n" in text


def test_roofline_is_a_readable_picture():
    drawn = xml.etree.ElementTree.fromstring(roofline.draw(some_results()))
    titles = [title.text for title in drawn.iter(SVG + "title")]
    assert len(titles) == 10 * 6 + 6  # of every network each framework's best, and the legend
    assert "Network0, filTags: 975 GFLOPS, 488% of peak" in titles
    for text in drawn.iter(SVG + "text"):
        assert 0 < float(text.get("x")) < roofline.WIDTH and 0 < float(text.get("y")) < roofline.HEIGHT
    for mark in drawn.iter(SVG + "circle"):
        assert 0 < float(mark.get("cx")) < roofline.WIDTH and 0 < float(mark.get("cy")) < roofline.HEIGHT - 100
    names = [float(text.get("x")) for text in drawn.iter(SVG + "text") if (text.text or "").startswith("Network")]
    assert len(names) == 10 and min(np.diff(sorted(names))) > 15
    assert any("Some <CPU> & more" in (text.text or "") for text in drawn.iter(SVG + "text"))


@pytest.mark.parametrize("places", [[50.0], [50, 50, 50], [0, 0, 1], [99, 100, 100], [10, 11, 80, 81]])
def test_names_are_spread(places):
    spots = roofline.spread(places, 10, 0, 100)
    assert all(b - a >= 10 - 1e-9 for a, b in zip(spots, spots[1:]))
    assert spots[0] >= 0 and spots[-1] <= 100


def test_ticks():
    assert roofline.ticks(15, 240) == pytest.approx([20, 50, 100, 200])
    assert roofline.ticks(0.4, 2) == pytest.approx([0.5, 1, 2])


def test_peak_of_the_machine(tmp_path):
    options = types.SimpleNamespace(cache=tmp_path, threads=1)
    found = bench.measure_machine(options, bench.build_peak(options))
    assert found["gflops"] > 0.1 and found["gbytes"] > 0.01


def test_the_processor_has_a_name():
    assert bench.processor().strip()


def test_our_library_is_understood():
    """bench/filtags_library.py repeats structs of filtags.h."""
    library = ctypes.CDLL(str(BUILD / "libfiltags.so"))
    library.filtags_network_find.restype = ctypes.POINTER(filtags_library.KnownNetwork)
    known = library.filtags_network_find(b"InceptionV3").contents
    assert (known.name, known.height, known.width, known.n_classes) == (b"InceptionV3", 299, 299, 1000)
    assert known.preprocess == filtags_library.PREPROCESS["tf"]
    header = (ROOT / "include/filtags.h").read_text()
    for struct, name in ((filtags_library.EngineOptions, "filtags_engine_options"),
                         (filtags_library.Layer, "filtags_layer"), (filtags_library.KnownNetwork, "filtags_network")):
        body = re.search(r"typedef struct %s \{(.*?)\n\}" % name, header, re.S)[1]
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
        named = [words for line in body.split(";") for words in
                     re.findall(r"(\w+)(?:\[\w+\])?(?=\s*(?:,|$))", line.strip())]
        ours = [field for field, _ in struct._fields_]
        assert named[:len(ours)] == ours


def run_script(tmp_path, **environment):
    """bench/run.sh with a Python in place of the one that would be made; returns what it says."""
    peers = tmp_path / "filtags-bench" / "peers"
    (peers / "bin").mkdir(parents=True)
    (peers / "ready").touch()
    python = peers / "bin" / "python"
    python.write_text('#!/bin/sh\necho "python $*" >>"$CALLS"\n'
                      'case $* in -c\\ import\\ torch | *pip*) exit 1 ;; esac\n')
    python.chmod(0o755)
    done = subprocess.run(["sh", ROOT / "bench/run.sh", "--rounds", "2"], text=True, capture_output=True, check=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CALLS": str(tmp_path / "calls"),
                               "FILTAGS_BENCH_CACHE": "", **environment})
    return done.stdout + done.stderr, (tmp_path / "calls").read_text(), peers


def test_pytorch_may_be_left_out(tmp_path):
    said, calls, peers = run_script(tmp_path, FILTAGS_BENCH_TORCH="0")
    assert "without PyTorch, as FILTAGS_BENCH_TORCH=0 says" in said
    assert "pip" not in calls and f"bench.py --cache {peers.parent} --rounds 2" in calls


def test_pytorch_that_cannot_be_had(tmp_path):
    said, calls, peers = run_script(tmp_path)
    assert "PyTorch can't be installed here: measured without it" in said or "needs 8 GB" in said
    assert f"bench.py --cache {peers.parent} --rounds 2" in calls
    assert ("pip" in calls) == (peers / "no-torch").exists()


# ---------------------------------------------------------------- the table of costs

def test_of_several_measurements_the_least_times_count():
    head = "# avx2, batch 4, one thread\n# uses\tshape\twindow\tway\tms\tproducts\tinputs\toutputs\tweights\n"
    shape = "1\t8x8x16>8x8x16\t3x3/1\t"
    first = f"{head}{shape}gathered\t2.5\t10\t20\t30\t40\n{shape}rows\t2.0\t1\t2\t3\t4\n"
    second = first.replace("2.5", "2.25").replace("2.0", "3.0")
    assert costs.read_samples([first, second]) == {"gathered": [(2.25, [10, 20, 30, 40])],
                                                   "rows": [(2.0, [1, 2, 3, 4])]}
    assert costs.read_samples([first])["gathered"] == [(2.5, [10, 20, 30, 40])]


def test_costs_are_found_again():
    """Times made of costs: those are fitted."""
    counts = [[1000 * a, 100 * b, 10 * c, d] for a in (1, 5, 9) for b in (1, 7) for c in (2, 5) for d in (1, 50)]
    wanted = [0.002, 0.05, 0.3, 0.0]
    found, error = costs.fit([(sum(cost * n for cost, n in zip(wanted, row)), row) for row in counts])
    assert found == pytest.approx(wanted, abs=1e-6)
    assert error < 1e-6
