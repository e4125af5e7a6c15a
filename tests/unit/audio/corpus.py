"""Broken and odd data sets: each case does one thing to a small UrbanSound8K and says what has to come of it."""

import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.unit.audio.made import HEADER, ROWS, cut, write_table, write_wav

CLIP = "audio/fold1/7-3-0-1.wav"  # the one that is harmed
RATE = 22_050
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1100) / RATE)  # 0.05 s


@dataclass(frozen=True)
class Case:
    """`make` gets the data set's folder and may return another path, which a user then names.

    said : parts of the sentence of refusal, which names what is wrong and what to do; none: it is read.
    sound : what is then read of the clip, within `step`. rate : its sampling rate. left : the clips that are read.
    """

    name: str
    make: Callable[[Path], Path | str | None]
    said: tuple[str, ...] = ()
    sound: np.ndarray | None = None
    step: float = 1 / 32768
    rate: int = RATE
    left: int = 4


def plain(folder: Path) -> Path:
    """The data set as it should be: two folds of two clips each."""
    write_table(folder, HEADER, *ROWS)
    for row in ROWS:
        name, fold = row.split(",")[0], row.split(",")[5]
        write_wav(folder / "audio" / f"fold{fold}" / name, TONE, rate=RATE)
    return folder


# Clips


def sounds_as(kind: str = "WAV", subtype: str = "PCM_16", samples: np.ndarray = TONE, rate: int = RATE):
    """A clip written in another way."""
    return lambda folder: write_wav(folder / CLIP, samples, rate=rate, subtype=subtype, kind=kind) and None


def holds(content: bytes):
    """A clip whose file holds other bytes."""
    return lambda folder: (folder / CLIP).write_bytes(content) and None


def patched(at: int, content: bytes):
    """A clip whose header says something else."""

    def make(folder: Path) -> None:
        whole = (folder / CLIP).read_bytes()
        (folder / CLIP).write_bytes(whole[:at] + content + whole[at + len(content) :])

    return make


def kept(count: int):
    """A clip of which only the first bytes are there."""
    return lambda folder: (folder / CLIP).write_bytes((folder / CLIP).read_bytes()[:count]) and None


def replaced(by: Callable[[Path], object]):
    """Something else in the place of a clip."""

    def make(folder: Path) -> None:
        (folder / CLIP).unlink()
        by(folder / CLIP)

    return make


def renamed(name: str):
    """A clip under another name."""
    return lambda folder: (folder / CLIP).rename((folder / CLIP).with_name(name)) and None


def linked(folder: Path) -> None:
    outside = folder.parent / "elsewhere.wav"
    shutil.move(folder / CLIP, outside)
    (folder / CLIP).symlink_to(outside)


def of_float(*values: float, subtype: str = "FLOAT"):
    return sounds_as(subtype=subtype, samples=np.array([*TONE, *values]))


def chunks(folder: Path) -> None:
    whole = (folder / CLIP).read_bytes()
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    (folder / CLIP).write_bytes(whole[:12] + odd + whole[12:] + odd)


def lasting(samples: int):
    """A clip of so many samples of 8 bits: the file has a hole in which nothing is stored."""

    def make(folder: Path) -> None:
        write_wav(folder / CLIP, TONE, rate=RATE, subtype="PCM_U8")
        patched(40, struct.pack("<I", samples))(folder)
        os.truncate(folder / CLIP, 44 + samples)

    return make


LOUD = np.clip(10 * TONE, -1, 1)
OVER = np.append(TONE, 2.0)
MORE = np.stack([TONE * (i + 1) / 8 for i in range(8)], axis=1)
USED = "1 of 4 clips cannot be used"
AGAIN = "copy or unpack the data set again"


def bad(name: str, make, *said: str) -> Case:
    """A clip that cannot be used: it is named, and with left_out=1 it is left out."""
    return Case(name, make, (USED, CLIP, AGAIN, "left_out=1", *said))


CLIPS = [
    bad("header cut", kept(30), "cannot be read"),
    bad("header cut before its size", kept(7), "cannot be read"),
    bad("samples cut", lambda folder: cut(folder / CLIP), "is cut short by 30 bytes"),
    bad("no bytes", holds(b""), "cannot be read"),
    bad("only zeros", holds(bytes(5000)), "cannot be read"),
    bad("text", holds(b"<html>Sign in</html>" * 50), "cannot be read"),
    bad("an archive named .wav", holds(b"PK\x03\x04" + bytes(500)), "cannot be read"),
    bad("FLAC named .wav", sounds_as("FLAC"), "is FLAC, not WAV"),
    bad("OGG named .wav", sounds_as("OGG", "VORBIS"), "is OGG, not WAV"),
    bad("MP3 named .wav", sounds_as("MP3", "MPEG_LAYER_III"), "not WAV"),
    bad("AIFF named .wav", sounds_as("AIFF"), "is AIFF, not WAV"),
    bad("RF64", sounds_as("RF64"), "is RF64, not WAV"),
    bad("W64", sounds_as("W64"), "is W64, not WAV"),
    bad("a codec nobody knows", patched(20, b"\x34\x12"), "cannot be read"),
    bad("no channels", patched(22, bytes(2)), "cannot be read"),
    bad("no rate", patched(24, bytes(4)), "c"),  # cannot be read, or claims 0 Hz, as libsndfile likes
    bad("1 Hz", sounds_as(rate=1), "claims 1 Hz"),
    bad("2 MHz", sounds_as(rate=2_000_000), "claims 2000000 Hz"),
    bad("4 GB declared", patched(40, b"\xff\xff\xff\xff"), "is cut short by 4294965095 bytes"),
    bad("nothing declared", patched(40, bytes(4)), "is empty"),
    bad("no samples", sounds_as(samples=np.zeros(0)), "is empty"),
    bad("not a number", of_float(np.nan), "not finite"),
    bad("not a number in 64 bits", of_float(np.nan, subtype="DOUBLE"), "not finite"),
    bad("infinite", of_float(-np.inf), "not finite"),
    bad("beyond any number of a WAV", of_float(1e20), "beyond 2^31"),
    bad("beyond single precision", of_float(1e300, subtype="DOUBLE"), "beyond 2^31"),
    bad("days long", lasting(4_000_000_000), "lasts 181406 s, too long to be read"),
    bad("a folder named as a clip", replaced(Path.mkdir), "is no file"),
    bad("a pipe named as a clip", replaced(os.mkfifo), "is no file"),
    bad("a link to nothing", replaced(lambda path: path.symlink_to("nothing.wav")), "is no file"),
    bad("a link to itself", replaced(lambda path: path.symlink_to(path.name)), "is no file"),
    bad("may not be read", lambda folder: (folder / CLIP).chmod(0), "cannot be read (Permission denied)"),
    bad("listed and absent", lambda folder: (folder / CLIP).unlink(), "is not there"),
    bad("WAV named .aif", renamed("7-3-0-1.aif"), "is not there"),
    bad("spaces in the name", renamed("7-3-0-1 .wav"), "is not there"),
    Case("1 sample", sounds_as(samples=TONE[1:2]), sound=TONE[1:2]),
    Case("8 kHz", sounds_as(rate=8000), sound=TONE, rate=8000),
    Case("192 kHz", sounds_as(rate=192_000), sound=TONE, rate=192_000),
    Case("22 051 Hz", sounds_as(rate=22_051), sound=TONE, rate=22_051),
    Case("44 101 Hz", sounds_as(rate=44_101), sound=TONE, rate=44_101),
    Case("767 999 Hz", sounds_as(rate=767_999), sound=TONE, rate=767_999),
    Case("8 channels", sounds_as(samples=MORE), sound=MORE.mean(axis=1)),
    Case("8 bits", sounds_as(subtype="PCM_U8"), sound=TONE, step=1 / 128),
    Case("24 bits", sounds_as(subtype="PCM_24"), sound=TONE),
    Case("24 bits, extensible", sounds_as("WAVEX", "PCM_24"), sound=TONE),
    Case("32 bits", sounds_as(subtype="PCM_32"), sound=TONE),
    Case("floats", sounds_as(subtype="FLOAT"), sound=TONE),
    Case("floats, extensible", sounds_as("WAVEX", "FLOAT"), sound=TONE),
    Case("floats of 64 bits", sounds_as(subtype="DOUBLE"), sound=TONE),
    Case("floats beyond full scale", sounds_as(subtype="FLOAT", samples=OVER), sound=OVER),
    Case("mu-law", sounds_as(subtype="ULAW"), sound=TONE, step=0.02),
    Case("A-law", sounds_as(subtype="ALAW"), sound=TONE, step=0.02),
    Case("Microsoft's ADPCM", sounds_as(subtype="MS_ADPCM"), sound=TONE, step=0.2),
    Case("IMA's ADPCM", sounds_as(subtype="IMA_ADPCM"), sound=TONE, step=0.2),
    Case("silent", sounds_as(samples=0 * TONE), sound=0 * TONE),
    Case("clipped", sounds_as(samples=LOUD), sound=LOUD),
    Case("other chunks around the samples", chunks, sound=TONE),
    Case("a link out of the tree", linked, sound=TONE),
    Case(".WAV", renamed("7-3-0-1.WAV"), sound=TONE),
]


# Files beside the clips


def beside(place: str, content: bytes = b"\0\5\26\7"):
    """A file that the table does not name."""

    def make(folder: Path) -> None:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)

    return make


def unlisted(folder: Path) -> None:
    write_wav(folder / "audio" / "fold1" / "7-3-0-2.wav", TONE)


def no_wavs(folder: Path) -> None:
    shutil.rmtree(folder / "audio")
    for fold in (1, 2):
        (folder / "audio" / f"fold{fold}").mkdir(parents=True)


FILES = [
    Case("._ of macOS", beside("audio/fold1/._7-3-0-1.wav")),
    Case(".DS_Store", beside("audio/fold1/.DS_Store")),
    Case("Thumbs.db", beside("audio/fold1/Thumbs.db")),
    Case("desktop.ini", beside("audio/desktop.ini")),
    Case("__MACOSX", beside("__MACOSX/audio/fold1/._7-3-0-1.wav")),
    Case("a download that was not finished", beside("audio/fold1/7-3-0-1.wav.part")),
    Case("there and not listed", unlisted),
    Case("not listed, and its name is no text", beside(os.fsdecode(b"audio/fold1/caf\xe9 \x1b[31m.wav"))),
    Case("an empty fold", lambda folder: (folder / "audio" / "fold3").mkdir()),
    Case("no fold holds clips", no_wavs, ("has no clips in audio/fold1", "DATA in the call")),
]


# The table


def table(*lines: str):
    """Another table."""
    return lambda folder: write_table(folder, *lines) and None


def encoded(content: bytes):
    """The table's file with other bytes."""
    return lambda folder: (folder / "metadata" / "UrbanSound8K.csv").write_bytes(content) and None


def with_line(line: str):
    """The table with one more row."""
    return table(HEADER, *ROWS, line)


def columns(order: Callable[[list[str]], list[str]], separator: str = ","):
    """The table with its columns changed."""
    return table(*(separator.join(order(line.split(","))) for line in (HEADER, *ROWS)))


def no_table(folder: Path) -> None:
    (folder / "metadata" / "UrbanSound8K.csv").unlink()


def table_is_a_folder(folder: Path) -> None:
    no_table(folder)
    (folder / "metadata" / "UrbanSound8K.csv").mkdir()


TEXT = "\n".join([HEADER, *ROWS]) + "\n"
OFFICIAL = ("UrbanSound8K.csv", "put the official table there")


def broken(name: str, make, *said: str) -> Case:
    """A table that is refused, by its name."""
    return Case(name, make, (*OFFICIAL, *said))


def row(name: str, line: str, *said: str) -> Case:
    """A row that is refused, by its number and column."""
    return broken(name, with_line(line), "line 6: ", *said)


TABLES = [
    Case("byte-order mark", encoded(b"\xef\xbb\xbf" + TEXT.encode())),
    Case("CRLF", encoded(TEXT.replace("\n", "\r\n").encode())),
    Case("CR alone", encoded(TEXT.replace("\n", "\r").encode())),
    Case("no last line end", encoded(TEXT.rstrip().encode())),
    Case("blank lines", table("", HEADER, "", *ROWS[:2], "   ", *ROWS[2:], "", "")),
    Case("rows in another order", table(HEADER, *reversed(ROWS))),
    Case("columns in another order", columns(lambda words: words[::-1])),
    Case("a further column", columns(lambda words: [*words[:4], "x", *words[4:]])),
    Case("numbered rows", table(f",{HEADER}", *(f"{i},{line}" for i, line in enumerate(ROWS)))),
    Case("numbered rows without a name", table(HEADER, *(f"{i},{line}" for i, line in enumerate(ROWS)))),
    Case("semicolons", columns(list, ";")),
    Case("tabs", columns(list, "\t")),
    Case("quoted", columns(lambda words: [f'"{word}"' for word in words])),
    Case("spaces round values", columns(list, " , ")),
    broken("no table's bytes", encoded(b""), "cannot be read"),
    broken("binary", encoded(b"\x89PNG\xff\xfe\x00" * 50), "cannot be read"),
    broken("not UTF-8", encoded(TEXT.replace("dog_bark", "chien_aboyé").encode("latin-1")), "cannot be read"),
    broken("UTF-16", encoded(TEXT.encode("utf-16")), "cannot be read"),
    Case("a folder named as the table", table_is_a_folder, ("has no metadata/UrbanSound8K.csv", "DATA in the call")),
    Case("no table", no_table, ("has no metadata/UrbanSound8K.csv", "it holds audio, metadata", "DATA in the call")),
    broken("header only", table(HEADER), "has no rows"),
    broken("no header", table(*ROWS), "has lost its header line"),
    broken("a column is missing", columns(lambda words: words[:-1]), "lacks the column class"),
    broken("a column is there twice", columns(lambda words: [*words, words[5]]), "has the column fold twice"),
    broken("a column is renamed", table(HEADER.replace("salience", "loud"), *ROWS), "the column salience (it has loud"),
    broken("bars between values", columns(list, "|"), "lacks the column slice_file_name"),
    broken("decimal commas", columns(lambda words: [w.replace(".0", ",0") for w in words], ";"), "line 2: start"),
    broken("one value too many", with_line("7-3-0-2.wav,7,0,4,1,1,3,dog_bark,more"), "cannot be read", "line 6"),
    broken("a comma at every end", table(HEADER, *(f"{line}," for line in ROWS)), "line 2"),
    broken("a quotation mark alone", with_line('"7-3-0-2.wav,7'), "cannot be read"),
    row("cut within a row", "7-3-0-2.wav,7,0,4,1", 'fold is ""'),
    row("cut before the class", "7-3-0-2.wav,7,0,4,1,1,3", 'class is ""'),
    row("merge conflict", "<<<<<<< HEAD,,,,,,,", 'slice_file_name is "<<<<<<< HEAD"'),
    row("the same row twice", ROWS[0], 'slice_file_name is "7-3-0-0.wav" but must be there once'),
    row("another clip of a name twice", "7-3-0-0.wav,7,0,4,1,2,3,dog_bark", "must be there once"),
    row("class nobody knows", "7-3-0-2.wav,7,0,4,1,1,3,cat", 'class is "cat"'),
    row("class of another number", "7-3-0-2.wav,7,0,4,1,1,3,siren", "the class that classID names"),
    row("class number 10", "7-10-0-2.wav,7,0,4,1,1,10,dog_bark", "classID", "0 to 9"),
    row("class number of another name", "7-4-0-2.wav,7,0,4,1,1,3,dog_bark", "classID", "what slice_file_name says"),
    row("fold 0", "7-3-0-2.wav,7,0,4,1,0,3,dog_bark", 'fold is "0" but must be 1 to 10'),
    row("fold 11", "7-3-0-2.wav,7,0,4,1,11,3,dog_bark", 'fold is "11" but must be 1 to 10'),
    row("fold1", "7-3-0-2.wav,7,0,4,1,fold1,3,dog_bark", 'fold is "fold1" but must be a whole number'),
    row("fold 1.0", "7-3-0-2.wav,7,0,4,1,1.0,3,dog_bark", 'fold is "1.0" but must be a whole number'),
    row("recording of another name", "7-3-0-2.wav,6,0,4,1,1,3,dog_bark", "fsID", "what slice_file_name says"),
    row("recording beyond any number", f"{'7' * 30}-3-0-2.wav,{'7' * 30},0,4,1,1,3,dog_bark", "slice_file_name"),
    row("negative length", "7-3-0-2.wav,7,4,3,1,1,3,dog_bark", 'end is "3" but must be later than start'),
    row("no length", "7-3-0-2.wav,7,4,4,1,1,3,dog_bark", 'end is "4" but must be later than start'),
    row("begins before the recording", "7-3-0-2.wav,7,-1,4,1,1,3,dog_bark", 'start is "-1"'),
    row("ends nowhere", "7-3-0-2.wav,7,0,nan,1,1,3,dog_bark", 'end is "nan"'),
    row("ends never", "7-3-0-2.wav,7,0,inf,1,1,3,dog_bark", 'end is "inf" but must be a number'),
    row("begins at a word", "7-3-0-2.wav,7,a,4,1,1,3,dog_bark", 'start is "a" but must be a number'),
    row("a word as recording", "7-3-0-2.wav,x,0,4,1,1,3,dog_bark", 'fsID is "x" but must be a whole number'),
    row("a name of three numbers", "7-3-0.wav,7,0,4,1,1,3,dog_bark", "fsID-classID-occurrenceID-sliceID.wav"),
    row("salience 3", "7-3-0-2.wav,7,0,4,3,1,3,dog_bark", 'salience is "3" but must be 1 or 2'),
    row("a way out of the folder", "../../7-3-0-2.wav,7,0,4,1,1,3,dog_bark", 'slice_file_name is "../../7-3-0-2.wav"'),
    row("an absolute path", "/etc/7-3-0-2.wav,7,0,4,1,1,3,dog_bark", 'slice_file_name is "/etc/7-3-0-2.wav"'),
    row("a path of Windows", r"..\7-3-0-2.wav,7,0,4,1,1,3,dog_bark", "slice_file_name"),
    row("a zero byte in a name", "7-3-0\0-2.wav,7,0,4,1,1,3,dog_bark", r'slice_file_name is "7-3-0\x00-2.wav"'),
    row("a line end in a name", '"7-3-0-2\n.wav",7,0,4,1,1,3,dog_bark', r'slice_file_name is "7-3-0-2\n.wav"'),
    row("a colour in a name", "\x1b[31m7-3-0-2.wav,7,0,4,1,1,3,dog_bark", r'slice_file_name is "\x1b[31m7-3-0-2.wav"'),
    row("a name in letters of another script", "٧-3-0-2.wav,7,0,4,1,1,3,dog_bark", "slice_file_name"),
    Case("another fold than the file's", table(HEADER, *ROWS[:3], ROWS[3].replace(",2,2,", ",2,1,")), (
        USED, "audio/fold1/9-9-0-0.wav is not there", AGAIN)),
]  # fmt: skip


# The folder


def moved(*places: tuple[str, str]):
    """Parts of the data set in other places; a user names the folder around it."""

    def make(folder: Path) -> Path:
        around = folder.parent / "around"
        for old, new in places:
            (around / new).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder / old, around / new)
        return around

    return make


FLAT = (("audio/fold1", "fold1"), ("audio/fold2", "fold2"), ("metadata/UrbanSound8K.csv", "UrbanSound8K.csv"))
WHOLE = (("audio", "audio"), ("metadata", "metadata"))


def inside(place: str, parts=WHOLE):
    return moved(*((old, f"{place}/{new}") for old, new in parts))


def named(place: str):
    """A user names a part of the data set."""
    return lambda folder: folder / place


def archive(suffix: str):
    """A user names the archive."""

    def make(folder: Path) -> Path:
        path = folder.parent / f"UrbanSound8K{suffix}"
        with zipfile.ZipFile(path, "w") as packed:
            packed.write(folder / CLIP, CLIP)
        return path

    return make


def two(folder: Path) -> Path:
    for name in ("one", "two"):
        shutil.copytree(folder, folder.parent / "around" / name)
    return folder.parent / "around"


def loop(folder: Path) -> Path:
    (folder.parent / "loop").symlink_to("loop")
    return folder.parent / "loop"


def link(folder: Path) -> Path:
    (folder.parent / "link").symlink_to(folder)
    return folder.parent / "link"


def empty(folder: Path) -> Path:
    (folder.parent / "empty").mkdir()
    return folder.parent / "empty"


CALL = "DATA in the call"
FOLDERS = [
    Case("nested", inside("UrbanSound8K")),
    Case("nested twice", inside("UrbanSound8K/UrbanSound8K")),
    Case("nested under another name", inside("archive (1)")),
    Case("nested beside what macOS leaves", lambda tree: beside("../around/__MACOSX/x")(tree) or inside("a")(tree)),
    Case("flattened, as Kaggle packs it", moved(*FLAT)),
    Case("flattened and nested", inside("archive", FLAT)),
    Case("the table beside audio", moved(WHOLE[0], FLAT[2])),
    Case("the folds beside metadata", moved(*FLAT[:2], WHOLE[1])),
    Case("a link to the folder", link),
    Case("a name with signs of a shell", lambda folder: folder.rename(folder.with_name("a b; $c 'd' \"e\" [f] {g} &"))),
    Case("a name with a line end in it", lambda folder: folder.rename(folder.with_name("a\nb")), (
        r"a\nb", "holds a line break", "rename the folder")),
    Case("audio is named", named("audio"), ("audio", "has no metadata/UrbanSound8K.csv", "name {folder} (DATA")),
    Case("a fold is named", named("audio/fold1"), ("fold1", "has no metadata/UrbanSound8K.csv", "name {folder} (DATA")),
    Case("metadata is named", named("metadata"), ("metadata", "has no clips in audio/fold1", "name {folder} (DATA")),
    Case("a clip is named", named(CLIP), ("7-3-0-1.wav", "is a file; name the folder", CALL)),
    Case("the table is named", named("metadata/UrbanSound8K.csv"), ("is a file; name the folder", CALL)),
    Case(".zip", archive(".zip"), ("UrbanSound8K.zip", "is an archive; unpack it", CALL)),
    Case(".tar.gz", archive(".tar.gz"), ("UrbanSound8K.tar.gz", "is an archive; unpack it", CALL)),
    Case("nothing is there", lambda folder: folder / "none", ("none", "does not exist; name a folder", CALL)),
    Case("an empty folder", empty, ("empty", "has no metadata/UrbanSound8K.csv (it holds nothing)", CALL)),
    Case("a folder with two", two, ("around", "/one or ", "/two (DATA")),
    Case("a link in a circle", loop, ("loop", "does not exist", CALL)),
    Case("a name with a zero byte", lambda folder: f"{folder}\0", (r"\x00", "holds a line break", "rename the folder")),
    Case("a name that no system takes", lambda folder: f"{folder}/{'x' * 300}", ("x", "File name too long", CALL)),
    Case("a name with a line end", lambda folder: f"{folder}\nx", (r"\nx", "holds a line break", "rename the folder")),
    Case("only the fold that tests", lambda folder: shutil.rmtree(folder / "audio" / "fold1"), (
        "has clips in folds 2 only", "name other folds")),
]  # fmt: skip

CASES = [*CLIPS, *FILES, *TABLES, *FOLDERS]
