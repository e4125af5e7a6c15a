"""What a reader chooses from: every choice finds what was made for it, and the first stands there without a script."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pandas as pd
import pytest

from helpers import InputError, show
from tests.unit.show.test_interactive import NAN, Page

CHOICES = {"network": "ResNet18", "explainer": "Grad-CAM", "layer": "layer4[-1]", "class": "predicted"}


@dataclass(frozen=True)
class Rung:
    rung: str
    knows: str
    score: float
    inside: float
    own: bool = False


@dataclass(frozen=True)
class Heard:
    samples: np.ndarray | None = None
    rate: int = 22_050
    recording: int = 7
    second: float = 65.0


@dataclass(frozen=True)
class View:
    clip: str = "7-1-0-0.wav"
    category: str = "siren"
    fold: int = 10
    heard: Callable = lambda: {"siren, 7-1-0-0.wav": Heard()}
    credit: str = ""
    choices: dict = field(default_factory=lambda: CHOICES)
    explained: str = "dog bark"
    representation: str = "mfcc"
    picture: np.ndarray | None = field(default_factory=lambda: np.array([[-2.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
    map: np.ndarray = field(default_factory=lambda: np.array([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]))
    effects: np.ndarray | None = field(default_factory=lambda: np.array([4.0, 4.0, 1.0]))
    frames: int = 2
    seconds_per_frame: float = 0.5
    rungs: tuple = (Rung("loudness", "the sound", 0.25, NAN), Rung("<b>", "all", -0.5, 0.125, own=True))
    said: str = "It <hears> something."


def files(page: Page) -> dict[str, dict]:
    """What the script will load, by the value of its choice."""
    (root,) = [one for one in page.all("div") if "chosen" in (one.get("class") or "").split()]
    found = {}
    for value, _, _, held in json.loads(root["data-files"]):
        kind, encoded = held.split(",")
        assert kind == "data:application/json;base64"
        found[value] = json.loads(base64.b64decode(encoded))
    return found


def rows(file: dict) -> list[tuple[dict, dict]]:
    """Choices and texts of every row of a file, in words."""
    found = []
    for places, texts in file["rows"]:
        values = (values[place] for values, place in zip(file["values"], places, strict=True))
        own = (file["texts"][place] for place in texts)
        found.append((dict(zip(file["names"], values, strict=True)), dict(zip(file["slots"], own, strict=True))))
    return found


def pixels(image: str) -> np.ndarray:
    encoded = image.partition("base64,")[2].partition('"')[0]
    return cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_UNCHANGED)


def slots(page: Page) -> dict[str, dict]:
    found = {}
    for name in ("p", "div", "g", "tbody"):
        found |= {one["data-slot"]: one for one in page.all(name) if one.get("data-slot")}
    return found


OTHER = View(choices=CHOICES | {"layer": "layer3[-1]"}, said="Another.")
SECOND = View(clip="9-3-0-0.wav", category="dog bark", picture=None, said="The dog.")


def explorer(*views) -> Page:
    return Page(show.explorer(views).data)


def test_every_clip_has_a_file_with_a_row_for_each_of_its_views():
    found = files(explorer(View(), SECOND, OTHER))
    assert list(found) == ["9-3-0-0.wav", "7-1-0-0.wav"]  # by class
    (only,) = rows(found["9-3-0-0.wav"])
    assert (only[0], only[1]["said"]) == (SECOND.choices, "The dog.")
    own = rows(found["7-1-0-0.wav"])
    assert [choices for choices, _ in own] == [View().choices, OTHER.choices]
    assert [texts["said"] for _, texts in own] == ["It &lt;hears&gt; something.", "Another."]
    # what both views show alike is kept once
    texts = found["7-1-0-0.wav"]["texts"]
    assert len(set(texts)) == len(texts) == len(own[0][1]) + 1


def test_the_first_view_that_is_whole_stands_there_without_a_script():
    page = explorer(SECOND, View())
    (root,) = [one for one in page.all("div") if "chosen" in (one.get("class") or "").split()]
    assert json.loads(root["data-first"]) == {"clip": "7-1-0-0.wav", **View().choices}
    shown = slots(page)
    first = rows(files(page)["7-1-0-0.wav"])[0][1]
    assert set(shown) == set(first)
    assert shown["said"]["text"] == "It <hears> something."
    assert [img["src"] for img in page.all("img")] == [
        part.partition('src="')[2].rstrip('"/>') for part in (first["picture"], first["map"])
    ]
    assert len(page.all("tr", shown["rungs"])) == 2


def test_a_map_and_an_input_are_pictures_of_their_cells():
    texts = rows(files(explorer(View()))["7-1-0-0.wav"])[0][1]
    # both rows of the map are alike, so it is kept as one; 0 is white, 1 black
    np.testing.assert_array_equal(pixels(texts["map"]), [[248, 128, 0]])
    # row 0 at the foot; the largest value white, 0 in the middle
    np.testing.assert_array_equal(pixels(texts["picture"]), [[128, 128, 128], [0, 128, 248]])


def test_effects_are_steps_as_high_as_their_share_and_the_blank_is_marked():
    texts = rows(files(explorer(View()))["7-1-0-0.wav"])[0][1]
    page = Page(texts["effects"])
    (svg,), (path,), (blank,) = page.all("svg"), page.all("path"), page.all("rect")
    assert path["d"] == "M0 100V0h2V75h1V100z"
    assert (blank["x"], blank["width"]) == ("2", "1")
    assert svg["aria-label"] == "Effects over time; the sound ends at 1.0 s."
    assert texts["time"] == '<span data-end="1.500">0 s</span><span>0.8 s</span><span>1.5 s</span>'


def test_a_clip_is_heard_where_it_comes_from_or_here_with_what_is_kept_of_it():
    (link,) = Page(rows(files(explorer(View()))["7-1-0-0.wav"])[0][1]["sound"]).all("a")
    assert (link["href"], link["text"]) == (
        "https://freesound.org/s/7/",
        "Listen at Freesound, recording 7, from 1:05",
    )
    tone = Heard(samples=np.sin(np.arange(2205) / 10))
    own = replace(View(), heard=lambda: {"The clip": tone, "What it drops": tone}, credit="By somebody.")
    page = Page(rows(files(explorer(own))["7-1-0-0.wav"])[0][1]["sound"])
    assert [(one["aria-label"], one["preload"]) for one in page.all("audio")] == [
        ("The clip", "none"),
        ("What it drops", "none"),
    ]
    assert [small["text"] for small in page.all("small")] == ["By somebody."] * 2


def test_what_is_not_recorded_is_said():
    texts = rows(files(explorer(replace(View(), picture=None, effects=None)))["7-1-0-0.wav"])[0][1]
    assert "not recorded" in texts["picture"]
    assert "not recorded" in texts["effects"]
    assert "<img" not in texts["picture"]
    curve = replace(View(), map=np.array([[0.0, 1.0, 0.0]]))
    assert "only its sum over rows" in rows(files(explorer(curve))["7-1-0-0.wav"])[0][1]["explains"]


def test_a_rung_has_its_scores_in_numbers_and_its_own_stands_out():
    texts = rows(files(explorer(View()))["7-1-0-0.wav"])[0][1]
    assert texts["rungs"] == (
        '<tr><th scope=row>loudness</th><td>the sound</td><td style="--at:0.25">+0.25</td><td>–</td></tr>'
        '<tr><th scope=row><b>&lt;b&gt;</b></th><td>all</td><td style="--at:-0.50">-0.50</td>'
        '<td style="--at:0.12">+0.12</td></tr>'
    )


TABLE = pd.DataFrame(
    {
        "network": ["A", "A", "B"],
        "hop": [1024, 512, 512],
        "said": ["one & two", "three", "four"],
        "estimate": [0.5, NAN, -1.0],
        "low": [0.0, NAN, -1.0],
        "high": [1.0, NAN, -0.5],
        "null_low": [-0.5, NAN, NAN],
        "null_high": [0.5, NAN, NAN],
    }
)


def flipped(table=TABLE) -> Page:
    return Page(show.flip(table, choices={"network": "network", "hop": "hop of"}, label="a line").data)


def test_every_row_can_be_flipped_to_and_the_first_stands_there():
    page = flipped()
    assert [(tuple(row.items()), own["said"]) for row, own in rows(files(page)[""])] == [
        ((("network", "A"), ("hop of", "1024")), "one &amp; two"),
        ((("network", "A"), ("hop of", "512")), "three"),
        ((("network", "B"), ("hop of", "512")), "four"),
    ]
    assert slots(page)["said"]["text"] == "one & two"
    assert page.all("svg")[0]["aria-label"] == "a line"


def test_a_number_lies_on_the_line_between_the_ticks_of_its_neighbours():
    page = flipped()
    ticks = {text["text"]: float(text["x"]) for text in page.all("text")}
    lines = [Page(own["line"]) for _, own in rows(files(page)[""])]
    dots = [[float(dot["cx"]) for dot in line.all("circle")] for line in lines]
    assert dots == [[ticks["+0.5"]], [], [ticks["-1"]]]
    paths = [{path["class"]: path["d"] for path in line.all("path")} for line in lines]
    assert paths[0] == {
        "null": f"M{ticks['-0.5']:.1f} 24H{ticks['+0.5']:.1f}",
        "range": f"M{ticks['0']:.1f} 24H{ticks['+1']:.1f}",
    }
    assert set(paths[2]) == {"range"}  # no null is known


def test_nothing_to_choose_from_is_refused():
    with pytest.raises(InputError, match="views is empty"):
        show.explorer([])
    with pytest.raises(InputError, match="rows is empty"):
        flipped(TABLE[:0])
