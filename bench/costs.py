"""./dev bench costs: make src/engine/conv_costs.c, the table by which convolutions get their kernels.

Every convolution of the ten networks, and a grid of small ones, is timed in every way that there is for it
(bench/conv_time, processor time of one thread), with each instruction set that the processor has. For each way, four
costs are fitted to its times: of a multiply-add, of a value gathered or transformed on the way in, of one on the way
out, and of a weight; by least squares of the relative errors, no cost being negative.
"""
import argparse
import datetime
import itertools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NETWORKS = ("VGG16,VGG19,InceptionV3,ResNet50,ResNet101,ResNet152,ResNet50V2,ResNet101V2,ResNet152V2,"
            "InceptionResNetV2,grid")
ISAS = {"portable": (1, 4), "avx2": (4, 8), "avx512": (4, 8)}  # micro-batch, rounds
COUNTS = ("product", "input", "output", "weight")
UNIT = 1000  # of a multiply-add of this way:
UNIT_WAY = "product"
SHORT_MS = 0.3
LEAST_SHAPES = 6  # that a way is fitted to


class Error(Exception):
    """What the user has to know."""


def solve(matrix, right):
    """x of matrix x = right by Gauss's elimination; None where there is no one solution."""
    n = len(right)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        if abs(rows[pivot][k]) < 1e-12:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(n):
            if i != k:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k])]
    return [rows[k][n] / rows[k][k] for k in range(n)]


def fit(samples):
    """samples: (ms, counts). The costs, none of them negative, with the least sum of squares of relative errors."""
    # short ones, whose time is not only that of what is counted, weigh less
    weights = [ms / (ms + SHORT_MS) for ms, _ in samples]
    relative = [[count / ms for count in counts] for ms, counts in samples]
    scales = [max(row[i] for row in relative) or 1 for i in range(len(COUNTS))]
    relative = [[value / scale for value, scale in zip(row, scales)] for row in relative]
    best = None
    # the best subset of the costs whose unbounded solution is positive is the bounded solution
    for size in range(1, len(COUNTS) + 1):
        for used in itertools.combinations(range(len(COUNTS)), size):
            matrix = [[sum(weight * row[i] * row[j] for weight, row in zip(weights, relative)) for j in used]
                      for i in used]
            costs = solve(matrix, [sum(weight * row[i] for weight, row in zip(weights, relative)) for i in used])
            if costs is None or min(costs) < 0:
                continue
            error = sum(weight * (sum(cost * row[i] for cost, i in zip(costs, used)) - 1) ** 2
                        for weight, row in zip(weights, relative))
            if best is None or error < best[0]:
                best = error, [costs[used.index(i)] / scales[i] if i in used else 0 for i in range(len(COUNTS))]
    return best[1], (best[0] / sum(weights)) ** 0.5


def measure(program, isa):
    """What conv_time prints for an instruction set; None where the processor does not have it."""
    batch, rounds = ISAS[isa]
    print(f"{isa}: measuring", file=sys.stderr)
    run = subprocess.run([program, NETWORKS, isa, str(batch), str(rounds)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Error(f"{program} {isa}: {run.stderr.strip()}")
    return run.stdout


def read_samples(texts):
    """{way: [(ms, counts)]} of what conv_time printed; where it has run several times, the least of each shape."""
    least = {}
    for line in "\n".join(texts).splitlines():
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        key, ms = (fields[3], *fields[1:3], *map(int, fields[5:9])), float(fields[4])
        least[key] = min(ms, least.get(key, ms))
    samples = {}
    for (way, _, _, *counts), ms in least.items():
        samples.setdefault(way, []).append((ms, counts))
    return samples


def fit_all(isa, samples, ways):
    """[(way, [cost])] in thousandths of UNIT_WAY's product."""
    fitted = {}
    for way in ways:
        n_shapes = len(samples.get(way, []))
        if n_shapes < LEAST_SHAPES:
            raise Error(f"{isa}: {way} can't be fitted to {n_shapes} shapes: at least {LEAST_SHAPES} expected")
        fitted[way], error = fit(samples[way])
        print(f"{isa:9} {way:22} {n_shapes:4} shapes, typical error {100 * error:5.1f} %", file=sys.stderr)
    unit = fitted[UNIT_WAY][0] / UNIT
    if unit <= 0:
        raise Error(f"{isa}: the time of a multiply-add can't be told from the others: measure again, undisturbed")
    return [(way, [round(cost / unit) for cost in fitted[way]]) for way in ways]


def way_names():
    """In the order of enum conv_way."""
    header = (ROOT / "src/engine/conv_way.h").read_text(encoding="utf-8")
    names = re.findall(r"^    CONV_WAY_(\w+)", header, re.MULTILINE)
    return [name.lower() for name in names if name != "NONE"]


def processor():
    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines()
                  if line.count(":") == 1)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    return (f"{values.get('model name', 'unknown')}, family {values.get('cpu family', '?')} "
            f"model {values.get('model', '?')}")


def source(tables):
    lines = [f"/* Made by bench/costs.py (./dev bench costs) on {processor()},",
             f" * {datetime.date.today()}; not to be edited. Of a way: multiply-add, input, output, weight. */",
             '#include "engine/conv_way.h"', ""]
    for isa, costs in tables.items():
        lines.append(f"static const struct conv_cost {isa.upper()}[CONV_N_WAYS] = {{")
        lines += [f"    [CONV_WAY_{way.upper()}] = {{{', '.join(map(str, values))}}}," for way, values in costs]
        lines += ["};", ""]
    lines += ["const struct conv_cost *conv_costs_for(filtags_isa isa) {",
              "    if (isa == FILTAGS_ISA_AVX512) return AVX512;",
              "    return isa == FILTAGS_ISA_AVX2 ? AVX2 : PORTABLE;", "}", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench costs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/bench/conv_time", help="default: %(default)s")
    parser.add_argument("--measured", metavar="FOLDER", type=pathlib.Path, nargs="+",
                        help="read there what conv_time printed (ISA.tsv) instead of measuring; of several "
                        "measurements the least times count")
    parser.add_argument("--keep", metavar="FOLDER", type=pathlib.Path, help="write what conv_time prints there")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "src/engine/conv_costs.c")
    options = parser.parse_args()
    tables = {}
    try:
        for isa in ISAS:
            if options.measured:
                texts = [(folder / f"{isa}.tsv").read_text(encoding="utf-8") for folder in options.measured]
            else:
                texts = [measure(options.program, isa)]
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{isa}.tsv").write_text("".join(texts), encoding="utf-8")
            tables[isa] = fit_all(isa, read_samples(texts), way_names())
    except (Error, OSError) as error:
        sys.exit(f"costs.py: {error}")
    options.out.write_text(source(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
