"""Measure filTags beside what else could compute the filter activations, in one interleaved run. ./dev bench runs it.

Every way runs as a process of its own, on the same pictures and weights (made here), with as many threads. Round by
round each is measured once, one after the other, so that whatever else the machine does hits all of them alike; medians
count. Before and after a network the machine's peak is measured (fma_peak.c). A way that fails, whenever and however,
is left out with its reason; results are written after each network, and Ctrl-C leaves those of the networks before."""
import argparse
import concurrent.futures
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import re
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

import bench_tables
import roofline

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
CONTENDER = BENCH / "contender.py"
NETWORKS = ["VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2",
            "InceptionV3", "InceptionResNetV2"]
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
    "PyTorch, batch 1": ("pytorch", 1),
    "PyTorch, batch 8": ("pytorch", 8),
    "PyTorch, batch 32": ("pytorch", 32),
    "torch.compile, batch 8": ("pytorch-compiled", 8),
    "filTags": ("filtags", 0),
}
# what scaled means may differ by, over all layers, from those of the way that comes first: they round differently
MOST_DIFFERENCE = 1e-4
PEERS = ("tensorflow-cpu", "keras", "openvino", "onnxruntime", "torch", "scikit-learn")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="VGG16,ResNet50,InceptionV3",
                        help="comma list, or 'all' (default: %(default)s)")
    parser.add_argument("--ways", default="all", help="comma list of words that the names of ways begin with; default: "
                        "all that are installed: " + ", ".join(WAYS))
    parser.add_argument("--pictures", type=int, default=32, help="pictures in a measurement, or as many more as "
                        "fill the batches of a way (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="default: the cores this process may use, %(default)s")
    parser.add_argument("--patience", type=int, default=900,
                        help="seconds after which a way that doesn't answer is given up (default: %(default)s)")
    parser.add_argument("--no-decode", action="store_true", help="measure without decoding alone")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="folder for weights, pictures and models")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "bench", help="folder for the results")
    parser.add_argument("--library", type=pathlib.Path, default=ROOT / "build" / "libfiltags.so")
    options = parser.parse_args()
    for word in options.ways.split(","):
        if word != "all" and not any(begins_with(name, word) for name in WAYS):
            parser.error(f"--ways: the beginning of one of {'; '.join(WAYS)} expected, found '{word}'")
    if min(options.pictures, options.rounds, options.threads, options.patience) < 1:
        parser.error("--pictures, --rounds, --threads, --patience: at least 1 expected")
    return options


# ---------------------------------------------------------------- what is measured on

def run_quietly(*words):
    """A Python script of which one wants to hear only where it fails."""
    done = subprocess.run([sys.executable, "-B", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        raise RuntimeError(f"{pathlib.Path(words[0]).name}: {lines[-1] if lines else f'status {done.returncode}'}")


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
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-O3", "-march=native", "-pthread", BENCH / "fma_peak.c", "-o", program], check=True)
    return program


def processor():
    """Its name, and what of it counts here."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"^model name\s*: (.*)", text, re.M)
    flags = re.search(r"^flags\s*: (.*)", text, re.M)
    flags = flags[1].split() if flags else []
    vectors = [word for flag, word in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags]
    return (name[1].strip() if name else platform.machine()) + (f" ({vectors[0]})" if vectors else "")


def versions():
    """Of what is installed of the peers."""
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# ---------------------------------------------------------------- ways

class Way:
    """A process of contender.py. Everything that can go wrong with it is a RuntimeError."""

    def __init__(self, name, options, network, paths):
        contender, batch = WAYS[name]
        self.name, self.patience, self.runs = name, options.patience, {"plain": [], "decode": []}
        self.n_pictures = -(-options.pictures // max(batch, 1)) * max(batch, 1)
        words = [sys.executable, "-B", CONTENDER, contender, "--network", network, "--threads",
                 str(options.threads), "--batch", str(batch), "--pictures", str(self.n_pictures), "--images",
                 options.cache / "pictures", "--library", options.library]
        for key in ("weights", "onnx", "steps"):
            words += ["--" + key, paths[key]]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TF_CPP_MIN_LOG_LEVEL": "3",
                       "TORCHINDUCTOR_CACHE_DIR": str(options.cache / "torch-compiled")}
        self.messages = tempfile.TemporaryFile("w+", errors="replace")  # a pipe that nobody reads would fill
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.messages,
                                        text=True, env=environment, cwd=BENCH)
        self.is_late = False
        try:
            self.activations = np.array(self.read()["activations"])
        except RuntimeError:
            self.close()
            raise

    def read(self):
        alarm = threading.Timer(self.patience, self.give_up)
        alarm.start()
        line = self.process.stdout.readline()
        alarm.cancel()
        if not line:
            raise RuntimeError(self.reason())
        return json.loads(line)

    def give_up(self):
        self.is_late = True
        self.process.kill()

    def reason(self):
        """Why it has ended."""
        status = self.process.wait()
        if self.is_late:
            return f"no answer within {self.patience} s"
        if status < 0:
            return f"ended by signal {-status}" + (" (out of memory?)" if status == -9 else "")
        self.messages.seek(0)
        lines = self.messages.read().strip().splitlines()
        return lines[-1] if lines else f"ended with status {status}"

    def measure(self, kind):
        try:
            print(kind, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise RuntimeError(self.reason()) from None
        self.runs[kind].append(self.read())

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.messages.close()


class Ways:
    """All ways of a network, and why some are left out."""

    def __init__(self):
        self.ways, self.left_out = [], {}

    def leave_out(self, name, reason):
        print(f"  {name}: left out: {reason}", flush=True)
        self.left_out[name] = reason

    def start(self, options, network, paths):
        """As many at once as there are threads: loading is mostly done by one. The results' order is that of WAYS."""
        names = [name for name in WAYS if is_wanted(name, options)]
        with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
            started = [(name, pool.submit(Way, name, options, network, paths)) for name in names]
        for name, future in started:
            try:
                self.ways.append(future.result())
            except (RuntimeError, OSError, ValueError) as error:
                self.leave_out(name, str(error))

    def drop(self, way, reason):
        self.ways.remove(way)
        self.leave_out(way.name, reason)
        way.close()

    def check_results(self):
        """All must have computed the same. Returns the largest difference from the first."""
        worst = 0.0
        for way in self.ways[1:]:
            first = self.ways[0]
            if way.activations.shape != first.activations.shape:
                self.drop(way, f"{len(way.activations)} filters, {first.name} has {len(first.activations)}")
                continue
            difference = float(np.abs(way.activations - first.activations).max())
            if not difference <= MOST_DIFFERENCE:
                self.drop(way, f"the activations differ by {difference:.2g} from those of {first.name}")
            else:
                worst = max(worst, difference)
        return worst

    def measure(self, kinds):
        for way in list(self.ways):
            try:
                for kind in kinds:
                    way.measure(kind)
            except (RuntimeError, OSError, ValueError) as error:
                self.drop(way, str(error))

    def close(self):
        for way in self.ways:
            way.close()


def begins_with(name, word):
    return bool(word.strip()) and name.lower().startswith(word.strip().lower())


def is_wanted(name, options):
    return options.ways == "all" or any(begins_with(name, word) for word in options.ways.split(","))


def summarize(way, facts, peak):
    row = {"way": way.name, "pictures": way.n_pictures}
    for kind, runs in way.runs.items():
        if runs:
            wall = [1e3 * run["seconds"] / way.n_pictures for run in runs]
            cpu = [1e3 * run["cpu_seconds"] / way.n_pictures for run in runs]
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
    all_ways = Ways()
    try:
        all_ways.start(options, network, paths)
        difference = all_ways.check_results()
        before = measure_machine(options, peak_program)
        for number in range(options.rounds):
            all_ways.measure(("plain",) if options.no_decode else ("plain", "decode"))
            print(f"  round {number + 1} of {options.rounds}", flush=True)
        after = measure_machine(options, peak_program)
    finally:
        all_ways.close()
    peak = {key: max(before[key], after[key]) for key in before}
    rows = [summarize(way, facts, peak) for way in all_ways.ways]
    return {"network": network, **facts, "machine_before": before, "machine_after": after, "peak": peak,
            "largest_difference": difference, "rows": rows, "left_out": all_ways.left_out}


# ---------------------------------------------------------------- all of it

def write_results(options, results):
    """After each network: what has been measured isn't lost by what comes."""
    table = bench_tables.write_all(results)
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.out / "results.md").write_text(table, encoding="utf-8")
    (options.out / "readme.md").write_text(bench_tables.write_readme(results), encoding="utf-8")
    if any(found["rows"] for found in results["networks"]):
        (options.out / "roofline.svg").write_text(roofline.draw(results), encoding="utf-8")
    return table


def measure_all(options, results, peak_program):
    """Returns the networks that could not be measured."""
    failed = {}
    for network in results["wanted"]:
        try:
            results["networks"].append(measure_network(options, network, peak_program))
        except (RuntimeError, OSError, ValueError, subprocess.CalledProcessError) as error:
            print(f"  {network}: left out: {error}", flush=True)
            failed[network] = str(error)
            continue
        results["load_after"] = os.getloadavg()[0]
        write_results(options, results)
    return failed


def main():
    import make_pictures  # Pillow is the bench's own
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    options.cache.mkdir(parents=True, exist_ok=True)
    most = max(options.pictures, max(batch for name, (_, batch) in WAYS.items() if is_wanted(name, options)))
    make_pictures.make_pictures(options.cache / "pictures", 4, -(-(options.pictures + most) // 4))
    peak_program = build_peak(options)
    wanted = NETWORKS if options.networks == "all" else options.networks.split(",")
    results = {"processor": processor(), "threads": options.threads, "pictures": options.pictures,
               "rounds": options.rounds, "date": time.strftime("%Y-%m-%d"), "versions": versions(),
               "load_before": os.getloadavg()[0], "wanted": wanted, "networks": []}
    try:
        failed = measure_all(options, results, peak_program)
    except KeyboardInterrupt:
        failed = {"the rest": "interrupted"}
    if not results["networks"]:
        sys.exit("nothing was measured")
    table, readme = write_results(options, results), bench_tables.write_readme(results)
    print(f"\n{table}\n{readme}\n{options.out}/results.md, readme.md, results.json, roofline.svg")
    if failed or any(not found["rows"] for found in results["networks"]):
        sys.exit("not measured: " + ", ".join(failed))


if __name__ == "__main__":
    main()
