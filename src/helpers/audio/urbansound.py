"""UrbanSound8K: a folder in, a checked table of clips and their samples out (thesis 2.1, 2.2).

The folder is the one that holds `audio/fold1` to `audio/fold10` and `metadata/UrbanSound8K.csv`; the folds and the
table may also lie in it directly, as some archives are packed.
Data set: Salamon, Jacoby & Bello (2014), doi:10.5281/zenodo.1203745, for non-commercial use.

Chapter: notebooks/02_dataset.md
"""

import csv
import hashlib
import io
import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from helpers import InputError, study

CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)


COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")


NAME = r"([0-9]{1,12})-([0-9]{1,12})-([0-9]{1,12})-([0-9]{1,12})\.wav"  # fsID-classID-occurrenceID-sliceID.wav
GENERATED = 900_000_000  # recordings from this fsID on are the stand-in's, far above every real one


RATES = range(1_000, 768_001)  # Hz; the archive has 8000 to 192 000
MOST = 2**28  # samples of all channels: 50 min of stereo at 44.1 kHz, 1 GB once they are read; a clip has 2**20
LOUDEST = 2.0**31  # a float WAV may go beyond full scale, 1, but not beyond any whole number that a WAV holds


def read_table(folder: str | Path) -> pd.DataFrame:
    """Read `metadata/UrbanSound8K.csv` and check every row of it.

    Columns may stand in any order, with others between them, and be separated by commas, semicolons or tabs; spaces
    around values and blank lines do not count.

    Parameters
    ----------
    folder : the data set's folder, which holds `metadata`.

    Returns
    -------
    One row per clip in the file's order, columns `COLUMNS`: slice_file_name (str), fsID (int64, the
    Freesound recording), start and end (float64, seconds in that recording), salience (int64,
    1 foreground, 2 background), fold (int64, 1 to 10), classID (int64, 0 to 9), class (str).

    Raises
    ------
    InputError
        The folder or the file is missing, or a row breaks one of these rules.

    Chapter: notebooks/02_dataset.md
    """
    folder = Path(folder)
    path = study.table_of(folder)
    if not folder.is_dir():
        raise InputError(
            f'data folder "{folder}" is not a folder that exists; name the one that holds audio '
            "and metadata (DATA in the call)"
        )
    if not path.is_file():
        inside = sorted(entry for entry in folder.iterdir() if entry.name[0] != ".")
        near = [str(one) for one in (*folder.parents[:2], *inside) if study.table_of(one).is_file()]
        raise InputError(
            f'data folder "{folder}" has no metadata/UrbanSound8K.csv (it holds '
            f"{first([entry.name for entry in inside]) or 'nothing'}); "
            f"name {' or '.join(near) or 'the one that holds audio and metadata'} (DATA in the call)"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.strip().partition("\n")[0].count)  # spreadsheets write others than commas
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
        table = table.rename(columns=str.strip).apply(lambda column: column.str.strip())
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason}); put the official table there") from None
    if re.fullmatch(NAME, str(table.columns[0])):
        raise InputError(f"{path} has lost its header line; put the official table there")
    if absent := [name for name in COLUMNS if name not in table]:
        extra = [str(name) for name in table if name not in COLUMNS]
        raise InputError(
            f"{path} lacks the column {', '.join(absent)} (it has {', '.join(extra)[:80] or 'no other'}"
            " instead; some copies rename columns); put the official table there"
        )
    header = next(csv.reader(io.StringIO(text.strip()), delimiter=separator))
    if twice := [name for name in COLUMNS if [word.strip() for word in header].count(name) > 1]:
        raise InputError(f"{path} has the column {', '.join(twice)} twice; put the official table there")
    if table.empty:
        raise InputError(f"{path} has no rows; put the official table there")
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    return _checked(table[list(COLUMNS)].reset_index(drop=True), path=path, lines=lines)


def _checked(text: pd.DataFrame, *, path: Path, lines: list[int]) -> pd.DataFrame:
    """The table of strings as numbers, or the first row and column that breaks a rule."""

    def require(column: str, holds: pd.Series, rule: str) -> None:
        if not holds.all():
            row = int(np.argmin(holds))
            raise InputError(
                f'{path}, line {lines[row + 1]}: {column} is "{text[column].iloc[row]:.60}" but must be {rule}; '
                "put the official table there"
            )

    name = text["slice_file_name"]
    require("slice_file_name", name.str.fullmatch(NAME), "fsID-classID-occurrenceID-sliceID.wav")
    require("slice_file_name", ~name.duplicated(), "there once")
    table = text.copy()
    for column in ("fsID", "salience", "fold", "classID"):
        require(column, text[column].str.fullmatch("[0-9]{1,12}"), "a whole number")
        table[column] = text[column].astype("int64")
    for column in ("start", "end"):
        table[column] = pd.to_numeric(text[column], errors="coerce").astype("float64")
        require(column, table[column].between(0, 1e9), "a number of seconds")
    require("end", table["start"] < table["end"], "later than start")
    require("salience", table["salience"].isin([1, 2]), "1 or 2")
    require("fold", table["fold"].between(1, 10), "1 to 10")
    require("classID", table["classID"].between(0, 9), "0 to 9")
    named = table["classID"].map(dict(enumerate(CLASSES)))
    require("class", table["class"] == named, "the class that classID names")
    parts = name.str.extract(NAME)
    require("fsID", parts[0] == text["fsID"], "what slice_file_name says")
    require("classID", parts[1] == text["classID"], "what slice_file_name says")
    return table


def read_clips(folder: str | Path, *, complete: bool = False, left_out: int = 0) -> pd.DataFrame:
    """The table's rows whose fold is on disk, each with what its WAV header says.

    A fold is on disk when `audio/foldN` holds WAV files; then all its clips have to be there, whole
    and readable. Only headers are read, and the samples of floats, which may hold what is no number.

    Parameters
    ----------
    folder : the data set's folder, which holds `audio` and `metadata`.
    complete : whether a fold of the table that is not on disk is an error.
    left_out : how many clips cannot be used; just so many are left out.

    Returns
    -------
    The columns of `read_table` and path (str, from `folder`, such as `audio/fold1/7061-6-0-0.wav`),
    rate (int64, Hz), channels (int64), subtype (str, soundfile's name of the encoding), samples
    (int64, per channel), seconds (float64), bytes (int64); by fold and name, index from 0.
    `.attrs["missing_folds"]` lists the folds that are not on disk, "left_out" the clips that are left out with why,
    and "unlisted" the WAV files of these folds that the table does not name.

    Raises
    ------
    InputError
        What `read_table` raises; no fold on disk; more or fewer than `left_out` clips missing, empty, cut short, not a
        WAV file that can be read or with samples that are no numbers; none left of a fold; with `complete`, a fold
        missing.

    Chapter: notebooks/02_dataset.md
    """
    folder = Path(folder)
    table = read_table(folder).sort_values(["fold", "slice_file_name"])
    root = study.folds_of(folder)
    held = {fold: _wavs(root / f"fold{fold}") for fold in table["fold"].unique()}
    missing_folds = [int(fold) for fold, names in held.items() if not names]
    if len(missing_folds) == len(held):
        near = folder.parent if study.folds_of(folder.parent).is_dir() else "the folder of UrbanSound8K"
        raise InputError(
            f'data folder "{folder}" has no clips in audio/fold1 to audio/fold10; name {near} (DATA in the call)'
        )
    if complete and missing_folds:
        raise InputError(
            f'data folder "{folder}" lacks fold {", ".join(map(str, missing_folds))}; finish it '
            "with `make data`, or use it as it is by naming it (DATA in the call)"
        )
    clips = table[~table["fold"].isin(missing_folds)].reset_index(drop=True)
    place = "" if root == folder else "audio/"
    rows = zip(clips["slice_file_name"], clips["fold"], strict=True)
    clips["path"] = [f"{place}fold{fold}/{held[fold].get(name, name)}" for name, fold in rows]
    headers, faults = [], {}
    for path in clips["path"]:
        try:
            headers.append(_header(folder / path))
        except ValueError as error:
            faults[path] = f"{path} {error}"
    if len(faults) != left_out:
        which = f" ({first(list(faults.values()))})" if faults else ""
        which += f", but left_out={left_out}" if left_out else ""
        remedy = "copy or unpack the data set again, or " if faults else ""
        remedy += f"leave just these out with left_out={len(faults)} (OTHERS in the call)"
        raise InputError(f'data folder "{folder}": {len(faults)} of {len(clips)} clips cannot be used{which}; {remedy}')
    kept = clips[~clips["path"].isin(faults)].reset_index(drop=True).join(pd.DataFrame(headers))
    if gone := set(clips["fold"]) - set(kept["fold"]):
        raise InputError(
            f'data folder "{folder}" has no clip in fold {min(gone)} that can be used; copy or unpack the data set '
            "again, or take the fold away"
        )
    kept.attrs["missing_folds"] = missing_folds
    kept.attrs["left_out"] = list(faults.values())
    there = (f"{place}fold{fold}/{name}" for fold, names in held.items() for name in names.values())
    kept.attrs["unlisted"] = sorted(set(there) - set(clips["path"]))
    return kept


def _wavs(folder: Path) -> dict[str, str]:
    """Names of the WAV files in a folder, by how a table writes them (some systems write .WAV)."""
    if not folder.is_dir():
        return {}
    return {f"{name[:-4]}.wav": name for name in sorted(os.listdir(folder)) if study.is_wav(name)}


def first(items: list[str]) -> str:
    """The first three of some names, for a sentence."""
    return ", ".join(items[:3]) + (", ..." if len(items) > 3 else "")


def _header(path: Path) -> dict[str, int | float | str]:
    """What a WAV file's header says; ValueError with the reason where a clip cannot come of it."""
    try:
        if not path.is_file():
            raise ValueError("is no file" if os.path.lexists(path) else "is not there")
        size, lacking, info = path.stat().st_size, _lacking(path), soundfile.info(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"cannot be read ({_reason(error)})") from None
    if info.format not in ("WAV", "WAVEX"):
        raise ValueError(f"is {info.format}, not WAV")
    if lacking:
        raise ValueError(f"is cut short by {lacking} bytes")
    if info.frames < 1:
        raise ValueError("is empty")
    if info.samplerate not in RATES:
        raise ValueError(f"claims {info.samplerate} Hz")
    if info.frames * info.channels > MOST:
        raise ValueError(f"lasts {info.frames / info.samplerate:.0f} s, too long to be read")
    if info.subtype in ("FLOAT", "DOUBLE"):
        _mono(path)
    return {
        "rate": info.samplerate,
        "channels": info.channels,
        "subtype": info.subtype,
        "samples": info.frames,
        "seconds": info.frames / info.samplerate,
        "bytes": size,
    }


def _reason(error: Exception) -> str:
    """Why a file cannot be read, without its name and a full stop."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    return str(said).rstrip(".")


def _lacking(path: Path) -> int:
    """How many bytes a WAV file's data chunk announces beyond the end of the file.

    soundfile shortens such a clip without a word; here the chunks are walked as RIFF defines them.
    """
    with path.open("rb") as file:
        file.seek(12)  # "RIFF", size, "WAVE"
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                return max(0, file.tell() + size - os.fstat(file.fileno()).st_size)
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0


def load_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Read an audio file as one channel: the mean over its channels.

    Parameters
    ----------
    path : any file that soundfile reads.

    Returns
    -------
    samples : (n,), float32, full scale is 1 (a float WAV may go beyond).
    rate : samples per second, Hz, as the file has it.

    Raises
    ------
    InputError
        The file is missing, cannot be decoded, is empty, or holds values that are no sound: not finite, or
        beyond 2^31.

    Chapter: notebooks/03_features.md
    """
    try:
        return _mono(Path(path))
    except ValueError as error:
        raise InputError(f"{path} {error}; copy or unpack it again") from None


def _mono(path: Path) -> tuple[np.ndarray, int]:
    """The mean over a file's channels and its rate; ValueError with the reason where there is none."""
    try:
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            if sound.frames * sound.channels > MOST:
                raise ValueError(f"lasts {sound.frames / sound.samplerate:.0f} s, too long to be read")
            samples, rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"cannot be read as audio ({_reason(error)})") from None
    if not len(samples):
        raise ValueError("is empty")
    if not (np.abs(samples) <= LOUDEST).all():
        raise ValueError("holds samples that are not finite, or beyond 2^31")
    return samples.mean(axis=1), rate


def __getattr__(name: str) -> type:
    # torch takes seconds to import: its Dataset is subclassed when the class is first asked for.
    if name != "UrbanSound8K":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import torch

    class UrbanSound8K(torch.utils.data.Dataset):
        """UrbanSound8K as a torch `Dataset` of transformed clips and their labels (thesis 2.2).

        Parameters
        ----------
        folder : the data set's folder.
        clips : rows of `read_clips`, in the order the items shall have.
        transform : called with the waveform, a (1, samples) float32 tensor, and its rate in Hz;
            what it returns is the item's input.

        Returns
        -------
        Item i is (input, label): what `transform` returned and classID, an int from 0 to 9.

        Raises
        ------
        InputError
            What `load_audio` raises, when the item is asked for.

        Chapter: notebooks/03_features.md
        """

        __qualname__ = "UrbanSound8K"  # so that DataLoader can send it to a worker process

        def __init__(
            self,
            folder: str | Path,
            clips: pd.DataFrame,
            *,
            transform: Callable[[torch.Tensor, int], torch.Tensor],
        ) -> None:
            self.paths = [Path(folder) / path for path in clips["path"]]
            self.labels = clips["classID"].tolist()
            self.transform = transform

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
            samples, rate = load_audio(self.paths[i])
            return self.transform(torch.from_numpy(samples)[None], rate), self.labels[i]

    globals()[name] = UrbanSound8K
    return UrbanSound8K


def slices(table: pd.DataFrame) -> pd.DataFrame:
    """Count clips and recordings by class, fold and salience (the data of thesis Fig. 4).

    Parameters
    ----------
    table : rows of `read_table` or `read_clips`.

    Returns
    -------
    class (str), fold (int64), salience ("foreground" or "background"), slices and recordings
    (int64, >= 1), by classID, fold and salience, foreground first. A recording counts in every row
    that has a slice of it, so `recordings` must not be added up.

    Chapter: notebooks/02_dataset.md
    """
    counts = (
        table.groupby(["classID", "class", "fold", "salience"])["fsID"]
        .agg(slices="size", recordings="nunique")
        .reset_index()
        .drop(columns="classID")
    )
    counts["salience"] = counts["salience"].map({1: "foreground", 2: "background"})
    return counts


def true_starts(table: pd.DataFrame) -> pd.Series:
    """Where clips begin in their recordings, in seconds, by slice_file_name.

    The official table's `start` is wrong for every slice of an occurrence but the first: it steps by
    0.5 s, the audio by 2 s. Cut there, all 317 later slices that were compared meet the archive's files.
    The stand-in's own table is right.

    Parameters
    ----------
    table : rows of `read_table` or `read_clips`.

    Chapter: notebooks/02_dataset.md
    """
    slices = table["slice_file_name"].str.extract(NAME)[3].astype(int)
    starts = table["start"] + 1.5 * slices.to_numpy() * (table["fsID"] < GENERATED)
    return pd.Series(starts.to_numpy(), index=table["slice_file_name"])


def leakage(table: pd.DataFrame) -> list[int]:
    """The recordings (fsID, ascending) that have slices in more than one fold.

    A network trained on one of these folds has heard the recording when the other one tests it.
    The official table has five, none of them in fold 10.

    Parameters
    ----------
    table : rows of `read_table` or `read_clips`.

    Chapter: notebooks/02_dataset.md
    """
    folds = table.groupby("fsID")["fold"].nunique()
    return folds.index[folds > 1].tolist()


def credits(folder: str | Path) -> dict[int, str]:
    """Who recorded what: fsID to Freesound user name, from `FREESOUNDCREDITS.txt`.

    Parameters
    ----------
    folder : the data set's folder; without that file in it the answer is empty.

    Chapter: notebooks/02_dataset.md
    """
    path = Path(folder) / "FREESOUNDCREDITS.txt"
    if not path.is_file():
        return {}
    lines = re.findall(r"^([0-9]+) by (.+?)\s*$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return {int(recording): recordist for recording, recordist in lines}


def digests(folder: str | Path, clips: pd.DataFrame, *, cache: str | Path) -> str:
    """One digest of the contents of `clips`' files and of their rows of the official table.

    A file is read again only when its size or the time of its last change did, so the digest of a data set on disk
    costs one `stat` per clip after the first time. That time (ctime) no program can set: `cp -p` and rsync can set the
    other one.

    Parameters
    ----------
    folder : the data set's folder.
    clips : rows of `read_clips`; their order does not matter.
    cache : a JSON file, made if missing: path to [size in bytes, mtime and ctime in ns, SHA-256].

    Returns
    -------
    SHA-256 over the rows, every path and the digest of its contents, 64 hexadecimal digits. The same for a
    copy of the folder elsewhere, whatever other clips it holds.

    Raises
    ------
    InputError
        A file is missing or cannot be read.

    Chapter: notebooks/02_dataset.md
    """
    folder, cache = Path(folder).resolve(), Path(cache)
    try:
        known = json.loads(cache.read_bytes())
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    rows = clips.sort_values("path")[list(COLUMNS)].to_csv(index=False)
    total, fresh = hashlib.sha256(rows.encode()), {}
    for path in sorted(clips["path"]):
        file = folder / path
        try:
            stat = file.stat()
            entry = known.get(str(file))
            stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            if not (isinstance(entry, list) and len(entry) == 4 and entry[:3] == stamp):
                with file.open("rb") as stream:
                    entry = [*stamp, hashlib.file_digest(stream, "sha256").hexdigest()]
                fresh[str(file)] = entry
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); copy or unpack it again") from None
        total.update(f"{path} {entry[3]}\n".encode())
    if fresh:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_name(f"{cache.name}.{os.getpid()}.part")
        part.write_text(json.dumps(known | fresh, indent=0), encoding="utf-8")
        part.replace(cache)
    return total.hexdigest()
