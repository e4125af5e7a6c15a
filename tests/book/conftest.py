"""What the tests of the built pages share: a server, a browser and the list of pages."""

import functools
import http.server
import threading

import pytest
from playwright.sync_api import sync_playwright

from tests.book import browse


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # the browser closes connections it no longer needs


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        yield playwright.chromium.launch(executable_path=browse.CHROMIUM, args=options)


MOVED = '<meta http-equiv="refresh"'  # an address from before the book had parts


@pytest.fixture(scope="module")
def pages(site) -> list[str]:
    found = sorted((site / "book").rglob("*.html"))
    found = [p.relative_to(site).as_posix() for p in found if MOVED not in p.read_text()]
    for part in ("recorded", "copy"):
        assert sum(f"/executed/{part}/" in page for page in found) >= 15
    return found


@pytest.fixture(scope="module")
def faults(address, browser, pages, request) -> dict[str, dict[str, list]]:
    """What is wrong on the pages of the `PART` of the book that a file of tests names; "": those outside both parts."""
    of = {page: next((part for part in ("copy", "recorded") if f"/executed/{part}/" in page), "") for page in pages}
    return browse.faults(address, browser, [page for page, part in of.items() if part == request.module.PART])
