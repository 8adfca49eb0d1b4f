"""The pages that `filtags demo` ends with: each opens as it should, and leads where its documents say."""
import os

import pytest

import pages
from pages import steps


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    steps.run("demo", "--save-dir", folder)
    return folder


@pytest.mark.parametrize("width, height", pages.SIZES)
@pytest.mark.parametrize("kind, heading", [("VIS", "fashion"), ("HP", "Hit rates of fashion"),
                                           ("EX", "fashion, explained in tags")])
def test_pages_of_the_demo(page, demo, kind, heading, width, height):
    with page(steps.only(demo, f"*-{kind}-fashion.html"), width, height) as p:
        p.get_by_role("heading", name=heading, exact=True).wait_for()
        p.wait_for_selector("main .card")
        p.assert_fits()
        assert "fashion" in p.title()
        p.screenshot_as(f"demo-{kind}")


def test_link_to_a_filter(page, demo):
    with page(steps.only(demo, "*-VIS-fashion.html"), hash="layer=top_conv&filter=74&k=5") as p:
        tags = steps.load(steps.main_file(demo, "TF"))["filTags_k"][5][5][74]
        assert len(tags) == 4
        for label in tags:
            p.locator(".tag", has_text=label).first.wait_for()
        assert p.get_by_role("heading", name="top_conv filter 74").is_visible()


def test_sizes_that_the_documents_name(demo):
    sizes = [os.path.getsize(steps.only(demo, f"*-{kind}-fashion.html")) / 1e6 for kind in ("VIS", "HP", "EX")]
    assert sizes == pytest.approx([1.9, 1.6, 0.1], abs=0.15)
