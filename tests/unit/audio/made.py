"""A small UrbanSound8K: two folds of two clips each."""

import soundfile

from helpers.audio import urbansound

HEADER = ",".join(urbansound.COLUMNS)
ROWS = [
    "7-3-0-0.wav,7,0.0,4.0,1,1,3,dog_bark",
    "7-3-0-1.wav,7,0.5,4.5,2,1,3,dog_bark",
    "8-1-0-0.wav,8,0.0,0.05,1,2,1,car_horn",
    "9-9-0-0.wav,9,1.0,1.05,2,2,9,street_music",
]


def write_table(folder, *lines):
    """The official table of a folder, line by line."""
    path = folder / "metadata" / "UrbanSound8K.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_wav(path, samples, *, rate=22050, subtype="PCM_16", kind="WAV"):
    """A sound file, with the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype, format=kind)
    return path


def cut(path):
    """A WAV file that ends too early."""
    path.write_bytes(path.read_bytes()[:-30])
