"""Does it matter for the maps what the network is given?

Chapter: notebooks/28_representations.md
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers import study
from helpers.experiments import blocks
from helpers.findings import readings, statistics
from helpers.maps import nulls
from helpers.networks import training
from helpers.study import Run

# means over clips, each with an interval over recordings: what is taken away from the score
LEADS = {"lead": "random", "about": "mean map"}
ENDS = {"score": ("low", "high")} | {name: (f"{name}_low", f"{name}_high") for name in LEADS}
SAID = {  # what the columns are called where they are shown
    "lead": "over random nodes",
    "about": "over the mean map of other recordings",
    "again": "effects of U[0, 1), again",
}


def named(run: Run) -> str:
    """What the network of a run is given, in a few words: "MFCC 13, standardised".

    Chapter: notebooks/28_representations.md
    """
    rows = "" if run.representation == "waveform" else f" {run.rows}"
    scaling = {"standardised": ", standardised", "together": "", "raw": ", raw"}[run.scaling]
    name = run.representation.replace("mfcc", "MFCC")
    return f"{name}{rows}{scaling}" + (f", seed {run.seed}" if run.seed else "")


def plural(kind: str) -> str:
    """Several blocks of a kind.

    Chapter: notebooks/28_representations.md
    """
    return {"patch": "patches"}.get(kind, f"{kind}s")


def accuracies(runs: list[Run]) -> pd.DataFrame:
    """How often each network is right, and what a block is: one row per run.

    Returns
    -------
    input, network, accuracy on the test fold with its 95 % interval over recordings low, high; rows, bands (of how many
    rows), patch (rows x frames); NaN where there are none.

    Chapter: notebooks/28_representations.md
    """
    found = []
    for run in runs:
        right = readings.accuracy(training.predictions(run).assign(run=run.key)).iloc[0]
        row = {"input": named(run), "network": run.name, **right[["accuracy", "low", "high"]], "rows": run.rows}
        if "band" in blocks.kinds(run):
            height, width = blocks.size(run, "patch")
            row |= {"rows of a band": height, "patch": f"{height} x {width}"}
        found.append(row)
    return pd.DataFrame(found)


def table(runs: list[Run], *, draws: int = 1000) -> pd.DataFrame:
    """What the maps of each network know of frames, bands and patches.

    Parameters
    ----------
    draws : bootstrap samples of each interval.

    Returns
    -------
    One row per run, kind of block and baseline: input, blocks, baseline, clips, NaN (clips without a score); score
    (mean) with its 95 % interval over recordings low, high; lead (over random nodes), lead_low, lead_high; about (this
    clip: over the mean map of other recordings), about_low, about_high; loudness, again (means); normalised (median): 0
    random nodes, 1 the best map of the layer's shape.

    Chapter: notebooks/28_representations.md
    """
    found = []
    for run in runs:
        for (kind, baseline), part in blocks.table(run).groupby(["blocks", "baseline"], sort=False):
            row = {"input": named(run), "blocks": kind, "baseline": baseline, "clips": len(part)}
            row |= {"NaN": int(part["score"].isna().sum())}
            means = {"score": part["score"]} | {name: part["score"] - part[other] for name, other in LEADS.items()}
            for name, values in means.items():
                known = values.dropna()
                ends = statistics.interval(np.mean, known, part.loc[known.index, "recording"], draws=draws)
                row |= {name: known.mean(), **dict(zip(ENDS[name], ends, strict=True))}
            row |= {name: part[name].mean() for name in ("loudness", "again")}
            scaled = nulls.normalised(part["score"], part["random"], part["ceiling"])
            found.append(row | {"normalised": pd.Series(scaled).median()})
    return pd.DataFrame(found)


def said(found: pd.DataFrame) -> str:
    """What the representations say, as a list, by the first baseline of each kind of block.

    Parameters
    ----------
    found : from `table`.

    Chapter: notebooks/28_representations.md
    """
    lines = []
    for kind, part in found.groupby("blocks", sort=False):
        first = part[(part["baseline"] == blocks.ASKED[str(kind)][0]) & part["score"].notna()]
        above = [first[f"{name}_low"] > 0 for name in LEADS]
        # a lead over the mean map alone may say no more than that the mean map is worse than chance
        lead, about, both = (
            _listed(first.loc[one, "input"].tolist(), len(first)) for one in (*above, above[0] & above[1])
        )
        lines.append(
            f"- Of {plural(str(kind))}, maps score surely above maps of random nodes for {lead}, "
            f"surely above one map that is the same for all clips for {about}, and above both for {both}."
        )
    asked = len(LEADS) * int(found["score"].notna().sum())
    return "\n".join(
        [*lines, f"- No interval of a lead is corrected for how many are asked for: {asked}, by all baselines."]
    )


def _listed(names: list[str], of: int) -> str:
    return f"{len(names)} of {of} inputs" + (f" ({'; '.join(names)})" if 0 < len(names) < of else "")


def waiting(runs: list[Run]) -> list[str]:
    """Inputs of the recorded study that are not computed yet.

    Chapter: notebooks/28_representations.md
    """
    there = {run.key for run in runs}
    every = zip(study.study("reference"), study.entries(), strict=True)
    return [named(run) for entry, run in every if "blocks" in entry.get("only", []) and run.key not in there]
