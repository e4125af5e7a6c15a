"""The book on paper: every page of the built site in one file, printed by the browser that is there.

Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

from helpers import InputError, study
from helpers.book import contents, site

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST = 600  # seconds that printing may take
# what only a screen can do, and the code that only draws
_LEFT_OUT = (
    "script, figure.player:has(> audio), audio, details.origin, details.doors, details.hide, a.headerlink, "
    ".prev-next-footer, .chosen .line"
)


def browser() -> str | None:
    """The command of a Chromium or Chrome on this machine; None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def pdf() -> Path:
    """Print the built site, in the order of its contents, as _build/book.pdf.

    Raises
    ------
    InputError
        No site is built, or no Chromium or Chrome is there.

    Chapter: notebooks/11_runs.md
    """
    following = site.BUILD / "following" / "toc.yml"
    if not (site.SITE / "index.html").exists() or not following.exists():
        raise InputError("there is no site to print; build it with `make book` first")
    chromium = browser()
    if not chromium:
        raise InputError(f"no Chromium or Chrome is there to print with; install one ({', '.join(CHROMIUM)})")
    listed = yaml.safe_load(following.read_text())
    whole = site.SITE / "print.html"  # beside the pages, for the pictures and styles that it shares with them
    target, part = site.BUILD / "book.pdf", site.BUILD / "book.part.pdf"
    whole.write_text(one_page(site.SITE, listed), encoding="utf-8")
    part.unlink(missing_ok=True)
    call = [chromium, "--headless", "--disable-gpu", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    call += ["--no-sandbox"] * (os.geteuid() == 0)  # Chromium refuses to run as root with it
    call += ["--virtual-time-budget=10000", f"--print-to-pdf={part}", whole.as_uri()]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{chromium} printed nothing in {LONGEST} s") from None
    finally:
        whole.unlink()
    if not part.exists():
        raise RuntimeError(f"{chromium} printed nothing: {done.stderr.strip().splitlines()[-1:]}")
    os.replace(part, target)
    return target


def one_page(built: Path, listed: dict) -> str:
    """All pages of a site as one: first the contents, then page after page, with links that stay within.

    Parameters
    ----------
    built : the folder of the site. listed : its table of contents.

    Chapter: notebooks/11_runs.md
    """
    names = [name for name in contents.files(listed) if (built / f"{name}.html").exists()]
    places = {f"{name}.html": f"page-{i}" for i, name in enumerate(names)}
    articles = [_article(built, name, places) for name in names]
    headings = [one.h1.get_text(strip=True) if one.h1 else "" for one in articles]
    shown = _contents(listed, dict(zip(names, headings, strict=True)), places)
    styles = BeautifulSoup((built / f"{names[0]}.html").read_text(encoding="utf-8"), "html.parser")
    links = (_moved(link, posixpath.dirname(names[0]), "href") for link in styles.select("link[rel=stylesheet]"))
    return (
        '<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{_title()}</title>{''.join(map(str, links))}</head><body class='printed'><div class='bd-main'>"
        "<div class='bd-content'><div class='bd-article-container'>"
        f"{articles[0]}{shown}{''.join(map(str, articles[1:]))}</div></div></div></body></html>"
    )


def _title() -> str:
    return str(yaml.safe_load((study.ROOT / "_config.yml").read_text())["title"])


def _contents(listed: dict, titles: dict[str, str], places: dict[str, str]) -> str:
    def of(names: Iterable[str]) -> str:
        known = (name for name in names if name in titles)
        return "".join(f'<li><a href="#{places[f"{name}.html"]}">{titles[name]}</a></li>' for name in known)

    parts = (f"<h2>{part['caption']}</h2><ul>{of(contents.files(part['chapters']))}</ul>" for part in listed["parts"])
    return f'<nav class="contents bd-article"><h1>Contents</h1>{"".join(parts)}</nav>'


def _article(built: Path, name: str, places: dict[str, str]) -> Tag:
    """The text of a page, its anchors renamed after its place in the book, its links led there."""
    soup = BeautifulSoup((built / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    article, folder, place = soup.select_one("article.bd-article"), posixpath.dirname(name), places[f"{name}.html"]
    if article is None:
        raise RuntimeError(f"{name}.html has no text; build the site anew")
    for out in article.select(_LEFT_OUT):
        out.decompose()
    for line in article.find_all("p"):
        if line.get_text().startswith("Next: "):  # on paper the next page follows
            line.decompose()
    for dropdown in article.select("details.sd-dropdown, details.outcomes"):  # solutions, and other values
        dropdown["open"] = ""
    for named in article.select("[id]"):
        named["id"] = f"{place}-{named['id']}"
    for used in article.select("[aria-labelledby], [aria-describedby], [for]"):
        for key in ("aria-labelledby", "aria-describedby", "for"):
            if used.has_attr(key):
                used[key] = " ".join(f"{place}-{one}" for one in str(used[key]).split())
    article["id"] = place
    for link in article.select("a[href]"):
        link["href"] = _led(str(link["href"]), folder, name, places)
    for picture in article.select("img[src]"):
        picture.attrs.pop("loading", None)
        _moved(picture, folder, "src")
    return article


def _led(address: str, folder: str, name: str, places: dict[str, str]) -> str:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return address
    page = posixpath.normpath(posixpath.join(folder, unquote(parts.path))) if parts.path else f"{name}.html"
    if page not in places:
        return f"#{places[f'{name}.html']}"  # a page that is not printed, such as the lines of a module
    return f"#{places[page]}" + (f"-{parts.fragment}" if parts.fragment else "")


def _moved(tag: Tag, folder: str, key: str) -> Tag:
    """A tag whose address counts from the site's root."""
    if not re.match(r"\w+:|//", str(tag[key])):
        tag[key] = posixpath.normpath(posixpath.join(folder, str(tag[key])))
    return tag
