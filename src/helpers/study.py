"""The run: every choice of the study, declared once, and where its results lie.

Nothing that shapes a number is a constant elsewhere. The comments of the parameter cells, the page of
choices, the README's table, `-p` on the command line and the sentences of refusal come from `Run`.

Chapter: every notebook; book/choices.md lists the fields.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import itertools
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from helpers import InputError

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
RECORDED = DATA / "recorded"
# `RUNS=folder` keeps what runs make outside the checkout.
RUNS = Path(os.path.expanduser(os.environ.get("RUNS") or DATA / "runs")).resolve()

# The names of each registry; the function of a name stands in the room of its kind.
# A new member: one line here, one function there.
NETWORKS = {  # the layer that is explained when none is named: the last block
    "resnet18": "layer4[-1]",
    "resnet34": "layer4[-1]",
    "resnet50": "layer4[-1]",
    "resnet101": "layer4[-1]",
    "resnet152": "layer4[-1]",
    "resnet18-narrow": "layer4[-1]",
    "vgg13": "features[-1]",
    "efficientnet-lite0": "_blocks[-1]",
    "framenet": "layer4[-1]",
    "resnet1d": "layer4[-1]",
}
DEEP = ("resnet50", "resnet101", "resnet152")  # of which a profile may train fewer epochs
REPRESENTATIONS = ("mfcc", "log-mel", "spectrogram", "waveform")
EXPLAINERS = (  # of a layer's nodes, then of the input's cells
    *("Grad-CAM", "HiResCAM", "XGradCAM", "Grad-CAM++", "LayerCAM", "EigenCAM", "ScoreCAM", "AblationCAM"),
    *("RefineCAM", "saliency", "input x gradient", "integrated gradients", "SmoothGrad", "occlusion"),
    *("feature ablation", "KernelSHAP", "RISE"),
)
SLOW = ("ScoreCAM", "AblationCAM", "occlusion", "feature ablation", "KernelSHAP", "RISE")  # they ask again and again
BASELINES = ("uniform", "zero", "mean", "median", "neighbours", "marginal", "resampled")
READOUTS = ("probability", "log-odds", "cross-entropy")
QUANTUS_BASELINES = ("uniform", "black", "white", "mean")


def _choice(
    default: Any,
    says: str,
    *,
    section: str = "",
    unit: str = "",
    scaled: bool = False,
    names: Iterable[str] = (),
    **limits: Any,
) -> Any:
    """A field of `Run`: its default, one sentence, the thesis's section, its unit and range."""
    extra: Any = {"section": section, "unit": unit, "scaled": scaled, "names": tuple(names)}
    return Field(default, description=says, json_schema_extra=extra, **limits)


LAYER = r"^\w+(\[-?\d+\])?(\.\w+)*$"
Layers = tuple[Annotated[str, Field(pattern=LAYER)], ...]
Readings = tuple[Annotated[str, Field(pattern="^(predicted|true)/(explained|true)$")], ...]
Baselines = tuple[Annotated[str, Field(pattern=f"^({'|'.join(BASELINES)})$")], ...]
Folds = tuple[Annotated[int, Field(ge=1, le=10)], ...]
Count = Annotated[int, Field(ge=0)]
All = Annotated[int, Field(ge=1)] | Literal["all"]


class Run(BaseModel):
    """All parameters of one run of the study; made by `open`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # what is computed, and of which sounds
    profile: Literal["quick", "smoke", "thesis"] = _choice("quick", "how much is computed")
    data: str = _choice(
        "",
        '"" finds data/UrbanSound8K or takes the stand-in; "recorded": what comes with the book; or a folder',
        section="2.1",
    )
    clips: All = _choice("all", "at most this many clips per class and fold", section="2.1", scaled=True)
    left_out: Count = _choice(
        0, "clips of the folder that cannot be used and are left out: just so many, else the run stops", section="2.1"
    )
    data_seed: Count = _choice(2024, "of the stand-in, and of the clips that a profile takes")
    test_fold: int = _choice(10, "the fold that is held out", section="2.3", ge=1, le=10)
    training_folds: Folds = _choice((), "all others that are there", section="2.3")

    # what a network is given
    representation: str = _choice("mfcc", "how a sound becomes a picture", section="2.2", names=REPRESENTATIONS)
    sampling_rate: int = _choice(
        44_100, "to which every clip is resampled", section="2.2", unit="Hz", ge=8000, le=192_000
    )
    n_fft: int = _choice(2048, "length of a window", section="2.2", unit="samples", ge=64, le=16_384)
    hop_length: int = _choice(
        1024, "from one window to the next; torchaudio's default", section="2.2", unit="samples", ge=32, le=16_384
    )
    n_mels: int = _choice(128, "bands of the mel scale; torchaudio's default", section="2.2", ge=8, le=512)
    n_mfcc: int = _choice(13, "coefficients kept, at most n_mels", section="2.2", ge=2, le=512)
    frames: int = _choice(400, "width of the picture, padded or cut", section="2.2", ge=32, le=4096)
    padding: Literal["zero", "minimum", "repeat_frames", "repeat_waveform"] = _choice(
        "zero", "what fills the frames after the sound", section="2.2"
    )
    scaling: Literal["raw", "standardised", "together"] = _choice(
        "raw",
        "standardised: each row has mean 0 and variance 1 over the training clips; together: all rows as one",
        section="2.2",
    )

    # a network and how it learned
    architecture: str = _choice("resnet18", "of the network", section="2.3", names=NETWORKS)
    pretrained: bool = _choice(False, "begin with ImageNet's weights, if they are on the disk", section="2.3")
    labels: Literal["true", "shuffled"] = _choice("true", "what it is taught; shuffled: nothing", section="2.3")
    seed: int = _choice(0, "first weights and order of the clips", section="2.3", ge=0, le=2**32 - 1)
    epochs: int = _choice(30, "passes over the training clips", section="2.3", scaled=True, ge=1, le=1000)
    batch_size: int = _choice(16, "clips in a step", section="2.3", ge=2, le=4096)
    learning_rate: float = _choice(1e-3, "size of a step", section="2.3", gt=0, le=10)
    optimizer: Literal["AdamW", "Adam", "SGD"] = _choice("AdamW", "rule of a step", section="2.3")
    schedule: Literal["constant", "cosine", "one-cycle"] = _choice(
        "constant", "how the learning rate changes", section="2.3"
    )
    augmentation: Literal["none", "mask", "roll and mask"] = _choice(
        "none",
        "in training; mask: a stretch of rows and of frames is blanked; roll: the frames begin anywhere",
        section="2.3",
    )

    # which maps
    explainer: str = _choice("Grad-CAM", "makes the maps", section="2.4", names=EXPLAINERS)
    layer: str = _choice("", "the last block; .conv: its last convolution", section="2.5", pattern=f"{LAYER}|^$")
    explained: Literal["predicted", "true"] = _choice("predicted", "the class a map explains", section="2.5")
    explanations: int = _choice(50, "random test clips that are explained", section="2.5", scaled=True, ge=1)
    sample_seed: Count = _choice(2024, "of the clips that are explained", section="2.5")
    explainer_samples: int = _choice(
        500, "changed inputs that an explainer by sampling may try on a clip", scaled=True, ge=1
    )
    explainer_seed: Count = _choice(0, "of what explainers by sampling draw")

    # the metric
    scored: Literal["explained", "true"] = _choice("explained", "the class the metric reads", section="2.7")
    draws: int = _choice(10, "random replacement values per block", section="2.7", scaled=True, ge=1, le=1000)
    features_in_step: int = _choice(0, "cells replaced together; the rows", section="2.7", unit="cells", ge=0)
    perturb_baseline: str = _choice("uniform", "what stock Quantus puts there", section="2.7", names=QUANTUS_BASELINES)
    baseline: str = _choice("uniform", "what the engine puts there", section="2.7", names=BASELINES)
    metric_seed: Count = _choice(0, "of the replacement values")
    stock_clips: Count = _choice(50, "explained clips that stock Quantus scores", section="2.7", scaled=True)
    drawn_clips: Count = _choice(50, "explained clips that are scored with Quantus' own draws", scaled=True)

    # the controls
    control_clips: All = _choice("all", "test clips that the controls score", scaled=True)
    null_maps: int = _choice(1000, "maps of each kind that know nothing, per clip", scaled=True, ge=1)
    null_seed: Count = _choice(0, "of the maps that know nothing")
    efficient_seed: Count = _choice(0, "of the random weights of eMPRT")
    removal_step: int = _choice(10, "frames replaced at a time along a curve", unit="frames", ge=1)

    # explainers and layers side by side
    compared_clips: All = _choice("all", "recordings of the test fold, one clip of each", scaled=True)
    explainers: tuple[str, ...] = _choice(
        (), "that are compared; all, but of a deep network, and at smoke, the quick ones", names=EXPLAINERS
    )
    compared_layers: Layers = _choice((), "whose Grad-CAM maps are compared; the last block of every stage")

    # the specification curve
    layers: Layers = _choice((), "of the curve; all that the network has, for a deep one two")
    readings: Readings = _choice((), "explained/scored classes of the curve")
    baselines: Baselines = _choice((), "of the curve, one block per frame")
    curve_nulls: int = _choice(20, "maps that know nothing, per clip and shape", ge=1)
    curve_null_seed: Count = _choice(1, "of these maps")
    rank_nulls: int = _choice(3, "of these, with blocks of their own: each asks the network anew", ge=1)
    ceiling_clips: Count = _choice(10, "clips whose effects are measured a second time")

    @model_validator(mode="after")
    def _fits(self) -> Run:
        """What a single field cannot say."""
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc={self.n_mfcc} is more than n_mels={self.n_mels}; take fewer coefficients")
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length={self.hop_length} leaves gaps between windows of n_fft={self.n_fft}; take a shorter hop"
            )
        if self.test_fold in self.training_folds:
            raise ValueError(
                f"training_folds holds fold {self.test_fold}, which is the test fold: a network is never tested on "
                "what it learned from; leave the fold out, or take another test_fold"
            )
        if (self.representation == "waveform") != (self.architecture == "resnet1d"):
            raise ValueError(
                f'architecture="{self.architecture}" cannot take representation="{self.representation}": a waveform is '
                'for "resnet1d" alone, every other network takes a picture; change one of the two'
            )
        if self.architecture == "efficientnet-lite0" and self.rows < 32:  # it halves its input five times
            raise ValueError(
                f'architecture="efficientnet-lite0" cannot take {self.rows} rows; take n_mfcc=32 or more, or '
                'representation="log-mel", or another network'
            )
        if self.features_in_step and self.rows * self.frames % self.features_in_step:
            raise ValueError(
                f"features_in_step={self.features_in_step} does not divide the {self.rows} x {self.frames} cells of an "
                f"input, which Quantus needs; take {self.rows} (one frame's cells) or another divisor"
            )
        return self

    @property
    def rows(self) -> int:
        """Height of the picture: coefficients, or bands where they are not transformed; a waveform's hop."""
        of = {"mfcc": self.n_mfcc, "waveform": self.hop_length}
        return of.get(self.representation, self.n_mels)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and frames of one input."""
        return self.rows, self.frames

    @property
    def source(self) -> Source:
        """Where the clips come from."""
        return find_source(self.data, self.clips, self.data_seed)

    @property
    def name(self) -> str:
        """`ResNet18` for `resnet18`."""
        return named(self.architecture)

    @property
    def changed(self) -> dict[str, Any]:
        """Fields that differ from what the architecture and the profile have by default."""
        return {n: v for n, v in self if n not in ("data", "profile", "architecture") and v != self.default(n)}

    @property
    def key(self) -> str:
        """What tables call the run: "resnet18 seed=0 hop_length=1024", then what else is changed."""
        first = ("seed", "hop_length")
        others = [n for n in self.changed if n not in (*first, *COUNTS)]
        return " ".join([self.architecture, *(f"{n}={said(getattr(self, n))}" for n in (*first, *others))])

    @property
    def data_label(self) -> str:
        """Data and profile, and what differs in the features, for figures that no network made."""
        return " · ".join([self.source.label, self.profile, *self._differs(upto="scaling")])

    @property
    def label(self) -> str:
        """Network, data, profile and seed, and what differs from the thesis, for figures that a network made."""
        folds = [f"folds {said(self.training_folds)}"] if "training_folds" in self.changed else []
        parts = [self.name, self.source.label, self.profile, f"seed {self.seed}", *folds, *self._differs()]
        return " · ".join(parts)

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames, seconds."""
        return self.hop_length / self.sampling_rate

    def default(self, name: str) -> Any:
        """The value of a field when it is not given, under this run's architecture, profile and other fields."""
        return _defaults(self.architecture, self.profile, name, rows=self.rows)

    def with_(self, **given: Any) -> Run:
        """The same run with some fields changed, checked again; what follows from these by default follows anew."""
        kept: dict[str, Any] = {"data": self.data, "profile": self.profile, "architecture": self.architecture}
        kept |= {"training_folds": self.training_folds, **self.changed}
        return settle({**kept, **{name: parse(name, value) for name, value in given.items()}})

    def _differs(self, upto: str = "") -> list[str]:
        names = list(type(self).model_fields)
        kept = names[: names.index(upto) + 1] if upto else names
        skip = ("seed", "training_folds", *COUNTS)
        return [f"{n} {said(v)}" for n, v in self.changed.items() if n in kept and n not in skip]


FIELDS: Mapping[str, FieldInfo] = Run.model_fields
_SHAPING = ("representation", "n_mfcc", "n_mels", "n_fft", "hop_length")  # the rows of a picture
COUNTS = ("stock_clips", "drawn_clips")  # how many clips an engine scores changes no score


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def named(architecture: str) -> str:
    """The network's name in prose: `ResNet18` for `resnet18`, `VGG13` for `vgg13`.

    Chapter: notebooks/13_reference.md
    """
    for word in ("ResNet", "VGG", "EfficientNet", "Lite", "FrameNet", "1D"):
        architecture = architecture.replace(word.lower(), word)
    return architecture


def said(value: Any) -> str:
    """A value as names of files and tables write it: `1+2+4` for several folds."""
    return "+".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def written(name: str, value: Any) -> str:
    """A value as text that `parse` reads back; names may hold spaces and a plus, so commas stand between them.

    Chapter: notebooks/11_runs.md
    """
    apart = isinstance(value, tuple) and _extra(FIELDS[name])["names"]
    return ",".join(value) if apart else said(value)


@functools.cache
def profiles() -> dict[str, dict[str, Any]]:
    """config/profiles.yaml: what each profile scales, by name."""
    path = ROOT / "config" / "profiles.yaml"
    if not path.is_file():
        raise InputError(f"{path} is not there, so this copy of the study is not whole; take it from git again")
    return yaml.safe_load(path.read_text())


_AXES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "layers": (("layer4[-1]", "layer4[-1].conv", "layer3[-1]", "layer2[-1]"), ("layer4[-1]", "layer3[-1]")),
    "readings": (("predicted/explained", "predicted/true", "true/explained"), ("predicted/explained",)),
    "baselines": (("uniform", "zero", "mean", "neighbours", "marginal"), ("uniform",)),
    "explainers": (EXPLAINERS, tuple(name for name in EXPLAINERS if name not in SLOW)),
    "compared_layers": (("layer4[-1]", "layer3[-1]", "layer2[-1]", "layer1[-1]"),) * 2,
}


def _defaults(architecture: str, profile: str, name: str, *, rows: int) -> Any:
    """A field's default: the profile's, the architecture's, or the declared one."""
    scaled = profiles().get(profile, {})
    if name == "stock_clips" and architecture != "resnet18":
        return scaled["stock_clips_deep"]
    if name == "epochs" and architecture in DEEP:
        return scaled["epochs_deep"]
    if name in scaled:
        return scaled[name]
    if name == "layer":
        return NETWORKS.get(architecture, "")
    if name == "features_in_step":
        return rows
    if name in _AXES:  # of the specification curve: a deep network, ten times as slow, gets a part
        every, fewer = _AXES[name]
        if name.endswith("layers") and not architecture.startswith("resnet"):
            return (NETWORKS.get(architecture, ""),)
        light = ("resnet18",) if name != "explainers" else ("resnet18", "efficientnet-lite0", "framenet")
        chosen = every if architecture in light and (name, profile) != ("explainers", "smoke") else fewer
        staged = NETWORKS.get(architecture, "").startswith("layer4")  # RefineCAM needs a ResNet's four stages
        return tuple(one for one in chosen if one != "RefineCAM" or staged)
    if name == "training_folds":
        return tuple(range(1, 10))  # the thesis's, whatever the test fold: names compare with it
    return FIELDS[name].default


def legal(name: str) -> list:
    """The values of a field that has names, the default first; [] for a number or free text."""
    info = FIELDS[name]
    values = list(_extra(info)["names"]) or (
        list(get_args(info.annotation)) if get_origin(info.annotation) is Literal else []
    )
    if info.annotation is bool:
        values = [False, True]
    return sorted(values, key=lambda value: value != info.default)


def table() -> pd.DataFrame:
    """One row per field of `Run`: default, legal values, unit, the thesis's section and what it says.

    Chapter: book/choices.md
    """
    rows = []
    for name, info in FIELDS.items():
        default = "the profile's" if _extra(info)["scaled"] else said(info.default) or "–"
        rows.append(
            {
                "parameter": name,
                "default": default,
                "legal": " | ".join(map(str, legal(name))) or range_of(name),
                "unit": _extra(info)["unit"],
                "thesis": _extra(info)["section"],
                "what it is": info.description,
            }
        )
    return pd.DataFrame(rows)


def range_of(name: str) -> str:
    """The range of a field that is a number: "from 1 to 10"."""
    limits = {type(m).__name__: m for m in FIELDS[name].metadata}
    ends = {kind: getattr(m, kind.lower()) for kind, m in limits.items() if kind in ("Ge", "Gt", "Le")}
    words = [f"from {ends['Ge']}"] if "Ge" in ends else [f"above {ends['Gt']}"] if "Gt" in ends else []
    return " ".join([*words, *([f"to {ends['Le']}"] if "Le" in ends else [])])


def comment(name: str) -> str:
    """What stands beside a field in a parameter cell: its legal values, or its range, and what it is.

    Chapter: every notebook
    """
    info, extra = FIELDS[name], _extra(FIELDS[name])
    values = legal(name)
    shown = " | ".join(f'"{v}"' if isinstance(v, str) else str(v) for v in values) or range_of(name)
    if extra["scaled"]:
        by = ", ".join(f"{p} {table_[name]}" for p, table_ in profiles().items() if p != "thesis")
        shown = f"the profile's ({by}; the thesis {profiles()['thesis'][name]}), or a number {range_of(name)}".rstrip()
    elif name in ("training_folds", "layer", "features_in_step"):
        shown = {"training_folds": 'folds, such as "1 2"', "layer": "a layer's name", "features_in_step": "a number"}[
            name
        ]
        return f"{info.description}; or {shown}"
    unit = f", {extra['unit']}" if extra["unit"] else ""
    return f"{shown}{unit}: {info.description}" if shown else f"{info.description}{unit}"


def profile_table() -> pd.DataFrame:
    """What each profile scales, one row per profile, for the page of the runs and the README.

    Chapter: notebooks/11_runs.md
    """
    rows = [{"name": name, **values} for name, values in profiles().items()]
    return pd.DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))


@dataclass(frozen=True)
class Source:
    """Where the clips come from, whether a program made them, and why this was taken."""

    folder: Path
    kind: Literal["recorded", "stand-in", "folder"]
    synthetic: bool
    why: str
    named: bool = False

    @property
    def label(self) -> str:
        """What every figure calls the data."""
        return "synthetic stand-in" if self.synthetic else "UrbanSound8K"

    @property
    def results(self) -> Path:
        """Where the artefacts of runs on this source lie; folders named by the user never share one."""
        if self.kind == "recorded":
            return RECORDED / "urbansound8k"
        if not self.named:
            return RUNS / ("synthetic" if self.synthetic else "urbansound8k")
        name = self.folder.name.replace("{", "_").replace("}", "_")  # what stands in braces is Snakemake's to fill in
        return RUNS / f"{name}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]}"

    @property
    def folds(self) -> tuple[int, ...]:
        """Folds with clips in them; all ten of a stand-in that is still to be made."""
        audio = folds_of(self.folder)
        if self.kind == "stand-in" and not audio.is_dir():
            return tuple(range(1, 11))
        there = (fold for fold in range(1, 11) if (audio / f"fold{fold}").is_dir())
        return tuple(fold for fold in there if any(map(is_wav, os.listdir(audio / f"fold{fold}"))))


def table_of(folder: Path) -> Path:
    """The table of a data set: in `metadata`, or beside the folds, as an archive packed anew has it.

    Chapter: notebooks/02_dataset.md
    """
    official, beside = folder / "metadata" / "UrbanSound8K.csv", folder / "UrbanSound8K.csv"
    return beside if beside.is_file() and not official.is_file() else official


def folds_of(folder: Path) -> Path:
    """The folder that fold1 to fold10 of a data set lie in: `audio`, or the data set's own.

    Chapter: notebooks/02_dataset.md
    """
    audio = folder / "audio"
    return folder if not audio.is_dir() and any(folder.glob("fold*")) else audio


def is_wav(name: str) -> bool:
    """Whether a file's name is a WAV file's; what systems leave beside these (`._x.wav`) is none.

    Chapter: notebooks/02_dataset.md
    """
    return name[0] != "." and name.lower().endswith(".wav")


def _home(folder: Path) -> Path:
    """The folder of the data set: the one that is named, or the only one in it, as archives are unpacked."""
    home = folder
    for _ in range(3):
        if table_of(home).is_file() or folds_of(home).is_dir():
            return home
        inner = [path for path in home.iterdir() if path.is_dir() and path.name[0] not in "._"]
        inner = [path for path in inner if table_of(path).is_file()] or inner
        if len(inner) != 1:
            break
        (home,) = inner
    return folder


def find_source(data: str, clips: int | str, data_seed: int = 2024) -> Source:
    """Which clips to use: what is named, else data/UrbanSound8K, else the generated stand-in.

    A folder that holds `metadata/events.csv` was written by `helpers.audio.standin` and is called
    synthetic also when a user names it.
    """
    if data == "recorded":
        return Source(folder=RECORDED, kind="recorded", synthetic=False, why="it was named", named=True)
    if data:
        one_line("data", data)
        folder = _named(data)
        synthetic = (folder / "metadata" / "events.csv").exists()
        return Source(folder=folder, kind="folder", synthetic=synthetic, named=True, why="it was named")
    folder = DATA / "UrbanSound8K"
    if folder.is_dir():
        return Source(folder=_home(folder), kind="folder", synthetic=False, why="it is in data/UrbanSound8K")
    size = "official" if clips == "all" else f"{clips}"
    other = "" if data_seed == FIELDS["data_seed"].default else f"-data_seed={data_seed}"
    return Source(
        folder=DATA / "synthetic" / f"clips={size}{other}",
        kind="stand-in",
        synthetic=True,
        why="no folder was named and data/UrbanSound8K is not there",
    )


def one_line(name: str, folder: str) -> None:
    """Refuse a name of a folder that nothing can show in one line."""
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in folder):
        raise InputError(f"{name} {folder!a} holds a line break or what is no letter; rename the folder")


def place(name: str, folder: str) -> Path:
    """The folder that a setting of the call names, from here on.

    Raises
    ------
    InputError
        Nothing can show it in one line, it is of a user who is not known, or a file.
    """
    one_line(name, folder)
    path = Path(os.path.expanduser(folder))
    if str(path).startswith("~"):
        raise InputError(f'{name}="{folder}" is of a user whom this machine does not know; write the whole path')
    if path.is_file():
        raise InputError(f'{name}="{folder}" is a file; name a folder')
    return path.resolve()


def _named(data: str) -> Path:
    """The data set's folder that a user's words lead to."""
    said = f"data folder {_shown(data)}"
    try:
        folder = (ROOT / Path(data).expanduser()).resolve()
        if folder.is_dir():
            return _home(folder)
        is_file = folder.is_file()
    except (RuntimeError, ValueError):  # ~nobody, or a character that no name may hold
        is_file = False
    except OSError as error:
        raise InputError(f"{said} cannot be opened ({error.strerror}); name another (DATA in the call)") from None
    if is_file and folder.suffix.lower() in (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar"):
        raise InputError(f"{said} is an archive; unpack it and name the folder that comes out (DATA in the call)")
    if is_file:
        raise InputError(f"{said} is a file; name the folder that holds audio and metadata (DATA in the call)")
    raise InputError(
        f"{said} does not exist; name a folder with audio/fold1 ... fold10 and metadata/UrbanSound8K.csv, "
        '"recorded" for the results that come with the book, or leave it out to use the stand-in (DATA in the call)'
    )


def parse(name: str, value: object, *, where: str = "the call") -> object:
    """A value that arrives as text, such as "3e-4" from papermill or make, as what its field holds.

    Raises
    ------
    InputError
        The field is unknown, or the text does not stand for one of its values.
    """
    if name not in FIELDS:
        raise InputError(f'parameter "{name}" is not known ({where}); choose from {", ".join(FIELDS)}')
    info = FIELDS[name]
    if value is None or (isinstance(value, str) and value == "None"):
        return None
    if get_origin(info.annotation) is tuple:
        if isinstance(value, int) and not isinstance(value, bool):
            value = (value,)
        words: object = value
        if isinstance(value, str):  # names may hold spaces and a plus: they are separated by commas
            named_ = bool(_extra(info)["names"])
            words = value.split(",") if named_ else value.replace("+", " ").replace(",", " ").split()
            words = [word for word in words if word.strip()]
        if not isinstance(words, Iterable):
            raise InputError(f"{name} {_shown(value)} is not a list ({where}); give values separated by spaces")
        kind = int if name == "training_folds" else str
        try:
            return tuple(
                sorted({int(str(word)) for word in words}) if kind is int else (str(word).strip() for word in words)
            )
        except (TypeError, ValueError):
            raise InputError(
                f'{name} {_shown(value)} is not a list of folds ({where}); give some, such as "1 2"'
            ) from None
    if isinstance(value, int) and not isinstance(value, bool) and info.annotation is float:
        return float(value)
    if isinstance(value, str) and info.annotation is not str and get_origin(info.annotation) is not Literal:
        with contextlib.suppress(ValidationError):  # what cannot be read is refused with the whole run's rules
            value = _adapter(name).validate_python(value.strip(), strict=False)
    return value


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def check(name: str, value: object, *, where: str = "the call") -> None:
    """Refuse a parameter that is not known or has no such value, before anything is computed.

    Raises
    ------
    InputError
        One sentence with the legal values.
    """
    if name == "others":
        if not isinstance(value, Mapping):
            raise InputError(f'others {_shown(value)} is not a dictionary ({where}); write {{"n_mfcc": 20}}')
        for other, given in value.items():
            check(other, given, where=where)
        return
    if name == "architectures":
        names = value.split() if isinstance(value, str) else []
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"architectures {value!r} is not a list of networks, each named once ({where}); "
                'give names separated by spaces, such as "resnet18 resnet101"'
            )
        for architecture in names:
            check("architecture", architecture, where=where)
        return
    value = parse(name, value, where=where)
    if value is None or value == ():
        return
    try:
        _adapter(name).validate_python(value, strict=True)
    except ValidationError:
        raise _refusal(name, value, where=where) from None
    names = _extra(FIELDS[name])["names"]
    for one in value if isinstance(value, tuple) else (value,):
        if names and one not in names:
            raise _refusal(name, one, where=where)


@functools.cache
def _adapter(name: str) -> TypeAdapter:
    """Reads and checks one field alone."""
    kind: Any = Annotated[FIELDS[name].annotation, FIELDS[name]]
    return TypeAdapter(kind)


def _refusal(name: str, value: object, *, where: str) -> InputError:
    options = ", ".join(map(str, legal(name)))
    kinds = {int: "a whole number", float: "a number", str: "text"}
    kind = kinds.get(FIELDS[name].annotation, 'a whole number from 1, or "all"')  # type: ignore[arg-type]
    needs = f"choose from {options}" if options else f"give {kind} {range_of(name)}".rstrip()
    if not options and get_origin(FIELDS[name].annotation) is tuple:
        some = f'some, such as "{" ".join(_AXES[name][0])}"' if name in _AXES else "folds from 1 to 10"
        needs = f"give {some}"
    verb = "is not known" if options else "is not possible"
    return InputError(f"{name} {_shown(value)} {verb}; {needs} ({where})")


def _run(values: Mapping[str, Any], *, where: str) -> Run:
    for name, value in values.items():
        check(name, value, where=where)
    try:
        return Run(**values)
    except ValidationError as wrong:
        raise InputError(f"{wrong.errors()[0]['ctx']['error']} ({where})") from None


def open(*, where: str = "the call", **given: Any) -> Run:
    """Settle every parameter of a run before anything is computed.

    Parameters
    ----------
    given : fields of `Run` by name. None, or a field that is not given, takes the profile's value, or the
        declared default. With `data="recorded"` it takes its value from the first run of the reference study
        (config/studies/reference.yaml) that matches what is given.

    Raises
    ------
    InputError
        A field is unknown or has no such value, the folder does not exist, or no recorded run matches.

    Chapter: every notebook
    """
    if "architectures" in given:
        raise InputError('parameter "architectures" is a list; open one run per architecture')
    values = {name: parse(name, value, where=where) for name, value in (_injected() | given).items()}
    values = {name: value for name, value in values.items() if value is not None and value != ()}
    if values.get("data") == "recorded":
        return _recorded(values, where=where)
    return settle(values, where=where)


def _injected() -> dict[str, Any]:
    """Fields that papermill put into the notebook that is running, whether its parameter cell lists them or not.

    papermill only warns of a name that the cell does not have, and runs on; here a name that is no field is refused.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    cells = shell.user_ns.get("In", []) if shell else []
    code = next((cell for cell in reversed(cells) if cell.startswith("# Parameters\n")), "")
    found: dict[str, Any] = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, ast.literal_eval(node.value)
            check(name, value, where="the notebook's parameters")
            found |= {name: value} if name in FIELDS else {}
    return found


def settle(values: Mapping[str, Any], *, where: str = "the call") -> Run:
    """A run from some of its fields; the others take the profile's value or their default."""
    _run(values, where=where)  # what is wrong by itself is said first
    first = Run(**{n: values[n] for n in ("architecture", "profile", *_SHAPING) if n in values})
    filled = {name: first.default(name) for name in FIELDS} | dict(values)
    if filled["layer"] == "":
        filled["layer"] = first.default("layer")
    source = find_source(filled["data"], filled["clips"], filled["data_seed"])
    if "training_folds" not in values:
        every = tuple(range(1, 11)) if source.kind == "recorded" else source.folds
        filled["training_folds"] = tuple(fold for fold in every if fold != filled["test_fold"])
    there = source.folds if source.kind == "folder" else ()
    lacking = {filled["test_fold"], *filled["training_folds"]} - set(there)
    if there and (lacking or not filled["training_folds"]):
        raise InputError(
            f'data folder "{source.folder}" has clips in folds {", ".join(map(str, there))} only; the run needs fold '
            f"{filled['test_fold']} for the test and "
            f"{', '.join(map(str, filled['training_folds'])) or 'one other'} for training; name other folds ({where})"
        )
    return _run(filled, where=where)


@functools.cache
def study(name: str) -> tuple[dict[str, Any], ...]:
    """The runs of a study, config/studies/NAME.yaml: fields of `Run`, and what is computed of each (`also`).

    An entry whose fields have lists of values stands for every combination of them, the last list changing first.

    Raises
    ------
    InputError
        There is no such file.

    Chapter: notebooks/11_runs.md
    """
    known = {path.stem: path for path in sorted((ROOT / "config" / "studies").glob("*.yaml"))}
    if name not in known:
        raise InputError(f'study "{name}" is not known; choose from {", ".join(known)} (STUDY in the call)')
    return tuple(one for entry in yaml.safe_load(known[name].read_text()) for one in _combined(entry))


def _combined(entry: dict[str, Any]) -> Iterable[dict[str, Any]]:
    lists = {name: values for name, values in entry.items() if isinstance(values, list) and name not in NOT_FIELDS}
    return (entry | dict(zip(lists, chosen, strict=True)) for chosen in itertools.product(*lists.values()))


NOT_FIELDS = ("also", "only", "weights")  # of an entry of a study


def entries(name: str = "reference", *, data: str = "recorded", profile: str = "") -> list[Run]:
    """The runs of a study on some data, in its order; `profile` takes the place of what its entries say.

    Chapter: notebooks/13_reference.md
    """
    found = []
    for entry in study(name):
        values = {n: parse(n, v) for n, v in entry.items() if n not in NOT_FIELDS}
        values = {"profile": "thesis", **values, "data": data} | ({"profile": profile} if profile else {})
        found.append(settle(values, where=f"config/studies/{name}.yaml"))
    return found


def with_network(run: Run) -> Run:
    """The run itself; of a recorded one the run whose network travels with the repository, so that it can be asked.

    Chapter: notebooks/01_introduction.md
    """
    return traveller() if run.source.kind == "recorded" else run


def traveller() -> Run:
    """The recorded run whose network travels with the repository: its weights are there to be asked.

    Chapter: notebooks/01_introduction.md
    """
    marked = [bool(entry.get("weights")) for entry in study("reference")]
    return entries()[marked.index(True)]


def _recorded(values: dict[str, Any], *, where: str) -> Run:
    """The first recorded run that has the given values; one that is a field's default is only preferred."""
    _run(values, where=where)
    wanted = {n: v for n, v in values.items() if n not in ("data", "profile")}
    runs = entries()
    matching = [r for r in runs if all(getattr(r, n) == v for n, v in wanted.items())]
    firm = {n: v for n, v in wanted.items() if v != FIELDS[n].default}
    matching = matching or [r for r in runs if all(getattr(r, n) == v for n, v in firm.items())]
    if not matching:
        asked = " ".join(f"{n}={said(v)}" for n, v in firm.items())
        known = "; ".join(dict.fromkeys(run.key for run in runs))
        raise InputError(f"no recorded run has {asked} ({where}); choose one of: {known}")
    return matching[0]
