"""Other versions of a library, each in an environment of its own beside the study's.

Chapter: notebooks/13_reference.md
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import InputError, artifacts, study, tables
from helpers.artifacts import Artefact
from helpers.experiments import scores
from helpers.maps import explainers
from helpers.networks import training
from helpers.study import Run

OLDER = "0.5.3"  # of Quantus: current when the thesis was handed in
CLIPS = 5  # a clip takes a minute or so
# what Quantus 0.5.3 needs beside the study's own packages, which are built for another numpy
_PACKAGES = (f"quantus=={OLDER}", "numpy==1.26.4", "pandas==2.2.3", "pytz==2024.1", "tzdata==2024.1")
_SCORE = """
import sys
from pathlib import Path
from typing import Any
import numpy as np
from helpers.metric import stock
from helpers.networks import models
from safetensors.torch import load_file
given, work = np.load(sys.argv[1]), Path(sys.argv[1]).parent
network = models.build(sys.argv[2], seed=0).eval()
network.load_state_dict(load_file(sys.argv[3]))
draws, seed, step, baseline = (int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]), sys.argv[7])
for i in range(len(given["maps"])):
    part = work / f"older-{i}.txt"
    if not part.exists():
        clip = (given[name][i : i + 1] for name in ("inputs", "classes", "maps"))
        (score,), (status,) = stock.quantus_scores(
            network, *clip, draws=draws, seed=(seed, i), features_in_step=step, perturb_baseline=baseline
        )
        part.with_suffix(".part").write_text(f"{float(score)!r}\\n{status}\\n")
        part.with_suffix(".part").rename(part)
"""


def python(folder: Path, *packages: str) -> Path:
    """The interpreter of an environment that has these packages, and beneath them those of this one.

    Parameters
    ----------
    folder : where the environment lies; it is made if it is not there.
    packages : with versions, installed without what they depend on.

    Raises
    ------
    InputError
        They cannot be installed.

    Chapter: notebooks/13_reference.md
    """
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        install: list[str | Path] = [interpreter, "-m", "pip", "install", "--quiet", "--no-deps", *packages]
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
            subprocess.run(install, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError:
            raise InputError(
                f'{packages[0]} cannot be installed into "{folder}"; check the connection and run again'
            ) from None
        own = next(folder.glob("lib/python*/site-packages"))
        # after its own packages, those of this environment: the same torch on both sides
        (own / "shared.pth").write_text(str(Path(torch.__file__).parents[1]) + "\n")
        (folder / "ready").touch()
    return interpreter


def table(run: Run) -> pd.DataFrame:
    """`scores.table` and, where they are there already, the scores of the older Quantus ("quantus 0.5.3").

    Chapter: notebooks/13_reference.md
    """
    older = [PEERS.read(run)] if artifacts.record_path(PEERS.path(run)).exists() else []
    return tables.joined([*older, scores.table(run)])


def _make(run: Run, target: Path) -> dict:
    maps = explainers.explanations(run)
    clips = min(CLIPS, len(maps.clips))
    given = target.parent / "given.npz"
    arrays = {"inputs": maps.inputs, "classes": maps.explained, "maps": maps.maps}
    first: dict[str, Any] = {name: values[:clips] for name, values in arrays.items()}
    np.savez(given, **first)
    weights = training.NETWORK.get(run) / "weights.safetensors"
    command: list[str | Path] = [python(study.ROOT / "_build" / f"quantus-{OLDER}", *_PACKAGES), "-c", _SCORE]
    settings = (run.draws, run.metric_seed, run.features_in_step, run.perturb_baseline)
    command += [given, run.architecture, weights, *map(str, settings)]
    source = str(Path(__file__).parents[2])
    subprocess.run(command, env=os.environ | {"PYTHONPATH": source}, check=True)
    found = [(target.parent / f"older-{i}.txt").read_text().splitlines() for i in range(clips)]

    def score(specification: str, i: int) -> tuple[float, str]:
        return float(found[i][0]), found[i][1]

    return scores.write(target, maps, {f"quantus {OLDER}": clips}, score) | {"packages": list(_PACKAGES)}


# The thesis's call by Quantus 0.5.3 on the first clips; the random values are those of the specification
# "quantus", so that only the version differs.
PEERS = Artefact(
    "quantus-older.csv",
    make=_make,
    chapter="13_reference",
    fields=("draws", "features_in_step", "perturb_baseline", "metric_seed"),
    inputs=(explainers.EXPLANATIONS, training.NETWORK),
    packages=("torch",),
    table=tables.SCORES,
)
