"""From a waveform to the picture that a network is given: 13 MFCCs in 400 frames in the thesis (2.2).

Chapter: notebooks/03_features.md
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from torch.nn import functional
from tqdm import tqdm

from helpers import artifacts
from helpers.artifacts import Artefact
from helpers.audio import sounds, urbansound
from helpers.study import Run

HIGHEST = 11_025.0  # Hz, where the last band of a spectrogram ends: recordings at 22.05 kHz hold nothing above
HARDLY = 1e-3  # of the largest deviation of a row: one that varies less is not stretched


LARGEST = 2**25  # values of a resampler's filter; from 11 024 Hz, which the archive has, to 44.1 kHz it has 2**24.9


@dataclass(frozen=True)
class Features:
    """The pictures of clips, in the order of the clips' table.

    inputs : (clips, 1, rows, frames), float32, in the representation's units (MFCC: cosines of dB).
    labels, folds, recordings, frames : (clips,), int64; `frames` counts those that hold sound.
    clips : (clips,), str, slice_file_name.
    """

    inputs: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    recordings: np.ndarray
    frames: np.ndarray
    clips: np.ndarray

    def part(self, chosen: np.ndarray) -> Features:
        """The clips that a mask or an index array chooses."""
        return Features(**{name: values[chosen] for name, values in vars(self).items()})


def mfcc(wave: torch.Tensor, run: Run) -> torch.Tensor:
    """Mel-frequency cepstral coefficients, the thesis's representation.

    Parameters
    ----------
    wave : (1, samples), float32, at `run.sampling_rate`, at least one window long.

    Returns
    -------
    (1, n_mfcc, frames of the sound), float32, MFCC units.

    Source: torchaudio.transforms.MFCC. Chapter: notebooks/03_features.md
    """
    transform = torchaudio.transforms.MFCC
    return _transform(transform, run.sampling_rate, _mel(run), n_mfcc=run.n_mfcc)(wave)


def log_mel(wave: torch.Tensor, run: Run) -> torch.Tensor:
    """Power in bands of the mel scale, in dB: what the MFCCs are the cosine transform of.

    0 dB is not silence here: `padding="minimum"` fills the rest with the quietest value instead.

    Parameters
    ----------
    wave : (1, samples), float32, at `run.sampling_rate`, at least one window long.

    Returns
    -------
    (1, n_mels, frames of the sound), float32, dB, at most 80 below the loudest.

    Source: torchaudio.transforms. Chapter: notebooks/03_features.md
    """
    return _log_mel(run.sampling_rate, _mel(run))(wave)


def spectrogram(wave: torch.Tensor, run: Run) -> torch.Tensor:
    """Power in bands of equal width, in dB: a spectrogram with as many rows as the mel scale would have bands.

    Parameters
    ----------
    wave : (1, samples), float32, at `run.sampling_rate`, at least one window long.

    Returns
    -------
    (1, n_mels, frames of the sound), float32, dB, at most 80 below the loudest.

    Source: torchaudio.functional.linear_fbanks. Chapter: notebooks/03_features.md
    """
    power = _power(run.n_fft, run.hop_length)(wave)
    return _decibels()(filter_bank(run.n_fft, run.n_mels, run.sampling_rate).T @ power)


def waveform(wave: torch.Tensor, run: Run) -> torch.Tensor:
    """The samples themselves, one hop of them to a frame: nothing is computed.

    Parameters
    ----------
    wave : (1, samples), float32, at `run.sampling_rate`.

    Returns
    -------
    (1, hop_length, frames of the sound), float32, amplitude with full scale 1. As in a spectrogram, frame t has its
    middle at sample t * hop_length; below each other stand the samples of one frame, in their order.

    Chapter: notebooks/28_representations.md
    """
    frames = 1 + wave.shape[-1] // run.hop_length
    before = run.hop_length // 2
    whole = functional.pad(wave, (before, run.hop_length))[:, : frames * run.hop_length]
    return whole.reshape(1, frames, run.hop_length).transpose(1, 2)


REPRESENTATIONS: dict[str, Callable[[torch.Tensor, Run], torch.Tensor]] = {
    "mfcc": mfcc,
    "log-mel": log_mel,
    "spectrogram": spectrogram,
    "waveform": waveform,
}


def picture(wave: torch.Tensor, rate: int, run: Run) -> torch.Tensor:
    """What the network is given of a sound: its representation, padded or cut to `run.frames`.

    Parameters
    ----------
    wave : (1, samples), float32, in [-1, 1]. rate : its sampling rate in Hz.

    Returns
    -------
    (1, rows, frames), float32.

    Chapter: notebooks/03_features.md
    """
    values = REPRESENTATIONS[run.representation](prepared(wave, rate, run), run)[..., : run.frames]
    missing = run.frames - values.shape[-1]
    if run.padding == "repeat_frames":
        return values.repeat(1, 1, -(-run.frames // values.shape[-1]))[..., : run.frames]
    return functional.pad(values, (0, missing), value=float(values.min()) if run.padding == "minimum" else 0.0)


def prepared(wave: torch.Tensor, rate: int, run: Run) -> torch.Tensor:
    """A sound as its representation takes it: resampled, at least a window long, repeated if it shall be.

    Parameters
    ----------
    wave : (1, samples), float32. rate : in Hz.

    Chapter: notebooks/03_features.md
    """
    wave = resample(rate, run.sampling_rate)(wave)
    if wave.shape[-1] < run.n_fft:  # UrbanSound8K has clips of 0.05 s, shorter than one window
        wave = functional.pad(wave, (0, run.n_fft - wave.shape[-1]))
    if run.padding == "repeat_waveform":
        needed = (run.frames - 1) * run.hop_length + 1
        wave = wave.repeat(1, -(-needed // wave.shape[-1]))[:, : max(needed, run.n_fft)]
    return wave


def sounding_frames(samples: int, rate: int, run: Run) -> int:
    """How many of the frames hold sound, for a clip of `samples` at `rate` Hz; the rest is padding.

    Chapter: notebooks/03_features.md
    """
    resampled = -(-samples * run.sampling_rate // rate)  # torchaudio's Resample rounds up
    return min(run.frames, 1 + max(resampled, run.n_fft) // run.hop_length)


def features(run: Run, folds: Iterable[int]) -> Features:
    """The pictures of all clips in some folds, made once per fold and loaded afterwards.

    Returns
    -------
    Features; with `scaling="standardised"`, each row has mean 0 and variance 1 over the frames of the
    training folds, with "together" all rows as one.

    Chapter: notebooks/03_features.md
    """
    scaled = None if run.scaling == "raw" else scale(run)
    found = _raw(run, folds)
    if scaled:  # in place: all clips of the archive at 64 rows take a gigabyte, and no second one
        np.subtract(found.inputs, scaled[0], out=found.inputs)
        np.divide(found.inputs, scaled[1], out=found.inputs)
    return found


def scale(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the training folds, of each row or together: (1, 1, rows or 1, 1), float32.

    A row that hardly varies is not stretched: its deviation counts as 1.

    Chapter: notebooks/03_features.md
    """
    values = _raw(run, run.training_folds).inputs
    axes = (0, 1, 3) if run.scaling == "standardised" else (0, 1, 2, 3)
    deviation = values.std(axis=axes, keepdims=True)
    return values.mean(axis=axes, keepdims=True), np.where(deviation <= HARDLY * deviation.max(), 1, deviation)


def training(run: Run) -> Features:
    """The clips that the run's network learns from.

    Chapter: notebooks/05_training.md
    """
    return features(run, run.training_folds)


def test(run: Run) -> Features:
    """The clips of the fold that is held out (thesis 2.3: fold 10).

    Chapter: notebooks/05_training.md
    """
    return features(run, (run.test_fold,))


def _raw(run: Run, folds: Iterable[int]) -> Features:
    parts: dict[str, list[np.ndarray]] = {}
    for fold in folds:
        with np.load(FEATURES.get(run, fold), allow_pickle=False) as arrays:
            for name, values in arrays.items():
                parts.setdefault(name, []).append(values)
    return Features(**{name: np.concatenate(parts.pop(name)) for name in list(parts)})


def _make(run: Run, target: Path, fold: int) -> dict:
    table = sounds.in_fold(run, fold)
    transform = functools.partial(picture, run=run)
    clips = urbansound.UrbanSound8K(artifacts.whole(run).source.folder, table, transform=transform)
    values = np.empty((len(clips), 1, *run.shape), dtype=np.float32)
    for i in tqdm(range(len(clips)), desc=f"{run.representation} of fold {fold}", unit="clip"):
        values[i] = clips[i][0].numpy()
    lengths = zip(table["samples"], table["rate"], strict=True)
    np.savez(
        target,
        inputs=values,
        labels=table["classID"].to_numpy(np.int64),
        folds=table["fold"].to_numpy(np.int64),
        recordings=table["fsID"].to_numpy(np.int64),
        frames=np.array([sounding_frames(n, rate, run) for n, rate in lengths], dtype=np.int64),
        clips=table["slice_file_name"].to_numpy(str),
    )
    return {"clips": len(table)}


FEATURES = Artefact(
    "features.npz",
    make=_make,
    chapter="03_features",
    fields=(
        *("clips", "data_seed", "representation", "sampling_rate", "n_fft", "hop_length"),
        *("n_mels", "n_mfcc", "frames", "padding"),
    ),
    packages=("torchaudio",),
    folds=True,
    outside=sounds.digest,
    record=False,
)


def _mel(run: Run) -> tuple[tuple[str, int], ...]:
    return (("n_fft", run.n_fft), ("hop_length", run.hop_length), ("n_mels", run.n_mels))


@functools.lru_cache(maxsize=16)
def resample(rate: int, to: int) -> Callable[[torch.Tensor], Any]:
    """torchaudio's resampler between two rates in Hz; its filter is computed once.

    The filter has a row for each place that a sample can have between two others. Rates with hardly a common divisor,
    such as 22 051 and 44 100 Hz, would need gigabytes; there the row of each sample is worked out by itself.

    Chapter: notebooks/03_features.md
    """
    common = math.gcd(rate, to)
    if rate * to // common**2 <= LARGEST:
        return torchaudio.transforms.Resample(rate, to)
    return functools.partial(_by_sample, rate=rate // common, to=to // common)


def _by_sample(wave: torch.Tensor, *, rate: int, to: int) -> torch.Tensor:
    """torchaudio's filter, a sinc under a Hann window six zeros wide, at the place of each sample that comes out."""
    base = 0.99 * min(rate, to)
    width = math.ceil(6 * rate / base)
    taps = torch.arange(-width, width + 1)
    padded = functional.pad(wave, (width, width))
    parts = []
    for places in torch.arange(-(-wave.shape[-1] * to // rate)).split(2**20 // len(taps)):
        nearest = places * rate // to
        away = (nearest[:, None] + taps) * to - places[:, None] * rate  # whole numbers: exact, however long the sound
        away = (away.double() * (base / (rate * to))).clamp(-6, 6)
        row = torch.sinc(away) * torch.cos(away * math.pi / 12) ** 2 * (base / rate)
        parts.append((padded[..., nearest[:, None] + (taps + width)] * row.to(wave.dtype)).sum(dim=-1))
    return torch.cat(parts, dim=-1)


@functools.cache
def _transform(
    kind: type[torchaudio.transforms.MFCC], rate: int, mel: tuple[tuple[str, int], ...], *, n_mfcc: int
) -> torch.nn.Module:
    return kind(sample_rate=rate, n_mfcc=n_mfcc, melkwargs=dict(mel))


@functools.cache
def _log_mel(rate: int, mel: tuple[tuple[str, int], ...]) -> torch.nn.Module:
    power = torchaudio.transforms.MelSpectrogram(sample_rate=rate, **dict(mel))
    return torch.nn.Sequential(power, _decibels())


@functools.cache
def _decibels() -> torch.nn.Module:
    return torchaudio.transforms.AmplitudeToDB(top_db=80)  # as MFCC has it


@functools.cache
def _power(n_fft: int, hop_length: int) -> torch.nn.Module:
    return torchaudio.transforms.Spectrogram(n_fft=n_fft, hop_length=hop_length)


@functools.cache
def filter_bank(n_fft: int, count: int, rate: int) -> torch.Tensor:
    """How much of each bin of a Fourier transform each band of a `spectrogram` takes.

    Parameters
    ----------
    n_fft : samples in a window. count : bands. rate : samples per second.

    Returns
    -------
    (n_fft // 2 + 1, count), float32, 0 to 1.

    Source: torchaudio.functional.linear_fbanks. Chapter: notebooks/06_explanations.md
    """
    return torchaudio.functional.linear_fbanks(n_fft // 2 + 1, 0.0, min(HIGHEST, rate / 2), count, rate)
