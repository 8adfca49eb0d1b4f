"""The pages' tests need a browser: one is started for all of them, and where there is none they are skipped."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import pages  # noqa: E402

missing = []


@pytest.fixture(scope="session", autouse=True)
def browser():
    try:
        pages.browser.start()
    except pages.NoBrowser as error:
        missing.append(str(error))
        pytest.skip(str(error))
    yield pages.browser
    pages.browser.close()


@pytest.fixture
def page(browser):
    """with page(path, 1280, 720) as p: ..."""
    return browser.page


def pytest_terminal_summary(terminalreporter):
    if missing:
        terminalreporter.write_line(f"SKIPPED: the tests of the pages, for want of a browser: {missing[0]}", red=True)
