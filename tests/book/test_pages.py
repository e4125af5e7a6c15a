"""The built pages as a reader's browser sees them."""

import functools
import http.server
import re
import shutil
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")

PLAYS = """async player => {
    player.preload = 'auto'; player.load();
    await new Promise(done => { player.onloadedmetadata = player.onerror = done; setTimeout(done, 5000) });
    return player.duration > 0 && player.hasAttribute('aria-label')
}"""
BLIND = "images => images.filter(i => !i.naturalWidth || !i.alt).map(i => i.outerHTML.slice(0, 120))"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


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
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=options)


MOVED = '<meta http-equiv="refresh"'  # an address from before the book had parts


@pytest.fixture(scope="module")
def pages(site) -> list[str]:
    found = sorted((site / "book").rglob("*.html"))
    found = [p.relative_to(site).as_posix() for p in found if MOVED not in p.read_text()]
    for part in ("recorded", "copy"):
        assert sum(f"/executed/{part}/" in page for page in found) >= 15
    return found


def opened(context, address: str, path: str) -> Page:
    page = context.new_page()
    # the book must be whole without any other host
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.faults = []
    page.on("console", lambda m: m.type == "error" and page.faults.append(f"{m.text} {m.location}"))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(f"{address}/{path}")
    return page


def broken(page: Page, path: str, address: str) -> list[str]:
    """Console errors, broken figures, players without a sound, a page wider than a phone."""
    found = [fault for fault in page.faults if address in fault or "http" not in fault]
    found += page.eval_on_selector_all("article img", BLIND)
    players = page.query_selector_all("audio")
    found += [player.get_attribute("src") for player in players if not player.evaluate(PLAYS)]
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 800})
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.set_viewport_size(size)
    # signatures and names of modules cannot be broken everywhere
    return found + ([f"{wide} px wider than a phone"] if wide > 1 and not path.startswith("book/code") else [])


def hindered(page: Page, rules: dict) -> list[tuple[str, str]]:
    """What axe finds, and text of the very colour of its ground, which axe leaves for a person to judge."""
    found = Axe().run(page, options=rules).response
    faults = [(fault["id"], node["html"][:100]) for fault in found["violations"] for node in fault["nodes"]]
    unseen = (node for fault in found["incomplete"] for node in fault["nodes"] if "equalRatio" in str(node["any"]))
    return faults + [("invisible", node["html"][:100]) for node in unseen]


@pytest.fixture(scope="module")
def faults(address, browser, pages) -> dict[str, dict[str, list]]:
    """Every page, opened once: what is broken, and what hinders a reader in the light and in the dark theme."""
    found: dict[str, dict[str, list]] = {"broken": {}, "light": {}, "dark": {}}
    context = browser.new_context(color_scheme="light", reduced_motion="reduce")
    for path in pages:
        page = opened(context, address, path)
        found["broken"][path] = broken(page, path, address)
        for theme, rules in {"light": {"runOnly": WCAG}, "dark": {"runOnly": ["color-contrast"]}}.items():
            page.emulate_media(color_scheme=theme)  # themes differ in their colours only
            page.wait_for_function(f"document.documentElement.dataset.theme == '{theme}'")
            page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished))")  # fading colours
            found[theme][path] = hindered(page, rules)
        page.close()
    return found


def test_every_page_loads_whole(faults):
    assert {path: found for path, found in faults["broken"].items() if found} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(faults, theme):
    assert {path: found for path, found in faults[theme].items() if found} == {}


def test_formulas_and_sounds_are_there(address, browser):
    page = opened(browser, address, "book/executed/copy/resnet18/06_explanations.html")
    assert page.locator("div.formula math").count() == 3
    assert page.locator("audio").count() >= 1
    page.close()
    # a recorded sound is not at hand: it is heard where it comes from
    page = opened(browser, address, "book/executed/recorded/resnet18/06_explanations.html")
    assert page.locator("div.formula math").count() == 3
    assert page.locator("audio").count() == 0
    assert page.locator("article a[href*='freesound.org']").count() >= 1
    page.close()


def test_the_curve_keeps_the_specifications_that_are_chosen(address, browser):
    page = opened(browser, address, "book/executed/recorded/18_specifications.html")
    figure = page.locator(".curve").first
    every, shown = figure.locator("g"), figure.locator("g:visible")
    assert shown.count() == every.count() >= 200
    figure.get_by_label("blocks").select_option("rank")
    assert 0 < shown.count() < every.count()
    assert figure.locator("output").inner_text().startswith(f"{shown.count()} of {every.count()} spec")
    page.close()


@pytest.mark.parametrize("old", ["09_results", "resnet101/05_training"])
def test_an_old_address_leads_to_the_page(site, old):
    stub = site / "book" / "executed" / f"{old}.html"
    target = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', stub.read_text())[1]
    assert (stub.parent / target).resolve() == (site / f"book/executed/recorded/{old}.html").resolve()
    assert (stub.parent / target).is_file()


@pytest.mark.parametrize("part", ["recorded", "copy"])
def test_links_of_a_part_stay_in_the_part(address, browser, part):
    page = opened(browser, address, f"book/executed/{part}/09_results.html")
    found = page.eval_on_selector_all("article a.reference.internal", "links => links.map(a => a.pathname)")
    executed = [link for link in found if "/executed/" in link]
    assert executed
    other = {"recorded": "copy", "copy": "recorded"}[part]
    # of the other part only what this one has no page of
    outside = [link.replace(f"/{other}/", f"/{part}/") for link in executed if f"/{other}/" in link]
    assert [link for link in outside if browser_finds(page, address + link)] == []
    page.close()


def browser_finds(page: Page, url: str) -> bool:
    return page.request.get(url).ok


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_sheet_prints_on_one_page(address, browser, paper):
    page = opened(browser, address, "book/sheet.html")
    edges = dict.fromkeys(("top", "right", "bottom", "left"), "15mm")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=paper, margin=edges))) == 1
    page.close()


def test_every_executed_page_says_whose_sounds_its_numbers_come_from(site, pages):
    said = {"recorded": "UrbanSound8K, recorded", "copy": "synthetic stand-in"}
    for page in pages:
        _, executed, part = page.partition("/executed/")
        part = part.partition("/")[0]
        text = (site / page).read_text()
        if not executed or part not in said:
            assert "Data on this page" not in text, page
        else:
            assert f"Data on this page: {said[part]}" in text, page
            (other,) = said.keys() - {part}
            assert f"Data on this page: {said[other]}" not in text, page


def test_no_machine_path_in_the_site(book, site):
    for page in site.rglob("*.html"):
        assert str(book.root) not in page.read_text(), page
