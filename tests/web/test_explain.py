"""The page of explain: what is on screen against step 3's pickles, and every view clicked through."""
import base64
import json
import re
import zlib

import pytest

import pages
from pages import NASTY, steps

K_Q = "1,3"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    root = tmp_path_factory.mktemp("explain")
    steps.make_pictures(root / "images", {"a": 6, "b": 6, "c": 5})
    (root / "index.txt").write_text("a Apple\nb Pear\nc crane\nd crane\ne Elder\n")
    (root / "out").mkdir()
    steps.pipeline(root / "images", root / "out", "--k-q", K_Q, "--class-index", root / "index.txt", "--split", 0.5)
    return root


@pytest.fixture(scope="module")
def expected(chain):
    """What step 3 has: [(file, y, rankings of k = 1, 3, q = 1, 3, the same of the last layer)]"""
    found = []
    for path in steps.found(chain / "out", "*-E-mixed-vars?.pkl"):
        variables = steps.load(path)
        (files,) = variables["class_images_dict"].values()
        for j, file in enumerate(files):
            rankings = [[variables[f"y_{rule}{end}"][value][j] for rule in "kq" for value in (1, 3)]
                        for end in ("", "_ll")]
            found.append((file, variables["y"][j], *rankings))
    return found


@pytest.fixture(scope="module")
def html(chain, expected):
    steps.run("explain", "--filtags-file", steps.main_file(chain / "out", "TF"), "--save-dir", chain / "out",
              "--k-q", K_Q, *[chain / "images" / file for file, *_ in expected])
    return steps.only(chain / "out", "*-EX-mixed.html")


@pytest.fixture(scope="module")
def data(html):
    (text,) = re.findall(r'id="explain">([^<]*)</script>', html.read_text(encoding="utf-8"))
    return json.loads(text)


NAMES = {"a": "Apple", "b": "Pear", "c": "crane (c)", "d": "crane (d)", "e": "Elder"}
BARS = "(rows) => rows.map((row) => [...row.querySelector('.text').children].map((one) => one.innerText.trim()))"


def wait(p):
    """Until what was chosen is on screen."""
    p.wait_for_selector("body[data-ready]", state="attached")
    p.settle()


def bars(p, name):
    return [tuple(row) for row in p.eval_on_selector_all(f"#{name} .bar-row", BARS)]


def press(p, key):
    p.keyboard.press(key)
    wait(p)


def counted(ranking):
    return [(NAMES[label], f"{n} tag{'' if n == 1 else 's'}") for label, n in ranking[:5]]


def shares(y):
    shown = []
    for wnid, _, probability in y:
        digits = 2 if 0.0005 < probability < 0.1 else 1
        shown.append((NAMES[wnid], f"{100 * probability:.{digits}f} %"))
    return shown


def test_predictions_on_screen(page, html, expected, chain):
    with page(html) as p:
        for i, (file, y, *rankings) in enumerate(expected):
            if i % 3: # each takes its time
                press(p, "n")
                continue
            wait(p)
            assert p.locator("#file").inner_text() == str(chain / "images" / file)
            for value in range(4):
                for last in range(2):
                    p.select_option("#value", str(value))
                    p.click(f"[data-scope='{last}']")
                    wait(p)
                    assert bars(p, "tag-bars") == counted(rankings[last][value])
                    agrees = rankings[last][value][0][0] == y[0][0]
                    assert p.locator("#verdict").inner_text() == ("✓ agree" if agrees else "✗ differ")
                    assert p.locator("#strip button").nth(i).inner_text().endswith("agree" if agrees else "differ")
                    labels = [label for label, _ in rankings[last][value]]
                    text = p.locator("#verdict-text").inner_text()
                    if agrees:
                        assert f"Both say {NAMES[y[0][0]]}." in text
                    elif y[0][0] in labels:
                        place = labels.index(y[0][0])
                        is_tied = rankings[last][value][place][1] == rankings[last][value][0][1]
                        assert f"The network’s {NAMES[y[0][0]]} is in place {place + 1} of the" in text
                        assert ("as many tags as the first" in text) == is_tied
                    else:
                        assert f"The network’s {NAMES[y[0][0]]} is not among the tags." in text
            found = bars(p, "network-bars")
            assert [name for name, _ in found] == [name for name, _ in shares(y)]
            for (_, amount), (_, _, probability) in zip(found, y):
                assert abs(float(amount.split()[0]) - 100 * probability) <= 0.051
            press(p, "n")
        assert p.locator("#file").inner_text() == str(chain / "images" / expected[0][0]), "round to the first one"


CARDS = """(cards) => cards.map((card) => ({name: card.querySelector('.name').innerText,
    number: card.querySelector('.head > :last-child').innerText,
    activation: card.querySelectorAll('.head')[1].innerText,
    tags: [...card.querySelectorAll('.tag')].map((tag) => tag.innerText), match: card.querySelector('.match').innerText,
    rest: card.lastChild.innerText}))"""


def check_cards(p, data, picture, value, last, label):
    """The cards on screen are the page's filters with that label, in their order."""
    found = picture["values"][value]
    bit = [one for one, _, _ in found["choices"]].index(label)
    expected = [carrier for carrier in found["carriers"] if carrier[2] >> bit & 1 and (
        not last or picture["filters"][carrier[0]][0] == len(data["layers"]) - 1)]
    cards = p.eval_on_selector_all("#cards .filter", CARDS)
    assert len(cards) == len(expected)
    for card, (filter_, n_tags, _, tags) in zip(cards, expected):
        layer, number, activation, _, _ = picture["filters"][filter_]
        assert card["name"] == data["layers"][layer][0] and card["number"] == f"#{number}"
        assert f"{activation:.4f}" in card["activation"]
        texts = {data["labels"][tag][1] for tag in tags}
        assert card["match"] == card["tags"][0] == data["labels"][label][1] and set(card["tags"]) <= texts
        assert len(card["tags"]) == min(3, n_tags)
        assert ("+" in card["rest"]) == (n_tags > 3)
    return len(cards)


def test_filters_of_every_label(page, html, data):
    n_cards = 0
    with page(html) as p:
        wait(p)
        for last in range(2):
            p.click(f"[data-scope='{last}']")
            for value in range(4):
                p.select_option("#value", str(value))
                wait(p)
                picture = data["pictures"][0]
                choices = [choice for choice in picture["values"][value]["choices"] if choice[1 + last]]
                chips = p.locator("#choices button")
                assert chips.count() == len(choices)
                for i, (label, *counts) in enumerate(choices):
                    chips.nth(i).click()
                    wait(p)
                    own = picture["top"][0][3] == label
                    text = f"{'◆ ' if own else ''}{data['labels'][label][1]} {counts[last]}"
                    assert chips.nth(i).inner_text() == text
                    assert chips.nth(i).get_attribute("aria-pressed") == "true"
                    n = check_cards(p, data, picture, value, last, label)
                    note = p.locator("#filters-note").inner_text()
                    assert note.startswith(f"{counts[last]} active filter")
                    assert ("are left out" in note) == (n < counts[last])
                    n_cards += n
    assert n_cards > 50


CHOSEN = "() => [...document.querySelectorAll('#chosen dd')].map((one) => one.innerText)"
PIXELS = "(canvas) => canvas.toDataURL()"


def test_card_is_shown_large(page, html, data):
    picture = data["pictures"][0]
    with page(html) as p:
        wait(p)
        before = p.eval_on_selector("#large", PIXELS)
        second = p.locator("#cards .filter").nth(1)
        second.click()
        wait(p)
        filter_ = int(second.get_attribute("data-filter"))
        layer, number, activation, h, w = picture["filters"][filter_]
        name = data["layers"][layer][0]
        assert p.locator("#chosen-title").inner_text() == f"{name}, filter {number}"
        texts = p.evaluate(CHOSEN)
        assert texts[0] == f"{name}, {layer + 1} of 9; filter {number} of {steps.N_FILTERS[layer]}"
        assert texts[1].startswith(f"{activation:.4f} ") and texts[2].startswith(f"{h} × {w}, ")
        assert p.eval_on_selector("#large", PIXELS) != before
        assert p.locator("#cards [aria-pressed=true]").count() == 1
        assert name in p.locator("#large").get_attribute("aria-label")
        assert p.hash["filter"] == f"{layer}:{number}"
        p.get_by_role("button", name="Picture alone").click()
        wait(p)
        assert p.locator("#chosen-title").inner_text() == "No filter chosen" and p.hash["filter"] == "none"
        assert p.locator("#large").get_attribute("aria-label").endswith("the picture alone")


def maps_of(html, i):
    (text,) = re.findall(rf'id="maps-{i}">([^<]*)</script>', html.read_text(encoding="utf-8"))
    return zlib.decompress(base64.b64decode(text))


def test_pointer_reads_the_map(page, html, data):
    """The value under the pointer is the map's; the brightest pixel of the map is where the page has it."""
    picture, values = data["pictures"][0], maps_of(html, 0)
    with page(html) as p:
        wait(p)
        filter_ = int(p.locator("#cards .filter").first.get_attribute("data-filter"))
        first = sum(h * w for *_, h, w in picture["filters"][:filter_])
        *_, h, w = picture["filters"][filter_]
        box = p.locator("#large").bounding_box()
        for y, x in ((0, 0), (h // 2, w // 3), (h - 1, w - 1)):
            p.mouse.move(box["x"] + (x + 0.5) / w * box["width"], box["y"] + (y + 0.5) / h * box["height"])
            shown = p.locator("#readout").inner_text()
            assert shown == f"here {values[first + y * w + x] / 255:.2f} of the layer’s range"


def test_opacity_and_scale(page, html):
    with page(html) as p:
        wait(p)
        own = p.eval_on_selector("#large", PIXELS)
        p.click("[data-scale=layer]")
        wait(p)
        layers = p.eval_on_selector("#large", PIXELS)
        assert layers != own and p.hash["scale"] == "layer"
        press(p, "s")
        assert p.eval_on_selector("#large", PIXELS) == own
        p.locator("#opacity").fill("20")
        wait(p)
        assert p.eval_on_selector("#large", PIXELS) != own
        press(p, "h")
        alone = p.eval_on_selector("#large", PIXELS)
        press(p, "h")
        assert p.eval_on_selector("#large", PIXELS) == own != alone


def test_keyboard(page, html, data):
    with page(html) as p:
        wait(p)
        pressed = "() => [...document.querySelectorAll('#cards .filter')].findIndex((c) => c.ariaPressed === 'true')"
        assert p.evaluate(pressed) == 0
        for key, place in (("ArrowRight", 1), ("j", 2), ("ArrowLeft", 1), ("k", 0)):
            press(p, key)
            assert p.evaluate(pressed) == place
        label = p.locator("#choices [aria-pressed=true]").inner_text()
        press(p, "l")
        assert p.locator("#choices [aria-pressed=true]").inner_text() != label
        press(p, "L")
        assert p.locator("#choices [aria-pressed=true]").inner_text() == label
        press(p, "v")
        assert p.locator("#value").input_value() == "1"
        press(p, "a")
        assert p.locator("[data-scope='1']").get_attribute("aria-pressed") == "true"
        press(p, "p")
        assert p.locator("#strip button").last.get_attribute("aria-current") == "true"
        p.locator("#opacity").focus()
        place = p.evaluate(pressed)
        press(p, "ArrowRight")
        assert p.evaluate(pressed) == place and p.locator("#opacity").input_value() == "75", "the slider's own key"
        p.keyboard.press("?")
        assert len(p.table("dialog.help")) == 12


def test_link_leads_to_the_same(page, html, data):
    with page(html) as p:
        wait(p)
        press(p, "n")
        press(p, "v")
        p.locator("#choices button").last.click()
        wait(p)
        p.locator("#cards .filter").last.click()
        wait(p)
        address = p.evaluate("() => location.hash")
        texts = "() => document.getElementById('main').innerText"
        shown = p.evaluate(texts)
        p.open("picture=99&value=z9&label=none&filter=77:1")
        wait(p)
        assert p.locator("#strip button").first.get_attribute("aria-current") == "true", "nonsense is the first"
        p.open(address)
        wait(p)
        assert p.evaluate(texts) == shown


@pytest.mark.parametrize("width, height", pages.SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_fits_and_looks(page, html, width, height, theme):
    with page(html, width, height, theme=theme) as p:
        wait(p)
        p.assert_fits()
        p.screenshot_as("explain", full=True)


@pytest.mark.parametrize("width, height", pages.SIZES)
def test_texts_from_outside(page, tmp_path, width, height):
    leftwards = "\u202eפרח without end"
    images = steps.make_pictures(tmp_path / "images", {name: 2 for name in [*NASTY[:5], leftwards]})
    lines = "\n".join(f"{name.split()[0] if ' ' in name else name} {name}" for name in NASTY[5:10])
    (tmp_path / "index.txt").write_text(lines.replace("\\", "/") + "\n")
    (tmp_path / "out").mkdir()
    steps.pipeline(images, tmp_path / "out", "--k-q", 2)
    files = []
    for name in NASTY:
        files.append(tmp_path / (name[:190] + ".ppm"))
        files[-1].write_bytes(steps.ppm(name))
    steps.run("explain", "--filtags-file", steps.main_file(tmp_path / "out", "TF"), "--save-dir", tmp_path / "out",
              "--k-q", 2, *files)
    with page(steps.only(tmp_path / "out", "*-EX-*.html"), width, height) as p:
        for file in files:
            wait(p)
            assert p.locator("#file").evaluate("(one) => one.textContent") == str(file)
            p.assert_fits()
            press(p, "n")
        labels = set(p.eval_on_selector_all("#tag-bars .bar-row .text > :first-child",
                                            "(all) => all.map((one) => one.textContent)"))
        assert labels and labels <= {*NASTY, leftwards, "0", "1", "2", "3", "4"}
        for choice in p.locator("#choices button").all():
            name, count = choice.locator("bdi").bounding_box(), choice.locator(".count").bounding_box()
            assert name["x"] + name["width"] <= count["x"] + 1 or name["y"] < count["y"], "a label moves what follows"
        p.screenshot_as("explain-nasty")


def test_one_picture_has_no_strip(page, chain, expected, tmp_path):
    steps.run("explain", "--filtags-file", steps.main_file(chain / "out", "TF"), "--save-dir", tmp_path, "--k-q", 3,
              chain / "images" / expected[0][0])
    with page(steps.only(tmp_path, "*-EX-*.html")) as p:
        wait(p)
        assert p.locator("#strip button").count() == 0 and not p.locator("#strip").is_visible()
        press(p, "n")
        assert p.locator("#cards .filter").count() > 0
