"""The built pages as a reader's browser sees them."""

import functools
import gzip
import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Page

from tests.book.browse import CHROMIUM, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")


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


@pytest.mark.parametrize(
    ("page", "panels"), [("index.html", 2), ("book/executed/recorded/resnet18/06_explanations.html", 4)]
)
def test_the_dark_theme_turns_a_figure_over_but_no_panel_whose_shades_are_numbers(address, browser, page, panels):
    seen = opened(browser, address, page)
    both = seen.locator("figure .turned").first
    shown = "one => [getComputedStyle(one).display, getComputedStyle(one).filter.split('(')[0]]"
    for theme, turned, above in (("light", "none", ["none", "none"]), ("dark", "invert", ["block", "brightness"])):
        seen.emulate_media(color_scheme=theme)
        seen.wait_for_selector(f"html[data-theme={theme}]", state="attached")
        assert both.locator("img.shaded").evaluate(shown)[1] == turned
        found = both.locator("img.above").evaluate(shown)
        assert found[0] == above[0]
        assert above[0] == "none" or found[1] == above[1]
    cut = both.locator("img.above").evaluate("one => getComputedStyle(one).clipPath")
    assert cut.count(",") == 1 + 6 * panels  # the rule, the first corner, and of each panel five and the way back
    boxes = [both.locator(which).bounding_box() for which in ("img.shaded", "img.above")]
    assert [round(boxes[0][side]) for side in boxes[0]] == [round(boxes[1][side]) for side in boxes[1]]
    seen.close()


@pytest.mark.parametrize("page", ["index.html", "search.html?q=score", "genindex.html", "book/sheet.html"])
def test_the_policy_lets_the_site_work(address, browser, page):
    seen = opened(browser, address, page)
    seen.wait_for_load_state("networkidle")
    assert seen.faults + seen.strangers == []
    if page.startswith("search"):
        seen.locator("#search-results li").first.wait_for()
    seen.set_viewport_size({"width": 320, "height": 800})
    assert seen.evaluate("document.documentElement.scrollWidth") <= 321
    seen.close()


def test_the_policy_lets_no_foreign_script_run(address, browser):
    page = opened(browser, address, "book/sheet.html")
    for hostile in ("<img src=x onerror='window.ran = 1'>", "<svg onload='window.ran = 1'></svg>"):
        page.evaluate("text => document.querySelector('article').insertAdjacentHTML('beforeend', text)", hostile)
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = 1';
        document.body.append(script);
    }""")
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    assert sum("Content Security Policy" in fault for fault in page.faults) >= 2
    page.close()


def test_the_buttons_of_the_theme_work_without_a_script_in_the_page(address, browser):
    page = opened(browser, address, "book/sheet.html")
    page.evaluate("() => { window.print = () => { window.printed = true } }")
    page.evaluate("document.querySelector('.btn-download-pdf-button').click()")
    assert page.evaluate("window.printed")
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


def soup(path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def executed_pages(pages: list[str]) -> list[str]:
    return [page for page in pages if "/executed/" in page]


def test_below_each_figure_and_table_stands_where_it_comes_from_and_its_links_lead_there(site, pages):
    for page in executed_pages(pages):
        read = soup(site / page)
        for figure in read.select("article .cell_output :is(figure.align-default, table, .curve)"):
            output = figure.find_parent(class_="cell_output")
            assert output.select("details.origin"), (page, figure.get("id"))
        for link in read.select("details.origin a"):
            path, _, anchor = link["href"].partition("#")
            assert f'id="{anchor}"' in ((site / page).parent / path).resolve().read_text(), (page, link["href"])


def test_each_executed_page_offers_its_notebook_with_what_the_cells_gave(site, pages):
    for page in executed_pages(pages):
        (link,) = soup(site / page).select("a.btn-download-source-button")
        notebook = json.loads(((site / page).parent / link["href"]).read_text())
        assert any(cell.get("outputs") for cell in notebook["cells"]), page


ICONS = "_static/vendor/fontawesome/webfonts/fa-solid-900.woff2"  # the one font that a style has every page load


def sent(path: Path) -> int:
    """Bytes of a file as servers send it, text packed."""
    content = path.read_bytes()
    return len(gzip.compress(content) if path.suffix in (".html", ".css", ".js", ".svg") else content)


def test_pages_are_small_before_their_sounds(site, pages):
    sizes = functools.cache(sent)
    for page in pages:
        read = soup(site / page)
        named = {one["href"] for one in read.select("link[rel=stylesheet]")}
        named |= {one["src"] for one in read.select("script[src], img[src]:not([src^='data:'])")}
        files = {((site / page).parent / name.partition("?")[0]).resolve() for name in named} | {site / page}
        size = sum(map(sizes, files | {site / ICONS}))
        assert size < (500_000 if page == "book/index.html" else 2_000_000), (page, size)


def test_pages_say_what_they_are_about(site, pages):
    for page in pages:
        (said,) = soup(site / page).select("meta[name=description]")
        assert 20 < len(said["content"]) <= 200, page


@pytest.mark.parametrize(
    ("asked", "page"), [("R18-sign", "recorded/14_ledger.html"), ("rank correlation", "glossary.html#term-rank-corr")]
)
def test_the_search_finds_claims_and_words_of_the_glossary(address, browser, asked, page):
    found = opened(browser, address, f"search.html?q={asked}")
    found.locator(f"#search-results a[href*='{page}']").first.wait_for(timeout=20_000)
    found.close()


def test_on_a_phone_figures_keep_their_letters_and_what_scrolls_says_so(address, browser):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = opened(context, address, "book/executed/recorded/15_controls.html")
    picture = page.locator("article figure.align-default img").first
    # letters are 9 pt and more, 12 px, where a figure is 700 px wide
    assert picture.evaluate("img => img.getBoundingClientRect().width") / 700 * 12 >= 9
    silent = "boxes => boxes.filter(b => b.scrollWidth > b.clientWidth + 1 && !b.classList.contains('wider')).length"
    assert page.locator("article figure.wider").count() >= 1
    assert (
        page.eval_on_selector_all("article :is(figure, .cell_output table, .pst-scrollable-table-container)", silent)
        == 0
    )
    page.close()
    context.close()


def test_the_first_screen_has_question_answer_picture_sound_and_three_doors(address, browser):
    page = opened(browser, address, "book/index.html")
    page.set_viewport_size({"width": 1280, "height": 800})
    article = page.locator("article")
    shown = [article.locator("h1"), article.locator("strong").first, article.locator(".first audio")]
    shown += [article.locator(".first li a").nth(i) for i in range(3)]
    for one in shown:
        edge = one.bounding_box()
        assert 0 <= edge["y"] <= edge["y"] + edge["height"] <= 800
    picture = article.locator("figure.align-default img").first.bounding_box()
    assert picture["y"] + picture["height"] / 2 < 800
    assert article.locator(".how li").count() == 5
    page.close()


def test_tabs_dropdowns_and_players_are_used_with_the_keyboard_alone(address, browser):
    page = opened(browser, address, "book/executed/copy/09_results.html")
    tabs = page.locator(".sd-tab-set > input")
    tabs.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert tabs.nth(1).is_checked()
    assert page.evaluate("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle") != "none"
    page.close()
    page = opened(browser, address, "book/executed/copy/resnet18/06_explanations.html")
    for dropdown in ("details.sd-dropdown", "details.origin", "details.hide"):
        one = page.locator(dropdown).first
        one.locator("summary").focus()
        page.keyboard.press("Enter")
        assert one.get_attribute("open") is not None
    player = page.locator("audio").first
    player.evaluate("player => { player.muted = true; }")
    player.focus()
    page.keyboard.press("Space")
    page.wait_for_function("!document.querySelector('audio').paused")
    page.close()


@pytest.mark.parametrize("path", ["book/index.html", "book/executed/recorded/15_controls.html"])
def test_on_paper_only_what_is_read_is_left_and_nothing_is_cut(address, browser, path):
    page = opened(browser, address, path)
    page.set_viewport_size({"width": 680, "height": 1000})  # of A4 between its margins
    page.emulate_media(media="print")
    assert page.locator("h1:visible").count() == 1
    for menu in (".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer", "details.origin"):
        assert page.locator(f"{menu}:visible").count() == 0, menu
    edge = "document.documentElement.clientWidth + 1"
    wide = f"boxes => boxes.filter(b => b.getBoundingClientRect().right > {edge}).length"
    assert page.eval_on_selector_all("article :is(img, pre, p)", wide) == 0
    page.close()


def test_no_machine_path_in_the_site(book, site):
    for page in site.rglob("*.html"):
        assert str(book.root) not in page.read_text(), page
