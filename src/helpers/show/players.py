"""Sounds a reader can hear: short, compressed, labelled players.

Chapter: notebooks/02_dataset.md
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import soundfile
from IPython.display import HTML
from numpy.typing import ArrayLike
from scipy import signal

from helpers import InputError

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


def row(players: Iterable[HTML]) -> HTML:
    """Several players side by side, wrapped where the page is narrow.

    Chapter: notebooks/01_introduction.md
    """
    style = "display: flex; flex-wrap: wrap; gap: 1rem"
    return HTML(f'<div class="players" style="{style}">{"".join(one.data for one in players)}</div>')
