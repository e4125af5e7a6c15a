"""The thin library the chapters call; one module per step of the study.

Chapter: every notebook in notebooks/ imports from here.
"""


def printable(text: str) -> str:
    """A text in one line: what it quotes of a file's name or a call may hold anything, and becomes escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class InputError(ValueError):
    """A user's mistake, said in one sentence: what, where, what to do.

    Raised for a wrong parameter, folder or file; caught in one place on the command line
    (`helpers.book.main`) and shown without a traceback in a notebook.
    """

    def __str__(self) -> str:
        """The sentence in one line."""
        return printable(super().__str__())

    def _render_traceback_(self) -> list[str]:
        # IPython asks an exception for its own rendering: a reader sees the sentence, no stack.
        return [f"{type(self).__name__}: {self}"]
