"""Many pictures: a thousand damaged ones among a thousand good ones, and memory that doesn't grow with their number."""
import os
import pathlib
import random
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest

import steps

GOOD = steps.TESTS / "unit" / "data" / "images"
DEMO = steps.TESTS.parent / "demo"
N = 1000


# ---------------------------------------------------------------- damage, that surely is

def bmp(seed, width=24, height=20):
    pixels = steps.noise(seed).randbytes((3 * width + 3) // 4 * 4 * height)
    return (struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
            + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels)


JPEG = sorted(path for path in GOOD.glob("jpeg_*.jpg") if path.stat().st_size > 300)
TIFF = sorted(path for path in GOOD.glob("tiff_*") if path.stat().st_size > 300 and "rgbx_raw" not in path.name)


def good_picture(generator):
    """The bytes of a picture, and an ending; it need not fit."""
    seed = generator.random()
    kind = generator.choice(["ppm", "png", "bmp", "jpg", "tif"])
    if kind == "jpg":
        bytes_ = generator.choice(JPEG).read_bytes()
    elif kind == "tif":
        bytes_ = generator.choice(TIFF).read_bytes()
    else:
        width, height = generator.randint(1, 60), generator.randint(1, 60)
        bytes_ = {"ppm": steps.ppm, "png": steps.png, "bmp": bmp}[kind](seed, width, height)
    return bytes_, kind if generator.random() < 0.8 else generator.choice(["jpeg", "PNG", "bmp", "tiff"])


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def cut(generator):
    """At a random place; what pictures of the format can do without is cut off anyway."""
    kind = generator.choice(["ppm", "png", "bmp", "jpg", "tif"])
    if kind == "jpg":
        bytes_ = generator.choice(JPEG).read_bytes()
        if b"trailing" in bytes_ or not bytes_.endswith(b"\xff\xd9"):
            bytes_ = (GOOD / "jpeg_444.jpg").read_bytes()
        return bytes_[:generator.randrange(len(bytes_) - 1)], kind
    if kind == "tif":  # its directory is at the end or its pixels are
        bytes_ = (GOOD / "tiff_rgb16_le.tif").read_bytes()
        return bytes_[:generator.randrange(len(bytes_) // 2)], kind
    bytes_ = {"ppm": steps.ppm, "png": steps.png, "bmp": bmp}[kind](generator.random())
    return bytes_[:generator.randrange(len(bytes_) - 20)], kind


def flipped(generator):
    """A bit of what tells the format, or of what a checksum guards that Pillow looks at: IHDR's, and zlib's."""
    bytes_ = bytearray(steps.png(generator.random()))
    data = bytes_.index(b"IDAT") + 4
    first, end = generator.choice([(0, data - 8), (data + 12, len(bytes_) - 16)])
    place = generator.randrange(first, end)
    bytes_[place] ^= 1 << generator.randrange(8)
    return bytes(bytes_), "png"


def empty(generator):
    return b"", generator.choice(["png", "jpg", "tiff", "bmp", "ppm"])


def no_picture(generator):
    words = [b"lorem ", b"ipsum ", b"\n", b"<html>"]
    text = b"".join(generator.choice(words) for _ in range(generator.randint(1, 99)))
    return generator.choice([text, b"\0" * 500, b"\x7fELF" + text, b"PK\3\4" + text, b"%PDF-1.4" + text]), "jpg"


def other_format(generator):
    start = generator.choice([b"GIF89a", b"RIFF\x24\0\0\0WEBPVP8 ", b"8BPS\0\1", b"\0\0\1\0\1\0", b"qoif",
                              b"P3 2 2 255 "])
    return start + generator.randbytes(200), generator.choice(["png", "jpg"])


def huge(generator):
    """Dimensions that would take gigabytes, in a file of a few bytes."""
    width, height = generator.randint(20000, 65500), generator.randint(20000, 65500)
    rows = zlib.compress(b"\0" * 100000)
    return generator.choice([
        (f"P6 {width} {height} 255\n".encode() + b"\1" * 300, "ppm"),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
         + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b""), "png"),
        (bmp(1)[:18] + struct.pack("<ii", width, height) + bmp(1)[26:], "bmp")])


def senseless(generator):
    """Headers that say what can't be."""
    return generator.choice([
        (b"P6 0 5 255\n" + b"x" * 100, "ppm"), (b"P6 5 5 0\n" + b"x" * 100, "ppm"),
        (b"P6 a b c\n" + b"x" * 100, "ppm"),
        (bmp(1)[:18] + struct.pack("<ii", 0, 20) + bmp(1)[26:], "bmp"), (bmp(1)[:28] + b"\x07\0" + bmp(1)[30:], "bmp"),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">2I5B", 9, 9, 3, 2, 0, 0, 0))
         + png_chunk(b"IEND", b""), "png"),
        (b"II*\0" + struct.pack("<I", 0xfffffff0) + b"\0" * 99, "tif"),
        (b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 99, "tif"),
        (b"\xff\xd8\xff" + generator.randbytes(3) * 60, "jpg")])


DAMAGE = [cut, flipped, empty, no_picture, other_format, huge, senseless]


@pytest.fixture(scope="module")
def thousands(tmp_path_factory):
    """Two folders: good pictures alone, and the same ones with as many damaged ones between them."""
    root = tmp_path_factory.mktemp("thousands")
    generator = random.Random(20261124)
    damaged = {}
    for i in range(N):
        bytes_, ending = good_picture(generator)
        name = f"class{generator.randrange(7)}/{generator.randrange(10**6):06}-{i}.{ending}"
        for folder in ("good", "both"):
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes_)
    for i in range(N):
        damage = DAMAGE[i % len(DAMAGE)]
        bytes_, ending = damage(generator)
        name = f"class{generator.randrange(7)}/{generator.randrange(10**6):06}-bad-{damage.__name__}-{i}.{ending}"
        (root / "both" / name).write_bytes(bytes_)
        damaged[name] = damage.__name__
    return root, damaged


@pytest.mark.parametrize("words", [(), ("--threads", 3, "--batch", 5)], ids=["default", "threads"])
def test_thousand_damaged_among_thousand_good(thousands, tmp_path, words):
    root, damaged = thousands
    runs = {}
    for folder in ("good", "both"):
        out = tmp_path / folder
        out.mkdir()
        result = steps.run("activations", "--model", DEMO / "fashion.keras", "--images-dir", root / folder,
                           "--split", 0, "--save-dir", out, *words)
        runs[folder] = steps.load(steps.main_file(out, "QFA")), steps.warnings(out, "QFA"), result
    (good, log, _), (both, log_of_both, result) = runs["good"], runs["both"]
    assert log == [], "good ones are good"
    by_name = {}
    for line in log_of_both:
        name, _, reason = line.removeprefix(f"{root}/both/").partition(": ")
        assert name not in by_name and reason.endswith(" (the picture is left out)"), line
        by_name[name] = reason.removesuffix(" (the picture is left out)")
    assert set(by_name) == set(damaged), sorted(set(by_name) ^ set(damaged))
    assert all(len(reason) > 10 for reason in by_name.values())
    assert all("pixels" in reason or "memory" in reason or "large" in reason or "expected" in reason
               for name, reason in by_name.items() if damaged[name] == "huge")
    assert f"{N} of {2 * N} pictures could not be used" in result.stdout
    assert result.stderr.count("\n") == 21 and f"{N - 20} more warnings, see the warnings log" in result.stderr
    assert good["labels_id"] == both["labels_id"] and sorted(good["train_filenames"]) == sorted(both["train_filenames"])
    assert both["test_filenames"] == []
    for i in range(1, 8):
        one, other = good[f"filter_act_{i}"], both[f"filter_act_{i}"]
        assert len(one) == len(other) == 6
        for a, b in zip(one, other):
            assert a.tobytes() == b.tobytes() and a.size > 0


# ---------------------------------------------------------------- memory

PEAK = """
import os, sys
null = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(pid, 0)
print(status, usage.ru_maxrss)
"""


def peak_kib(*words):
    """The most memory that the program had. A small process starts it, for the peak counts what it is started from."""
    process = subprocess.run([sys.executable, "-S", "-c", PEAK, steps.FILTAGS, *map(str, words)], capture_output=True,
                             text=True, check=True, timeout=1800)
    status, peak = map(int, process.stdout.split())
    assert status == 0, process.stderr
    return peak


@pytest.mark.skipif(b"__asan_init" in pathlib.Path(steps.FILTAGS).read_bytes(), reason="sanitizers keep what is freed")
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path, threads):
    """1,000 pictures and 10,000: less than 5 % more, in steps 1 and 3."""
    pictures = tmp_path / "pictures"
    with zipfile.ZipFile(DEMO / "images.zip") as archive:
        archive.extractall(pictures)
    files = sorted(path for path in pictures.rglob("*") if path.is_file())[:300]
    peaks = {}
    for n in (1000, 10000):
        images, out = tmp_path / f"{n}", tmp_path / f"out{n}"
        out.mkdir()
        for i in range(n):
            folder = images / f"class{i % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            os.link(files[i % len(files)], folder / f"picture-{i:06}.png")
        common = ["--save-dir", out, "--threads", threads]
        first = peak_kib("activations", "--model", DEMO / "fashion.keras", "--images-dir", images, "--split", 0,
                         *common)
        steps.run("tag", steps.main_file(out, "QFA"), "--save-dir", out, "--k-q", "1,5")
        third = peak_kib("evaluate", steps.main_file(out, "TF"), "--k-q", "1,5", "--split", 1, *common)
        assert steps.run_json(out, "QFA")["counts"]["n_pictures_run"] == n
        assert steps.run_json(out, "E")["counts"]["n_pictures_run"] == n
        peaks[n] = first, third
    print(f"\n{threads} threads: peaks of steps 1 and 3 in KiB {peaks}")
    for few, many in zip(*peaks.values()):
        assert many < 1.05 * few, peaks
