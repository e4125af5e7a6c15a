"""The pictures of the README and the first page, and what stands around them: written by `make record`.

Chapter: notebooks/21_confirmation.md
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers import artifacts, show
from helpers.audio import urbansound
from helpers.experiments import controls, frame_effects
from helpers.findings import answer, ladder, reference
from helpers.maps import examples, explainers
from helpers.show import style
from helpers.study import Run


def write(path: Path) -> Path:
    """The ladder of the first network of the second plan, as SVG; the same file from the same tables."""
    run = reference.confirmed()[0]
    return _save(show.ladder(ladder.ladder(controls.CONTROLS.read(run)), source=run.label), path, name=run.key)


def first(folder: Path) -> Path:
    """The first page's sentence and its clip: the explained one whose score inside the sound is their median.

    Writes clip.svg and first.md, which shows it, into the folder; returns the latter.
    """
    run = reference.confirmed()[0]
    maps = explainers.explanations(run)
    table, at = _scored(run, maps.clips)
    sound = examples.sound(run, maps.clips[at])
    figure = clip()
    _save(figure, folder / "clip.svg", name=run.key)
    said = answer.one(artifacts.across(reference.confirmed(), controls.CONTROLS.read))
    name = sound.category.replace("_", " ")
    text = f"""{said}

```{{figure}} ../data/recorded/clip.svg
:name: fig:first-clip
:class: {style.classes(figure)}
:alt: A clip of the class {name} over time. Above, its MFCC in grey with the {run.explainer} map in colour over it. \
Below, one bar for each moment: how much the network's answer changes when it is replaced.

One clip, *{name}* ({show.link(sound.recording, sound.second)} at Freesound). Above, where {run.explainer} says that
{run.name} listened; below, what each moment does to its answer. They agree by {table.iloc[at]:+.2f} where there is
sound (+1: the same order, 0: nothing in common). About half of the {table.notna().sum()} explained clips agree less.
```
"""
    artifacts.write_text(folder / "first.md", text.replace("\\\n", ""))
    return folder / "first.md"


def clip() -> Figure:
    """The first page's clip with its map, and what each moment does to its answer.

    Chapter: book/index.md
    """
    run = reference.confirmed()[0]
    maps, effects = explainers.explanations(run), frame_effects.frames(run)
    _, at = _scored(run, maps.clips)
    return show.map_over_effects(
        maps.maps[at],
        maps.inputs[at],
        effects.effects[list(effects.clips).index(maps.clips[at])],
        title=explainers.title(maps, at),
        seconds_per_frame=run.seconds_per_frame,
        sounding_frames=int(maps.frames[at]),
        representation=run.representation,
        explainer=run.explainer,
        source=run.label,
    )


def middle() -> tuple[str, str]:
    """The first page's clip: its file name and its class.

    Chapter: book/index.md
    """
    run = reference.confirmed()[0]
    sample = explainers.sampled(run)
    _, at = _scored(run, sample["clips"])
    return str(sample["clips"][at]), urbansound.CLASSES[sample["labels"][at]]


def _scored(run: Run, clips: np.ndarray) -> tuple[pd.Series, int]:
    """The explained clips' scores inside the sound, and the place of their median."""
    table = controls.CONTROLS.read(run).set_index("clip")["Grad-CAM inside"].reindex(clips)
    return table, int(np.argsort(table.fillna(np.inf).to_numpy(), kind="stable")[(table.notna().sum() - 1) // 2])


def _save(figure: Figure, path: Path, *, name: str) -> Path:
    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # names of parts, which matplotlib would draw at random
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    artifacts.write_text(path, drawn.getvalue())
    return path
