#!/usr/bin/env python3
"""Loads '-vars.pkl' files with the standard pickle, warnings being errors, and prints what is in them.

    python check_pickles.py FILE-vars.pkl ...

One line a variable, three columns with tabs between: its name (from the '-names.pkl' file beside it), its type down to
the items, such as 'dict(int:list(str))', and its value as JSON: tuples and NumPy arrays are lists, sets sorted lists,
keys text, bytes latin1, NaN and Infinity as Python's json has them. Exit status 1 where anything is wrong. Needs Python
3 and NumPy 1 or 2; opcodes newer than protocol 2 are wrong, too.
"""
import io
import json
import pickle
import pickletools
import sys
import warnings


def plain(x):
    """-> what json can write"""
    if isinstance(x, dict):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, (set, frozenset)):
        return sorted(map(plain, x))
    if hasattr(x, "tolist"):       # NumPy arrays and scalars
        return x.tolist()
    if isinstance(x, (bytes, bytearray)):
        return x.decode("latin1")
    return x


def kind(x):
    """-> the type as text, down to the items: 'dict(int:list(str))'"""
    if isinstance(x, dict):
        keys, values = sorted({kind(k) for k in x}), sorted({kind(v) for v in x.values()})
        return "dict(%s:%s)" % ("|".join(keys), "|".join(values))
    if isinstance(x, tuple):
        return "tuple(%s)" % ",".join(map(kind, x))
    if isinstance(x, (list, set, frozenset)):
        return "%s(%s)" % (type(x).__name__, "|".join(sorted({kind(v) for v in x})))
    if type(x).__name__ == "ndarray":
        return "ndarray(%s,%dd)" % (x.dtype, x.ndim)
    return type(x).__name__


def load_all(path):
    """-> the values of a file; both of Python's unpicklers must agree on them"""
    with open(path, "rb") as f:
        data = f.read()
    values, stream = [], io.BytesIO(data)
    while stream.tell() < len(data):
        start = stream.tell()
        values.append(pickle.load(stream))
        part = data[start:stream.tell()]
        slow = pickle._Unpickler(io.BytesIO(part)).load()
        if json.dumps(plain(slow)) != json.dumps(plain(values[-1])) or kind(slow) != kind(values[-1]):
            raise ValueError("pickle._Unpickler and pickle.Unpickler differ")
        newest = max(opcode.proto for opcode, _, _ in pickletools.genops(part))
        if newest > 2:
            raise ValueError("opcodes of protocol %d" % newest)
    return values


def main():
    warnings.simplefilter("error")
    for path in sys.argv[1:]:
        try:
            values = load_all(path)
            if path.endswith("-names.pkl"):
                names = ["names"]
            else:
                (names,) = load_all(path[:-4] + "-names.pkl")
            if len(names) != len(values):
                raise ValueError("%d names for %d pickles" % (len(names), len(values)))
        except Exception as error:
            sys.exit("%s: %s: %s" % (path, type(error).__name__, error))
        for name, value in zip(names, values):
            print("%s\t%s\t%s" % (name, kind(value), json.dumps(plain(value))))


if __name__ == "__main__":
    main()
