"""An installed filTags: where its things are, and what must be true of them wherever they were put."""
import csv
import gzip
import io
import os
import pathlib
import re
import shutil
import subprocess

TIMEOUT_SEC = 1800 # the whole demo, under a sanitizer, on a busy machine


class Installed:
    """root is the folder that stands for /; prefix is the place of bin, lib and share in it."""

    def __init__(self, root, prefix):
        self.root = pathlib.Path(root)
        self.prefix = self.root / prefix.lstrip("/")
        self.program = self.prefix / "bin/filtags"
        self.library_folder = self.find("libfiltags.so.?").parent
        self.version = re.search(r"\.so\.(\d+\.\d+\.\d+)$", os.path.realpath(self.find("libfiltags.so.?")))[1]
        # nothing of the user's or of the build: what is needed must be found without
        self.environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C",
                            "LD_LIBRARY_PATH": str(self.library_folder)}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def find(self, pattern):
        found = sorted(self.prefix.rglob(pattern))
        assert len(found) == 1, f"{pattern}: {found}"
        return found[0]

    def files(self):
        found = [path for path in self.prefix.rglob("*") if path.is_file() and not path.is_symlink()]
        assert found
        return found

    def run(self, *words, **options):
        result = subprocess.run([self.program, *words], capture_output=True, text=True, check=False,
                                env=self.environment, timeout=TIMEOUT_SEC, **options)
        assert result.returncode == 0, result.stderr
        return result

    def commands(self):
        listed = self.run("help").stdout.split("Commands:")[1].split("Options:")[0]
        return re.findall(r"^  ([a-z-]+)  +\S", listed, re.MULTILINE)

    def pkg_config(self, *words):
        folder = self.find("filtags.pc").parent
        # only this folder is looked into: the library's own dependencies must not be needed
        environment = {"PATH": os.environ["PATH"], "PKG_CONFIG_LIBDIR": str(folder),
                       "PKG_CONFIG_SYSROOT_DIR": str(self.root)}
        return subprocess.run(["pkg-config", *words, "filtags"], capture_output=True, text=True, check=True,
                              env=environment).stdout


def dynamic_section(path):
    listed = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\((\w+)\)\s+.*\[([^]]*)\]", listed)


def check_library(installed):
    link = installed.find("libfiltags.so")
    assert link.is_symlink() and not os.readlink(link).startswith("/")
    assert dynamic_section(link.resolve()).count(("SONAME", "libfiltags.so.0")) == 1
    assert link.resolve().name == f"libfiltags.so.{installed.version}"
    for path in (link, installed.program):
        assert not [entry for entry in dynamic_section(path) if entry[0] in ("RPATH", "RUNPATH")], path
    assert ("NEEDED", "libfiltags.so.0") in dynamic_section(installed.program)


def check_manual_pages(installed):
    """There is a page for the program and each command, and formatters have nothing to say about any."""
    commands = set(installed.commands())
    pages = {page.name.split(".")[0]: page for page in (installed.prefix / "share/man/man1").iterdir()}
    assert "filtags" in pages and "filtags-tag" in pages
    assert set(pages) == {"filtags"} | {f"filtags-{name}" for name in commands - {"help", "man", "completion"}}
    for name, page in pages.items():
        text = gzip.decompress(page.read_bytes()) if page.suffix == ".gz" else page.read_bytes()
        if shutil.which("groff"):
            shown, complaints = format_page(text, "groff", "-man", "-ww", "-Tutf8", "-P-cbu")
            assert not complaints, f"{name}: {complaints}"
            assert "SYNOPSIS" in shown and "EXIT STATUS" in shown, name
        if shutil.which("mandoc"):
            shown, complaints = format_page(text, "mandoc", "-T", "lint", "-W", "warning")
            # a date would make every build another one
            complaints = [line for line in (shown + complaints).splitlines() if "missing date" not in line]
            assert not complaints, f"{name}: {complaints}"


def format_page(text, *command):
    result = subprocess.run(command, input=text, capture_output=True, check=False,
                            env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
    return result.stdout.decode(), result.stderr.decode()


def check_pipeline(installed, folder):
    """The installed program does all of its work away from the tree. Returns the folder with the demo's network."""
    demo = folder / "demo"
    results = folder / "results"
    for place in (demo, results):
        place.mkdir()
    installed.run("demo", "--save-dir", demo, cwd=folder)
    pages = sorted(path.name.split("-")[4] for path in demo.glob("*.html"))
    assert pages == ["EX", "HP", "VIS"]
    installed.run("pipeline", "--model", demo / "fashion.keras", "--images-dir", demo / "images", "--class-index",
                  demo / "classes.txt", "--k-q", "0,5", "--m", "1", "--limit", "5", "--save-dir", results, cwd=folder)
    for step in ("QFA", "TF", "HR"):
        assert list(results.glob(f"*-{step}-fashion-vars.pkl")), step
    return demo


def strongest_filters(installed, demo, picture, folder):
    """What step 1 says of a class with a single picture: (filter, activation) of the strongest of each layer."""
    (folder / "one" / picture.parent.name).mkdir(parents=True)
    shutil.copy(picture, folder / "one" / picture.parent.name)
    (folder / "step1").mkdir()
    installed.run("activations", "--model", demo / "fashion.keras", "--images-dir", folder / "one", "--class-index",
                  demo / "classes.txt", "--split", "0", "--save-dir", folder / "step1", cwd=folder)
    table, = (folder / "step1").glob("*-QFA-fashion-vars.pkl")
    best = {}
    for row in csv.DictReader(io.StringIO(installed.run("export", table).stdout)):
        layer, activation = int(row["layer"]), float(row["activation"])
        if layer not in best or activation > best[layer][1]:
            best[layer] = (int(row["filter"]), activation)
    return [best[layer] for layer in sorted(best)]


def check_example(installed, source, demo, folder):
    """minimal.c needs nothing but what pkg-config says of filtags, and prints what step 1 finds, too."""
    words = installed.pkg_config("--cflags", "--libs").split()
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-o", folder / "minimal", source, *words], check=True, cwd=folder,
                   env={"PATH": os.environ["PATH"]})
    picture = demo / "images/Sandal/Sandal_0003.png"
    result = subprocess.run([folder / "minimal", demo / "fashion.keras", picture], capture_output=True, text=True,
                            env=installed.environment, cwd=folder, check=True, timeout=TIMEOUT_SEC)
    lines = re.findall(r"^(\w+) +filter +(\d+) of +\d+  activation (\d+\.\d{4})$", result.stdout, re.MULTILINE)
    assert [line[0] for line in lines] == ["stem_conv", "fine_conv", "coarse_conv", "block1_conv", "block2_conv",
                                           "top_conv"]
    expected = strongest_filters(installed, demo, picture, folder)
    assert [int(line[1]) for line in lines] == [filter_ for filter_, _ in expected]
    for line, (_, activation) in zip(lines, expected):
        assert abs(float(line[2]) - activation) < 1e-4
