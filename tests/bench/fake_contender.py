"""Answers as bench/contender.py does, or fails in the way that FAKES (JSON: contender -> kind) says. Every run of it
takes a hundredth of a second, and so many times that as its name has letters."""
import json
import os
import sys
import time

name = sys.argv[1]
kind = json.loads(os.environ["FAKES"]).get(name, "good")
activations = [0.25, 0.5, 0.75]
if kind == "no start":
    sys.exit("ImportError: no such framework")
if kind == "slow start":
    time.sleep(60)
if kind == "talks":
    sys.stderr.write("a warning of many words\n" * 20000)  # more than a pipe takes
if kind == "other result":
    activations[1] += 0.01
if kind == "not a number":
    activations[1] = float("nan")
if kind == "other filters":
    activations.append(0.5)
print(json.dumps({"ready": True, "activations": activations}), flush=True)
for line in sys.stdin:
    if kind == "dies":
        sys.exit("RuntimeError: something broke\nMemoryError: no room")
    if kind == "killed":
        os.kill(os.getpid(), 9)
    if kind == "hangs":
        time.sleep(60)
    if kind == "nonsense":
        print("no JSON", flush=True)
        continue
    print(json.dumps({"seconds": 0.01 * len(name), "cpu_seconds": 0.02 * len(name), "peak_kbytes": 123456}), flush=True)
