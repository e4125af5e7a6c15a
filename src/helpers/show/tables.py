"""Tables as a reader sees them: one call from numbers to text, always with a caption.

Chapter: every notebook that shows a table; notebooks/08_scores.md first.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from helpers import InputError, printable
from helpers.show import style


def table(
    frame: pd.DataFrame,
    caption: str,
    *,
    percent: Iterable[str] = (),
    digits: int | str = 2,
    digits_of: Mapping[str, int | str] | None = None,
    missing: str = "–",
    intervals: Mapping[str, tuple[str, str]] | Iterable[str] = (),
    columns: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    index: bool = False,
    widths: Mapping[str, str] | None = None,
    links: Iterable[str] = (),
) -> Styler:
    """A table to read: numbers rounded, shares in percent, an estimate and its interval in one cell.

    Every option names columns as `frame` has them; `rename` comes last. Whole numbers stay as they are where
    neither `percent` nor `digits_of` names their column.

    Parameters
    ----------
    percent : columns of shares (0 to 1), shown as 41%.
    digits : after the point; or a format such as "+.2f" (with a sign). "p" is for p-values: three digits, and <0.001
        in place of 0.000. A rounded 0 has no minus; the end of an interval keeps its sign, which says whether the
        interval holds 0.
    digits_of : the same by column; 0 is the default in `percent`. The format "," gives 11 181 642.
    missing : what stands for NaN.
    intervals : estimates that take their ends in: "+0.12 (-0.03 to +0.27)" or "41% (30% to 52%)". By estimate
        the columns of its ends; or only the estimates, where these are called low and high.
    columns : which, in this order; all of them by default.
    rename : new names by old ones.
    index : show the index, when the rows have names.
    widths : of columns, such as "26%".
    links : columns whose cells are HTML, such as `players.link` gives; all else is shown as the text it is.

    Returns
    -------
    Styler: its `data` is the text of the cells. The caption of a table without rows says that there are none.

    Raises
    ------
    InputError
        A column that is named is not in the table, or not one number of the table is there.

    Chapter: notebooks/08_scores.md
    """
    digits_of, rename, widths, percent = digits_of or {}, rename or {}, widths or {}, set(percent)
    ends = intervals if isinstance(intervals, Mapping) else dict.fromkeys(intervals, ("low", "high"))
    within = {end for pair in ends.values() for end in pair}
    named = (*percent, *digits_of, *ends, *within, *(columns or ()), *rename, *widths, *links)
    style.require(frame, "table", *named, rows=False)
    numbers = frame.select_dtypes("number")
    if numbers.size and numbers.isna().all(axis=None):
        raise InputError(f'not one number of the table "{caption}" is there; mend what computes them')
    caption += "" if len(frame) else " There are none."
    shown = frame.astype(object)
    for name in frame.columns:
        spec = digits_of.get(name, 0 if name in percent else digits)
        if not isinstance(spec, str):
            sign = "+" if name in ends and name not in percent else ""
            spec = f"{sign}.{spec}{'%' if name in percent else 'f'}"
        whole = name in {*percent, *digits_of, *ends}
        texts = [_text(value, spec, whole=whole, missing=missing) for value in frame[name]]
        for i, (low, high) in enumerate(zip(*(frame[end] for end in ends.get(name, ())), strict=True)):
            texts[i] += "" if pd.isna(low) or pd.isna(high) else f" ({low:{spec}} to {high:{spec}})"
        shown[name] = texts
    shown = shown[list(columns)] if columns else shown.drop(columns=list(within))
    name = hashlib.sha256(f"{caption}\n{shown.to_csv()}".encode()).hexdigest()[:8]  # pandas would draw one at random
    styler = Styler(shown.rename(columns=rename), caption=html.escape(caption, quote=False), cell_ids=False, uuid=name)
    held = {rename.get(name, name) for name in links}
    styler.format(escape="html", subset=[name for name in styler.columns if name not in held])
    styler.format(_unbroken, escape="html", subset=[rename.get(name, name) for name in ends if name in shown])
    styler.format_index(escape="html", axis="columns").format_index(escape="html", axis="index")
    look: Any = {rename.get(n, n): [{"selector": "", "props": [("width", width)]}] for n, width in widths.items()}
    styler.set_table_styles(look)
    return styler if index else styler.hide(axis="index")


def _unbroken(text: object) -> str:
    """An estimate over its interval where both do not fit a line (a phone), and never the interval in pieces."""
    estimate, bracket, interval = str(text).partition(" (")
    return estimate + bracket + interval.replace(" ", "\N{NO-BREAK SPACE}")


def _text(value: Any, spec: str, *, whole: bool, missing: str) -> str:
    if pd.isna(value):
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if spec == "p":
        return "<0.001" if value < 0.0005 else ">0.999" if value > 0.9995 else f"{value:.3f}"
    if isinstance(value, Real) and (whole or not isinstance(value, Integral)):
        return re.sub(r"^-(?=[0.]+%?$)", "+" if "+" in spec else "", f"{value:{spec}}").replace(",", " ")
    return str(value)


def verbatim(text: str) -> str:
    """A text from outside, such as a file's name, as it is in a sentence of Markdown: no sign in it is markup.

    Chapter: notebooks/32_playground.md
    """
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {printable(text)} {fence}"


def compare(
    scores: Mapping[str, pd.DataFrame],
    caption: str,
    *,
    specification: str,
    accuracy: Mapping[str, float],
) -> Styler:
    """Changed runs beside the first one, the thesis's: what became of accuracy and scores, clip by clip.

    Parameters
    ----------
    scores : by the run's name in the table, columns clip, specification, score (in [-1, 1] or NaN).
    specification : whose scores are compared, such as "frame".
    accuracy : by the same names, 0 to 1.

    Returns
    -------
    A row per run; "median difference" is over clips, of the score minus the first run's.

    Chapter: notebooks/09_results.md
    """
    if len(scores) < 2:
        raise InputError(f"scores holds {len(scores)} runs; give two or more by name, the thesis's first")
    own = {}
    for name, found in scores.items():
        style.require(found, f"scores of {name}", "clip", "specification", "score")
        own[name] = found[found["specification"] == specification].set_index("clip")["score"]
        if own[name].empty:
            known = ", ".join(found["specification"].unique())
            raise InputError(f'{name} has no scores of "{specification}"; choose from {known}')
    rows: list[dict] = []
    for name, score in own.items():
        change = (score - next(iter(own.values()))).dropna()
        row = {"run": name, "clips": len(score), "NaN": score.isna().sum(), "accuracy": accuracy.get(name)}
        row |= {"median score": score.median(), "share below 0": (score.dropna() < 0).mean()}
        row |= {"median difference": change.median() if rows else None, "clips in both": len(change)}
        rows.append(row)
    digits: Any = {"accuracy": 1, "median score": "+.2f", "median difference": "+.2f"}
    return table(pd.DataFrame(rows), caption, percent=["accuracy", "share below 0"], digits_of=digits)
