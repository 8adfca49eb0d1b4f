"""The page of visualize: what is on screen is what the files say, whatever the labels, and every view works by mouse,
keyboard and address."""
import os
import re

import numpy as np
import pytest

import made_data
import pages
from pages import NASTY, SIZES, steps

LABELS = [*NASTY, "plain"]
K_Q = "0,1,3,12.5,40"
LAYER = "top_conv2"


def visualize(path, folder, *words, **options):
    steps.run("visualize", path, "--save-dir", folder, *words, **options)
    return steps.only(folder, "*-VIS-*.html")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """All labels that could break a page, through all steps, with pictures."""
    folder = tmp_path_factory.mktemp("nasty")
    images = steps.make_pictures(folder / "images", {label: 4 for label in LABELS})
    (folder / "out").mkdir()
    steps.activations(images, folder / "out", "--split", 0.25, "--top-images", 3)
    steps.run("tag", steps.main_file(folder / "out", "QFA"), "--k-q", K_Q, "--save-dir", folder / "out")
    visualize(steps.main_file(folder / "out", "TF"), folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def files(chain):
    """What the page shows, as the pickles have it."""
    activations, tags = steps.load(steps.main_file(chain, "QFA")), steps.load(steps.main_file(chain, "TF"))
    names = [layer["name"] for layer in steps.run_json(chain, "QFA")["network"]["layers"]]
    shown = names[-8:]
    return {"names": names, "shown": shown, "first": len(names) - len(shown), "activations": activations, "tags": tags}


@pytest.fixture
def opened(page, chain):
    def opened(*size, **options):
        return page(steps.only(chain, "*-VIS-*.html"), *size, **options)
    return opened


def wait(p):
    p.wait_for_selector("html[data-ready=all]", state="attached")
    p.settle()


def press(p, key):
    p.keyboard.press(key)
    p.settle()


def address(p):
    """What the page keeps in its address, which follows at its own pace."""
    p.let_timers_fire(80)
    return p.hash


def texts(p, selector):
    return p.eval_on_selector_all(selector, "(all) => all.map((one) => one.textContent)")


def click_cell(p, layer, filter_index):
    """Click a cell of the map where it is drawn."""
    canvas = p.locator(f".layer[data-name='{layer}'] canvas")
    canvas.scroll_into_view_if_needed()
    data = canvas.evaluate("(one) => ({...one.dataset})")
    pitch, columns, pad = (int(data[name]) for name in ("pitch", "columns", "pad"))
    canvas.click(position={"x": pad + (filter_index % columns + 0.5) * pitch,
                           "y": pad + (filter_index // columns + 0.5) * pitch})
    p.settle()


def tags_of(files, rule, value, layer, filter_index):
    return files["tags"][f"filTags_{rule}"][value][files["names"].index(layer)][filter_index]


# ---------------------------------------------------------------- the same as in the files

ALL_TAGS = """() => tagData.selectors.map((selector) => [selector.rule, selector.value, tagData.layers.map((layer) =>
    Array.from({length: layer.filters}, (_, filter) =>
        Array.from(tagData.classesOf(layer, filter, selector.index), (one) => tagData.classes[one].key)))])"""


def test_all_tags(opened, files):
    with opened() as p:
        wait(p)
        shown = p.evaluate(ALL_TAGS)
        expected = [(rule, value) for rule in "kq" for value in files["tags"][f"filTags_{rule}"]]
        assert [(rule, value) for rule, value, _ in shown] == expected
        n_tags = 0
        for rule, value, layers in shown:
            assert layers == files["tags"][f"filTags_{rule}"][value][files["first"]:]
            n_tags += sum(len(labels) for layer in layers for labels in layer)
        assert n_tags > 1000


ACTIVATIONS = """(step) => tagData.classes.filter((one) => one.index % step === 0).map((one) =>
    tagData.layers.map((layer) => Array.from({length: layer.filters}, (_, filter) =>
        tagData.activation(layer, filter, one.index))))"""


def check_activations(p, variables, first, step=1):
    """Of every step-th class. Returns the stated error and the greatest one found."""
    error = p.evaluate("() => tagData.activations.greatestError")
    greatest = 0
    for place, layers in enumerate(p.evaluate(ACTIVATIONS, step)):
        for layer, values in enumerate(layers):
            difference = np.abs(np.array(values) - variables[f"filter_act_{1 + step * place}"][first + layer])
            greatest = max(greatest, difference.max())
    assert greatest <= error * (1 + 1e-6)
    return error, greatest


def test_all_activations(opened, files):
    with opened() as p:
        wait(p)
        error, greatest = check_activations(p, files["activations"], files["first"])
        assert error < 1e-5 and greatest >= error * (1 - 1e-6), "what is stated is the greatest error"
        stated = re.search(r"none is further than ([\d.e-]+) from", p.locator("#rounding").inner_text()).group(1)
        assert float(stated) == pytest.approx(p.evaluate("() => tagData.activations.greatestError"), rel=0.05)
        assert "16 bits" in p.locator("#rounding").inner_text()


# ---------------------------------------------------------------- the views

@pytest.mark.parametrize("width, height", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_first_sight(opened, files, width, height, theme):
    with opened(width, height, theme=theme) as p:
        wait(p)
        p.assert_fits()
        assert texts(p, ".layer-name") == files["shown"]
        assert files["first"] == 1
        assert "The first tagged layer is left out" in p.locator("#left-out").inner_text()
        p.screenshot_as("visualize")


PLOT = "document.getElementById('summary-plot').data"


def test_summary(opened, files):
    with opened(hash="k=3") as p:
        wait(p)
        rows = {row[0]: row[1:] for row in p.table("#summary-table")}
        for layer in files["shown"]:
            counts = [len(labels) for labels in files["tags"]["filTags_k"][3][files["names"].index(layer)]]
            parts = [sum(low <= n <= high for n in counts) for low, high in ((0, 0), (1, 1), (2, 5), (6, 10 ** 9))]
            assert rows[layer] == [f"{n:,}" for n in (len(counts), *parts, sum(counts), max(counts))]
        bars = p.evaluate(f"() => {PLOT}.map((trace) => trace.customdata.map((one) => one[1]))")
        assert [list(column) for column in zip(*bars)] == [
            [int(n) for n in rows[layer][1:5]] for layer in files["shown"]]
        p.click("[data-unit=filters]")
        p.settle()
        assert p.evaluate(f"() => {PLOT}.map((trace) => [...trace.x])") == bars


@pytest.mark.parametrize("rule, value", [("k", 3), ("q", 12.5), ("k", 0)])
def test_filter(opened, files, rule, value):
    with opened(hash=f"layer={LAYER}&{rule}={value}") as p:
        wait(p)
        layer = files["tags"][f"filTags_{rule}"][value][files["names"].index(LAYER)]
        most = max(range(len(layer)), key=lambda i: len(layer[i]))
        none = min(range(len(layer)), key=lambda i: len(layer[i]))
        assert layer[most]
        for filter_index in (most, none):
            click_cell(p, LAYER, filter_index)
            assert address(p)["layer"] == LAYER and address(p)["filter"] == str(filter_index) and rule in address(p)
            shown = p.eval_on_selector_all("#tags [data-class]", "(all) => all.map((one) => one.dataset.class)")
            assert sorted(shown) == sorted(layer[filter_index])
            check_bars(p, files, filter_index, layer[filter_index])
        p.screenshot_as(f"visualize-filter-{rule}{value}")


def check_bars(p, files, filter_index, tagged):
    """The bars: every class, strongest first, with the exact value on hover, tagged ones told apart."""
    place = files["names"].index(LAYER)
    expected = {label: files["activations"][f"filter_act_{number}"][place][filter_index]
                for number, label in files["activations"]["labels_id"].items()}
    p.wait_for_selector("#activation-plot .bars .point")
    error = p.evaluate("() => tagData.activations.greatestError")
    bars = p.evaluate("() => { const [bar] = document.getElementById('activation-plot').data;"
                      "return bar.customdata.map((one, i) => [one[3], bar.x[i], one[1], one[2]]); }")
    assert {bar[0] for bar in bars} == set(LABELS)
    assert [bar[1] for bar in bars] == sorted((bar[1] for bar in bars), reverse=True)
    for label, value, hover, what in bars:
        assert abs(value - expected[label]) <= error * 1.000001
        assert abs(float(hover) - expected[label]) <= error + 10.0 ** -len(hover.split(".")[1])
        assert what == ("tagged" if label in tagged else "not tagged")


def test_class(opened, files):
    """The filters of every class, strongest first."""
    with opened() as p:
        wait(p)
        p.click("#tab-class")
        for label in LABELS:
            check_class(p, files, label)
            p.click("#class-clear")
            p.settle()
            assert "class" not in address(p)


def check_class(p, files, label):
    p.evaluate("(label) => [...document.querySelectorAll('#class-table [data-class]')]"
               ".find((one) => one.dataset.class === label).click()", label)
    p.settle()
    assert p.locator("#class-name").text_content() == label and address(p)["class"] == label
    number = {text: n for n, text in files["activations"]["labels_id"].items()}[label]
    k = int(address(p)["k"])
    expected = {}
    for layer in files["shown"]:
        place = files["names"].index(layer)
        for i, labels in enumerate(files["tags"]["filTags_k"][k][place]):
            if label in labels:
                expected[layer, str(i)] = (files["activations"][f"filter_act_{number}"][place][i], len(labels) - 1)
    rows = p.table("#class-filters")
    assert {(row[1], row[2]) for row in rows} == set(expected) and len(rows) == len(expected)
    values = [float(row[0]) for row in rows]
    assert values == sorted(values, reverse=True)
    for value, layer, filter_index, others in rows:
        assert float(value) == pytest.approx(expected[layer, filter_index][0], abs=1e-5)
        assert int(others) == expected[layer, filter_index][1]


def test_lit_cells(opened, files):
    """The pixels of the map: the filters of the chosen class have its colour, no others."""
    with opened(hash="class=plain&k=3") as p:
        wait(p)
        lit = p.evaluate("""(name) => {
            const canvas = document.querySelector(`.layer[data-name="${name}"] canvas`);
            const context = canvas.getContext('2d');
            const [pitch, columns, pad] = ['pitch', 'columns', 'pad'].map((key) => Number(canvas.dataset[key]));
            const layer = tagData.layers.find((one) => one.name === name);
            const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({length: layer.filters}, (_, f) => {
              const x = pad + (f % columns) * pitch + pitch / 2, y = pad + Math.floor(f / columns) * pitch + pitch / 2;
              const at = 4 * (Math.floor(y * devicePixelRatio) * canvas.width + Math.floor(x * devicePixelRatio));
              return data.slice(at, at + 4).join();
            }).flatMap((color, f) => (color === '217,72,15,255' ? [f] : []));
        }""", LAYER)
        layer = files["tags"]["filTags_k"][3][files["names"].index(LAYER)]
        assert lit == [i for i, labels in enumerate(layer) if "plain" in labels] and len(lit) == 3
        p.screenshot_as("visualize-class")


def test_colours_by_activation(opened, files):
    with opened(hash="class=plain&k=3") as p:
        wait(p)
        for color in ("mean", "max", "class"):
            p.select_option("#color", color)
            p.select_option("#scale", "all")
            p.settle()
            least, greatest = (float(text) for text in texts(p, "#legend .mono"))
            layers = range(files["first"], len(files["names"]))
            rows = [np.concatenate([files["activations"][f"filter_act_{i}"][layer] for layer in layers])
                    for i in files["activations"]["labels_id"]]
            number = {text: n for n, text in files["activations"]["labels_id"].items()}["plain"]
            values = {"mean": np.mean(rows, axis=0, dtype=float), "max": np.max(rows, axis=0),
                      "class": rows[number - 1]}[color]
            assert least == pytest.approx(values.min(), abs=1e-5) and greatest == pytest.approx(values.max(), abs=1e-5)
            p.screenshot_as(f"visualize-colour-{color}")
        p.click("#class-clear")
        p.settle()
        assert p.locator("#color").input_value() == "tags", "no class, no activation of it"


def test_hover(opened, files):
    with opened(hash="k=3") as p:
        wait(p)
        layer = files["tags"]["filTags_k"][3][files["names"].index(LAYER)]
        filter_index = max(range(len(layer)), key=lambda i: len(layer[i]))
        click_cell(p, LAYER, filter_index)
        tip = p.locator("#tip")
        assert tip.is_visible()
        text = tip.inner_text()
        assert f"{LAYER} · filter {filter_index}" in text and f"{len(layer[filter_index])} tag" in text
        assert len(texts(p, "#tip li")) == min(8, len(layer[filter_index]))
        p.mouse.move(5, 5)
        assert not tip.is_visible()


def test_pictures(opened, chain, files):
    top = steps.load(steps.only(chain, "*-QFA-*-top.pkl"))["top_images"]
    place = files["names"].index(LAYER)
    with opened(hash=f"layer={LAYER}&filter=2") as p:
        wait(p)
        shown = p.eval_on_selector_all("#pictures-grid figure", "(all) => all.map((one) => [one.dataset.file,"
                                       " one.querySelector('figcaption .mono').textContent])")
        assert [name for name, _ in shown] == [name for name, _ in top[place][2]] and len(shown) == 3
        for (_, text), (_, value) in zip(shown, top[place][2]):
            assert float(text) == pytest.approx(value, abs=6e-4)
        widths = "(all) => Promise.all(all.map((one) => one.decode().then(() => one.naturalWidth)))"
        assert p.eval_on_selector_all("#pictures-grid img", widths) == [24] * 3
        heat = "() => getComputedStyle(document.querySelector('.heat')).opacity"
        p.fill("#heat-opacity", "0.4")
        p.rest()
        assert float(p.evaluate(heat)) == pytest.approx(0.4)
        p.click("#heat-toggle")
        p.rest()
        assert float(p.evaluate(heat)) == 0
        p.screenshot_as("visualize-pictures")


# ---------------------------------------------------------------- moving about

def test_slider_and_rule(opened):
    with opened() as p:
        wait(p)
        assert p.locator("#selector-value").inner_text() == "k = 1", "no 5 in the file: the second value"
        slider = p.locator("#selector")
        slider.focus()
        press(p, "ArrowRight")
        p.settle()
        assert p.locator("#selector-value").inner_text() == "k = 3" and address(p)["k"] == "3"
        p.click("#rule-q")
        p.settle()
        assert p.locator("#selector-value").inner_text() == "q = 3 %" and "k" not in address(p)
        press(p, "]")
        p.settle()
        assert address(p)["q"] == "12.5"
        for _ in range(9):
            press(p, "-")
        p.settle()
        assert address(p)["q"] == "0" and "above the layer’s mean" in p.locator("#rule-text").inner_text()
        press(p, "=")
        press(p, "k")
        p.settle()
        assert address(p)["k"] == "1"


@pytest.mark.parametrize("query, expected", [
    ("plain", {"class": "plain"}), (LAYER, {"layer": LAYER}), (f"{LAYER} 2", {"layer": LAYER, "filter": "2"}),
    (f"2@{LAYER}", {"layer": LAYER, "filter": "2"}), (f"{LAYER}:2", {"layer": LAYER, "filter": "2"}),
    ("<script>", {"class": NASTY[0]}), ("日本", {"class": NASTY[5]}), ("k" * 60, {"class": "k" * 200})])
def test_search(opened, query, expected):
    with opened() as p:
        wait(p)
        press(p, "/")
        p.keyboard.type(query)
        press(p, "Enter")
        p.settle()
        assert {name: value for name, value in address(p).items() if name in ("class", "layer", "filter")} == expected


def test_search_by_number_and_by_arrow(opened, files):
    with opened(hash=f"layer={LAYER}") as p:
        wait(p)
        p.fill("#search", "2")
        kinds = texts(p, "#search-results li span:last-child")
        assert any("class 2" in kind for kind in kinds)
        found = p.eval_on_selector_all("#search-results li", "(all) => all.map((one) => one.dataset.class)")
        assert files["activations"]["labels_id"][2] in found
        second = p.locator("#search-results li").nth(1).get_attribute("id")
        p.locator("#search").press("ArrowDown")
        assert p.locator("#search").get_attribute("aria-activedescendant") == second
        p.locator("#search").press("Escape")
        assert not p.locator("#search-results").is_visible()
        p.fill("#search", "nothing of that name")
        assert "Nothing" in p.locator("#search-results").inner_text()


def test_keyboard(opened, files):
    with opened(hash=f"layer={LAYER}&filter=2&class=plain&k=3") as p:
        wait(p)
        press(p, "ArrowRight")
        assert address(p)["filter"] == "3"
        press(p, "ArrowUp")
        before = files["names"][files["names"].index(LAYER) - 1]
        assert (address(p)["layer"], address(p)["filter"]) == (before, "3")
        press(p, "ArrowDown")
        for _ in range(4):
            press(p, "ArrowLeft")
        assert address(p)["layer"] == before, "from a layer's first filter to the last one before it"
        press(p, "n")
        layer = files["tags"]["filTags_k"][3][files["names"].index(LAYER)]
        first = next(i for i, labels in enumerate(layer) if "plain" in labels)
        assert (address(p)["layer"], address(p)["filter"]) == (LAYER, str(first))
        p.settle()
        assert f"{LAYER}, filter {first}" in p.locator("#announce").text_content()
        press(p, "1")
        assert address(p)["view"] == "layers"
        press(p, "Escape")
        assert "filter" not in address(p) and "class" in address(p)
        press(p, "Escape")
        assert "class" not in address(p)
        press(p, "?")
        assert "search" in p.get_by_role("dialog").inner_text()


def test_back_and_links(opened):
    with opened(hash=f"layer={LAYER}&filter=2&k=3") as p:
        wait(p)
        assert p.locator("#filter-name").inner_text() == f"{LAYER} filter 2" and p.locator("#panel-filter").is_visible()
        press(p, "ArrowRight")
        p.settle()
        p.go_back()
        p.settle()
        assert p.locator("#filter-name").inner_text() == f"{LAYER} filter 2"
        for wrong in ("layer=none&filter=2", f"layer={LAYER}&filter=999999", f"layer={LAYER}&filter=-1",
                      f"layer={LAYER}&filter=<b>", "class=none&k=77"):
            p.open(wrong)
            wait(p)
            assert p.locator("#panel-layers").is_visible()


def test_legend_shows_some_alone(opened):
    with opened(hash="k=3") as p:
        wait(p)
        button = p.locator(".bin[data-bin='0']")
        button.click()
        p.settle()
        assert p.locator(".bin[data-bin='0']").get_attribute("aria-pressed") == "true"
        p.locator(".bin[data-bin='0']").click()
        p.settle()
        assert p.locator(".bin[data-bin='0']").get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("width, height, share", [(1280, 720, 1), (390, 844, 0.42)])
def test_link_shows_its_filter(opened, width, height, share):
    """The cell of the filter is on screen, not below the sheet of details."""
    with opened(width, height, hash=f"layer={LAYER}&filter=20") as p:
        wait(p)
        y = p.evaluate("""(name) => {
            const canvas = document.querySelector(`.layer[data-name="${name}"] canvas`);
            const {pitch, columns, pad} = canvas.dataset;
            return canvas.getBoundingClientRect().top + Number(pad) + (Math.floor(20 / columns) + 0.5) * pitch;
        }""", LAYER)
        assert 0 < y < share * height


def test_phone(opened):
    with opened(390, 844) as p:
        wait(p)
        panel = p.locator("#panel")
        assert panel.bounding_box()["height"] < 60
        click_cell(p, LAYER, 2)
        assert panel.bounding_box()["height"] > 200 and p.locator("#filter-name").is_visible()
        p.assert_fits()
        p.screenshot_as("visualize-filter")
        p.click("#tab-class")
        p.settle()
        p.assert_fits()
        p.screenshot_as("visualize-classes")
        p.click("#sheet")
        assert panel.bounding_box()["height"] < 60


@pytest.mark.parametrize("width,height", SIZES)
def test_nothing_is_cut_off(opened, width, height):
    """Short texts stay in one piece: keys of the legend beside their swatch, both arrows in one row, wnids unbroken."""
    with opened(width, height, hash=f"layer={LAYER}&filter=2&class=plain") as p:
        wait(p)
        swatch, key = p.locator("#legend .swatch.lit"), p.locator("#legend .key")
        assert key.bounding_box()["height"] < 2 * swatch.bounding_box()["height"]
        ends = p.evaluate("() => [...document.querySelectorAll('#rule-text, #filter-name, #legend .bin, #legend .key')]"
                          ".map((one) => one.scrollWidth - one.clientWidth)")
        assert len(ends) > 3 and max(ends) <= 0
        left, right = (button.bounding_box() for button in p.locator("#panel-filter .panel-title button").all())
        assert left["y"] == right["y"] and left["x"] + left["width"] < right["x"]


# ---------------------------------------------------------------- other input

def test_without_activations(page, chain, tmp_path):
    copy = steps.copy_chain(chain, tmp_path / "copy")
    path = steps.main_file(copy, "TF")
    for other in [*steps.found(copy, "*-run.json"), *steps.found(copy, "*-VIS-*")]:
        other.unlink(missing_ok=True)
    with page(visualize(path, tmp_path)) as p:
        wait(p)
        assert "made without class activations" in p.locator("#rounding").inner_text()
        assert p.locator("#color option").count() == 1
        p.click("#tab-class")
        p.evaluate("() => document.querySelector('#class-table [data-class]').click()")
        p.settle()
        assert len(p.table("#class-filters")[0]) == 3
        assert texts(p, ".layer-name")[-1] == "layer 8"


def test_classes_of_one_name(page, tmp_path):
    """ImageNet has two cranes: told apart by the wnid, found by either."""
    wnids = ["n02012849", "n03126707", "n02088364"]
    layers = [("conv1", 300), ("conv2", 7)]
    rows = made_data.class_activations(layers, 3)
    path = made_data.write_activations(tmp_path, "small", layers, wnids, rows)
    steps.run("tag", path, "--k-q", "2", "--save-dir", tmp_path)
    with page(visualize(steps.main_file(tmp_path, "TF"), tmp_path)) as p:
        wait(p)
        p.click("#tab-class")
        names = p.table("#class-table")
        assert [row[0] for row in names] == ["crane n02012849", "crane n03126707", "beagle"]
        for query, wnid in (("crane", wnids[0]), ("n03126707", wnids[1]), ("beagle", wnids[2]), ("3", wnids[2])):
            p.fill("#search", query)
            p.locator("#search").press("Enter")
            p.settle()
            assert address(p)["class"] == wnid


def test_published_listing(page, tmp_path):
    listing = tmp_path / "published.txt"
    listing.write_text("filter tags k=1\n" + "".join(f"{i}:{labels}\n" for i, labels in enumerate(
        ["[' chiton ', ' soccer_ball ']", "[]", "[' jack-o\\'-lantern ', ' crane (n02012849) ']"])))
    steps.run("visualize", "--listing", listing, "--save-dir", tmp_path)
    with page(steps.only(tmp_path, "*-VIS-*.html"), hash="layer=layer 0&filter=2") as p:
        wait(p)
        assert sorted(texts(p, "#tags .tag")) == ["crane", "jack-o'-lantern"]
        assert p.locator("#rule-q").is_disabled() and p.locator("#selector").is_disabled()
        p.screenshot_as("visualize-listing")


def test_sets_that_are_not_nested(page, tmp_path):
    """A file may say anything; it is shown as it is."""
    tags = {"filTags_k": {1: [[["a"], [], ["b", "a"], ["a", "a"]]], 2: [[["b"], ["a"], [], ["b"]]],
                          5: [[["a", "b"], ["b"], ["a"], []]]}, "filTags_q": {}}
    path = steps.save(tmp_path / "x-TF-odd-vars.pkl", tags)
    with page(visualize(path, tmp_path)) as p:
        wait(p)
        for _, value, layers in p.evaluate(ALL_TAGS):
            assert [[sorted(labels) for labels in layer] for layer in layers] == [
                [sorted(labels) for labels in layer] for layer in tags["filTags_k"][value]]


# ---------------------------------------------------------------- large networks

@pytest.fixture(scope="module")
def resnet152(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet152")
    _, tags = made_data.make(folder, "ResNet152", made_data.RESNET152_END, made_data.imagenet_wnids(), "1,5,25",
                             steps.FILTAGS)
    return folder, visualize(tags, folder)


def test_large_network(page, resnet152):
    """1,000 classes and the default 8 layers of ResNet152: small enough. How soon it is usable depends on the machine,
    so that is printed (pytest -s) and not tested."""
    folder, path = resnet152
    assert os.path.getsize(path) < 30e6
    with page(path) as p:
        wait(p)
        ready = p.evaluate("() => document.documentElement.dataset.readyMilliseconds")
        print(f"{os.path.getsize(path) / 1e6:.1f} MB, usable after {ready} ms")
        assert "8 bits" in p.locator("#rounding").inner_text()
        assert "2 tagged layers" in p.locator("#left-out").inner_text()
        variables = steps.load(steps.main_file(folder, "QFA"))
        assert check_activations(p, variables, 2, step=100)[0] < 0.002
        press(p, "/")
        p.keyboard.type("beagle")
        press(p, "Enter")
        p.settle()
        assert len(p.table("#class-filters")) == 8 * 5
        p.screenshot_as("visualize-resnet152")


def test_vgg16_has_all_layers(page, tmp_path):
    _, tags = made_data.make(tmp_path, "VGG16", made_data.VGG16, made_data.imagenet_wnids()[:30], "1,5", steps.FILTAGS)
    with page(visualize(tags, tmp_path), hash="layer=block5_conv3&filter=17") as p:
        wait(p)
        assert texts(p, ".layer-name") == [name for name, _ in made_data.VGG16]
        assert not p.locator("#left-out").is_visible()
        p.screenshot_as("visualize-vgg16")
