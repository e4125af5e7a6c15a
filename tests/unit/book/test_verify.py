"""Recorded results made again: what is equal is said to be, and a number that was changed is found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from helpers import artifacts, study
from helpers.book import cli, verify
from helpers.experiments import scores
from helpers.maps import explainers


@pytest.fixture
def recorded(monkeypatch, tmp_path) -> Path:
    """The recorded results in a folder of their own."""
    shutil.copytree(study.RECORDED, tmp_path / "recorded")
    monkeypatch.setattr(study, "RECORDED", tmp_path / "recorded")
    return tmp_path / "recorded"


def again(path: Path) -> None:
    """Let the record say that the changed file is what was made."""
    known = artifacts.record(path) | {"content": artifacts.content_digest(path)}
    artifacts.record_path(path).write_text(json.dumps(known))


@pytest.mark.slow
def test_a_changed_file_is_named_and_nothing_is_computed(recorded, monkeypatch, capfd):
    monkeypatch.setattr(verify, "travelling", None)  # must not be reached
    path = scores.SCORES.path(study.traveller())
    path.write_text(path.read_text().replace("0.", "1.", 1))
    assert cli.main(["verify"]) == 1
    out, err = capfd.readouterr()
    assert f"files as recorded: {artifacts.record_path(path).name}" in out
    assert out.split()[-1] == "no"
    assert err == "something differs by more than is allowed\n"


@pytest.mark.slow
def test_a_changed_number_is_found_and_the_others_are_made_again(recorded):
    run = study.traveller()
    path = explainers.EXPLANATIONS.path(run)
    with np.load(path) as arrays:
        known = dict(arrays)
    known["nodes"][0] *= 1.02  # stretched, the same map
    np.savez(path, **known)
    again(path)
    table = verify.travelling(1).set_index("what")
    assert table["equal"].to_dict() == dict.fromkeys(verify.ALLOWED, "yes") | {"nodes": "no"}
    assert table.loc["nodes", "largest difference"] == pytest.approx(0.02, abs=0.005)
    assert (verify.files()["equal"] == "yes").all()


def write(path: Path, **columns) -> Path:
    if path.suffix == ".csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    elif path.suffix == ".npz":
        np.savez(path, **{name: np.asarray(values) for name, values in columns.items()})
    else:
        path.mkdir()
        arrays = {name: np.asarray(values, dtype=np.float32) for name, values in columns.items()}
        safetensors.numpy.save_file(arrays, path / "weights.safetensors")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_the_difference_is_the_largest_and_anything_else_is_infinite(tmp_path, suffix):
    one = write(tmp_path / f"one{suffix}", clip=["a", "b"], score=[0.5, np.nan])

    def to(**columns) -> float:
        return verify.difference(one, write(tmp_path / f"two{suffix}", **columns))

    assert to(clip=["a", "b"], score=[0.5, np.nan]) == 0
    assert to(clip=["a", "b"], score=[0.75, np.nan]) == 0.25
    assert to(clip=["a", "c"], score=[0.5, np.nan]) == np.inf
    assert to(clip=["a", "b"], score=[0.5, 0.5]) == np.inf
    assert to(clip=["a", "b", "c"], score=[0.5, np.nan, 0.5]) == np.inf
    assert to(clip=["a", "b"]) == np.inf


def test_of_networks_the_files_that_both_have_are_compared(tmp_path):
    one, two = write(tmp_path / "one", w=[1, 2]), write(tmp_path / "two", w=[1, 4])
    for folder, loss in ((one, 0.5), (two, 0.625)):
        write(folder / "history.csv", epoch=[1], loss=[loss])
    assert verify.difference(one, two) == 2
    (two / "weights.safetensors").unlink()
    assert verify.difference(one, two) == 0.125


def test_a_map_whose_order_hangs_on_less_than_a_millionth_of_its_largest_is_not_settled():
    plain = np.arange(1.0, 41).reshape(4, 10)
    tiny = np.where(plain > 20, plain, (41 - plain) * 1e-9)  # half of its cells: all the same to a millionth
    ranked, settled = verify.ranks(np.stack([plain, tiny]), size=4)
    assert settled.tolist() == [True, False]
    assert ranked[0].ravel().tolist() == [i // 4 for i in range(40)]
    assert ranked[1].ravel().tolist() == [(19 - i) // 4 for i in range(20)] + [i // 4 for i in range(20, 40)]


def test_a_share_is_of_the_largest_of_the_same_clip():
    one, other = np.array([[1.0, 100.0], [0.0, 0.0]]), np.array([[2.0, 100.0], [0.0, 0.0]])
    assert verify._share(one, other) == 0.01
