"""Built pages before a reader sees them: made light, what a browser may do is set down, what is broken is found.

A content security policy in each page names what its browser may load and run: files of this site, and the scripts that
the theme writes into every page. A script that came with a clip's name or a cell's output is none of these and does
not run. Styles in the page are allowed: tables and figures carry theirs.

Chapter: every notebook
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

THEME = "search.html"  # a page that holds nothing of ours
FEWEST = 20  # words of a page that is not empty
_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_HANDLER = re.compile(r'<button onclick="(?:window\.print|toggleFullScreen)\(\)"')  # the theme's; book.js has them
_ICONS = re.compile(r'\s*<script[^>]*\ssrc="[^"]*\bfontawesome\.js[^"]*"></script>')
_IDLE = re.compile(
    r'\s*<script[^>]*\ssrc="[^"]*\b(?:fontawesome|searchtools|language_data|searchindex)\.js[^"]*"></script>'
)
_HEAD = re.compile(r"\A(.*?<head>\s*(?:<meta charset=[^>]*>)?)", re.DOTALL)
_LINK = re.compile(r'<[a-zA-Z][^<>]*?\s(?:href|src)="([^"]*)"')
_PLACE = re.compile(r'<[a-zA-Z][^<>]*?\s(?:id|name)="([^"]+)"')
_ARTICLE = re.compile(r"<article[^>]*>(.*)</article>", re.DOTALL)
_TAG = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]*>", re.DOTALL)


def policy(scripts: Iterable[str] = ()) -> str:
    """What a page may load and run, as a browser reads it; of scripts in the page only these."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    own = " ".join(["'self'", *(f"'sha256-{one}'" for one in dict.fromkeys(hashes))])
    rules = {"default-src": "'none'", "script-src": own, "style-src": "'self' 'unsafe-inline'"}
    rules |= {"img-src": "'self' data:", "font-src": "'self'", "media-src": "'self'", "connect-src": "'self'"}
    rules |= {"form-action": "'self'", "base-uri": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def lighten(site: Path) -> None:
    """Drop what the theme has every page load and none needs.

    The search's files, but on its own page; and a script of 1.5 MB that draws the icons which a font has drawn.

    Chapter: every notebook
    """
    for page in _pages(site):
        text = _text(page)
        light = (_ICONS if page.name == THEME else _IDLE).sub("", text)
        if light != text:
            page.write_text(light, encoding="utf-8")
    for file in (site / "_static" / "scripts").glob("fontawesome.js*"):
        file.unlink()


def protect(site: Path) -> None:
    """Write the policy into every page of a site.

    Chapter: every notebook
    """
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy(_SCRIPT.findall(_text(site / THEME)))}">'
    for page in _pages(site):
        text = _HANDLER.sub("<button", _text(page))
        with_head = _HEAD.sub(lambda found: f"{found[1]}\n{tag}", text)
        page.write_text(with_head if with_head != text else f"{tag}\n{text}", encoding="utf-8")


def faults(site: Path, files: Iterable[str]) -> list[str]:
    """What is broken on the pages of a site: links, anchors and pictures that are not there, and empty pages.

    Parameters
    ----------
    files : the entries of the contents, whose pages must be there and say something.

    Returns
    -------
    A line per fault: the page and what is wrong.

    Chapter: every notebook
    """
    found = []
    texts = {page.resolve(): _text(page) for page in _pages(site)}
    places = {page: {html.unescape(place) for place in _PLACE.findall(text)} for page, text in texts.items()}
    for file in files:
        article = _ARTICLE.search(texts.get((site / f"{file}.html").resolve(), ""))
        if not article or len(_TAG.sub(" ", article[1]).split()) < FEWEST:
            found.append(f"{file}: the page is empty")
    for page, text in texts.items():
        for link in dict.fromkeys(_LINK.findall(text)):
            wrong = _wrong(html.unescape(link), page, places)
            found += [f"{page.relative_to(site.resolve()).with_suffix('')}: {link} {wrong}"] if wrong else []
    return found


def _wrong(link: str, page: Path, places: dict[Path, set[str]]) -> str:
    address = urlsplit(link)
    if address.scheme in ("http", "https", "mailto", "data") or address.netloc:
        return ""
    if address.scheme:
        return "is no address that a page of this book may have"
    target = (page.parent / unquote(address.path)).resolve() if address.path else page
    if not target.exists():
        return "leads nowhere"
    known = places.get(target)
    if address.fragment and known is not None and not {address.fragment, unquote(address.fragment)} & known:
        return "leads to a place that the page does not have"
    return ""


def _pages(site: Path) -> Iterator[Path]:
    """The pages of a site; what lies beside its styles are templates of the theme."""
    return (page for page in site.rglob("*.html") if "_static" not in page.relative_to(site).parts)


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")
