"""What have clips in common whose maps are faithful? Each clip's score beside what is known of the clip.

Chapter: notebooks/26_commonalities.md
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import entropy

from helpers.audio import urbansound
from helpers.experiments import controls, frame_effects
from helpers.findings import confirmation, statistics
from helpers.maps import explainers, nulls
from helpers.metric import correlation
from helpers.study import Run

SCORES = {"score": "normalised score", "lead": "score minus random nodes"}  # what is to be predicted
ROOM = 0.1  # the ceiling's least lead over random nodes: with less, the normalised score is a ratio of two noises


def answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """How sure a kind of network is of each clip: means over its training seeds.

    Parameters
    ----------
    predictions : of some runs (`artifacts.across`).

    Returns
    -------
    kind, clip, predicted (by the first seed), confidence (probability of the predicted class), margin (by how much it
    exceeds the second), entropy (of the ten probabilities, nats), right (share of seeds), agreement (share of seeds
    that predict the class that most of them predict).

    Chapter: notebooks/26_commonalities.md
    """
    chances = softmax(predictions.filter(like="logit_").to_numpy(), axis=1)
    best = np.sort(chances, axis=1)[:, -2:]
    rows = predictions[["clip", "predicted"]].assign(kind=_kinds(predictions), confidence=best[:, 1])
    rows = rows.assign(margin=best[:, 1] - best[:, 0], entropy=entropy(chances, axis=1))
    rows["right"] = (predictions["predicted"] == predictions["label"]).astype(float)
    found = rows.groupby(["kind", "clip"], sort=False)
    means = found[["confidence", "margin", "entropy", "right"]].mean()
    means["agreement"] = found["predicted"].agg(lambda seeds: seeds.value_counts(normalize=True).max())
    means.insert(0, "predicted", found["predicted"].first())
    return means.reset_index()


def _kinds(rows: pd.DataFrame) -> pd.Series:
    return confirmation.names(rows.assign(setting=rows["setting"].str.replace(r"^seed=\d+ ", "", regex=True)))


def scores(rows: pd.DataFrame, *, room: float = ROOM) -> pd.DataFrame:
    """The scores inside the sound that are to be predicted, for each run and clip.

    Parameters
    ----------
    rows : controls of some runs (`artifacts.across`).
    room : how far the ceiling in nodes must lie above random nodes, at least, for a normalised score.

    Returns
    -------
    kind, seed, clip, recording, "lead": Grad-CAM minus random nodes, "score": this over the ceiling's lead; NaN where
    there is no score, "score" also where there is no room.

    Chapter: notebooks/26_commonalities.md
    """
    own, null, best = (rows[f"{name} inside"] for name in ("Grad-CAM", "random nodes", "ceiling in nodes"))
    score = pd.Series(nulls.normalised(own, null, best), rows.index).where(best - null >= room)
    return rows[["seed", "clip", "recording"]].assign(kind=_kinds(rows), lead=own - null, score=score)


def clips(rows: pd.DataFrame, predictions: pd.DataFrame, sounds: pd.DataFrame, *, room: float = ROOM) -> pd.DataFrame:
    """One row per kind of network and clip: its scores, means over the seeds that have one, and its properties.

    Parameters
    ----------
    rows, predictions : controls and predictions of the same runs (`artifacts.across`).
    sounds : `experiments.properties.table`. room : as in `scores`.

    Returns
    -------
    kind, clip, recording, predicted, second (where the clip begins in its recording), the `PROPERTIES` of
    `predictors`, `SCORES`; seeds, and how many of them have a lead (led) and a score (scored). "class" is the true
    class, length how many frames hold sound.

    Chapter: notebooks/26_commonalities.md
    """
    by = scores(rows, room=room).groupby(["kind", "clip", "recording"], sort=False)
    means = by.agg(seeds=("seed", "size"), led=("lead", "count"), scored=("score", "count"))
    means[list(SCORES)] = by[list(SCORES)].mean()
    facts = rows[["clip", "salience"]].assign(
        length=rows["frames"],
        kind=_kinds(rows),
        **{"class": [urbansound.CLASSES[label].replace("_", " ") for label in rows["label"]]},
    )
    found = means.reset_index().merge(facts.drop_duplicates(["kind", "clip"]), on=["kind", "clip"])
    return found.merge(answers(predictions), on=["kind", "clip"]).merge(sounds, on=["clip", "recording"])


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """What is left out, and why: every pair of a clip and a training seed is one map.

    Parameters
    ----------
    table : from `clips`.

    Returns
    -------
    One row per kind: kind, seeds, clips, recordings, maps, no score (maps), no room (maps: the ceiling hardly lies
    above random nodes), left out (clips of which no map is left), then mean and spread (standard deviation) of the
    score, and the mean lead.

    Chapter: notebooks/26_commonalities.md
    """
    found = []
    for kind, part in table.groupby("kind", sort=False):
        maps, led, scored = part[["seeds", "led", "scored"]].sum()
        facts = {"kind": kind, "seeds": part["seeds"].max(), "clips": len(part)}
        facts |= {"recordings": part["recording"].nunique(), "maps": maps}
        facts |= {"no score": maps - led, "no room": led - scored}
        facts |= {"left out": int((part["scored"] == 0).sum()), "score": part["score"].mean()}
        found.append(facts | {"spread": part["score"].std(), "lead": part["lead"].mean()})
    return pd.DataFrame(found)


def repeated(table: pd.DataFrame, *, target: str = "score", draws: int = 1000) -> pd.DataFrame:
    """Does another network give the same clip a similar score? Correlations over clips, between and within kinds.

    Parameters
    ----------
    table : from `scores`. target : one of `SCORES`. draws : bootstrap samples of each interval.

    Returns
    -------
    One row per pair of kinds, and per kind with several seeds: one, other, correlation (Pearson, mean over pairs of
    networks) with its 95 % interval over recordings low, high, clips (that all of these networks score); reach, within
    a kind: how much of the variance of the mean over its seeds could at most be known from what all seeds share.

    Source: Spearman 1910, Brown 1910 (reach). Chapter: notebooks/26_commonalities.md
    """
    wide = table.pivot(index=["clip", "recording"], columns=["kind", "seed"], values=target)
    kinds, found = list(table["kind"].unique()), []
    for one, other in combinations_with_replacement(kinds, 2):
        seeds = wide[one].shape[1]
        if one == other and seeds < 2:
            continue
        known = (wide[[one]] if one == other else wide[[one, other]]).dropna()

        def read(values: np.ndarray, seeds: int = seeds, within: bool = one == other) -> float:
            with np.errstate(invalid="ignore"):  # scores that are all the same correlate with nothing
                matrix = np.corrcoef(values.T)
            return float(matrix[np.triu_indices(seeds, 1)].mean() if within else matrix[:seeds, seeds:].mean())

        correlation, recordings = read(known.to_numpy()), known.index.get_level_values("recording")
        low, high = statistics.interval(read, known.to_numpy(), recordings, draws=draws)
        facts = {"one": one, "other": other, "correlation": correlation, "low": low, "high": high, "clips": len(known)}
        reach = seeds * correlation / (1 + (seeds - 1) * correlation)
        found.append(facts | {"reach": max(reach, 0) if one == other else np.nan})
    return pd.DataFrame(found)


def steady(kept: pd.DataFrame) -> str:
    """How alike two networks score the same clips, within kinds and between them: one sentence.

    Parameters
    ----------
    kept : from `repeated`; without rows where there is one network.

    Chapter: notebooks/26_commonalities.md
    """
    if kept.empty:
        return "There is one network here, so nothing says whether a clip keeps its score in another."
    within = kept["one"] == kept["other"]
    parts = []
    for name, part in (("the same kind", kept[within]), ("two kinds", kept[~within])):
        if len(part):
            low, high = part["correlation"].min(), part["correlation"].max()
            parts.append(f"of two networks of {name} correlate by {low:+.2f} to {high:+.2f}")
    return f"Over the same clips the scores {', those '.join(parts)}."


def extremes(part: pd.DataFrame, *, count: int = 5, target: str = "score") -> pd.DataFrame:
    """The clips with the best scores, best first, and those with the worst, worst first; "end" says which.

    Parameters
    ----------
    part : clips of one kind. count : of each end, at most half of the clips that have the target.

    Chapter: notebooks/26_commonalities.md
    """
    order = part[part[target].notna()].sort_values(target, ascending=False, kind="stable")
    count = min(count, len(order) // 2)
    ends = {"best": order.head(count), "worst": order[::-1].head(count)}
    return pd.concat([rows.assign(end=end) for end, rows in ends.items()], ignore_index=True)


def curves(run: Run, names: Sequence[str]) -> pd.DataFrame:
    """What a run's map and the effects give to each frame that holds sound, of some clips.

    Parameters
    ----------
    names : of clips of the run's controls.

    Returns
    -------
    clip, second, map and effects, each over its largest value (0 to 1), and score: their frame score inside the sound.

    Chapter: notebooks/26_commonalities.md
    """
    known, found = frame_effects.frames(run), []
    for name in names:
        i = int(np.flatnonzero(known.clips == name)[0])
        end = controls.sounding_of(run, known.frames)[i]
        both = np.stack([nulls.profile(explainers.stretch(known.nodes[[i]], run.shape))[0], known.effects[i]])[:, :end]
        score = correlation.frame_scores(both[:1], both[1])[0]
        scaled = both / np.maximum(both.max(axis=1, keepdims=True), np.finfo(float).tiny)
        facts = {"clip": name, "second": np.arange(end) * run.seconds_per_frame, "score": score}
        found.append(pd.DataFrame(facts | {"map": scaled[0], "effects": scaled[1]}))
    return pd.concat(found, ignore_index=True)
