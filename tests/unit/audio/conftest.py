"""A small UrbanSound8K in a folder of its own."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.audio.made import HEADER, ROWS, write_table, write_wav


@pytest.fixture
def tree(tmp_path):
    """Two folds of two clips each, each clip of other content."""
    folder = tmp_path / "set"
    write_table(folder, HEADER, *ROWS)
    for number, row in enumerate(ROWS, 1):
        name, fold = row.split(",")[0], row.split(",")[5]
        write_wav(folder / "audio" / f"fold{fold}" / name, np.full(100 * number, number / 10))
    return folder


@pytest.fixture
def real():
    """The official table with some recordings, where it lies beside the repository."""
    folder = Path(__file__).parents[3].parent / "shared" / "urbansound8k"
    if not folder.is_dir():
        pytest.skip("the real recordings are not beside the repository")
    return folder
