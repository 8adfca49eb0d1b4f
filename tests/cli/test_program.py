"""What can't be said as command and output: streams, signals, generated files."""
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess

import pytest

import moments

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FILTAGS_BUILD", ROOT / "build"))
FILTAGS = os.environ.get("FILTAGS", str(BUILD / "filtags"))


def run(*words, **options):
    return subprocess.run([FILTAGS, *words], capture_output=True, text=True, timeout=600, check=False, **options)


def command_names():
    return re.findall(r"^  ([a-z-]+)  +\S", run("help").stdout.split("Commands:")[1].split("Options:")[0], re.MULTILINE)


def test_full_stdout_is_a_failure():
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([FILTAGS, "help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert "standard output: cannot be written: No space left on device" in result.stderr


def test_closed_pipe_is_a_failure():
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([FILTAGS, "--version"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert result.returncode == 1
    assert "standard output: cannot be written: Broken pipe" in result.stderr


def test_closed_stdout_is_a_failure():
    result = subprocess.run(["sh", "-c", '"$0" --version >&-', FILTAGS], stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert "standard output: cannot be written" in result.stderr


def test_closed_stderr_does_no_harm():
    result = subprocess.run(["sh", "-c", '"$0" tag 2>&-', FILTAGS], stdout=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """A command that takes about a second: step 1 on the demo's pictures, many times over."""
    folder = tmp_path_factory.mktemp("long")
    subprocess.run([FILTAGS, "demo", "--save-dir", str(folder / "demo")], capture_output=True, check=True)
    for copy in range(20):
        for pictures in (folder / "demo" / "images").iterdir():
            (folder / "pictures").mkdir(exist_ok=True)
            (folder / "pictures" / f"{pictures.name}-{copy}").symlink_to(pictures)
    return [FILTAGS, "activations", "--model", str(folder / "demo" / "fashion.keras"), "--images-dir",
            str(folder / "pictures"), "--threads", "1", "--batch", "4"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_a_run(number, long_run, tmp_path):
    words = [*long_run[1:], "--save-dir", tmp_path, "--verbose"]
    status, stdout, stderr = moments.run(words, moments.at("open", 100, "/pictures/", number))
    assert status == 128 + number
    assert stdout == ""
    assert "stopped after" in stderr
    assert not list(tmp_path.glob("*-vars.pkl"))
    assert [path.suffix for path in tmp_path.glob(".*")] == [".progress"]


def test_progress_bar_needs_a_terminal(long_run, tmp_path):
    """On a terminal there is a bar, with --quiet nothing."""
    def stderr_of(*words):
        main, terminal = pty.openpty()
        environment = {**os.environ, "TERM": "xterm"}
        command = [*long_run, "--save-dir", str(tmp_path), *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal, env=environment) as process:
            os.close(terminal)
            text = b""
            try:
                while block := os.read(main, 65536):
                    text += block
            except OSError:  # the other end is closed
                pass
        os.close(main)
        assert process.returncode == 0
        return text.decode()
    assert re.search(r"\d+/\d+", stderr_of())
    assert stderr_of("--quiet") == ""


def test_networks_as_json(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "KERAS_HOME": ""}
    file = "vgg19_weights_tf_dim_ordering_tf_kernels.h5"
    for folder in (tmp_path / "cache" / "filtags", tmp_path / ".keras" / "models"):
        assert not any(network["cached"] for network in json.loads(run("networks", "--json", env=environment).stdout))
        folder.mkdir(parents=True)
        (folder / file).touch()
        networks = json.loads(run("networks", "--json", env=environment).stdout)
        assert len(networks) == 10
        vgg19, = (network for network in networks if network["cached"])
        assert (vgg19["name"], vgg19["path"], vgg19["n_filters"]) == ("VGG19", str(folder / file), 5504)
        assert vgg19["weights_url"].endswith("/keras-applications/vgg19/" + file)
        (folder / file).unlink()


def test_every_command_has_a_manual_page():
    pages = sorted(path.name for path in BUILD.glob("filtags*.1"))
    builtin = {"help", "man", "completion"}
    assert pages == sorted(["filtags.1", *(f"filtags-{name}.1" for name in command_names() if name not in builtin)])


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_manual_pages_format_without_warnings():
    for page in sorted(BUILD.glob("filtags*.1")):
        result = subprocess.run(["man", "--warnings", "-l", str(page)], capture_output=True, text=True, check=False,
                                env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "80"})
        assert result.stderr == "" and "NAME" in result.stdout, page


def complete_bash(*words):
    """Complete the last word of a command line with the bash completion script."""
    script = """
        source "$1"; shift
        COMP_WORDS=(filtags "$@"); COMP_CWORD=$#
        compopt() { :; }
        _filtags; printf '%s\\n' "${COMPREPLY[@]}"
    """
    completion = BUILD / "cli/completion/filtags"
    result = subprocess.run(["bash", "-c", script, "bash", str(completion), *words], capture_output=True, text=True,
                            check=True)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completion():
    assert complete_bash("ev") == ["evaluate"]
    assert complete_bash("tag", "--act") == ["--activations-file"]
    assert complete_bash("step2filtertags", "--k") == ["--k-q"]
    assert complete_bash("activations", "--isa", "avx") == ["avx2", "avx512"]
    assert complete_bash("activations", "--model", "") == []  # bash offers files
    assert complete_bash("completion", "z") == ["zsh"]
    assert complete_bash("activations", "--network", "VGG") == ["VGG16", "VGG19"]
    assert complete_bash("layers", "Inc") == ["InceptionV3", "InceptionResNetV2"]
    assert complete_bash("fetch", "VGG16", "a") == ["all"]
    assert complete_bash("fetch", "--q") == ["--quiet"]
    assert complete_bash("activations", "--network", "=", "VGG") == ["VGG16", "VGG19"]
    assert complete_bash("activations", "--isa", "=") == ["auto", "portable", "avx2", "avx512"]


# Type a line and Tab in an interactive zsh; ends when it shows what is expected
ZSH_SESSION = r"""
zmodload zsh/zpty
zpty session zsh -f -i
zpty -w session "PS1='> '; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; stty cols 500; print set''up"
zpty -r session seen "*setup*"
zpty -n -w session "$2"$'\t'
zpty -r session seen "*$3*"
zpty -d session
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize("line, shown", [
    ("filtags activ", "filtags activations "), ("filtags activations --check", "--checkpoint-interval"),
    ("filtags activations --network ", "VGG19"), ("filtags activations --network=VGG1", "VGG16*VGG19"),
    ("filtags layers ", "VGG19*net.keras"), ("filtags layers n", "net.keras"), ("filtags fetch VGG16 a", "all"),
    ("filtags merge two.part o", "one.part"), ("filtags explain o", "one.part"), ("filtags tag o", "one.part"),
    ("filtags completion ", "bash*fish*zsh")])
def test_zsh_completion(line, shown, tmp_path):
    for name in ("net.keras", "one.part", "two.part"):
        (tmp_path / name).touch()
    result = subprocess.run(["zsh", "-f", "-c", ZSH_SESSION, "zsh", str(BUILD / "cli/completion"), line, shown],
                            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
                            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb"})
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize("line, expected", [
    ("activ", {"activations"}), ("layers ", {"net.keras", "VGG16"}), ("fetch V", {"VGG16", "VGG19"}),
    ("fetch net.k", set()), ("merge ", {"net.keras", "one.part"}), ("activations --isa avx", {"avx2", "avx512"}),
    ("activations --network=VGG1", {"--network=VGG16", "--network=VGG19"}), ("evaluate --filt", {"--filtags-file"}),
    ("networks ", set()), ("completion ", {"bash", "fish", "zsh"})])
def test_fish_completion(line, expected, tmp_path):
    for name in ("net.keras", "one.part"):
        (tmp_path / name).touch()
    result = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C "filtags $argv[2]"',
                             str(BUILD / "cli/completion/filtags.fish"), line], cwd=tmp_path, capture_output=True,
                            text=True, check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    found = {words.split("	")[0] for words in result.stdout.splitlines()}
    assert found >= expected if line.endswith("layers ") else found == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_well_formed(shell):
    script = run("completion", shell)
    assert script.returncode == 0
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script.stdout, text=True, check=True)
