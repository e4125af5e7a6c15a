"""Every view of a clip that a run has: by which network, layer, explainer and class, and what is known of it.

Chapter: notebooks/30_explorer.md
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.audio import sounds, urbansound
from helpers.experiments import comparison, controls, frame_effects, pictures, properties, scores
from helpers.findings import ladder, reference
from helpers.maps import examples, explainers, hearing, nulls
from helpers.maps.examples import Heard
from helpers.metric import correlation
from helpers.study import Run

# rungs that are the same for every map of a network: they know the effects, the sound or nothing, and no layer
FREE = ("sound or padding", "bump", "loudness", "ceiling")
INSIDE = ladder.WHERE["inside the sound"]


@dataclass(frozen=True)
class Rung:
    """A kind of map, what it knows, and its score on one clip, over all frames and inside the sound: -1 to 1, or NaN.

    own : it is the map that is shown.
    """

    rung: str
    knows: str
    score: float
    inside: float
    own: bool = False


@dataclass(frozen=True)
class View:
    """One clip, as a network was given it and an explainer explains it.

    clip, category : whose sound it is, category its true class. fold : that tested.
    heard : gives the sound, and where it is at hand what the map and a guess keep of it, by what is said of each.
    credit : whose it is, "" where it is not at hand.
    choices : network, explainer, layer, class, as a reader chooses them. answer, explained : classes in words.
    representation, picture : (rows, frames); None where the input is not recorded.
    map : (rows, frames), in [0, 1]; one row where only its curve is recorded. effects : (frames,), >= 0; None where
    they are not recorded. frames : that hold sound. seconds_per_frame : s.
    rungs : the map itself and what stands beside it.
    """

    clip: str
    category: str
    fold: int
    heard: Callable[[], Mapping[str, Heard]]
    credit: str
    choices: dict[str, str]
    answer: str
    explained: str
    representation: str
    picture: np.ndarray | None
    map: np.ndarray
    effects: np.ndarray | None
    frames: int
    seconds_per_frame: float
    rungs: tuple[Rung, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What no two views share."""
        return (self.clip, *self.choices.values())

    @property
    def said(self) -> str:
        """What the network answered, where the map and the effects peak, and how well they agree."""
        right = "and is right" if self.answer == self.category else f"but it is {self.category}"
        words = [f"{self.choices['network']} hears {self.answer}, {right}."]
        words += ["The map is 0 everywhere: nothing speaks for the class."] if not self.map.any() else []
        peaks = [f"The map is strongest at {self._at(nulls.profile(self.map[None])[0])}"] if self.map.any() else []
        if self.effects is None:
            peaks += ["what each moment does to this answer is not recorded"]
        elif self.effects.any():
            peaks += [f"the answer changes most when the moment at {self._at(self.effects)} is replaced"]
        else:
            peaks += ["no replaced moment changes the answer"]
        together = "; ".join(peaks)
        return " ".join([*words, f"{together[0].upper()}{together[1:]}.", self._scored()])

    def _at(self, curve: np.ndarray) -> str:
        return f"{curve.argmax() * self.seconds_per_frame:.1f} s"

    def _scored(self) -> str:
        own = next(rung for rung in self.rungs if rung.own)
        said = {"over all frames": own.score, "inside the sound": own.inside}
        parts = [f"{score:+.2f} {where}" for where, score in said.items() if not np.isnan(score)]
        if not parts:
            return "It has no score."
        return f"Its score is {' and '.join(parts)}."


def views(run: Run) -> list[View]:
    """Every view that a run has; of a recorded run all that are recorded, whatever their network and fold.

    Chapter: notebooks/30_explorer.md
    """
    found: dict[tuple[str, ...], View] = {}
    for one in reference.anywhere(run, explainers.EXPLANATIONS):
        for view in _explained(one):
            found.setdefault(view.key, view)
    for one in reference.anywhere(run, comparison.COMPARED):
        for view in _compared(one):
            found.setdefault(view.key, view)
    return list(found.values())


def named(run: Run) -> str:
    """A network and its input as a reader of the explorer chooses them.

    Chapter: notebooks/30_explorer.md
    """
    parts = [run.name, f"hop {run.hop_length}", f"{len(run.training_folds)} folds", f"seed {run.seed}"]
    parts += ["log-mel"] if run.representation == "log-mel" else []
    parts += [f"padding {run.padding.replace('_', ' ')}"] if run.padding != "zero" else []
    parts += [run.scaling] if run.scaling == "standardised" else []
    return ", ".join(parts)


def _words(category: int) -> str:
    return urbansound.CLASSES[category].replace("_", " ")


def _explained(run: Run) -> Iterator[View]:
    maps = explainers.explanations(run)
    recorded = run.source.kind == "recorded"
    effects, known = _effects(run)
    table = scores.SCORES.read(run) if scores.SCORES.there(run) else pd.DataFrame(columns=scores.COLUMNS)
    frame = table[table["specification"] == "frame"].set_index("clip")["score"]
    for i, clip in enumerate(maps.clips):
        asked = effects.get((clip, int(maps.explained[i])))
        inside = int(controls.sounding_of(run, maps.frames)[i])
        own = (frame.get(clip, np.nan), np.nan)
        if asked is not None:
            own = _both(nulls.profile(maps.maps[[i]]), asked, inside)
        yield View(
            clip=str(clip),
            category=_words(maps.labels[i]),
            fold=run.test_fold,
            heard=functools.partial(_elsewhere, vars(maps), i, maps.seconds[i])
            if recorded
            else functools.partial(_heard, run, maps, i),
            credit="" if recorded else sounds.credit(run, int(maps.recordings[i])),
            choices={"network": named(run), "explainer": run.explainer, "layer": run.layer, "class": run.explained},
            answer=_words(maps.predicted[i]),
            explained=_words(maps.explained[i]),
            representation=run.representation,
            picture=maps.inputs[i, 0],
            map=maps.maps[i],
            effects=asked,
            frames=int(maps.frames[i]),
            seconds_per_frame=run.seconds_per_frame,
            rungs=_ladder(run.explainer, own, known.loc[clip] if asked is not None else None),
        )


def _heard(run: Run, maps: explainers.Explanations, i: int) -> Mapping[str, Heard]:
    """A clip, what its map keeps and drops of it and what a map of random nodes keeps."""
    sound = examples.sound(run, str(maps.clips[i]))
    guess = nulls.random_nodes(
        maps.nodes.shape[1:], count=1, random=np.random.default_rng((run.null_seed, i)), size=run.shape
    )
    kept, guessed = hearing.shares(np.stack([maps.maps[i], guess[0]]), run)
    shares = {"The clip": np.ones_like(kept), f"What {run.explainer} keeps": kept}
    shares |= {"What it drops": 1 - kept, "What a guess keeps": guessed}
    return hearing.versions(sound, shares, run)


def _elsewhere(found: Mapping[str, np.ndarray], i: int, second: float) -> Mapping[str, Heard]:
    """A clip that is not at hand; it is heard where it comes from."""
    clip, category = str(found["clips"][i]), _words(found["labels"][i])
    return {f"{category}, {clip}": Heard(clip, int(found["recordings"][i]), second, category, None, 0)}


def _effects(run: Run) -> tuple[dict[tuple[str, int], np.ndarray], pd.DataFrame]:
    """Effects by clip and class, and the rungs that go with them: of the run, or of its network's last block."""
    of = run if frame_effects.EFFECTS.there(run) else run.with_(layer="", explained="predicted")
    if not (frame_effects.EFFECTS.there(of) and controls.CONTROLS.there(of)):
        return {}, pd.DataFrame()
    found, rows = frame_effects.frames(of), controls.CONTROLS.read(of).set_index("clip")
    kept = {(c, int(k)): v for c, k, v in zip(found.clips, found.explained, found.effects, strict=True)}
    return kept, rows if of is run else rows[[name for name in rows if str(name).removesuffix(INSIDE) in FREE]]


def _both(curves: np.ndarray, effects: np.ndarray, inside: int) -> tuple[float, float]:
    """The frame score of one curve, over all frames and inside the sound."""
    every, part = (correlation.frame_scores(curves[:, :end], effects[:end])[0] for end in (len(effects), inside))
    return float(every), float(part)


def _ladder(explainer: str, own: tuple[float, float], known: pd.Series | None) -> tuple[Rung, ...]:
    """The map itself among the rungs of the ladder that are known."""
    rungs = []
    for rung, knows in controls.RUNGS.items():
        if rung == comparison.OWN:
            rungs.append(Rung(explainer, knows, *own, own=True))
        elif known is not None and rung in known:
            rungs.append(Rung(rung, knows, known[rung], known.get(f"{rung}{INSIDE}", np.nan)))
    return tuple(rungs)


def _compared(run: Run) -> Iterator[View]:
    found = comparison.arrays(run)
    table = comparison.table(run).fillna({"layer": ""})
    rows = {(row["clip"], row["explainer"], row["layer"]): row for row in table.to_dict("records")}
    seen = pictures.pictures(run) if pictures.PICTURES.there(run) else {}
    begins = properties.PROPERTIES.read(run).set_index("clip")["second"]
    for i, clip in enumerate(found["clips"]):
        loud, effects = rows[clip, comparison.SOUND, ""], found["effects"][i, 0]
        for k, (name, layer) in enumerate(zip(found["explainers"], found["layers"], strict=True)):
            curve = found["curves"][i, k]
            choices = {
                "network": named(run),
                "explainer": str(name),
                "layer": str(layer) or "none",
                "class": run.explained,
            }
            yield View(
                clip=str(clip),
                category=_words(found["labels"][i]),
                fold=run.test_fold,
                heard=functools.partial(_elsewhere, found, i, float(begins[clip])),
                credit="",
                choices=choices,
                answer=_words(found["predicted"][i]),
                explained=_words(found["explained"][i]),
                representation=run.representation,
                picture=seen.get(str(clip)),
                map=(curve / max(curve.max(), 1e-12))[None],
                effects=effects,
                frames=int(found["frames"][i]),
                seconds_per_frame=run.seconds_per_frame,
                rungs=_beside(str(name), rows[clip, name, layer], loud),
            )


def _beside(explainer: str, row: dict, loud: dict) -> tuple[Rung, ...]:
    """The rungs of the ladder that the comparison of explainers has."""
    of_cells, is_loudness = np.isnan(row["ceiling"]), explainer == comparison.SOUND
    made = [
        ("independent frames" if of_cells else "random nodes", "random nodes", row, "random"),
        ("mean map", "mean map", row, "mean map"),
        *([] if is_loudness else [(comparison.SOUND, comparison.SOUND, loud, "score")]),
        (explainer, comparison.SOUND if is_loudness else comparison.OWN, row, "score"),
        *([] if of_cells else [("ceiling in nodes", "ceiling in nodes", row, "ceiling")]),
        ("ceiling", "ceiling", row, "again"),
    ]
    return tuple(
        Rung(name, controls.RUNGS[like], of[head], of[f"{head}{INSIDE}"], own=name == explainer)
        for name, like, of, head in made
    )
