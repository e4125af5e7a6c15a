"""All pages of the site as one, to be printed."""

import re

import pytest
from bs4 import BeautifulSoup

from helpers import InputError
from helpers.book import pdf, site

PAGE = """<html><head><link rel="stylesheet" href="{up}_static/a.css"></head><body><nav>menu</nav>
<article class="bd-article"><section id="top"><h1>{title}<a class="headerlink" href="#top">#</a></h1>
<a class="one" href="#top">here</a><a class="two" href="{there}">there</a>
<a class="away" href="https://example.org/">away</a>
<a class="code" href="{up}_modules/x.html#f">source</a>
<img src="{up}_images/a.png" alt="a" loading="lazy">
<figure class="player">to be heard<audio src="a.mp3"></audio></figure>
<figure class="player"><a class="away" href="https://example.org/">elsewhere</a></figure>
<details class="sd-dropdown"><summary>Solution</summary>42</details></section></article></body></html>"""
LISTED = {"root": "book/index", "parts": [{"caption": "Part one", "chapters": [{"file": "book/deep/second"}]}]}


@pytest.fixture
def built(tmp_path):
    pages = (
        ("book/index", "First", "../", "deep/second.html#top"),
        ("book/deep/second", "Second", "../../", "../index.html"),
    )
    for name, title, up, there in pages:
        path = tmp_path / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(title=title, up=up, there=there))
    return tmp_path


@pytest.fixture
def page(built):
    return BeautifulSoup(pdf.one_page(built, LISTED), "html.parser")


def test_links_lead_to_places_of_the_same_file(page):
    assert [link["href"] for link in page.select(".one")] == ["#page-0-top", "#page-1-top"]
    assert [link["href"] for link in page.select(".two")] == ["#page-1-top", "#page-0"]
    assert [link["href"] for link in page.select(".code")] == ["#page-0", "#page-1"]  # no such page is printed
    assert {link["href"] for link in page.select(".away")} == {"https://example.org/"}
    places = [one["id"] for one in page.select("[id]")]
    assert len(places) == len(set(places))
    assert {link["href"][1:] for link in page.select("a[href^='#']")} <= set(places)


def test_contents_stand_after_the_first_page_and_name_every_other(page):
    assert [one.name for one in page.select(".bd-article-container > *")] == ["article", "nav", "article"]
    assert page.select_one("nav h2").string == "Part one"
    assert [(link["href"], link.string) for link in page.select("nav a")] == [("#page-1", "Second")]


def test_pictures_are_there_and_what_only_a_screen_can_do_is_not(page):
    assert {picture["src"] for picture in page.select("img")} == {"_images/a.png"}
    assert not page.select("img[loading], audio, script, a.headerlink")
    assert [one.get_text() for one in page.select("figure.player")] == ["elsewhere"] * 2  # where it is not at hand
    assert [link["href"] for link in page.select("link")] == ["_static/a.css"]
    assert len(page.select("details[open]")) == 2  # on paper nobody opens a solution


def test_without_a_site_or_a_browser_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "BUILD", tmp_path)
    monkeypatch.setattr(site, "SITE", tmp_path / "html")
    with pytest.raises(InputError, match=re.escape("there is no site to print; build it with `make book` first")):
        pdf.pdf()
    (tmp_path / "html").mkdir()
    (tmp_path / "following").mkdir()
    (tmp_path / "html" / "index.html").touch()
    (tmp_path / "following" / "toc.yml").touch()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"no Chromium or Chrome is there to print with; install one [^;]*$"):
        pdf.pdf()
