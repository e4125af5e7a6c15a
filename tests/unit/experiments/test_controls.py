"""What a score is worth: loudness, partial correlation, and the table of controls beside every score."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from scipy.stats import spearmanr

from helpers import InputError, artifacts, study
from helpers.audio import representations, sounds
from helpers.experiments import controls, frame_effects
from helpers.maps import explainers, nulls
from helpers.metric import correlation

NAN = float("nan")
SEEDS = itertools.count(1000)


# Loudness


@pytest.fixture
def heard(settings, stand_in, monkeypatch, tmp_path):
    """Loudness of sounds of our own: heard({"a.wav": samples}, rate=44100, hop_length=1024)."""

    def loudness(samples: dict, names: list[str] | None = None, *, rate: int = 44_100, **choices):
        rows = []
        for name, values in samples.items():
            soundfile.write(tmp_path / name, np.asarray(values, dtype=np.float32), rate, subtype="FLOAT")
            rows.append({"slice_file_name": name, "path": name})
        monkeypatch.setattr(sounds, "clips", lambda run: pd.DataFrame(rows))
        run = study.open(profile="smoke", data=str(stand_in), **choices)
        source = dataclasses.replace(run.source, folder=tmp_path)
        monkeypatch.setattr(study.Run, "source", property(lambda run: source))
        return controls.loudness(run, np.array(list(samples) if names is None else names))

    return loudness


@pytest.mark.parametrize("padding", ["zero", "minimum"])
def test_a_constant_sound_is_as_loud_in_every_frame_and_silent_after_it(heard, padding):
    found = heard({"a.wav": np.full(44_100, -0.5)}, padding=padding)
    assert (found.shape, found.dtype) == ((1, 400), np.float32)
    assert found[0, :44] == pytest.approx(np.full(44, 0.5), abs=1e-6)  # 1 + 44100 // 1024 frames
    assert not found[0, 44:].any()


def test_a_tone_has_its_root_mean_square(heard):
    # 16 whole periods in a window of 2048
    tone = 0.8 * np.sin(2 * np.pi * np.arange(30_000) / 128)
    found = heard({"a.wav": tone})[0]
    assert found[1:29] == pytest.approx(np.full(28, 0.8 / np.sqrt(2)), abs=1e-5)


def test_a_frame_hears_the_window_around_its_middle(heard):
    # silence for 4 hops, then 1: frame i hears the samples from 1024 (i - 1) to 1024 (i + 1)
    sound = np.concatenate([np.zeros(4096), np.ones(20_000)])
    found = heard({"a.wav": sound})[0]
    assert found[:7] == pytest.approx([0, 0, 0, 0, np.sqrt(1 / 2), 1, 1], abs=1e-6)


def test_the_hop_is_the_runs(heard):
    sound = np.concatenate([np.zeros(4096), np.ones(20_000)])
    found = heard({"a.wav": sound}, hop_length=512)[0]
    # frame i hears the samples from 512 (i - 2) to 512 (i + 2)
    assert found[5:11] == pytest.approx(np.sqrt([0, 0, 1 / 4, 1 / 2, 3 / 4, 1]), abs=1e-6)
    assert np.count_nonzero(found) == 1 + 24_096 // 512 - 7


def test_padding_by_repetition_repeats_the_loudness(heard):
    sound = np.linspace(0.1, 0.9, 44_100)
    once, repeated = (heard({"a.wav": sound}, padding=padding)[0] for padding in ("zero", "repeat_frames"))
    assert np.array_equal(repeated, np.tile(once[:44], 10)[:400])


def test_a_repeated_waveform_is_heard_in_every_frame(heard):
    found = heard({"a.wav": np.full(30_000, 0.5)}, padding="repeat_waveform")[0]
    assert found == pytest.approx(np.full(400, 0.5), abs=1e-6)


def test_a_sound_shorter_than_a_window_is_filled_with_silence(heard):
    found = heard({"a.wav": np.full(100, 0.5)})[0]
    # frame 0 hears the sound twice, turned at its first sample; frame 1 once; frame 2 not
    expected = [0.5 * np.sqrt(199 / 2048), 0.5 * np.sqrt(100 / 2048), 0]
    assert found[:3] == pytest.approx(expected, abs=1e-6)
    assert not found[3:].any()


@pytest.mark.parametrize(("samples", "hop_length"), [(300, 1024), (2048, 1024), (9000, 512), (178_000, 441)])
def test_as_many_frames_are_heard_as_the_features_have(heard, samples, hop_length):
    found = heard({"a.wav": np.full(samples, 0.5)}, hop_length=hop_length)[0]
    frames = representations.sounding_frames(samples, 44_100, study.Run(hop_length=hop_length))
    assert np.array_equal(np.flatnonzero(found), np.arange(frames if samples >= 2048 else 2))


def test_sounds_of_another_rate_are_resampled(heard):
    found = heard({"a.wav": np.full(22_050, 0.5)}, rate=22_050)[0]
    assert found[2:42] == pytest.approx(np.full(40, 0.5), abs=5e-3)
    assert not found[44:].any()


def test_clips_are_heard_in_the_order_of_their_names(heard):
    samples = {f"{k}.wav": np.full(5000, k / 10) for k in range(1, 4)}
    found = heard(samples, ["3.wav", "1.wav"])
    assert found[:, 0] == pytest.approx([0.3, 0.1], abs=1e-6)


def test_an_unknown_clip_is_named(heard):
    with pytest.raises(InputError, match=r"^clip b\.wav is not in this run; name some of its slice_file_name$"):
        heard({"a.wav": np.ones(5000)}, ["a.wav", "b.wav"])


# Partial correlation


def test_a_partial_correlation_by_hand():
    # ranks of the third are 1.5, 1.5, 3.5, 3.5; without their line the others have the opposite remainders
    a, v, given = [1, 2, 3, 4], [2, 1, 4, 3], [0, 0, 7, 7]
    assert spearmanr(a, v).statistic == pytest.approx(0.6)
    assert controls.partial(a, v, given) == pytest.approx(-1)


def test_a_third_that_has_to_do_with_neither_leaves_the_correlation():
    # centred ranks -1, 1, 1, -1 are orthogonal to both
    assert controls.partial([1, 2, 3, 4], [1, 3, 2, 4], [0, 5, 5, 0]) == pytest.approx(0.8)
    assert controls.partial([1, 2, 3, 4], [1, 3, 2, 4], [3, 3, 3, 3]) == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(4))
def test_the_partial_correlation_is_that_of_the_three_correlations(seed):
    a, v, given = np.random.default_rng(seed).integers(12, size=(3, 40)).astype(float)
    av, ag, vg = (spearmanr(*pair).statistic for pair in ((a, v), (a, given), (v, given)))
    expected = (av - ag * vg) / np.sqrt((1 - ag**2) * (1 - vg**2))
    assert controls.partial(a, v, given) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("frames", [3, 40, 400])
def test_a_map_that_is_the_third_has_nothing_left(frames):
    own, other = np.random.default_rng(0).random((2, frames))
    for same in (own, 2 * own + 1, np.exp(own), -own):
        assert np.isnan(controls.partial(own, other, same))
        assert np.isnan(controls.partial(other, own, same))
    assert np.isnan(controls.partial(np.ones(frames), own, other))
    assert np.isnan(controls.partial(own, np.ones(frames), other))


@given(st.integers(0, 1000))
@options(deadline=None, max_examples=20)
def test_only_ranks_count_and_the_sign_of_the_third_does_not(seed):
    a, v, given = np.random.default_rng(seed).random((3, 20))
    first = controls.partial(a, v, given)
    assert -1 <= first <= 1
    assert controls.partial(a**3, np.exp(v), np.sqrt(given)) == first
    assert controls.partial(a, v, -given) == pytest.approx(first, abs=1e-12)
    assert controls.partial(-a, v, given) == pytest.approx(-first, abs=1e-12)
    assert controls.partial(v, a, given) == pytest.approx(first, abs=1e-12)


# The table


@pytest.fixture
def six(run):
    """A run whose controls have six clips, four of them explained, and a recipe of this test alone."""
    return run.with_(control_clips=6, null_seed=next(SEEDS))


@pytest.fixture
def found(six):
    """The effects of its clips, in order, so that tests may change them."""
    return frame_effects.frames(six)


def test_the_columns_are_those_that_are_documented(six, found):
    table = controls.table(six)
    blind = [[kind, f"{kind} below 0", f"{kind} percentile"] for kind in nulls.NULLS]
    assert list(table)[:7] == ["clip", "recording", "label", "predicted", "explained", "frames", "salience"]
    assert set(list(table)[7:]) == {
        *itertools.chain.from_iterable(blind),
        *controls.RUNGS,
        *controls.RIVALS,
        *(f"{name} inside" for name in controls.INSIDE),
        *("given sound or padding", "given loudness", "given MFCC 0", "no effect"),
    }
    heads = {"clip": "clips", "recording": "recordings", "label": "labels", "predicted": "predicted"}
    for head, fact in (heads | {"explained": "explained", "frames": "frames"}).items():
        assert table[head].tolist() == getattr(found, fact).tolist()


def test_the_salience_is_written_in_words(six, found, monkeypatch):
    clips = sounds.clips(six)
    own = dict(zip(found.clips, [1, 2, 2, 1, 2, 1], strict=True))
    other = clips.assign(salience=clips["slice_file_name"].map(own).fillna(1).astype(int))
    monkeypatch.setattr(sounds, "clips", lambda run: other)
    near, far = "foreground", "background"
    assert controls.table(six)["salience"].tolist() == [near, far, far, near, far, near]


def test_every_number_is_what_its_column_says(six, found):
    table = controls.table(six)
    mfcc = frame_effects.clips(six).inputs
    maps = explainers.stretch(found.nodes, (13, 400))
    loud = controls.loudness(six, found.clips)
    apart = found.recordings != found.recordings[:, None]
    others = [nulls.profile(maps[chosen]).mean(axis=0) for chosen in apart]
    assert (table["frames"] < 400).any()
    for i in range(6):
        row, v, own, n = table.iloc[i], found.effects[i].astype(float), maps[i].sum(axis=0), found.frames[i]

        def rho(curve, v=v, n=400):
            return correlation.score(np.asarray(curve)[None, None, :n], v[None, :n])[0]

        expected = {
            "Grad-CAM": rho(own),
            "loudness": rho(loud[i]),
            "distance from 0.5": rho(np.abs(mfcc[i, 0] - 0.5).sum(axis=0)),
            "sound or padding": rho(np.arange(400) < n),
            "MFCC 0": spearmanr(mfcc[i, 0, 0], v).statistic,
            "ceiling": rho(found.again[i]),
            "bump": rho(400 - np.abs(np.arange(400) - 199.5)),
            "mean map": rho(others[i]),
            "mean map inside": rho(others[i], n=n),
            "loudness in nodes": rho(controls.squeezed(loud[i], (1, 25))),
            "no effect": (v == 0).mean(),
            "Grad-CAM inside": rho(own, n=n),
            "loudness inside": rho(loud[i], n=n),
            "distance from 0.5 inside": rho(np.abs(mfcc[i, 0] - 0.5).sum(axis=0), n=n),
            "MFCC 0 inside": spearmanr(mfcc[i, 0, 0, :n], v[:n]).statistic,
            "given sound or padding": controls.partial(own, v, np.arange(400) < n),
            "given loudness": controls.partial(own, v, loud[i]),
            "given MFCC 0": controls.partial(own, v, mfcc[i, 0, 0]),
        }
        kinds = nulls.profiles_of(
            *(i, maps.sum(axis=1)),
            recordings=found.recordings,
            explained=found.explained,
            nodes=(1, 25),
            rows=13,
            count=six.null_maps,
            random=np.random.default_rng((six.null_seed, i)),
        )
        for kind, profiles in kinds.items():
            scored = np.array([rho(profile) for profile in profiles])
            known = scored[~np.isnan(scored)]
            expected[kind] = known.mean() if len(known) else NAN
            expected[f"{kind} below 0"] = (known < 0).mean() if len(known) else NAN
            expected[f"{kind} percentile"] = nulls.percentile(rho(own), scored)
        inside = [rho(profile, n=n) for profile in kinds["random nodes"]]
        expected["random nodes inside"] = np.nanmean(inside)
        for name, value in expected.items():
            # scipy ties no frames that are almost the same
            digits = 1e-3 if name.startswith("MFCC 0") else 1.1e-5
            assert row[name] == pytest.approx(value, abs=digits, nan_ok=True), name


def test_only_explained_clips_are_measured_again_and_no_map_of_the_layers_shape_exceeds_its_ceiling(six, found):
    table = controls.table(six)
    sample = np.isin(found.clips, explainers.explanations(six).clips)
    assert sample.sum() == 4
    assert (table["ceiling"].notna() == sample).all()
    blind = nulls.random_nodes((1, 25), count=200, random=np.random.default_rng(9), size=(13, 400))
    for where in ("", " inside"):
        for rung in ("Grad-CAM", "loudness in nodes", "mean map", "same class"):
            lead = table[f"ceiling in nodes{where}"] - table[f"{rung}{where}"]
            assert lead.dropna().min() > -1e-5
        for i, v in enumerate(found.effects):
            part = slice(0, found.frames[i] if where else 400)
            most = np.nanmax(correlation.frame_scores(nulls.profile(blind)[:, part], v[part]), initial=-1)
            assert not most > table[f"ceiling in nodes{where}"][i] + 1e-5


def test_where_clips_are_repeated_every_frame_holds_sound(six, found):
    profiles = nulls.profile(explainers.stretch(found.nodes, (13, 400)))
    short = int(np.argmin(found.frames))
    given = (short, found, profiles, profiles[short - 1], frame_effects.clips(six).inputs[short, 0], np.arange(400.0))
    once, repeated = (controls._row(six.with_(padding=padding), *given) for padding in ("zero", "repeat_waveform"))
    assert found.frames[short] < 400
    for name in controls.INSIDE:
        assert repeated[f"{name} inside"] == pytest.approx(
            repeated[name], abs=0.05 if "nodes" in name else 0, nan_ok=True
        )
    assert once["loudness inside"] != once["loudness"]
    assert once["loudness"] == repeated["loudness"]
    assert np.isnan(repeated["sound or padding"])  # nothing is padded


def given_table(run, monkeypatch, found, **changes) -> pd.DataFrame:
    """The table of a run whose effects are others."""
    monkeypatch.setattr(frame_effects, "frames", lambda run: dataclasses.replace(found, **changes))
    return controls.table(run)


def test_the_ceiling_in_nodes_is_what_nodes_can_show_of_the_effects(six, found, monkeypatch):
    trend = np.tile(np.arange(400, dtype=np.float32), (6, 1))
    # up and down within each node's 16 frames: nodes see the trend alone
    again = trend + 300 * (-1.0) ** np.arange(400, dtype=np.float32)
    table = given_table(six, monkeypatch, found, effects=again, again=trend)
    assert (table["ceiling"] < 0.8).all()
    assert table["ceiling in nodes"].to_numpy() == pytest.approx(table["ceiling"].to_numpy(), abs=0.01)
    six = six.with_(null_seed=next(SEEDS))
    table = given_table(six, monkeypatch, found, effects=trend, again=again, nodes=np.ones((6, 1, 1)))
    assert table["ceiling in nodes"].isna().all()  # one node says the same of every frame


def test_the_mean_map_is_that_of_all_other_recordings_clips():
    profiles = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 1.0], [7.0, 9.0]])
    found = controls.mean_maps(profiles, np.array([4, 4, 8, 6]))
    assert found.tolist() == [[6, 5], [6, 5], [11 / 3, 11 / 3], [3, 1]]
    assert np.isnan(controls.mean_maps(profiles[:2], np.array([4, 4]))).all()


def test_squeezing_keeps_a_mean_per_node():
    found = controls.squeezed(np.repeat([0.0, 4.0], 8), (1, 2))
    assert found[[0, 15]] == pytest.approx([0, 1], abs=1e-6)
    assert (np.diff(found) >= 0).all()
    assert controls.squeezed_nodes(np.array([1.0, 3.0, 8.0, 8.0]), (2, 2)).tolist() == [[2, 8, 2, 8]]


def test_effects_that_are_the_map_itself(six, found, monkeypatch):
    nodes = np.random.default_rng(3).random((6, 1, 25), dtype=np.float32)
    own = nulls.profile(explainers.stretch(nodes, (13, 400)))
    table = given_table(six, monkeypatch, found, nodes=nodes, effects=own, again=own)
    assert (table["Grad-CAM"] == 1).all()
    assert (table["Grad-CAM inside"] == 1).all()
    assert (table["ceiling"] == 1).all()
    assert table["ceiling in nodes"].to_numpy() == pytest.approx(1, abs=1e-5)
    for kind in nulls.NULLS:
        known = table[kind].notna()
        assert (table.loc[known, f"{kind} percentile"] == 1).all()
    assert nulls.normalised(table["Grad-CAM"], table["random nodes"], table["ceiling"]) == pytest.approx(1)


def test_effects_in_the_opposite_order_of_the_map(six, found, monkeypatch):
    nodes = np.random.default_rng(3).random((6, 1, 25), dtype=np.float32)
    own = nulls.profile(explainers.stretch(nodes, (13, 400)))
    table = given_table(six, monkeypatch, found, nodes=nodes, effects=own.max() - own)
    assert table["Grad-CAM"].to_numpy() == pytest.approx(-1, abs=1e-3)
    for kind in nulls.NULLS:
        known = table[kind].notna()
        assert (table.loc[known, f"{kind} percentile"] == 0).all()


def test_effects_of_the_sound_alone_leave_nothing_given_it(six, found, monkeypatch):
    loud = controls.loudness(six, found.clips)
    table = given_table(six, monkeypatch, found, effects=loud)
    assert (table["loudness"] > 0.999).all()
    assert table["given loudness"].isna().all()
    assert table["given MFCC 0"].notna().all()
    six = six.with_(null_seed=next(SEEDS))
    sounding = (np.arange(400) < found.frames[:, None]).astype(np.float32)
    table = given_table(six, monkeypatch, found, effects=sounding)
    assert table["sound or padding"].to_numpy() == pytest.approx(1)
    # where all frames sound, all effects are the same
    for name in ("Grad-CAM inside", "loudness inside", "random nodes inside", "given sound or padding"):
        assert table[name].isna().all()


def test_a_null_below_zero_is_counted(six, found, monkeypatch):
    # effects that fall with the frame, and maps that rise with it, of two classes
    rising = np.arange(400, dtype=np.float32)
    nodes = np.tile(np.arange(1, 26, dtype=np.float32), (6, 1, 1))
    kinds = {
        "explained": np.array([0, 0, 1, 1, 1, 1]),
        "recordings": np.array([1, 2, 3, 3, 3, 3]),
    }
    table = given_table(six, monkeypatch, found, nodes=nodes, effects=np.tile(-rising, (6, 1)), **kinds)
    assert table["Grad-CAM"].to_numpy() == pytest.approx(-1, abs=1e-3)
    assert table["same class below 0"].tolist()[:2] == [1, 1]
    assert table["same class"].tolist()[:2] == pytest.approx([-1, -1], abs=1e-3)
    assert table["same class percentile"].tolist()[:2] == [0.5, 0.5]  # ties
    # clips 2 to 5 are of one recording
    assert table["same class"].isna().tolist() == [False, False, True, True, True, True]
    assert table["same class percentile"].isna().tolist() == [False, False, True, True, True, True]
    assert (table["other class below 0"] == 1).all()
    assert table["independent frames below 0"].between(0.1, 0.9).all()


def test_maps_that_are_empty_have_no_score_and_are_counted(six, found, monkeypatch):
    nodes = np.where(np.arange(6)[:, None, None] < 2, -1, found.nodes + 1e-3).astype(np.float32)
    monkeypatch.setattr(frame_effects, "frames", lambda run: dataclasses.replace(found, nodes=nodes))
    made = artifacts.record(controls.CONTROLS.get(six))["made"]
    table = controls.table(six)
    assert table["Grad-CAM"].isna().tolist()[:2] == [True, True]
    assert table["random nodes percentile"].isna().tolist()[:2] == [True, True]
    assert table["random nodes"].notna().all()
    assert made["nan"] == table["Grad-CAM"].isna().sum() >= 2
    assert (made["clips"], made["data"]) == (6, "synthetic stand-in")


def test_what_is_there_is_loaded(six, found, monkeypatch):
    first = controls.table(six)
    monkeypatch.setattr(controls, "loudness", None)
    pd.testing.assert_frame_equal(controls.table(six), first)
    assert artifacts.record(controls.CONTROLS.path(six))["recipe"]["fields"] == {
        "null_maps": 20,
        "null_seed": six.null_seed,
    }


def test_maps_of_the_inputs_cells_have_controls_and_no_ceiling_in_nodes(run):
    rows = controls.table(run.with_(explainer="saliency"))
    assert rows["Grad-CAM"].notna().any()
    assert rows[["ceiling in nodes", "ceiling in nodes inside"]].isna().all(axis=None)
    assert rows["random nodes inside"].notna().any()


def test_inside_the_sound_is_everywhere_where_clips_are_repeated(run):
    frames = np.array([40, 173])
    assert controls.sounding_of(run, frames).tolist() == [40, 173]
    assert controls.sounding_of(run.with_(padding="repeat_waveform"), frames).tolist() == [400, 400]
