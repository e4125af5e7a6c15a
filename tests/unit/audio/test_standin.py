import filecmp
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import InputError
from helpers.audio import standin, urbansound

CLIPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stand-in") / "made"
    standin.generate(folder, clips=CLIPS, seed=2024)
    return folder


@pytest.fixture(scope="module")
def table(folder):
    return pd.read_csv(folder / "metadata" / "UrbanSound8K.csv")


@pytest.fixture(scope="module")
def waves(folder, table):
    paths = [folder / "audio" / f"fold{c.fold}" / c.slice_file_name for c in table.itertuples()]
    return {path.name: soundfile.read(path)[0] for path in paths}


def files(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


# --- the folder is an UrbanSound8K folder ---------------------------------------------------------


def test_our_own_reader_accepts_the_table(folder, table):
    pd.testing.assert_frame_equal(urbansound.read_table(folder).reset_index(drop=True), table, check_dtype=False)


def test_every_class_and_fold_has_its_clips(table):
    assert (table.groupby(["fold", "classID"]).size() == CLIPS).all()
    assert len(table) == 10 * 10 * CLIPS


def test_columns_and_names_are_the_official_ones(table):
    assert tuple(table.columns) == urbansound.COLUMNS
    parts = table.slice_file_name.str.extract(urbansound.NAME).astype(int)
    assert (parts[0] == table.fsID).all()
    assert (parts[1] == table.classID).all()
    assert (table["class"] == [urbansound.CLASSES[label] for label in table.classID]).all()
    assert table.slice_file_name.is_unique
    assert table.slice_file_name.is_monotonic_increasing


def test_files_are_the_tables_and_16_bit_mono(folder, table):
    wavs = sorted((folder / "audio").rglob("*.wav"))
    named = sorted(table.slice_file_name + table.fold.astype(str))
    assert sorted(p.name + p.parent.name.removeprefix("fold") for p in wavs) == named
    infos = [soundfile.info(p) for p in wavs]
    assert {(i.samplerate, i.channels, i.subtype) for i in infos} == {(22050, 1, "PCM_16")}


def test_lengths_are_those_of_the_table(table, waves):
    seconds = np.array([len(waves[name]) / 22050 for name in table.slice_file_name])
    np.testing.assert_allclose(seconds, table.end - table.start, atol=1e-5)
    assert seconds.max() == 4.0
    assert seconds.min() >= 0.05
    short = seconds[seconds < 4]
    assert len(short) > 50
    assert len(set(short)) > 0.9 * len(short)  # no two recordings draw alike


def test_a_recording_stays_in_one_fold_and_class_and_is_no_real_one(table):
    by_recording = table.groupby("fsID")
    assert (by_recording.fold.nunique() == 1).all()
    assert (by_recording.classID.nunique() == 1).all()
    assert table.fsID.min() >= 900_000_000


def test_it_says_that_it_is_synthetic(folder):
    text = (folder / "README.txt").read_text()
    assert "SYNTHETIC" in text
    assert "no recording" in text


# --- counts, lengths and salience of the official table -------------------------------------------


def test_official_counts():
    totals = [sum(kind.clips) for kind in standin.KINDS]
    assert totals == [1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000]
    folds = [sum(kind.clips[fold] for kind in standin.KINDS) for fold in range(10)]
    assert folds == [873, 888, 925, 990, 936, 823, 838, 806, 816, 837]
    foreground = [569, 153, 588, 645, 902, 916, 304, 731, 269, 625]
    shares = [kind.foreground for kind in standin.KINDS]
    np.testing.assert_allclose(shares, np.array(foreground) / totals, atol=0.001)


def test_none_means_the_official_number_and_clips_is_a_limit(tmp_path, monkeypatch):
    kind = standin.KINDS[1]._replace(clips=(1, 2, 5) + (1,) * 7, full=0.0, recordings=20)
    monkeypatch.setattr(standin, "KINDS", (kind,))
    for clips, expected in ((None, [1, 2, 5]), (2, [1, 2, 2])):
        folder = tmp_path / str(clips)
        standin.generate(folder, clips=clips, seed=0)
        table = pd.read_csv(folder / "metadata" / "UrbanSound8K.csv")
        assert table.groupby("fold").size().tolist()[:3] == expected
        assert table.slice_file_name.is_monotonic_increasing  # the fifth clip is of recording 0


@pytest.fixture
def silent(monkeypatch):
    """Everything is drawn but no sound is made."""
    nothing = standin.Sound(np.zeros(1), [], (0, 0))
    monkeypatch.setattr(standin, "_mixture", lambda *_: nothing)


@pytest.mark.usefixtures("silent")
def test_recordings_are_as_many_as_in_the_official_set():
    # 124 in fold 10; 1297 in all, of which five are counted twice for they lie in two folds
    ids = {fold: set() for fold in range(1, 11)}
    for fold in ids:
        for label, kind in enumerate(standin.KINDS):
            clips = islice(standin._clips(0, fold, label), kind.clips[fold - 1])
            ids[fold] |= {row["fsID"] for row, _ in clips}
    assert len(ids[10]) == 124
    assert sum(map(len, ids.values())) == 1302 == len(set.union(*ids.values()))


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("kind", standin.KINDS, ids=lambda kind: kind.make.__name__)
def test_shares_of_foreground_and_full_length_are_the_official_ones(kind):
    pairs = [list(standin._pair(kind, visit, 1, (1, 2, 3))) for visit in range(1000)]
    foreground = np.mean([first[0] == 1 for first, _ in pairs])
    full = np.mean([first[1] == second[1] for first, second in pairs])  # the same occurrence
    assert foreground == pytest.approx(kind.foreground, abs=0.05)
    assert full == pytest.approx(kind.full, abs=0.05)


def test_salience_sets_how_far_the_street_lies_below(monkeypatch):
    told = lambda kind, voice, rng, n, snr: standin.Sound(np.array(snr), [], (0, 0))  # noqa: E731
    monkeypatch.setattr(standin, "_mixture", told)
    for visit in range(20):
        for salience, *_, sound in standin._pair(standin.KINDS[3], visit, 0, (1, 3, 0)):
            if len(sound.wave):  # a second slice starts behind these two numbers
                assert tuple(sound.wave) == standin.SNR[salience]


def test_no_clip_is_shorter_than_50_ms():
    shortest = SimpleNamespace(beta=lambda a, b: 0.0)
    assert standin._short(standin.KINDS[1], shortest) == 1103  # 1102.5 samples, up


@pytest.mark.parametrize("kind", standin.KINDS[:-1], ids=lambda kind: kind.make.__name__)
def test_mean_length_is_the_official_one(kind):
    rng = np.random.default_rng(0)
    short = np.mean([standin._short(kind, rng) for _ in range(3000)]) / 22050
    assert kind.full * 4 + (1 - kind.full) * short == pytest.approx(kind.seconds, abs=0.05)


# --- the seed -------------------------------------------------------------------------------------


def test_a_smaller_folder_is_a_part_of_a_larger_one_byte_for_byte(folder, tmp_path):
    standin.generate(tmp_path / "small", clips=1, seed=2024)
    wavs = [path for path in files(tmp_path / "small") if path.suffix == ".wav"]
    assert len(wavs) == 100
    same, different, missing = filecmp.cmpfiles(tmp_path / "small", folder, wavs, shallow=False)
    assert (len(same), different, missing) == (100, [], [])
    small = standin.events(tmp_path / "small")
    large = standin.events(folder)
    large = large[large.slice_file_name.isin(small.slice_file_name)].reset_index(drop=True)
    pd.testing.assert_frame_equal(small, large)


def test_same_seed_same_bytes_another_seed_other_sounds(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(standin, "KINDS", standin.KINDS[3:4])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        standin.generate(tmp_path / name, clips=1, seed=seed)
    assert capfd.readouterr().out == ""  # progress goes to stderr
    a, b, c = (tmp_path / name for name in "abc")
    assert files(a) == files(b)
    assert filecmp.cmpfiles(a, b, files(a), shallow=False)[0] == files(a)
    wavs = [path for path in files(a) if path.suffix == ".wav"]
    assert not filecmp.cmpfiles(a, c, wavs, shallow=False)[0]


# --- occurrences and slices -----------------------------------------------------------------------


def test_slices_of_an_occurrence_share_two_seconds(table, waves):
    parts = table.slice_file_name.str.extract(urbansound.NAME).astype(int)
    table = table.assign(occurrence=parts[2], part=parts[3])
    pairs = [g.sort_values("part") for _, g in table.groupby(["fsID", "occurrence"]) if len(g) > 1]
    assert len(pairs) > 20 * CLIPS
    for pair in pairs:
        assert pair.part.tolist() == [0, 1]
        assert np.diff(pair.start).tolist() == [2.0]
        assert pair.salience.nunique() == 1
        first, second = (waves[name] for name in pair.slice_file_name)
        np.testing.assert_array_equal(first[44100:], second[:-44100])


def test_clips_of_one_recording_share_its_timbre():
    def spectrum(recording, visit):
        kind = standin.KINDS[5]._replace(full=1.0)
        *_, sound = next(standin._pair(kind, visit, 0, (1, 5, recording)))
        power = np.abs(np.fft.rfft(sound.wave)) ** 2
        return np.log([band.mean() for band in np.array_split(power[:4500], 50)])

    within, between = [], []
    for recording in range(6):
        one, two, other = (spectrum(r, v) for r, v in ((recording, 0), (recording, 1), (9, 0)))
        within.append(np.abs(one - two).mean())
        between.append(np.abs(one - other).mean())
    assert np.median(within) < 0.5 * np.median(between)


def test_cut_moves_and_clips_the_events():
    # events at 0.1-0.4 s (before the window), 0.2-0.8 s, 4.2-4.5 s; the window is 0.5 to 4.5 s
    sound = standin.Sound(np.arange(99225), [(0.1, 0.4), (0.2, 0.8), (4.2, 4.6)], (100, 200))
    cut = standin._cut(sound, 0.5)
    assert cut.wave[0] == 11025
    assert len(cut.wave) == 88200
    np.testing.assert_allclose(cut.spans, [(0, 0.3), (3.7, 4.0)])


# --- the events are true --------------------------------------------------------------------------


def test_every_clip_has_events_inside_it(folder, table):
    events = standin.events(folder).merge(table, on="slice_file_name", validate="many_to_one")
    assert events.slice_file_name.nunique() == len(table)
    assert (events.start_s >= 0).all()
    assert (events.start_s < events.end_s).all()
    assert (events.end_s <= events.end - events.start + 1e-4).all()
    assert (events.low_hz > 0).all()
    assert (events.low_hz < events.high_hz).all()


@pytest.mark.parametrize("label", [1, 3, 4], ids=["car_horn", "dog_bark", "drilling"])
def test_a_foreground_sound_is_louder_inside_its_events(label, folder, table, waves):
    events = standin.events(folder)
    chosen = table[(table.classID == label) & (table.salience == 1)]
    excess = []
    for name in chosen.slice_file_name:
        inside = np.zeros(len(waves[name]), bool)
        for event in events[events.slice_file_name == name].itertuples():
            inside[int(event.start_s * 22050) : int(event.end_s * 22050)] = True
        if 0.05 < inside.mean() < 0.95:
            power = waves[name] ** 2
            excess.append(10 * np.log10(power[inside].mean() / power[~inside].mean()))
    assert len(excess) > 5
    assert np.median(excess) > 12  # dB


@pytest.mark.parametrize("label", range(10), ids=urbansound.CLASSES)
def test_a_sound_lies_in_the_band_of_its_events(label):
    for seed in range(8):
        voice, rng = (np.random.default_rng([seed, i]) for i in range(2))
        wave, _, (low, high) = standin.KINDS[label].make(voice, rng, 88200)
        power = np.abs(np.fft.rfft(wave)) ** 2
        f = np.fft.rfftfreq(len(wave), 1 / 22050)
        assert power[(0.9 * low <= f) & (f <= 1.1 * high)].sum() > 0.85 * power.sum()


def test_a_tone_has_its_pitch_and_harmonics_and_none_that_folds_back():
    # 4000 Hz: harmonic 2 at 8000 Hz is heard, harmonic 3 at 12 000 Hz would fold back to 10 050 Hz
    tone = standin._tone(np.full(22050, 4000.0), np.array([1.0, 0.5, 1.0]))
    lines = np.abs(np.fft.rfft(tone)) / 22050 * 2
    assert lines[4000] / lines[8000] == pytest.approx(2, rel=0.02)
    assert lines[10050] < 0.01 * lines[4000]
    assert np.sqrt((tone**2).mean()) == pytest.approx(1, rel=0.01)


def test_background_sounds_lie_deeper_in_the_street():
    # one pure tone of class 8 over the noise: the share of power outside its spectral lines
    def noise_share(salience):
        kind = standin.KINDS[8]._replace(
            make=lambda voice, rng, n: standin.Sound(
                standin._tone(np.full(n, 1000.0), np.ones(1)), [(0, n / 22050)], (999, 1001)
            )
        )
        shares = []
        for seed in range(20):
            rngs = (np.random.default_rng([seed, i]) for i in range(2))
            wave = standin._mixture(kind, *rngs, 88200, standin.SNR[salience]).wave
            power = np.abs(np.fft.rfft(wave)) ** 2
            near = np.abs(np.fft.rfftfreq(88200, 1 / 22050) - 1000) < 20
            shares.append(power[~near].sum() / power.sum())
        return np.median(shares)

    assert noise_share(1) < 0.02  # mean 25 dB below
    assert 0.15 < noise_share(2) < 0.7  # mean 2 dB below


def test_events_of_a_recorded_folder_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"events\.csv is missing; only a generated folder has it"):
        standin.events(tmp_path)


# --- calibration ----------------------------------------------------------------------------------

# medians over 2985 real clips: level dBFS, spectral centroid Hz, 10-90 % range of frame level dB
REAL = [
    (-24.9, 357, 3.6),
    (-21.6, 1292, 7.6),
    (-32.0, 816, 7.8),
    (-24.3, 878, 22.8),
    (-24.1, 2347, 6.1),
    (-25.3, 324, 3.0),
    (-23.1, 973, 31.9),
    (-21.9, 1173, 4.2),
    (-33.9, 1129, 7.8),
    (-24.0, 627, 7.4),
]


def described(wave):
    power = np.abs(np.fft.rfft(wave)) ** 2
    centroid = (power * np.fft.rfftfreq(len(wave), 1 / 22050)).sum() / power.sum()
    frames = np.lib.stride_tricks.sliding_window_view(wave, 1024)[::512]
    low, high = np.percentile(10 * np.log10((frames**2).mean(1) + 1e-10), [10, 90])
    return 10 * np.log10((wave**2).mean()), centroid, high - low


@pytest.mark.parametrize("label", range(10), ids=urbansound.CLASSES)
def test_medians_are_near_those_of_the_real_set(label, table, waves):
    names = table[table.classID == label].slice_file_name
    made = [described(waves[name]) for name in names if len(waves[name]) >= 1024]
    level, centroid, spread = np.median(made, axis=0)
    real = REAL[label]
    assert abs(level - real[0]) < 3  # dB
    assert 1 / 1.5 < centroid / real[1] < 1.5
    assert 1 / 1.6 < spread / real[2] < 1.6


# --- laws -----------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**40), fold=st.integers(1, 10), label=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_any_clip_is_finite_in_range_and_has_its_events(seed, fold, label):
    row, sound = next(standin._clips(seed, fold, label))
    assert 0.05 * 22050 - 1 <= len(sound.wave) <= 88200
    assert np.abs(sound.wave).max() <= 1
    assert np.sqrt((sound.wave**2).mean()) > 1e-5
    assert sound.spans
    assert all(0 <= start < end <= len(sound.wave) / 22050 for start, end in sound.spans)
    assert row["salience"] in (1, 2)


def test_a_sound_too_loud_is_cut_at_full_scale():
    voice, rng = np.random.default_rng(0), np.random.default_rng(1)
    loud = standin.KINDS[6]._replace(level=0.0, spread=0.0)
    assert np.abs(standin._mixture(loud, voice, rng, 22050, standin.SNR[1]).wave).max() == 1


@pytest.mark.parametrize("kind", standin.KINDS, ids=lambda kind: kind.make.__name__)
def test_the_shortest_clip_can_be_made(kind):
    voice, rng = np.random.default_rng(0), np.random.default_rng(1)
    sound = standin._mixture(kind, voice, rng, 1102, standin.SNR[1])
    assert sound.wave.shape == (1102,)
    assert np.isfinite(sound.wave).all()


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clips": 0, "seed": 0}, "clips=0 is too few; give a number from 1, or None for all"),
        ({"clips": 1, "seed": -1}, "seed=-1 is negative; give an integer from 0"),
    ],
)
def test_wrong_numbers_are_named(wrong, message, tmp_path):
    with pytest.raises(InputError) as error:
        standin.generate(tmp_path / "new", **wrong)
    assert str(error.value) == message
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match=r"is not empty; give a new folder for the stand-in"):
        standin.generate(tmp_path, clips=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
