"""Look for damaged HDF5 files that make libhdf5 crash, and keep the smallest damage that does.

    python3 tools/make_broken_hdf5.py [--reader build/filtags-read] [--tries 5000] [--seed 1] [--keep 4] FOLDER

Every try changes some bytes of a small file of tests/parity/layers and has filtags-read read all of it, as the library
would. Files are kept as crashes_VERSION_QUESTION_SIGNAL.h5 in FOLDER, one for each kind of end; the damage is made
smaller, byte by byte, while the end stays the same. tests/unit/data/models has what was found."""
import argparse
import pathlib
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAGIC = int(re.search(r"WIRE_MAGIC UINT64_C\((0x\w+)\)", (ROOT / "src/base/wire.h").read_text()).group(1), 16)
QUESTIONS = re.findall(r"^    HDF5_ASK_(\w+),", (ROOT / "src/model/hdf5_serve.h").read_text(), re.MULTILINE)
LIMIT_SEC = 3


def numbers(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def text(value):
    return numbers(len(value)) + value


class Ended(Exception):
    pass


class Conversation:
    """Questions to a reader, until it ends."""

    def __init__(self, talk):
        self.talk, self.question = talk, "START"

    def receive(self):
        try:
            header = self.talk.recv(16, socket.MSG_WAITALL)
            n_bytes = struct.unpack("<QQ", header)[1] if len(header) == 16 else 0
            answer = self.talk.recv(n_bytes, socket.MSG_WAITALL) if n_bytes else b""
        except OSError: # it takes too long
            raise Ended from None
        if len(header) < 16 or len(answer) < n_bytes:
            raise Ended
        return answer

    def ask(self, question, arguments=b""):
        self.question = question
        payload = numbers(QUESTIONS.index(question)) + arguments
        try:
            self.talk.sendall(numbers(MAGIC, len(payload)) + payload)
        except OSError:
            raise Ended from None
        answer = self.receive()
        return answer[8:] if answer[:8] == numbers(0) else None


def texts_of(answer):
    """The texts at the head of an answer of NAMES."""
    n, at, found = struct.unpack_from("<Q", answer)[0], 8, []
    for _ in range(n):
        length = struct.unpack_from("<Q", answer, at)[0]
        found.append(answer[at + 8:at + 8 + length])
        at += 8 + length
    return found


def paths_of(answer):
    n, at, found = struct.unpack_from("<Q", answer)[0], 8, []
    for _ in range(n):
        length = struct.unpack_from("<Q", answer, at)[0]
        found.append(answer[at + 8:at + 8 + length])
        n_dims = struct.unpack_from("<QQ", answer, at + 8 + length)[1]
        rows = struct.unpack_from("<Q", answer, at + 24 + length)[0] if n_dims else 1
        found[-1] = (found[-1], rows)
        at += 8 + length + 8 * (6 + n_dims)
    return found


def read_everything(conversation):
    conversation.receive()
    if conversation.ask("OPEN") is None:
        return
    for attribute in (b"model_config", b"keras_version"):
        conversation.ask("TEXT", text(attribute))
    for group in (b"", b"model_weights"):
        layers = conversation.ask("NAMES", text(group) + text(b"layer_names"))
        for layer in texts_of(layers) if layers else []:
            conversation.ask("NAMES", text((group + b"/" if group else b"") + layer) + text(b"weight_names"))
    table = conversation.ask("LIST", numbers(1) + text(b""))
    for path, n_rows in paths_of(table) if table else []:
        conversation.ask("ROWS", text(path) + numbers(0, n_rows))


def limit_processor_time():
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SEC, LIMIT_SEC + 1))


def end_of(reader, contents):
    """How reading ends: None, or (signal, question)."""
    ours, theirs = socket.socketpair()
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None) as file:
        file.write(contents)
        file.flush()
        process = subprocess.Popen(["sh", "-c", 'exec "$0" hdf5 3<"$1"', reader, file.name], stdin=theirs,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=limit_processor_time)
        theirs.close()
        ours.settimeout(4 * LIMIT_SEC)
        conversation = Conversation(ours)
        try:
            read_everything(conversation)
        except Ended:
            pass
        ours.close()
        try:
            process.wait(timeout=4 * LIMIT_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return (process.returncode, conversation.question) if process.returncode < 0 else None


def damage(source, generator):
    contents = bytearray(source)
    for _ in range(generator.choice([1, 1, 2, 4, 16])):
        at = generator.randrange(len(contents))
        contents[at] = generator.choice([contents[at] ^ 1 << generator.randrange(8), 0, 255, generator.randrange(256)])
    if generator.random() < 0.1:
        del contents[generator.randrange(len(contents)):]
    return bytes(contents)


def make_smaller(reader, source, contents, end):
    """Undo every change that isn't needed for the same end."""
    contents = bytearray(contents)
    for at in [i for i in range(len(contents)) if contents[i] != source[i]]:
        changed, contents[at] = contents[at], source[at]
        if end_of(reader, bytes(contents)) != end:
            contents[at] = changed
    return bytes(contents)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--reader", default=str(ROOT / "build/filtags-read"))
    parser.add_argument("--version", default="1.10.8", help="libhdf5's, for the names")
    parser.add_argument("--tries", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=int, default=4)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    sources = [path.read_bytes() for path in sorted((ROOT / "tests/parity/layers").glob("*.h5"))
               if path.stat().st_size < 40000 and path.name != "goldens.h5"]
    kept, n_ended = {}, 0
    for number in range(options.tries):
        source = generator.choice(sources)
        contents = damage(source, generator)
        end = end_of(options.reader, contents)
        if not end:
            continue
        n_ended += 1
        print(f"try {number}: {signal.Signals(-end[0]).name} at {end[1]}", flush=True)
        if end not in kept and len(kept) < options.keep:
            kept[end] = make_smaller(options.reader, source, contents, end)
            name = f"crashes_{options.version}_{end[1].lower()}_{signal.Signals(-end[0]).name.lower()}.h5"
            (options.folder / name).write_bytes(kept[end])
    print(f"{n_ended} of {options.tries} damaged files ended the reader; {len(kept)} kept in {options.folder}")


if __name__ == "__main__":
    main()
