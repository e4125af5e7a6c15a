"""What the first page has of its own: a sound, and the picture that a link to the book is shown with.

Chapter: book/index.md
"""

from __future__ import annotations

import hashlib
import io

import numpy as np

from helpers import artifacts, show, study
from helpers.audio import standin, urbansound
from helpers.book import contents, execute, picture

SECONDS = 4
DOTS = 160  # of an inch of the card


def card() -> None:
    """Write the figure of the first page as _static/card.png, 1200 x 630, of which a preview is made.

    Chapter: book/index.md
    """
    path = contents.EXECUTED / "_static" / "card.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, file = picture.clip(), io.BytesIO()
    figure.set_size_inches(1200 / DOTS, 630 / DOTS)
    figure.savefig(file, format="png", dpi=DOTS)
    artifacts.write(path, file.getvalue())


def sound(data: str) -> None:
    """Write book/executed/sound.md, a player that the first page includes; what is there already is left as it is.

    That of the page's figure where recordings are at hand, else one of its class from the stand-in.

    Parameters
    ----------
    data : whose sounds, as in `study.Run`.

    Chapter: book/index.md
    """
    source = study.find_source(data, "all")
    page = contents.EXECUTED / "sound.md"
    known = f"{source.folder} {artifacts.content_digest(study.RECORDED / 'first.md')}"
    made_from = f"<!-- {hashlib.sha256(known.encode()).hexdigest()} -->"  # the page names no folder of this machine
    if page.exists() and page.read_text(encoding="utf-8").startswith(made_from):
        return
    clip, category = picture.middle()
    path = next(study.folds_of(source.folder).glob(f"fold*/{clip}"), None) if source.kind == "folder" else None
    if path:
        samples, rate = urbansound.load_audio(path)
        recording = int(clip.partition("-")[0])
        by = f" by {name}" if (name := urbansound.credits(source.folder).get(recording)) else ""
        credit = f"Freesound recording {recording}{by}, in UrbanSound8K (CC BY-NC)."
        label = "The clip of the figure below"
    else:
        samples, rate = made(category), standin.RATE
        label = f"{category.replace('_', ' ').capitalize()}, made by a program"
        credit = "Synthetic, not a recording. The clip of the figure below is at Freesound."
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
