"""Signals in the middle of a run: at a certain call of the system, not after a time. moments.c sends them.

A test that waited for the middle would find a run that is done already on one machine, and hasn't begun on another.
"""
import os
import pathlib
import signal
import subprocess
import time

import steps

LIBRARY = steps.BUILD / "tests" / "moments" / "moments.so"
MOST = 10**9  # a call that is never reached, only counted


def at(kind, number, path, sends):
    """The moment right before the number-th call of a kind ("open", "write", "sync", "link", "unlink", "any") that is
    about a file with path in its own. Of several moments, the calls of each are counted from the one before on."""
    return f"{kind} {number} {int(sends)} {path}"


def variables(*moments, asan_options=None):
    """Of the environment of programs of which each gets signals at these moments."""
    assert LIBRARY.exists(), f"{LIBRARY} is not built"
    # gcc's address sanitizer wants to come first, as long as it isn't told that nothing depends on it
    asan_options = asan_options or os.environ.get("ASAN_OPTIONS")
    return {"LD_PRELOAD": str(LIBRARY), "MOMENTS": "\n".join(moments),
            "ASAN_OPTIONS": ":".join(filter(None, [asan_options, "verify_asan_link_order=0"]))}


def environment(*moments):
    return {**os.environ, "LC_ALL": "C", "TERM": "dumb", **variables(*moments)}


def start(words, *moments, **options):
    """Start filtags. To be used with "with"."""
    words = [word if isinstance(word, bytes) else os.fsencode(str(word)) for word in words]
    return subprocess.Popen([os.fsencode(steps.FILTAGS), *words], env=environment(*moments), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run(words, *moments):
    """Run filtags to its end, whatever that is: exit status (negative: the signal that ended it), stdout, stderr."""
    with start(words, *moments) as process:
        stdout, stderr = process.communicate(timeout=steps.TIMEOUT_SEC)
        return process.returncode, stdout.decode(), stderr.decode()


def count(words, kind, path, total):
    """How many such calls an undisturbed run makes. total: a file for the answer."""
    subprocess.run([steps.FILTAGS, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, check=True,
                   env={**environment(at(kind, MOST, path, signal.SIGKILL)), "MOMENTS_TOTAL": str(total)},
                   timeout=steps.TIMEOUT_SEC)
    return int(total.read_text())


def wait_until(is_so):
    """For what is going to be, and stays."""
    deadline = time.monotonic() + steps.TIMEOUT_SEC
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def status_of(pid):
    """What Linux tells of a process: {name: text}; empty when there is none."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_alive(pid):
    """A process that nobody waits for, as in a container whose first process doesn't, stays a zombie: it has ended."""
    return status_of(pid).get("State", "X")[0] not in "ZX"


def wait_until_stopped(pid):
    """SIGSTOP was asked for: wait until the process stands still. SIGCONT lets it go on."""
    wait_until(lambda: not is_alive(pid) or status_of(pid)["State"][0] == "T")
    assert is_alive(pid), "it has ended"


def wait_until_noticed(pid, number):
    """Wait until filtags has got a signal that it was sent: then it doesn't catch that one any more."""
    wait_until(lambda: not is_alive(pid) or not int(status_of(pid)["SigCgt"], 16) >> (number - 1) & 1)
