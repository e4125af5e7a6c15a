"""Built pages: what a browser may do there, and what is broken on them."""

import base64
import hashlib
import re

import pytest

from helpers.book import pages, site
from tests.unit.book.test_site import PAGE, builder

__all__ = ["builder"]
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')


def rules(text: str) -> dict[str, list[str]]:
    (found,) = POLICY.findall(text)
    return {name: values for name, *values in map(str.split, found.split("; "))}


def digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def test_every_page_has_one_policy_and_only_the_themes_scripts_run(builder):
    site.site(["resnet18"])
    found = {page.name: rules(page.read_text()) for page in site.SITE.rglob("*.html")}
    assert {"index.html", "09_results.html", "search.html"} <= set(found)
    for policy in found.values():
        assert policy["default-src"] == policy["base-uri"] == ["'none'"]
        assert policy["script-src"] == ["'self'", digest("theme()")]
        # nothing from another host, and of what stands in a page only styles
        named = {value for name, values in policy.items() for value in values if name != "script-src"}
        assert named == {"'none'", "'self'", "'unsafe-inline'", "data:"}
        assert [name for name, values in policy.items() if "'unsafe-inline'" in values] == ["style-src"]


def test_the_policy_comes_before_all_that_it_rules(tmp_path):
    (tmp_path / "search.html").write_text(PAGE)
    (tmp_path / "moved.html").write_text('<meta http-equiv="Refresh" content="0; url=x.html" />')
    hostile = PAGE.replace("the page", "<script>alert(1)</script>")
    (tmp_path / "page.html").write_text(hostile)
    pages.protect(tmp_path)
    assert digest("alert(1)") not in (tmp_path / "page.html").read_text()
    assert "</article>" in (tmp_path / "page.html").read_text()
    assert re.search(r'<meta charset="utf-8" />\n<meta http-equiv="Content-S', (tmp_path / "page.html").read_text())
    assert (tmp_path / "moved.html").read_text().startswith('<meta http-equiv="Content-Security-Policy"')


def test_a_page_loads_neither_the_search_nor_a_second_set_of_icons(tmp_path):
    script = '<script {}src="../_static/{}?v=1"></script>'
    idle = [script.format("", f"{name}.js") for name in ("searchtools", "language_data")]
    idle += ['<script src="../searchindex.js"></script>', script.format("defer ", "scripts/fontawesome.js")]
    text = PAGE.replace("<body>", "".join([*idle, script.format("", "book.js"), "<body>"]))
    for name in ("page.html", "search.html"):
        (tmp_path / name).write_text(text)
    (tmp_path / "_static" / "scripts").mkdir(parents=True)
    (tmp_path / "_static" / "scripts" / "fontawesome.js").touch()
    pages.lighten(tmp_path)
    loaded = {name: re.findall(r"(\w+)\.js", (tmp_path / name).read_text()) for name in ("page.html", "search.html")}
    assert loaded == {"page.html": ["book"], "search.html": ["searchtools", "language_data", "searchindex", "book"]}
    assert not (tmp_path / "_static" / "scripts" / "fontawesome.js").exists()


def test_the_themes_buttons_have_no_script_in_the_page(tmp_path):
    (tmp_path / "search.html").write_text(PAGE)
    (tmp_path / "page.html").write_text(PAGE + '<button onclick="window.print()"\n class="btn"><button onclick="x()">')
    pages.protect(tmp_path)
    text = (tmp_path / "page.html").read_text()
    assert "window.print" not in text
    assert '<button\n class="btn">' in text
    assert 'onclick="x()"' in text  # what is not the theme's is left for the policy to refuse


BROKEN = {
    '<a href="nowhere.html">': "nowhere.html leads nowhere",
    '<a class="x" href="other.html#nothing">': "other.html#nothing leads to a place that the page does not have",
    '<a href="#nothing">': "#nothing leads to a place that the page does not have",
    '<img alt="a" src="pictures/nothing.png">': "pictures/nothing.png leads nowhere",
    '<a href="javascript:alert(1)">': "javascript:alert(1) is no address that a page of this book may have",
}
WHOLE = [
    '<a href="other.html#there">',
    '<a href="other.html?highlight=x#%C3%A9">',
    '<a href="#here"><i id="here">',
    '<a href="https://example.org/x#y">',
    '<a href="mailto:a@example.org">',
    '<img src="data:image/png;base64,AAAA">',
    '<a href="a%20picture.png?v=1">',
    "<p>href=&quot;nowhere.html&quot;",
]


@pytest.fixture
def built(tmp_path):
    (tmp_path / "other.html").write_text(PAGE + '<p id="there"><a name="é">')
    (tmp_path / "a picture.png").touch()

    def write(text: str, name: str = "page") -> list[str]:
        (tmp_path / f"{name}.html").write_text(PAGE.replace("the page", text))
        return pages.faults(tmp_path, ["other", "page"])

    return write


@pytest.mark.parametrize(("link", "said"), BROKEN.items(), ids=range(len(BROKEN)))
def test_what_leads_nowhere_is_named_with_its_page(built, link, said):
    assert built(link) == [f"page: {said}"]


@pytest.mark.parametrize("link", WHOLE)
def test_what_leads_somewhere_is_let_be(built, link):
    assert built(link) == []


def test_the_themes_templates_are_no_pages(built, tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "macros.html").write_text('<script src="{{ pathto(1) }}">')
    assert built("") == []


def test_an_empty_page_is_named_and_so_is_one_that_was_not_written(built, tmp_path):
    (tmp_path / "page.html").write_text("<article><h1>A title</h1><svg>" + "<text>x y</text>" * 20 + "</svg></article>")
    assert pages.faults(tmp_path, ["page", "gone"]) == ["page: the page is empty", "gone: the page is empty"]


def test_a_site_with_a_fault_leaves_the_old_one_and_says_where(builder, library):
    site.SITE.mkdir(parents=True)
    (site.SITE / "old.html").write_text("old")
    builder.body = '<a href="nowhere.html">'
    with pytest.raises(RuntimeError, match=r"book/executed/.*: nowhere.html leads nowhere\n(.*\n)*[0-9]+ faults on"):
        site.site(["resnet18"])
    assert [path.name for path in site.SITE.iterdir()] == ["old.html"]
    assert "nowhere.html leads nowhere" in (site.BUILD / "site.log").read_text()
