"""Cells to change: what they need, what they say with other values, and that what is recorded is theirs."""

import ast
import functools
import json
import re

import numpy as np
import pandas as pd
import pytest
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from helpers import InputError, study
from helpers.book import cli, contents, outcomes
from helpers.findings import outcomes as recorded

CHAPTER = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
(sec:small)=
# Small

```{code-cell} ipython3
:tags: [parameters]

seed = 0  # any
others = {}  # any further choice
```

```{code-cell} ipython3
import math

drawn = 1 / 0  # nothing needs it
numbers = [seed, others.get("n_mfcc", 13)]
```

```{code-cell} ipython3
---
tags: [student]
---
# try: 2, 3
factor = 1
print(factor)
sum(numbers) * factor
```

```{code-cell} ipython3
:tags: [student]

f"{math.sqrt(factor):.1f} < 2"
```

```{code-cell} ipython3
raise RuntimeError("what follows is not executed")
```
"""


@pytest.fixture
def chapter(library):
    """Writes the small chapter, with some of its text replaced."""

    def write(*replaced: tuple[str, str]) -> str:
        text = CHAPTER
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (library / "notebooks" / "small.md").write_text(text)
        contents.parameters.cache_clear()
        return "small"

    return write


# What is needed


@pytest.mark.parametrize(
    ("before", "cell", "kept"),
    [
        ("import a\nimport b\nx = a.f()\ny = b.f()", "x", ["import a", "x = a.f()"]),
        ("x = 1\nx = 2\ny = x", "y", ["x = 2", "y = x"]),  # the first one is given up
        ("x = 1\nx = x + 1", "x", ["x = 1", "x = x + 1"]),
        ("t = f()\nt['a'] = 1\nt.b = 2", "t", ["t['a'] = 1", "t.b = 2"]),  # a table is changed in its place
        ("rows = []\nrows.append(1)\nshow(rows)", "rows", ["rows = []", "rows.append(1)"]),
        ("import show\nrows = []\nshow.table(rows)", "show.x(rows)", ["import show", "rows = []"]),  # draws only
        ("x = 1\ny = [x for x in z]", "x", ["x = 1"]),  # lives in the brackets
        ("x = 1\nfor x in z: print(x)", "x", ["x = 1", "for x in z:\n    print(x)"]),  # z may be empty
        ("def f(a): return a + b\na = 1\nb = 2\nc = 3", "f(0)", ["def f(a):\n    return a + b", "b = 2"]),
        ("if x: y = 1", "y", ["if x:\n    y = 1"]),
        ("with f(): import q\nz = 1", "q.g()", ["with f():\n    import q"]),
        ("x = 1", "x = 2\nx", []),  # the cell gives it itself
        ("one = 1", "for one in many: print(one)", []),
    ],
)
def test_only_what_gives_or_changes_a_needed_name_is_kept(before, cell, kept):
    found = [ast.unparse(node) for node in ast.parse(outcomes.needed(before, [cell])).body]
    assert [line for line in found if line != "t = f()"] == kept


def test_parameters_take_their_place_and_those_without_one_go_to_the_others(chapter):
    found = outcomes.change(chapter(), {"seed": "5", "n_mfcc": 20})
    before = "seed = 5\nothers = {'n_mfcc': 20}\nnumbers = [seed, others.get('n_mfcc', 13)]"
    assert found.before == f"import math\n{before}" or found.before == before.replace("numbers", "import math\nnumbers")
    assert (found.name, found.values) == ("factor", ("2", "3"))


@pytest.mark.parametrize(
    "line", ["factor = 1", "# try: 2\nfactor = 1", "# try: 1, 2\nfactor = 1", "# try: 2, 3\nx = 0\n# try: 4, 5\ny = 0"]
)
def test_a_cell_that_does_not_name_one_choice_and_two_other_values_is_refused(chapter, line):
    name = chapter(("# try: 2, 3\nfactor = 1", line))
    with pytest.raises(InputError, match=r"notebooks/small.md: its cells to change do not name one choice"):
        outcomes.change(name, {})


def test_a_value_keeps_the_way_in_which_it_is_written(chapter):
    name = chapter(("# try: 2, 3\n", '# try: "a, b", {"c": [1, 2]}, None\n'))
    assert outcomes.change(name, {}).values == ('"a, b"', '{"c": [1, 2]}', "None")


def test_the_digest_is_of_code_and_values_not_of_comments_or_of_what_is_not_needed(chapter):
    def digest(*replaced) -> str:
        return outcomes.change(chapter(*replaced), {}).digest

    first = digest()
    assert digest(("1 / 0  # nothing needs it", "2 / 0")) == first
    assert digest(("factor = 1\n", "factor = 1  # a word\n")) == first
    assert digest(("# try: 2, 3", "# try: 2, 4")) != first
    assert digest(("* factor", "+ factor")) != first
    assert digest(("[seed,", "[seed, 1,")) != first


# What it says


def test_each_value_is_executed_and_what_it_says_is_html(chapter):
    found = outcomes.tried(chapter(), {"n_mfcc": 2})
    assert [one["code"] for one in found] == ["factor = 2", "factor = 3"]
    assert [one["said"] for one in found] == [
        "<pre>2</pre><pre>4</pre><pre>1.4 &lt; 2</pre>",
        "<pre>3</pre><pre>6</pre><pre>1.7 &lt; 2</pre>",
    ]
    assert all(one["seconds"] >= 0 for one in found)


def test_one_value_does_not_see_what_another_left(chapter):
    name = chapter(("print(factor)\n", "numbers = [*numbers, factor]\n"))
    assert [one["said"][:12] for one in outcomes.tried(name, {})] == ["<pre>30</pre", "<pre>48</pre"]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("1 / (factor - 2)", RuntimeError, "small.md with factor = 2: ZeroDivisionError: division by zero"),
        ("study.open(seed=-1)", InputError, "small.md with factor = 2: seed -1 is not possible"),
        ("None", RuntimeError, "small.md with factor = 2 says nothing"),
    ],
)
def test_a_cell_that_fails_or_says_nothing_is_named_with_its_value(chapter, code, kind, said):
    name = chapter(
        ("print(factor)\nsum(numbers) * factor", code),
        ('f"{math.sqrt(factor):.1f} < 2"', "None"),
        ("import math\n", "from helpers import study\n"),
    )
    with pytest.raises(kind, match=re.escape(said)):
        outcomes.tried(name, {})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        (Figure(), ""),
        (Markdown("**1** `a`"), "<p><strong>1</strong> <code>a</code></p>\n"),
        (HTML("<b>1</b>"), "<b>1</b>"),
        ({"a": "<"}, "<pre>{&#x27;a&#x27;: &#x27;&lt;&#x27;}</pre>"),
    ],
)
def test_html_of_what_a_cell_gives(value, said):
    assert outcomes._html(value) == said


def test_a_table_comes_without_the_styles_of_its_own():
    said = outcomes._html(pd.DataFrame({"a": [1]}))
    assert "<style" not in said
    assert "<td>1</td>" in said


# What is recorded


def test_what_is_written_is_read(library, chapter, monkeypatch, capfd):
    study.RECORDED.mkdir(parents=True)
    monkeypatch.setattr(outcomes, "pages", lambda: {"resnet18/small": (chapter(), {}), "large": (chapter(), {})})
    assert cli.main(["outcomes"]) == 0
    assert capfd.readouterr().out == f"{study.RECORDED / 'outcomes.json'}\n"
    found = recorded.of("small", "resnet18")
    assert [one["code"] for one in found["values"]] == ["factor = 2", "factor = 3"]
    assert {"date", "revision", "versions", "machine"} <= set(found["made"])
    assert recorded.of("small", "resnet34")["values"] == []


def test_what_fails_leaves_the_old_file(library, chapter, monkeypatch):
    study.RECORDED.mkdir(parents=True)
    (study.RECORDED / "outcomes.json").write_text("old")
    monkeypatch.setattr(outcomes, "pages", lambda: {"small": (chapter(("sum(numbers)", "1 / 0")), {})})
    assert cli.main(["outcomes"]) == 1
    assert [path.name for path in study.RECORDED.iterdir()] == ["outcomes.json"]
    assert (study.RECORDED / "outcomes.json").read_text() == "old"


pages = functools.cache(outcomes.pages)
KEPT = json.loads(recorded.path().read_text())["pages"]


def test_every_page_that_is_the_same_in_every_copy_has_its_outcomes_recorded():
    assert set(KEPT) == set(pages())
    assert recorded.path().stat().st_size < 300_000


@pytest.mark.parametrize("page", KEPT)
def test_recorded_outcomes_are_those_of_the_cell_as_it_is_now(page):
    found = outcomes.change(*pages()[page])
    assert KEPT[page]["digest"] == found.digest, "run `make outcomes`"
    assert [one["code"] for one in KEPT[page]["values"]] == [f"{found.name} = {value}" for value in found.values]


def text(said: str) -> str:
    """What a cell says, without captions, ids and tags."""
    return re.sub(r"<caption>.*?</caption>|<style.*?</style>|<[^>]*>", " ", said, flags=re.DOTALL)


def without(value: str, said: str) -> str:
    for word in (value, *re.findall(r"[\w.\[\]-]+", value)):
        said = said.replace(word, "")
    return said


def numbers(said: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d+)?", text(said))]


@pytest.mark.slow
@pytest.mark.parametrize("page", KEPT)
def test_each_value_changes_what_the_cell_says_and_that_is_recorded(page):
    found = outcomes.tried(*pages()[page])
    values = [one["code"].partition(" = ")[2] for one in found]
    assert len({without(value, text(one["said"])) for value, one in zip(values, found, strict=True)}) == len(found)
    for now, kept in zip(found, KEPT[page]["values"], strict=True):
        assert not re.search(r"object at 0x|<img|<audio|<script", now["said"])
        said = numbers(now["said"]), numbers(kept["said"])
        assert len(said[0]) == len(said[1]), "run `make outcomes`: what is recorded has changed"
        np.testing.assert_allclose(*said, atol=0.05, rtol=0.05)  # another processor rounds otherwise
