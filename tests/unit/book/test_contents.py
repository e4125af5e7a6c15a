"""The contents, the pages they name, parameters, labels and twins."""

import json
import os
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import InputError, study
from helpers.book import contents
from helpers.book.contents import Page
from tests.unit.book import made

# The contents


def files(names=("resnet18",), parts=contents.PARTS) -> list[str]:
    return list(contents.files(contents.contents(names, parts=parts)))


@pytest.mark.parametrize("names", [["resnet34"], ["resnet18", "resnet101"], ["resnet50", "resnet18"]])
def test_the_copy_has_the_networks_of_the_call_and_the_recorded_part_its_own(library, names):
    assert files(names) == [
        "book/index",
        "book/executed/03_features",
        "book/networks_recorded",
        *(f"book/executed/recorded/{name}/05_training" for name in made.RECORDED),
        "book/executed/recorded/09_results",
        "book/executed/recorded/19_answer",
        "book/your_copy",
        "book/networks_copy",
        *(f"book/executed/copy/{name}/05_training" for name in names),
        "book/executed/copy/09_results",
        "book/executed/copy/11_runs",
    ]


def test_titles_name_the_network(library):
    sections = contents.contents(["resnet34", "resnet50"])["parts"][1]["chapters"][1]["sections"]
    assert [entry["title"] for entry in sections] == ["ResNet34: it", "ResNet50: it"]


def test_contents_keep_all_else(library):
    found = contents.contents(["resnet18"])
    assert {k: v for k, v in found.items() if k != "parts"} == {"format": "jb-book", "root": "book/index"}
    assert found["parts"][1] == made.TOC["parts"][1]


def test_parameters_of_an_entry_are_passed_to_its_pages_and_not_to_the_site(library):
    toc = yaml.safe_load((library / "_toc.yml").read_text())
    toc["parts"][0]["chapters"][1]["sections"][0]["with"] = {"training_folds": "1 2"}
    (library / "_toc.yml").write_text(yaml.safe_dump(toc))
    for name in made.RECORDED:
        assert contents.passed(Page("05_training", "recorded", name)) == {"training_folds": "1 2"}
    assert contents.passed(Page("05_training", "copy", "resnet18")) == {}
    assert contents.passed(Page("09_results", "recorded", "")) == {}
    assert "training_folds" not in str(contents.contents(["resnet18"]))


@pytest.mark.parametrize(("part", "other"), [("recorded", "copy"), ("copy", "recorded")])
def test_one_part_alone_holds_no_executed_page_of_the_other(library, part, other):
    found = files(parts=[part])
    assert found == [file for file in files() if f"/executed/{other}/" not in file]
    assert f"book/executed/{part}/09_results" in found
    assert {"book/your_copy", "book/executed/03_features"} <= set(found)  # these ask for no data


def test_the_real_book_without_its_copy_part_has_no_page_that_computes():
    found = files(parts=["recorded"])
    assert not [file for file in found if "/executed/copy/" in file]
    assert len([file for file in found if "/executed/recorded/" in file]) >= 15


@pytest.mark.parametrize("names", [["resnet18"], ["resnet18", "resnet101"], [*study.NETWORKS]])
def test_the_real_book_has_no_page_twice_every_chapter_and_every_page_by_hand(names):
    found = files(names)
    assert len(found) == len(set(found))
    pages = [page for file in found if (page := contents.executed(file))]
    assert {page.chapter for page in pages} == {path.stem for path in contents.NOTEBOOKS.glob("*.md")}
    assert [file for file in found if "/executed/" not in file and not Path(study.ROOT, f"{file}.md").is_file()] == []
    for name in names:
        assert sum(page.part == "copy" and page.architecture == name for page in pages) == 3


def test_the_recorded_pages_of_the_real_book_are_the_same_whatever_networks_are_asked_for():
    recorded = [[f for f in files(names) if "/recorded/" in f] for names in (["resnet18"], ["resnet50"])]
    assert recorded[0] == recorded[1]
    assert {Page.of(f).architecture for f in recorded[0]} == {"", "resnet18", "resnet101"}


@pytest.mark.parametrize(
    ("file", "page", "suffix"),
    [
        ("book/executed/07_metric", Page("07_metric", "", ""), ""),
        ("book/executed/recorded/09_results", Page("09_results", "recorded", ""), ""),
        ("book/executed/copy/09_results", Page("09_results", "copy", ""), "-copy"),
        (
            "book/executed/recorded/resnet101/05_training",
            Page("05_training", "recorded", "resnet101"),
            "-resnet101",
        ),
        (
            "/a/b/book/executed/copy/resnet18/05_training.ipynb",
            Page("05_training", "copy", "resnet18"),
            "-resnet18-copy",
        ),
    ],
)
def test_a_page_says_by_its_place_what_it_is(file, page, suffix):
    assert contents.executed(file) == page
    assert page.suffix == suffix


def test_a_page_by_hand_is_not_executed():
    assert contents.executed("book/how_to_use") is None


# Parameters and modules


def notebook_of(*sources: str):
    return new_notebook(cells=[new_code_cell(s, metadata={"tags": ["parameters"]}) for s in sources])


def test_parameters_are_the_names_and_values_of_the_tagged_cell():
    source = 'architecture = "resnet18"  # a comment\nseed = 0\ndata = ""\nepochs = None\nothers = {"n_mfcc": 20}'
    notebook = notebook_of(source)
    notebook.cells.append(new_code_cell("other = 1"))
    assert contents.parameters_of(notebook, name="x.md") == {
        "architecture": "resnet18",
        "seed": 0,
        "data": "",
        "epochs": None,
        "others": {"n_mfcc": 20},
    }


@pytest.mark.parametrize("count", [0, 2])
def test_a_notebook_needs_exactly_one_parameters_cell(count):
    with pytest.raises(InputError) as caught:
        contents.parameters_of(notebook_of(*["a = 1"] * count), name="05_x.md")
    assert str(caught.value) == f'05_x.md has {count} cells tagged "parameters"; give it exactly one'


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("seed = 1 +", "x.md has a cell that is no Python (invalid syntax: seed = 1 +); mend it"),
        ("seed = range(3)", 'x.md: the cell tagged "parameters" holds more than plain values; give numbers or texts'),
    ],
)
def test_a_slip_in_the_parameters_is_one_sentence(cell, said):
    with pytest.raises(InputError) as caught:
        contents.parameters_of(notebook_of(cell), name="x.md")
    assert str(caught.value) == said


CONFLICT = "<<<<<<< HEAD\nOurs.\n=======\nTheirs.\n>>>>>>> branch\n"


def test_a_merge_conflict_in_a_chapter_or_its_twin_is_one_sentence(library):
    chapter = library / "notebooks" / "03_features.md"
    contents.pairs(check=False)
    text = chapter.read_text()
    for place, line in ((0, 1), (len(text), text.count("\n") + 1)):
        chapter.write_text(text[:place] + CONFLICT + text[place:])
        for read in (
            lambda: contents.read(chapter),
            lambda: contents.pairs(check=True),
            lambda: contents.sources_of("03_features"),
        ):
            with pytest.raises(InputError) as caught:
                read()
            said = "a merge conflict is not settled; keep one side and remove the marks around both"
            assert str(caught.value) == f"notebooks/03_features.md, line {line}: {said}"
    chapter.write_text(text)
    twin = chapter.with_suffix(".ipynb")
    twin.write_text(CONFLICT + twin.read_text())
    later = chapter.stat().st_mtime + 10
    os.utime(twin, (later, later))
    with pytest.raises(InputError, match=r"^notebooks/03_features\.ipynb, line 1: a merge conflict"):
        contents.pairs(check=False)
    assert twin.read_text().startswith(CONFLICT)  # nobody's side is lost


def test_a_line_of_equals_signs_is_a_heading_and_no_conflict(library):
    chapter = library / "notebooks" / "03_features.md"
    chapter.write_text(chapter.read_text() + "\nHeading\n=======\n\nA << b and c >> d.\n")
    assert contents.read(chapter)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"---\njupytext: {a: [\n---\n# x\n", "cannot be read"),
        ("# caf\u00e9\n".encode("latin-1"), "cannot be read ('utf-8' codec"),
        (made.PLAIN.replace("1\n", "if x\n").encode(), "has a cell that is no Python (expected ':': if x)"),
    ],
)
def test_a_chapter_that_cannot_be_read_is_named(library, content, said):
    (library / "notebooks" / "03_features.md").write_bytes(content)
    with pytest.raises(InputError) as caught:
        contents.sources_of("03_features")
    assert "03_features.md" in str(caught.value)
    assert said in str(caught.value)
    assert "mend it" in str(caught.value)


def test_the_modules_of_a_chapter_are_found():
    assert {"networks.training", "audio.urbansound"} <= contents.imports_of("05_training")
    assert "audio.representations" not in contents.imports_of("05_training")  # networks.training imports it
    found = contents.sources_of("05_training")
    assert {f"src/helpers/{name}.py" for name in ("networks/training", "audio/representations", "study")} <= set(found)
    assert "src/helpers/metric/perturbation.py" not in found
    assert all((study.ROOT / path).is_file() for path in found)


# Labels


def test_labels_are_found_in_markdown_and_in_cells():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("(sec:a)=\n# A\n\n$$\nx\n$$ (eq:b)\n\n:::{figure} x\n:name: fig:c\n:::\n"),
            new_markdown_cell("```{math}\n:label: eq:d\n```\n\nnot (sec:e)= here"),
            new_code_cell("1", metadata={"mystnb": {"figure": {"name": "fig:f"}}}),
            new_code_cell("2", metadata={"mystnb": {"image": {"alt": "x"}}}),
        ]
    )
    assert contents.labels_of(notebook) == {"sec:a", "eq:b", "fig:c", "eq:d", "fig:f"}


@pytest.mark.parametrize(
    ("part", "end", "said"), [("recorded", "", "ResNet34"), ("copy", "-copy", "ResNet34, your copy")]
)
def test_labels_of_a_networks_chapter_get_its_suffix(executed, markdown, part, end, said):
    page = executed("05_training", folder=f"{part}/resnet34", architecture="resnet34")
    text = markdown(page)
    assert text.startswith(f"(sec:training-resnet34{end})=\n# Training ({said})\n")
    assert f"{{numref}}`fig:history-resnet34{end}`" in text
    assert f"{{eq}}`eq:loss-resnet34{end}`" in text
    assert f"{{ref}}`the start <sec:training-resnet34{end}>`" in text
    assert f"$$ (eq:loss-resnet34{end})" in text
    # other chapters' labels, longer names and plain words stay
    assert "{ref}`sec:features`" in text
    assert "`sec:training-more`, `my-fig:history` or resnet18." in text
    figure = next(c.metadata["mystnb"]["figure"] for c in page.cells if "mystnb" in c.metadata)
    assert figure == {
        "name": f"fig:history-resnet34{end}",
        "caption": f"As {{eq}}`eq:loss-resnet34{end}` says.",
    }


def test_no_two_pages_share_a_label(executed):
    pages = [
        executed("05_training", folder=f"{part}/{name}", architecture=name)
        for part in contents.PARTS
        for name in ("resnet18", "resnet34")
    ]
    pages += [executed("09_results", folder=part) for part in contents.PARTS]
    labels = [label for page in pages for label in contents.labels_of(page)]
    assert len(labels) == len(set(labels)) == 4 * 3 + 2


def test_references_of_a_copy_page_stay_in_the_copy_where_it_has_the_page(executed, markdown):
    text = markdown(executed("09_results", folder="copy", architectures="resnet50"))
    assert text.startswith("(sec:results-copy)=\n# Results (your copy)\n")
    assert "{ref}`sec:training-resnet50-copy`: ResNet50" in text
    # what your copy has no page of: a chapter without data, and one that is only recorded
    assert "{ref}`sec:features`, {ref}`sec:answer`\n" in text
    text = markdown(executed("05_training", folder="copy/resnet50", architecture="resnet50"))
    assert "In all: {ref}`sec:results-copy`; made: {ref}`sec:runs-copy`." in text


def test_references_of_a_recorded_page_leave_it_only_for_what_is_not_recorded(executed, markdown):
    text = markdown(executed("09_results", folder="recorded", architectures="resnet18 resnet101"))
    assert text.startswith("(sec:results)=\n# Results\n")
    assert "{ref}`sec:training-resnet101`: ResNet101" in text
    assert "{ref}`sec:features`, {ref}`sec:answer`\n" in text
    text = markdown(executed("05_training", folder="recorded/resnet18", architecture="resnet18"))
    assert "In all: {ref}`sec:results`; made: {ref}`sec:runs-copy`." in text


def test_a_block_for_each_network_is_written_once_per_network(executed, markdown):
    text = markdown(executed("09_results", folder="recorded", architectures="resnet101 resnet34 resnet18"))
    assert (
        "- {ref}`sec:training-resnet101`: ResNet101\n"
        "- {ref}`sec:training-resnet34`: ResNet34\n"
        "- {ref}`sec:training-resnet18`: ResNet18\n"
        "\nAfter."
    ) in text
    assert "% each" not in text
    assert "% end" not in text


def test_a_block_for_each_network_takes_the_chapters_own_networks_by_default(executed, markdown):
    text = markdown(executed("09_results"))
    assert text.count("sec:training-resnet18`: ResNet18\n") == text.count("sec:training-resnet101`") == 1


# Twins and the table of choices


def written(library) -> dict[str, bytes]:
    paths = [*(library / "notebooks").glob("*.ipynb"), library / "book" / "fields.md"]
    return {path.name: path.read_bytes() for path in paths}


def test_twins_are_written_and_then_found_in_order(library):
    contents.pairs(check=False)
    twins = written(library)
    assert set(twins) == {*(f"{name}.ipynb" for name in made.CHAPTERS), "fields.md"}
    contents.pairs(check=True)
    for path in (library / "notebooks").glob("*.ipynb"):
        path.unlink()
    contents.pairs(check=False)
    assert written(library) == twins


def test_a_new_name_of_a_registry_is_written_beside_each_parameter(library, monkeypatch):
    chapter = library / "notebooks" / "05_training.md"
    contents.pairs(check=False)
    before, comment = chapter.read_text(), study.comment
    assert f"seed = 0  # {comment('seed')}\n" in before
    monkeypatch.setattr(study, "comment", lambda name: f"{comment(name)}, anew" if name == "seed" else comment(name))
    with pytest.raises(
        InputError, match=r"^05_training\.md, .* differ from what they are made from; run `make pairs`$"
    ):
        contents.pairs(check=True)
    contents.pairs(check=False)
    assert chapter.read_text() == before.replace(f"# {comment('seed')}\n", f"# {comment('seed')}, anew\n")
    assert "anew" in chapter.with_suffix(".ipynb").read_text()
    contents.pairs(check=True)


def test_a_twin_has_the_cells_of_its_source_and_no_outputs(library):
    twin = json.loads(contents.pair(library / "notebooks" / "05_training.md"))
    source = jupytext.read(library / "notebooks" / "05_training.md")
    assert ["".join(c["source"]) for c in twin["cells"]] == [c.source for c in source.cells]
    assert [c["id"] for c in twin["cells"]] == ["cell-00", "cell-01", "cell-02"]
    assert all(not c.get("outputs") and c.get("execution_count") is None for c in twin["cells"])
    assert twin["metadata"]["kernelspec"]["name"] == "python3"
    nbformat.validate(nbformat.from_dict(twin))


def harm_text(root: Path) -> str:
    path = root / "notebooks" / "05_training.md"
    path.write_text(path.read_text().replace("# Training", "# Trainings"))
    return "05_training.ipynb, reading_order.md"


def harm_twin(root: Path) -> str:
    path = root / "notebooks" / "05_training.ipynb"
    path.write_text(path.read_text().replace("print(", "prin("))
    os.utime(path, ns=(1, 1))  # older than its chapter
    return path.name


def remove_twin(root: Path) -> str:
    (root / "notebooks" / "05_training.ipynb").unlink()
    return "05_training.ipynb"


def run_twin(root: Path) -> str:
    path = root / "notebooks" / "05_training.ipynb"
    twin = nbformat.read(path, as_version=4)
    twin.cells[-1].outputs = [new_output("stream", name="stdout", text="1")]
    nbformat.write(twin, path)
    return path.name


def harm_fields(root: Path) -> str:
    (root / "book" / "fields.md").write_text("| parameter |")
    return "fields.md"


@pytest.mark.parametrize("harm", [harm_text, harm_twin, remove_twin, run_twin, harm_fields])
def test_what_is_not_in_step_is_named_and_mended(library, harm):
    contents.pairs(check=False)
    stale = harm(library)
    with pytest.raises(InputError) as caught:
        contents.pairs(check=True)
    assert str(caught.value) == f"{stale} differ from what they are made from; run `make pairs`"
    contents.pairs(check=False)
    contents.pairs(check=True)


@pytest.mark.parametrize("check", [True, False])
def test_what_somebody_wrote_into_a_twin_is_not_lost(library, check):
    contents.pairs(check=False)
    path = library / "notebooks" / "05_training.ipynb"
    edited = path.read_text().replace("print(", "prin(")
    path.write_text(edited)
    later = path.with_suffix(".md").stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    with pytest.raises(InputError, match=r"05_training\.ipynb was edited later than 05_training\.md; take its changes"):
        contents.pairs(check=check)
    assert path.read_text() == edited


@pytest.mark.parametrize("check", [True, False])
def test_a_notebook_without_a_source_is_named(library, check):
    contents.pairs(check=False)
    (library / "notebooks" / "12_mine.ipynb").write_text("{}")
    with pytest.raises(InputError) as caught:
        contents.pairs(check=check)
    assert str(caught.value) == "notebooks without a .md twin: 12_mine.ipynb; remove or pair them"


def test_the_table_of_choices_has_every_field_and_its_legal_values():
    head, rule, *rows = contents.fields().splitlines()
    count = head.count(" | ") + 1
    assert rule == "|" + "---|" * count
    cells = [[cell.strip() for cell in row.replace("\\|", "or").strip("|").split("|")] for row in rows]
    assert all(len(row) == count for row in cells)
    assert [row[0].strip("`") for row in cells] == list(study.FIELDS)
    (padding,) = (row for row in cells if row[0] == "`padding`")
    assert padding[1:3] == ["zero", "zero or minimum or repeat_frames or repeat_waveform"]
