"""What a block of the input means to a network, and how well a map ranks the blocks."""

from collections.abc import Iterable

from helpers import InputError


def known(kind: str, name: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """The name, if it is one of `names`; else one sentence that lists them, and what else can be given.

    Chapter: notebooks/12_engine.md
    """
    if name not in names:
        raise InputError(f'{kind} "{name}" is not known; choose from {", ".join(names)}{otherwise}')
    return name
