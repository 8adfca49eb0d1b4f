"""Check the rules of the source tree that a compiler doesn't. Run from the root: python3 tools/lint.py"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

MAX_COLUMNS = 120
MAX_FUNCTION_LINES = 80

# what #include of a library looks like. Jansson is left out: it is a data structure that modules with JSON work on.
THIRD_PARTY = {
    "oneDNN": r"oneapi/dnnl/|dnnl", "HDF5": r"hdf5|H5", "libzip": r"zip\.h|zipconf",
    "libjpeg": r"jpeglib|jerror|jconfig", "libpng": r"png\.h|pngconf", "libtiff": r"tiff", "stb_image": r"stb",
    "OpenSSL": r"openssl/", "cairo": r"cairo", "OpenMP": r"omp\.h", "curl": r"curl/", "libseccomp": r"seccomp",
    "MPI": r"mpi\.h",
}


def sources(*patterns):
    return sorted(path for pattern in patterns for path in pathlib.Path(".").glob(pattern))


def includes(path):
    text = path.read_text(encoding="utf-8")
    return re.findall(r'^\s*#\s*include\s*[<"]([^">]+)[">]', text, re.MULTILINE)


def check_third_party():
    """A third-party library is included in exactly one .c file of src/, and in no header."""
    for library, pattern in THIRD_PARTY.items():
        users = [path for path in sources("src/**/*.[ch]") if any(re.match(pattern, name) for name in includes(path))]
        if len(users) > 1 or any(path.suffix == ".h" for path in users):
            yield f"{library} is included by {', '.join(map(str, users))}"


def check_tagging():
    """src/tagging is pure functions on arrays: it includes nothing of the other modules but src/base."""
    for path in sources("src/tagging/*.[ch]"):
        for name in includes(path):
            if "/" in name and not name.startswith(("base/", "tagging/", "sys/")):
                yield f"{path} includes {name}"


def check_program():
    """The program sees of the library what filtags.h shows."""
    for path in sources("cli/*.[ch]"):
        own = {"cli.h", "filtags.h"}
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            if name not in own:
                yield f"{path} includes {name}"


def check_columns():
    """No line is longer than 120 characters."""
    paths = sources("include/*.h", "src/**/*.[ch]", "cli/*.[ch]", "examples/*.c", "tests/**/*.[ch]", "tests/**/*.py",
                    "tools/*.py", "packaging/*.sh", "bench/*.sh", "bench/*.py", "bench/*.c", "web/*.css", "web/*.js",
                    "web/*.html", "**/meson.build") + [pathlib.Path("dev")]
    for path in paths:
        if path.parts[0] == "build" or "oracle" in path.parts: # the oracle is kept as it was given
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > MAX_COLUMNS:
                yield f"{path}:{number}: {len(line)} characters"


def check_functions():
    """No function is longer than 80 lines."""
    for path in sources("src/**/*.c", "cli/*.c", "examples/*.c", "bench/*.c"):
        first = 0 # line where the latest thing at the margin begins
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line == "}" and number - first + 1 > MAX_FUNCTION_LINES:
                yield f"{path}:{first}: {number - first + 1} lines"
            elif re.match(r"\w", line) and not re.match(r"\w+:$", line):
                first = number


def declared_functions(mark="FILTAGS_API"):
    """Names of the functions that filtags.h declares with a mark, or with and without it."""
    header = pathlib.Path("include/filtags.h").read_text(encoding="utf-8")
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r"^\s*#.*", "", header, flags=re.MULTILINE) # the mark's own definition
    return set(re.findall(mark + r"[^;{]*?\b(filtags_\w+)\s*\([^;{]*\)\s*;", header))


def check_exports(library):
    """The library exports the functions that filtags.h declares: all of them, and no other symbol."""
    for name in sorted(declared_functions(mark="") - declared_functions()):
        yield f"{name} is declared without FILTAGS_API"
    result = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    exported = {line.split()[-1].split("@")[0] for line in result.stdout.splitlines()}
    exported -= {"_init", "_fini", "__bss_start", "_edata", "_end"}
    for name in sorted(declared_functions() - exported):
        yield f"{name} is declared, but not exported by {library}"
    for name in sorted(exported - declared_functions()):
        yield f"{name} is exported by {library}, but not declared"


def check_header():
    """filtags.h compiles alone, as C and as C++, with gcc and clang."""
    for compiler in ("gcc", "clang"):
        for language, standard in (("c", "c99"), ("c", "c11"), ("c++", "c++11"), ("c++", "c++17")):
            if not shutil.which(compiler if language == "c" else {"gcc": "g++", "clang": "clang++"}[compiler]):
                continue
            command = [compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic",
                       "-fsyntax-only", "-I.", "-"]
            result = subprocess.run(command, input='#include "include/filtags.h"\n', text=True, capture_output=True)
            if result.returncode:
                yield f"{compiler} as {standard}: {result.stderr.strip()}"


def check_shell():
    """The shell scripts are well-formed."""
    for path in [pathlib.Path("dev"), *sources("bench/*.sh", "packaging/*.sh")]:
        result = subprocess.run(["sh", "-n", path], capture_output=True, text=True)
        if result.returncode:
            yield result.stderr.strip()


def check_scripts():
    """The scripts of the pages are well-formed (where there is node)."""
    if not shutil.which("node"):
        return
    for path in sources("web/*.js"):
        result = subprocess.run(["node", "--check", path], capture_output=True, text=True)
        if result.returncode:
            yield result.stderr.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", help="the built shared library, whose exports are checked")
    parser.add_argument("--report", help="file that gets the counts: PASSED FAILED SKIPPED")
    options = parser.parse_args()
    checks = [check_third_party, check_tagging, check_program, check_columns, check_functions, check_header,
              check_shell, check_scripts]
    n_failed = 0
    for check in checks + ([check_exports] if options.library else []):
        found = list(check(options.library) if check is check_exports else check())
        n_failed += bool(found)
        print(f"{'FAIL' if found else 'ok  '} {check.__doc__.splitlines()[0]}")
        for line in found:
            print(f"     {line}")
    n_passed = len(checks) + bool(options.library) - n_failed
    if options.report:
        pathlib.Path(options.report).write_text(f"{n_passed} {n_failed} 0\n", encoding="utf-8")
    print(f"lint: {n_passed} passed, {n_failed} failed")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
