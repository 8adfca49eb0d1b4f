"""Signals in the middle of a run: at a certain call of the system, not after a time. moments.c sends them.

A test that waited for the middle would find a run that is done already on one machine, and hasn't begun on another.
"""
import os
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


def environment(*moments, total=None):
    """For programs of which each gets signals at these moments. total: see count."""
    assert LIBRARY.exists(), f"{LIBRARY} is not built"
    # gcc's address sanitizer wants to come first, as long as it isn't told that nothing depends on it
    sanitizer = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
    made = {**os.environ, "LC_ALL": "C", "TERM": "dumb", "LD_PRELOAD": str(LIBRARY), "ASAN_OPTIONS": sanitizer,
            "MOMENTS": "\n".join(moments)}
    return made if total is None else {**made, "MOMENTS_TOTAL": str(total)}


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
                   env=environment(at(kind, MOST, path, signal.SIGKILL), total=total),
                   timeout=steps.TIMEOUT_SEC)
    return int(total.read_text())


def wait_until_stopped(process):
    """SIGSTOP was asked for: wait until a process of ours stands still. SIGCONT lets it go on."""
    deadline = time.monotonic() + steps.TIMEOUT_SEC
    how = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
    while not (state := os.waitid(os.P_PID, process.pid, how)):
        assert time.monotonic() < deadline, "it neither stopped nor ended"
        time.sleep(0.005)
    assert state.si_code == os.CLD_STOPPED, f"it ended, with status {state.si_status}"
