"""Run a fuzz target for a number of executions or seconds, and print one line of what came of it.

python3 run.py --program BUILD/tests/fuzz/fuzz_NAME --work FOLDER (--runs N | --seconds S | --gate S) [--strict]

libhdf5 crashes on some files. The product reads such files in another process; a target that reads HDF5 runs in the
fuzzer's own process here (a fork takes far longer than most files) and ends it with status 77 when the failure is
libhdf5's. Then a new one goes on, and the failures are counted. Whatever else ends a fuzzer is run again on its own: it
counts as a crash of ours where it happens again, with the isolation that fuzz_rehearse gives. With --reader that is the
program which reads HDF5 in the product: slower, and libhdf5's failures are malformed files.

--gate is for tests: what they try is always the same, as it begins with the seeds alone and a fixed number for the
random ones, and ends after a number of executions. S seconds are the most that it may take: a slow machine tries the
first of the same inputs. So a test fails for what has changed, and not by chance.
"""
import argparse
import ctypes
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent
LIBRARY_FAILED = 77
ISOLATED = ("fuzz_hdf5", "fuzz_model") # they time each execution themselves, by the processor
MOST_BYTES = {"fuzz_hdf5": 40000, "fuzz_model": 40000, "fuzz_keras_zip": 12000, "fuzz_keras_config": 4000,
              "fuzz_pickle": 2000, "fuzz_tags": 1500, "fuzz_listing": 1500, "fuzz_options": 400,
              "fuzz_class_index": 1000}
OTHER_MOST_BYTES = 6000
# of --gate: a few seconds
GATE_RUNS = {"fuzz_hdf5": 300, "fuzz_model": 300, "fuzz_tags": 2000}
OTHER_GATE_RUNS = 10000
SLOW_SEC = {True: 1, False: 20} # of the processor, by --strict: more is a failure; the machine of a test may be slow


def make_command(options, target, n_runs, seconds, n_restarts):
    work = options.work
    corpus, seeds, crashes = corpus_of(options, target), work / "seeds" / target, work / "crashes"
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    timeout = 1 if options.strict and target not in ISOLATED else 30
    # of the isolated ones ASan's limit (fuzz) lets malloc fail, as the limit of the product's reader does
    most_malloc = 0 if target in ISOLATED else 1024
    command = [options.program, f"-max_len={MOST_BYTES.get(target, OTHER_MOST_BYTES)}", "-rss_limit_mb=1024",
               f"-malloc_limit_mb={most_malloc}", f"-timeout={timeout}", "-print_funcs=0",
               f"-artifact_prefix={crashes}/{target}-"]
    if options.gate is not None:
        # what is compared is found by addresses of code, which differ from run to run; a folder is read anew by time
        command += [f"-seed={1 + n_restarts}", "-use_cmp=0", "-reload=0"]
    if target in ISOLATED: # what libhdf5 gets no end with is rare, and entropic schedules would prefer it
        command.append("-entropic=0")
    if n_runs is not None:
        command.append(f"-runs={n_runs}")
    if seconds is not None:
        command.append(f"-max_total_time={max(1, round(seconds))}")
    dictionary = work / "seeds" / f"{target}.dict"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    crashers = ROOT / "crashers" / target
    return command + [corpus, seeds] + ([crashers] if crashers.is_dir() else [])


def count_runs(log):
    """How many executions a fuzzer told of."""
    done = re.findall(r"^Done (\d+) runs", log, re.MULTILINE)
    failed = re.findall(r"^libhdf5 failed in run (\d+)", log, re.MULTILINE)
    shown = re.findall(r"^#(\d+)\s", log, re.MULTILINE)
    return max(map(int, done + failed + shown), default=0)


def corpus_of(options, target):
    return options.work / ("corpus" if options.gate is None else "gate-corpus") / target


def keep_addresses():
    """Let the same memory be at the same place in every run, where that is allowed: readers hash addresses."""
    ADDR_NO_RANDOMIZE = 0x40000
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


def limit_processor(seconds):
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def is_reproduced(program, log, slow_sec):
    """Whether the input that a fuzzer left fails once more, alone, with libhdf5's failures taken care of; or, where it
    took too long, again takes so much of the processor."""
    found = re.search(r"Test unit written to (\S+)", log)
    if not found:
        return True, "(no input was kept)"
    environment = dict(os.environ, UBSAN_OPTIONS="halt_on_error=1")
    environment.pop("FILTAGS_FUZZ_IN_PROCESS", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([program, found[1]], env=environment, capture_output=True,
                         preexec_fn=lambda: limit_processor(60 + slow_sec))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    is_slow = seconds > slow_sec and program.name not in ISOLATED
    return run.returncode != 0 or is_slow, f"{found[1]} ({seconds:.1f} s)"


def fuzz(options, target):
    n_done = n_library = n_vanished = most_mb = 0
    readers = []
    start = time.monotonic()
    environment = dict(os.environ, FILTAGS_FUZZ_IN_PROCESS="1", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    if target in ISOLATED:
        environment["ASAN_OPTIONS"] = "max_allocation_size_mb=1024:allocator_may_return_null=1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.gate is not None:
        options.runs, options.seconds = GATE_RUNS.get(target, OTHER_GATE_RUNS), options.gate
        shutil.rmtree(corpus_of(options, target), ignore_errors=True)
    while True:
        n_left = None if options.runs is None else options.runs - n_done
        left = None if options.seconds is None else options.seconds - (time.monotonic() - start)
        if (n_left is not None and n_left <= 0) or (left is not None and left <= 0):
            break
        try:
            command = make_command(options, target, n_left, left, n_library + n_vanished)
            run = subprocess.run(command, env=environment, capture_output=True,
                                 preexec_fn=None if options.gate is None else keep_addresses)
        except KeyboardInterrupt: # what the last fuzzer did isn't counted
            break
        log = run.stderr.decode(errors="replace")
        n_done += count_runs(log)
        readers += re.findall(r"^readers: .*", log, re.MULTILINE)
        most_mb = max([most_mb] + [int(n) for n in re.findall(r"rss: (\d+)Mb", log)])
        if run.returncode == LIBRARY_FAILED and "libhdf5 failed" in log:
            n_library += 1
        elif run.returncode != 0:
            reproduced, path = is_reproduced(options.program, log, SLOW_SEC[options.strict])
            if reproduced:
                print(log[-6000:])
                print(f"{target}: FAILED after {n_done} executions: {path}", flush=True)
                return False
            n_vanished += 1
    seconds = time.monotonic() - start
    print(f"{target}: {n_done} executions in {seconds:.0f} s, at most {most_mb} MB; {n_library} failures of libhdf5, "
          f"{n_vanished} that did not happen again", *readers, sep="\n    ", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path, help="folder with seeds/; gets corpus/, crashes/")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--gate", type=float)
    parser.add_argument("--strict", action="store_true", help="an execution of more than a second is a failure")
    parser.add_argument("--reader", type=pathlib.Path, help="filtags-read, or tests/fuzz/warm_reader, which is faster")
    options = parser.parse_args()
    if options.reader:
        os.environ["FILTAGS_READER"] = str(options.reader.resolve())
    if options.runs is None and options.seconds is None and options.gate is None:
        parser.error("--runs, --seconds or --gate is missing")
    options.program = options.program.resolve()
    options.work = options.work.resolve()
    sys.exit(0 if fuzz(options, options.program.name) else 1)


if __name__ == "__main__":
    main()
