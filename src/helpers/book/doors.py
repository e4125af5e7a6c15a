"""Doors: where a chapter opens on machines of others, once the repository has an address (`repository` in _config.yml).

Chapter: book/how_to_use.md
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote, urlsplit

from helpers import InputError
from helpers.book import contents

GITHUB = "github.com"


def links(url: str, branch: str, file: str) -> dict[str, str]:
    """Where a notebook of the repository opens, by the name of the service; none without an address.

    Parameters
    ----------
    url : the repository's public address, or "". branch : of it. file : notebooks/NN_title.ipynb.

    Chapter: book/how_to_use.md
    """
    if not url:
        return {}
    address = urlsplit(url)
    place = address.path.strip("/").removesuffix(".git")
    at, within = quote(branch, safe=""), quote(file.removeprefix("notebooks/"))  # binder/Dockerfile: where Lab begins
    if address.netloc != GITHUB:  # the others open no other host's
        return {"Binder": f"https://mybinder.org/v2/git/{quote(url, safe='')}/{at}?urlpath=lab/tree/{within}"}
    return {
        "Binder": f"https://mybinder.org/v2/gh/{place}/{at}?urlpath=lab/tree/{within}",
        "Codespaces": f"https://codespaces.new/{place}/tree/{quote(branch)}",
        "Colab": f"https://colab.research.google.com/github/{place}/blob/{quote(branch)}/{quote(file)}",
    }


def check(url: str) -> None:
    """Refuse an address that no browser could open.

    Raises
    ------
    InputError
        It is neither empty nor a web address.

    Chapter: book/how_to_use.md
    """
    address = urlsplit(url)
    if url and (address.scheme not in ("http", "https") or not address.netloc or not address.path.strip("/")):
        raise InputError(f'repository: url: "{url}" in _config.yml is no address; write https://host/owner/name, or ""')


def first_cell(url: str) -> str:
    """What has to run in Colab before a chapter: the repository and the packages of its lock, digest by digest.

    Chapter: book/how_to_use.md
    """
    folder = urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return (
        f"!git clone --quiet --depth 1 {url}\n"
        f"!pip install --quiet --require-hashes --requirement {folder}/requirements.lock\n"
        f"!pip install --quiet --no-deps --editable {folder}"
    )


def html(url: str, branch: str, page: str) -> str:
    """The doors of an executed page, folded; "" for any other page, and where the repository has no address.

    Parameters
    ----------
    page : an entry of the contents, such as book/executed/recorded/09_results.

    Chapter: book/how_to_use.md
    """
    chapter = contents.executed(page)
    found = links(url, branch, f"notebooks/{chapter.chapter}.ipynb") if chapter else {}
    if not found:
        return ""
    listed = "".join(f'<li><a href="{escape(link)}">{name}</a></li>' for name, link in found.items())
    needs = (
        "<p>In Colab, put this into a new cell before all others, run it, and choose <i>Restart session</i> under "
        f"<i>Runtime</i>. Then run the rest.</p><pre>{escape(first_cell(url))}</pre>"
    )
    return (
        f'<details class="doors"><summary>Run this chapter elsewhere</summary><ul>{listed}</ul>'
        f"{needs if 'Colab' in found else ''}<p>Others run these services and see what you do there.</p></details>"
    )
