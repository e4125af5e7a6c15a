"""The data set: its table, its files, and its torch Dataset."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7-3-0-0.wav,7,0,4,1,1,3,dog_bark", 'line 6: slice_file_name is "7-3-0-0.wav"'),
        ("../7-3-0-2.wav,7,0,4,1,1,3,dog_bark", 'line 6: slice_file_name is "../7-3-0-2.wav"'),
        ("7-3-0.wav,7,0,4,1,1,3,dog_bark", "fsID-classID-occurrenceID-sliceID.wav"),
        ("7-3-0-2.wav\n,7,0,4,1,1,3,dog_bark", "slice_file_name"),
        ("7-3-0-2.wav,6,0,4,1,1,3,dog_bark", 'fsID is "6" but must be what slice_file_name says'),
        ("7-3-0-2.wav,x,0,4,1,1,3,dog_bark", 'fsID is "x" but must be a whole number'),
        ("7-4-0-2.wav,7,0,4,1,1,3,dog_bark", 'classID is "3" but must be what slice_file_name'),
        ("7-3-0-2.wav,7,a,4,1,1,3,dog_bark", 'start is "a" but must be a number'),
        ("7-3-0-2.wav,7,nan,4,1,1,3,dog_bark", 'start is "nan" but must be a number'),
        ("7-3-0-2.wav,7,-1,4,1,1,3,dog_bark", 'start is "-1" but must be a number'),
        ("7-3-0-2.wav,7,0,inf,1,1,3,dog_bark", 'end is "inf" but must be a number'),
        ("7-3-0-2.wav,7,5,4,1,1,3,dog_bark", 'end is "4" but must be start or later'),
        ("7-3-0-2.wav,7,0,4,3,1,3,dog_bark", 'salience is "3" but must be 1 or 2'),
        ("7-3-0-2.wav,7,0,4,1,0,3,dog_bark", 'fold is "0" but must be 1 to 10'),
        ("7-3-0-2.wav,7,0,4,1,11,3,dog_bark", 'fold is "11" but must be 1 to 10'),
        ("7-3-0-2.wav,7,0,4,1,1.5,3,dog_bark", 'fold is "1.5" but must be a whole number'),
        ("7-10-0-2.wav,7,0,4,1,1,10,dog_bark", 'classID is "10" but must be 0 to 9'),
        ("7-3-0-2.wav,7,0,4,1,1,3,siren", 'class is "siren" but must be the class that classID'),
        ("7-3-0-2.wav,7,0,4,1,1,3", 'class is ""'),
        ("7-3-0-2.wav,7,0,4,1,1,3,dog_bark,more", "cannot be read"),
        ('"7-3-0-2.wav,7', "cannot be read"),
    ],
)
def test_a_broken_row_is_named(tree, line, said):
    write_table(tree, HEADER, *ROWS, line)
    with pytest.raises(InputError) as caught:
        urbansound.read_table(tree)
    assert said in str(caught.value)
    assert "UrbanSound8K.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER[: -len("class")] + "label", *ROWS], "lacks the column class (it has label"),
        (ROWS, "has lost its header line"),
        ([HEADER.replace(",", ";"), *ROWS], "lacks the column slice_file_name, fsID"),
        ([HEADER], "has no rows"),
        ([""], "cannot be read"),
        ([HEADER, *(f"{row}," for row in ROWS)], "line 2"),
    ],
)
def test_a_table_of_another_shape_is_refused(tree, lines, said):
    write_table(tree, *lines)
    with pytest.raises(InputError, match="official table") as caught:
        urbansound.read_table(tree)
    assert said in str(caught.value)


def test_a_binary_table_is_refused(tree):
    (tree / "metadata" / "UrbanSound8K.csv").write_bytes(b"\x89PNG\xff\xfe\x00" * 50)
    with pytest.raises(InputError, match=r"UrbanSound8K\.csv"):
        urbansound.read_table(tree)


def test_a_wrong_folder_is_told_what_to_name(tree, tmp_path):
    with pytest.raises(InputError, match="is not a folder that exists"):
        urbansound.read_table(tmp_path / "absent")
    with pytest.raises(InputError, match="is not a folder that exists"):
        urbansound.read_table(tree / "metadata" / "UrbanSound8K.csv")
    with pytest.raises(InputError, match=r"no metadata/UrbanSound8K\.csv; name the one that"):
        urbansound.read_table(tree / "audio")
    tree.rename(tmp_path / "UrbanSound8K")
    with pytest.raises(InputError) as caught:
        urbansound.read_table(tmp_path)
    assert f"; name {tmp_path / 'UrbanSound8K'} (DATA" in str(caught.value)


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


def test_missing_clips_are_counted_and_three_are_named(tree):
    rows = [f"5-3-0-{number}.wav,5,0,4,1,1,3,dog_bark" for number in range(5)]
    write_table(tree, HEADER, *ROWS, *rows)
    with pytest.raises(InputError) as caught:
        urbansound.read_clips(tree)
    named = ", ".join(f"audio/fold1/5-3-0-{number}.wav" for number in range(3))
    assert f"lacks 5 of the 9 clips of its folds ({named}, ...)" in str(caught.value)


def cut_in_header(path):
    path.write_bytes(path.read_bytes()[:30])


def empty(path):
    write_wav(path, np.zeros(0))


def nothing(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("<html>Sign in</html>" * 10)


def flac(path):
    write_wav(path, np.zeros(100), kind="FLAC")


def folder(path):
    path.unlink()
    path.mkdir()


def slow(path):
    write_wav(path, np.zeros(100), rate=1)


def fast(path):
    write_wav(path, np.zeros(100), rate=2_000_000)


def no_rate(path):
    content = bytearray(path.read_bytes())
    content[24:28] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "is cut short by 30 bytes"),
        (cut_in_header, "cannot be read"),
        (empty, "is empty"),
        (nothing, "cannot be read"),
        (text, "cannot be read"),
        (flac, "is FLAC, not WAV"),
        (folder, "cannot be read (Is a directory)"),
        (slow, "claims 1 Hz"),
        (fast, "claims 2000000 Hz"),
        (no_rate, "c"),  # cannot be read, or claims 0 Hz, as libsndfile likes
    ],
)
def test_a_clip_that_cannot_be_used_is_named(tree, harm, said):
    harm(tree / "audio" / "fold1" / "7-3-0-1.wav")
    with pytest.raises(InputError) as caught:
        urbansound.read_clips(tree)
    assert f"has 1 clips that cannot be used (audio/fold1/7-3-0-1.wav {said}" in str(caught.value)


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


def test_unchanged_files_are_not_read_again(tree, tmp_path):
    clips, cache = urbansound.read_clips(tree), tmp_path / "digests.json"
    digest = urbansound.digests(tree, clips, cache=cache)
    path = tree / clips["path"][0]
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    # same size and time: the cache answers, which only a file that was not read can explain
    assert urbansound.digests(tree, clips, cache=cache) == digest
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
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
