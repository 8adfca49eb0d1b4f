"""The page of plot-hitrates: every control, and that what is on screen is what the pickle of step 4 holds."""
import csv
import io
import math

import pytest

import pages
from pages import NASTY, steps

LABELS = ["cat", "dog", *NASTY]
RATES = {"k": [0, 1, 2, 5, 10, 20], "q": [0, 1, 2.5, 50]}
M = [1, 3, 5, 10]


def rate_of(rule, layers, row, value, m):
    """All different, some None; in steps of a picture."""
    if row == 2 or (rule, value, m) == ("k", 2, 3):
        return None
    seed = sum(map(ord, rule + layers)) * 31 + row * 17 + int(value * 2) * 7 + m * 3
    return seed % 101 / 100


def variables_of(rates, labels=LABELS, rate=rate_of):
    found = {}
    for ending, layers in (("", "all"), ("_ll", "last")):
        for rule in "kq":
            def table(row):
                return {value: {m: rate(rule, layers, row, value, m) for m in M} for value in rates[rule]}
            found[f"totalhit_{rule}{ending}"] = table(0)
            found[f"hit_{rule}{ending}"] = {label: table(row) for row, label in enumerate(labels, 1)}
    return found


def make(folder, variables, name="net"):
    path = steps.save(folder / f"2026-01-01-0000-HR-{name}-vars.pkl", variables)
    steps.run("plot-hitrates", path, "--save-dir", folder)
    return steps.only(folder, "*-HP-*.html")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make(tmp_path_factory.mktemp("hitrates"), variables_of(RATES))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """1,000 classes, k and q = 0..100."""
    def rate(rule, layers, row, value, m):
        start = (row * 37 % 61) / 100 + (0.05 if layers == "last" else 0)
        return round(min(1, start + 0.3 * math.sqrt(value / 100 if value else 1) + 0.04 * math.log(m)) * 50) / 50
    values = {rule: range(101) for rule in "kq"}
    labels = [f"n{i:08}" for i in range(1, 1001)]
    return make(tmp_path_factory.mktemp("many"), variables_of(values, labels, rate), "ResNet152")


def ready(p):
    p.wait_for_selector("body[data-ready]")
    p.wait_for_function("() => document.querySelector('#chart .plot-container')")
    p.settle()


def shown(rate, digits=4):
    return "–" if rate is None else f"{rate:.{digits}f}"


def open_at(p, hash):
    p.open(hash)
    ready(p)


def pressed(p, group):
    return p.eval_on_selector_all(f"#{group} [aria-pressed=true]", "(all) => all.map((one) => one.dataset.value)")


def chart(p):
    """{(panel's title, line's name): {x's name in the hover text: rate}} of what Plotly was given."""
    traces = p.evaluate("""() => document.getElementById('chart').data.map((t) =>
        [t.xaxis, t.name, t.customdata, Array.from(t.y, (y) => y ?? null)])""")
    return {(axis, name): {text.split("<br>")[0]: y for text, y in zip(texts, ys) if text}
            for axis, name, texts, ys in traces}


def value_text(rule, value):
    return "0 (> mean)" if value == 0 else f"{value:g}{' %' if rule == 'q' else ''}"


def expected_chart(rule, against, layers, row, lines):
    found = {}
    for axis, one in zip(("x", "x2"), layers):
        for line in lines:
            if against == "m":
                name = f"{rule} = {value_text(rule, line)}"
                points = {f"{name}, m = {m}": rate_of(rule, one, row, line, m) for m in M}
            else:
                name = f"m = {line}"
                points = {f"{rule} = {value_text(rule, value)}, {name}": rate_of(rule, one, row, value, line)
                          for value in RATES[rule]}
            found[(axis, name)] = points
    return found


# ---------------------------------------------------------------- the numbers

@pytest.mark.parametrize("row", [0, 1, 2, 14])
@pytest.mark.parametrize("rule", ["k", "q"])
@pytest.mark.parametrize("against", ["m", "value"])
def test_chart(page, path, rule, against, row):
    with page(path, hash=f"rule={rule}&against={against}" + (f"&class={row}" if row else "")) as p:
        ready(p)
        lines = RATES[rule] if against == "m" else M
        assert chart(p) == expected_chart(rule, against, ["all", "last"], row, lines)
        assert p.locator("#chart-note").inner_text().endswith("no test pictures.") == (row == 2)


@pytest.mark.parametrize("rule", ["k", "q"])
def test_table_of_selection(page, path, rule):
    with page(path, hash=f"rule={rule}&class=1") as p:
        ready(p)
        assert p.table("#table") == [
            [value_text(rule, value), str(m),
             *(shown(rate_of(rule, layers, 1, value, m)) for layers in ("all", "last"))]
            for value in RATES[rule] for m in M]
        for heading, key in (("All layers", "all"), ("Last layer", "last")):
            p.get_by_role("button", name=heading, exact=True).click()
            rates = [rate_of(rule, key, 1, value, m) for value in RATES[rule] for m in M]
            ordered = sorted(rates, key=lambda rate: -1 if rate is None else rate, reverse=True)
            column = 2 if key == "all" else 3
            assert [row[column] for row in p.table("#table")] == [shown(rate) for rate in ordered]


def line_of(label):
    return " ".join(label.split())


def test_table_of_classes(page, path):
    with page(path, hash="table=classes&at=10&m=3") as p:
        ready(p)
        assert [row[1:] for row in p.table("#table")] == [
            [shown(rate_of("k", layers, row, 10, 3)) for layers in ("all", "last")]
            for row in range(1, len(LABELS) + 1)]
        assert [line_of(row[0]) for row in p.table("#table")] == [line_of(label) for label in LABELS]
        p.locator("#table tbody button").nth(1).click()
        assert p.hash["class"] == "2" and p.locator("#table tr.chosen td").first.inner_text() == "dog"


def test_overview(page, path):
    with page(path, hash="at=5&m=1") as p:
        ready(p)

        def minis():
            return p.eval_on_selector_all(".mini", """(all) => all.map((one) =>
                [Number(one.dataset.row), one.querySelector('.rate').textContent])""")
        rates = {row: rate_of("k", "all", row, 5, 1) for row in range(1, len(LABELS) + 1)}
        assert dict(map(tuple, minis())) == {row: shown(rate, 3) for row, rate in rates.items()}
        low = [rates[row] for row, _ in minis()]
        assert low[:-1] == sorted(low[:-1]) and low[-1] is None, "without pictures: last"
        p.select_option("#sort", "high")
        high = [rates[row] for row, _ in minis()]
        assert high[:-1] == sorted(high[:-1], reverse=True) and high[-1] is None
        p.select_option("#sort", "file")
        assert [row for row, _ in minis()] == list(rates)
        p.select_option("#sort", "name")
        assert sorted(row for row, _ in minis()) == list(rates) and p.hash["sort"] == "name"
        p.select_option("#at", label="10")
        p.select_option("#at-m", label="3")
        assert dict(map(tuple, minis())) == {row: shown(rate_of("k", "all", row, 10, 3), 3) for row in rates}
        p.locator("#layers button", has_text="Last").click()
        assert dict(map(tuple, minis())) == {row: shown(rate_of("k", "last", row, 10, 3), 3) for row in rates}
        p.locator(".mini[data-row='5']").click()
        assert p.hash["class"] == "5" and p.locator(".mini[aria-pressed=true]").get_attribute("data-row") == "5"
        p.locator(".mini[data-row='5']").click()
        assert "class" not in p.hash


def test_best(page, path):
    with page(path) as p:
        ready(p)
        tiles = p.eval_on_selector_all(
            ".tile", "(all) => all.map((one) => [...one.children].map((part) => part.textContent))")
        for m, (what, rate, where) in zip(M, tiles, strict=True):
            found = {(rule, value, layers): rate_of(rule, layers, 0, value, m) for rule in "kq" for value in RATES[rule]
                     for layers in ("all", "last")}
            best = max(rate for rate in found.values() if rate is not None)
            assert (what, rate) == (f"Best at m = {m}", shown(best))
            assert where in [f"{rule} = {value_text(rule, value)}, {layers} layer{'s' * (layers == 'all')}"
                             for (rule, value, layers), rate in found.items() if rate == best]
        p.locator(".tile").nth(1).click()
        assert p.hash["m"] == "3" and f"{p.hash['rule']} = " in tiles[1][2]


def test_hover_tells_exactly(page, path):
    with page(path, hash="layers=all&lines=5") as p:
        ready(p)
        mark = p.locator("#chart .points path").nth(1).bounding_box()
        p.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
        p.wait_for_selector("#chart .hoverlayer .hovertext")
        text = p.locator("#chart .hoverlayer").text_content()
        assert "k = 5, m = 3" in text and f"hit rate {rate_of('k', 'all', 0, 5, 3):g}, all layers" in text


# ---------------------------------------------------------------- the controls

def test_every_control(page, path):
    with page(path) as p:
        ready(p)
        assert (pressed(p, "rule"), pressed(p, "against"), pressed(p, "layers")) == (["k"], ["m"], ["both"])
        for group, value in (("rule", "q"), ("against", "value"), ("layers", "all"), ("layers", "last"),
                             ("layers", "both"), ("against", "m"), ("rule", "k")):
            p.locator(f"#{group} [data-value={value}]").click()
            assert pressed(p, group) == [value] and p.hash[group] == value
            state = p.hash
            rule, against = state["rule"] if "rule" in state else "k", state.get("against", "m")
            layers = {"both": ["all", "last"]}.get(state.get("layers", "both"), [state.get("layers")])
            assert chart(p) == expected_chart(rule, against, layers, 0, RATES[rule] if against == "m" else M)
        p.locator("#table-of [data-value=classes]").click()
        assert len(p.table("#table")) == len(LABELS)
        p.locator("#table-of [data-value=selection]").click()
        assert len(p.table("#table")) == len(RATES["k"]) * len(M)


def test_lines_come_and_go(page, path):
    with page(path, hash="layers=all") as p:
        ready(p)
        color = "() => document.getElementById('chart').data.find((t) => t.name === 'k = 5').line.color"
        before = p.evaluate(color)
        assert pressed(p, "lines") == ["0", "1", "2", "5", "10", "20"] and not p.locator("#reset-lines").count()
        p.locator("#lines [data-value='1']").click()
        p.locator("#lines [data-value='20']").click()
        assert p.hash["lines"] == "0,2,5,10" and p.evaluate(color) == before
        assert chart(p) == expected_chart("k", "m", ["all"], 0, [0, 2, 5, 10])
        p.locator("#lines [data-value='20']").click()
        assert chart(p) == expected_chart("k", "m", ["all"], 0, [0, 2, 5, 10, 20])
        p.locator("#reset-lines").click()
        assert "lines" not in p.hash and len(chart(p)) == 6


def test_lines_of_many(page, many):
    with page(many) as p:
        ready(p)
        assert pressed(p, "lines") == ["0", "1", "2", "5", "10", "20", "50", "100"]
        p.select_option("#add-line", label="37")
        assert "37" in pressed(p, "lines") and p.hash["lines"] == "0,1,2,5,10,20,37,50,100"
        p.locator("#lines [data-value='100']").click()
        assert pressed(p, "lines") == ["0", "1", "2", "5", "10", "20", "37", "50"]
        open_at(p, "lines=" + ",".join(map(str, range(40))))
        assert len(pressed(p, "lines")) == 16 and not p.locator("#add-line").count(), "no more than can be told apart"


def test_class_is_searched(page, path):
    with page(path) as p:
        ready(p)
        p.locator("#class").click()
        assert p.locator("#classes li").count() == len(LABELS) + 1
        p.keyboard.type("DO")
        assert p.locator("#classes li").first.inner_text().startswith("dog")
        p.keyboard.press("Enter")
        assert p.hash["class"] == "2" and p.locator("#class").input_value() == "dog"
        assert p.locator("#classes").is_hidden()
        p.locator("#class").click()
        for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
            p.keyboard.press(key)
        assert p.hash["class"] == "1"
        p.locator("#class").click()
        p.keyboard.type("no such class")
        assert p.locator("#classes").inner_text() == "No class of that name"
        p.keyboard.press("Enter")
        p.keyboard.press("Escape")
        assert p.hash["class"] == "1" and p.locator("#class").input_value() == "cat"
        p.locator("#class").click()
        p.locator("#classes li").first.click()
        assert "class" not in p.hash and p.locator("#class").input_value() == "All classes"
        p.go_back()
        p.settle()
        assert p.hash["class"] == "1" and p.locator("#chart-title").inner_text().startswith("cat: ")


def test_class_is_searched_among_many(page, many):
    with page(many) as p:
        ready(p)
        p.locator("#class").click()
        assert p.locator("#classes li.rest").inner_text() == "901 more: type to find them"
        p.keyboard.type("000777")
        p.keyboard.press("Enter")
        assert p.hash["class"] == "777"
        assert len(p.locator(".mini").all()) == 24
        p.locator("#more").click()
        assert len(p.locator(".mini").all()) == 120 and p.locator("#more").inner_text() == "Show more (880 left)"


def test_keyboard(page, path):
    with page(path) as p:
        ready(p)
        for key, name, value in (("n", "class", "1"), ("n", "class", "2"), ("p", "class", "1"), ("t", "class", None),
                                 ("p", "class", str(len(LABELS))), ("n", "class", None), ("r", "rule", "q"),
                                 ("r", "rule", "k"), ("x", "against", "value"), ("x", "against", "m"),
                                 ("l", "layers", "all"), ("l", "layers", "last"), ("l", "layers", "both")):
            p.keyboard.press(key)
            assert p.hash.get(name) == value, key
        p.locator("#next").click()
        p.locator("#next").click()
        p.locator("#previous").click()
        assert p.hash["class"] == "1"
        p.keyboard.press("/")
        assert p.evaluate("() => document.activeElement.id") == "class"


def test_link(page, path):
    link = "class=1&rule=q&against=value&layers=last&lines=1,10&at=2.5&m=3&sort=high&table=classes"
    with page(path, hash=link) as p:
        ready(p)
        assert chart(p) == expected_chart("q", "value", ["last"], 1, [1, 10])
        assert p.locator("#table caption").inner_text() == "Hit rates of every class at q = 2.5 %, m = 3"
        assert p.locator("#sort").input_value() == "high"


@pytest.mark.parametrize("link", ["class=99999", "class=-1", "class=x", "rule=z&against=z&layers=z", "lines=x,7,,",
                                  "at=x&m=77", "sort=<b>&table=z", "class=__proto__"])
def test_broken_links(page, path, link):
    with page(path, hash=link) as p:
        ready(p)
        assert chart(p) == expected_chart("k", "m", ["all", "last"], 0, RATES["k"])


# ---------------------------------------------------------------- downloads

def download(p, button, tmp_path):
    with p.expect_download() as waiting:
        p.locator(button).click()
    waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
    return tmp_path / waiting.value.suggested_filename


def test_csv(page, path, tmp_path):
    with page(path, hash="table=classes&at=10&m=3") as p:
        ready(p)
        found = download(p, "#csv", tmp_path)
        assert found.name.endswith("-HP-net-k-classes.csv")
        rows = list(csv.reader(io.StringIO(found.read_text(), newline="")))
        assert rows[0] == ["class", "k", "m", "hit_rate_all", "hit_rate_last"]
        assert rows[1:] == [[label, "10", "3", *("" if rate is None else f"{rate:g}" for rate in (
            rate_of("k", "all", row, 10, 3), rate_of("k", "last", row, 10, 3)))] for row, label in enumerate(LABELS, 1)]
        p.locator("#table-of [data-value=selection]").click()
        rows = list(csv.reader(io.StringIO(download(p, "#csv", tmp_path).read_text())))
        assert rows[0] == ["k", "m", "hit_rate_all", "hit_rate_last"] and len(rows) == 1 + len(RATES["k"]) * len(M)


@pytest.mark.parametrize("kind, start", [("png", b"\x89PNG"), ("svg", b"<svg")])
def test_pictures_of_the_chart(page, path, tmp_path, kind, start):
    with page(path, hash="class=3") as p:  # a label full of markup
        ready(p)
        found = download(p, f"#{kind}", tmp_path)
        data = found.read_bytes()
        assert found.suffix == f".{kind}" and data.startswith(start) and len(data) > 10_000


# ---------------------------------------------------------------- texts, sizes, speed

@pytest.mark.parametrize("row", range(3, 3 + len(NASTY)))
def test_nasty_labels(page, path, row):
    label = LABELS[row - 1]
    with page(path, hash=f"class={row}&table=classes") as p:
        ready(p)
        assert line_of(p.locator("#chart-title").inner_text()).startswith(line_of(label))
        assert p.evaluate("() => document.querySelectorAll('main img, main b:not(.plot b), main script').length") == 0
        p.assert_fits()


@pytest.mark.parametrize("width, height", pages.SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screenshots(page, path, many, width, height, theme):
    for name, file, hash in (("hitrates", path, ""), ("hitrates-many", many, "against=value&class=7"),
                             ("hitrates-table", path, "table=classes&layers=last&class=4")):
        with page(file, width, height, theme=theme, hash=hash) as p:
            ready(p)
            p.assert_fits()
            p.screenshot_as(name)
            p.screenshot_as(f"{name}-whole", full=True)


def test_chart_follows_the_window_and_theme(page, path):
    with page(path) as p:
        ready(p)
        titles = p.locator("#chart .xtitle, #chart .x2title")
        assert [title.bounding_box()["y"] < 720 - 16 for title in titles.all()] == [True, True], "a chart is seen whole"
        p.set_viewport_size({"width": 1200, "height": 1000})
        p.wait_for_function("() => document.getElementById('chart').layout.height === 400")
        p.set_viewport_size({"width": 500, "height": 800})
        p.wait_for_function("() => document.getElementById('chart').layout.height === 640")
        p.wait_for_function("() => document.querySelector('#chart .main-svg').clientWidth <= 500")  # drawn anew, later
        p.assert_fits()
        light = p.evaluate("() => document.getElementById('chart').data[0].line.color")
        p.keyboard.press("d")
        p.settle()
        dark = p.evaluate("() => document.getElementById('chart').data[0].line.color")
        assert dark != light
        assert p.locator("#lines svg line").first.get_attribute("stroke") == dark


def test_large_page(page, many):
    assert many.stat().st_size < 4e6
    with page(many) as p:
        p.wait_for_selector("body[data-ready]")
        assert len(p.table("#table")) == 200


@pytest.mark.parametrize("names", [["totalhit_k"], ["totalhit_q", "totalhit_q_ll"], ["totalhit_k_ll", "hit_k_ll"],
                                   ["totalhit_k", "totalhit_k_ll", "hit_k_ll"]])
def test_less_than_everything(page, tmp_path, names):
    """Published files have totals alone: no classes, no last layer."""
    variables = {name: value for name, value in variables_of(RATES).items() if name in names}
    with page(make(tmp_path, variables)) as p:
        ready(p)
        has_classes = any(name.startswith("hit_") for name in names)
        rule = "k" if "_k" in names[0] else "q"
        layers = [name for ending, name in (("", "all"), ("_ll", "last")) if f"totalhit_{rule}{ending}" in names]
        assert p.locator("#picker").is_visible() == p.locator("#overview").is_visible() == has_classes
        assert chart(p) == expected_chart(rule, "m", layers, 0, RATES[rule])
        for key in "nptrxxlll/":
            p.keyboard.press(key)
        p.keyboard.press("Escape")
        p.locator("#table-of button").last.click()
