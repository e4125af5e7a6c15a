"""Sounds a reader can hear: short, compressed, labelled players.

Chapter: notebooks/02_dataset.md
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import soundfile
from IPython.display import HTML
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import signal

from helpers import InputError
from helpers.show import style

RATES = (22_050, 44_100, 48_000)  # Hz; MP3 knows only some rates, every browser plays these
LONGEST = 30  # s; a page carries its sounds


class Heard(Protocol):
    """What can be heard: mono `samples` at `rate` Hz, if at hand, from a `second` of a `recording` at Freesound."""

    samples: np.ndarray | None
    rate: int
    recording: int
    second: float


def player(samples: ArrayLike, rate: int, *, label: str, credit: str = "") -> HTML:
    """A labelled player that holds its sound as MP3, loaded only when the reader asks for it.

    Parameters
    ----------
    samples : (samples,) or (1, samples), float, one channel, full scale at 1; turned down if louder.
    rate : samples per second; other rates than 22 050, 44 100 and 48 000 are resampled to one.
    label : what sounds; shown, and read out by a screen reader.
    credit : who recorded it and under which licence.

    Returns
    -------
    HTML: a `figure` of class "player" with the sound in the `src` of its `audio`.

    Raises
    ------
    InputError
        The samples are not one channel, none, not finite or longer than 30 s; or the rate is not a
        positive whole number.

    Chapter: notebooks/02_dataset.md
    """
    if rate != int(rate) or rate < 1:
        raise InputError(f"rate is {rate}; give a positive whole number of samples per second")
    sound = np.asarray(samples, dtype=np.float64)
    sound = sound[0] if sound.ndim == 2 and len(sound) == 1 else sound
    if sound.ndim != 1 or not 0 < len(sound) <= LONGEST * rate:
        had = f"samples of {label} has shape {sound.shape} at {rate} Hz"
        raise InputError(f"{had}; give one channel of at most {LONGEST} s")
    if not np.isfinite(sound).all():  # the MP3 encoder would end the whole process
        raise InputError(f"samples of {label} holds values that are not finite; mend the sound")
    playable = min((known for known in RATES if known >= rate), default=RATES[-1])
    if playable != rate:
        sound = signal.resample_poly(sound, playable, int(rate))
    file = io.BytesIO()
    soundfile.write(file, (sound / max(1, np.abs(sound).max())).astype(np.float32), playable, format="MP3")
    held = base64.b64encode(file.getvalue()).decode()
    shown, small = html.escape(label), f"<br><small>{html.escape(credit)}</small>" if credit else ""
    return HTML(
        f'<figure class="player"><figcaption>{shown}{small}</figcaption><audio controls preload="none" '
        f'aria-label="{shown}" src="data:audio/mpeg;base64,{held}"></audio></figure>'
    )


def listen_at(recording: int, second: float, *, label: str) -> HTML:
    """Where to hear a sound that is not at hand: a link to its recording, and the second to listen from.

    Parameters
    ----------
    recording : its id at Freesound, the fsID of UrbanSound8K.
    second : where the sound starts in the recording, s.
    label : what sounds there; shown.

    Returns
    -------
    HTML: a `figure` of class "player" with a link in place of the `audio`.

    Raises
    ------
    InputError
        The recording is not a positive whole number, or the second not finite and at least 0.

    Chapter: notebooks/02_dataset.md
    """
    if recording != int(recording) or recording < 1:
        raise InputError(f"recording is {recording}; give its number at Freesound")
    if not 0 <= second < np.inf:
        raise InputError(f"second is {second}; give the seconds from the start of the recording")
    said = f"Listen at Freesound, recording {int(recording)}, from {_clock(second)}"
    return HTML(
        f'<figure class="player"><figcaption>{html.escape(label)}</figcaption>{_link(recording, said)}</figure>'
    )


def link(recording: int, second: float) -> str:
    """The same in a cell of a table: a link such as 12345 from 0:07, as HTML.

    Parameters
    ----------
    recording, second : as in `listen_at`.

    Chapter: notebooks/26_commonalities.md
    """
    return _link(recording, f"{int(recording)} from {_clock(second)}")


def _link(recording: int, said: str) -> str:
    return f'<a href="https://freesound.org/s/{int(recording)}/">{said}</a>'


def _clock(second: float) -> str:
    minutes, seconds = divmod(int(second), 60)
    return f"{minutes}:{seconds:02d}"


def hear(sound: Heard, *, label: str, credit: str = "") -> HTML:
    """A clip to be heard: a player, or where no sound is at hand a link to its recording.

    Parameters
    ----------
    sound : such as `examples.sound` gives: samples (None: not at hand), rate, recording, second.

    Chapter: notebooks/06_explanations.md
    """
    if sound.samples is None:
        return listen_at(sound.recording, sound.second, label=label)
    return player(sound.samples, sound.rate, label=label, credit=credit)


def follow(figure: Figure, players: Iterable[HTML], *, caption: str, alt: str) -> HTML:
    """A figure over time and players of its sound: while one plays, a line moves over the figure.

    The line is book/_static/choose.js's. A reader who asks for little motion sees it move only when the sound stops or
    another place is chosen.

    Parameters
    ----------
    figure : its first panel has the sound's seconds from left to right, and all others the same.

    Chapter: notebooks/06_explanations.md
    """
    theme = style.classes(figure)
    first = figure.axes[0]
    width, (start, end) = first.get_position(), first.get_xlim()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    held = base64.b64encode(file.getvalue()).decode()
    return HTML(
        f'<figure class="follow" data-left="{width.x0:.5f}" data-right="{width.x1:.5f}" data-start="{start:g}" '
        f'data-end="{end:g}">{row(players).data}<div class="moving"><img class="dark-light {theme}" '
        f'alt="{html.escape(alt)}" src="data:image/png;base64,{held}"/><span class="line" hidden></span></div>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def blind(rounds: Mapping[str, Mapping[str, Heard]]) -> HTML:
    """Versions of a sound to be told apart by ear, and below each round which was which.

    Without a script the answer opens below the players; with one the reader says first which is which, and is told
    how many were right (book/_static/choose.js).

    Parameters
    ----------
    rounds : by what is said of a round, its versions by name, in the order in which they are played; the same names in
        every round.

    Raises
    ------
    InputError
        A sound is not at hand.

    Chapter: notebooks/31_blind.md
    """
    parts = []
    for number, (said, versions) in enumerate(rounds.items(), start=1):
        letters = dict(zip("ABCDEFGH", versions, strict=False))
        heard = row(
            player(_at_hand(versions[name]), versions[name].rate, label=f"Round {number}, version {letter}")
            for letter, name in letters.items()
        )
        answers = "".join(f"<dt>{letter}</dt><dd>{html.escape(name)}</dd>" for letter, name in letters.items())
        parts.append(
            f'<section class="round" aria-label="Round {number}"><p>{html.escape(said)}</p>{heard.data}'
            f"<details><summary>Which is which?</summary><dl>{answers}</dl></details></section>"
        )
    return HTML(f'<div class="blind">{"".join(parts)}</div>')


def _at_hand(sound: Heard) -> np.ndarray:
    if sound.samples is None:
        raise InputError(f"the sound of recording {sound.recording} is not at hand; name a folder of sounds (data)")
    return sound.samples


def row(players: Iterable[HTML]) -> HTML:
    """Several players side by side, wrapped where the page is narrow.

    Chapter: notebooks/01_introduction.md
    """
    style = "display: flex; flex-wrap: wrap; gap: 1rem"
    return HTML(f'<div class="players" style="{style}">{"".join(one.data for one in players)}</div>')
