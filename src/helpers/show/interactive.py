"""What answers the reader, complete without a script: a figure whose choice book/_static/book.js adds, other values.

Chapter: notebooks/18_specifications.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML

from helpers import InputError

WIDTH, HEIGHT, LEFT, FOOT = 700, 340, 46, 24


def curve(table: pd.DataFrame, *, choices: Sequence[str], own: pd.Series, label: str) -> HTML:
    """The specification curve: one stroke per row, lowest estimate first, its facts under the pointer.

    A dot is the estimate, a thin line its interval, a pale line where the estimate would lie if every map
    knew nothing. In the built page a reader chooses values and only the matching rows stay.

    Parameters
    ----------
    table : columns `choices`, estimate, low, high, null_low, null_high, clips, nan; see `findings.curve`.
    choices : columns that say what was chosen.
    own : (rows,), bool: the rows to be marked, the thesis's own.
    label : what the figure shows, for readers who do not see it.

    Raises
    ------
    InputError
        The table has no rows.

    Chapter: notebooks/18_specifications.md
    """
    if table.empty:
        raise InputError("table has no rows; there is nothing to draw")
    order = table["estimate"].sort_values(na_position="last").index
    table, own = table.loc[order], own.loc[order]
    values = {choice: list(dict.fromkeys(table[choice].astype(str))) for choice in choices}
    step = (WIDTH - LEFT - 8) / len(table)
    strokes = [
        _stroke(row, marked, at=LEFT + (i + 0.5) * step, values=values)
        for i, (row, marked) in enumerate(zip(table.to_dict("records"), own, strict=True))
    ]
    ticks = "".join(
        f'<path class="grid" d="M{LEFT} {_y(v):.1f}H{WIDTH - 8}"/>'
        f'<text x="{LEFT - 6}" y="{_y(v) + 4:.1f}" text-anchor="end">{"0" if v == 0 else f"{v:+g}"}</text>'
        for v in (-1, -0.5, 0, 0.5, 1)
    )
    names = escape("|".join(f"{choice}={';'.join(known)}" for choice, known in values.items()))
    return HTML(
        f'<div class="curve" data-choices="{names}" data-left="{LEFT}" data-right="{WIDTH - 8}">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'{ticks}<text x="{LEFT}" y="{HEIGHT - 6}">specifications, lowest median score first</text>'
        f"{''.join(strokes)}</svg></div>"
    )


def _stroke(row: dict, marked: bool, *, at: float, values: dict[str, list[str]]) -> str:
    if pd.isna(row["estimate"]):
        return ""
    said = ", ".join(f"{choice} {row[choice]}" for choice in values)
    facts = f"{said}: median {row['estimate']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}), "
    if not pd.isna(row["null_low"]):
        facts += f"null {row['null_low']:+.2f} to {row['null_high']:+.2f}, "
    facts += f"{row['clips']} clips, {row['nan']} NaN"
    chosen = ",".join(str(known.index(str(row[choice]))) for choice, known in values.items())

    def line(name: str, low: float, high: float) -> str:
        return "" if pd.isna(low + high) else f'<path class="{name}" d="M0 {_y(low):.1f}V{_y(high):.1f}"/>'

    return (
        f'<g data-c="{chosen}" transform="translate({at:.2f})"{" class=own" if marked else ""}>'
        f"<title>{escape(facts)}</title>{line('null', row['null_low'], row['null_high'])}"
        f"{line('range', row['low'], row['high'])}"
        f'<circle cy="{_y(row["estimate"]):.1f}" r="{5 if marked else 1.6}"/></g>'
    )


def _y(score: float) -> float:
    return 8 + (1 - score) / 2 * (HEIGHT - FOOT - 16)


def _spoken(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else "less than 0.1 s"


def outcomes(recorded: Mapping[str, Any]) -> HTML:
    """What the cell above says with other values, folded, with the seconds that it took.

    Parameters
    ----------
    recorded : `values`, each with code, seconds and said (HTML), and how they were `made`: date, revision, machine;
        `findings.outcomes.of` gives them.

    Chapter: every notebook
    """
    made = recorded["made"]
    if not recorded["values"]:
        return HTML('<p class="outcomes">Of this network no other values are recorded: change the cell and run it.</p>')
    shown = "".join(
        f"<dt><code>{escape(one['code'])}</code> ({_spoken(one['seconds'])})</dt><dd>{one['said']}</dd>"
        for one in recorded["values"]
    )
    return HTML(
        f'<details class="outcomes"><summary>What comes out with other values</summary><dl>{shown}</dl>'
        f"<p>From the recorded results, on {made['date'][:10]} at revision <code>{escape(made['revision'])}</code>; "
        f"seconds of one core, {escape(made['machine'])}.</p></details>"
    )
