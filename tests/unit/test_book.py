"""From notebooks to pages: contents, parameters, labels, outputs, twins and the command line."""

import base64
import copy
import json
import os
import posixpath
import re
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import InputError, study
from helpers.book import cli, contents, site
from helpers.book import execute as executes
from tests.conftest import Tree

HEADER = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
TRAINING = (
    HEADER
    + """(sec:training)=
# Training

From {ref}`sec:features`. See {numref}`fig:history`, {eq}`eq:loss` and {ref}`the start <sec:training>`;
not `sec:training-more`, `my-fig:history` or resnet18.

$$
L = 0
$$ (eq:loss)

```{code-cell} ipython3
:tags: [parameters]

architecture = "resnet18"  # "resnet18" | "resnet34"
profile = "smoke"  # "smoke" | "quick"
seed = 0  # any integer from 0
data = ""  # "" or a folder
```

```{code-cell} ipython3
---
mystnb:
  figure: {name: "fig:history", caption: "As {eq}`eq:loss` says."}
  image: {alt: "A line."}
---
print(architecture, seed)
```
"""
)
RESULTS = (
    HEADER
    + """(sec:results)=
# Results

{ref}`sec:features`

% each architecture
- {ref}`sec:training-resnet18`: ResNet18
% end

After.

```{code-cell} ipython3
:tags: [parameters]

architectures = "resnet18 resnet101"  # names
profile = "smoke"  # "smoke"
seed = 0  # any integer
data = ""  # "" or a folder
```
"""
)
PLAIN = HEADER + "(sec:features)=\n# Features\n\n```{code-cell} ipython3\n1\n```\n"
TOC = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [
        {
            "caption": "All",
            "chapters": [
                {"file": "book/executed/03_features"},
                {
                    "file": "book/networks",
                    "sections": [{"file": "book/executed/resnet18/05_training", "title": "ResNet18: it"}],
                },
                {"file": "book/executed/09_results"},
            ],
        }
    ],
}


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A book of three small chapters in a folder of its own."""
    study.profiles()  # read from the real configuration before the root moves
    root = tmp_path / "root"
    (root / "notebooks").mkdir(parents=True)
    (root / "_toc.yml").write_text(yaml.safe_dump(TOC, sort_keys=False))
    monkeypatch.setattr(study, "ROOT", root)
    monkeypatch.setattr(study, "DATA", root / "data")
    monkeypatch.setattr(contents, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(contents, "EXECUTED", root / "book" / "executed")
    monkeypatch.setattr(site, "BUILD", root / "_build")
    chapters = {"03_features": PLAIN, "05_training": TRAINING, "09_results": RESULTS}
    for name, text in chapters.items():
        (root / "notebooks" / f"{name}.md").write_text(text)
    return root


class Papermill:
    """Stands for papermill: no kernel; passes the parameters on and gives each code cell `outputs`."""

    def __init__(self) -> None:
        self.calls, self.outputs = [], []

    def __call__(self, notebook, output, given, **options):
        self.calls.append({"output": Path(output), "given": given, **options})
        executed = copy.deepcopy(notebook)
        for cell in executed.cells:
            if cell.cell_type == "code":
                cell.outputs = copy.deepcopy(self.outputs)
                cell.metadata["papermill"] = {"duration": 0.1}
                cell.metadata["execution"] = {"iopub.execute_input": "2026"}
        if given:
            i = next(i for i, c in enumerate(executed.cells) if "parameters" in c.metadata.get("tags", []))
            source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
            injected = new_code_cell(source, metadata={"tags": ["injected-parameters"]})
            executed.cells.insert(i + 1, injected)
        executed.metadata["papermill"] = nbformat.from_dict({"parameters": given})
        nbformat.write(executed, output)
        return executed


@pytest.fixture
def engine(monkeypatch):
    fake = Papermill()
    monkeypatch.setattr(papermill, "execute_notebook", fake)
    return fake


@pytest.fixture
def execute(library, engine):
    """Executes a chapter of the small book without a kernel and reads the page."""

    def call(chapter: str, *, folder: str = "", outputs=(), inputs=(), records=(), **given):
        engine.outputs = list(outputs)
        output = library / "book" / "executed" / folder / f"{chapter}.ipynb"
        source = library / "notebooks" / f"{chapter}.md"
        executes.execute(source, output, given, inputs=inputs, records=records)
        return nbformat.read(output, as_version=4)

    return call


def markdown(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# Contents


def test_contents_of_one_two_and_three_networks(library):
    for names in (["resnet34"], ["resnet18", "resnet101"], ["resnet50", "resnet18", "resnet34"]):
        assert list(contents.files(contents.contents(names))) == [
            "book/index",
            "book/executed/03_features",
            "book/networks",
            *(f"book/executed/{name}/05_training" for name in names),
            "book/executed/09_results",
        ]


def test_contents_name_the_network_in_titles(library):
    sections = contents.contents(["resnet34", "resnet101"])["parts"][0]["chapters"][1]["sections"]
    assert [entry["title"] for entry in sections] == ["ResNet34: it", "ResNet101: it"]


def test_contents_keep_all_else(library):
    assert contents.contents(["resnet18"]) == TOC


@pytest.mark.parametrize("names", [["resnet18"], ["resnet18", "resnet101"], [*study.ARCHITECTURES]])
def test_contents_of_the_real_book_have_no_page_twice_and_every_chapter(names):
    files = list(contents.files(contents.contents(names)))
    assert len(files) == len(set(files))
    chapters = {Path(file).name for file in files if "/executed/" in file}
    # a chapter is shown from the day on which all recorded tables are there that it reads
    reads = {
        path.stem: re.findall(r'reference\.(?:recorded|select)\(\s*"([\w.]+)"', path.read_text())
        for path in (study.ROOT / "notebooks").glob("*.md")
    }
    assert chapters == {
        chapter
        for chapter, tables in reads.items()
        if all((study.ROOT / "data" / "recorded" / table).is_file() for table in tables)
    }
    for file in files:
        if "/executed/" not in file:
            assert (study.ROOT / f"{file}.md").is_file()
    for name in names:
        assert sum(f"/{name}/" in file for file in files) == 3


# Parameters


def notebook_of(*sources: str):
    return new_notebook(cells=[new_code_cell(s, metadata={"tags": ["parameters"]}) for s in sources])


def test_parameters_are_the_names_and_values_of_the_tagged_cell():
    notebook = notebook_of('architecture = "resnet18"  # a comment\nseed = 0\ndata = ""\nhop_length = 512')
    notebook.cells.append(new_code_cell("other = 1"))
    assert contents.parameters_of(notebook, name="x.md") == {
        "architecture": "resnet18",
        "seed": 0,
        "data": "",
        "hop_length": 512,
    }


@pytest.mark.parametrize("count", [0, 2])
def test_a_notebook_needs_exactly_one_parameters_cell(count):
    with pytest.raises(InputError) as caught:
        contents.parameters_of(notebook_of(*["a = 1"] * count), name="05_x.md")
    assert str(caught.value) == f'05_x.md has {count} cells tagged "parameters"; give it exactly one'


def test_executing_a_notebook_without_a_parameters_cell_is_refused(execute, engine, library):
    with pytest.raises(InputError, match=r'03_features.md has 0 cells tagged "parameters"'):
        execute("03_features")
    assert engine.calls == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hop": 1}, 'parameter "hop" is not known to notebooks/05_training.md; choose from architecture, '),
        ({"hop_length": 512}, 'parameter "hop_length" is not known to notebooks/05_training.md'),
        ({"architectures": "resnet18"}, 'parameter "architectures" is not known to notebooks/05'),
        ({"architecture": "resnet8"}, 'architecture "resnet8" is not known; choose from resnet18, '),
        ({"seed": -1}, "seed -1 is not an integer from 0"),
        ({"seed": True}, "seed True is not"),
        ({"profile": "fast"}, 'profile "fast" is not known; choose from quick, smoke, thesis'),
        ({"data": 5}, "data 5 is not text"),
    ],
)
def test_a_wrong_parameter_is_refused_before_a_kernel_starts(execute, engine, library, given, said):
    with pytest.raises(InputError) as caught:
        execute("05_training", folder="resnet18", **given)
    assert said in str(caught.value)
    assert "notebooks/05_training.md" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert engine.calls == []
    assert not (library / "book").exists()


def test_a_page_is_left_as_it_is_while_its_inputs_are(execute, engine, library):
    source, record = library / "notebooks" / "05_training.md", library / "network.json"
    page = library / "book" / "executed" / "resnet18" / "05_training.ipynb"
    other = library / "features.json"
    other.write_text("1")
    record.write_text("{}")
    made = {"folder": "resnet18", "inputs": [source, other], "records": [record]}

    def executed(**changed) -> bool:
        before = len(engine.calls)
        execute("05_training", **(made | changed))
        return len(engine.calls) > before

    assert executed()
    whole = page.read_bytes()
    for path in (page, record):
        os.utime(path, (0, 0))
    assert not executed()
    assert page.read_bytes() == whole
    assert min(page.stat().st_mtime, record.stat().st_mtime) >= other.stat().st_mtime
    assert executed(inputs=())  # who does not say what it depends on gets it anew
    assert executed()
    assert executed(seed=1)
    assert not executed(seed=1)
    other.write_text("2")
    assert executed(seed=1)
    page.write_bytes(whole[:100])
    assert executed(seed=1)
    record.unlink()
    assert executed(seed=1)
    assert not record.exists()


def test_a_list_of_networks_is_checked_too(execute, engine):
    with pytest.raises(InputError, match="each named once"):
        execute("09_results", architectures="resnet18 resnet18")
    assert engine.calls == []


def test_a_chapter_that_is_not_there_is_refused(execute):
    with pytest.raises(InputError) as caught:
        execute("04_nothing")
    assert str(caught.value) == "notebooks/04_nothing.md does not exist; name one of notebooks/*.md"


def test_parameters_that_papermill_loses_are_noticed(library, monkeypatch):
    fake = Papermill()

    def lossy(notebook, output, given, **options):
        executed = fake(notebook, output, given, **options)
        executed.metadata.papermill["parameters"] = {}
        return executed

    monkeypatch.setattr(papermill, "execute_notebook", lossy)
    output = library / "book" / "executed" / "resnet34" / "05_training.ipynb"
    with pytest.raises(RuntimeError, match="did not pass"):
        executes.execute(library / "notebooks" / "05_training.md", output, {"architecture": "resnet34"})
    assert not output.exists()


def test_the_modules_of_a_chapter_are_found():
    found = contents.sources_of("05_training")
    assert {"src/helpers/training.py", "src/helpers/features.py", "src/helpers/synthetic.py"} <= set(found)
    assert "src/helpers/faithfulness.py" not in found
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


def test_labels_of_a_networks_chapter_get_its_suffix(execute):
    page = execute("05_training", folder="resnet34", architecture="resnet34")
    text = markdown(page)
    assert text.startswith("(sec:training-resnet34)=\n# Training (ResNet34)\n")
    assert "{numref}`fig:history-resnet34`" in text
    assert "{eq}`eq:loss-resnet34`" in text
    assert "{ref}`the start <sec:training-resnet34>`" in text
    assert "$$ (eq:loss-resnet34)" in text
    # other chapters' labels, longer names and plain words stay
    assert "{ref}`sec:features`" in text
    assert "`sec:training-more`, `my-fig:history` or resnet18." in text
    figure = next(c.metadata["mystnb"]["figure"] for c in page.cells if "mystnb" in c.metadata)
    assert figure == {"name": "fig:history-resnet34", "caption": "As {eq}`eq:loss-resnet34` says."}


def test_two_networks_never_share_a_label(execute):
    pages = [execute("05_training", folder=name, architecture=name) for name in ("resnet18", "resnet34")]
    labels = [contents.labels_of(page) for page in pages]
    assert len(labels[0]) == len(labels[1]) == 3
    assert not labels[0] & labels[1]


def test_labels_of_a_chapter_that_is_executed_once_stay(execute):
    assert contents.labels_of(execute("09_results")) == {"sec:results"}


def test_a_block_for_each_network_is_written_once_per_network(execute):
    text = markdown(execute("09_results", architectures="resnet101 resnet34 resnet18"))
    assert (
        "- {ref}`sec:training-resnet101`: ResNet101\n"
        "- {ref}`sec:training-resnet34`: ResNet34\n"
        "- {ref}`sec:training-resnet18`: ResNet18\n"
        "\nAfter."
    ) in text
    assert "% each" not in text
    assert "% end" not in text


def test_a_block_for_each_network_takes_the_chapters_own_networks_by_default(execute):
    text = markdown(execute("09_results"))
    assert re.findall(r"sec:training-(\w+)", text) == ["resnet18", "resnet101"]


# Pages


def outputs_on_the_page(page):
    return [cell.outputs for cell in page.cells if cell.cell_type == "code" and cell.outputs]


# What tqdm writes; a line that has become shorter is filled with spaces.
BARS = {
    "named": "\rtraining ResNet18:   0%|          | 0/3 [00:00<?, ?batch/s]"
    "\rtraining ResNet18:  67%|██████▋   | 2/3 [00:01<00:00,  1.31batch/s]"
    "\rtraining ResNet18: 100%|██████████| 3/3 [00:02<00:00,  1.29batch/s]\n",
    "plain": "\r  0%|          | 0/3 [00:00<?, ?it/s]\r100%|##########| 3/3 [00:00<00:00, 38.16it/s]\n",
    "endless": "\rMFCC: 0clip [00:00, ?clip/s]\rMFCC: 3clip [00:00, 96183.52clip/s]\n",
    "bytes": "\ra file.tar.gz:   0%|          | 1.00/7.00k [00:00<00:00, 381kB/s]\n",
    "named, shorter": "\rMFCC:  33%|███▎      | 1/3 [00:00<00:00, 10.02clip/s]"
    "\rMFCC:  67%|██████▋   | 2/3 [00:00<00:00,  9.7clip/s] \n",
    "endless, shorter": "\rMFCC: 1clip [00:00, 419430.40clip/s]\rMFCC: 2clip [00:00, 96183.52clip/s] \n",
}


@pytest.mark.parametrize("text", BARS.values(), ids=BARS)
def test_progress_bars_are_stripped(execute, text):
    page = execute("05_training", outputs=[new_output("stream", name="stderr", text=text)])
    assert [output.text for shown in outputs_on_the_page(page) for output in shown] == []


@pytest.mark.parametrize(
    "warning",
    [
        "module.py:3: UserWarning: lr_scheduler.step() before optimizer.step()\n  warn(x)",
        "50% of the clips [all of fold 3] are missing",
        # looks like the bar of an endless loop
        "RuntimeWarning: 2nd argument [a, b]",
    ],
)
def test_a_warning_beside_a_bar_is_kept(execute, warning):
    text = f"{BARS['named']}{warning}\n{BARS['endless']}"
    page = execute("05_training", outputs=[new_output("stream", name="stderr", text=text)])
    assert outputs_on_the_page(page)
    for shown in outputs_on_the_page(page):
        assert [output.text for output in shown] == [warning]


def test_a_warning_on_the_line_of_a_bar_is_kept(execute):
    text = f"{BARS['named'].rstrip()}module.py:3: UserWarning: careful\n  warn(x)\n"
    page = execute("05_training", outputs=[new_output("stream", name="stderr", text=text)])
    assert "UserWarning: careful" in outputs_on_the_page(page)[0][0].text


def test_what_a_cell_prints_is_kept_as_it_is(execute):
    text = "10%|# | 1/10 [a]\n\nlast line\n"
    page = execute("05_training", outputs=[new_output("stream", name="stdout", text=text)])
    assert outputs_on_the_page(page)[0][0].text == text


@pytest.mark.parametrize("folder", ["", "resnet18"])
def test_sound_is_lifted_to_a_file_that_the_page_finds(execute, library, folder):
    sounds = [b"ID3 one", b"ID3 two"]
    html = "".join(
        f'<audio src="data:audio/mpeg;base64,{base64.b64encode(sound).decode()}"></audio>' for sound in sounds
    )
    chapter = "05_training"
    page = execute(chapter, folder=folder, outputs=[new_output("display_data", data={"text/html": html})])
    shown = outputs_on_the_page(page)[0][0].data["text/html"]
    assert "base64" not in shown
    addresses = re.findall(r'src="([^"]+)"', shown)
    for address, sound in zip(addresses, sounds, strict=True):
        # from the page's address on the site; Sphinx puts book/executed/_static into _static
        found = posixpath.normpath(posixpath.join("book/executed", folder, address))
        assert found.startswith("_static/audio/")
        assert found.endswith(".mp3")
        assert (library / "book" / "executed" / found).read_bytes() == sound


def test_other_html_is_left_alone(execute):
    html = '<img src="data:image/png;base64,AAAA"><table></table>'
    page = execute("05_training", outputs=[new_output("display_data", data={"text/html": html})])
    assert outputs_on_the_page(page)[0][0].data["text/html"] == html


def test_the_page_shows_the_parameters_once(execute):
    def shown(page):
        return [
            c.source
            for c in page.cells
            if {"parameters", "injected-parameters"} & set(c.metadata.get("tags", []))
            and "remove-cell" not in c.metadata["tags"]
        ]

    assert shown(execute("05_training", folder="resnet34", architecture="resnet34", seed=3)) == [
        "architecture = 'resnet34'\nseed = 3"
    ]
    assert shown(execute("05_training"))[0].startswith('architecture = "resnet18"')


def test_the_page_keeps_nothing_that_only_machines_read(execute):
    page = execute("05_training", seed=3)
    assert "papermill" not in page.metadata
    assert all(not {"papermill", "execution"} & set(cell.metadata) for cell in page.cells)


def test_the_banner_says_synthetic_first(execute):
    text = markdown(execute("05_training", seed=7))
    assert ":::{admonition} Data on this page: synthetic stand-in\n:class: warning provenance\n" in text
    assert "**not recordings**" in text
    assert "Profile `smoke`; architecture resnet18, seed 7." in text
    assert "`notebooks/05_training.md` at revision `unknown`" in text


def test_the_banner_says_synthetic_also_when_the_stand_in_is_named(library, stand_in):
    values = {"profile": "smoke", "data": str(stand_in), "seed": 0}
    text = execute.banner(source=Path("05_training.md"), values=values, seconds=3.4)
    assert "**synthetic stand-in**" in text
    assert str(stand_in) not in text
    assert "executed in 3 s" in text


def test_the_banner_says_recordings_for_recordings(library):
    (study.DATA / "UrbanSound8K").mkdir(parents=True)
    values = {"profile": "thesis", "data": "", "architectures": "resnet18 resnet34"}
    text = execute.banner(source=Path("09_results.md"), values=values, seconds=1)
    assert "Data on this page: UrbanSound8K\n:class: note provenance" in text
    assert "Real recordings from UrbanSound8K." in text
    assert "synthetic" not in text
    assert "architectures resnet18 resnet34" in text


def test_the_banner_of_a_page_without_data_names_its_source_only():
    text = execute.banner(source=Path("07_metric.md"), values={"seed": 0}, seconds=1)
    assert text.startswith("```{div} provenance\n`notebooks/07_metric.md` at revision ")
    assert "synthetic" not in text


# Real kernels


def test_a_chapter_is_executed_with_its_parameters(library):
    output = library / "book" / "executed" / "resnet34" / "05_training.ipynb"
    execute.execute(library / "notebooks" / "05_training.md", output, {"architecture": "resnet34", "seed": 3})
    page = nbformat.read(output, as_version=4)
    assert outputs_on_the_page(page)[-1][0].text == "resnet34 3\n"
    assert [p.name for p in output.parent.iterdir()] == [output.name]
    assert markdown(page).startswith("(sec:training-resnet34)=")


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("from helpers import InputError\nraise InputError('Give another.')", InputError, "Give another."),
        ("1 / 0", RuntimeError, "notebooks/05_training.md stopped with ZeroDivisionError: division by zero"),
    ],
    ids=["mistake", "failure"],
)
def test_a_failing_cell_leaves_no_page_and_keeps_the_old_one(library, line, error, said):
    source = library / "notebooks" / "05_training.md"
    source.write_text(TRAINING.replace("print(architecture, seed)", line))
    output = library / "book" / "executed" / "05_training.ipynb"
    output.parent.mkdir(parents=True)
    output.write_text("old")
    with pytest.raises(error) as caught:
        executes.execute(source, output, {})
    assert str(caught.value).startswith(said)
    assert "\x1b" not in str(caught.value)
    assert output.read_text() == "old"
    assert [p.name for p in output.parent.iterdir()] == [output.name]
    if error is InputError:
        assert str(caught.value) == said
    else:
        assert (library / "_build" / "failed" / "05_training.ipynb").is_file()
        assert "_build/failed/05_training.ipynb" in str(caught.value)


# Twins


def test_twins_are_written_and_then_found_in_order(library):
    contents.pairs(check=False)
    twins = {p.name: p.read_bytes() for p in (library / "notebooks").glob("*.ipynb")}
    assert set(twins) == {"03_features.ipynb", "05_training.ipynb", "09_results.ipynb"}
    contents.pairs(check=True)
    for path in (library / "notebooks").glob("*.ipynb"):
        path.unlink()
    contents.pairs(check=False)
    assert {p.name: p.read_bytes() for p in (library / "notebooks").glob("*.ipynb")} == twins


def test_a_twin_has_the_cells_of_its_source_and_no_outputs(library):
    twin = json.loads(contents.pair(library / "notebooks" / "05_training.md"))
    source = jupytext.read(library / "notebooks" / "05_training.md")
    assert ["".join(c["source"]) for c in twin["cells"]] == [c.source for c in source.cells]
    assert [c["id"] for c in twin["cells"]] == ["cell-00", "cell-01", "cell-02"]
    assert all(not c.get("outputs") and c.get("execution_count") is None for c in twin["cells"])
    assert twin["metadata"]["kernelspec"]["name"] == "python3"
    nbformat.validate(nbformat.from_dict(twin))


def harm_text(folder: Path) -> None:
    path = folder / "05_training.md"
    path.write_text(path.read_text().replace("# Training", "# Trainings"))


def harm_twin(folder: Path) -> None:
    path = folder / "05_training.ipynb"
    path.write_text(path.read_text().replace("print(", "prin("))


def remove_twin(folder: Path) -> None:
    (folder / "05_training.ipynb").unlink()


def run_twin(folder: Path) -> None:
    twin = nbformat.read(folder / "05_training.ipynb", as_version=4)
    twin.cells[-1].outputs = [new_output("stream", name="stdout", text="1")]
    nbformat.write(twin, folder / "05_training.ipynb")


@pytest.mark.parametrize("harm", [harm_text, harm_twin, remove_twin, run_twin])
def test_a_stale_twin_is_named_and_mended(library, harm):
    contents.pairs(check=False)
    harm(library / "notebooks")
    with pytest.raises(InputError) as caught:
        contents.pairs(check=True)
    assert str(caught.value) == ("notebooks differ from their .md twins: 05_training.ipynb; run `make pairs`")
    contents.pairs(check=False)
    contents.pairs(check=True)


@pytest.mark.parametrize("check", [True, False])
def test_a_notebook_without_a_source_is_named(library, check):
    contents.pairs(check=False)
    (library / "notebooks" / "12_mine.ipynb").write_text("{}")
    with pytest.raises(InputError) as caught:
        contents.pairs(check=check)
    assert str(caught.value) == "notebooks without a .md twin: 12_mine.ipynb; remove or pair them"


# The command line


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text.strip()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--profile", "fast"], 'profile "fast" is not known; choose from quick, smoke, thesis'),
        (["--archs", "resnet8"], 'architecture "resnet8" is not known; choose from resnet18, '),
        (["--archs", ""], "is not a list of networks"),
        (["--archs", "resnet18 resnet18"], "each named once (ARCHS in the call)"),
        (["--cores", "0"], "CORES=0 is not a number of cores; give 1 or more"),
        (["--data", "nowhere"], 'data folder "nowhere" does not exist'),
    ],
)
def test_a_mistake_in_the_main_call_is_one_line_and_exit_code_2(library, monkeypatch, capfd, options, said):
    monkeypatch.setattr(cli, "_snakemake", None)  # must not be reached
    assert cli.main(["build", *options]) == 2
    out, err = capfd.readouterr()
    assert said in one_line(err)
    assert out == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-p", "seed=-1"], "seed -1 is not an integer"),
        (["-p", "sed=1"], 'parameter "sed" is not known to notebooks/05_training.md'),
        (["-p", "seed"], '"seed" is not a parameter; write name=value'),
        (["-p", "profile=quick", "-p", "architecture=resnet8"], 'architecture "resnet8" is not known'),
    ],
)
def test_a_mistake_in_a_chapters_call_is_one_line_where_progress_is_shown(library, capfd, options, said):
    files = [str(library / "notebooks" / "05_training.md"), str(library / "book" / "x.ipynb")]
    assert cli.main(["execute", *files, *options]) == 2
    out, err = capfd.readouterr()
    assert said in one_line(out)
    assert err == ""
    assert not (library / "book").exists()


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("seed=3", {"seed": 3}),
        ("profile=quick", {"profile": "quick"}),
        ("data=", {"data": ""}),
        ("architecture=resnet34", {"architecture": "resnet34"}),
    ],
)
def test_values_on_the_command_line_are_read_as_the_notebook_means_them(library, engine, text, given):
    files = [str(library / "notebooks" / "05_training.md"), str(library / "book" / "executed" / "x.ipynb")]
    assert cli.main(["execute", *files, "-p", text]) == 0
    assert engine.calls[0]["given"] == given
    assert type(*engine.calls[0]["given"].values()) is type(*given.values())


@pytest.mark.parametrize("name", ["2024", "None", "[a]", "a=b", "a folder"])
def test_a_folder_whose_name_looks_like_a_value_is_still_a_folder(library, engine, capfd, name):
    (library / name).mkdir()
    files = [str(library / "notebooks" / "05_training.md"), str(library / "book" / "executed" / "x.ipynb")]
    code = cli.main(["execute", *files, "-p", f"data={name}"])
    assert capfd.readouterr().out == ""
    assert code == 0
    assert engine.calls[0]["given"] == {"data": name}


def test_a_failure_is_said_without_a_traceback_of_ours(library, monkeypatch, capfd):
    def fail(**options):
        raise RuntimeError("stopped; the whole log is _build/study.log")

    monkeypatch.setattr(cli, "build", fail)
    assert cli.main(["build"]) == 1
    assert one_line(capfd.readouterr().err) == "stopped; the whole log is _build/study.log"


def test_an_interruption_says_how_to_go_on(library, monkeypatch, capfd):
    def stop(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build", stop)
    assert cli.main(["build"]) == 130
    assert one_line(capfd.readouterr().err) == "stopped; the same command goes on from here"


def test_twins_on_the_command_line(library, capfd):
    assert cli.main(["pairs", "--check"]) == 2
    assert "run `make pairs`" in one_line(capfd.readouterr().err)
    assert cli.main(["pairs"]) == 0
    assert cli.main(["pairs", "--check"]) == 0
    assert capfd.readouterr() == ("", "")


def test_an_unknown_command_is_refused(capfd):
    with pytest.raises(SystemExit) as caught:
        cli.main(["bok"])
    assert caught.value.code == 2
    assert "invalid choice: 'bok'" in capfd.readouterr().err


def test_the_module_is_a_command():
    call = [sys.executable, "-m", "helpers.book", "build", "--archs", "resnet8"]
    result = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert 'architecture "resnet8" is not known' in one_line(result.stderr)


# The main job


def test_the_main_job_says_data_and_profile_and_runs_the_graph(library, monkeypatch, stand_in, capfd):
    asked = {}
    monkeypatch.setattr(cli, "_snakemake", lambda **options: asked.update(options))
    cli.build(profile="smoke", architectures="resnet34 resnet18", data=str(stand_in), cores=3)
    out = capfd.readouterr().out
    assert f"Data: synthetic stand-in, {stand_in}, because it was named." in out
    assert "100 clips from" in out
    assert "Profile smoke, architectures resnet34, resnet18, 3 cores." in out
    assert asked["cores"] == 3
    settings = asked["settings"]
    assert (settings["profile"], settings["archs"], settings["data"]) == (
        "smoke",
        "resnet34 resnet18",
        str(stand_in),
    )
    assert re.fullmatch("[0-9a-f]{64}", settings["digest"])  # a changed sound is a changed parameter


def test_two_main_jobs_do_not_run_at_once(library):
    started = time.monotonic()
    said = "another `make book` is running"
    with cli._only_run(), pytest.raises(InputError, match=said), cli._only_run():
        pass
    assert time.monotonic() - started < 5
    with cli._only_run():
        pass


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (["PROFILE=smoke", "ARCHS=resnet18 resnet101", "DATA=/a b=c"], 0, "make TARGET"),
        (["ARCH=resnet18"], 2, "ARCH is not a setting; choose from PROFILE ARCHS DATA CORES"),
    ],
)
def test_make_refuses_a_setting_that_it_does_not_know(settings, code, said):
    ran = Tree(study.ROOT).run("make", "--no-print-directory", "help", *settings)
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr
