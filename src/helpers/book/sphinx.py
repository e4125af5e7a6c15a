"""What the site's pages need of Sphinx: formulas as MathML, and no script that the book does not use.

MathML is written when the site is built: no script, no other host, readable by screen readers.
A Sphinx extension; _config.yml loads it. Source: latex2mathml. Chapter: every notebook
"""

import functools

from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from helpers import study
from helpers.book import contents


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
    """Drop the scripts of sphinx-thebe: jupyter-book loads it, twice, also for a book that never uses it."""
    scripts = context.get("script_files", [])
    # in place: the theme's own handlers hold the same list
    scripts[:] = [s for s in scripts if "thebe" not in f"{getattr(s, 'filename', s)} {vars(s)}"]


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


def setup(app: Sphinx) -> dict:
    """Register the renderer under the name `mathml`, and the handlers."""
    app.add_config_value("helpers_parts", list(contents.PARTS), "html")  # asked when a page is written
    app.connect("missing-reference", left_out)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("html-page-context", without_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
