"""The packages in build/deb, unpacked without installing them; ./dev deb test installs them in a clean system."""
import pathlib
import re
import subprocess

import pytest

import places

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("filtags", "libfiltags0", "libfiltags-dev", "filtags-mpi")


def package_file(name):
    found = list((ROOT / "build/deb").glob(f"{name}_*.deb"))
    assert len(found) == 1, f"./dev deb makes one {name}: {found}"
    return found[0]


def field(name, which):
    return subprocess.run(["dpkg-deb", "-f", package_file(name), which], capture_output=True, text=True,
                          check=True).stdout.strip()


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A folder for each package with its files."""
    folders = {}
    for name in PACKAGES:
        folders[name] = tmp_path_factory.mktemp(name)
        subprocess.run(["dpkg-deb", "-x", package_file(name), folders[name]], check=True)
    return folders


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """All packages in one folder."""
    folder = tmp_path_factory.mktemp("all")
    for name in PACKAGES:
        subprocess.run(["dpkg-deb", "-x", package_file(name), folder], check=True)
    return places.Installed(folder, "/usr")


def test_version_is_the_projects():
    version = re.search(r"version: '([0-9.]+)'", (ROOT / "meson.build").read_text(encoding="utf-8"))[1]
    for name in PACKAGES:
        assert field(name, "Version") == f"{version}-1"


def test_dependencies():
    """The libraries' packages are found, not written down; every package wants the library of its own version."""
    version = field("libfiltags0", "Version")
    for name in ("filtags", "libfiltags-dev"):
        assert f"libfiltags0 (= {version})" in field(name, "Depends")
    assert "openmpi" in field("filtags-mpi", "Depends")
    needed = re.findall(r"[^\s,|]+(?= \(|,|$)", field("libfiltags0", "Depends"))
    for library in ("libc6", "libdnnl", "libhdf5", "libjansson4", "libcurl", "libtiff", "libzip", "libseccomp"):
        assert any(package.startswith(library) for package in needed), (library, needed)
    assert not any(package.startswith("libfiltags") for package in needed)


def test_files_of_each_package(roots):
    files = {name: {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
             for name, folder in roots.items()}
    assert "usr/bin/filtags" in files["filtags"]
    assert {"usr/share/man/man1/filtags.1.gz", "usr/share/bash-completion/completions/filtags",
            "usr/share/zsh/vendor-completions/_filtags",
            "usr/share/fish/vendor_completions.d/filtags.fish"} <= files["filtags"]
    assert {"usr/include/filtags.h", "usr/share/doc/libfiltags-dev/examples/minimal.c"} <= files["libfiltags-dev"]
    assert any(path.endswith("/filtags/filtags-read") for path in files["libfiltags0"])
    assert any(path.endswith("/filtags/filtags_mpi.so") for path in files["filtags-mpi"])
    assert not any(path.startswith("usr/bin") or "/man/" in path for path in files["libfiltags0"])
    assert not any(path.endswith((".h", "/libfiltags.so", ".pc")) for path in files["libfiltags0"] | files["filtags"])
    for name in PACKAGES:
        assert {f"usr/share/doc/{name}/copyright", f"usr/share/doc/{name}/changelog.Debian.gz"} <= files[name]
        assert all(path.startswith("usr/") for path in files[name])
    assert sum(map(len, files.values())) == len(set().union(*files.values())), "a file is in two packages"


def test_hardened_and_stripped(installed):
    for path in (installed.program, installed.find("libfiltags.so")):
        sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
        assert ".debug_info" not in sections
        dynamic = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
        assert "BIND_NOW" in dynamic


def test_no_file_mentions_the_build(installed):
    for path in installed.files():
        assert str(ROOT).encode() not in path.read_bytes(), path


def test_library_and_manual_pages(installed):
    places.check_library(installed)
    places.check_manual_pages(installed)


def test_pipeline_and_example(installed, tmp_path):
    demo = places.check_pipeline(installed, tmp_path)
    places.check_example(installed, installed.prefix / "share/doc/libfiltags-dev/examples/minimal.c", demo, tmp_path)
