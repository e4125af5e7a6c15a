"""Do networks that answer alike mark the same moments? Maps of one clip, across networks.

Chapter: notebooks/25_agreement.md
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from helpers import InputError
from helpers.experiments import comparison, controls, frame_effects
from helpers.findings import reference, statistics
from helpers.maps import explainers, nulls
from helpers.metric import correlation
from helpers.study import Run

ANSWERS = RIGHT, WRONG, DIFFERENT = "same, right", "same, wrong", "different"  # of two networks to one clip
SEED = ": another seed"
OF = ("maps", "effects in nodes", "effects")  # what is compared; the second is as coarse as the maps are
ELSEWHERE = ("another recording", "another recording, same answer")  # what is no agreement about this clip


@dataclass(frozen=True)
class Answers:
    """What one network says of clips: its answers, the curves of its maps, and what the frames mean to it.

    name : of the network. kind : what it shares with networks of another training seed.
    clips : (clips,), str. recordings, labels, predicted, frames (that hold sound) : (clips,), int64.
    curves, coarse, effects : (clips, frames), float, >= 0: of the maps, of the effects squeezed into the layer's nodes,
    and of the effects.
    nodes : (rows, columns) of the layer. shape : (rows, frames) of the input. step : from frame to frame, seconds.
    """

    name: str
    kind: str
    clips: np.ndarray
    recordings: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    frames: np.ndarray
    curves: np.ndarray
    coarse: np.ndarray
    effects: np.ndarray
    nodes: tuple[int, int]
    shape: tuple[int, int]
    step: float


def recorded() -> list[Run]:
    """The recorded networks of the second plan whose frames last as long as the first one's.

    Chapter: notebooks/25_agreement.md
    """
    every = [run for run in reference.confirmed() if frame_effects.EFFECTS.there(run)]
    return [run for run in every if run.seconds_per_frame == every[0].seconds_per_frame]


def answers(run: Run) -> Answers:
    """What the network of a run says of the test clips that the controls take.

    Chapter: notebooks/25_agreement.md
    """
    found, input_ = frame_effects.frames(run), "MFCC" if run.representation == "mfcc" else run.representation
    kind = f"{run.name}, {input_}, {'repeated' if run.padding.startswith('repeat') else 'padded'}"
    nodes = found.nodes.shape[1:]
    squeezed = np.stack([controls.squeezed_nodes(effects, nodes)[0] for effects in found.effects]).reshape(-1, *nodes)
    facts = {name: getattr(found, name) for name in ("clips", "recordings", "labels", "predicted", "frames", "effects")}
    return Answers(
        name=f"{kind}, seed {run.seed}",
        kind=kind,
        curves=nulls.profile(explainers.stretch(found.nodes, run.shape)),
        coarse=nulls.profile(explainers.stretch(squeezed, run.shape)),
        nodes=nodes,
        shape=run.shape,
        step=run.seconds_per_frame,
        **facts,
    )


def at(run: Run, layer: str = "") -> Answers:
    """What the network of a run says of one clip of each recording, by Grad-CAM's maps of a layer.

    Parameters
    ----------
    layer : one of `run.compared_layers`; the run's own by default.

    Chapter: notebooks/25_agreement.md
    """
    layer = layer or run.layer
    found = comparison.arrays(run)
    (k,) = np.flatnonzero((found["explainers"] == comparison.OWN) & (found["layers"] == layer))
    rows, columns = map(int, found["shapes"][k])
    effects = found["effects"][:, 0]
    coarse = np.stack([controls.squeezed(one, (rows, columns)) for one in effects])
    return Answers(
        name=f"{run.name}, {layer}, seed {run.seed}",
        kind=f"{run.name}, {layer}",
        curves=found["curves"][:, k],
        coarse=coarse,
        effects=effects,
        nodes=(rows, columns),
        shape=run.shape,
        step=run.seconds_per_frame,
        **{name: found[name] for name in ("clips", "recordings", "labels", "predicted", "frames")},
    )


def layers_and_depths(runs: Sequence[Run]) -> pd.DataFrame:
    """The last block of the first network beside its other layers, and beside the last block of the other networks.

    Parameters
    ----------
    runs : with `comparison.COMPARED`; those that were asked other clips than the first are left out.

    Returns
    -------
    As `pairs`.

    Chapter: notebooks/25_agreement.md
    """
    own, first = at(runs[0]), runs[0]
    others = [at(first, layer) for layer in first.compared_layers if layer != first.layer]
    others += [one for one in map(at, runs[1:]) if np.array_equal(one.clips, own.clips)]
    return pd.concat([pair(own, other) for other in others], ignore_index=True) if others else pd.DataFrame()


def pair(first: Answers, second: Answers, *, others: int = 5, seed: int = 0) -> pd.DataFrame:
    """Two networks, clip by clip: how alike are their maps, and how alike is what their frames mean to them?

    Everything is compared inside the sound, over the frames that both networks are given of it; of a sound that is
    repeated, the first time it plays.

    Parameters
    ----------
    first, second : of the same clips, with frames that last as long. others : for each clip, so many clips of other
        recordings, as near to it in length as there are. seed : of which clips these are, where several are as near.

    Returns
    -------
    One row per clip: kinds (of the two networks), clip, recording, answers (one of `ANSWERS`), frames
    (that are compared); by name of `OF` the rank correlation of the two networks, -1 to 1, NaN where a curve is the
    same everywhere; "..., " and a name of `ELSEWHERE`: the mean correlation of the first network's curve with the
    second's of other recordings (the second: of those to which it gives the answer that the first gives here), inside
    the shorter of both sounds; chance: 95 of 100 pairs of maps of random nodes agree less; above: whether the maps
    agree more than that (0 or 1), "above, " and a name of `ELSEWHERE`: which share of those maps does; score: the mean
    of both maps' frame scores over the same frames.

    Raises
    ------
    InputError
        The clips differ, or how long a frame lasts.

    Chapter: notebooks/25_agreement.md
    """
    if not np.array_equal(first.clips, second.clips):
        raise InputError(f"{first.name} and {second.name} were asked different clips; compare networks of one fold")
    if not np.isclose(first.step, second.step):
        raise InputError(
            f"a frame of {first.name} comes after {1000 * first.step:.1f} ms, one of {second.name} after "
            f"{1000 * second.step:.1f} ms; compare networks with equal steps"
        )
    frames = np.minimum(first.frames, second.frames)
    same, right = first.predicted == second.predicted, first.predicted == first.labels
    rows = pd.DataFrame(
        {
            "kinds": _kinds(first, second),
            "clip": first.clips,
            "recording": first.recordings,
            "answers": np.select([same & right, same], [RIGHT, WRONG], DIFFERENT),
            "frames": frames,
        }
    )
    curves = [(first.curves, second.curves), (first.coarse, second.coarse), (first.effects, second.effects)]
    least = np.array([chance(first, second, int(n)) for n in frames])
    for name, (a, b) in zip(OF, curves, strict=True):
        rows[name] = correlation.spearman(a, b, counts=frames)
    rows["above"] = (rows["maps"] > least).where(rows["maps"].notna())
    random = np.random.default_rng(seed)
    alike = first.predicted[:, None] == second.predicted
    for place, fits in zip(ELSEWHERE, (np.ones_like(alike), alike), strict=True):
        fits &= first.recordings[:, None] != second.recordings
        one, other = _nearest(frames, fits, others=others, random=random)
        shorter = np.minimum(frames[one], frames[other])
        for name, (a, b) in zip(OF, curves, strict=True):
            found = pd.Series(correlation.spearman(a[one], b[other], counts=shorter))
            rows[f"{name}, {place}"] = found.groupby(one).mean().reindex(rows.index)
            if name == "maps":
                over = found > [chance(first, second, int(n)) for n in shorter]
                rows[f"above, {place}"] = over.where(found.notna()).groupby(one).mean().reindex(rows.index)
    scores = [correlation.spearman(network.curves, network.effects, counts=frames) for network in (first, second)]
    above = ["above", *(f"above, {place}" for place in ELSEWHERE)]
    return rows.assign(chance=least, score=np.mean(scores, axis=0)).astype(dict.fromkeys(above, float))


def _kinds(first: Answers, second: Answers) -> str:
    if first.name == second.name:
        return f"{first.kind}: itself"
    return f"{first.kind}{SEED}" if first.kind == second.kind else f"{first.kind} and {second.kind}"


def pairs(networks: Iterable[Answers]) -> pd.DataFrame:
    """Every two networks (`pair`), those of one kind first; one that is alone is held against itself.

    Chapter: notebooks/25_agreement.md
    """
    every = list(networks)
    both = sorted(combinations(every, 2), key=lambda two: two[0].kind != two[1].kind) or [(every[0], every[0])]
    return pd.concat([pair(*two) for two in both], ignore_index=True)


def chance(first: Answers, second: Answers, frames: int) -> float:
    """How far maps that know nothing agree by luck: 95 of 100 pairs of random nodes, shaped as the two, agree less.

    Parameters
    ----------
    frames : over how many, from the first on.

    Returns
    -------
    A rank correlation, 0 to 1. Few nodes over few frames are often alike by luck.

    Chapter: notebooks/25_agreement.md
    """
    return _chance((first.nodes, first.shape), (second.nodes, second.shape), frames)


@functools.cache  # networks of one shape share it
def _chance(first: tuple, second: tuple, frames: int, *, level: float = 0.95) -> float:
    # the second's maps moved on by one: two networks of one shape must not be given the same ones
    found = correlation.of_ranks(_ranked(*first, frames), np.roll(_ranked(*second, frames), 1, axis=0))
    return float(np.nanquantile(found, level)) if np.isfinite(found).any() else np.nan


@functools.cache
def _ranked(nodes: tuple[int, int], shape: tuple[int, int], frames: int) -> np.ndarray:
    return correlation.ranks(_blind(nodes, shape)[:, :frames])


@functools.cache
def _blind(nodes: tuple[int, int], shape: tuple[int, int], *, maps: int = 500, seed: int = 0) -> np.ndarray:
    return nulls.profile(nulls.random_nodes(nodes, count=maps, random=np.random.default_rng(seed), size=shape))


def _nearest(
    frames: np.ndarray, fits: np.ndarray, *, others: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of clips, and of those that fit each, (clips, clips), the nearest to it in length."""
    one, other = [], []
    for i, own in enumerate(fits):
        pool = random.permutation(np.flatnonzero(own))
        near = pool[np.argsort(np.abs(frames[pool] - frames[i]), kind="stable")][:others]
        one.append(np.full(len(near), i))
        other.append(near)
    return np.concatenate(one), np.concatenate(other)


def summary(rows: pd.DataFrame, *, answers: Sequence[str] = (RIGHT, WRONG), draws: int = 1000) -> pd.DataFrame:
    """How far networks agree on average; a clip counts once, with the mean over the pairs of its kinds.

    Parameters
    ----------
    rows : from `pairs`. answers : which of `ANSWERS` are taken. draws : bootstrap samples of each interval.

    Returns
    -------
    One row per kinds and name of `OF`: kinds, of, clips, recordings, NaN (clips without a value), agreement with its
    95 % interval over recordings low, high; by name of `ELSEWHERE` the mean there; lead, by how much agreement is
    higher than in the last of these, with lead low, lead high and p (`statistics.difference`); of maps also above, the
    share of clips on which they agree more than chance, with above low, above high, and the same elsewhere.

    Chapter: notebooks/25_agreement.md
    """
    found = []
    for kinds in rows["kinds"].unique():
        clips = _clips(rows[(rows["kinds"] == kinds) & rows["answers"].isin(answers)])
        for name in OF:
            there = {place: clips[f"{name}, {place}"] for place in ELSEWHERE}
            lead = statistics.difference(clips[name] - there[ELSEWHERE[-1]], clips["recording"])
            facts = {"kinds": kinds, "of": name, "clips": len(clips), "recordings": clips["recording"].nunique()}
            facts |= {"NaN": int(clips[name].isna().sum())} | {place: values.mean() for place, values in there.items()}
            facts |= _mean(clips, name, "agreement", ("low", "high"), draws)
            facts |= {"lead": lead["mean"], "lead low": lead["low"], "lead high": lead["high"], "p": lead["p"]}
            if name == "maps":
                facts |= _mean(clips, "above", "above", ("above low", "above high"), draws)
                facts |= {f"above, {place}": clips[f"above, {place}"].mean() for place in ELSEWHERE}
            found.append(facts)
    return pd.DataFrame(found)


def by_answers(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """`summary` by what the two networks answer: a first column answers, one of `ANSWERS`.

    Chapter: notebooks/25_agreement.md
    """
    parts = [summary(rows, answers=[name], draws=draws).assign(answers=name) for name in ANSWERS]
    table = pd.concat(parts, ignore_index=True)
    return table[["answers", *table.columns.drop("answers")]].reset_index(drop=True)


def scores(rows: pd.DataFrame, *, draws: int = 1000) -> pd.DataFrame:
    """Do clips on which the maps of networks agree have higher scores? Rank correlations over clips.

    Parameters
    ----------
    rows, draws : as in `summary`.

    Returns
    -------
    One row per kinds, for all clips that are answered alike and for the longest of them: kinds, clips that are ("of any
    length", "longest"), clips (with both values), correlation (Spearman, -1 to 1) with its 95 % interval over
    recordings low, high.

    Chapter: notebooks/25_agreement.md
    """
    found = []
    for kinds in rows["kinds"].unique():
        clips = _clips(rows[(rows["kinds"] == kinds) & (rows["answers"] != DIFFERENT)])
        clips = clips.dropna(subset=["maps", "score"])
        lengths = {"of any length": clips, "longest": clips[clips["frames"] == rows["frames"].max()]}
        for length, own in lengths.items():
            both = own[["maps", "score"]].to_numpy()
            low, high = statistics.interval(_rho, both, own["recording"], draws=draws)
            facts = {"kinds": kinds, "clips that are": length, "clips": len(own), "correlation": _rho(both)}
            found.append(facts | {"low": low, "high": high})
    return pd.DataFrame(found)


def typical(rows: pd.DataFrame) -> str:
    """Of the clips that every pair answers alike, the longest whose maps agree about as much as the median one's.

    Of all clips, where there is none that all answer alike.

    Parameters
    ----------
    rows : from `pairs`.

    Returns
    -------
    The clip's name.

    Chapter: notebooks/25_agreement.md
    """
    clips = (
        rows.assign(alike=rows["answers"] != DIFFERENT)
        .groupby("clip")
        .agg({"maps": "mean", "frames": "max", "alike": "all"})
    )
    for wanted in (clips["alike"] & (clips["frames"] == clips["frames"].max()), clips["alike"], clips["frames"] > 0):
        known = clips.loc[wanted, "maps"].dropna()
        if len(known):
            return str((known - known.median()).abs().idxmin())
    return str(clips.index[0])


def said(table: pd.DataFrame) -> str:
    """What `summary` comes to, in sentences: seeds first, then what differs in more.

    Parameters
    ----------
    table : from `summary`.

    Returns
    -------
    Markdown, a list.

    Chapter: notebooks/25_agreement.md
    """
    maps = table[table["of"] == "maps"].set_index("kinds")
    maps = maps[maps["agreement"].notna()]
    near = [kinds for kinds in maps.index if kinds.endswith(SEED)] or list(maps.index[:1])
    lines = []
    for kinds in near:
        own, facts = table[table["kinds"] == kinds].set_index("of"), maps.loc[kinds]
        leads = ", ".join(f"{name} {value:+.2f}" for name, value in own["lead"].items())
        lines += [
            f"- {kinds}, same answer: on **{facts['above']:.0%}** of {facts['clips']} clips the maps agree more than "
            "95 of 100 pairs of maps that know nothing. Mean correlations: maps "
            f"{facts['agreement']:+.2f}, effects {own['agreement']['effects']:+.2f}. "
            f"So much more than with other recordings of the same answer: {leads}."
        ]
    far = maps.drop(near)
    if len(far):
        most = str(far["agreement"].idxmax())
        least, highest, there = far["agreement"].min(), far["agreement"].max(), far[ELSEWHERE[-1]][most]
        lines += [
            "- Two kinds of network, same answer: the mean correlation of the maps goes from "
            f"{least:+.2f} to {highest:+.2f}. Where it is highest ({most}), it is {there:+.2f} with other recordings."
        ]
    return "\n".join(lines) or "No clip got the same answer from two networks: nothing can be said."


def _clips(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby(["clip", "recording"]).mean(numeric_only=True).reset_index()


def _mean(clips: pd.DataFrame, name: str, said: str, ends: tuple[str, str], draws: int) -> dict:
    known = clips.dropna(subset=[name])
    of = statistics.share if name == "above" else functools.partial(statistics.interval, np.mean)
    low, high = of(known[name].to_numpy(), known["recording"].to_numpy(), draws=draws)
    return {said: known[name].mean(), ends[0]: low, ends[1]: high}


def _rho(both: np.ndarray) -> float:
    return float(correlation.spearman(both[:, 0][None], both[:, 1][None])[0]) if len(both) > 1 else np.nan
