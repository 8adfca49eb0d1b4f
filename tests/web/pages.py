"""Pages in a headless Chromium: opening them, what they must not do, pictures of them.

    with page(path, 1280, 720) as p:              # or page(path, 390, 844, theme="dark", hash="layer=3")
        p.click("text=Layers")                    # p is Playwright's page, with what View adds
        assert p.table("#tags")[0] == ["bag", "12"]
        p.screenshot_as("tags")

A page that logs an error or a warning, throws, or asks for anything but itself, fails at the end of the block.
"""
import contextlib
import os
import pathlib
import re
import shutil
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "cli"))

import steps  # noqa: E402 (of tests/cli)

SCREENSHOTS = steps.BUILD / "web-screenshots"
SIZES = [(1280, 720), (390, 844)]
TIMEOUT_MS = 300_000  # against hanging, not a measure of how fast a machine is

# What a browser would do on its own account: look for updates, phone home, offer passwords.
ARGUMENTS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
             "--disable-domain-reliability", "--disable-client-side-phishing-detection", "--no-pings",
             "--hide-scrollbars"]

# Labels, file names and titles that would break a page which takes text for markup. No '/': they may name folders.
NASTY = ["<script>window.wasScripted = 1<\\script>", "<img src=x onerror=window.wasScripted=1>",
         "a & b &amp; c &lt;d&gt;", "\"double\" 'single' `back` ${1+1}", "two\nlines\tand a tab",
         "Größe ≈ 日本語 🐕 \u202eabc\u202c", "<\\title>", "<b>bold<\\b>", "{{x}} %s \\u003c <!-- -->",
         "__proto__", "constructor", "k" * 200]


class NoBrowser(Exception):
    """There is no Chromium here."""


# ---------------------------------------------------------------- the browser

def is_snap(program):
    """Ubuntu's /usr/bin/chromium-browser only says how to get the snap, which sees no files but those of $HOME."""
    path = os.path.realpath(program)
    if path.startswith("/snap/") or os.path.basename(path) == "snap":
        return True
    with open(path, "rb") as file:
        start = file.read(4096)
    return start.startswith(b"#!") and b"snap" in start


def find_browser():
    """The Chromium to start; None: Playwright's own, if that was installed."""
    given = os.environ.get("FILTAGS_CHROMIUM")
    if given:
        return given
    for name in ("chromium", "chromium-browser", "google-chrome"):
        program = shutil.which(name)
        if program and not is_snap(program):
            return program
    return None


class Browser:
    """One Chromium, started when the first page is opened."""

    def __init__(self):
        self.playwright = self.chromium = None

    def start(self):
        if self.chromium:
            return self.chromium
        from playwright.sync_api import Error, sync_playwright
        program = find_browser()
        arguments = ARGUMENTS + (["--no-sandbox"] if os.geteuid() == 0 else [])
        self.playwright = sync_playwright().start()
        try:
            self.chromium = self.playwright.chromium.launch(executable_path=program, args=arguments,
                                                             timeout=TIMEOUT_MS)
        except Error as error:
            self.close()
            if not program and "Executable doesn't exist" in str(error):
                raise NoBrowser("no chromium, chromium-browser or google-chrome, none of Playwright's, "
                                "no $FILTAGS_CHROMIUM") from None
            raise
        return self.chromium

    def close(self):
        if self.chromium:
            self.chromium.close()
        if self.playwright:
            self.playwright.stop()
        self.playwright = self.chromium = None

    @contextlib.contextmanager
    def page(self, path, width=1280, height=720, *, theme="light", hash="", motion="reduce", scale=1):
        """Open a file; at the end, fail if it did what a page of filTags must not do. theme: the system's."""
        # a phone's browser, not a narrow window: it heeds the page's viewport
        is_phone = width < 600
        context = self.start().new_context(viewport={"width": width, "height": height}, color_scheme=theme,
                                           reduced_motion=motion, device_scale_factor=scale, is_mobile=is_phone,
                                           has_touch=is_phone, locale="en-GB", timezone_id="UTC")
        context.set_default_timeout(TIMEOUT_MS)
        try:
            view = View(context.new_page(), path, (width, height))
            view.open(hash)
            yield view
            view.assert_clean()
        finally:
            context.close()


# ---------------------------------------------------------------- one page

class View:
    """Playwright's page (all its methods), and what tests of filTags's pages ask for."""

    def __init__(self, page, path, size):
        self.page, self.size = page, size
        self.url = pathlib.Path(path).resolve().as_uri()
        self.problems = []  # what it did that it must not do
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("request", self.see_request)
        page.on("websocket", lambda socket: self.problems.append(f"websocket: {socket.url}"))
        page.on("crash", lambda _: self.problems.append("crash"))
        page.on("dialog", self.refuse_dialog)

    def __getattr__(self, name):
        return getattr(self.page, name)

    def hear(self, message):
        if message.type in ("error", "warning", "assert"):
            self.problems.append(f"console: {message.type}: {message.text}")

    def see_request(self, request):
        url = request.url.split("#")[0]
        if url != self.url and not url.startswith(("data:", "blob:")):
            self.problems.append(f"request: {url}")

    def refuse_dialog(self, dialog):
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, hash=""):
        self.page.goto("about:blank")  # else a new hash alone would not load the page anew
        self.page.goto(self.url + (f"#{hash.lstrip('#')}" if hash else ""), wait_until="load")

    def settle(self):
        """Wait for two frames, by which what was chosen is drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def let_timers_fire(self, ms):
        """Wait until whatever the page has put off by that many milliseconds is done: timers of a page fire in their
        order, however busy the machine is."""
        self.page.evaluate("(ms) => new Promise((done) => setTimeout(done, ms))", ms)

    def rest(self):
        """Wait for the end of all transitions."""
        self.settle()
        self.page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))")

    # The page draws what was chosen in the next frame: on a busy machine a test would read the view before.

    def click(self, selector, **options):
        self.page.click(selector, **options)
        self.settle()

    def fill(self, selector, text, **options):
        self.page.fill(selector, text, **options)
        self.settle()

    def select_option(self, selector, *values, **options):
        self.page.select_option(selector, *values, **options)
        self.settle()

    def assert_clean(self):
        self.settle()
        assert not self.problems, "; ".join(self.problems)
        assert self.page.evaluate("() => window.wasScripted") is None, "text was taken for a script"

    def assert_fits(self):
        """The page doesn't scroll sideways: what is wide scrolls in its own box."""
        excess = self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert excess <= 0, f"{excess} pixels too wide for {self.size[0]}"

    @property
    def theme(self):
        return self.page.evaluate("() => document.documentElement.dataset.theme")

    @property
    def hash(self):
        """What the page keeps in its address: {name: value}."""
        return self.page.evaluate("() => Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")

    @property
    def load_sec(self):
        """From the start of loading until the load event was handled."""
        return self.page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000

    def table(self, selector):
        """The texts on screen of the rows of a table (its body): [[cell, ...], ...]."""
        return self.page.eval_on_selector_all(
            f"{selector} tbody tr", "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))")

    def screenshot_as(self, name, selector=None, full=False):
        """Keep a picture of the page, or of one element: build/web-screenshots/NAME-WIDTHxHEIGHT-THEME.png."""
        assert re.fullmatch(r"[\w.-]+", name)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.settle()
        path = SCREENSHOTS / f"{name}-{self.size[0]}x{self.size[1]}-{self.theme}.png"
        if selector:
            self.page.locator(selector).first.screenshot(path=path)
        else:
            self.page.screenshot(path=path, full_page=full)
        return path


browser = Browser()
page = browser.page
