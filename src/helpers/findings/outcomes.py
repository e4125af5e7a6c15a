"""What the cells "change this" say with other values, as it is recorded (data/recorded/outcomes.json).

Chapter: every notebook
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helpers import study

NAME = "outcomes.json"


def path() -> Path:
    """Where the outcomes lie."""
    return study.RECORDED / NAME


def of(chapter: str, architecture: str = "") -> dict[str, Any]:
    """What is recorded of a chapter's cell "change this".

    Parameters
    ----------
    chapter : NN_title. architecture : of a chapter that is executed once per network.

    Returns
    -------
    `values`: of each value the line of code, the seconds of one processor that the cell took, and what it said, as
    HTML; none where nothing is recorded. `made`: when, at which revision, on which machine.

    Chapter: every notebook
    """
    known = json.loads(path().read_text(encoding="utf-8"))
    page = known["pages"].get("/".join(filter(None, (architecture, chapter))), {})
    return {"values": page.get("values", []), "made": known["made"]}
