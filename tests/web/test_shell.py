"""The shell that all pages share: what gets into it, and what base.js does with it.

The pages here are made by page_tool from a title and data; the body and the script of the page's kind are replaced by
the test's own. What the checks of every page find (requests, errors) is tested at the end.
"""
import base64
import html
import json
import os
import subprocess

import pytest

import pages
from pages import NASTY, steps

TOOL = steps.BUILD / "tests" / "web" / "page_tool"
WEB = steps.TESTS.parent / "web"
BODY = """<header class="bar"><div class="title"><h1 id="title"></h1></div><div class="space"></div>
<button type="button" data-action="help" aria-label="Keyboard">?</button>
<button type="button" data-action="theme">Dark</button></header>
<main id="main"><div class="card" id="out"></div><div class="card"><input type="search" id="search"></div></main>
"""
ROWS = [{"name": "b", "n": 2}, {"name": "<i>a</i>", "n": 10}, {"name": "c", "n": -1.5}]


@pytest.fixture
def make(tmp_path):
    """make(script, ...) -> the path of a page."""
    def make(script="", title="A title", data=None, packed=b"", body=BODY, name="page.html"):
        (tmp_path / "data.json").write_text(json.dumps(data))
        (tmp_path / "packed").write_bytes(packed)
        result = subprocess.run([TOOL, os.fsencode(title), tmp_path / "data.json", tmp_path / "packed"],
                                capture_output=True, timeout=steps.TIMEOUT_SEC, check=True)
        text = result.stdout.decode()
        for kind, own in (("html", body), ("js", f"'use strict';\n{script}\n")):
            shipped = (WEB / f"hitrates.{kind}").read_text(encoding="utf-8")
            assert text.count(shipped) == 1
            text = text.replace(shipped, own)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path
    return make


# ---------------------------------------------------------------- what gets into a page

@pytest.mark.parametrize("title", NASTY, ids=range(len(NASTY)))
def test_title_is_text(page, make, title):
    with page(make(title=title)) as p:
        assert p.title().split() == title.split()
        assert p.evaluate("() => document.head.querySelectorAll('img, b').length") == 0
        assert p.locator("#main").count() == 1


def test_title_that_is_not_utf8(page, make):
    with page(make(title=os.fsdecode(b"caf\xe9 \xff</title><script>window.wasScripted=1</script>"))) as p:
        assert p.title() == "caf\ufffd \ufffd</title><script>window.wasScripted=1</script>"


def test_json_comes_out_as_it_went_in(page, make):
    data = {"texts": [*NASTY, "</script><script>window.wasScripted=1</script>", "<!--<script>", "]]>", "\0", ""],
            "numbers": [0, -1, 2**53, 0.1, 1e-300, 123456.789], "others": [None, True, [], {}]}
    data.update({text: i for i, text in enumerate(NASTY) if text != "__proto__"})
    with page(make(data=data)) as p:
        assert p.evaluate("() => filtags.json('data')") == data


IN_BASE64 = """async () => {
    const reader = new FileReader();
    const isRead = new Promise((done) => { reader.onload = done; });
    reader.readAsDataURL(new Blob([await filtags.bytes('packed')]));
    await isRead;
    return reader.result.split(',')[1] || '';
}"""


@pytest.mark.parametrize("n_bytes", [0, 1, 2, 3, 100_000, 3_000_001])
def test_bytes_come_out_as_they_went_in(page, make, n_bytes):
    packed = steps.noise(n_bytes).randbytes(n_bytes // 2) + bytes(n_bytes - n_bytes // 2)
    with page(make(packed=packed)) as p:
        assert base64.b64decode(p.evaluate(IN_BASE64)) == packed


def test_elements_hold_text(page, make):
    script = """document.getElementById('out').append(
        ...filtags.json('data').map((text) => filtags.el('p', {title: text}, text)));"""
    with page(make(script, data=NASTY)) as p:
        assert p.eval_on_selector_all("#out p", "(all) => all.map((one) => [one.textContent, one.title])") == [
            [text, text] for text in NASTY]
        assert p.locator("#out *:not(p)").count() == 0


def test_texts_of_charts_are_text(page, make):
    """Plotly reads markup in its texts: plain() takes it out, and leaves what is seen."""
    script = """
        const texts = filtags.json('data').map(filtags.plain);
        filtags.plot(document.getElementById('out'), () => [[{type: 'bar', y: texts.map((_, i) => i + 1), text: texts}],
          {height: 600, xaxis: {tickvals: texts.map((_, i) => i), ticktext: texts}}]);"""
    texts = ["<b>bold</b>", "<a href='http://localhost:1/'>link</a>", "a & b &lt; c",
             "<script>window.wasScripted=1</script>"]
    with page(make(script, data=texts)) as p:
        p.wait_for_selector("#out .xtick text")
        shown = p.eval_on_selector_all("#out .xtick text", "(all) => all.map((one) => one.textContent)")
        assert [text.replace("\u200b", "").replace("\xa0", " ") for text in shown] == texts
        assert p.locator("#out svg a").count() == 0
        p.screenshot_as("shell-chart")


# ---------------------------------------------------------------- tables

TABLE = """const main = document.getElementById('out');
    main.append(filtags.table([{title: 'Name', key: 'name'}, {title: 'Number', key: 'n', isNumber: true}],
      filtags.json('data'), {limit: 5, caption: 'Things', isChosen: (row) => row.n === 2}));"""


def test_table_is_sorted_by_its_headings(page, make):
    with page(make(TABLE, data=ROWS)) as p:
        assert [row[0] for row in p.table("#out")] == ["b", "<i>a</i>", "c"], "unsorted at first"
        assert p.table("#out")[1] == ["<i>a</i>", "10"] and p.table("#out")[2][1] == "-1.5000"
        sorts = "() => [...document.querySelectorAll('#out th')].map((head) => head.getAttribute('aria-sort'))"
        for heading, expected, state in (("Number", ["<i>a</i>", "b", "c"], [None, "descending"]),
                                         ("Number", ["c", "b", "<i>a</i>"], [None, "ascending"]),
                                         ("Name", ["<i>a</i>", "b", "c"], ["ascending", None]),
                                         ("Name", ["c", "b", "<i>a</i>"], ["descending", None])):
            p.get_by_role("button", name=heading).click()
            assert [row[0] for row in p.table("#out")] == expected
            assert p.evaluate(sorts) == state
        assert p.locator("tr.chosen td").first.inner_text() == "b"


def test_table_by_keyboard(page, make):
    with page(make(TABLE, data=ROWS)) as p:
        p.get_by_role("button", name="Number").focus()
        p.keyboard.press("Enter")
        assert [row[1] for row in p.table("#out")] == ["10", "2", "-1.5000"]


def test_long_table_is_shown_in_parts(page, make):
    with page(make(TABLE, data=[{"name": f"row {i}", "n": i} for i in range(1060)])) as p:
        assert len(p.table("#out")) == 5
        more = p.get_by_role("button", name="Show more")
        assert more.inner_text() == "Show more (1,055 left)"
        more.click()
        assert len(p.table("#out")) == 55
        p.get_by_role("button", name="Number").click()
        assert p.table("#out")[0] == ["row 1059", "1,059"]
        for _ in range(21):
            more.click()
        assert len(p.table("#out")) == 1060 and not more.is_visible()


# ---------------------------------------------------------------- theme, keyboard, address

PLOT = """const plot = filtags.el('div', {class: 'plot'});
    document.getElementById('out').append(plot);
    filtags.plot(plot, () => [[{y: [1, 3, 2], ...filtags.lineStyle(0)}], {height: 300}]);"""


@pytest.mark.parametrize("theme, other", [("light", "dark"), ("dark", "light")])
def test_theme_is_the_systems_until_chosen(page, make, theme, other):
    with page(make(PLOT), theme=theme) as p:
        line = "() => document.querySelector('#out .lines path').style.stroke"
        colors = {"light": "rgb(0, 103, 165)", "dark": "rgb(93, 180, 240)"}
        assert p.theme == theme and p.evaluate(line) == colors[theme]
        background = p.evaluate("() => getComputedStyle(document.body).backgroundColor")
        button = p.locator("[data-action=theme]")
        assert button.inner_text().lower() == other
        p.screenshot_as("shell")
        button.click()
        p.settle()
        assert p.theme == other and button.inner_text().lower() == theme
        assert p.evaluate(line) == colors[other], "charts follow"
        assert p.evaluate("() => getComputedStyle(document.body).backgroundColor") != background
        p.open()
        assert p.theme == other, "the choice is kept"
        p.keyboard.press("d")
        assert p.theme == theme
        p.emulate_media(color_scheme=other)
        p.settle()
        assert p.theme == theme, "a choice outlasts the system's"


def test_theme_follows_the_system(page, make):
    with page(make()) as p:
        assert p.theme == "light"
        p.emulate_media(color_scheme="dark")
        p.settle()
        assert p.theme == "dark"


KEYS = """window.pressed = [];
    filtags.keys([['j ArrowDown', 'next <b>thing</b>', () => window.pressed.push('next')],
                  ['x', 'none of its own', null]]);"""


def test_keyboard_help(page, make):
    with page(make(KEYS)) as p:
        p.keyboard.press("?")
        dialog = p.get_by_role("dialog")
        assert dialog.is_visible()
        assert p.table("dialog.help") == [["j↓", "next <b>thing</b>"], ["x", "none of its own"],
                                          ["?", "this list"], ["d", "dark or light"]]
        p.keyboard.press("j")
        assert p.evaluate("() => window.pressed") == [], "keys are the dialog's while it is open"
        p.keyboard.press("Escape")
        assert not dialog.is_visible()
        p.locator("[data-action=help]").click()
        assert dialog.is_visible()
        p.get_by_role("button", name="Close").click()
        assert not dialog.is_visible()


def test_keys(page, make):
    with page(make(KEYS)) as p:
        for key in ("j", "ArrowDown", "x", "Control+j"):
            p.keyboard.press(key)
        assert p.evaluate("() => window.pressed") == ["next", "next"]
        p.locator("#search").focus()
        p.keyboard.type("jd?")
        assert p.evaluate("() => window.pressed.length") == 2 and p.theme == "light"
        assert p.locator("#search").input_value() == "jd?" and p.locator("dialog.help").count() == 0


def test_state_is_in_the_address(page, make):
    script = "window.heard = 0; filtags.state.onchange = () => { window.heard++; };"
    nasty = "a&b=c#d %41 日本 <i>"
    with page(make(script), hash="layer=3&filter=7") as p:
        assert p.evaluate("() => [filtags.state.get('layer'), filtags.state.get('none')]") == ["3", None]
        p.evaluate("(text) => filtags.state.set({layer: 4, filter: null, search: text})", nasty)
        assert p.hash == {"layer": "4", "search": nasty}
        assert p.evaluate("() => filtags.state.get('search')") == nasty
        n_steps = p.evaluate("() => history.length")
        p.evaluate("() => filtags.state.set({layer: 5}, true)")
        assert p.evaluate("() => history.length") == n_steps + 1 and p.evaluate("() => window.heard") == 0
        p.go_back()
        assert p.hash["layer"] == "4" and p.evaluate("() => window.heard") > 0
        p.open(p.page.url.split("#")[1])
        assert p.evaluate("() => filtags.state.get('search')") == nasty, "a link leads to the same"


def test_page_inside_of_another(page, make, tmp_path):
    """As the notebook shows it where files can't be seen: there the address can't be kept, and nothing else is lost."""
    inner = html.escape(make(TABLE, data=ROWS).read_text(encoding="utf-8"))
    (tmp_path / "outer.html").write_text(f"<!doctype html><iframe srcdoc=\"{inner}\" width=600 height=400></iframe>")
    with page(tmp_path / "outer.html") as p:
        frame = p.frames[1]
        frame.evaluate("() => filtags.state.set({layer: 3})")
        assert frame.evaluate("() => filtags.state.get('layer')") == "3"
        frame.get_by_role("button", name="Number").click()
        assert frame.locator("#out td").first.inner_text() == "<i>a</i>"


def test_numbers(page, make):
    values = [0, 1, 2, 1234567, 0.5, -0.25, None]
    with page(make(data=values)) as p:
        assert p.evaluate("() => filtags.json('data').map((value) => filtags.number(value))") == [
            "0.0000", "1.0000", "2", "1,234,567", "0.5000", "-0.2500", "–"]
        assert p.evaluate("() => filtags.shorten('🐕🐕🐕🐕', 3)") == "🐕🐕…"


@pytest.mark.parametrize("width, height", pages.SIZES)
def test_shell_fits(page, make, width, height):
    with page(make(TABLE + PLOT, title="x" * 300, data=[{"name": "w" * 400, "n": 1}]), width, height) as p:
        p.evaluate("() => { document.getElementById('title').textContent = 'x'.repeat(300); }")
        p.assert_fits()
        p.screenshot_as("shell-wide-texts")


# ---------------------------------------------------------------- the checks themselves

@pytest.mark.parametrize("script, expected", [
    ("console.error('no good');", "console: error: no good"), ("console.warn('hm');", "console: warning: hm"),
    ("throw new Error('broken');", "page error: broken"), ("Promise.reject(new Error('later'));", "page error: later"),
    ("alert('hi');", "dialog: hi"), ("window.wasScripted = 1;", "text was taken for a script")])
def test_what_a_page_must_not_do(page, make, script, expected):
    with pytest.raises(AssertionError) as failure:
        with page(make(script)):
            pass
    assert expected in str(failure.value)


@pytest.mark.parametrize("script", [
    "fetch('http://localhost:1/data').catch(() => {});", "new Image().src = 'http://localhost:1/pixel.png';",
    "document.body.append(filtags.el('script', {src: 'other.js'}));", "navigator.sendBeacon('http://localhost:1/');",
    "document.head.append(filtags.el('link', {rel: 'stylesheet', href: 'http://localhost:1/a.css'}));",
    "document.body.append(filtags.el('iframe', {src: 'http://localhost:1/'}));",
    "document.body.style.background = 'url(other.png)';", "eval('1');",
    "new Worker('data:text/javascript,1');"])
def test_requests_are_refused_and_seen(page, make, script):
    """The page's own policy forbids each of them, and the test hears of it."""
    with pytest.raises(AssertionError) as failure:
        with page(make(script)) as p:
            for _ in range(pages.TIMEOUT_MS // 20):  # it hears when the browser's processes have talked to each other
                if not p.problems:
                    p.wait_for_timeout(20)
    assert "ontent Security Policy" in str(failure.value) or "request: " in str(failure.value)
