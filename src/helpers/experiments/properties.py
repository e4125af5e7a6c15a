"""What each test clip sounds like, in numbers: noise or tone, how many onsets, how loud, how bright.

Chapter: notebooks/26_commonalities.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from tqdm import tqdm

from helpers import artifacts, tables
from helpers.artifacts import Artefact
from helpers.audio import representations, sounds, urbansound
from helpers.study import Run

HIGHEST = 10_000.0  # Hz; above it a clip that was kept at 22.05 kHz holds nothing, and would look like a tone
QUIETEST = 1e-10  # power of what is called silent: -100 dB


def table(run: Run) -> pd.DataFrame:
    """One row per test clip: what it sounds like; made once, loaded afterwards.

    Columns: clip, recording, second (where the clip begins in its recording), and what `measured` says.

    Chapter: notebooks/26_commonalities.md
    """
    return PROPERTIES.read(run)


def measured(
    samples: np.ndarray, rate: int, *, n_fft: int, hop_length: int, highest: float = HIGHEST
) -> dict[str, float]:
    """What a sound is like, by librosa.

    Parameters
    ----------
    samples : (n,), float32, full scale is 1, at least `n_fft` long. rate : in Hz.
    n_fft, hop_length : of the windows, in samples.
    highest : frequencies above it are left out of flatness and centroid, Hz.

    Returns
    -------
    flatness (dB, at most 0: the geometric mean of a frame's powers over their mean; a tone is far below 0, noise near
    it) and centroid (Hz: the mean of the frequencies, each weighted by its power), both mean over frames, a frame
    weighted by its power; NaN for silence. onsets per second: sudden rises, held against the clip's own strongest.
    loudness (dB, root mean square, full scale is 0, at least -100); loudness variation: standard deviation over mean of
    the frames' root mean square, 0 for a steady sound.

    Source: librosa.feature, librosa.onset. Chapter: notebooks/26_commonalities.md
    """
    import librosa  # takes seconds to import

    power = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop_length, pad_mode="reflect")) ** 2
    frequencies = librosa.fft_frequencies(sr=rate, n_fft=n_fft)
    power = power[frequencies <= highest]
    flatness = librosa.feature.spectral_flatness(S=power, power=1.0)[0]
    centroid = librosa.feature.spectral_centroid(S=power, freq=frequencies[frequencies <= highest])[0]
    weights = power.sum(axis=0) / max(power.sum(), QUIETEST)
    sounding = power.sum() > QUIETEST
    window: Any = {"n_fft": n_fft, "hop_length": hop_length}
    strength = librosa.onset.onset_strength(y=samples, sr=rate, **window)
    onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=rate, hop_length=hop_length)
    loud = librosa.feature.rms(y=samples, frame_length=n_fft, hop_length=hop_length, pad_mode="reflect")[0]
    return {
        "flatness": 10 * np.log10(weights @ flatness) if sounding else np.nan,
        "onsets per second": len(onsets) * rate / len(samples),
        "loudness": 10 * np.log10(max(np.mean(samples.astype(float) ** 2), QUIETEST)),
        "loudness variation": loud.std() / loud.mean() if sounding else 0.0,
        "centroid": weights @ centroid if sounding else np.nan,
    }


def _make(run: Run, target: Path) -> dict:
    clips, folder = sounds.in_fold(run, run.test_fold), artifacts.whole(run).source.folder
    seconds = urbansound.true_starts(clips)
    resampled, rows = run.sampling_rate, []
    for row in tqdm(clips.to_dict("records"), desc="properties", unit="clip"):
        samples, rate = urbansound.load_audio(folder / row["path"])
        wave = representations.resample(rate, resampled)(torch.from_numpy(samples)[None])
        wave = functional.pad(wave, (0, max(run.n_fft - wave.shape[-1], 0)))[0].numpy()  # as the features
        name = row["slice_file_name"]
        facts = {"clip": name, "recording": row["fsID"], "second": seconds[name]}
        rows.append(facts | measured(wave, resampled, n_fft=run.n_fft, hop_length=run.hop_length))
    pd.DataFrame(rows).to_csv(target, index=False, float_format="%.5f")
    return {"clips": len(rows)}


PROPERTIES = Artefact(  # of the sounds alone: no network, no padding
    "properties.csv",
    make=_make,
    chapter="26_commonalities",
    fields=("clips", "data_seed", "test_fold", "sampling_rate", "n_fft", "hop_length"),
    packages=("librosa", "torchaudio"),
    outside=lambda run: sounds.digest(run, run.test_fold),
    table=tables.PROPERTIES,
    work=lambda run: 800.0 if run.clips == "all" else 10.0 * run.clips,
    smaller=("clips",),
)
