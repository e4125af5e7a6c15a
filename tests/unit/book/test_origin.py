"""Where a figure comes from, as the page says it."""

import json
import re
from types import SimpleNamespace

import pytest
from docutils import nodes
from nbformat import v4

from helpers import artifacts, show, study
from helpers.book import origin, sphinx
from helpers.experiments import controls

CHAPTER = """# A title

```{code-cell} ipython3
x = 1
```

```{code-cell} ipython3
:tags: [hide-input]

show.nulls(scores, marks, source=source)
```

```{code-cell} ipython3
x = 1
```
"""


def shown(kind: str, what: str):
    return v4.new_output("display_data", data={kind: what})


@pytest.fixture
def recorded():
    return study.open(data="recorded", architecture="resnet18")


@pytest.fixture
def noted(tmp_path, recorded):
    source = tmp_path / "15_controls.md"
    source.write_text(CHAPTER)
    codes = ["x = 1", "show.nulls(scores, marks, source=source)", "x = 1"]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code) for code in codes])
    notebook.cells[1].outputs = [shown("image/png", "")]
    notebook.cells[2].outputs = [shown("text/html", "<table><tr></tr></table>")]
    values = {"architecture": "resnet18", "seed": 0, "data": "recorded", "layer": None, "sound": "<b>", "others": {}}
    asked = [controls.CONTROLS.path(recorded)] * 2
    origin.note(notebook, source=source, values=values, run=recorded, asked=asked)
    return [cell.metadata.get("origin") for cell in notebook.cells]


def test_only_a_cell_that_shows_something_says_where_it_comes_from(noted):
    assert noted[0] is None
    assert "<code>notebooks/15_controls.md</code>, line 10;" in noted[1]
    assert "<code>notebooks/15_controls.md</code>, line 14</dd>" in noted[2]  # the second cell of these words


def test_it_names_the_function_that_draws_and_the_line_where_it_begins(noted):
    assert '<a href="{root}book/code/show.html#helpers.show.controls.nulls">show.nulls</a>' in noted[1]
    line = int(re.search(r"src/helpers/show/controls.py</code>, line (\d+)", noted[1])[1])
    lines = (study.ROOT / "src/helpers/show/controls.py").read_text().splitlines()
    assert lines[line - 1].startswith("def nulls(")


def test_it_says_parameters_data_seed_and_files(noted, recorded):
    assert "<dt>Parameters</dt><dd>architecture resnet18, layer layer4[-1], sound &lt;b&gt;</dd>" in noted[1]
    assert f"<dt>Data</dt><dd>UrbanSound8K, recorded; {recorded.key}</dd>" in noted[1]
    assert "<dt>Seed</dt><dd>0</dd>" in noted[1]
    path = controls.CONTROLS.path(recorded)
    made = artifacts.record(path)["made"]
    when = f"made {made['date'][:10]} at <code>{made['revision']}</code>"
    assert noted[1].count(f"<li><code>{path.relative_to(study.ROOT)}</code>, {when}</li>") == 1
    assert str(study.ROOT) not in noted[1]


def test_of_many_files_it_says_how_many(tmp_path):
    notebook = v4.new_notebook(cells=[v4.new_code_cell("x", outputs=[shown("image/png", "")])])
    (tmp_path / "a.md").write_text("x")
    asked = [tmp_path / f"{i}.csv" for i in range(origin.LISTED + 3)]
    origin.note(notebook, source=tmp_path / "a.md", values={}, run=None, asked=asked)
    assert "<li>and 3 more</li>" in notebook.cells[0].metadata["origin"]
    assert str(tmp_path) not in notebook.cells[0].metadata["origin"]


def test_every_function_that_draws_is_on_the_page_that_the_link_names():
    listed = (study.ROOT / "book" / "code" / "show.md").read_text()
    for name in ("nulls", "table", "player"):
        assert f"automodule:: {getattr(show, name).__module__}\n" in listed


def test_the_note_stands_below_what_the_cell_shows_with_the_way_to_the_root():
    cell = nodes.container(nb_element="cell_code", cell_metadata={"origin": '<a href="{root}book/x.html">'})
    code, output = nodes.container(nb_element="cell_code_source"), nodes.container(nb_element="cell_code_output")
    cell += [code, output]
    document = nodes.section("", cell)
    app = SimpleNamespace(env=SimpleNamespace(docname="book/executed/recorded/15_controls"))
    sphinx.tell_origins(app, document)
    assert not code.children
    assert output.children[-1]["said"] == '<a href="../../../book/x.html">'


def test_what_a_chapter_makes_took_what_its_records_say(recorded):
    folder = study.RECORDED / "urbansound8k" / "thesis" / "resnet18"
    names = ("effects-training_folds=1+2.json", "controls-training_folds=1+2.json")
    seconds = [json.loads((folder / name).read_text())["made"]["seconds"] for name in names]
    assert origin.seconds("15_controls", recorded) == {"thesis": pytest.approx(sum(seconds))}
    assert origin.seconds("07_metric", recorded) == {}
