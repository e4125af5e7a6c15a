"""Other versions of a library, each in an environment of its own beside the study's.

Chapter: notebooks/13_reference.md
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import artifacts, study
from helpers.experiments import scores
from helpers.maps import explainers
from helpers.networks import training
from helpers.study import Run

OLDER = "0.5.3"  # of Quantus: current when the thesis was handed in


OLDER_CLIPS = 5  # a clip takes a minute or so


# what Quantus 0.5.3 needs beside the study's own packages, which are built for another numpy
_OLDER_PACKAGES = (f"quantus=={OLDER}", "numpy==1.26.4", "pandas==2.2.3", "pytz==2024.1", "tzdata==2024.1")


_SCORE = """
import sys
from pathlib import Path
import numpy as np
from helpers import faithfulness, models
from safetensors.torch import load_file
given, work = np.load(sys.argv[1]), Path(sys.argv[1]).parent
network = models.build(sys.argv[2], seed=0).eval()
network.load_state_dict(load_file(sys.argv[3]))
for i in range(len(given["maps"])):
    part = work / f"clip-{i}.txt"
    if not part.exists():
        clip = (given[name][i : i + 1] for name in ("inputs", "classes", "maps"))
        (score,), (status,) = faithfulness.quantus_scores(
            network, *clip, draws=int(sys.argv[4]), seed=(int(sys.argv[5]), i)
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
    subprocess.CalledProcessError
        They cannot be installed.

    Chapter: notebooks/13_reference.md
    """
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        install = [interpreter, "-m", "pip", "install", "--quiet", "--no-deps", *packages]
        subprocess.run(install, check=True, capture_output=True, text=True)
        own = next(folder.glob("lib/python*/site-packages"))
        # after its own packages, those of this environment: the same torch on both sides
        (own / "shared.pth").write_text(str(Path(torch.__file__).parents[1]) + "\n")
        (folder / "ready").touch()
    return interpreter


def make(run: Run) -> Path:
    """The file quantus-older.csv of a run: the thesis's call by Quantus 0.5.3 on the first clips.

    Columns as `scores.table`, specification "quantus 0.5.3". The random values are those of the
    specification "quantus", so that only the version differs.

    Chapter: notebooks/13_reference.md
    """
    maps = explainers.explanations(run)
    training.make(run)
    path = run.path("quantus-older.csv")
    clips = min(OLDER_CLIPS, len(maps.names))

    def compute(work: Path) -> dict:
        given = {"inputs": maps.inputs, "classes": maps.explained, "maps": maps.maps}
        np.savez(work / "given.npz", **{name: values[:clips] for name, values in given.items()})
        weights = run.path("network") / "weights.safetensors"
        command = [python(study.ROOT / "_build" / f"quantus-{OLDER}", *_OLDER_PACKAGES), "-c", _SCORE]
        command += [work / "given.npz", run.architecture, weights]
        command += [str(run.profile.draws), str(scores.METRIC_SEED)]
        source = str(Path(__file__).parents[1])
        subprocess.run(command, env=os.environ | {"PYTHONPATH": source}, check=True)
        found = [(work / f"clip-{i}.txt").read_text().splitlines() for i in range(clips)]
        facts = (maps.names, maps.fs_ids, maps.labels, maps.predicted, maps.explained)
        rows = [
            (*(fact[i] for fact in facts), f"quantus {OLDER}", float(score), status)
            for i, (score, status) in enumerate(found)
        ]
        pd.DataFrame(rows, columns=scores.COLUMNS).to_csv(work / path.name, index=False)
        return {"data": run.source.label, "clips": clips, "packages": list(_OLDER_PACKAGES)}

    return artifacts.produce(
        path,
        parameters={"draws": run.profile.draws, "clips": clips, "metric_seed": scores.METRIC_SEED},
        inputs={
            "explanations.npz": artifacts.digest_of(run.path("explanations.npz")),
            "network": artifacts.digest_of(run.path("network")),
        },
        make=compute,
    )
