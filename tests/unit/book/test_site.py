"""The site: whole or not at all, for the parts that were asked for, and still found at its old addresses."""

import itertools
import os
import re
from pathlib import Path
from types import SimpleNamespace

import docutils.utils
import pytest
import yaml
from docutils import nodes
from sphinx import addnodes

from helpers import study
from helpers.book import contents, site
from helpers.book import sphinx as extension

CONFIG = {"repository": {"url": ""}, "html": {"use_issues_button": True}, "sphinx": {"config": {}}}


PAGE = (
    '<!DOCTYPE html>\n<html>\n  <head>\n    <meta charset="utf-8" /><title>x</title></head>\n<body>'
    f"<article>the page FILE {'word ' * 20}</article></body></html>"
)


class Builder:
    """Stands for jupyter-book: writes a page of every entry, and keeps what it was asked."""

    def __init__(self) -> None:
        self.fails, self.config, self.files, self.body = False, {}, [], ""

    def __call__(self, words, *, log):
        named = dict(itertools.pairwise(words))
        self.config = yaml.safe_load(Path(named["--config"]).read_text())
        self.files = list(contents.files(yaml.safe_load(Path(named["--toc"]).read_text())))
        built = Path(named["--path-output"]) / "_build" / "html"
        for file in ["index", *self.files]:
            (built / f"{file}.html").parent.mkdir(parents=True, exist_ok=True)
            (built / f"{file}.html").write_text(PAGE.replace("FILE", f"{file} {self.body}"))
        (built / "search.html").write_text(PAGE.replace("<article>", "<script>theme()</script><article>"))
        log.write_text("WARNING: undefined label: 'sec:nothing'\n" if self.fails else "")
        return int(self.fails)


@pytest.fixture
def builder(library, monkeypatch):
    (library / "_config.yml").write_text(yaml.safe_dump(CONFIG))
    fake = Builder()
    monkeypatch.setattr(site, "jupyter_book", fake)
    return fake


def test_a_site_takes_the_place_of_the_old_one_when_it_is_whole(builder, library):
    site.SITE.mkdir(parents=True)
    (site.SITE / "old.html").write_text("old")
    assert site.site(["resnet34"]) == site.SITE / "index.html"
    assert not (site.SITE / "old.html").exists()
    assert (site.SITE / "book/executed/copy/resnet34/05_training.html").is_file()
    assert sorted(path.name for path in site.BUILD.iterdir()) == ["following", "html", "site.log", "took.txt"]
    assert builder.config["sphinx"]["config"]["helpers_parts"] == ["recorded", "copy"]


def test_a_site_that_cannot_be_built_leaves_the_old_one_and_says_why(builder):
    site.SITE.mkdir(parents=True)
    (site.SITE / "old.html").write_text("old")
    builder.fails = True
    with pytest.raises(RuntimeError, match="undefined label: 'sec:nothing'\nthe site could not be built; "):
        site.site(["resnet18"])
    assert [path.name for path in site.SITE.iterdir()] == ["old.html"]


@pytest.fixture
def kept(builder):
    """What of the last build the next one begins with: nothing, what was read, or the written pages too."""

    def asked(*archs: str) -> str:
        following = site.BUILD / "following"
        marks = {"read": following / "mark", "written": following / "_build" / "html" / "mark"}
        for mark in marks.values():
            mark.write_text("left")
        site.site(archs or ["resnet18"])
        return " and ".join(name for name, mark in marks.items() if mark.exists())

    site.site(["resnet18"])
    return asked


def test_a_changed_sentence_goes_on_from_the_last_build(kept, library):
    chapter = next(contents.NOTEBOOKS.glob("*.md"))
    assert kept() == "read and written"
    chapter.write_text(chapter.read_text() + "\nA new sentence.\n")
    assert kept() == "read and written"


@pytest.mark.parametrize("line", ["## Another heading", "(sec:another)=", "![](x) caption: another"])
def test_what_other_pages_show_of_a_page_writes_every_page_anew(kept, library, line):
    chapter = next(contents.NOTEBOOKS.glob("*.md"))
    chapter.write_text(f"{chapter.read_text()}\n{line}\n")
    assert kept() == "read"
    assert kept() == "read and written"


def test_another_list_of_networks_writes_every_page_anew_and_another_setting_reads_it_anew(kept, library):
    assert kept("resnet34") == "read"
    (library / "_config.yml").write_text(yaml.safe_dump(CONFIG | {"title": "another"}))
    assert kept("resnet34") == ""


def test_a_build_that_failed_is_no_beginning_for_the_next(kept, builder):
    builder.fails = True
    with pytest.raises(RuntimeError):
        kept()
    builder.fails = False
    assert kept() == ""


@pytest.mark.parametrize("part", contents.PARTS)
def test_a_site_of_one_part_has_its_pages_only(builder, part):
    site.site(["resnet18"], parts=[part])
    (other,) = {*contents.PARTS} - {part}
    assert builder.config["sphinx"]["config"]["helpers_parts"] == [part]
    assert f"book/executed/{part}/09_results" in builder.files
    assert not [file for file in builder.files if f"/executed/{other}/" in file]


@pytest.mark.parametrize(("url", "shown"), [("", False), ("https://example.org/x", True)])
def test_buttons_of_a_repository_are_shown_where_one_is_named(builder, library, url, shown):
    (library / "_config.yml").write_text(yaml.safe_dump(CONFIG | {"repository": {"url": url}}))
    site.site(["resnet18"])
    html = builder.config["html"]
    assert html["use_repository_button"] is html["use_issues_button"] is shown


@pytest.mark.parametrize("address", ["", "https://example.org/book/"])
def test_pages_are_listed_for_search_engines_where_the_site_has_an_address(builder, library, address):
    html = {"use_issues_button": True, "baseurl": address}
    (library / "_config.yml").write_text(yaml.safe_dump(CONFIG | {"html": html}))
    site.site(["resnet18"])
    listed = site.SITE / "sitemap.xml"
    assert listed.exists() is bool(address)
    if address:
        found = re.findall(r"<loc>(.*)</loc>", listed.read_text())
        assert found == [f"https://example.org/book/{file}.html" for file in builder.files]


@pytest.mark.parametrize("address", ["", "https://example.org/"])
def test_a_page_says_what_it_is_about_and_with_an_address_has_a_preview(address):
    text = 'Short. A sentence that says what <this> page is "about", at some length.'
    context = {"title": "A & B"}
    app = SimpleNamespace(config=SimpleNamespace(html_baseurl=address))
    extension.describe(app, "book/sheet", "page.html", context, paragraph(nodes.Text(text)))
    said = "Short. A sentence that says what &lt;this&gt; page is &quot;about&quot;, at some length."
    assert f'<meta name="description" content="{said}">' in context["metatags"]
    assert '<meta property="og:title" content="A &amp; B">' in context["metatags"]
    assert ("https://example.org/book/sheet.html" in context["metatags"]) is bool(address)


def leads_to(address: str) -> str:
    """Where a browser ends that asks for an old address."""
    old = site.SITE / "book" / "executed" / address
    text = old.read_text()
    (target,) = set(re.findall(r'(?:url=|href=")([^"]+)"', text))
    return (old.parent / target).resolve().relative_to(site.SITE / "book" / "executed").as_posix()


def test_old_addresses_lead_to_where_the_pages_are_now(builder):
    site.site(["resnet18", "resnet34"])
    # what is recorded comes first; what is not, in your copy
    for old, new in {
        "09_results.html": "recorded/09_results.html",
        "resnet18/05_training.html": "recorded/resnet18/05_training.html",
        "resnet34/05_training.html": "copy/resnet34/05_training.html",
        "11_runs.html": "copy/11_runs.html",
    }.items():
        assert leads_to(old) == new
        assert "the page " in (site.SITE / "book" / "executed" / new).read_text()
    # a page that has not moved is itself
    assert "<article>the page book/executed/03_features " in (site.SITE / "book/executed/03_features.html").read_text()


def test_a_label_may_be_missing_only_with_its_part():
    extension.left_out_labels.cache_clear()
    assert extension.left_out_labels(("recorded", "copy")) == {}
    labels = extension.left_out_labels(("recorded",))
    assert {"sec:runs-copy", "sec:training-resnet50-copy"} <= set(labels)
    title = next(line for line in (contents.NOTEBOOKS / "11_runs.md").read_text().splitlines() if line.startswith("# "))
    assert labels["sec:runs-copy"] == title.removeprefix("# ")
    assert "sec:nothing" not in labels


def test_a_page_that_says_something_else_is_read_again_whatever_the_clock_says(tmp_path):
    """Sphinx compares times; here nothing is newer than when it was read."""
    for name in ("one.md", "two.md", "said.md"):
        (tmp_path / name).write_text(name)
    env = SimpleNamespace(
        found_docs={"one", "two"},
        dependencies={"one": {"said.md"}, "two": set()},
        doc2path=lambda page: str(tmp_path / f"{page}.md"),
        srcdir=str(tmp_path),
    )
    assert extension.changed(None, env) == []
    extension.note_contents(None, env)
    assert extension.changed(None, env) == []
    for name, page in (("two.md", "two"), ("said.md", "one")):
        (tmp_path / name).write_text("another text")
        os.utime(tmp_path / name, (1, 1))
        assert extension.changed(None, env) == [page]
        extension.note_contents(None, env)


def test_the_name_of_a_kernel_is_no_script_in_a_page():
    kept = nodes.raw("", "<script>alert(1)</script>", format="html")  # not ours to drop; the policy refuses it
    document = paragraph(nodes.raw("", "<script>kernelName = 'python3'</script>", format="html"), kept)
    extension.without_kernel_name(None, document, "book/sheet")
    assert list(document.findall(nodes.raw)) == [kept]


# The glossary


def paragraph(*children: nodes.Node, around: type[nodes.Element] = nodes.section) -> nodes.document:
    document = docutils.utils.new_document("page")
    document += around("", nodes.paragraph("", "", *children))
    return document


def linked(document: nodes.document, page: str = "book/sheet") -> list[tuple[str, str]]:
    extension.link_terms(SimpleNamespace(env=SimpleNamespace(docname=page)), document)
    return [(link["reftarget"], link.astext()) for link in document.findall(addnodes.pending_xref)]


@pytest.fixture
def words(library):
    entries = [
        "clip\n  A short file.",
        "score\n  A number.",
        "frame\n  A column.",
        "frame score\n  One\n  for `each`.",
        "run\n  One.",
    ]
    (library / "book").mkdir(exist_ok=True)
    text = "# Glossary\n\n```{glossary}\n" + "\n\n".join(entries) + "\n```\n"
    (library / "book" / "glossary.md").write_text(text)
    extension.terms.cache_clear()
    yield
    extension.terms.cache_clear()


def test_the_first_place_of_each_word_leads_to_the_glossary(words):
    document = paragraph(nodes.Text("Clips have a frame score; a clip runs, each frame of a run, eclipsed."))
    assert linked(document) == [("clip", "Clips"), ("frame score", "frame score"), ("frame", "frame")]
    assert document.astext() == "Clips have a frame score; a clip runs, each frame of a run, eclipsed."


def test_names_links_and_tables_are_left_alone(words):
    for inside in (nodes.literal, nodes.reference, nodes.title, nodes.math):
        assert linked(paragraph(inside("", "clip"))) == []
    assert linked(paragraph(nodes.Text("clip"), around=nodes.table)) == []
    assert linked(paragraph(nodes.Text("clip")), page="book/glossary") == []
    assert linked(paragraph(nodes.Text("clip")), page="book/code/study") == []


def test_a_link_to_the_glossary_says_what_the_word_means(words):
    link = nodes.reference(
        "", "", nodes.inline("", "Frame scores", classes=["term"]), refuri="glossary.html#term-frame-score"
    )
    other = nodes.reference("", "", nodes.inline("", "clip"), refuri="elsewhere.html")
    extension.show_meanings(None, paragraph(link, other), "book/sheet")
    assert link["reftitle"] == "One for each."
    assert "reftitle" not in other


def test_the_glossary_has_every_word_of_the_study_once():
    text = (study.ROOT / "book" / "glossary.md").read_text()
    listed = re.findall(r"^(\S.*)\n  ", text.partition("```{glossary}")[2], re.MULTILINE)
    assert listed == sorted(set(listed), key=str.lower)
    known = "clip recording node map curve block baseline effect score null ceiling rung specification profile"
    assert {*known.split(), "study", "run", "artefact", "source"} <= set(listed)
