"""From a waveform to a picture: what torchaudio gives, what fills the rest, and the split by folds."""

import shutil

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import InputError, study
from helpers.audio import representations, sounds, urbansound
from tests.unit.audio.made import write_wav

HOPS = st.sampled_from([1024, 512, 441])
PADDINGS = study.legal("padding")
MEL = {"n_fft": 2048, "hop_length": 1024}
AFTER = [padding for padding in PADDINGS if padding != "repeat_waveform"]  # fill what the sound leaves free


def picture(wave: torch.Tensor, rate: int = 44100, **choices) -> torch.Tensor:
    return representations.picture(wave, rate, study.Run(**choices))


def sounding_frames(samples: int, rate: int = 44100, **choices) -> int:
    return representations.sounding_frames(samples, rate, study.Run(**choices))


def sine(seconds: float, *, rate: int = 44100, frequency: float = 440.0) -> torch.Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float32) / rate
    return 0.5 * torch.sin(2 * torch.pi * frequency * time)[None]


def by_torchaudio(waveform: torch.Tensor, *, hop_length: int = 1024) -> torch.Tensor:
    """The thesis's call at 44.1 kHz, without padding."""
    transform = torchaudio.transforms.MFCC(
        sample_rate=44100, n_mfcc=13, melkwargs={"n_fft": 2048, "hop_length": hop_length}
    )
    return transform(waveform)


def noise(samples: int, *, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (1, samples)).astype(np.float32))


# The transform


def test_a_sine_gives_what_torchaudio_gives_and_zeros_after_it():
    wave = sine(4.0)
    values = picture(wave)
    expected = by_torchaudio(wave)
    assert expected.shape == (1, 13, 173)
    assert values.shape == (1, 13, 400)
    assert values.dtype == torch.float32
    assert torch.equal(values[..., :173], expected)
    assert not values[..., 173:].any()


def test_the_default_hop_is_what_torchaudio_takes_for_this_window():
    wave = sine(1.0)
    transform = torchaudio.transforms.MFCC(sample_rate=44100, n_mfcc=13, melkwargs={"n_fft": 2048})
    assert torch.equal(picture(wave)[..., :44], transform(wave))


@pytest.mark.parametrize(("hop_length", "frames"), [(1024, 173), (512, 345), (441, 400)])
def test_a_clip_of_four_seconds_fills_frames_by_the_hop(hop_length, frames):
    values = picture(noise(176400), hop_length=hop_length)
    assert values.shape == (1, 13, 400)
    expected = by_torchaudio(noise(176400), hop_length=hop_length)[..., :400]
    assert torch.equal(values[..., :frames], expected)
    assert not values[..., frames:].any()


@pytest.mark.parametrize("rate", [22050, 48000, 11025])
def test_other_rates_are_resampled_first(rate):
    wave = sine(2.0, rate=rate)
    resampled = torchaudio.transforms.Resample(rate, 44100)(wave)
    assert resampled.shape == (1, 88200)
    assert torch.equal(picture(wave, rate)[..., :87], by_torchaudio(resampled))


def test_a_long_clip_is_cut_at_400_frames():
    wave = noise(44100 * 12)
    assert torch.equal(picture(wave), by_torchaudio(wave)[..., :400])


# Other representations


def test_every_representation_that_may_be_chosen_exists():
    assert list(representations.REPRESENTATIONS) == list(study.REPRESENTATIONS)


@pytest.mark.parametrize("n_mels", [128, 64])
def test_a_log_mel_spectrogram_has_a_row_per_band(n_mels):
    run = study.Run(representation="log-mel", n_mels=n_mels)
    values = picture(noise(44100), representation="log-mel", n_mels=n_mels)
    assert values.shape == (1, *run.shape) == (1, n_mels, 400)
    assert values.dtype == torch.float32
    assert not values[..., 44:].any()
    sounding = values[..., :44]
    assert sounding.max() - sounding.min() <= 80


@pytest.mark.parametrize(("frequency", "row"), [(43.0, 0), (2000.0, 23), (10_900.0, 126)])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(frequency, row):
    # 128 bands of 86 Hz up to 11.025 kHz, each around the ends of its neighbours
    values = picture(sine(1.0, frequency=frequency), representation="spectrogram", n_mels=128)[0, :, 5:40]
    assert values.shape[0] == 128
    assert set((values.argmax(dim=0) - row).abs().tolist()) <= {0, 1}


def test_a_spectrogram_is_in_decibels_and_forgets_what_is_80_below_the_loudest():
    quiet, loud = (picture(noise(44100) * a, representation="spectrogram")[..., :44] for a in (0.1, 1.0))
    assert torch.allclose(loud - quiet, torch.full_like(loud, 20.0), atol=0.01)
    tone = picture(sine(1.0, frequency=2000.0), representation="spectrogram")[0, :, 5:40]
    assert (tone.max() - tone.min()).item() == pytest.approx(80, abs=0.5)


def test_the_mfccs_are_the_cosine_transform_of_the_log_mel_spectrogram():
    wave = sine(1.0)
    bands = picture(wave, representation="log-mel")[0, :, :44]
    cosines = torchaudio.functional.create_dct(13, 128, "ortho")
    assert torch.allclose(cosines.T @ bands, picture(wave)[0, :, :44], rtol=1e-4, atol=1e-2)


def test_a_tone_is_loudest_in_its_band():
    bands = picture(sine(1.0, frequency=2000.0), representation="log-mel", n_mels=64)[0, :, 5:40]
    edges = torchaudio.functional.melscale_fbanks(1025, 0.0, 22050.0, 64, 44100)
    expected = edges[round(2000 / 44100 * 2048)].argmax()
    assert (bands.argmax(0) == expected).all()


def test_a_waveform_is_its_own_picture_one_hop_to_a_frame():
    run = study.Run(representation="waveform", architecture="resnet1d", hop_length=512, frames=32, sampling_rate=22_050)
    wave = torch.arange(1.0, 3001.0)[None]
    values = representations.picture(wave, 22_050, run)[0]
    assert values.shape == run.shape == (512, 32)
    samples = values.T.reshape(-1)  # frame t has its middle at sample t * 512
    assert not samples[:256].any()
    assert samples[256:3072].tolist() == wave[0, :2816].tolist()
    assert not values[:, representations.sounding_frames(3000, 22_050, run) :].any()


def test_a_row_that_hardly_varies_is_not_stretched(monkeypatch):
    values = np.random.default_rng(0).normal(size=(4, 1, 3, 50)).astype(np.float32)
    values[:, :, 1] = 7 + values[:, :, 1] * 1e-4
    nothing = np.zeros(4)
    raw = representations.Features(values, *[nothing] * 5)
    monkeypatch.setattr(representations, "_raw", lambda run, folds: raw)
    deviation = representations.scale(study.Run(scaling="standardised"))[1][0, 0, :, 0]
    assert deviation == pytest.approx([values[:, :, 0].std(), 1, values[:, :, 2].std()], rel=1e-5)


# What fills the rest


def test_minimum_is_the_clips_smallest_value():
    wave = noise(44100)
    values, sounding = picture(wave, padding="minimum"), by_torchaudio(wave)
    assert sounding.shape[-1] == 44
    assert sounding.min() < 0
    assert torch.equal(values[..., 44:], torch.full((1, 13, 356), sounding.min().item()))


def test_repeat_is_the_clips_frames_again():
    wave = noise(44100 * 3)  # 130 frames: three times whole, then 10
    values, sounding = picture(wave, padding="repeat_frames"), by_torchaudio(wave)
    assert sounding.shape[-1] == 130
    assert torch.equal(values, torch.cat([sounding] * 3 + [sounding[..., :10]], dim=-1))


@pytest.mark.parametrize("samples", [1, 882, 44100 * 3, 44100 * 12])
def test_repeat_waveform_is_the_sound_again_before_it_is_transformed(samples):
    wave = noise(samples)
    window = torch.nn.functional.pad(wave, (0, max(0, 2048 - samples)))
    looped = torch.cat([window] * -(-410_000 // window.shape[-1]), dim=-1)[:, : 399 * 1024 + 1]
    values = picture(wave, padding="repeat_waveform")
    assert values.shape == (1, 13, 400)
    assert torch.equal(values, by_torchaudio(looped))
    frames = sounding_frames(samples)
    # frames whose window ends before the sound does are those of the sound alone
    assert torch.allclose(values[..., : frames - 2], picture(wave)[..., : frames - 2], rtol=1e-3, atol=1e-3)


def test_a_waveform_that_is_long_enough_is_not_repeated():
    run, needed = study.Run(padding="repeat_waveform"), 399 * 1024 + 1  # samples
    wave = noise(needed + 5)
    assert torch.equal(representations.prepared(wave[:, :needed], 44100, run), wave[:, :needed])
    short = representations.prepared(wave[:, : needed - 1], 44100, run)
    assert torch.equal(short, torch.cat([wave[:, : needed - 1], wave[:, :1]], dim=-1))
    assert torch.equal(picture(wave[:, :needed], padding="repeat_waveform"), picture(wave[:, :needed]))


@given(st.integers(2048, 5 * 44100), HOPS)
@settings(max_examples=20, deadline=None)
def test_a_repeated_waveform_leaves_no_frame_to_be_filled(samples, hop_length):
    values = picture(noise(samples), hop_length=hop_length, padding="repeat_waveform")
    assert (values != 0).any(dim=1).all()
    filled = picture(noise(samples), hop_length=hop_length)
    assert (filled != 0).any(dim=1).sum() == sounding_frames(samples, hop_length=hop_length)


def test_a_louder_sound_has_larger_values_in_every_band():
    quiet, loud = (picture(noise(44100) * level, representation="log-mel")[..., :44] for level in (0.1, 1.0))
    # ten times the amplitude: 20 dB
    assert torch.allclose(loud - quiet, torch.full_like(loud, 20.0), atol=1e-2)


def test_a_loop_is_at_least_one_window_long():
    values = picture(noise(100), padding="repeat_waveform", frames=32, hop_length=32)
    assert values.shape == (1, 13, 32)
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("choices", [{"n_mfcc": 20}, {"frames": 173}, {"n_mfcc": 40, "n_mels": 64}])
def test_another_shape_is_a_choice_of_the_run(choices):
    run = study.Run(**choices)
    values = picture(noise(44100), **choices)
    assert values.shape == (1, *run.shape) == (1, run.n_mfcc, run.frames)
    mel = {"n_fft": 2048, "hop_length": 1024, "n_mels": run.n_mels}
    expected = torchaudio.transforms.MFCC(44100, n_mfcc=run.n_mfcc, melkwargs=mel)(noise(44100))
    assert torch.equal(values[..., :44], expected)


def test_another_sampling_rate_is_a_choice_of_the_run():
    values = picture(sine(1.0, rate=22050), 22050, sampling_rate=22050)
    assert torch.equal(
        values[..., :22], torchaudio.transforms.MFCC(22050, n_mfcc=13, melkwargs=MEL)(sine(1.0, rate=22050))
    )
    assert not values[..., 22:].any()
    assert sounding_frames(22050, 22050, sampling_rate=22050) == 22


@pytest.mark.parametrize("samples", [1, 882, 2047, 2048, 2205])
@pytest.mark.parametrize("padding", AFTER)
def test_a_clip_shorter_than_a_window_has_three_frames(samples, padding):
    wave = noise(samples)
    values = picture(wave, padding=padding)
    window = torch.nn.functional.pad(wave, (0, max(0, 2048 - samples)))
    assert values.shape == (1, 13, 400)
    assert torch.isfinite(values).all()
    assert torch.equal(values[..., :3], by_torchaudio(window))
    if padding == "repeat_frames":
        assert torch.equal(values[..., 3:6], values[..., :3])


@given(st.integers(1, 3 * 44100), HOPS)
@settings(max_examples=30, deadline=None)
def test_the_kind_of_padding_does_not_touch_the_frames_before_the_end(samples, hop_length):
    wave = noise(samples)
    kinds = [picture(wave, hop_length=hop_length, padding=p) for p in AFTER]
    frames = sounding_frames(samples, hop_length=hop_length)
    assert torch.equal(kinds[0][..., :frames], kinds[1][..., :frames])
    assert torch.equal(kinds[0][..., :frames], kinds[2][..., :frames])


@given(st.integers(1, 4 * 44100), HOPS, st.sampled_from(PADDINGS))
@settings(max_examples=20, deadline=None)
def test_the_shape_is_always_the_same(samples, hop_length, padding):
    values = picture(noise(samples), hop_length=hop_length, padding=padding)
    assert values.shape == (1, 13, 400)
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()


# Laws for any sound

SMALL = {"frames": 32, "n_fft": 512, "hop_length": 256, "n_mels": 32}


@pytest.mark.slow
@given(
    rate=st.sampled_from([8000, 11_025, 22_050, 48_000, 192_000, 1000, 1009, 22_051, 44_101, 767_999]),
    to=st.sampled_from([8000, 22_050, 44_100]),
    samples=st.integers(1, 4000),
    channels=st.integers(1, 8),
    representation=st.sampled_from(["mfcc", "log-mel", "spectrogram"]),
    padding=st.sampled_from(PADDINGS),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_sound_becomes_a_picture(tmp_path, rate, to, samples, channels, representation, padding):
    wave = np.random.default_rng(samples).uniform(-1, 1, (samples, channels))
    path = write_wav(tmp_path / "x.wav", wave, rate=rate, subtype="FLOAT")
    mono, known = urbansound.load_audio(path)
    assert (len(mono), known) == (samples, rate)
    run = study.Run(sampling_rate=to, representation=representation, padding=padding, **SMALL)
    values = representations.picture(torch.from_numpy(mono)[None], rate, run)
    assert values.shape == (1, *run.shape)
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()
    frames = representations.sounding_frames(samples, rate, run)
    assert 1 <= frames <= run.frames
    if padding == "zero":
        assert not values[..., frames:].any()


@given(level=st.floats(0.01, 1), samples=st.integers(512, 8000), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_a_softer_sound_is_so_many_decibels_below_in_every_band(level, samples, seed):
    wave, shift = noise(samples, seed=seed), 20 * np.log10(level)
    frames = sounding_frames(samples, **SMALL)
    for representation, expected in (
        ("log-mel", torch.full((32, 1), shift)),
        ("spectrogram", torch.full((32, 1), shift)),
        ("mfcc", torch.tensor([[shift * 32**0.5], *[[0.0]] * 12])),  # the first cosine is the mean over the bands
    ):
        loud, soft = (picture(x, representation=representation, **SMALL)[0, :, :frames] for x in (wave, level * wave))
        assert torch.allclose(soft - loud, expected.to(loud).expand_as(loud), atol=1e-2)


# How many frames hold sound


@pytest.mark.parametrize(
    ("seconds", "hop_length", "frames"),
    [
        (4.0, 1024, 173),  # 176400 / 1024 = 172.3
        (4.0, 512, 345),
        (4.0, 441, 400),  # 401 would fit
        (0.05, 1024, 3),  # 2205 samples
        (0.02, 1024, 3),  # shorter than a window: filled to 2048
        (0.05, 512, 5),
        (0.05, 441, 6),
        (1.0, 1024, 44),
        (100.0, 1024, 400),
    ],
)
def test_sounding_frames_by_hand(seconds, hop_length, frames):
    assert sounding_frames(round(seconds * 44100), hop_length=hop_length) == frames


@given(st.integers(1, 10**6), st.integers(1, 10**6), HOPS)
def test_a_longer_clip_never_has_fewer_frames(first, second, hop_length):
    short, long = sorted([first, second])
    counts = [sounding_frames(s, hop_length=hop_length) for s in (short, long)]
    assert 0 < counts[0] <= counts[1] <= 400


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_sounding_frames_are_the_frames_that_the_transform_gives(rate):
    # 61440 samples at 22050 Hz are 122880 at 44100 Hz and give 121 frames; seconds would give 120
    wrong = []
    for frames in range(3, 173):
        for samples in {(frames - 1) * 1024 * rate // 44100 + extra for extra in (-1, 0, 1)}:
            length = -(-44100 * samples // rate)  # what torchaudio's resampler gives
            truth = 1 + max(length, 2048) // 1024
            if sounding_frames(samples, rate) != truth:
                wrong.append(samples)
    assert wrong == []


def test_torchaudios_resampler_rounds_lengths_up():
    # what the test above takes for granted
    assert representations.resample(22050, 44100)(torch.zeros(1, 61440)).shape == (1, 122880)
    assert representations.resample(48000, 44100)(torch.zeros(1, 1001)).shape == (1, 920)  # 919.67


ARCHIVE = (8000, 11_024, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)


@pytest.mark.parametrize("rate", ARCHIVE)
def test_the_archives_rates_are_resampled_by_torchaudio(rate, monkeypatch):
    monkeypatch.setattr(torchaudio.transforms, "Resample", lambda *rates: rates)  # its filters are not made here
    assert representations.resample.__wrapped__(rate, 44_100) == (rate, 44_100)


@pytest.mark.parametrize(("rate", "to"), [(80, 441), (441, 80), (640, 147), (147, 160), (1, 2), (3, 1), (300, 301)])
def test_sample_by_sample_the_filter_is_torchaudios(rate, to):
    wave = torch.stack([noise(700, seed=seed)[0] for seed in range(2)])
    ours = representations._by_sample(wave, rate=rate, to=to)
    theirs = torchaudio.transforms.Resample(rate, to)(wave)
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.float32
    assert torch.allclose(ours, theirs, atol=2e-4)  # torchaudio rounds a sample's place to single precision


@pytest.mark.parametrize("rate", [22_051, 44_101, 767_999])
def test_rates_without_a_common_divisor_cost_no_memory(rate, monkeypatch):
    # a filter of 44 100 rows of `rate` values would be made of tensors that large
    monkeypatch.setattr(torchaudio.transforms, "Resample", None)
    largest = []
    own = torch.sinc
    monkeypatch.setattr(torch, "sinc", lambda values: largest.append(values.numel()) or own(values))
    resample = representations.resample.__wrapped__(rate, 44_100)
    wave = resample(sine(0.05, rate=rate))
    assert wave.shape == (1, -(-round(0.05 * rate) * 44_100 // rate))
    assert max(largest) <= 2**20
    # the same tone, but for the ends, where the filter hears the silence around the sound
    assert torch.allclose(wave[:, 50:-50], sine(0.05)[:, 50 : wave.shape[-1] - 50], atol=2e-3)


def test_a_clip_of_an_odd_rate_looks_as_one_of_the_even_rate_beside_it():
    odd, even = (picture(sine(1.0, rate=rate), rate)[..., 2:40] for rate in (22_051, 22_050))
    assert torch.allclose(odd, even, atol=3)  # of MFCCs that go from -500 to 200


# All clips of a run

FOLDS = tuple(range(1, 11))


@pytest.fixture
def everything(run):
    return representations.features(run, FOLDS)


def test_features_of_a_run_have_the_promised_arrays(run, everything):
    clips = sounds.clips(run)
    n = len(clips)
    assert n == 100
    assert (everything.inputs.shape, everything.inputs.dtype) == ((n, 1, 13, 400), np.float32)
    for name in ("labels", "folds", "recordings", "frames"):
        values = getattr(everything, name)
        assert (values.shape, values.dtype) == ((n,), np.int64)
    assert everything.clips.dtype.kind == "U"
    assert everything.clips.tolist() == clips["slice_file_name"].tolist()
    assert everything.labels.tolist() == clips["classID"].tolist()
    assert everything.folds.tolist() == clips["fold"].tolist()
    assert everything.recordings.tolist() == clips["fsID"].tolist()


def test_features_of_a_clip_are_those_of_its_file(run, everything):
    clips = sounds.clips(run)
    i = int(clips["seconds"].argmin())
    samples, rate = urbansound.load_audio(run.source.folder / clips["path"][i])
    expected = representations.picture(torch.from_numpy(samples)[None], rate, run)
    assert np.array_equal(everything.inputs[i], expected.numpy())
    assert everything.frames[i] == representations.sounding_frames(len(samples), rate, run)
    assert not everything.inputs[i, ..., everything.frames[i] :].any()
    assert everything.inputs[i, ..., everything.frames[i] - 1].any()


def test_the_choices_of_a_run_are_used(run, everything):
    other = study.open(profile="smoke", data=run.data, hop_length=512, padding="minimum", n_mfcc=20)
    values = representations.features(other, (3,))
    clip = sounds.in_fold(run, 3).iloc[0]
    assert values.inputs.shape == (10, 1, 20, 400)
    assert values.frames[0] == sounding_frames(clip["samples"], clip["rate"], hop_length=512)
    assert values.frames[0] > everything.frames[20]
    rest = values.inputs[0, ..., values.frames[0] :]
    assert (rest == values.inputs[0].min()).all()


def test_features_are_made_once_and_fold_by_fold(run, everything, monkeypatch):
    made = {representations.FEATURES.get(run, fold) for fold in FOLDS}
    assert len(made) == 10
    monkeypatch.setitem(representations.REPRESENTATIONS, "mfcc", None)
    again = representations.features(run, FOLDS)
    assert np.array_equal(again.inputs, everything.inputs)
    part = representations.features(run, (7, 2))  # in the order that is asked for
    assert part.folds.tolist() == [7] * 10 + [2] * 10
    assert np.array_equal(part.inputs[10:], everything.part(everything.folds == 2).inputs)


def test_a_fold_that_joins_the_folder_remakes_no_features_of_the_others(fresh, stand_in, tmp_path):
    folder = tmp_path / "growing"
    for fold in (1, 10):
        shutil.copytree(stand_in / "audio" / f"fold{fold}", folder / "audio" / f"fold{fold}")
    shutil.copytree(stand_in / "metadata", folder / "metadata")
    before = study.open(profile="smoke", data=str(folder))
    assert before.training_folds == (1,)
    digest, path = sounds.digest(before, 1), representations.FEATURES.get(before, 1)
    written = path.stat().st_mtime_ns
    shutil.copytree(stand_in / "audio" / "fold2", folder / "audio" / "fold2")
    after = study.open(profile="smoke", data=str(folder))
    assert after.training_folds == (1, 2)
    assert sounds.digest(after, 1) == digest
    assert sounds.in_fold(after, 1)["slice_file_name"].tolist() == sounds.in_fold(before, 1)["slice_file_name"].tolist()
    assert sounds.digest(after, 2) != digest
    assert representations.FEATURES.get(after, 1) == path
    assert path.stat().st_mtime_ns == written


def test_recorded_data_has_no_clips_to_read():
    run = study.entries()[0]
    with pytest.raises(InputError, match="the recorded results come without sounds; name a folder"):
        sounds.clips(run)


def test_standardised_rows_have_mean_0_and_variance_1_on_the_training_folds(run, everything):
    other = run.with_(scaling="standardised")
    training = representations.training(other).inputs
    assert training.dtype == np.float32
    assert np.allclose(training.astype(np.float64).mean(axis=(0, 1, 3)), 0, atol=1e-4)
    assert np.allclose(training.astype(np.float64).var(axis=(0, 1, 3)), 1, atol=1e-3)
    # the test fold goes the same way, with the training folds' numbers
    raw = representations.training(run).inputs.astype(np.float64)
    mean, deviation = representations.scale(other)
    assert mean.shape == deviation.shape == (1, 1, 13, 1)
    assert np.allclose(mean[0, 0, :, 0], raw.mean(axis=(0, 1, 3)), rtol=1e-4)
    assert np.allclose(deviation[0, 0, :, 0], raw.std(axis=(0, 1, 3)), rtol=1e-4)
    test = representations.test(other)
    assert np.array_equal(test.inputs, (representations.test(run).inputs - mean) / deviation)
    assert np.array_equal(test.clips, representations.test(run).clips)


def test_together_all_rows_have_mean_0_and_variance_1_as_one(run):
    values = representations.training(run.with_(scaling="together")).inputs
    assert values.mean(dtype=np.float64) == pytest.approx(0, abs=1e-4)
    assert values.std(dtype=np.float64) == pytest.approx(1, abs=1e-4)
    raw = representations.training(run).inputs
    assert np.corrcoef(values.ravel(), raw.ravel())[0, 1] == pytest.approx(1)  # one line for all


def test_the_scale_is_of_the_training_folds_alone(run):
    other = run.with_(scaling="standardised", training_folds=(2, 5))
    values = representations.features(run, (2, 5)).inputs
    mean, deviation = representations.scale(other)
    assert np.array_equal(mean, values.mean(axis=(0, 1, 3), keepdims=True))
    assert np.array_equal(deviation, values.std(axis=(0, 1, 3), keepdims=True))


def test_fold_10_is_the_test_and_all_others_train(run, everything):
    training, test = representations.training(run), representations.test(run)
    assert set(test.folds) == {10}
    assert set(training.folds) == set(range(1, 10))
    assert len(training.labels) + len(test.labels) == len(everything.labels)
    assert not set(training.clips) & set(test.clips)


@pytest.mark.parametrize(("test_fold", "training_folds"), [(3, (1, 2)), (1, (10,))])
def test_the_split_is_what_the_run_says(run, test_fold, training_folds):
    other = run.with_(test_fold=test_fold, training_folds=training_folds)
    assert set(representations.test(other).folds) == {test_fold}
    assert list(dict.fromkeys(representations.training(other).folds)) == list(training_folds)


def test_a_part_takes_the_same_clips_of_every_array(clips):
    data = clips(clips=6, fold=1, seed=0)
    for chosen in (np.array([4, 1]), np.array([False, True, False, False, True, False])):
        part = data.part(chosen)
        assert all(np.array_equal(v, getattr(data, k)[chosen]) for k, v in vars(part).items())
        assert len(part.clips) == 2
