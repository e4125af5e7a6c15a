"""What a reader chooses: pages that hold an answer for every choice, made here; book/_static/choose.js only picks one.

The figure is complete without a script: it shows the first choice. The answers lie in files of the site that are loaded
when they are asked for; until a chapter becomes a page they are held in the figure itself (`helpers.book.execute`).

Chapter: notebooks/30_explorer.md, notebooks/19_answer.md
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

import cv2
import numpy as np
import pandas as pd
from IPython.display import HTML

from helpers import InputError
from helpers.show import inputs, players

WIDTH, HEIGHT = 320, 64  # of the number line
_MISSING = '<p class="missing">not recorded</p>'


class Rung(Protocol):
    """A kind of map and its scores on one clip, as `findings.views.Rung` has them."""

    rung: str
    knows: str
    score: float
    inside: float
    own: bool


class View(Protocol):
    """A clip as `findings.views.View` has it."""

    clip: str
    category: str
    fold: int
    heard: Callable[[], Mapping[str, players.Heard]]
    credit: str
    choices: dict[str, str]
    explained: str
    representation: str
    picture: np.ndarray | None
    map: np.ndarray
    effects: np.ndarray | None
    frames: int
    seconds_per_frame: float
    rungs: tuple[Rung, ...]

    @property
    def said(self) -> str:
        """What is to be read out."""


def explorer(views: Sequence[View]) -> HTML:
    """Clips to choose from, and for each network, layer, explainer and class its input, map, effects and scores.

    Parameters
    ----------
    views : see `View`; a clip's views have the same names of choices.

    Raises
    ------
    InputError
        There is no view.

    Chapter: notebooks/30_explorer.md
    """
    if not views:
        raise InputError("views is empty; there is nothing to choose from")
    files: dict[str, list] = {}
    ordered = sorted(views, key=lambda view: (-view.fold, view.category, view.clip))
    for clip, group in itertools.groupby(ordered, key=lambda view: view.clip):
        own = list(group)
        kind = "" if any(view.picture is not None for view in own) else ", input not recorded"
        label = f"{own[0].category}, {clip.removesuffix('.wav')}"
        files[clip] = [label, f"fold {own[0].fold}{kind}", _rows([view.choices for view in own], map(_panels, own))]
    whole = (view for view in ordered if view.picture is not None and view.effects is not None and len(view.map) > 1)
    first = next(whole, ordered[0])
    return _figure("explorer", "clip", files, _EXPLORER, _panels(first), {"clip": first.clip, **first.choices})


def flip(rows: pd.DataFrame, *, choices: Mapping[str, str], label: str) -> HTML:
    """A sentence and its number on a line from -1 to 1, for every row of a table of choices.

    Parameters
    ----------
    rows : columns `choices`, text; said; estimate, low, high, null_low, null_high, -1 to 1 or NaN. The first is shown
        first. choices : by column what the choice is called. label : what the line shows, for those who do not see it.

    Raises
    ------
    InputError
        The table has no rows.

    Chapter: notebooks/19_answer.md
    """
    if rows.empty:
        raise InputError("rows is empty; there is nothing to choose from")
    records: list[dict[Any, Any]] = rows.to_dict("records")
    named = [{called: str(row[name]) for name, called in choices.items()} for row in records]
    shown = [{"said": escape(row["said"]), "line": _line(row)} for row in records]
    ticks = "".join(
        f'<path class="grid" d="M{_x(v):.0f} 8V40"/><text x="{_x(v):.0f}" y="58" text-anchor="middle">{said}</text>'
        for v, said in {-1: "-1", -0.5: "-0.5", 0: "0", 0.5: "+0.5", 1: "+1"}.items()
    )
    said = f'role="img" aria-label="{escape(label)}"'
    body = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {said}>{ticks}<g {_slot("line")}</g></svg>'
    return _figure("flip", "", {"": ["", "", _rows(named, shown)]}, body, shown[0], named[0])


# What is shown of a choice stands between these marks and is taken from there by name.
def _slot(name: str) -> str:
    return f'data-slot="{name}">'


_EXPLORER = (
    f'<div class="strips"><p class="panel" {_slot("input")}</p><div {_slot("picture")}</div>'
    f'<p class="panel" {_slot("explains")}</p><div {_slot("map")}</div>'
    '<p class="panel">How much the answer changes when a moment is replaced, as a share of the largest change</p>'
    f'<div {_slot("effects")}</div><p class="time" {_slot("time")}</p><span class="line" hidden></span></div>'
    "<table><caption>The score of this clip's map beside those of others: +1 if the answer changes most where a map is "
    "darkest, 0 if the two have nothing in common.</caption><thead><tr><th scope=col>kind of map</th>"
    "<th scope=col>knows</th><th scope=col>all frames</th><th scope=col>inside the sound</th></tr></thead>"
    f"<tbody {_slot('rungs')}</tbody></table>"
)


def _figure(
    kind: str, name: str, files: dict[str, list], body: str, first: dict[str, str], chosen: dict[str, str]
) -> HTML:
    listed = [[value, label, group, _held(rows)] for value, (label, group, rows) in files.items()]
    given = escape(json.dumps(listed)), escape(json.dumps(chosen))
    for slot, value in first.items():
        body = body.replace(_slot(slot), _slot(slot) + value)
    sound = f"<div {_slot('sound')}{first['sound']}</div>" if "sound" in first else ""
    return HTML(
        f'<div class="chosen {kind}" data-name="{name}" data-files="{given[0]}" data-first="{given[1]}">'
        f'<div aria-live="polite"><p class="note"></p><p class="said" {_slot("said")}{first["said"]}</p></div>'
        f"{sound}{body}</div>"
    )


def _held(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}"


def _rows(choices: Sequence[Mapping[str, str]], shown: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """What a file holds: names of choices, their values, and of each row the places of its values and of its texts.

    What several rows show alike is kept once.
    """
    names = list(choices[0])
    values = {name: list(dict.fromkeys(row[name] for row in choices)) for name in names}
    texts: dict[str, int] = {}
    rows, slots = [], []
    for row, own in zip(choices, shown, strict=True):
        slots = list(own)
        places = [texts.setdefault(text, len(texts)) for text in own.values()]
        rows.append([[values[name].index(row[name]) for name in names], places])
    return {"names": names, "values": list(values.values()), "slots": slots, "rows": rows, "texts": list(texts)}


def _panels(view: View) -> dict[str, str]:
    frames = view.map.shape[1]
    end = frames * view.seconds_per_frame
    kind = "MFCC" if view.representation == "mfcc" else view.representation
    given = f"The sound as the network is given it ({kind})"
    how = f"{view.choices['explainer']}: the map of the {view.choices['class']} class, {view.explained}"
    how += "; only its sum over rows is kept" if len(view.map) == 1 else ""
    heard = players.row(players.hear(one, label=said, credit=view.credit) for said, one in view.heard().items())
    picture = _MISSING
    if view.picture is not None:
        greys = np.asarray(inputs.norm(view.picture, view.representation)(view.picture))
        picture = _image(greys, f"The {kind} in greys, time from left to right.")
    return {
        "said": escape(view.said),
        "sound": heard.data,
        "input": escape(given),
        "picture": picture,
        "explains": escape(how),
        "map": _image(1 - _thin(view.map), "The map over time, light where it is 0, dark where it is 1."),
        "effects": _effects(view),
        "time": f'<span data-end="{end:.3f}">0 s</span><span>{end / 2:.1f} s</span><span>{end:.1f} s</span>',
        "rungs": "".join(map(_rung, view.rungs)),
    }


def _thin(map: np.ndarray) -> np.ndarray:
    return map[:1] if (map == map[0]).all() else map


def _image(values: np.ndarray, alt: str) -> str:
    """(rows, frames) in [0, 1] as a picture of so many pixels in 32 greys, 1 is white, row 0 at the foot."""
    _, file = cv2.imencode(".png", (8 * np.rint(31 * values[::-1])).astype(np.uint8))
    held = base64.b64encode(file.tobytes()).decode()
    return f'<img class="dark-light" alt="{escape(alt)}" src="data:image/png;base64,{held}"/>'


def _effects(view: View) -> str:
    frames = view.map.shape[1]
    blank = f'<rect class="blank" x="{view.frames}" y="0" width="{frames - view.frames}" height="100"/>'
    if view.effects is None:
        return _MISSING
    share = view.effects / view.effects.max() if view.effects.max() > 0 else view.effects
    heights = itertools.groupby(np.rint(100 * share).astype(int))
    path = "".join(f"V{100 - height}h{len(list(same))}" for height, same in heights)
    label = f"Effects over time; the sound ends at {view.frames * view.seconds_per_frame:.1f} s."
    return (
        f'<svg viewBox="0 0 {frames} 100" preserveAspectRatio="none" role="img" aria-label="{label}">{blank}'
        f'<path d="M0 100{path}V100z"/></svg>'
    )


def _rung(rung: Rung) -> str:
    cells = "".join(map(_cell, (rung.score, rung.inside)))
    name = f"<b>{escape(rung.rung)}</b>" if rung.own else escape(rung.rung)
    return f"<tr><th scope=row>{name}</th><td>{escape(rung.knows)}</td>{cells}</tr>"


def _cell(score: float) -> str:
    return "<td>–</td>" if np.isnan(score) else f'<td style="--at:{score:.2f}">{score:+.2f}</td>'


def _x(score: float) -> float:
    return WIDTH / 2 + score * (WIDTH / 2 - 20)


def _line(row: dict[str, Any]) -> str:
    if np.isnan(row["estimate"]):
        return ""

    def between(name: str, low: float, high: float, y: int) -> str:
        return "" if np.isnan(low + high) else f'<path class="{name}" d="M{_x(low):.1f} {y}H{_x(high):.1f}"/>'

    null = between("null", row["null_low"], row["null_high"], 24)
    return (
        f'{null}{between("range", row["low"], row["high"], 24)}<circle cx="{_x(row["estimate"]):.1f}" cy="24" r="6"/>'
    )
