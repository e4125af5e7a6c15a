"""The built pages as a reader's browser sees them."""

import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")

# sphinx-book-theme prints the title a second time in a header that only paper shows.
WAIVED = {"page-has-heading-one"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(book):
    handler = functools.partial(Quiet, directory=str(book.site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        yield playwright.chromium.launch(executable_path=BROWSER, args=options)


@pytest.fixture(scope="module")
def pages(book) -> list[str]:
    found = sorted(p.relative_to(book.site).as_posix() for p in (book.site / "book").rglob("*.html"))
    assert len(found) >= 17
    return found


def test_every_page_loads_whole(address, browser, pages):
    """No console error, no broken figure, no player without a sound, no horizontal scroll on a phone."""
    faults = []
    for path in pages:
        page = browser.new_page()
        page.on(
            "console",
            lambda message, path=path: message.type == "error" and faults.append((path, message.text)),
        )
        page.on("pageerror", lambda error, path=path: faults.append((path, str(error))))
        # fonts and scripts of other hosts are not part of the book
        page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        page.goto(f"{address}/{path}")
        faults += [
            (path, f"figure without picture or alt text: {source}")
            for source in page.eval_on_selector_all(
                "article img", "all => all.filter(i => !i.naturalWidth || !i.alt).map(i => i.src)"
            )
        ]
        for player in page.query_selector_all("audio"):
            loaded = player.evaluate(
                "async a => { a.load(); a.preload = 'auto';"
                " await new Promise(done => { a.onloadedmetadata = a.onerror = done; setTimeout(done, 5000) });"
                " return a.duration > 0 && a.getAttribute('aria-label') !== null }"
            )
            faults += [] if loaded else [(path, "player without sound or label")]
        page.set_viewport_size({"width": 390, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        faults += [(path, f"{wide} px wider than a phone")] if wide > 1 else []
        page.close()
    assert faults == []


def test_axe_finds_nothing(address, browser, pages):
    faults = []
    for theme in ("light", "dark"):
        context = browser.new_context(color_scheme=theme)
        for path in pages:
            page = context.new_page()
            page.route(lambda url: not url.startswith(address), lambda route: route.abort())
            page.goto(f"{address}/{path}")
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
            faults += [
                (theme, path, fault["id"], node["html"][:120])
                for fault in found.response["violations"]
                if fault["id"] not in WAIVED
                for node in fault["nodes"]
            ]
            page.close()
    assert faults == []


def test_synthetic_pages_say_so(book, pages):
    for path in pages:
        text = (book.site / path).read_text()
        if "provenance" in text and "executed in" in text and "Profile" in text:
            assert "Sounds made by a program" in text, path


def test_no_machine_path_in_the_site(book):
    root = str(Path(book.root).parent)
    for page in book.site.rglob("*.html"):
        assert root not in page.read_text(), page
