"""Tables of results, by hand."""

import numpy as np
import pandas as pd

from helpers.findings import plan

NAN = float("nan")
INFORMED, LOUD, NOTHING = plan.FAMILIES[:3]


def planned(*runs: tuple[str, int, str], lead: float = 0.2, clips: int = 8) -> pd.DataFrame:
    """Scores of the clips of some runs, (architecture, seed, setting) each; the lead falls run by run."""
    parts = []
    for number, (architecture, seed, setting) in enumerate(runs):
        random = np.random.default_rng(number)
        own = random.uniform(-0.5, 0.5, clips)
        parts.append(
            pd.DataFrame(
                {
                    "run": f"{architecture} seed={seed} {setting}",
                    "architecture": architecture,
                    "seed": seed,
                    "setting": setting,
                    "recording": np.arange(clips),
                    "Grad-CAM": own,
                    "random nodes": own - lead / (1 + number) + random.normal(0, 0.05, clips),
                    "loudness": own + random.normal(0, 0.2, clips),
                    "mean map": own + 0.1,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def within(*runs: tuple[str, str, float]) -> pd.DataFrame:
    """Rows of the first seed: (architecture, setting, lead over random maps within the sound) each."""
    parts = []
    for architecture, setting, lead in runs:
        rows = planned((architecture, 0, setting), lead=lead, clips=20)
        names = {f"{name} inside": rows[name] for name in ("Grad-CAM", "random nodes", "loudness")}
        # scores of all frames do not matter here
        parts.append(rows.assign(**names, **{"Grad-CAM": -1.0}))
    return pd.concat(parts, ignore_index=True)


def outcomes(*runs: tuple) -> pd.DataFrame:
    """Planned tests: (architecture, seed, setting, (mean, p, p_holm) of A, the same of B) each."""
    rows = [
        (f"{a} {seed} {setting}", a, seed, setting, comparison, *numbers)
        for a, seed, setting, *both in runs
        for comparison, numbers in zip("AB", both, strict=True)
    ]
    names = ["run", "architecture", "seed", "setting", "comparison", "mean", "p", "p_holm"]
    return pd.DataFrame(rows, columns=names)


UP, DOWN = (0.1, 0.001, 0.01), (-0.1, 0.001, 0.01)
CHANCE = (0.1, 0.04, 0.06)  # above 0 before the correction only


def deep_rows(**scores: dict[str, list[float]]) -> pd.DataFrame:
    """deep_rows(setting={"resnet18": scores, "resnet101": scores}): a clip of its own recording each."""
    rows = [
        (setting, architecture, f"{i}.wav", i, score)
        for setting, own in scores.items()
        for architecture, values in own.items()
        for i, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["setting", "architecture", "clip", "recording", "Grad-CAM"])
