"""The one settings object: which network, data and profile a chapter speaks of, and where its results lie.

Every path of the study is built here. Chapter: every notebook; the profile table is shown in
notebooks/11_runs.md.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from helpers import InputError

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
RECORDED = DATA / "recorded"
SAMPLING_RATE = 44_100  # Hz, thesis 2.2
ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
TEST_FOLD = 10

# Legal values of each parameter a chapter may have; the first is the default.
CHOICES: dict[str, tuple] = {
    "architecture": ARCHITECTURES,
    "profile": ("quick", "smoke", "thesis"),
    "hop_length": (1024, 512, 441),
    "padding": ("zero", "minimum", "repeat"),
    "scaling": ("raw", "standardised"),
    "layer": ("layer4[-1]", "layer4[-1].conv", "layer3[-1]", "layer2[-1]"),
    "explained": ("predicted", "true"),
    "scored": ("explained", "true"),
}
# An artefact's name carries those of its parameters that differ from the default, so that two
# settings never overwrite each other.
_FEATURES = ("hop_length", "padding")
_NETWORK = ("seed", *_FEATURES, "scaling")
_EXPLANATIONS = (*_NETWORK, "layer", "explained")
_SCORES = (*_EXPLANATIONS, "scored")
_NAMED_BY = {
    "features.npz": _FEATURES,
    "network": _NETWORK,
    "explanations.npz": _EXPLANATIONS,
    "quantus.csv": _SCORES,
    "scores.csv": _SCORES,
    "quantus-older.csv": _SCORES,
    "effects.npz": _EXPLANATIONS,
    "controls.csv": _EXPLANATIONS,
    "shuffled": _NETWORK,
    "sanity.csv": _EXPLANATIONS,
    "metrics.csv": _EXPLANATIONS,
    "specifications.csv": _NETWORK,
}


@dataclass(frozen=True)
class Profile:
    """How much of the thesis's work is done; see config/profiles.yaml for the meaning of each number."""

    name: str
    clips: int | None
    epochs: int
    explanations: int
    stock_clips: int
    stock_clips_deep: int
    drawn_clips: int
    draws: int
    control_clips: int | None
    null_maps: int


@dataclass(frozen=True)
class Source:
    """The folder the clips come from, whether a program made them, and why this folder was taken."""

    folder: Path
    synthetic: bool
    named: bool
    why: str

    @property
    def label(self) -> str:
        """What every figure calls the data."""
        return "synthetic stand-in" if self.synthetic else "UrbanSound8K"

    @property
    def key(self) -> str:
        """Name of the results' folder; folders named by the user never share one."""
        if not self.named:
            return "synthetic" if self.synthetic else "urbansound8k"
        return f"{self.folder.name}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Run:
    """All parameters of one run of the study; made by `open`."""

    architecture: str
    profile: Profile
    seed: int
    source: Source
    hop_length: int
    padding: str
    scaling: str
    layer: str
    explained: str
    scored: str

    @property
    def name(self) -> str:
        """`ResNet18` for `resnet18`."""
        return self.architecture.replace("resnet", "ResNet")

    @property
    def key(self) -> str:
        """What recorded tables call the run: "resnet18 seed=0 hop_length=1024", then choices not default."""
        others = [f"{n}={v}" for n in _SCORES[2:] if (v := getattr(self, n)) != CHOICES[n][0]]
        return " ".join([self.architecture, f"seed={self.seed}", f"hop_length={self.hop_length}", *others])

    @property
    def data_label(self) -> str:
        """Data and profile, for figures that no network made."""
        return f"{self.source.label} · {self.profile.name}"

    @property
    def label(self) -> str:
        """Network, data, profile and seed, for figures that a network made."""
        return f"{self.name} · {self.data_label} · seed {self.seed}"

    @property
    def seconds_per_frame(self) -> float:
        """Time between two MFCC frames, seconds."""
        return self.hop_length / SAMPLING_RATE

    def parameters(self, *names: str) -> dict:
        """The named parameters as plain values, for a provenance record."""
        return {name: getattr(self, name) for name in names}

    def path(self, artefact: str) -> Path:
        """Where an artefact of this run lies; `artefact` is a key of the table above."""
        names = _NAMED_BY[artefact]
        changed = [
            f"{n}={v}" for n in names if (v := getattr(self, n)) != (0 if n == "seed" else CHOICES[n][0])
        ]
        folder = DATA / "runs" / self.source.key / self.profile.name
        if names is not _FEATURES:
            folder /= self.architecture
        stem, dot, suffix = artefact.partition(".")
        return folder / ("-".join([stem, *changed]) + dot + suffix)


@functools.cache
def profiles() -> dict[str, Profile]:
    """The profiles of config/profiles.yaml by name."""
    table = yaml.safe_load((ROOT / "config" / "profiles.yaml").read_text())
    return {name: Profile(name=name, **values) for name, values in table.items()}


def profile_table() -> pd.DataFrame:
    """What each profile does, one row per profile, for the page of the runs and the README.

    Chapter: notebooks/11_runs.md
    """
    rows = [
        {name: "all" if value is None else value for name, value in vars(profile).items()}
        for profile in profiles().values()
    ]
    return pd.DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))


def check(name: str, value: object, *, where: str = "the call") -> None:
    """Refuse a parameter that is not known or has no such value.

    Raises
    ------
    InputError
        One sentence with the legal values.
    """
    if name == "seed":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise InputError(
                f"seed {value!r} is not an integer from 0 to 4294967295 ({where}); give one, such as 0"
            )
    elif name == "data":
        if not isinstance(value, str):
            raise InputError(f'data {value!r} is not text ({where}); give a folder\'s path or ""')
    elif name == "architectures":
        names = value.split() if isinstance(value, str) else []
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"architectures {value!r} is not a list of networks, each named once ({where}); "
                'give names separated by spaces, such as "resnet18 resnet101"'
            )
        for architecture in names:
            check("architecture", architecture, where=where)
    elif name not in CHOICES:
        known = ", ".join(["seed", "data", *CHOICES])
        raise InputError(f'parameter "{name}" is not known ({where}); choose from {known}')
    elif value not in CHOICES[name] or type(value) is not type(CHOICES[name][0]):
        shown = f'"{value}"' if isinstance(value, str) else repr(value)
        options = ", ".join(map(str, sorted(CHOICES[name]) if name == "hop_length" else CHOICES[name]))
        raise InputError(f"{name} {shown} is not known; choose from {options} ({where})")


def find_source(data: str, profile: Profile) -> Source:
    """Which clips to use: the folder named, else data/UrbanSound8K, else the generated stand-in.

    A folder that holds `metadata/events.csv` was written by `helpers.synthetic` and is called
    synthetic also when a user names it.
    """
    if data:
        try:
            folder = (ROOT / Path(data).expanduser()).resolve()
        except RuntimeError:  # ~nobody
            folder = Path(data)
        if not folder.is_dir():
            raise InputError(
                f'data folder "{data}" does not exist; name a folder with audio/fold1 ... fold10 and '
                "metadata/UrbanSound8K.csv, or leave it out to use the stand-in (DATA in the call)"
            )
        synthetic = (folder / "metadata" / "events.csv").exists()
        return Source(folder=folder, synthetic=synthetic, named=True, why="it was named")
    folder = DATA / "UrbanSound8K"
    if folder.is_dir():
        return Source(folder=folder, synthetic=False, named=False, why="it is in data/UrbanSound8K")
    size = "official" if profile.clips is None else f"{profile.clips}"
    return Source(
        folder=DATA / "synthetic" / f"clips={size}",
        synthetic=True,
        named=False,
        why="no folder was named and data/UrbanSound8K is not there",
    )


def open(
    *,
    architecture: str = "resnet18",
    profile: str = "quick",
    seed: int = 0,
    data: str = "",
    **choices: str | int,
) -> Run:
    """Settle every parameter of a run before anything is computed.

    Parameters
    ----------
    architecture, profile : one of `CHOICES`.
    seed : training seed, an integer from 0.
    data : a folder with UrbanSound8K's layout, absolute or from the repository's root; "" looks in
        data/UrbanSound8K and else takes the generated stand-in.
    choices : the thesis's open choices (book/choices.md): hop_length (samples at 44.1 kHz), padding,
        scaling, layer, explained, scored.

    Raises
    ------
    InputError
        A parameter is unknown or has no such value, or the folder does not exist.

    Chapter: every notebook
    """
    given = dict(architecture=architecture, profile=profile, seed=seed, data=data, **choices)
    for name, value in given.items():
        if name == "architectures":
            raise InputError('parameter "architectures" is a list; open one run per architecture')
        check(name, value)
    settled = {name: values[0] for name, values in CHOICES.items()} | given
    settled["profile"] = profiles()[profile]
    settled["source"] = find_source(settled.pop("data"), settled["profile"])
    return Run(**settled)
