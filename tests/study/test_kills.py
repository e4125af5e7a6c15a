"""The study is killed three times; tests/faults does it more often, and of all that it does (`make test-faults`)."""

import random
import shutil

import yaml

from tests.conftest import copy_tree
from tests.faults import kills

RUN = {"architecture": "resnet18", "profile": "smoke", "training_folds": "1 2", "clips": 1, "epochs": 2}
STAGES = [kills.making("training", "network"), kills.making("explaining", "explanations.npz")]


def test_what_was_killed_three_times_ends_as_what_was_not(tmp_path):
    tree = copy_tree(tmp_path / "tree").root
    (tree / "config" / "studies" / "faults.yaml").write_text(yaml.safe_dump([RUN]))
    durations = kills.undisturbed(STAGES, tree)
    whole = kills.content(tree, ["data/runs"])
    assert [name for name in whole if name.endswith("weights.safetensors")]
    shutil.rmtree(tree / "data" / "runs")
    count = 0
    for stage, each in zip(STAGES, (2, 1), strict=True):
        count += kills.killed([stage], tree, durations=durations, each=each, draw=random.Random(each), share=0.7)
    assert count  # three where the machine is as fast as it was
    assert kills.differing(kills.content(tree, ["data/runs"]), whole) == []
