"""Progress bars in a log."""

import io

import pytest
from tqdm import tqdm

from helpers.book import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def bar(done: int, seconds: int) -> str:
    left = f"[00:{seconds:02d}<00:{60 - seconds:02d},  2.50batch/s]"
    return f"\rtraining ResNet18:  {done}0%|{'#' * done}| {done}/10 {left}"


def test_on_a_terminal_nothing_is_changed():
    stream = Terminal()
    progress.Lines(stream).write(bar(1, 6))
    assert stream.getvalue() == bar(1, 6)


def test_elsewhere_a_bar_is_a_line_once_a_minute_and_other_text_stays():
    now, stream = [0.0], io.StringIO()
    lines = progress.Lines(stream, clock=lambda: now[0])
    for second, done in ((0, 0), (30, 3), (61, 6), (90, 8), (122, 9)):
        now[0] = second
        lines.write(bar(done, second % 60))
    lines.write("a warning\n")
    assert stream.getvalue().splitlines() == [
        "training ResNet18: 6/10 [00:01<00:59,  2.50batch/s]",
        "training ResNet18: 9/10 [00:02<00:58,  2.50batch/s]",
        "a warning",
    ]


def test_each_bar_has_its_own_minute():
    now, stream = [0.0], io.StringIO()
    lines = progress.Lines(stream, clock=lambda: now[0])
    lines.write("a:  10%|#| 1/10 [00:00<00:09]")
    now[0] = 50
    lines.write("b:  10%|#| 1/10 [00:00<00:09]")
    now[0] = 70
    lines.write("a:  20%|#| 2/10 [01:10<00:08]\rb:  20%|#| 2/10 [00:20<00:08]")
    assert stream.getvalue() == "a: 2/10 [01:10<00:08]\n"


def test_it_knows_the_bars_that_the_library_draws():
    now, stream = [0.0], io.StringIO()
    lines = progress.Lines(stream, clock=lambda: now[0])
    with tqdm(total=4, desc="effects of ResNet18", unit="clip", file=lines, mininterval=0) as drawn:
        now[0] = 100
        drawn.update(2)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("effects of ResNet18: 2/4 [00:")


def test_a_bar_of_a_library_within_one_of_ours_is_no_line():
    now, stream = [0.0], io.StringIO()
    lines = progress.Lines(stream, clock=lambda: now[0])
    with tqdm(total=4, desc="effects of ResNet18", unit="clip", file=lines, mininterval=0) as outer:
        for _ in tqdm(range(3), file=lines, mininterval=0):
            now[0] += 50
            outer.update()
    said = [line.partition(":")[0] for line in stream.getvalue().splitlines()]
    assert set(said) == {"effects of ResNet18"}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.1, "1 s"), (40.4, "40 s"), (700, "12 min"), (5399, "90 min"), (12_600, "3.5 h")]
)
def test_a_duration_in_words(seconds, said):
    assert progress.spoken(seconds) == said
