"""What the site's pages need of Sphinx: formulas as MathML, links to the glossary, where figures come from, doors.

MathML is written when the site is built: no script, no other host, readable by screen readers.
A Sphinx extension; _config.yml loads it. Source: latex2mathml. Chapter: every notebook
"""

import functools
import re
from html import escape
from pathlib import Path
from textwrap import shorten

from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from helpers import artifacts, study
from helpers.book import contents, doors

_IDLE = re.compile(r"thebe|DOCUMENTATION_OPTIONS\.pagename")
_THEBE = re.compile(r"<script>kernelName|<script type=\"text/x-thebe-config\"")
_VERBS = ("run", "source", "study")  # words that mostly stand for something else, or on every line
_APART = (
    *(nodes.reference, nodes.title, nodes.literal, nodes.caption, nodes.table, nodes.math, nodes.raw, nodes.term),
    *(nodes.citation, addnodes.pending_xref, addnodes.desc),
)


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula that stands in a sentence."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula that stands alone, with its number and a link to it."""
    translator.body.append(translator.starttag(node, "div", CLASS="math formula"))
    translator.body.append(convert(node.astext(), display="block"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def without_thebe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document) -> None:
    """Drop the scripts of sphinx-thebe, which jupyter-book loads, twice, also for a book that never uses it.

    And the one script of the theme that says each page its name, for a choice of versions that the book has not: what
    is left is the same on every page (`pages.policy`).
    """
    scripts = context.get("script_files", [])
    # in place: the theme's own handlers hold the same list
    scripts[:] = [s for s in scripts if not _IDLE.search(f"{getattr(s, 'filename', s)} {vars(s)}")]


def without_kernel_name(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Drop what sphinx-thebe writes into each page for its scripts: a script of its own that says the kernel's name."""
    for raw in [one for one in doctree.findall(nodes.raw) if _THEBE.search(one.astext())]:
        raw.parent.remove(raw)


def left_out(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, inside: nodes.TextElement
) -> nodes.Node | None:
    """A reference to a chapter of a part that this site was built without (`PARTS`): its text, and no link."""
    labels = left_out_labels(tuple(app.config.helpers_parts))
    target = str(node["reftarget"])
    if target not in labels:
        return None
    said = node.astext() if node.get("refexplicit") else f"{labels[target]} (not in this edition)"
    return nodes.inline(said, said)


@functools.cache
def left_out_labels(parts: tuple[str, ...]) -> dict[str, str]:
    """Labels of the chapters, all of which may be missing where a part is, and the titles of these chapters."""
    if set(parts) == set(contents.PARTS):
        return {}  # then a missing label is a mistake
    found = {}
    for source in contents.NOTEBOOKS.glob("*.md"):
        notebook = contents.read(source)
        title = next(line for line in notebook.cells[0].source.splitlines() if line.startswith("# "))
        for label in contents.labels_of(notebook):
            for suffix in ("", "-copy", *(f"-{name}{end}" for name in study.NETWORKS for end in ("", "-copy"))):
                found[f"{label}{suffix}"] = title.removeprefix("# ")
    return found


@functools.cache
def terms() -> dict[str, str]:
    """What each word of the glossary means, by the word; book/glossary.md."""
    listed = (study.ROOT / "book" / "glossary.md").read_text().partition("```{glossary}\n")[2].partition("```")[0]
    entries = (entry.split("\n", 1) for entry in listed.strip().split("\n\n"))
    return {word: " ".join(meaning.split()).replace("`", "") for word, meaning in entries}


def link_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Let the first place of each word of the glossary on a page lead there."""
    if app.env.docname in ("book/glossary", "book/references") or app.env.docname.startswith("book/code"):
        return
    waiting = {word: re.compile(rf"\b{word}s?\b", re.IGNORECASE) for word in terms() if word not in _VERBS}
    texts = [text for text in doctree.findall(nodes.Text) if _is_prose(text)]
    while texts and waiting:
        text = texts.pop(0)
        found = {word: match for word, pattern in waiting.items() if (match := pattern.search(text))}
        if not found:
            continue
        word = min(found, key=lambda one: (found[one].start(), -len(one)))  # the longest of those that begin there
        match, content = found[word], text.astext()
        said = nodes.inline(match[0], match[0], classes=["term"])
        link = addnodes.pending_xref("", said, refdomain="std", reftype="term", reftarget=word)
        link["refdoc"] = app.env.docname
        rest = nodes.Text(content[match.end() :])
        text.parent.replace(text, [nodes.Text(content[: match.start()]), link, rest])
        texts.insert(0, rest)
        del waiting[word]


def _is_prose(text: nodes.Text) -> bool:
    """Whether a text stands in a paragraph, and in nothing that is a link, a name or a cell of a table."""
    above, node = [], text.parent
    while node is not None:
        above.append(type(node))
        node = node.parent
    return nodes.paragraph in above and not any(issubclass(kind, _APART) for kind in above)


def show_meanings(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give each link to the glossary the meaning as its title; book.js shows it to the keyboard too."""
    for link in doctree.findall(nodes.reference):
        words = [one for one in link.children if isinstance(one, nodes.inline) and "term" in one["classes"]]
        if words and link.get("refid", link.get("refuri", "")).partition("#")[2].startswith("term-"):
            said = words[0].astext().lower()
            link["reftitle"] = next(m for w, m in terms().items() if said in (w.lower(), f"{w.lower()}s"))


def note_contents(app: Sphinx, env: BuildEnvironment) -> None:
    """Keep what each page was read from, for `changed`."""
    env.helpers_read = {page: _read_from(env, page) for page in env.found_docs}  # type: ignore[attr-defined]


def changed(app: Sphinx, env: BuildEnvironment, *given: set[str]) -> list[str]:
    """Pages that say something else than when they were read: Sphinx looks at times, and a clock can be wrong."""
    before = getattr(env, "helpers_read", {})
    return [page for page in env.found_docs if page in before and before[page] != _read_from(env, page)]


def _read_from(env: BuildEnvironment, page: str) -> list[str]:
    files = [Path(env.doc2path(page)), *(Path(env.srcdir, name) for name in sorted(env.dependencies[page]))]
    return [artifacts.content_digest(file) for file in files if file.exists()]


class Said(nodes.General, nodes.Element):
    """What stands on a page as HTML: no raw node, because the search reads those."""


def write_said(translator: HTML5Translator, node: Said) -> None:
    """Write it."""
    translator.body.append(node["said"])
    raise nodes.SkipNode


def describe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Say what a page is about, for search engines and previews: its first paragraph that is no note on its data."""
    if doctree is None:
        return
    said = next((text for one in doctree.findall(nodes.paragraph) if len(text := one.astext()) > 40), "")
    said = escape(shorten(said, 200, placeholder=" ..."))
    title = escape(context.get("title", ""))
    tags = {"og:title": title, "og:description": said, "og:type": "article"}
    if address := app.config.html_baseurl:  # a preview needs whole addresses
        root = address.rstrip("/")
        tags |= {"og:url": f"{root}/{page}.html", "og:image": f"{root}/_static/card.png"}
    listed = "".join(f'<meta property="{name}" content="{value}">' for name, value in tags.items())
    context["metatags"] = f'{context.get("metatags", "")}<meta name="description" content="{said}">{listed}'


def tell_origins(app: Sphinx, doctree: nodes.document) -> None:
    """Say below each figure, table and player of an executed chapter where it comes from (`helpers.book.origin`)."""
    root = "../" * app.env.docname.count("/")
    for cell in list(doctree.findall(nodes.container)):
        said = cell.get("cell_metadata", {}).get("origin", "") if cell.get("nb_element") == "cell_code" else ""
        shown = [one for one in cell.children if one.get("nb_element") == "cell_code_output"] if said else []
        for output in shown[:1]:
            output.append(Said(said=said.replace("{root}", root)))


def open_doors(app: Sphinx, doctree: nodes.document) -> None:
    """Say below the note on a chapter's data where else it can be run (`helpers.book.doors`)."""
    own = app.config.html_theme_options
    said = doors.html(own.get("repository_url", ""), own.get("repository_branch") or "main", app.env.docname)
    notes = [one for one in doctree.findall(nodes.Element) if "provenance" in one.get("classes", [])]
    for note in notes[:1] if said else []:
        note.parent.insert(note.parent.index(note) + 1, Said(said=said))


def setup(app: Sphinx) -> dict:
    """Register the renderer under the name `mathml`, and the handlers."""
    app.add_config_value("helpers_parts", list(contents.PARTS), "html")  # asked when a page is written
    app.connect("env-updated", note_contents)
    app.connect("env-get-outdated", changed)
    app.connect("missing-reference", left_out)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("doctree-read", link_terms)
    app.connect("doctree-read", tell_origins)
    app.connect("doctree-read", open_doors)
    app.connect("doctree-resolved", show_meanings)
    app.connect("doctree-resolved", without_kernel_name, priority=900)
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("html-page-context", describe)
    app.add_node(Said, html=(write_said, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
