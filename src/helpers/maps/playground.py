"""A sound of the reader's own, or one that a program makes: what the playground hears.

Chapter: notebooks/32_playground.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers import InputError, study
from helpers.audio import standin, urbansound
from helpers.maps.examples import Heard

SECONDS = standin.SECONDS  # as long as a clip of the data set: the network has learned from nothing longer
LEVEL = 0.1  # of a generated sound: its root mean square, full scale at 1


def sound(path: str = "", *, second: float = 0.0, category: str = "dog_bark") -> Heard:
    """Four seconds of a sound file, or of a generated sound; the file is read where it lies and kept nowhere else.

    Parameters
    ----------
    path : of any file that soundfile reads (WAV, FLAC, OGG, MP3), from the repository's folder or whole, `~` is the
        user's home; "": a program makes a sound, the same one each time.
    second : where the four seconds begin, s; a sound that ends earlier is taken to its end.
    category : of a generated sound, one of `urbansound.CLASSES`.

    Returns
    -------
    Heard: mono float32 samples at the file's own rate; its recording is 0.

    Raises
    ------
    InputError
        The file is not there or cannot be read as audio, its rate is no recording's, or it ends before `second`.

    Chapter: notebooks/32_playground.md
    """
    if path:
        samples, rate, name = *_read(path), path
    else:
        samples, rate, name = *_generated(category), "a sound made by a program"
    lasts = len(samples) / rate
    try:
        start = float(second)
    except (TypeError, ValueError):
        start = np.nan
    if not 0 <= start < lasts:
        raise InputError(
            f"second {second} does not lie in {name}, which lasts {lasts:.1f} s; give a number from 0 (second in the "
            "parameter cell)"
        )
    part = samples[int(start * rate) : int((start + SECONDS) * rate)]
    return Heard(clip=name, recording=0, second=start, category="" if path else category, samples=part, rate=rate)


def _read(path: str) -> tuple[np.ndarray, int]:
    study.one_line("sound", path)
    remedy = "name a WAV, FLAC, OGG or MP3 file (sound in the parameter cell)"
    try:
        samples, rate = urbansound.load_audio((study.ROOT / Path(path).expanduser()).resolve())
    except (InputError, RuntimeError) as wrong:  # RuntimeError: ~nobody
        raise InputError(f"{str(wrong).partition(';')[0]}; {remedy}") from None
    if rate not in urbansound.RATES:
        raise InputError(f"{path} claims {rate} samples a second, which is no recording's rate; {remedy}")
    return samples, rate


def _generated(category: str) -> tuple[np.ndarray, int]:
    if category not in urbansound.CLASSES:
        raise InputError(f'class "{category}" is not known; choose from {", ".join(urbansound.CLASSES)}')
    kind = standin.KINDS[urbansound.CLASSES.index(category)]
    voice, happening = np.random.default_rng(0), np.random.default_rng(1)
    wave = kind.make(voice, happening, int(SECONDS * standin.RATE)).wave
    wave = LEVEL * wave / np.sqrt(np.mean(wave**2))
    return (wave / max(1, np.abs(wave).max())).astype(np.float32), standin.RATE
