"""What `meson install` puts where, and that it works from there: FILTAGS_BUILD is the build that is installed."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import places

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FILTAGS_BUILD", ROOT / "build"))


def meson_option(name):
    listed = subprocess.run(["meson", "introspect", "--buildoptions", BUILD], capture_output=True, check=True).stdout
    return next(option["value"] for option in json.loads(listed) if option["name"] == name)


@pytest.fixture(scope="module")
def destination(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install") / "root"
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", folder],
                   capture_output=True, text=True, check=True)
    return folder


@pytest.fixture(scope="module")
def installed(destination):
    return places.Installed(destination, meson_option("prefix"))


def test_nothing_outside_of_the_prefix(destination, installed):
    outside = [path for path in destination.rglob("*")
               if not path.is_relative_to(installed.prefix) and path not in installed.prefix.parents]
    assert not outside


def test_no_file_mentions_the_build(destination, installed):
    for path in installed.files():
        content = path.read_bytes()
        for place in (ROOT, BUILD, destination):
            assert os.fsencode(place) not in content, f"{path} mentions {place}"


def test_no_file_is_of_the_user_alone(installed):
    for path in installed.files():
        assert path.stat().st_mode & 0o777 in (0o644, 0o755), path
        assert path.stat().st_mode & 0o111 == 0 or path.read_bytes().startswith(b"\x7fELF"), path


def test_library(installed):
    places.check_library(installed)


def test_program_says_its_version(installed):
    assert installed.run("--version").stdout == f"filtags {installed.version}\n"
    assert installed.pkg_config("--modversion").strip() == installed.version


def test_static_linking_is_not_promised(installed):
    """There is no static library: what pkg-config says for one is what it says anyway."""
    assert not list(installed.prefix.rglob("*.a"))
    assert sorted(set(installed.pkg_config("--static", "--libs").split())) == \
        sorted(set(installed.pkg_config("--libs").split()))
    assert "-lfiltags" in installed.pkg_config("--libs").split()


def test_manual_pages(installed):
    places.check_manual_pages(installed)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completion(installed):
    file = installed.prefix / "share/bash-completion/completions/filtags"
    script = 'source "$1"; COMP_WORDS=(filtags ev); COMP_CWORD=1; compopt() { :; }; _filtags; echo "${COMPREPLY[@]}"'
    result = subprocess.run(["bash", "-c", script, "bash", file], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("evaluate\n", "")


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completion(installed, tmp_path):
    folder = installed.prefix / "share/zsh/site-functions"
    script = 'fpath=($1 $fpath); autoload -U compinit; compinit -D -u; print $_comps[filtags]; whence -v _filtags'
    result = subprocess.run(["zsh", "-f", "-c", script, "zsh", folder], capture_output=True, text=True, check=True,
                            cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert result.stdout.startswith("_filtags\n_filtags is an autoload shell function")
    subprocess.run(["zsh", "-n", folder / "_filtags"], check=True)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completion(installed, tmp_path):
    file = installed.prefix / "share/fish/vendor_completions.d/filtags.fish"
    result = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C "filtags evalu"', file],
                            capture_output=True, text=True, check=True, cwd=tmp_path,
                            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert result.stdout.startswith("evaluate\t")


def test_documents_link_to_what_is_installed(installed):
    """README.md's pictures and what it says of docs can be looked at; examples are beside it."""
    folder = installed.prefix / "share/doc/filtags"
    links = re.findall(r"\]\((docs/[^)#]*|examples/[^)#]*)", (folder / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 10
    for link in links:
        assert (folder / link).is_file(), link
    assert "MIT" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_pipeline_and_example(installed, tmp_path):
    demo = places.check_pipeline(installed, tmp_path)
    example = installed.prefix / "share/doc/filtags/examples/minimal.c"
    places.check_example(installed, example, demo, tmp_path)
