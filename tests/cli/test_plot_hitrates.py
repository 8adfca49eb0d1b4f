"""plot-hitrates: what gets into the page, the SVG and the PNG is what the pickle of step 4 holds."""
import base64
import html
import json
import math
import os
import re
import resource
import struct
import xml.etree.ElementTree as ET
import zlib

import pytest

import steps

SVG = "{http://www.w3.org/2000/svg}"
CUBES = [("k", "all", ""), ("k", "last", "_ll"), ("q", "all", ""), ("q", "last", "_ll")]
LETTERS = {2: "H", 4: "I"}  # of struct, for numbers of that many bytes
NASTY = ["<script>alert(1)</script>", "a & b \"c\" 'd'", "two\nlines", "Größe 日本", "</script><!--", "__proto__",
         "n" * 200, os.fsdecode(b"caf\xe9")]


def made(ks, ms, labels=("a", "b"), rate=lambda label, value, m: (value + m) % 7 / 7):
    """Variables of step 4; the totals are a label's like any other."""
    def table(label):
        return {value: {m: rate(label, value, m) for m in ms} for value in ks}
    names = [f"totalhit_{rule}{ending}" for ending in ("", "_ll") for rule in "kq"]
    variables = {name: table(name) for name in names}
    variables.update({name[5:]: {label: table(label) for label in labels} for name in names})
    return variables


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    images = steps.make_pictures(folder / "images", {"a": 6, "b": 5, "c": 1})
    out = folder / "out"
    out.mkdir()
    steps.pipeline(images, out, "--k-q", "0,1,2.5,5,20", "--m", "1,2,3", "--split", 0.5)
    return out


@pytest.fixture(scope="module")
def plots(chain):
    steps.run("plot-hitrates", steps.main_file(chain, "HR"), "--save-dir", chain)
    return chain


def plot(path, save_dir, *words):
    result = steps.run("plot-hitrates", path, "--save-dir", save_dir, *words)
    return result, steps.only(save_dir, "*-HP-*.svg"), steps.only(save_dir, "*-HP-*.html")


# ---------------------------------------------------------------- reading what was written

def marks_of(svg):
    """{(row, panel, line's title): {x: rate}} of a figure."""
    found = {}
    for group in ET.parse(svg).getroot().iter(f"{SVG}g"):
        match = re.fullmatch(r"(.*)-(\d)-line\d+", group.get("id"))
        if match:
            title = group.find(f"{SVG}title").text
            found[(match[1], int(match[2]), title)] = {
                float(mark.get("data-x")): float(mark.get("data-y")) for mark in group if mark.get("data-x")}
    return found


def block(page, name):
    text = re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    return text


def rates_of(page):
    """(about, {(rule, layers, row): {value: {m: rate}}}) of a page, read as its script does."""
    about = json.loads(block(page, "about"))
    numbers = zlib.decompress(base64.b64decode(block(page, "numbers")))
    numbers = list(struct.unpack(f"<{len(numbers) // 8}d", numbers))
    values = {"k": numbers[:about["n_k"]], "q": numbers[about["n_k"]:][:about["n_q"]]}
    m = numbers[about["n_k"] + about["n_q"]:][:about["n_m"]]
    distinct = numbers[about["n_k"] + about["n_q"] + about["n_m"]:]
    assert math.isnan(distinct[0]) and distinct[1:] == sorted(set(distinct[1:]))
    places = zlib.decompress(base64.b64decode(block(page, "rates")))
    places = iter(struct.unpack(f"<{len(places) // about['place_bytes']}{LETTERS[about['place_bytes']]}", places))
    found = {}
    for table in about["tables"]:
        for row in range(table["rows"]):
            found[(table["rule"], table["layers"], row)] = {
                value: {i: distinct[place] if (place := next(places)) else None for i in m}
                for value in values[table["rule"]]}
    assert list(places) == []
    return about, found


def by_number(rates):
    return {float(value): {float(m): rate for m, rate in by_m.items()} for value, by_m in rates.items()}


def check_page(page, variables):
    about, found = rates_of(page)
    expected = {}
    for rule, layers, ending in CUBES:
        if not variables.get(f"totalhit_{rule}{ending}"):
            continue
        expected[(rule, layers, 0)] = by_number(variables[f"totalhit_{rule}{ending}"])
        for row, rates in enumerate(variables.get(f"hit_{rule}{ending}", {}).values(), 1):
            expected[(rule, layers, row)] = by_number(rates)
    assert found == expected
    return about


def check_figure(svg, variables, shown=None):
    """Every rate of the lines that are shown, in both directions; none that isn't there."""
    panels = [ending for ending in ("", "_ll") if f"totalhit_k{ending}" in variables or f"totalhit_q{ending}" in variables]
    expected = {}
    for panel, ending in enumerate(panels, 1):
        for rule in "kq":
            rates = variables.get(f"totalhit_{rule}{ending}", {})
            for value, by_m in rates.items():
                if not shown or value in shown:
                    expected[(f"{rule}-against-m", panel, f"{rule} = {value:g}")] = {
                        m: rate for m, rate in by_m.items() if rate is not None}
                for m, rate in by_m.items():
                    line = expected.setdefault((f"m-against-{rule}", panel, f"m = {m}"), {})
                    if rate is not None:
                        line[value] = rate
    assert marks_of(svg) == expected


def png_size(path):
    """Width, height and how many bytes of the filtered rows aren't zero (of a blank picture: next to none)."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-12:] == b"\0\0\0\0IEND\xaeB`\x82"
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    packed, at = b"", 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    raw = zlib.decompress(packed)
    assert (depth, color) == (8, 2) and len(raw) == height * (1 + 3 * width)
    return width, height, len(raw) - raw.count(0)


# ---------------------------------------------------------------- the files

def test_files_and_chain(plots):
    names = [path.name.split("-HP-")[1] for path in steps.found(plots, "*-HP-*")]
    assert sorted(names) == ["info.log", "mixed-run.json", "mixed.html", "mixed.png", "mixed.svg", "warnings.log"]
    record = steps.run_json(plots, "HP")
    assert record["command"] == "plot-hitrates" and record["previous"] == str(steps.main_file(plots, "HR"))
    assert record["counts"] == {"n_classes": 3, "n_k": 4, "n_q": 5, "n_m": 3}
    assert record["network"] == steps.run_json(plots, "HR")["network"]
    assert record["options"]["hitrates-file"]["value"] == str(steps.main_file(plots, "HR"))
    assert [name.rsplit(".")[-1] for name in record["files"]] == ["html", "svg", "png", "json"]
    assert steps.warnings(plots, "HP") == []


def test_report(chain, tmp_path):
    result, svg, page = plot(steps.main_file(chain, "HR"), tmp_path)
    assert result.stdout == (
        "plots of the hit rates of mixed: 3 classes, 4 values of k and 5 of q, 3 of m\n\nfiles:\n"
        f"  {page}\n  {svg}\n  {str(svg)[:-4]}.png\n")
    assert result.stderr == ""


@pytest.mark.parametrize("alias", ["hitrates-plots", "hitrates_plots"])
def test_names_of_the_script(chain, plots, tmp_path, alias):
    steps.run(alias, "--hitrates_file", steps.main_file(chain, "HR"), "--save_dir", tmp_path)
    svg = steps.only(tmp_path, "*-HP-*.svg")
    assert svg.read_bytes() == steps.only(plots, "*-HP-*.svg").read_bytes(), "the same bytes"
    assert steps.only(tmp_path, "*.png").read_bytes() == steps.only(plots, "*.png").read_bytes()


def test_second_run_replaces_nothing(chain, tmp_path):
    plot(steps.main_file(chain, "HR"), tmp_path)
    before = steps.snapshot(tmp_path)
    steps.run("plot-hitrates", steps.main_file(chain, "HR"), "--save-dir", tmp_path)
    after = steps.snapshot(tmp_path)
    assert len(after) == 2 * len(before) and {path: after[path] for path in before} == before


# ---------------------------------------------------------------- the numbers

def test_numbers_are_the_pickles(plots):
    variables = steps.load(steps.main_file(plots, "HR"))
    about = check_page(steps.only(plots, "*-HP-*.html"), variables)
    assert about["labels"] == ["a", "b", "c"] and about["network"] == "mixed"
    assert about["file"] == steps.main_file(plots, "HR").name
    check_figure(steps.only(plots, "*-HP-*.svg"), variables)


def test_made_numbers(tmp_path):
    """More digits than one prints, values without an amount, None, gaps, an order that isn't ascending."""
    def rate(label, value, m):
        return None if (value, m) in ((2, 3), (5, 1)) else 1 / (3 + abs(value) + m) if len(label) > 1 else 0.1
    variables = made([20, 0, -1, 2, 5, 0.1, 101], [10, 1, 3], rate=rate)
    variables["totalhit_k"][2].pop(10)
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    _, svg, page = plot(path, tmp_path)
    for rates in (variables["totalhit_k"],):
        rates[2][10] = None
    check_page(page, variables)
    check_figure(svg, variables)
    texts = [element.text for element in ET.parse(svg).iter(f"{SVG}text")]
    assert texts.count("> mean") == 4 and "0 (> mean)" in texts
    assert "k, most active filters of a layer, log scale" in texts


def test_many_values(tmp_path):
    variables = made(range(101), [1, 3, 5, 10], rate=lambda label, value, m: (value * 37 + m) % 101 / 101)
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    _, svg, page = plot(path, tmp_path)
    check_page(page, variables)
    check_figure(svg, variables, shown=[0, 1, 2, 5, 10, 20, 50, 100])
    texts = [element.text for element in ET.parse(svg).iter(f"{SVG}text")]
    assert "k (8 of 101 values) =" in texts and "q (8 of 101 values) =" in texts


def test_more_than_65535_rates(tmp_path):
    """Places in the list of rates take four bytes then."""
    variables = made(range(1000), range(1, 81), labels=(), rate=lambda label, value, m: (value * 80 + m) / 80_081)
    variables = {"totalhit_k": variables["totalhit_k"], "hit_k": {}}
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    _, _, page = plot(path, tmp_path)
    assert check_page(page, variables)["place_bytes"] == 4


def test_pictures(plots, tmp_path):
    svg = ET.parse(steps.only(plots, "*-HP-*.svg")).getroot()
    width, height, n_drawn = png_size(steps.only(plots, "*-HP-*.png"))
    assert (width, height) == (2 * int(svg.get("width")), 2 * int(svg.get("height")))
    assert n_drawn > 100_000
    assert svg.get("viewBox") == f"0 0 {width // 2} {height // 2}"
    ids = [group.get("id") for group in svg.iter(f"{SVG}g")]
    assert len(ids) == len(set(ids))
    titles = [mark.find(f"{SVG}title").text for mark in svg.iter() if mark.get("data-x")]
    assert titles and all(re.fullmatch(r"[kqm] = [\d.]+, [kqm] = [\d.]+: hit rate [01]\.\d{4}", text) for text in titles)
    assert not [element for element in svg.iter() if element.tag not in
                {SVG + name for name in ("svg", "title", "g", "path", "circle", "text")}]
    # marks and texts stay on the sheet
    for element in svg.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x")) <= width / 2 and 0 <= float(element.get("y")) <= height / 2


def test_page_asks_for_nothing(plots):
    text = steps.only(plots, "*-HP-*.html").read_text()
    assert "default-src 'none'" in text and not re.search(r"<(?:script|link|img)[^>]* (?:src|href)=\"(?!data:)", text)


# ---------------------------------------------------------------- less than everything

def test_published_file(tmp_path):
    """Totals over all layers, no ending, no run.json."""
    variables = {name: made([0, 1, 5], [1, 5])[name] for name in ("totalhit_k", "totalhit_q")}
    path = steps.save(tmp_path / "x.pkl", variables).rename(tmp_path / "2021-01-01-0000-PH-VGG16-vars")
    (tmp_path / "x-names.pkl").rename(tmp_path / "2021-01-01-0000-PH-VGG16-vars-names")
    result, svg, page = plot(path, tmp_path)
    about = check_page(page, variables)
    assert (about["network"], about["labels"]) == ("VGG16", [])
    assert [(table["rule"], table["layers"], table["rows"]) for table in about["tables"]] == [("k", "all", 1), ("q", "all", 1)]
    check_figure(svg, variables)
    warning = (f"{path} has no hit_k, totalhit_k_ll, hit_q, totalhit_q_ll: left out of the plots")
    assert warning in result.stderr and steps.warnings(tmp_path, "HP")[0].endswith(warning)
    assert "classes" not in "".join(ET.parse(svg).getroot().itertext())


@pytest.mark.parametrize("names", [["totalhit_q"], ["totalhit_k_ll"], ["totalhit_k", "totalhit_q_ll"],
                                   ["totalhit_k", "hit_k", "totalhit_k_ll"]])
def test_some_variables(tmp_path, names):
    variables = {name: made([0, 1, 5], [1, 5])[name] for name in names}
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    result, svg, page = plot(path, tmp_path)
    check_page(page, variables)
    check_figure(svg, variables)
    assert "left out of the plots" in result.stderr


def test_a_rule_without_values(tmp_path):
    variables = made([1, 5], [1, 3])
    variables.update({name: {} for name in variables if "_q" in name})
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    _, svg, page = plot(path, tmp_path)
    check_page(page, variables)
    assert {row for row, _, _ in marks_of(svg)} == {"k-against-m", "m-against-k"}


def test_one_value(tmp_path):
    variables = made([5], [1])
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    _, svg, page = plot(path, tmp_path)
    check_page(page, variables)
    check_figure(svg, variables)


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_no_pictures(tmp_path, nothing):
    variables = made([0, 5], [1, 3], rate=lambda *_: nothing)
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    result, svg, page = plot(path, tmp_path)
    assert "has no rate but None: there is nothing to see in the plots" in result.stderr
    assert all(marks == {} for marks in marks_of(svg).values())
    check_page(page, made([0, 5], [1, 3], rate=lambda *_: None))


# ---------------------------------------------------------------- texts from outside

def test_nasty_labels(tmp_path):
    """They are in the page alone, as JSON; what isn't UTF-8 as U+FFFD."""
    variables = made([0, 1, 5], [1, 5], labels=NASTY)
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    _, svg, page = plot(path, tmp_path)
    about = check_page(page, variables)
    assert about["labels"] == [*NASTY[:-1], "caf\ufffd"]
    check_figure(svg, variables)
    text = page.read_text()
    assert "<script>alert" not in text and text.count("<!--") == shell_count("<!--")


def shell_count(text):
    """How often a text is in what every page of the kind has."""
    web = steps.TESTS.parent / "web"
    plotly = web / "node_modules" / "plotly.js-cartesian-dist-min" / "plotly-cartesian.min.js"
    files = [web / f"{name}.{kind}" for name, kind in (("base", "css"), ("base", "js"), ("hitrates", "html"),
                                                         ("hitrates", "css"), ("hitrates", "js"))]
    return sum(path.read_text().count(text) for path in [*files, plotly])


@pytest.mark.parametrize("network", [b"<b>&amp;\"x\"", b"caf\xe9 \x01\x7f", "日本".encode(), b"n" * 200])
def test_nasty_network(tmp_path, network):
    path = os.fsencode(tmp_path) + b"/2026-01-01-0000-HR-" + network + b"-vars.pkl"
    plain = steps.save(tmp_path / "x.pkl", made([0, 1], [1, 2]))
    os.rename(plain, path)
    os.rename(steps.names_path(plain), path[:-4] + b"-names.pkl")
    steps.run("plot-hitrates", path, "--save-dir", tmp_path)
    shown = re.sub("[\x00-\x1f\x7f]", "\ufffd", network.decode("utf-8", "replace"))
    svg = ET.parse(steps.only(tmp_path, "*-HP-*.svg")).getroot()
    assert svg.find(f"{SVG}title").text == f"Hit rates of {shown}"
    longest = max((text.text for text in svg.iter(f"{SVG}text") if text.text.startswith("Hit rates of")), key=len)
    assert longest == f"Hit rates of {shown}" or longest.endswith("n\u2026")
    page = steps.only(tmp_path, "*-HP-*.html")
    title = re.search("<title>(.*?)</title>", page.read_text(), re.DOTALL)[1]
    assert html.unescape(title) == f"Hit rates of {network.decode('utf-8', 'replace')}"
    assert json.loads(block(page, "about"))["network"] == network.decode("utf-8", "replace")


# ---------------------------------------------------------------- errors

def one(rates):
    return {"totalhit_k": rates}


MALFORMED = [
    ({"totalhit_k": []}, "variable 'totalhit_k': a dict expected, found a list"),
    (one({"5": {1: 0.5}}), "totalhit_k: a number k or q as key expected, found a str"),
    (one({None: {1: 0.5}}), "totalhit_k: a number k or q as key expected, found a None"),
    (one({math.nan: {1: 0.5}}), "totalhit_k: a finite k or q as key expected, found nan"),
    (one({math.inf: {1: 0.5}}), "totalhit_k: a finite k or q as key expected, found inf"),
    (one({5: 0.5}), "totalhit_k: {k or q: {m: rate}} expected, found a float"),
    (one({5: [0.5]}), "totalhit_k: {k or q: {m: rate}} expected, found a list"),
    (one({5: {"1": 0.5}}), "totalhit_k: a number m as key expected, found a str"),
    (one({5: {0: 0.5}}), "totalhit_k: a whole m of at least 1 as key expected, found 0"),
    (one({5: {1.5: 0.5}}), "totalhit_k: a whole m of at least 1 as key expected, found 1.5"),
    (one({5: {1: "0.5"}}), "totalhit_k: a rate or None expected, found a str"),
    (one({5: {1: True}}), "totalhit_k: a rate or None expected, found a bool"),
    (one({5: {1: 1.01}}), "totalhit_k: a rate between 0 and 1 expected, found 1.01"),
    (one({5: {1: -0.5}}), "totalhit_k: a rate between 0 and 1 expected, found -0.5"),
    (one({5: {1: math.inf}}), "totalhit_k: a rate between 0 and 1 expected, found inf"),
    ({**one({5: {1: 0.5}}), "hit_k": []}, "variable 'hit_k': a dict expected, found a list"),
    ({**one({5: {1: 0.5}}), "hit_k": {7: {5: {1: 0.5}}}}, "hit_k: a class label (str) as key expected, found a int"),
    ({**one({5: {1: 0.5}}), "hit_k": {"a": 0.5}}, "hit_k: {label: {k or q: {m: rate}}} expected, found a float"),
    ({**one({5: {1: 0.5}}), "hit_k": {"a": {5: {1: 2}}}}, "hit_k: a rate between 0 and 1 expected, found 2"),
    (one({}), "rates for at least one k or q expected, found none"),
    (one({5: {}}), "rates for at least one k or q expected, found none"),
    (one({i: {1: 0.5} for i in range(10001)}), "totalhit_k: at most 10000 different values expected, found more"),
    (one({**{i: {1: 0.5} for i in range(10000)}, 0: {i: 0.5 for i in range(1, 10001)}}),
     "at most 67108864 rates of k or q expected, found 10000 values, 10000 of m, 0 classes"),
]


@pytest.mark.parametrize("variables, message", MALFORMED, ids=[message[:60] for _, message in MALFORMED])
def test_malformed(tmp_path, variables, message):
    path = steps.save(tmp_path / "2026-01-01-0000-HR-net-vars.pkl", variables)
    assert f"{path}: {message}" in steps.fail("plot-hitrates", path, "--save-dir", tmp_path)
    steps.assert_nothing_final(tmp_path, "HP")


@pytest.mark.parametrize("kind", ["QFA", "TF", "E"])
def test_other_steps_files(chain, tmp_path, kind):
    message = steps.fail("plot-hitrates", steps.main_file(chain, kind), "--save-dir", tmp_path)
    assert "the -vars.pkl of step 4 expected (totalhit_k, totalhit_q), found other variables" in message
    assert os.listdir(tmp_path) == []


def test_files_that_cannot_be_read(chain, tmp_path):
    assert "No such file" in steps.fail("plot-hitrates", tmp_path / "none-vars.pkl", "--save-dir", tmp_path)
    path = tmp_path / "x-HR-n-vars.pkl"
    path.write_bytes(steps.main_file(chain, "HR").read_bytes())
    assert "x-HR-n-vars-names.pkl" in steps.fail("plot-hitrates", path, "--save-dir", tmp_path)
    steps.names_path(path).write_bytes(steps.names_path(steps.main_file(chain, "HR")).read_bytes())
    path.write_bytes(path.read_bytes()[:-40])
    assert f"{path}: " in steps.fail("plot-hitrates", path, "--save-dir", tmp_path)
    path.write_bytes(b"not a pickle")
    assert f"{path}: " in steps.fail("plot-hitrates", path, "--save-dir", tmp_path)
    steps.assert_nothing_final(tmp_path, "HP")


def test_damaged_run_json(chain, tmp_path):
    copy = steps.copy_chain(chain, tmp_path / "copy")
    steps.only(copy, "*-HR-*-run.json").write_text("{")
    assert "run.json" in steps.fail("plot-hitrates", steps.main_file(copy, "HR"), "--save-dir", tmp_path)


def test_folders_that_cannot_be_written(chain, tmp_path):
    path = steps.main_file(chain, "HR")
    assert "No such file or directory" in steps.fail("plot-hitrates", path, "--save-dir", tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in steps.fail("plot-hitrates", path, "--save-dir", tmp_path / "file")
    steps.fail("plot-hitrates", path, "--save-dir", "/proc")


@pytest.mark.parametrize("limit_bytes, ending", [(1_000_000, "html"), (1_000, "html")])
def test_full_disk(chain, tmp_path, limit_bytes, ending):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    message = steps.fail("plot-hitrates", steps.main_file(chain, "HR"), "--save-dir", tmp_path, preexec_fn=limit)
    assert f".{ending}" in message and "File too large" in message
    steps.assert_nothing_final(tmp_path, "HP")


def test_usage():
    assert "hitrates-file" in steps.run("plot-hitrates", status=2).stderr
    assert steps.run("plot-hitrates", "a", "b", status=2).stderr.startswith("filtags plot-hitrates: ")
    assert steps.run("plot-hitrates", "a", "--k-q", "1", status=2).stdout == ""
