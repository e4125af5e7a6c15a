"""A reader's browser on the built pages, and what it finds there."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from helpers.book import pdf

CHROMIUM = pdf.browser()

PLAYS = """async player => {
    player.preload = 'auto'; player.load();
    await new Promise(done => { player.onloadedmetadata = player.onerror = done; setTimeout(done, 5000) });
    return player.duration > 0 && player.hasAttribute('aria-label')
}"""
BLIND = "images => images.filter(i => !i.naturalWidth || !i.alt).map(i => i.outerHTML.slice(0, 120))"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def opened(context, address: str, path: str) -> Page:
    page = context.new_page()
    # the book must be whole without any other host
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.faults, page.strangers = [], []
    own = (address, "data:", "blob:")
    page.on("request", lambda asked: asked.url.startswith(own) or page.strangers.append(f"asks {asked.url}"))
    page.on("console", lambda m: m.type == "error" and page.faults.append(f"{m.text} {m.location}"))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(f"{address}/{path}")
    return page


def broken(page: Page, path: str, address: str) -> list[str]:
    """Console errors (what the policy refuses, too), other hosts, broken figures and players, a page too wide."""
    found = page.strangers + [fault for fault in page.faults if address in fault or "http" not in fault]
    # what lies above a picture in the dark theme is that picture once more, said once
    found += page.eval_on_selector_all("article img:not(.above)", BLIND)
    players = page.query_selector_all("audio")
    found += [player.get_attribute("src") for player in players if not player.evaluate(PLAYS)]
    size = page.viewport_size
    page.set_viewport_size({"width": 320, "height": 800})
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.set_viewport_size(size)
    # signatures and names of modules cannot be broken everywhere
    return found + ([f"{wide} px wider than a phone"] if wide > 1 and not path.startswith("book/code") else [])


def hindered(page: Page, rules: dict) -> list[tuple[str, str]]:
    """What axe finds, and text of the very colour of its ground, which axe leaves for a person to judge."""
    found = Axe().run(page, options=rules | {"resultTypes": ["violations", "incomplete"]}).response
    faults = [(fault["id"], node["html"][:100]) for fault in found["violations"] for node in fault["nodes"]]
    unseen = (node for fault in found["incomplete"] for node in fault["nodes"] if "equalRatio" in str(node["any"]))
    return faults + [("invisible", node["html"][:100]) for node in unseen]


def faults(address: str, browser: Browser, pages: list[str]) -> dict[str, dict[str, list]]:
    """Every page, opened once: what is broken, and what hinders a reader in the light and in the dark theme."""
    found: dict[str, dict[str, list]] = {"broken": {}, "light": {}, "dark": {}}
    context = browser.new_context(color_scheme="light", reduced_motion="reduce")
    for path in pages:
        page = opened(context, address, path)
        found["broken"][path] = broken(page, path, address)
        for theme, rules in {"light": {"runOnly": WCAG}, "dark": {"runOnly": ["color-contrast"]}}.items():
            page.emulate_media(color_scheme=theme)  # themes differ in their colours only
            page.wait_for_selector(f"html[data-theme={theme}]", state="attached")  # the policy lets no text be run
            page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished))")  # fading colours
            found[theme][path] = hindered(page, rules)
        page.close()
    return found
