"""Measure filTags beside what else could compute the filter activations, in one interleaved run. ./dev bench runs it.

Every way runs as a process of its own, on the same pictures and weights (made here), with as many threads. Round by
round each is measured once, one after the other, so that whatever else the machine does hits all of them alike; medians
count. Before and after a network the machine's peak is measured (fma_peak.c)."""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

import make_pictures
import roofline

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
# label: contender, batch (0: its own choice)
WAYS = {
    "scripts' way (Keras predict + scikit-learn)": ("scripts", 1),
    "TensorFlow, batch 1": ("tensorflow", 1),
    "TensorFlow, batch 8": ("tensorflow", 8),
    "TensorFlow, batch 32": ("tensorflow", 32),
    "OpenVINO, latency": ("openvino-latency", 1),
    "OpenVINO, throughput": ("openvino-throughput", 1),
    "ONNX Runtime, batch 1": ("onnxruntime", 1),
    "ONNX Runtime, batch 8": ("onnxruntime", 8),
    "PyTorch (eager), batch 8": ("pytorch", 8),
    "filTags": ("filtags", 0),
}
# what scaled means may differ by, over all ways and layers: they round differently
MOST_DIFFERENCE = 1e-4


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="VGG16,ResNet50,InceptionV3", help="comma list (default: %(default)s)")
    parser.add_argument("--ways", default="all", help="comma list of words that the names of ways begin with; default: "
                        "all that are installed: " + ", ".join(WAYS))
    parser.add_argument("--pictures", type=int, default=32, help="pictures in a measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="default: the cores this process may use, %(default)s")
    parser.add_argument("--no-decode", action="store_true", help="measure without decoding alone")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="folder for weights, pictures and models")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "bench", help="folder for the results")
    parser.add_argument("--library", type=pathlib.Path, default=ROOT / "build" / "libfiltags.so")
    return parser.parse_args()


# ---------------------------------------------------------------- what is measured on

def run_quietly(*words):
    """A Python script of which one wants to hear only where it fails."""
    done = subprocess.run([sys.executable, "-B", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout)


def make_inputs(options, network):
    """Weights, ONNX file and list of operations; made once."""
    folder = options.cache / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    endings = {"weights": "h5", "onnx": "onnx", "steps": "steps", "facts": "json"}
    paths = {key: folder / f"{network}.{ending}" for key, ending in endings.items()}
    if not paths["weights"].exists():
        part = folder / f"{network}.part.h5"
        run_quietly(ROOT / "tests/parity/oracle/filtags_oracle.py", "make-weights", "--network", network, "--out", part)
        part.rename(paths["weights"])
    if not paths["facts"].exists():  # it comes last
        run_quietly(BENCH / "graphs.py", network, paths["weights"], folder)
    return paths


def measure_machine(options, program):
    done = subprocess.run([program, str(options.threads), "0.5"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def build_peak(options):
    program = options.cache / "fma_peak"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O3", "-march=native", "-pthread", BENCH / "fma_peak.c", "-o", program], check=True)
    return program


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


# ---------------------------------------------------------------- ways

class Way:
    def __init__(self, name, options, network, paths):
        contender, batch = WAYS[name]
        self.name, self.runs = name, {"plain": [], "decode": []}
        words = [sys.executable, "-B", BENCH / "contender.py", contender, "--network", network, "--threads",
                 str(options.threads), "--batch", str(batch), "--pictures", str(options.pictures), "--images",
                 options.cache / "pictures", "--library", options.library]
        for key in ("weights", "onnx", "steps"):
            words += ["--" + key, paths[key]]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=environment, cwd=BENCH)
        self.activations = np.array(self.read()["activations"])

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            lines = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(lines[-1] if lines else "no reason given")
        return json.loads(line)

    def measure(self, kind):
        print(kind, file=self.process.stdin, flush=True)
        self.runs[kind].append(self.read())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


def start_ways(options, network, paths):
    wanted = options.ways.lower().split(",")
    ways, missing = [], {}
    for name in WAYS:
        if options.ways != "all" and not any(name.lower().startswith(word) for word in wanted):
            continue
        try:
            ways.append(Way(name, options, network, paths))
        except (RuntimeError, OSError) as error:
            missing[name] = str(error)
            print(f"  {name}: left out: {error}")
    return ways, missing


def check_results(ways):
    """All must have computed the same. Returns the largest difference from the first."""
    worst = 0.0
    for way in ways[1:]:
        difference = float(np.abs(way.activations - ways[0].activations).max())
        worst = max(worst, difference)
        if difference > MOST_DIFFERENCE:
            sys.exit(f"{way.name}: the activations differ by {difference:.2g} from those of {ways[0].name}")
    return worst


def summarize(way, options, facts, peak):
    row = {"way": way.name}
    for kind, runs in way.runs.items():
        if runs:
            wall = [1e3 * run["seconds"] / options.pictures for run in runs]
            cpu = [1e3 * run["cpu_seconds"] / options.pictures for run in runs]
            row[kind] = {"ms": statistics.median(wall), "ms_least": min(wall), "ms_most": max(wall),
                         "cpu_ms": statistics.median(cpu)}
    row["peak_mbytes"] = max(run["peak_kbytes"] for runs in way.runs.values() for run in runs) / 1000
    row["gflops"] = facts["flops"] / row["plain"]["ms"] * 1e-6
    row["share_of_peak"] = row["gflops"] / peak["gflops"] if peak["gflops"] else None
    return row


def measure_network(options, network, peak_program):
    print(f"{network}:", flush=True)
    paths = make_inputs(options, network)
    facts = json.loads(paths["facts"].read_text())
    ways, missing = start_ways(options, network, paths)
    difference = check_results(ways)
    before = measure_machine(options, peak_program)
    for number in range(options.rounds):
        for way in ways:
            for kind in ("plain",) if options.no_decode else ("plain", "decode"):
                way.measure(kind)
        print(f"  round {number + 1} of {options.rounds}", flush=True)
    after = measure_machine(options, peak_program)
    for way in ways:
        way.close()
    peak = {key: max(before[key], after[key]) for key in before}
    rows = [summarize(way, options, facts, peak) for way in ways]
    return {"network": network, **facts, "machine_before": before, "machine_after": after, "peak": peak,
            "largest_difference": difference, "rows": rows, "left_out": missing}


# ---------------------------------------------------------------- results

def times(row, rows, kind, what="ms"):
    """How many times as long as filTags."""
    ours = [other for other in rows if other["way"] == "filTags"]
    return f"{row[kind][what] / ours[0][kind][what]:.1f}" if ours else ""


def write_table(results, options):
    load = results["load"]
    lines = [f"{results['processor']}, {options.threads} threads, {results['date']}; {options.pictures} pictures, "
             f"medians of {options.rounds} interleaved rounds; load of the machine {load[0]:.1f} before, {load[1]:.1f} "
             "after. ms: by the clock, a picture; CPU ms: processor time, which other work on the machine disturbs "
             "less. Statistics of every Conv2D included, nothing computed behind the last one."]
    for found in results["networks"]:
        before, after = found["machine_before"], found["machine_after"]
        lines += ["", f"### {found['network']}", "",
                  f"{found['flops'] * 1e-9:.2f} GFLOP a picture as a plain sum, {found['n_filters']} filters. FMA peak "
                  f"{before['gflops']:.0f} GFLOPS before, {after['gflops']:.0f} after; "
                  f"memory {found['peak']['gbytes']:.0f} GB/s. Largest difference between two ways' activations: "
                  f"{found['largest_difference']:.1e}.", "",
                  "| way | ms | × filTags | of peak | CPU ms | × filTags | ms with decoding | × filTags "
                  "| peak memory |",
                  "|---|---|---|---|---|---|---|---|---|"]
        for row in found["rows"]:
            decode = row.get("decode")
            share = f"{row['share_of_peak']:.0%}" if row["share_of_peak"] is not None else ""
            plain, rows = row["plain"], found["rows"]
            lines.append(f"| {row['way']} | {plain['ms']:.1f} | {times(row, rows, 'plain')} | {share} | "
                         f"{plain['cpu_ms']:.1f} | {times(row, rows, 'plain', 'cpu_ms')} | "
                         f"{format(decode['ms'], '.1f') if decode else ''} | "
                         f"{times(row, rows, 'decode') if decode else ''} | {row['peak_mbytes']:.0f} MB |")
        lines += [f"\n{name}: left out ({reason})" for name, reason in found["left_out"].items()]
    return "\n".join(lines) + "\n"


def main():
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    options.cache.mkdir(parents=True, exist_ok=True)
    make_pictures.make_pictures(options.cache / "pictures", 4, -(-options.pictures // 4))
    peak_program = build_peak(options)
    results = {"processor": processor(), "threads": options.threads, "pictures": options.pictures,
               "rounds": options.rounds, "date": time.strftime("%Y-%m-%d"), "load": [os.getloadavg()[0]],
               "networks": []}
    for network in options.networks.split(","):
        results["networks"].append(measure_network(options, network, peak_program))
    results["load"].append(os.getloadavg()[0])
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    table = write_table(results, options)
    (options.out / "results.md").write_text(table)
    (options.out / "roofline.svg").write_text(roofline.draw(results))
    print(f"\n{table}\n{options.out}/results.md, results.json, roofline.svg")


if __name__ == "__main__":
    main()
