"""What the site's pages need of Sphinx: formulas as MathML, and no script that the book does not use.

MathML is written when the site is built: no script, no other host, readable by screen readers.
A Sphinx extension; _config.yml loads it. Source: latex2mathml. Chapter: every notebook
"""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator


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


def setup(app: Sphinx) -> dict:
    """Register the renderer under the name `mathml`, and the handler."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("html-page-context", without_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
