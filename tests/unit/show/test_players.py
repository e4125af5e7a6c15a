import base64
import html.parser
import io
import re
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pytest
import soundfile
from IPython.display import HTML

from helpers import InputError, show
from helpers.show import style

HOSTILE = """"><script>alert('x')</script> & <b>"""


def tone(rate, *, hertz=1000, seconds=1.0, peak=0.5):
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def decode(shown):
    """The sound that a player holds, found as the book's builder finds it."""
    (found,) = re.findall(r'src="data:audio/mpeg;base64,([A-Za-z0-9+/=]+)"', shown.data)
    return soundfile.read(io.BytesIO(base64.b64decode(found)))


class Elements(html.parser.HTMLParser):
    """What a browser reads: elements with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text, self.open = {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found[tag] = dict(attrs)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize(
    ("rate", "played"),
    [(22_050, 22_050), (44_100, 44_100), (48_000, 48_000), (8_000, 22_050), (96_000, 48_000)],
)
def test_a_player_plays_what_it_is_given(rate, played):
    sound, decoded_rate = decode(show.player(tone(rate), rate, label="tone"))
    assert decoded_rate == played
    assert len(sound) == pytest.approx(played, rel=0.01)  # one second, so the speed is right
    loudest = np.abs(np.fft.rfft(sound)).argmax() * played / len(sound)
    assert loudest == pytest.approx(1000, rel=0.02)
    assert np.abs(sound[played // 4 : played // 2]).max() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("given", "heard"), [(0.1, 0.1), (1.0, 1.0), (4.0, 1.0)])
def test_only_a_sound_beyond_full_scale_is_turned_down(given, heard):
    sound, _ = decode(show.player(tone(22_050, peak=given), 22_050, label="tone"))
    assert np.abs(sound[5000:15_000]).max() == pytest.approx(heard, rel=0.06)


def test_one_channel_may_come_as_a_row():
    sound = tone(22_050).astype(np.float32)
    assert show.player(sound[None], 22_050, label="a").data == show.player(sound, 22_050, label="a").data


def test_the_same_sound_gives_the_same_player():
    sound = tone(22_050)
    first, second = (show.player(sound, 22_050, label="tone") for _ in range(2))
    assert first.data == second.data


def test_a_player_is_labelled_and_waits_to_be_asked():
    page = Elements(show.player(tone(22_050), 22_050, label="Dog bark", credit="by X").data)
    assert page.open == []
    assert page.text == ["Dog bark", "by X"]
    assert page.found["figure"] == {"class": "player"}
    audio = page.found["audio"]
    assert audio["aria-label"] == "Dog bark"
    assert audio["preload"] == "none"
    assert "controls" in audio
    assert set(audio) == {"aria-label", "preload", "controls", "src"}


def test_no_credit_leaves_no_empty_line():
    assert "small" not in show.player(tone(22_050), 22_050, label="tone").data


def test_text_stays_text():
    page = Elements(show.player(tone(22_050), 22_050, label=HOSTILE, credit=HOSTILE).data)
    assert set(page.found) == {"figure", "figcaption", "br", "small", "audio"}
    assert page.found["audio"]["aria-label"] == HOSTILE
    assert page.text == [HOSTILE, HOSTILE]


def test_a_clip_of_four_seconds_weighs_little():
    noise = 0.1 * np.random.default_rng(0).standard_normal(4 * 44_100)
    assert len(show.player(noise, 44_100, label="noise").data) < 60_000


@pytest.mark.parametrize("length", [1, 10, 30 * 8000])
def test_the_shortest_and_the_longest_sound_are_encoded(length):
    sound, rate = decode(show.player(np.zeros(length), 8000, label="silence"))
    assert len(sound) == pytest.approx(length * rate / 8000, abs=3)


@pytest.mark.parametrize(
    ("samples", "rate", "sentence"),
    [
        (np.array([]), 22_050, "one channel of at most 30 s"),
        (np.zeros((2, 100)), 22_050, r"samples of bark has shape \(2, 100\)"),
        (np.zeros(30 * 8000 + 1), 8000, "one channel of at most 30 s"),
        (np.array([0, np.nan]), 22_050, "not finite"),
        (np.array([0, np.inf]), 22_050, "not finite"),
        (np.zeros(100), 0, "rate is 0; give a positive whole number"),
        (np.zeros(100), -8000, "rate is -8000"),
        (np.zeros(100), 8000.5, "rate is 8000.5"),
    ],
)
def test_a_sound_that_cannot_be_played_is_refused_in_one_sentence(samples, rate, sentence):
    with pytest.raises(InputError, match=sentence):
        show.player(samples, rate, label="bark")


def test_a_row_holds_its_players_in_order():
    players = [show.player(tone(22_050), 22_050, label=label) for label in ("one", "two")]
    shown = show.row(iter(players))
    assert isinstance(shown, HTML)
    page = Elements(shown.data)
    assert page.open == []
    assert page.found["div"]["class"] == "players"
    assert page.text == ["one", "two"]
    assert "flex-wrap: wrap" in page.found["div"]["style"]


def test_a_recording_that_is_not_at_hand_is_a_link_with_the_second_to_listen_from():
    shown = show.listen_at(100648, 12.7, label="Car horn")
    assert isinstance(shown, HTML)
    page = Elements(shown.data)
    assert page.open == []
    assert page.found["figure"] == {"class": "player"}
    assert page.found["a"] == {"href": "https://freesound.org/s/100648/"}  # opens as any link does
    assert page.text == ["Car horn", "Listen at Freesound, recording 100648, from 0:12"]


@pytest.mark.parametrize(
    ("second", "said"),
    [(0, "0:00"), (59.99, "0:59"), (60, "1:00"), (3725.5, "62:05"), (np.float64(7), "0:07")],
)
def test_seconds_are_said_as_a_player_shows_them(second, said):
    assert f"from {said}</a>" in show.listen_at(np.int64(1), second, label="a").data


def test_a_cell_of_a_table_has_the_same_link():
    assert show.link(np.int64(100648), 72.7) == '<a href="https://freesound.org/s/100648/">100648 from 1:12</a>'


def test_what_is_to_be_heard_stays_text():
    page = Elements(show.listen_at(1, 0, label=HOSTILE).data)
    assert set(page.found) == {"figure", "figcaption", "a"}
    assert page.text[0] == HOSTILE


def test_links_and_players_share_a_row():
    shown = show.row([show.player(tone(22_050), 22_050, label="one"), show.listen_at(7, 1, label="two")])
    assert Elements(shown.data).text == ["one", "two", "Listen at Freesound, recording 7, from 0:01"]


@pytest.mark.parametrize(
    ("recording", "second", "sentence"),
    [
        (0, 1, "recording is 0; give its number at Freesound"),
        (1.5, 1, "recording is 1.5;"),
        (1, -0.1, "second is -0.1; give the seconds from the start"),
        (1, np.nan, "second is nan"),
        (1, np.inf, "second is inf"),
    ],
)
def test_a_place_that_cannot_be_is_refused(recording, second, sentence):
    with pytest.raises(InputError, match=sentence):
        show.listen_at(recording, second, label="bark")


def test_a_figure_is_followed_between_the_edges_of_its_panels():
    with style.picture(height=2, source="a source") as figure:
        axes = figure.subplots(2, sharex=True)
        axes[0].set_xlim(0, 4)
        for second in (1, 3):
            axes[1].axvline(second, color="red")
    shown = show.follow(figure, [show.player(tone(22_050), 22_050, label="one")], caption="A <caption>", alt='An "alt"')
    text = shown.data
    left, right, start, end = (
        float(re.search(f'data-{name}="([^"]+)"', text)[1]) for name in ("left", "right", "start", "end")
    )
    assert (start, end) == (0, 4)
    encoded = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)[1]
    picture = mpl.image.imread(io.BytesIO(base64.b64decode(encoded)))
    red = np.flatnonzero(((picture[..., 0] > 0.9) & (picture[..., 1] < 0.2)).any(axis=0)) / picture.shape[1]
    first, last = red[red < 0.5].mean(), red[red > 0.5].mean()
    # seconds 1 and 3 of 4 lie a quarter of the way from the edges
    assert (left + (right - left) / 4, left + (right - left) * 3 / 4) == pytest.approx((first, last), abs=0.003)
    assert "A &lt;caption&gt;" in text
    assert 'alt="An &quot;alt&quot;"' in text
    assert text.count("<audio") == 1


@dataclass(frozen=True)
class Heard:
    samples: np.ndarray | None
    rate: int = 22_050
    recording: int = 1
    second: float = 0.0


def test_versions_are_played_in_their_order_and_the_answer_is_folded():
    versions = {"loudness": Heard(tone(22_050, hertz=500)), "<map>": Heard(tone(22_050, hertz=2000))}
    text = show.blind({"First": versions, "Second": dict(reversed(versions.items()))}).data
    sounds = [soundfile.read(io.BytesIO(base64.b64decode(one))) for one in re.findall(r"mpeg;base64,([^\"]+)", text)]
    hertz = [np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound) for sound, rate in sounds]
    assert hertz == pytest.approx([500, 2000, 2000, 500], rel=0.02)
    assert re.findall(r"<dt>(.)</dt><dd>(.*?)</dd>", text) == [
        ("A", "loudness"),
        ("B", "&lt;map&gt;"),
        ("A", "&lt;map&gt;"),
        ("B", "loudness"),
    ]
    labels = re.findall(r'aria-label="([^"]+)" src', text)
    assert labels == [f"Round {number}, version {letter}" for number in (1, 2) for letter in "AB"]
    assert text.count("<details><summary>Which is which?</summary>") == 2
    assert text.count('preload="none"') == 4
    with pytest.raises(InputError, match="the sound of recording 1 is not at hand; name a folder"):
        show.blind({"First": {"loudness": Heard(None)}})
    assert "loudness" not in re.sub(r"<details>.*?</details>", "", text)  # nothing else gives it away
