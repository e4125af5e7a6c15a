"""What a map keeps of a sound, to be heard: over time, and where a map's rows are frequencies, band by band.

Chapter: notebooks/06_explanations.md
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torchaudio import functional

from helpers import InputError
from helpers.audio import representations
from helpers.maps import nulls
from helpers.maps.examples import Heard
from helpers.study import Run


def has_bands(run: Run) -> bool:
    """Whether the rows of what a run's network is given are frequencies: those of MFCCs and of a waveform are not.

    Chapter: notebooks/06_explanations.md
    """
    return run.representation in ("log-mel", "spectrogram")


def shares(maps: np.ndarray, run: Run) -> np.ndarray:
    """Which share of a sound maps keep, from 0 to 1 at a map's largest value; the rest, to 1, is what they drop.

    Parameters
    ----------
    maps : (maps, rows, frames), float, at least 0.

    Returns
    -------
    (maps, rows, frames), float64, where rows are frequencies; else (maps, frames), of the sums over rows. All 0 for a
    map that is empty.

    Chapter: notebooks/06_explanations.md
    """
    found = maps.astype(np.float64) if has_bands(run) else nulls.profile(maps)
    largest = found.max(axis=tuple(range(1, found.ndim)), keepdims=True)
    return np.divide(found, largest, out=np.zeros_like(found), where=largest > 0)


def weighted(sound: Heard, share: np.ndarray, run: Run) -> Heard:
    """A sound, each moment of it as strong as a share says, or each band of frequencies at each moment.

    Bands are weighed in the short-time Fourier transform, whose phase stays the sound's own. A bin is as strong as the
    bands say that hold it, in the parts in which they hold it; outside all bands the nearest one speaks. The result is
    linear in the share: what is kept and what is dropped add up to the sound.

    Parameters
    ----------
    sound : stays as it is where it is not at hand.
    share : (frames,) or (rows, frames), such as one of `shares`; straight lines between frames.

    Returns
    -------
    The sound, float32; of bands at `run.sampling_rate`, which the network is given.

    Raises
    ------
    InputError
        The share has rows, but those of the run are no frequencies.

    Source: torchaudio's filter banks. Chapter: notebooks/06_explanations.md
    """
    if sound.samples is None:
        return sound
    middles = run.hop_length * np.arange(run.frames) / run.sampling_rate  # of frames, s
    if share.ndim == 1:
        seconds = np.arange(len(sound.samples)) / sound.rate
        part = sound.samples * np.interp(seconds, middles, share)
        return dataclasses.replace(sound, samples=part.astype(np.float32))
    hop, window = run.n_fft // 4, torch.hann_window(run.n_fft)
    stft: dict[str, Any] = {"n_fft": run.n_fft, "hop_length": hop, "window": window}
    wave = representations.resample(sound.rate, run.sampling_rate)(torch.from_numpy(sound.samples)[None])[0]
    spectrum = torch.stft(wave, **stft, pad_mode="constant", return_complex=True)
    seconds = hop * np.arange(spectrum.shape[1]) / run.sampling_rate
    over_time = np.stack([np.interp(seconds, middles, row) for row in share])
    strength = torch.from_numpy((bands(run) @ over_time).astype(np.float32))
    part = torch.istft(spectrum * strength, **stft, length=len(wave))
    return dataclasses.replace(sound, samples=part.numpy(), rate=run.sampling_rate)


def bands(run: Run) -> np.ndarray:
    """In which parts each bin of a Fourier transform belongs to the rows of a run: (n_fft // 2 + 1, rows), sums are 1.

    Raises
    ------
    InputError
        The rows of the run are no frequencies.

    Source: torchaudio's filter banks. Chapter: notebooks/06_explanations.md
    """
    if not has_bands(run):
        raise InputError(
            f'rows of the representation "{run.representation}" are no frequencies; weigh moments, (frames,), or '
            "choose log-mel or spectrogram (representation)"
        )
    count = run.n_fft // 2 + 1
    if run.representation == "log-mel":
        bank = functional.melscale_fbanks(count, 0.0, run.sampling_rate / 2, run.n_mels, run.sampling_rate)
    else:
        bank = representations.filter_bank(run.n_fft, run.n_mels, run.sampling_rate)
    held = np.flatnonzero(bank.sum(dim=1))  # neither 0 Hz nor what lies above the last band
    parts = bank.double().numpy()[np.clip(np.arange(count), held[0], held[-1])]
    return parts / parts.sum(axis=1, keepdims=True)


def versions(sound: Heard, shares: Mapping[str, np.ndarray], run: Run) -> dict[str, Heard]:
    """What shares keep of a sound (`weighted`), each as strong as the others.

    All have the same root mean square, and the strongest peak of all is at most full scale: the ear shall compare what
    is there, not how loud it is. A sound that is not at hand stays so.

    Parameters
    ----------
    shares : (frames,) each, or (rows, frames) each, at least 0; only their shape counts.

    Returns
    -------
    A sound by the name of each share; silence for one that is 0 wherever there is sound.

    Chapter: notebooks/06_explanations.md
    """
    if sound.samples is None:
        return dict.fromkeys(shares, sound)
    weighed = {name: weighted(sound, share, run) for name, share in shares.items()}
    parts = {name: np.asarray(one.samples) for name, one in weighed.items()}
    strength = {name: _strength(part) or 1.0 for name, part in parts.items()}
    loudest = max(np.abs(part).max() / strength[name] for name, part in parts.items())
    level = min(_strength(sound.samples), 1 / max(loudest, 1e-12))
    return {
        name: dataclasses.replace(one, samples=(parts[name] * (level / strength[name])).astype(np.float32))
        for name, one in weighed.items()
    }


def _strength(samples: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
