"""The specification curve of the built page: what every stroke says, and what a script finds to choose by."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from helpers import InputError, show
from helpers.show import interactive

NAN = float("nan")


class Page(HTMLParser):
    """The elements of a page in order: name, attributes, text, and the elements inside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = {"name": "", "inside": [], "text": ""}
        self.open = [self.root]
        self.feed(html)
        assert self.open == [self.root], "an element is not closed"

    def handle_starttag(self, name, attributes):
        element = {"name": name, **dict(attributes), "inside": [], "text": ""}
        self.open[-1]["inside"].append(element)
        if name != "br":  # which has no end
            self.open.append(element)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        self.handle_endtag(name)

    def handle_endtag(self, name):
        assert self.open.pop()["name"] == name

    def handle_data(self, text):
        self.open[-1]["text"] += text

    def all(self, name: str, within: dict | None = None) -> list[dict]:
        found = []
        for element in (within or self.root)["inside"]:
            found += [element] if element["name"] == name else []
            found += self.all(name, element)
        return found


TABLE = pd.DataFrame(
    {
        "layer": ["layer4[-1]", "layer3[-1]", "layer4[-1]", "layer2[-1]"],
        "hop": [1024, 512, 512, 441],
        "estimate": [0.5, -0.25, 0.0, NAN],
        "low": [0.4, -0.5, -0.1, NAN],
        "high": [0.6, 0.0, 0.1, NAN],
        "null_low": [-0.2, -0.3, NAN, -0.1],
        "null_high": [0.2, 0.3, NAN, 0.1],
        "clips": [50, 50, 49, 50],
        "nan": [0, 1, 2, 50],
    }
)
OWN = pd.Series([True, False, False, False])


def drawn(table=TABLE, own=OWN, *, choices=("layer", "hop"), label="a curve") -> Page:
    return Page(show.curve(table, choices=choices, own=own, label=label).data)


def height(score: float) -> float:
    """Where a score lies: 1 at the top, 8 from the edge; -1 above the foot."""
    top, bottom = 8, interactive.HEIGHT - interactive.FOOT - 8
    return top + (bottom - top) * (1 - score) / 2


def test_every_estimate_has_a_stroke_from_the_lowest_to_the_highest():
    strokes = drawn().all("g")
    assert len(strokes) == 3  # a row without an estimate has none
    at = [float(re.fullmatch(r"translate\((.+)\)", stroke["transform"])[1]) for stroke in strokes]
    step = (interactive.WIDTH - interactive.LEFT - 8) / 4
    assert at == pytest.approx([interactive.LEFT + (i + 0.5) * step for i in range(3)], abs=0.01)
    dots = [float(stroke["inside"][-1]["cy"]) for stroke in strokes]
    assert dots == pytest.approx([height(score) for score in (-0.25, 0.0, 0.5)], abs=0.06)
    assert dots == sorted(dots, reverse=True)  # up the page


def test_a_strokes_lines_are_its_interval_and_its_null():
    first, second, third = drawn().all("g")
    for stroke, row in ((first, TABLE.iloc[1]), (third, TABLE.iloc[0])):
        lines = {line["class"]: line["d"] for line in stroke["inside"] if line["name"] == "path"}
        for name, ends in (("range", ("low", "high")), ("null", ("null_low", "null_high"))):
            start, end = re.fullmatch(r"M0 (.+)V(.+)", lines[name]).groups()
            assert (float(start), float(end)) == pytest.approx([height(row[e]) for e in ends], abs=0.06)
    # what is not known is not drawn
    assert [line["class"] for line in second["inside"] if line["name"] == "path"] == ["range"]


def test_a_title_tells_the_facts_of_a_stroke():
    titles = [title["text"] for title in drawn().all("title")]
    assert titles[0::2] == [
        "layer layer3[-1], hop 512: median -0.25 (-0.50 to +0.00), null -0.30 to +0.30, 50 clips, 1 NaN",
        "layer layer4[-1], hop 1024: median +0.50 (+0.40 to +0.60), null -0.20 to +0.20, 50 clips, 0 NaN",
    ]
    assert titles[1].startswith("layer layer4[-1], hop 512: median +0.00 (-0.10 to +0.10), 49 clips")


def test_the_rows_of_the_thesis_are_marked():
    strokes = drawn().all("g")
    assert [stroke.get("class") for stroke in strokes] == [None, None, "own"]
    sizes = [float(stroke["inside"][-1]["r"]) for stroke in strokes]
    assert sizes[2] > 2 * sizes[0] == 2 * sizes[1]


def test_marks_follow_their_rows_whatever_the_index():
    table, own = TABLE.set_axis(list("dbca")), OWN.set_axis(list("dbca"))
    order = ["a", "b", "c", "d"]
    strokes = drawn(table.loc[order], own.loc[order]).all("g")
    assert [stroke.get("class") for stroke in strokes] == [None, None, "own"]


def test_a_script_finds_which_value_of_each_choice_a_stroke_has():
    page = drawn()
    (curve,) = [element for element in page.all("div") if element.get("class") == "curve"]
    known = {
        name: values.split(";")
        for name, _, values in (part.partition("=") for part in curve["data-choices"].split("|"))
    }
    # in the order of the curve; also the value of the row without an estimate
    assert known == {"layer": ["layer3[-1]", "layer4[-1]", "layer2[-1]"], "hop": ["512", "1024", "441"]}
    assert [stroke["data-c"] for stroke in page.all("g")] == ["0,0", "1,0", "1,1"]
    for stroke, row in zip(page.all("g"), (1, 2, 0), strict=True):
        said = [values[int(place)] for values, place in zip(known.values(), stroke["data-c"].split(","), strict=True)]
        assert said == [TABLE["layer"][row], str(TABLE["hop"][row])]
    assert (curve["data-left"], curve["data-right"]) == (
        str(interactive.LEFT),
        str(interactive.WIDTH - 8),
    )


def test_what_is_written_cannot_become_markup():
    table = TABLE.assign(layer='<b> & "quoted"')
    page = drawn(table, label='<i> & "name"')
    assert page.all("b") == page.all("i") == []
    assert page.all("title")[0]["text"].startswith('layer <b> & "quoted", hop 512: median')
    assert page.all("svg")[0]["aria-label"] == '<i> & "name"'
    assert page.all("div")[0]["data-choices"].startswith('layer=<b> & "quoted"|hop=')


def test_the_figure_is_whole_without_a_script():
    page = drawn()
    (svg,) = page.all("svg")
    assert svg["role"] == "img"
    assert (svg.get("viewbox") or svg["viewBox"]) == f"0 0 {interactive.WIDTH} {interactive.HEIGHT}"
    assert page.all("script") == []
    ticks = {text["text"]: float(text["y"]) - 4 for text in page.all("text") if text.get("text-anchor")}
    assert ticks == pytest.approx(
        {"-1": height(-1), "-0.5": height(-0.5), "0": height(0), "+0.5": height(0.5), "+1": height(1)},
        abs=0.06,
    )
    assert "specifications, lowest median score first" in [text["text"] for text in page.all("text")]


def test_many_rows_fit_between_the_edges():
    rows = pd.concat([TABLE[:3]] * 100, ignore_index=True)
    rows["estimate"] = np.linspace(-1, 1, 300)
    at = [float(stroke["transform"][10:-1]) for stroke in drawn(rows, rows["estimate"] > 2).all("g")]
    assert len(at) == 300
    assert interactive.LEFT < min(at) < max(at) < interactive.WIDTH - 8
    assert height(1) == 8
    assert height(-1) < interactive.HEIGHT - interactive.FOOT


def test_a_table_without_rows_is_refused():
    with pytest.raises(InputError, match="table has no rows; there is nothing to draw"):
        drawn(TABLE[:0], OWN[:0])
