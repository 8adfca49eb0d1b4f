"""Downloads of weight files, from a server on this machine that does what servers and networks do."""
import fcntl
import hashlib
import http.server
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FILTAGS_BUILD", ROOT / "build"))
FILTAGS = os.environ.get("FILTAGS", str(BUILD / "filtags"))
TOOL = BUILD / "tests" / "cli" / "fetch_tool"
TIMEOUT_SEC = 600  # against hanging, not a measure of how fast a machine is
CONTENTS = bytes(range(256)) * 2000  # 512,000 bytes
MD5 = hashlib.md5(CONTENTS).hexdigest()
OK, USAGE, IO, DATA, CANCELLED = "0", "1", "2", "6", "7"  # filtags_status


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /NAME serves files[NAME]; server.faults are taken one a request, "" for none."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_cut(self, status, body, n_bytes, **headers):
        """Promise all of body, send some of it, hang up."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:n_bytes])
        self.close_connection = True

    def do_GET(self):
        server = self.server
        with server.lock:
            server.requests.append((self.path, self.headers.get("Range")))
            fault = server.faults.pop(0) if server.faults else server.constant_fault
        path = re.sub(r"^http://[^/]*", "", self.path)  # a proxy is asked for whole addresses
        contents = server.files.get(path)
        if fault.isdigit():
            self.send(int(fault), b"<html>what servers say</html>")
        elif fault.startswith("redirect "):
            self.send(302, b"moved", Location=fault.split()[1])
        elif contents is None:
            self.send(404, b"<html>not found</html>")
        else:
            self.send_contents(contents, fault)

    def send_contents(self, contents, fault):
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        first = int(match[1]) if match and "no ranges" not in fault else 0
        headers, status, body = {}, 200, contents[first:]
        if first >= len(contents) > 0 and first:
            self.send(416, b"", Content_Range=f"bytes */{len(contents)}")
            return
        if first:
            status = 206
            shift = 7 if "wrong range" in fault else 0
            headers["Content_Range"] = f"bytes {first - shift}-{len(contents) - 1}/{len(contents)}"
        if "cut" in fault:
            self.send_cut(status, body, 100_000, **headers)
        elif "stall" in fault:
            self.send_cut(status, body, 100_000, **headers)
            self.wfile.flush()
            self.connection.recv(1)  # until the client hangs up
        elif "gate" in fault:  # the first part; the rest when the test says so
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:51_200])
            self.wfile.flush()
            self.server.gate.wait()
            self.wfile.write(body[51_200:])
        elif "close" in fault:  # no length: the end of the connection is the end of the file
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True
        else:
            self.send(status, body, **headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.files, self.faults, self.constant_fault, self.requests = {"/f": CONTENTS}, [], "", []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a client that hung up

    def ranges(self):
        return [range_ for _, range_ in self.requests]


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield running
        running.gate.set()
        running.shutdown()


def environment(tmp_path, **more):
    kept = {name: value for name, value in os.environ.items()
            if not re.search(r"proxy|^XDG_CACHE_HOME$|^KERAS_HOME$|^FILTAGS_WEIGHTS|^SSL_CERT", name, re.IGNORECASE)}
    return {**kept, "HOME": str(tmp_path), "LC_ALL": "C", **more}


def tool(tmp_path, *words, env=None, **options):
    result = subprocess.run([TOOL, *words], capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False,
                            env=environment(tmp_path, **(env or {})), **options)
    status, _, message = result.stdout.partition(": ")
    assert result.returncode in (0, 1), result.stderr
    return status, message.strip(), result.stderr


def fetch(tmp_path, server, *more, md5=MD5, url=None, env=None, **options):
    return tool(tmp_path, "file", url or f"{server.url}/f", md5, str(tmp_path / "f"), *more, env=env, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def wait_until(is_so):
    """For what is going to be and stays: the server waits for the test."""
    deadline = time.monotonic() + TIMEOUT_SEC
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


# ---- files


def test_plain(server, tmp_path):
    status, message, stderr = fetch(tmp_path, server)
    assert (status, message) == (OK, str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == CONTENTS
    assert names(tmp_path) == ["f"]
    assert "progress: 0 before, 512000 of 512000 bytes" in stderr
    assert server.ranges() == [None]
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o666 & ~mask


def test_empty_file(server, tmp_path):
    server.files["/f"] = b""
    assert fetch(tmp_path, server, md5=hashlib.md5(b"").hexdigest())[0] == OK
    assert (tmp_path / "f").read_bytes() == b""


def test_without_length(server, tmp_path):
    server.constant_fault = "close"
    assert fetch(tmp_path, server)[0] == OK
    assert (tmp_path / "f").read_bytes() == CONTENTS


def test_a_right_file_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "f").write_bytes(CONTENTS)
    assert fetch(tmp_path, server)[0] == OK
    assert server.requests == [] and names(tmp_path) == ["f"]


def test_a_wrong_file_is_replaced(server, tmp_path):
    (tmp_path / "f").write_bytes(b"something else")
    assert fetch(tmp_path, server)[0] == OK
    assert (tmp_path / "f").read_bytes() == CONTENTS


def test_broken_connection_goes_on(server, tmp_path):
    server.faults = ["cut", "cut"]
    status, _, stderr = fetch(tmp_path, server)
    assert status == OK and (tmp_path / "f").read_bytes() == CONTENTS
    assert server.ranges() == [None, "bytes=100000-", "bytes=200000-"]
    assert stderr.count("trying again") == 2


def test_resumed_from_an_earlier_time(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENTS[:300_000])
    status, _, stderr = fetch(tmp_path, server)
    assert status == OK and (tmp_path / "f").read_bytes() == CONTENTS
    assert server.ranges() == ["bytes=300000-"]
    assert "going on from 0.3 MB" in stderr and "progress: 300000 before, 512000 of 512000" in stderr
    assert names(tmp_path) == ["f"]


def test_part_that_is_whole(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENTS)
    assert fetch(tmp_path, server)[0] == OK
    assert server.ranges() == ["bytes=512000-"] and (tmp_path / "f").read_bytes() == CONTENTS


@pytest.mark.parametrize("part", [CONTENTS + b"more", bytes(1000), bytes(512_000)], ids=["long", "other", "same size"])
def test_part_of_something_else(server, tmp_path, part):
    (tmp_path / "f.part").write_bytes(part)
    assert fetch(tmp_path, server)[0] == OK
    assert (tmp_path / "f").read_bytes() == CONTENTS and server.ranges()[-1] is None
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("fault", ["no ranges", "wrong range"])
def test_server_without_ranges(server, tmp_path, fault):
    server.constant_fault = fault
    (tmp_path / "f.part").write_bytes(CONTENTS[:300_000])
    assert fetch(tmp_path, server)[0] == OK
    assert (tmp_path / "f").read_bytes() == CONTENTS


def test_server_that_always_breaks_off(server, tmp_path):
    server.constant_fault = "cut no ranges"
    status, message, _ = fetch(tmp_path, server)
    assert status == IO and f"{server.url}/f: " in message
    assert len(server.requests) == 5  # the first one and four that brought nothing new
    assert names(tmp_path) == ["f.part"] and (tmp_path / "f.part").read_bytes() == CONTENTS[:100_000]


def test_wrong_hash(server, tmp_path):
    wrong = "0" * 32
    status, message, _ = fetch(tmp_path, server, md5=wrong)
    assert status == DATA
    assert message == (f"{server.url}/f: a file of MD5 {wrong} expected, found one of {MD5}, which is thrown away")
    assert names(tmp_path) == [] and len(server.requests) == 1


def test_wrong_hash_after_resuming(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENTS[:300_000])
    assert fetch(tmp_path, server, md5="0" * 32)[0] == DATA
    assert names(tmp_path) == [] and server.ranges() == ["bytes=300000-", None]


def test_not_found(server, tmp_path):
    status, message, _ = fetch(tmp_path, server, url=f"{server.url}/missing")
    assert (status, message) == (IO, f"{server.url}/missing: the file expected, found HTTP status 404, not found")
    assert names(tmp_path) == [] and len(server.requests) == 1


def test_not_found_keeps_what_there_is(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENTS[:300_000])
    server.faults = ["404"]
    assert fetch(tmp_path, server)[0] == IO
    assert (tmp_path / "f.part").read_bytes() == CONTENTS[:300_000]


def test_server_error_is_tried_again(server, tmp_path):
    server.faults = ["500", "503", "429"]
    assert fetch(tmp_path, server)[0] == OK
    assert len(server.requests) == 4


def test_server_error_that_stays(server, tmp_path):
    server.constant_fault = "500"
    status, message, _ = fetch(tmp_path, server)
    assert status == IO and "found HTTP status 500" in message
    assert len(server.requests) == 4 and names(tmp_path) == []


@pytest.mark.parametrize("status", ["204", "300", "304"])
def test_other_answers(server, tmp_path, status):
    server.constant_fault = status
    (tmp_path / "f.part").write_bytes(CONTENTS[:1000])
    assert fetch(tmp_path, server)[:2] == (IO, f"{server.url}/f: the file expected, found HTTP status {status}")
    assert (tmp_path / "f.part").read_bytes() == CONTENTS[:1000]


def test_redirect(server, tmp_path):
    server.faults = ["redirect /a", "redirect /f"]
    assert fetch(tmp_path, server)[0] == OK
    assert [path for path, _ in server.requests] == ["/f", "/a", "/f"]


def test_redirect_keeps_the_range(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENTS[:300_000])
    server.faults = ["redirect /f"]
    assert fetch(tmp_path, server)[0] == OK
    assert server.ranges() == ["bytes=300000-"] * 2


def test_redirect_in_circles(server, tmp_path):
    server.constant_fault = "redirect /f"
    status, message, _ = fetch(tmp_path, server)
    assert status == IO and "redirects" in message and len(server.requests) == 11


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/f", "gopher://127.0.0.1/f"])
def test_redirect_to_another_protocol(server, tmp_path, target):
    server.constant_fault = f"redirect {target}"
    status, message, _ = fetch(tmp_path, server)
    assert status == IO and re.search(r"[Pp]rotocol", message)
    assert names(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/f", "nonsense://a", "http://"])
def test_wrong_address(server, tmp_path, url):
    assert fetch(tmp_path, server, url=url)[0] == IO
    assert names(tmp_path) == []


def test_connection_refused(server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/f"
        status, message, _ = fetch(tmp_path, server, url=url)
    assert status == IO and message.startswith(f"{url}: Failed to connect")


def test_stalled_server(server, tmp_path):
    """On a machine that is busy for seconds an answer may be taken for a stalled one, too."""
    server.faults = ["stall"]
    assert fetch(tmp_path, server, "2")[0] == OK
    assert server.ranges()[0] is None and set(server.ranges()[1:]) == {"bytes=100000-"}
    assert (tmp_path / "f").read_bytes() == CONTENTS


def test_server_that_does_not_answer(server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, message, _ = fetch(tmp_path, server, "1", url=f"http://127.0.0.1:{silent.getsockname()[1]}/f")
    assert status == IO and re.search(r"too slow|timed out", message)


def test_full_disk(server, tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    status, message, _ = fetch(tmp_path, server, preexec_fn=limit, restore_signals=False)
    assert status == IO and message == f"{server.url}/f: {tmp_path}/f.part: cannot be written: File too large"
    assert names(tmp_path) == ["f.part"]
    assert fetch(tmp_path, server)[0] == OK  # there is room again
    assert server.ranges() == [None, "bytes=200000-"] and (tmp_path / "f").read_bytes() == CONTENTS


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(server, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    status, message, _ = tool(tmp_path, "file", f"{server.url}/f", MD5, str(folder / "f"))
    assert status == IO and message == f"{folder}/f.part: cannot be written: Permission denied"


def test_missing_folder(server, tmp_path):
    status, message, _ = tool(tmp_path, "file", f"{server.url}/f", MD5, str(tmp_path / "no" / "f"))
    assert status == IO and message == f"{tmp_path}/no/f.part: cannot be written: No such file or directory"
    assert server.requests == []


def test_link_in_place_of_the_part_is_not_followed(server, tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "f.part").symlink_to(tmp_path / "victim")
    assert fetch(tmp_path, server)[0] == IO
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_parallel_fetches_download_once(server, tmp_path):
    server.constant_fault = "gate"
    words = [TOOL, "file", f"{server.url}/f", MD5, str(tmp_path / "f")]
    logs = [tmp_path / f"log{i}" for i in range(4)]
    running = []
    for log in logs:
        with open(log, "wb") as stderr:
            running.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stderr, env=environment(tmp_path)))
    wait_until(lambda: sum("another process is downloading it" in log.read_text() for log in logs) == 3)
    server.gate.set()
    for process in running:
        process.wait(timeout=TIMEOUT_SEC)
    assert [process.returncode for process in running] == [0] * 4
    assert server.ranges() == [None] and (tmp_path / "f").read_bytes() == CONTENTS
    for log in logs:
        log.unlink()
    assert names(tmp_path) == ["f"]


def test_one_goes_on_where_another_was_killed(server, tmp_path):
    server.faults = ["gate"]
    words = [TOOL, "file", f"{server.url}/f", MD5, str(tmp_path / "f")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path)) as first:
        wait_until(lambda: size_of(tmp_path / "f.part") > 0)
        first.kill()
    n_bytes = (tmp_path / "f.part").stat().st_size
    assert fetch(tmp_path, server)[0] == OK
    assert server.ranges() == [None, f"bytes={n_bytes}-"] and (tmp_path / "f").read_bytes() == CONTENTS


def test_password_in_the_address_stays_secret(server, tmp_path):
    url = server.url.replace("http://", "http://user:secret@") + "/missing"
    _, message, stderr = fetch(tmp_path, server, url=url)
    assert message.startswith(f"{server.url}/missing: ") and "secret" not in message + stderr


# ---- proxies and TLS


def test_proxy(server, tmp_path):
    status, _, _ = fetch(tmp_path, server, url="http://weights.invalid/f", env={"http_proxy": server.url})
    assert status == OK and server.requests == [("http://weights.invalid/f", None)]


def test_no_proxy(server, tmp_path):
    env = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}
    assert fetch(tmp_path, server, env=env)[0] == OK
    status, message, _ = fetch(tmp_path / "..", server, env={"http_proxy": "http://127.0.0.1:1"},
                               url="http://weights.invalid/f")
    assert status == IO and "127.0.0.1" in message


@pytest.fixture
def tls_server(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "tls" / "certificate.pem", tmp_path / "tls" / "key.pem"
    certificate.parent.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server() as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        running.url, running.certificate = f"https://localhost:{running.server_port}", certificate
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield running
        running.shutdown()


def test_tls_is_verified(tls_server, tmp_path):
    status, message, _ = fetch(tmp_path, tls_server)
    assert status == IO and "certificate" in message and not (tmp_path / "f").exists()
    assert fetch(tmp_path, tls_server, env={"SSL_CERT_FILE": str(tls_server.certificate)})[0] == OK
    other_name = tls_server.url.replace("localhost", "127.0.0.1") + "/f"
    (tmp_path / "f").unlink()
    status, message, _ = fetch(tmp_path, tls_server, url=other_name, env={"SSL_CERT_FILE": str(tls_server.certificate)})
    assert status == IO and not (tmp_path / "f").exists()


def test_no_way_from_https_to_http(tls_server, server, tmp_path):
    tls_server.constant_fault = f"redirect {server.url}/f"
    status, message, _ = fetch(tmp_path, tls_server, env={"SSL_CERT_FILE": str(tls_server.certificate)})
    assert status == IO and re.search(r"[Pp]rotocol", message) and server.requests == []


# ---- the cache


def weights(tmp_path, *more, md5=MD5, **env):
    return tool(tmp_path, "weights", "f.h5", md5, *more, env=env)


def test_cache(server, tmp_path):
    server.files["/mirror/net/f.h5"] = CONTENTS
    for slash in ("", "/"):
        env = {"FILTAGS_WEIGHTS_URL": f"{server.url}/mirror{slash}", "XDG_CACHE_HOME": str(tmp_path / f"cache{slash}x")}
        path = f"{env['XDG_CACHE_HOME']}/filtags/f.h5"
        assert weights(tmp_path, **env)[:2] == (OK, f"{path}, downloaded")
        assert pathlib.Path(path).read_bytes() == CONTENTS
        assert weights(tmp_path, **env)[:2] == (OK, f"{path}, cached")
        assert weights(tmp_path, "offline", **env)[:2] == (OK, f"{path}, cached")
    assert [path for path, _ in server.requests] == ["/mirror/net/f.h5"] * 2
    assert (tmp_path / "cachex").stat().st_mode & 0o777 == 0o700


def test_cache_below_home(server, tmp_path):
    server.files["/net/f.h5"] = CONTENTS
    path = tmp_path / ".cache" / "filtags" / "f.h5"
    for relative in ({}, {"XDG_CACHE_HOME": "relative"}):  # a relative folder is no folder, say the XDG rules
        shutil.rmtree(tmp_path / ".cache", ignore_errors=True)
        assert weights(tmp_path, FILTAGS_WEIGHTS_URL=server.url, **relative)[:2] == (OK, f"{path}, downloaded")


def test_damaged_cache_is_replaced(server, tmp_path):
    server.files["/net/f.h5"] = CONTENTS
    path = tmp_path / ".cache" / "filtags" / "f.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENTS[:-1] + b"x")
    status, message, _ = weights(tmp_path, "offline")
    assert status == IO and "--offline" in message
    status, message, stderr = weights(tmp_path, FILTAGS_WEIGHTS_URL=server.url)
    assert (status, message) == (OK, f"{path}, downloaded") and path.read_bytes() == CONTENTS
    assert f"warning: {path}: is not the official file" in stderr


@pytest.mark.parametrize("has_home", [False, True])
def test_file_of_keras(tmp_path, has_home):
    keras = tmp_path / "k" if has_home else tmp_path / ".keras"
    env = {"KERAS_HOME": str(keras)} if has_home else {}
    (keras / "models").mkdir(parents=True)
    path = keras / "models" / "f.h5"
    path.write_bytes(CONTENTS)
    path.chmod(0o400)
    assert weights(tmp_path, "offline", **env)[:2] == (OK, f"{path}, of Keras")
    path.chmod(0o600)
    path.write_bytes(b"another version")
    assert weights(tmp_path, "offline", **env)[0] == IO
    assert path.read_bytes() == b"another version"


def test_offline_says_how(tmp_path):
    status, message, _ = weights(tmp_path, "offline")
    assert status == IO
    for part in (f"{tmp_path}/.cache/filtags/f.h5", "'filtags fetch Net'", "http://localhost:1/official/net/f.h5",
                 "--weights FILE"):
        assert part in message


def test_official_address(tmp_path):
    status, message, _ = weights(tmp_path)
    assert status == IO and message.startswith("http://localhost:1/official/net/f.h5: Failed to connect")


@pytest.mark.parametrize("mirror", ["ftp://host", "/folder", "host"])
def test_wrong_mirror(tmp_path, mirror):
    status, message, _ = weights(tmp_path, FILTAGS_WEIGHTS_URL=mirror)
    assert status == USAGE and message == ("FILTAGS_WEIGHTS_URL: an address that begins with https:// or http:// "
                                           f"expected, found '{mirror}'")


def test_no_home(tmp_path):
    status, message, _ = weights(tmp_path, HOME="")
    assert status == IO and "XDG_CACHE_HOME or HOME" in message


def test_cache_that_cannot_be_made(tmp_path):
    (tmp_path / ".cache").write_text("a file")
    status, message, _ = weights(tmp_path)
    assert status == IO and message == (f"{tmp_path}/.cache/filtags: the folder for downloaded weights cannot be made: "
                                        "Not a directory")


# ---- the program


def filtags(tmp_path, *words, **env):
    return subprocess.run([FILTAGS, *words], capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False,
                          cwd=tmp_path, env=environment(tmp_path, **env))


def test_program_wrong_hash(server, tmp_path):
    file = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    server.files[f"/vgg16/{file}"] = CONTENTS
    result = filtags(tmp_path, "fetch", "vgg16", "VGG16", FILTAGS_WEIGHTS_URL=server.url)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == (f"filtags fetch: {server.url}/vgg16/{file}: a file of MD5 "
                             f"64373286793e3c8b2b4e3219cbf3544b expected, found one of {MD5}, which is thrown away\n")
    assert list((tmp_path / ".cache" / "filtags").iterdir()) == []


def test_program_downloads_on_first_use(server, tmp_path):
    pictures = tmp_path / "pictures" / "a"
    pictures.mkdir(parents=True)
    (pictures / "a.ppm").write_bytes(b"P6 1 1 255\n123")
    words = ["--network", "resnet50V2", "--images-dir", str(pictures.parent), "--save-dir", str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    result = filtags(tmp_path, "activations", *words, FILTAGS_WEIGHTS_URL=server.url)
    path = "/resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels.h5"
    assert result.returncode == 1 and f"{server.url}{path}: the file expected, found HTTP status 404" in result.stderr
    assert server.requests == [(path, None)]
    result = filtags(tmp_path, "activations", *words, "--offline", FILTAGS_WEIGHTS_URL=server.url)
    assert result.returncode == 1 and "'filtags fetch ResNet50V2'" in result.stderr
    assert "https://storage.googleapis.com/tensorflow/keras-applications" + path in result.stderr
    assert len(server.requests) == 1 and list((tmp_path / "out").iterdir()) == []


def test_program_is_stopped(server, tmp_path):
    server.files["/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5"] = CONTENTS
    server.constant_fault = "gate"
    words = [FILTAGS, "fetch", "VGG16", "--verbose"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment(tmp_path, FILTAGS_WEIGHTS_URL=server.url)) as process:
        part = tmp_path / ".cache" / "filtags" / "vgg16_weights_tf_dim_ordering_tf_kernels.h5.part"
        wait_until(lambda: size_of(part) > 0)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=TIMEOUT_SEC)
    assert process.returncode == 130 and "kept for the next time" in stderr
    assert CONTENTS.startswith(part.read_bytes()) and part.stat().st_size > 0


def test_program_shows_a_bar(server, tmp_path):
    server.files["/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5"] = CONTENTS
    server.constant_fault = "gate"
    bar = re.compile(rb"fetch  \[#+-+\]  0\.\d/0\.5 MB  \d+\.\d MB/s  \d+:\d\d left")
    main, terminal = pty.openpty()
    with subprocess.Popen([FILTAGS, "fetch", "VGG16"], stderr=terminal,
                          env=environment(tmp_path, TERM="xterm", FILTAGS_WEIGHTS_URL=server.url)) as process:
        os.close(terminal)
        text = b""
        try:
            while block := os.read(main, 65536):
                text += block
                if bar.search(text):  # it is drawn again and again
                    server.gate.set()
        except OSError:  # the other end is closed
            pass
    os.close(main)
    assert process.returncode == 1  # another hash than the official file's
    assert bar.search(text)


def test_program_finds_a_locked_part(server, tmp_path):
    """Waiting for another process can be stopped too."""
    folder = tmp_path / ".cache" / "filtags"
    folder.mkdir(parents=True)
    with open(folder / "vgg16_weights_tf_dim_ordering_tf_kernels.h5.part", "wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with subprocess.Popen([FILTAGS, "fetch", "VGG16", "--verbose"], stderr=subprocess.PIPE, text=True,
                              env=environment(tmp_path, FILTAGS_WEIGHTS_URL=server.url)) as process:
            assert "downloading" in process.stderr.readline()
            assert "another process is downloading it; waiting" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT_SEC)
    assert process.returncode == 143 and server.requests == []
