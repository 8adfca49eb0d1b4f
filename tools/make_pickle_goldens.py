#!/usr/bin/env python3
"""Writes the pickles that the tests of pickles in tests/unit read: the same values in every protocol.

    python make_pickle_goldens.py tests/unit/data/pickles

Run it once with NumPy 1 and once with NumPy 2: they name their modules differently. Files are called
numpy<major>-protocol<n>.pkl; expected.json has one line of text for each value, which must come out the same whatever
the protocol and the NumPy version.
"""
import collections
import json
import os
import pickle
import sys

import numpy as np


def escape(data):
    return "".join(chr(b) if 32 <= b < 127 and b not in b"\\'" else "\\x%02x" % b for b in data)


def number(x):
    return "nan" if x != x else "%.17g" % x


def dump(x):
    """The text that tests/unit/pickle_text.h makes of a value."""
    if x is None or isinstance(x, (bool, np.bool_)):
        return str(x)
    if isinstance(x, (int, np.integer)):
        return "i%d" % max(-2 ** 63, min(2 ** 63 - 1, int(x)))   # the reader saturates
    if isinstance(x, (float, np.floating)):
        return number(float(x))
    if isinstance(x, str):
        return "'" + escape(os.fsencode(x)) + "'"
    if isinstance(x, (bytes, bytearray)):
        return "b'" + escape(x) + "'"
    if isinstance(x, list):
        return "[" + ", ".join(map(dump, x)) + "]"
    if isinstance(x, tuple):
        return "(" + ", ".join(map(dump, x)) + ")"
    if isinstance(x, (set, frozenset)):
        return "{" + ", ".join(sorted(map(dump, x))) + "}"
    if isinstance(x, dict):
        return "{" + ", ".join(dump(k) + ": " + dump(v) for k, v in x.items()) + "}"
    if isinstance(x, np.ndarray):
        return "array<%s>[%s]" % ("x".join(map(str, x.shape)), " ".join(number(float(v)) for v in x.ravel(order="C")))
    raise TypeError(type(x))


def values():
    shared = [1, "shared", [2.5]]
    default = collections.defaultdict(list)
    default["k"].append(1)
    cube = np.arange(24, dtype="f4").reshape(2, 3, 4) / 7
    grid = np.array([[0, 1, 100], [-5, 7, 127]])
    yield [None, True, False, 0, 1, 255, 256, 65535, 65536, -1, -129, 2 ** 31 - 1, -2 ** 31, 2 ** 31, 2 ** 59 - 1,
           2 ** 59, -2 ** 59, -2 ** 59 - 1, 2 ** 63 - 1, -2 ** 63, 2 ** 63, 2 ** 100, -2 ** 100, -2 ** 63 - 1,
           2 ** 2100, -2 ** 2100]
    yield [0.0, -0.0, 1.5, 0.1, 1e-300, -1e300, 5e-324, float("nan"), float("inf"), float("-inf")]
    yield ["", "abc", "\u00e9\u20ac\U0001f600", os.fsdecode(b"caf\xe9 \xff"), "a\nb\\c'd\"e\\u0041", "nul\0nul",
           "x" * 300, "\u0130\u0131", "abc"]
    yield [b"", b"abc", bytes(range(256)), bytearray(b"x\xff"), bytearray(), b"y" * 300]
    yield [[], (), {}, set(), {1}, frozenset({2, 3}), frozenset(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((), ([],)),
           [[[[]]]]]
    yield [shared, shared, (shared, {"k": shared})]
    yield {1: "one", "two": 2, (3, "x"): [4], 5.5: None, b"b": {"c": {}}, None: (), True + 1: True}
    yield [collections.OrderedDict([("b", 1), ("a", [2])]), default]
    yield [np.array([1.5, -2.25, 3e-7, np.nan, np.inf], dtype="f4"), np.array([], dtype="f4"), np.array(4.5),
           np.zeros((2, 0, 3)), cube, np.asfortranarray(cube), cube.transpose(1, 2, 0), cube[:, ::2, 1:], cube[::-1]]
    yield [grid.astype(order + kind) for order in "<>" for kind in ("i1", "i2", "i4", "i8", "f2", "f4", "f8", "?")]
    yield [np.abs(grid).astype(order + kind) for order in "<>" for kind in ("u1", "u2", "u4", "u8")]
    yield [np.array([6e-8, 6.1e-5, 65504, np.inf, -np.inf, np.nan, -0.0], dtype="f2"),
           np.array([2 ** 64 - 1], dtype="u8")]
    yield [np.float32(0.1), np.float64(0.1), np.float16(0.1), np.int8(-3), np.int16(-300), np.int32(-70000),
           np.int64(-2 ** 40), np.uint8(200), np.uint16(60000), np.uint32(2 ** 32 - 1), np.uint64(2 ** 64 - 1),
           np.bool_(True), np.bool_(False)]
    # as the published scripts have them: lists over layers of lists over filters
    yield [[np.float32(i / 7) for i in range(n)] for n in (3, 5)]
    yield [np.arange(n, dtype="f4") / 3 for n in (3, 5)]
    # more than the 1,000 items that Python writes in one batch, with and without containers in them
    yield list(range(1100))
    yield [[i / 4] for i in range(1100)]
    yield {i: str(i % 10) for i in range(1100)}
    yield set(range(1100))
    yield (np.arange(5000) * 37 % 256).astype("u1")   # a long text of bytes in protocols 0 to 2
    yield (np.arange(3000) / 11).astype("f4")


def main():
    folder = sys.argv[1]
    expected = [dump(v) for v in values()]
    for protocol in range(6):
        path = os.path.join(folder, "numpy%s-protocol%d.pkl" % (np.__version__.split(".")[0], protocol))
        with open(path, "wb") as f:
            for value in values():
                pickle.dump(value, f, protocol)
        with open(path, "rb") as f:
            for i, text in enumerate(expected):
                assert dump(pickle.load(f)) == text, (path, i)
            assert f.read() == b""
    with open(os.path.join(folder, "expected.json"), "w", encoding="ascii") as f:
        json.dump(expected, f, indent=0)
        f.write("\n")


if __name__ == "__main__":
    main()
