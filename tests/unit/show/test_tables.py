import re

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from helpers import InputError, show

NAN = float("nan")
TESTS = pd.DataFrame(
    {
        "run": ["ResNet18", "ResNet101"],
        "mean": [0.123, NAN],
        "low": [-0.031, NAN],
        "high": [0.274, NAN],
        "share": [0.414, 0.5],
        "low share": [0.296, 0.4],
        "high share": [0.524, 0.6],
        "p": [0.00012, NAN],
        "needed": [123.4, 7],
        "clips": [837, 12000],
    },
    index=[3, 3],  # as after a concat
)


def cells(styler):
    """What a browser shows: caption, heads, rows."""
    html = styler.to_html()
    (caption,) = re.findall(r"<caption>(.*?)</caption>", html)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"(?s)<tr>(.*?)</tr>", html)]
    return caption, *rows


def test_a_table_has_a_caption_and_rounds_its_numbers():
    assert cells(show.table(TESTS[["run", "mean", "p", "clips"]], "The tests.", digits_of={"p": 4})) == (
        "The tests.",
        ["run", "mean", "p", "clips"],
        ["ResNet18", "0.12", "0.0001", "837"],
        ["ResNet101", "–", "–", "12000"],
    )
    with pytest.raises(TypeError, match="caption"):
        show.table(TESTS)


def test_an_estimate_takes_its_interval_in():
    shown = show.table(
        TESTS,
        "The tests.",
        percent=["share"],
        intervals={"mean": ("low", "high"), "share": ("low share", "high share")},
        digits_of={"needed": 0, "clips": ","},
        columns=["run", "share", "mean", "needed", "clips"],
        rename={"mean": "lead", "share": "superiority"},
    )
    assert cells(shown)[1:] == (
        ["run", "superiority", "lead", "needed", "clips"],
        ["ResNet18", "41% (30%\xa0to\xa052%)", "+0.12 (-0.03\xa0to\xa0+0.27)", "123", "837"],  # an interval is unbroken
        ["ResNet101", "50% (40%\xa0to\xa060%)", "–", "7", "12 000"],
    )


def test_ends_are_called_low_and_high_where_nothing_else_is_said():
    frame = TESTS[["mean", "low", "high"]]
    assert show.table(frame, "c", intervals=["mean"]).data.to_dict("list") == {"mean": ["+0.12 (-0.03 to +0.27)", "–"]}
    unsigned = show.table(frame, "c", intervals=["mean"], digits_of={"mean": ".1f"}, missing="none")
    assert list(unsigned.data["mean"]) == ["0.1 (-0.0 to 0.3)", "none"]
    percent = show.table(frame, "c", intervals=["mean"], percent=["mean"], digits_of={"mean": 1})
    assert list(percent.data["mean"]) == ["12.3% (-3.1% to 27.4%)", "–"]


def test_an_estimate_without_an_interval_stands_alone():
    frame = pd.DataFrame({"mean": [0.5, 1.0], "low": [NAN, 1], "high": [0.6, 1]})
    assert list(show.table(frame, "c", intervals=["mean"]).data["mean"]) == [
        "+0.50",
        "+1.00 (+1.00 to +1.00)",
    ]


def test_a_whole_estimate_is_written_as_its_ends_are():
    frame = pd.DataFrame({"mean": [1], "low": [0], "high": [2]})
    assert list(show.table(frame, "c", intervals=["mean"]).data["mean"]) == ["+1.00 (+0.00 to +2.00)"]


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        (2, ["0.12", "-1234.50", "–"]),
        (0, ["0", "-1234", "–"]),
        ("+.1f", ["+0.1", "-1234.5", "–"]),
        (".1e", ["1.2e-01", "-1.2e+03", "–"]),
    ],
)
def test_digits_are_a_number_or_a_format(digits, text):
    frame = pd.DataFrame({"value": np.array([0.123, -1234.5, NAN], np.float32)})
    assert list(show.table(frame, "c", digits=digits).data["value"]) == text


def test_a_rounded_zero_has_no_minus_but_the_end_of_an_interval_says_on_which_side_it_lies():
    frame = pd.DataFrame({"value": [-0.001], "low": [-0.004], "high": [0.01], "p": [0.0001], "share": [-0.001]})
    data = show.table(frame, "c", intervals=["value"], digits_of={"p": "p"}).data.iloc[0]
    assert data.tolist() == ["+0.00 (-0.00 to +0.01)", "<0.001", "0.00"]
    ps = pd.DataFrame({"p": [0.0005, 0.0004999, 0.9996, 0.9995, NAN]})
    assert list(show.table(ps, "c", digits="p").data["p"]) == ["0.001", "<0.001", ">0.999", "1.000", "–"]
    assert list(show.table(pd.DataFrame({"s": [-0.001, -0.01]}), "c", percent=["s"]).data["s"]) == ["0%", "-1%"]


def test_what_is_no_fraction_stays_as_it_is():
    frame = pd.DataFrame({"a": [1, True, "x", None, 0.5, np.int64(3)]}, dtype=object)
    assert list(show.table(frame, "c").data["a"]) == ["1", "yes", "x", "–", "0.50", "3"]
    shares = pd.DataFrame({"share": [0, 1]})  # whole numbers that happen to be shares
    assert list(show.table(shares, "c", percent=["share"]).data["share"]) == ["0%", "100%"]


def test_an_index_is_shown_on_request_with_its_name_and_that_of_the_columns():
    wide = pd.DataFrame([[0.25, 1]], index=pd.Index(["siren"], name="class"), columns=[18, 101])
    wide.columns.name = "network"
    assert cells(show.table(wide, "c", index=True, percent=[18])) == (
        "c",
        ["network", "18", "101"],
        ["class", "&nbsp;", "&nbsp;"],
        ["siren", "25%", "1"],
    )
    assert "siren" not in show.table(wide, "c").to_html()


def test_widths_and_links_reach_the_page():
    frame = pd.DataFrame({"why": ["a"], "where": ['<a href="x.html">figure</a>']})
    html = show.table(frame, "c", widths={"why": "44%"}, rename={"why": "reason"}, links=["where"]).to_html()
    assert re.search(r"\.col0 {\s*width: 44%;", html)
    assert '><a href="x.html">figure</a></td>' in html


HOSTILE = """"><script>alert('x')</script><img src=x onerror=alert(1)> & it's"""


def test_what_stands_in_a_table_is_text_and_no_markup():
    frame = pd.DataFrame({"clip": [HOSTILE], HOSTILE: [0.5], "where": ['<a href="x.html">x</a>']}, index=[HOSTILE])
    for options in ({"index": True}, {"rename": {"clip": HOSTILE * 2}}):
        html = show.table(frame, f"Of {HOSTILE}.", links=["where"], **options).to_html()
        assert "<script" not in html
        assert "<img" not in html
        assert html.count("<a ") == 1
        assert html.count("&lt;script&gt;") >= 3


def test_a_table_without_one_number_is_refused():
    nothing = pd.DataFrame({"clip": ["a", "b"], "score": [NAN, NAN], "low": [NAN, NAN]})
    with pytest.raises(InputError, match=r'not one number of the table "The scores\." is there'):
        show.table(nothing, "The scores.")
    show.table(nothing.assign(clips=[1, 2]), "The scores.")
    show.table(nothing[["clip"]], "The clips.")


def test_the_table_that_was_given_is_not_changed():
    before = TESTS.copy()
    show.table(TESTS, "c", intervals=["mean"], rename={"mean": "lead"})
    pd.testing.assert_frame_equal(TESTS, before)


def test_a_table_without_rows_keeps_its_heads_and_says_that_there_are_none():
    assert cells(show.table(TESTS[:0], "Of others.", intervals=["mean"], columns=["run", "mean"])) == (
        "Of others. There are none.",
        ["run", "mean"],
    )


@pytest.mark.parametrize(
    "options",
    [
        {"percent": ["typo"]},
        {"digits_of": {"typo": 1}},
        {"intervals": ["typo"]},
        {"intervals": {"mean": ("low", "typo")}},
        {"columns": ["run", "typo"]},
        {"rename": {"typo": "a"}},
        {"widths": {"typo": "1%"}},
        {"links": ["typo"]},
    ],
)
def test_a_column_that_is_not_there_is_named(options):
    with pytest.raises(InputError, match="table lacks the column typo; it has run, mean, low, high"):
        show.table(TESTS, "c", **options)


def scored(*scores, specification="frame", first=0):
    clips = [f"clip {n}" for n in range(first, first + len(scores))]
    return pd.DataFrame({"clip": clips, "specification": specification, "score": scores})


def test_a_changed_run_stands_beside_the_thesis_s():
    thesis = pd.concat([scored(0.1, 0.2, -0.3, NAN), scored(-1.0, -1.0, specification="rank")])
    shown = show.compare(
        {"thesis": thesis, "20 coefficients": scored(0.5, 0.1, 0.4, 0.2)},
        "Two runs.",
        specification="frame",
        accuracy={"thesis": 0.6512, "20 coefficients": 0.7},
    )
    # differences 0.4, -0.1, 0.7; the fourth clip has one score only
    assert cells(shown) == (
        "Two runs.",
        [
            *("run", "clips", "NaN", "accuracy", "median score", "share below 0"),
            *("median difference", "clips in both"),
        ],
        ["thesis", "4", "1", "65.1%", "+0.10", "33%", "–", "3"],
        ["20 coefficients", "4", "0", "70.0%", "+0.30", "0%", "+0.40", "3"],
    )


def test_runs_without_a_common_clip_have_no_difference():
    shown = show.compare(
        {"fold 10": scored(0.1, -0.1), "fold 1": scored(NAN, NAN, first=5)},
        "c",
        specification="frame",
        accuracy={"fold 10": 0.5},
    )
    assert list(shown.data.iloc[1]) == ["fold 1", "2", "2", "–", "–", "–", "–", "0"]


def test_clips_are_matched_by_name_not_by_row():
    shuffled = scored(0.1, 0.2, 0.9).iloc[[1, 2, 0]].reset_index(drop=True)
    shown = show.compare({"a": scored(0.1, 0.2, 0.9), "b": shuffled}, "c", specification="frame", accuracy={})
    assert shown.data["median difference"][1] == "+0.00"


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ({"a": scored(0.1)}, "scores holds 1 runs; give two or more"),
        (
            {"a": scored(0.1), "b": scored(0.1, specification="rank")},
            'b has no scores of "frame"; choose from rank',
        ),
        ({"a": scored(0.1), "b": scored(0.1).drop(columns="clip")}, "scores of b lacks the column clip"),
    ],
)
def test_what_cannot_be_compared_is_said(scores, sentence):
    with pytest.raises(InputError, match=sentence):
        show.compare(scores, "c", specification="frame", accuracy={})


@pytest.mark.parametrize("text", ["a.wav", "a`b``c.wav", "<b>$x$</b> *y* {ref}`z`", "a\nb"])
def test_a_name_in_a_sentence_of_markdown_is_shown_as_it_is(text):
    (node,) = MarkdownIt().parseInline(f"Heard is {show.verbatim(text)}.")[0].children[1:2]
    assert (node.type, node.content) == ("code_inline", text.replace("\n", "\\n"))
