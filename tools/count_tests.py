"""Print "PASSED FAILED SKIPPED" of a test run: of meson's testlog.json with cmocka's output in it, or of pytest's XML.

A test program that failed without cmocka saying how (a crash, a sanitizer's report) counts as one failure; a log that
is missing or has no test does too, so that a suite that doesn't run is never a success.
"""
import json
import re
import sys
import xml.etree.ElementTree


def count_cmocka(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            output = run.get("stdout", "") + run.get("stderr", "")
            n_passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
            n_failed = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test", output)))
            skipped += sum(map(int, re.findall(r"\[  SKIPPED \] (\d+) test", output)))
            if run["result"] != "OK" and n_failed == 0:
                n_failed = 1
            passed += n_passed
            failed += n_failed
    return passed, failed, skipped


def count_pytest(path):
    total = failed = skipped = 0
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        total += int(suite.get("tests"))
        failed += int(suite.get("failures")) + int(suite.get("errors"))
        skipped += int(suite.get("skipped"))
    return max(total - failed - skipped, 0), failed, skipped


def main():
    path = sys.argv[1]
    try:
        counts = count_pytest(path) if path.endswith(".xml") else count_cmocka(path)
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        counts = (0, 1, 0)
    if not any(counts):
        print(f"{path}: no test was run", file=sys.stderr)
        counts = (0, 1, 0)
    print(*counts)


if __name__ == "__main__":
    main()
