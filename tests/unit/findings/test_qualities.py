"""Each of the twelve qualities has a number or a reason."""

import functools
import re

import numpy as np
import pandas as pd
import pytest

from helpers import study
from helpers.experiments import co12
from helpers.findings import qualities


@functools.cache
def found() -> pd.DataFrame:
    return qualities.table(co12.table(study.traveller()))


def test_there_are_twelve_and_each_has_either_a_number_or_a_reason():
    table = found()
    assert len(table) == table["property"].nunique() == 12
    assert (table["value"].isna() == (table["reason"] != "")).all()
    assert (table["value"].isna() == (table["where"] == "")).all()
    numbers = table.dropna(subset=["value"])
    assert (numbers["low"] <= numbers["value"]).all()
    assert (numbers["value"] <= numbers["high"]).all()


def test_numbers_follow_from_the_rows_they_are_given():
    clips = {"clip": ["a", "b"], "recording": [1, 2]}
    values = {"completeness": [1e-7, 3e-7], "cut": [0.1, 0.3], "continuity": [1, 0.8]}
    values |= {"contrastivity": [np.nan, -0.5], "half": [0.2, 0.4], "sparseness": [0.5, 0.7]}
    rows = pd.concat([pd.DataFrame({"measure": name, **clips, "value": own}) for name, own in values.items()])
    numbers = {row["property"]: row for row in qualities._of_maps(rows)}
    assert numbers["Completeness"]["value"] == pytest.approx(0.2)
    assert "to 0.3 millionths of it at worst" in numbers["Completeness"]["measure"]
    assert (numbers["Contrastivity"]["value"], numbers["Contrastivity"]["clips"]) == (-0.5, 1)
    assert "Gini index 0.60" in numbers["Compactness"]["measure"]


def test_the_table_says_the_number_its_interval_and_where_more_stands():
    facts = {"about": "content", "property": "P", "asks": "Is it?", "measure": "a share", "where": "sec:x"}
    facts |= {"value": 0.25, "low": 0.1, "high": 0.4, "clips": 50.0, "form": ".0%", "reason": ""}
    text = qualities.said(pd.DataFrame([facts, facts | {"reason": "No people were asked."}]))
    first, second = text.splitlines()[2:]
    assert first == "| content | P | Is it? | **25%** (10% to 40%), 50 clips: a share. {ref}`sec:x` |"
    assert second == "| content | P | Is it? | Not measured. No people were asked. |"


def test_every_link_leads_to_a_chapter():
    wanted = set(re.findall(r"\{ref\}`(.*?)`", qualities.said(found())))
    text = "\n".join(path.read_text() for path in (study.ROOT / "notebooks").glob("*.md"))
    labels = set(re.findall(r"^\((sec:[\w-]+)\)=$", text, re.MULTILINE))
    assert {label.removesuffix("-resnet18") for label in wanted} <= labels
