"""The sound of the first page: that of its figure where recordings are at hand, else one of its class from the stand-in.

Chapter: book/index.md
"""

from __future__ import annotations

import numpy as np

from helpers import artifacts, show, study
from helpers.audio import sounds, standin, urbansound
from helpers.book import contents, execute, picture

SECONDS = 4


def sound(data: str) -> None:
    """Write book/executed/sound.md, a player that the first page includes; what is there already is left as it is.

    Parameters
    ----------
    data : whose sounds, as in `study.Run`.

    Chapter: book/index.md
    """
    source = study.open(profile="thesis", data=data).source
    page = contents.EXECUTED / "sound.md"
    made_from = f"<!-- {source.folder} {artifacts.content_digest(study.RECORDED / 'first.md')} -->"
    if page.exists() and page.read_text(encoding="utf-8").startswith(made_from):
        return
    run, clip, category = picture.middle()
    path = next(study.folds_of(source.folder).glob(f"fold*/{clip}"), None) if source.kind == "folder" else None
    if path:
        samples, rate = urbansound.load_audio(path)
        label, credit = "The clip of the figure above", sounds.credit(run.with_(data=data), int(clip.partition("-")[0]))
    else:
        samples, rate = made(category), standin.RATE
        label = f"{category.replace('_', ' ').capitalize()}, made by a program"
        credit = "Synthetic, not a recording: a sound of the same class. The clip of the figure is at Freesound."
    player = execute.lifted(show.player(samples, rate, label=label, credit=credit).data, root="..")
    page.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_text(page, f"{made_from}\n```{{raw}} html\n{player}\n```\n")


def made(category: str) -> np.ndarray:
    """A sound of a class by the stand-in's program, without its street: (samples,), float, at `standin.RATE` Hz.

    Chapter: book/index.md
    """
    kind = standin.KINDS[urbansound.CLASSES.index(category)]
    wave = kind.make(np.random.default_rng(0), np.random.default_rng(1), SECONDS * standin.RATE).wave
    return 0.5 * wave / np.abs(wave).max()
