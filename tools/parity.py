"""Compare a fresh run of the oracle (Keras on TensorFlow) with the program: any model, pictures, split, seed, k and q.

    python tools/parity.py --model net.keras --images-dir pictures --split 0.4 --seed-rn 7 [--preprocess unit]
                           [--class-index classes.txt] [--k-q 0..100] [--filtags build/filtags]

Needs the packages of tests/parity/oracle/requirements.txt. Prints compare.py's report; exit status 0: within the
tolerances (activations 1e-5, no tag, top-1 or ranking differs but for ties closer than 1e-5)."""

import argparse
import os
import subprocess
import sys
import tempfile

ORACLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "parity", "oracle")


def expand(text):
    """'0..3,12.5' -> '0,1,2,3,12.5': the oracle knows no ranges"""
    values = []
    for part in text.split(","):
        ends = part.split("..")
        values += map(str, range(int(ends[0]), int(ends[1]) + 1)) if len(ends) == 2 else [part]
    return ",".join(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filtags", default="build/filtags")
    parser.add_argument("--model", required=True)
    parser.add_argument("--images-dir", required=True)
    parser.add_argument("--preprocess", default="none")
    parser.add_argument("--size")
    parser.add_argument("--layers", default="conv")
    parser.add_argument("--class-index")
    parser.add_argument("--split", default="0.4")
    parser.add_argument("--seed-rn", default="7")
    parser.add_argument("--k-q", default="0..100")
    parser.add_argument("--oracle-run", help="folder of an oracle run that is there already (same options)")
    a = parser.parse_args()
    shared = [
        "--model",
        a.model,
        "--images-dir",
        a.images_dir,
        "--preprocess",
        a.preprocess,
        "--layers",
        a.layers,
        "--split",
        a.split,
        "--seed-rn",
        a.seed_rn,
        "--m",
        "1,3,5,10",
        "--k-q=" + expand(a.k_q),
    ]
    shared += ["--size", a.size] if a.size else []
    shared += ["--class-index", a.class_index] if a.class_index else []
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = a.oracle_run or os.path.join(folder, "oracle"), os.path.join(folder, "filtags")
        os.mkdir(ours)
        if not a.oracle_run:
            subprocess.run(
                [sys.executable, os.path.join(ORACLE, "filtags_oracle.py"), "run", *shared, "--out", theirs],
                check=True,
            )
        subprocess.run([a.filtags, "pipeline", *shared, "--save-dir", ours, "--quiet"], check=True)
        sys.exit(
            subprocess.run(
                [
                    sys.executable,
                    os.path.join(ORACLE, "compare.py"),
                    "--oracle",
                    theirs,
                    "--c-dir",
                    ours,
                    "--tol",
                    "1e-5",
                    "--tie",
                    "1e-5",
                    "--top1",
                    "1",
                    "--max-rankings",
                    "0",
                ],
                check=False,
            ).returncode
        )


if __name__ == "__main__":
    main()
