"""The data set: its table, its files, and its torch Dataset."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import InputError
from helpers.audio import urbansound
from tests.unit.audio.made import HEADER, ROWS, cut, write_table, write_wav

SHARED = Path(__file__).parents[3].parent / "shared" / "urbansound8k"


# The table


def test_table_has_the_official_columns_and_types(tree):
    table = urbansound.read_table(tree)
    assert tuple(table) == urbansound.COLUMNS
    assert len(table) == 4
    assert table.iloc[2].to_dict() == {
        "slice_file_name": "8-1-0-0.wav",
        "fsID": 8,
        "start": 0.0,
        "end": 0.05,
        "salience": 1,
        "fold": 2,
        "classID": 1,
        "class": "car_horn",
    }
    assert all(table[name].dtype == "int64" for name in ("fsID", "salience", "fold", "classID"))
    assert all(table[name].dtype == "float64" for name in ("start", "end"))


def test_unnamed_row_numbers_are_dropped(tree):
    write_table(tree, HEADER, *(f"{number + 7},{row}" for number, row in enumerate(ROWS)))
    assert urbansound.read_table(tree).index.tolist() == [0, 1, 2, 3]


def test_extra_columns_are_dropped_and_a_byte_order_mark_is_read(tree):
    lines = [f"{row},x" for row in ROWS]
    path = write_table(tree, f"{HEADER},note", *lines)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert tuple(urbansound.read_table(tree)) == urbansound.COLUMNS


def test_slices_are_counted_by_class_fold_and_salience(tree):
    write_table(tree, HEADER, *ROWS, "6-3-0-0.wav,6,0,4,1,1,3,dog_bark")
    counts = urbansound.slices(urbansound.read_table(tree))
    assert [list(row) for row in counts.itertuples(index=False)] == [
        ["car_horn", 2, "foreground", 1, 1],
        ["dog_bark", 1, "foreground", 2, 2],
        ["dog_bark", 1, "background", 1, 1],
        ["street_music", 2, "background", 1, 1],
    ]
    assert list(counts) == ["class", "fold", "salience", "slices", "recordings"]


def test_true_starts_step_by_two_seconds_where_the_table_steps_by_half_a_second(tree):
    # slice n of an occurrence begins 2 n after its first, and the table says 0.5 n
    generated = "900000007-3-0-1.wav,900000007,2.0,6.0,1,1,3,dog_bark"  # the stand-in's table is right
    write_table(tree, HEADER, *ROWS, "7-3-2-4.wav,7,12.0,16.0,1,1,3,dog_bark", generated)
    starts = urbansound.true_starts(urbansound.read_table(tree))
    assert starts.to_dict() == {
        "7-3-0-0.wav": 0.0,
        "7-3-0-1.wav": 2.0,
        "8-1-0-0.wav": 0.0,
        "9-9-0-0.wav": 1.0,
        "7-3-2-4.wav": 18.0,
        "900000007-3-0-1.wav": 2.0,
    }


def test_leakage_lists_recordings_in_two_folds(tree):
    assert urbansound.leakage(urbansound.read_table(tree)) == []
    write_table(tree, HEADER, *ROWS, "7-3-1-0.wav,7,0,4,1,2,3,dog_bark")
    assert urbansound.leakage(urbansound.read_table(tree)) == [7]


def test_credits_name_the_recordist(tree):
    assert urbansound.credits(tree) == {}
    text = "This dataset uses:\n\n[soundid] by [username]\n7 by Oscar de Ávila\n8 by x by y \r\n"
    (tree / "FREESOUNDCREDITS.txt").write_text(text, encoding="utf-8")
    assert urbansound.credits(tree) == {7: "Oscar de Ávila", 8: "x by y"}


# The files


def test_clips_carry_what_their_headers_say(tree):
    clips = urbansound.read_clips(tree, complete=True)
    assert list(clips.index) == [0, 1, 2, 3]
    assert clips.attrs["missing_folds"] == []
    assert clips.iloc[1][len(urbansound.COLUMNS) :].to_dict() == {
        "path": "audio/fold1/7-3-0-1.wav",
        "rate": 22050,
        "channels": 1,
        "subtype": "PCM_16",
        "samples": 200,
        "seconds": 200 / 22050,
        "bytes": 44 + 2 * 200,
    }


def test_clips_are_sorted_whatever_the_table_does(tree):
    write_table(tree, HEADER, *reversed(ROWS))
    assert urbansound.read_clips(tree)["slice_file_name"].tolist() == [row.split(",")[0] for row in ROWS]


def test_a_fold_that_is_not_on_disk_is_left_out_or_an_error(tree):
    shutil.rmtree(tree / "audio" / "fold1")
    (tree / "audio" / "fold1").mkdir()
    (tree / "audio" / "fold1" / "._7-3-0-0.wav").write_bytes(b"macOS")
    clips = urbansound.read_clips(tree)
    assert clips["fold"].tolist() == [2, 2]
    assert clips.index.tolist() == [0, 1]
    assert clips.attrs["missing_folds"] == [1]
    with pytest.raises(InputError, match="lacks fold 1; finish it with `make data`"):
        urbansound.read_clips(tree, complete=True)
    shutil.rmtree(tree / "audio" / "fold2")
    with pytest.raises(InputError, match="has no clips in audio/fold1 to audio/fold10"):
        urbansound.read_clips(tree)


def test_clips_that_cannot_be_used_are_counted_and_three_are_named(tree):
    rows = [f"5-3-0-{number}.wav,5,0,4,1,1,3,dog_bark" for number in range(5)]
    write_table(tree, HEADER, *ROWS, *rows)
    with pytest.raises(InputError) as caught:
        urbansound.read_clips(tree)
    named = ", ".join(f"audio/fold1/5-3-0-{number}.wav is not there" for number in range(3))
    assert f"5 of 9 clips cannot be used ({named}, ...); copy or unpack" in str(caught.value)


def test_a_fold_of_which_no_clip_can_be_used_is_refused(tree):
    for name in ("8-1-0-0.wav", "9-9-0-0.wav"):
        (tree / "audio" / "fold2" / name).write_bytes(b"")
    with pytest.raises(InputError, match="has no clip in fold 2 that can be used"):
        urbansound.read_clips(tree, left_out=2)


def test_clips_that_can_all_be_used_are_not_left_out(tree):
    with pytest.raises(InputError, match=r"0 of 4 clips cannot be used, but left_out=2; leave just these out with"):
        urbansound.read_clips(tree, left_out=2)


def test_files_that_the_table_does_not_name_are_listed(tree):
    write_wav(tree / "audio" / "fold2" / "7-3-0-1.wav", np.zeros(9))  # of another fold
    write_wav(tree / "audio" / "fold2" / "9-9-0-1.WAV", np.zeros(9))
    clips = urbansound.read_clips(tree)
    assert len(clips) == 4
    assert clips.attrs["unlisted"] == ["audio/fold2/7-3-0-1.wav", "audio/fold2/9-9-0-1.WAV"]


ENCODINGS = [
    ("WAV", "PCM_U8", 8000, 1),
    ("WAV", "PCM_16", 44100, 2),
    ("WAV", "PCM_24", 96000, 1),
    ("WAV", "PCM_32", 48000, 2),
    ("WAV", "FLOAT", 192000, 2),
    ("WAV", "MS_ADPCM", 22050, 2),
    ("WAV", "IMA_ADPCM", 11024, 1),
    ("WAVEX", "PCM_24", 48000, 2),
    ("WAVEX", "FLOAT", 44100, 1),
]


@pytest.mark.parametrize(("kind", "subtype", "rate", "channels"), ENCODINGS)
def test_every_encoding_of_the_archive_is_read(tree, kind, subtype, rate, channels):
    n = rate // 20  # 0.05 s, the archive's shortest
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(n) / rate)
    samples = np.stack([tone, tone / 2][:channels], axis=1)
    path = tree / "audio" / "fold1" / "7-3-0-0.wav"
    write_wav(path, samples, rate=rate, subtype=subtype, kind=kind)

    clip = urbansound.read_clips(tree).iloc[0]
    assert (clip["subtype"], clip["rate"], clip["channels"]) == (subtype, rate, channels)
    mono, read_rate = urbansound.load_audio(path)
    assert read_rate == rate
    assert mono.dtype == np.float32
    assert mono.shape == (clip["samples"],)
    assert len(mono) >= n  # ADPCM fills its last block
    expected = samples.mean(axis=1)
    if "ADPCM" in subtype:  # lossy, and slow to start
        assert np.corrcoef(mono[:n], expected)[0, 1] > 0.9
    else:
        step = {"PCM_U8": 1 / 128, "PCM_16": 1 / 32768}.get(subtype, 1e-6)
        assert np.abs(mono - expected).max() <= step

    cut(path)
    with pytest.raises(InputError, match=r"fold1/7-3-0-0\.wav is cut short by 30 bytes"):
        urbansound.read_clips(tree)


def test_chunks_before_and_after_the_samples_are_stepped_over(tmp_path):
    path = write_wav(tmp_path / "x.wav", np.zeros(100))
    content = path.read_bytes()
    odd = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"  # an odd size is padded to even
    path.write_bytes(content[:12] + odd + content[12:] + odd)
    assert urbansound._lacking(path) == 0
    path.write_bytes(content[:12] + odd + content[12:-7])
    assert urbansound._lacking(path) == 7


def test_mono_is_the_mean_over_channels(tmp_path):
    samples = np.array([[0.5, -0.5], [0.5, 0.25], [1.0, 0.5]], dtype="float32")
    path = write_wav(tmp_path / "x.wav", samples, rate=8000, subtype="FLOAT")
    mono, rate = urbansound.load_audio(path)
    assert mono.tolist() == [0.0, 0.375, 0.75]
    assert rate == 8000


def test_audio_that_cannot_be_used_is_named(tmp_path):
    bad = write_wav(tmp_path / "nan.wav", np.array([0.1, np.nan]), subtype="FLOAT")
    with pytest.raises(InputError, match=r"nan\.wav holds samples that are not finite"):
        urbansound.load_audio(bad)
    bad = write_wav(tmp_path / "inf.wav", np.array([[np.inf, 0.0]]), subtype="FLOAT")
    with pytest.raises(InputError, match=r"inf\.wav holds samples that are not finite"):
        urbansound.load_audio(bad)
    with pytest.raises(InputError, match=r"gone\.wav cannot be read as audio \(No such file"):
        urbansound.load_audio(tmp_path / "gone.wav")
    with pytest.raises(InputError, match=r"none\.wav is empty"):
        urbansound.load_audio(write_wav(tmp_path / "none.wav", np.zeros(0)))
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(InputError, match=r"text\.wav cannot be read as audio \(Format not"):
        urbansound.load_audio(tmp_path / "text.wav")


# The torch Dataset


def test_dataset_gives_the_transformed_clip_and_its_label(tree):
    import torch

    clips = urbansound.read_clips(tree)
    dataset = urbansound.UrbanSound8K(tree, clips.iloc[[3, 0]], transform=lambda waveform, rate: (waveform, rate))
    assert isinstance(dataset, torch.utils.data.Dataset)
    assert len(dataset) == 2
    (waveform, rate), label = dataset[0]
    assert waveform.shape == (1, 400)
    assert waveform.dtype == torch.float32
    assert waveform[0, 0].item() == pytest.approx(0.4, abs=1e-4)
    assert (rate, label, type(label)) == (22050, 9, int)
    assert [label for _, label in dataset] == [9, 3]


def first_sample(waveform, rate):
    return waveform[:, :1]


@pytest.mark.slow
def test_dataset_travels_to_the_workers_of_a_data_loader(tree):
    from torch.utils.data import DataLoader

    dataset = urbansound.UrbanSound8K(tree, urbansound.read_clips(tree), transform=first_sample)
    # workers that are started afresh get the data set, where forked ones would inherit it
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    received = [(tuple(waveform.shape), label) for waveform, label in loader]
    assert received == [((1, 1), label) for label in urbansound.read_clips(tree)["classID"]]


def test_the_table_needs_no_torch():
    code = (
        "import sys; from helpers.audio import urbansound; "
        "assert not {'torch', 'torchaudio', 'soundata'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(urbansound, "UrbanSound9K")


# Digests


def test_digest_follows_contents_and_not_times(tree, tmp_path):
    clips, cache = urbansound.read_clips(tree), tmp_path / "made" / "digests.json"
    digest = urbansound.digests(tree, clips, cache=cache)
    assert len(digest) == 64
    assert urbansound.digests(tree, clips.iloc[::-1], cache=cache) == digest
    os.utime(tree / clips["path"][0], ns=(1, 1))
    assert urbansound.digests(tree, clips, cache=cache) == digest

    copy = shutil.copytree(tree, tmp_path / "copy")
    assert urbansound.digests(copy, clips, cache=cache) == digest
    assert urbansound.digests(tree, clips.iloc[:3], cache=cache) != digest
    write_wav(tree / clips["path"][0], np.full(100, 0.9))
    changed = urbansound.digests(tree, clips, cache=cache)
    assert changed != digest
    write_table(tree, HEADER, *ROWS[:3], ROWS[3].replace(",2,2,", ",1,2,"))
    assert urbansound.digests(tree, urbansound.read_clips(tree), cache=cache) not in (digest, changed)
    write_table(tree, HEADER, *reversed(ROWS), "")  # the same rows
    assert urbansound.digests(tree, urbansound.read_clips(tree), cache=cache) == changed
    assert sorted(path.name for path in cache.parent.iterdir()) == ["digests.json"]


def test_unchanged_files_are_not_read_again(tree, tmp_path, monkeypatch):
    clips, cache = urbansound.read_clips(tree), tmp_path / "digests.json"
    digest = urbansound.digests(tree, clips, cache=cache)
    monkeypatch.setattr(urbansound.hashlib, "file_digest", None)  # must not be reached
    assert urbansound.digests(tree, clips, cache=cache) == digest


def test_another_file_of_the_same_size_and_time_is_seen(tree, tmp_path):
    """As `cp -p` and rsync put it there."""
    clips, cache = urbansound.read_clips(tree), tmp_path / "digests.json"
    digest = urbansound.digests(tree, clips, cache=cache)
    path = tree / clips["path"][0]
    stat, content = path.stat(), path.read_bytes()
    time.sleep(0.02)  # file systems count time in steps of some milliseconds
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert urbansound.digests(tree, clips, cache=cache) != digest


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"x": 1}'])
def test_a_broken_cache_is_made_anew(tree, tmp_path, content):
    clips, cache = urbansound.read_clips(tree), tmp_path / "digests.json"
    digest = urbansound.digests(tree, clips, cache=cache)
    cache.write_text(content)
    assert urbansound.digests(tree, clips, cache=cache) == digest


def test_a_file_that_went_away_is_named(tree, tmp_path):
    clips = urbansound.read_clips(tree)
    (tree / clips["path"][2]).unlink()
    with pytest.raises(InputError, match=r"8-1-0-0\.wav cannot be read \(No such file"):
        urbansound.digests(tree, clips, cache=tmp_path / "digests.json")


# Laws


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 10), st.integers(1, 2), st.integers(0, 9)),
        min_size=1,
    )
)
def test_counts_add_up_and_leakage_means_two_folds(rows):
    table = pd.DataFrame(rows, columns=["fsID", "fold", "salience", "classID"])
    table["class"] = table["classID"].map(dict(enumerate(urbansound.CLASSES)))
    counts = urbansound.slices(table)
    assert counts["slices"].sum() == len(rows)
    assert (counts["recordings"] <= counts["slices"]).all()
    folds = {recording: {row[1] for row in rows if row[0] == recording} for recording, *_ in rows}
    assert urbansound.leakage(table) == sorted(r for r, held in folds.items() if len(held) > 1)


SOME = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(rows=st.permutations(ROWS), order=st.permutations(range(8)), separator=st.sampled_from([",", ";", "\t", " , "]))
@SOME
def test_the_order_of_rows_and_columns_changes_nothing(tree, rows, order, separator):
    write_table(tree, HEADER, *ROWS)
    usual, names = urbansound.read_clips(tree), urbansound.read_table(tree)["slice_file_name"].tolist()
    write_table(tree, *(separator.join(np.array(line.split(","))[list(order)]) for line in (HEADER, *rows)))
    assert urbansound.read_clips(tree).equals(usual)
    assert urbansound.read_table(tree)["slice_file_name"].tolist() == [names[ROWS.index(row)] for row in rows]


@given(there=st.sets(st.integers(1, 10), min_size=1))
@SOME
def test_the_folds_that_are_there_are_read_as_if_all_were(tmp_path, there):
    folder, aside = tmp_path / "set", tmp_path / "aside"
    if not folder.exists():
        names = [f"{fold}-3-0-0.wav" for fold in range(1, 11)]
        write_table(
            folder, HEADER, *(f"{name},{name.split('-')[0]},0,4,1,{i},3,dog_bark" for i, name in enumerate(names, 1))
        )
        for fold, name in enumerate(names, 1):
            write_wav(folder / "audio" / f"fold{fold}" / name, np.full(100 + fold, 0.1))
    whole = urbansound.read_clips(folder)
    try:
        for fold in set(range(1, 11)) - there:
            (aside / f"fold{fold}").parent.mkdir(exist_ok=True)
            (folder / "audio" / f"fold{fold}").rename(aside / f"fold{fold}")
        part = urbansound.read_clips(folder)
        assert part.equals(whole[whole["fold"].isin(there)].reset_index(drop=True))
        assert part.attrs["missing_folds"] == sorted(set(range(1, 11)) - there)
    finally:
        for fold in set(range(1, 11)) - there:
            (aside / f"fold{fold}").rename(folder / "audio" / f"fold{fold}")


# The real table and the ten original files, where they are


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings are not beside the repository")
class TestReal:
    def test_official_table(self):
        table = urbansound.read_table(SHARED)
        assert len(table) == 8732
        folds = table["fold"].value_counts().sort_index().tolist()
        assert folds == [873, 888, 925, 990, 936, 823, 838, 806, 816, 837]
        assert urbansound.leakage(table) == [77751, 106905, 132016, 176638, 180937]
        counts = urbansound.slices(table).groupby(["class", "salience"])["slices"].sum()
        assert counts["gun_shot"].to_dict() == {"background": 70, "foreground": 304}
        assert counts["siren"].to_dict() == {"background": 660, "foreground": 269}
        assert set(urbansound.credits(SHARED)) == set(table["fsID"])

    def test_original_files(self, tmp_path):
        table = urbansound.read_table(SHARED)
        names = sorted(path.name for path in (SHARED / "originals").glob("*.wav"))
        assert len(names) == 10
        chosen = table[table["slice_file_name"].isin(names)]
        write_table(tmp_path, *chosen.to_csv(index=False).splitlines())
        for name, fold in zip(chosen["slice_file_name"], chosen["fold"], strict=True):
            held = tmp_path / "audio" / f"fold{fold}"
            held.mkdir(parents=True, exist_ok=True)
            (held / name).symlink_to(SHARED / "originals" / name)
        clips = urbansound.read_clips(tmp_path).set_index("slice_file_name")
        formats = pd.read_csv(SHARED / "formats.csv").set_index("slice_file_name").loc[clips.index]
        for ours, theirs in [
            ("rate", "sample_rate"),
            ("channels", "channels"),
            ("subtype", "subtype"),
            ("samples", "frames"),
            ("bytes", "size_bytes"),
        ]:
            assert clips[ours].tolist() == formats[theirs].tolist()
        for path, samples in zip(clips["path"], clips["samples"], strict=True):
            mono, _ = urbansound.load_audio(tmp_path / path)
            assert len(mono) == samples
            assert 0 < np.abs(mono).max() <= 1
