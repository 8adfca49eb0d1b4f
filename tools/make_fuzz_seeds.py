"""Make the seeds of the fuzz targets: small files for each, from the tests' data and from the formats themselves.

python3 tools/make_fuzz_seeds.py FOLDER    gives FOLDER/<target>/<seed>; needs nothing but Python. No seed has more than
MOST_BYTES, so that a fuzzer makes many executions a second of them.
"""
import hashlib
import json
import pathlib
import pickle
import re
import shutil
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
MOST_BYTES = 6000
PICTURE_KINDS = {"jpeg": ("jpg",), "png": ("png",), "tiff": ("tif", "tiff"), "bmp": ("bmp",), "pnm": ("pgm", "ppm")}


def pictures():
    for path in sorted((TESTS / "unit/data/images").iterdir()):
        if path.suffix == ".json" or path.stat().st_size > MOST_BYTES:
            continue
        yield "picture", path.name, path.read_bytes()
        for kind, suffixes in PICTURE_KINDS.items():
            if path.suffix[1:] in suffixes:
                yield f"picture_{kind}", path.name, path.read_bytes()


def scan(component, first, last, high, low):
    """A progressive scan's header of one component."""
    return b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, component, 0, first, last, high << 4 | low)


def many_scans():
    """A progressive JPEG whose scans are empty but for one end-of-band run: the least a scan can cost its writer."""
    path = TESTS / "unit/data/images/jpeg_420_progressive.jpg"
    jpeg = path.read_bytes()
    first = jpeg.index(b"\xff\xda")
    yield "picture_jpeg", "many_scans.jpg", jpeg[:-2] + 40 * (scan(1, 1, 5, 0, 2) + b"\x00" * 4) + jpeg[-2:]
    yield "picture_jpeg", "cut_before_scans.jpg", jpeg[:first] + b"\xff\xd9"


def python_values():
    text = "caf\u00e9 \U0001f600"
    yield "plain", [None, True, 0, -1, 255, 65536, 2 ** 40, -2 ** 70, 1.5, text, b"bytes", (1,), (), [], {}, {1, 2}]
    shared = ["a", "b"]
    yield "shared", [shared, shared, {"k": shared}]
    yield "deep", [[[[[[[[{"a": ({"b": [1]},)}]]]]]]]]
    yield "tags", tags(1)


def tags(n_values, first_key=1):
    lists = [[["cat", "dog"], ["dog"], []], [["cat"], []]]
    return {first_key + i: lists for i in range(n_values)}


def fresh(value):
    """The same without lists in two places, as the program writes it."""
    return pickle.loads(pickle.dumps(value, 0)) if not isinstance(value, dict) else {
        key: json.loads(json.dumps(item)) for key, item in value.items()}


def pickles():
    for name, value in python_values():
        for protocol in range(6):
            yield "pickle", f"{name}{protocol}", pickle.dumps(value, protocol)
    # NumPy arrays and scalars are long in the tests' data, and short in what the demo would write: cut out single ones
    for path in sorted((TESTS / "unit/data/pickles").glob("*.pkl")):
        data = path.read_bytes()
        for number, pick in enumerate(split_pickles(data)):
            if len(pick) <= 1500 and b"numpy" in pick and number % 5 == 0:
                yield "pickle", f"{path.stem}-{number}", pick
    for path in sorted((TESTS / "parity/published").glob("*-names")):
        yield "pickle", path.name, path.read_bytes()


def split_pickles(data):
    import io
    import pickletools
    stream = io.BytesIO(data)
    start = 0
    while start < len(data):
        for _ in pickletools.genops(stream):
            pass
        yield data[start:stream.tell()]
        start = stream.tell()


def ranked(n_classes, values):
    """Tags as step 2 writes them: class c has filter f at place (f + c) % n, and tags those below k."""
    n_filters = 4
    return {k: [[[f"c{c}" for c in range(n_classes) if (f + c) % n_filters < k] for f in range(n_filters)]]
            for k in values}


def tag_files():
    for protocol in (0, 2, 4):
        two = pickle.dumps(fresh(tags(2)), protocol) + pickle.dumps(fresh(tags(1, 50)), protocol)
        yield "tags", f"two{protocol}", b"\0" + two
        shared = pickle.dumps(tags(2), protocol) + pickle.dumps(tags(2), protocol)
        yield "tags", f"shared{protocol}", b"\0" + shared
        places = pickle.dumps(fresh(tags(2, 0)), protocol) + pickle.dumps(fresh(tags(2, 25)), protocol)
        yield "tags", f"published{protocol}", b"\1" + places
        nested = [pickle.dumps(fresh(ranked(3, values)), protocol) for values in ((1, 2, 3, 4), (25, 50, 100))]
        yield "tags", f"ranked{protocol}", b"\0" + nested[0] + nested[1]


def keras_files():
    seen = set()
    for path in sorted((TESTS / "parity/layers").glob("*.keras")):
        data = path.read_bytes()
        kind = re.sub(r"\d+$", "", path.stem.split("_")[0])
        with zipfile.ZipFile(path) as archive:
            config = archive.read("config.json")
            yield "keras_config", path.name + ".json", config
            if kind in seen or len(data) > 12000:
                continue
            seen.add(kind)
            yield "keras_zip", path.name, data
            yield "model", path.name, data
            weights = archive.read("model.weights.h5")
            yield "hdf5", path.name + ".h5", weights
    for number, path in enumerate(sorted((TESTS / "parity/layers").glob("*_keras2.h5"))):
        data = path.read_bytes()
        found = re.search(rb'\{"class_name": "(?:Functional|Model|Sequential)".*?\}\x00', data, re.DOTALL)
        if found:
            yield "keras_config", path.name + ".json", b" " + found[0][:-1]
        if number % 4 == 0 and len(data) < 40000:
            yield "hdf5", path.name, data
            yield "model", path.name, data


def listings():
    yield "listing", "published", b"filter tags k=1\n0:[' a ', \" b' \"]\n1:[]\n"
    yield "listing", "sections", (TESTS / "fuzz/listing-sections").read_bytes()
    yield "class_index", "imagenet", b"n01440764 tench\nn01443537 goldfish, Carassius auratus\n"
    yield "class_index", "blanks", b"\xef\xbb\xbf\n  a   b c \r\n\n\t\nd\v\f\ne caf\xc3\xa9\n"


def command_lines():
    for path in sorted((TESTS / "cli/cases").glob("*/command")):
        first = path.read_text(encoding="utf-8").splitlines()[0].split()
        if first and first[0] in ("$FILTAGS", '"$FILTAGS"', "filtags"):
            first = first[1:]
        yield "options", path.parent.name, "\n".join(first).encode()
    yield "options", "k-q", b"tag\n--k-q=1,2.5, 0..100,-3..-1\n-k\n1e2\nx-vars.pkl\n--quiet"
    yield "options", "evaluate", (b"hitrates\nx-vars.pkl\n-m1,3,5..10\n--classes-img\n1..10,cat , 3\n--save-dir=."
                                  b"\n--time-delta\n-1.5\n--threads=2\n--\n-odd")
    yield "options", "activations", (b"activations\n--model\na.keras\n--size=32x48\n--preprocess\ncaffe"
                                     b"\n--images-dir\nd\n--split=0.5\n--seed-rn\n9\n--limit=7\n--strict\n--isa"
                                     b"\navx2\n--layers\n2,4")


def run_files():
    record = {
        "format": "filtags-run", "format_version": 1, "command": "activations", "previous": None,
        "network": {"name": "net", "network": None, "weights": {"hex": "2f61ff"}, "weights_official": False,
                    "model": "/a.keras", "model_sha256": "00", "class_index": None, "preprocess": "caffe",
                    "input_shape": [32, 32, 3], "n_outputs": 10, "layers_option": "conv",
                    "layers": [{"name": "conv", "filters": 8}, {"name": {"hex": "ff"}, "filters": 16}], "isa": "avx2"},
        "dataset": {"images_dir": "/d", "split": 0.5, "seed_rn": 5, "limit": None},
    }
    yield "run_file", "whole", json.dumps(record, indent=1).encode()
    record["dataset"] = {"images_dir": None, "split": None}
    record["network"]["layers"] = []
    yield "run_file", "short", json.dumps(record).encode()


def store_record(kind, profile, key, contents):
    header = struct.pack("<4sIIIQ32s", b"FTR\n", kind, profile, 0, len(contents), key)
    header += hashlib.sha256(header).digest()[:8]
    block = header + contents + b"\0" * (-len(contents) % 8)
    return block + hashlib.sha256(block).digest()[:16]


def stores():
    """docs/store.md; of 2 filters and 4 outputs, as the target has it."""
    start = struct.pack("<16sIIQ", b"filTags store\r\n", 1, 0x01020304, 0)
    start += hashlib.sha256(start).digest()
    profile = store_record(1, 1, hashlib.sha256(b"fuzz").digest(), b"fuzz")
    other = store_record(1, 1, hashlib.sha256(b"other").digest(), b"other")
    second = store_record(1, 2, hashlib.sha256(b"fuzz").digest(), b"fuzz")
    pictures_of = lambda number: b"".join(
        store_record(2, number, bytes([b]) * 32, struct.pack("<II", b, 7)) +
        store_record(3, number, bytes([b]) * 32, struct.pack("<IIfIfIf", 3, 1, .5, 2, .25, 3, .125)) for b in (0, 1))
    sync = store_record(0, 0, bytes(32), b"")
    for odd in (0, 1):
        first = bytes([odd])
        yield "store", f"whole{odd}", first + start + profile + pictures_of(1) + sync
        yield "store", f"two{odd}", first + start + other + second + pictures_of(2) + pictures_of(1)
        yield "store", f"cut{odd}", first + (start + profile + pictures_of(1))[:-5]
        yield "store", f"start{odd}", first + start


DICTIONARIES = {
    "pickle": [b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n",
               b"c_codecs\nencode\n", b"cnumpy.core.multiarray\nscalar\n", b"\x80\x02", b"\x80\x04\x95", b"\x93",
               b"\x94", b"h\0", b"q\0", b"e.", b"u."],
    "keras_config": [b'"class_name"', b'"config"', b'"layers"', b'"inbound_nodes"', b'"Functional"', b'"Sequential"',
                     b'"Conv2D"', b'"Dense"', b'"Add"', b'"Concatenate"', b'"Flatten"', b'"Reshape"', b'"batch_shape"',
                     b'"batch_input_shape"', b'"kernel_size"', b'"strides"', b'"padding"', b'"input_layers"', b'null',
                     b'"output_layers"', b'"keras_history"', b'"__keras_tensor__"', b'"args"', b'"target_shape"'],
    "listing": [b"filter tags k=", b"filter tags q=", b" layer=", b":['", b"', '", b"\\U0001f600", b"\\udcff", b"[]"],
    "run_file": [b'"hex"', b'"layers"', b'"filters"', b'"input_shape"', b'"split"', b"null", b"18446744073709551616"],
    "options": [b"\n--k-q=", b"\n-m", b"\n--classes-img=", b"..", b"1..10000", b",", b"e5", b"\n--size=",
                b"\n--layers\n", b"\n--", b"\n--time-delta=", b"visualize", b"single-image", b"explain", b"pipeline",
                b"export"],
    "class_index": [b"\xef\xbb\xbf", b"\r\n", b"\t", b"\v"],
    "picture_jpeg": [b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xdb", b"\xff\xdd", b"\xff\xee",
                     b"\xff\xd9"],
    "picture_png": [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"],
    "picture_tiff": [b"\x00\x01", b"\x01\x01", b"\x02\x01", b"\x03\x01", b"\x06\x01", b"\x11\x01", b"\x15\x01",
                     b"\x16\x01",
                     b"\x1c\x01", b"\x3d\x01", b"\x42\x01", b"\x43\x01", b"\x53\x01", b"\x5b\x01"],
    "hdf5": [b"OHDR", b"TREE", b"SNOD", b"HEAP", b"GCOL", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"model_config",
             b"layer_names"],
    "keras_zip": [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"config.json", b"model.weights.h5"],
}
DICTIONARIES["tags"] = DICTIONARIES["pickle"]
DICTIONARIES["model"] = DICTIONARIES["hdf5"] + DICTIONARIES["keras_zip"]


def write_dictionaries(folder):
    for target, words in DICTIONARIES.items():
        lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in words]
        (folder / f"fuzz_{target}.dict").write_text("\n".join(lines) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for maker in (pictures, many_scans, pickles, tag_files, keras_files, listings, command_lines, run_files, stores):
        for target, name, data in maker():
            place = folder / f"fuzz_{target}"
            place.mkdir(exist_ok=True)
            (place / name).write_bytes(data)
    write_dictionaries(folder)


if __name__ == "__main__":
    main()
