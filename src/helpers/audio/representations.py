"""From a waveform to 13 MFCCs in 400 frames (thesis 2.2).

Chapter: notebooks/03_features.md
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch.nn import functional
from tqdm import tqdm

from helpers import artifacts, study
from helpers.audio import sounds as collection
from helpers.audio import urbansound
from helpers.study import Run

COEFFICIENTS = 13


FRAMES = 400


WINDOW = 2048  # samples at 44.1 kHz, the thesis's n_fft


@dataclass(frozen=True)
class Features:
    """MFCCs of all clips of a run, in the order of the clips' table.

    mfcc : (clips, 1, 13, 400), float32, MFCC units.
    labels, folds, fs_ids, frames : (clips,), int64; `frames` counts those that hold sound.
    names : (clips,), str, slice_file_name.
    """

    mfcc: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    fs_ids: np.ndarray
    frames: np.ndarray
    names: np.ndarray

    def part(self, chosen: np.ndarray) -> Features:
        """The clips that a mask or an index array chooses."""
        return Features(**{name: values[chosen] for name, values in vars(self).items()})

    def training(self) -> Features:
        """Folds 1 to 9, or those that are there."""
        return self.part(self.folds != study.TEST_FOLD)

    def test(self) -> Features:
        """Fold 10, held out (thesis 2.3)."""
        return self.part(self.folds == study.TEST_FOLD)


def mfcc(waveform: torch.Tensor, rate: int, *, hop_length: int = 1024, padding: str = "zero") -> torch.Tensor:
    """MFCCs as thesis 2.2: mono at 44.1 kHz, 13 coefficients, window 2048, padded or cut to 400 frames.

    Parameters
    ----------
    waveform : (1, samples), float32, in [-1, 1].
    rate : sampling rate in Hz.
    hop_length : samples at 44.1 kHz between frames; 1024 is torchaudio's default for this window.
    padding : what fills the frames after the sound: "zero" (in MFCC units), "minimum" (the clip's
        smallest value) or "repeat" (the clip's frames again).

    Returns
    -------
    (1, 13, 400), float32, MFCC units.

    Source: torchaudio.transforms.Resample and MFCC. Chapter: notebooks/03_features.md
    """
    waveform = resample(rate)(waveform)
    if waveform.shape[-1] < WINDOW:  # UrbanSound8K has clips of 0.05 s, shorter than one window
        waveform = functional.pad(waveform, (0, WINDOW - waveform.shape[-1]))
    values = _transform(hop_length)(waveform)[..., :FRAMES]
    missing = FRAMES - values.shape[-1]
    if padding == "repeat":
        return values.repeat(1, 1, -(-FRAMES // values.shape[-1]))[..., :FRAMES]
    return functional.pad(values, (0, missing), value=0.0 if padding == "zero" else float(values.min()))


def sounding_frames(samples: int, rate: int, *, hop_length: int = 1024) -> int:
    """How many of the 400 frames hold sound, for a clip of `samples` at `rate` Hz; the rest is padding.

    Chapter: notebooks/03_features.md
    """
    at_44k = -(-samples * study.SAMPLING_RATE // rate)  # torchaudio's Resample rounds up
    return min(FRAMES, 1 + max(at_44k, WINDOW) // hop_length)


def dataset(run: Run) -> Features:
    """MFCCs of all clips of a run, made once and loaded afterwards.

    Returns
    -------
    Features; with `scaling="standardised"`, each coefficient has mean 0 and variance 1 over the
    frames of the training folds.

    Chapter: notebooks/03_features.md
    """
    with np.load(make(run), allow_pickle=False) as arrays:
        everything = Features(**arrays)
    if run.scaling == "raw":
        return everything
    values = everything.training().mfcc
    mean, deviation = values.mean(axis=(0, 1, 3), keepdims=True), values.std(axis=(0, 1, 3), keepdims=True)
    return Features(**vars(everything) | {"mfcc": (everything.mfcc - mean) / deviation})


def make(run: Run) -> Path:
    """The file features.npz of a run; `dataset` reads it.

    Chapter: notebooks/03_features.md
    """
    clips, digest = collection.clips(run)
    names = ("hop_length", "padding")
    path = run.path("features.npz")

    def compute(work: Path) -> dict:
        sounds = urbansound.UrbanSound8K(
            run.source.folder,
            clips,
            transform=functools.partial(mfcc, **run.parameters(*names)),
        )
        values = np.empty((len(sounds), 1, COEFFICIENTS, FRAMES), dtype=np.float32)
        for i in tqdm(range(len(sounds)), desc="MFCC", unit="clip"):
            values[i] = sounds[i][0].numpy()
        np.savez(
            work / path.name,
            mfcc=values,
            labels=clips["classID"].to_numpy(np.int64),
            folds=clips["fold"].to_numpy(np.int64),
            fs_ids=clips["fsID"].to_numpy(np.int64),
            names=clips["slice_file_name"].to_numpy(str),
            frames=np.array(
                [
                    sounding_frames(samples, rate, hop_length=run.hop_length)
                    for samples, rate in zip(clips["samples"], clips["rate"], strict=True)
                ],
                dtype=np.int64,
            ),
        )
        return {"data": run.source.label, "clips": len(clips), "folds": sorted(set(map(int, clips["fold"])))}

    parameters = run.parameters(*names) | {"clips": run.profile.clips, "sampling_rate": study.SAMPLING_RATE}
    return artifacts.produce(path, parameters=parameters, inputs={"clips": digest}, make=compute)


@functools.cache
def resample(rate: int, to: int = study.SAMPLING_RATE) -> torchaudio.transforms.Resample:
    """torchaudio's resampler between two rates in Hz; its filter is computed once.

    Chapter: notebooks/03_features.md
    """
    return torchaudio.transforms.Resample(rate, to)


@functools.cache
def _transform(hop_length: int) -> torchaudio.transforms.MFCC:
    return torchaudio.transforms.MFCC(
        sample_rate=study.SAMPLING_RATE,
        n_mfcc=COEFFICIENTS,
        melkwargs={"n_fft": WINDOW, "hop_length": hop_length},
    )
