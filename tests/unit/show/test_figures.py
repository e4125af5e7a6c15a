import functools
import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from helpers import InputError, show
from helpers.show import style

pytestmark = pytest.mark.filterwarnings("error")

SOURCE = "ResNet18 · synthetic stand-in · quick · seed 0"
STEP = 0.0232  # s per frame
RNG = np.random.default_rng(0)
MFCC = RNG.normal(scale=20, size=(13, 40)).astype(np.float32)
MFCC[0] -= 300
MAP = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (13, 1))
NAMES = ["dog_bark", "siren"]
SLICES = pd.DataFrame(
    [
        ("siren", 1, "foreground", 3),
        ("siren", 2, "foreground", 4),
        ("siren", 1, "background", 5),
        ("drilling", 1, "foreground", 40),
    ],
    columns=["class", "fold", "salience", "slices"],
)
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3] * 2,
        "fold": [0] * 3 + [10] * 3,
        "loss": [2.0, 1.0, 0.5, 2.1, 1.5, 1.6],
        "accuracy": [0.2, 0.6, 0.9, 0.1, 0.5, 0.4],
    }
)
PREDICTIONS = pd.DataFrame({"label": [0, 0, 0, 0, 1], "predicted": [0, 0, 0, 1, 1]})
SCORES = pd.DataFrame(
    {
        "score": [-0.5, -0.1, 0.2, np.nan, 0.4, 0.6, 0.7],
        "architecture": ["ResNet18"] * 4 + ["ResNet101"] * 3,
    }
)
DRAWN = pd.DataFrame(
    {
        "method": ["quadrature nodes"] * 2 + ["random draws"] * 4,
        "values": [1, 2, 2, 2, 10, 10],
        "score": [0.5, 0.6, 0.4, 0.8, 0.7, np.nan],
    }
)
RANDOMISED = pd.DataFrame(
    [
        (check, order, layer, np.nan if check == "MPRT" and layer == "fc" and clip == 0 else value)
        for check in ("MPRT", "score")
        for order in ("top_down", "independent")
        for layer, value in (("original", 1.0), ("fc", 0.5), ("layer1.1", 0.25), ("layer1.0", 0.0))
        for clip in range(4)
    ],
    columns=["check", "order", "layer", "value"],
)
METRICS = ["MC neighbours", "MC coefficient", *(f"MC metric {n}" for n in range(15))]  # as many as there are
AGREED = pd.DataFrame(
    [
        (first, second, np.nan if "MC coefficient" in (first, second) else sign * 0.88, 50)
        for sign, first in zip([1, -1] * 9, METRICS, strict=False)
        for second in METRICS
    ],
    columns=["first", "second", "correlation", "clips"],
)
WON = pd.DataFrame(
    [
        (metric, rival, share, share - 0.1, share + 0.05, 50)
        for metric in METRICS
        for rival, share in (("random nodes", 0.9), ("loudness", 0.4))
    ],
    columns=["metric", "rival", "share", "low", "high", "clips"],
)
BLIND = {
    kind: np.random.default_rng(number).uniform(-0.8, 0.6, 200)
    for number, kind in enumerate(("random nodes", "shifted", "same class", "other class", "independent frames"))
}
STANDING = {"Grad-CAM": 0.31, "loudness": 0.42, "ceiling in nodes": 0.9}
TESTS = pd.DataFrame(
    [
        (f"resnet{depth} seed={seed} hop_length={hop}", minus, mean, mean - 0.1, mean + 0.05)
        for depth, seed, hop in ((18, 0, 1024), (18, 0, 512), (101, 0, 1024), (18, 2, 1024))
        for minus, mean in (("random nodes", 0.2), ("loudness", -0.05))
    ],
    columns=["run", "minus", "mean", "low", "high"],
)
SPECIFIED = pd.DataFrame(
    [
        (layer, effect, "rank", 0.4 - 0.7 * k - 0.2 * n, -0.2, 0.25)
        for k, layer in enumerate(("layer4[-1]", "layer3[-1]"))
        for n, effect in enumerate(("squared change of p", "loss after - before", "loss before - after"))
    ],
    columns=["layer", "effect", "blocks", "estimate", "null_low", "null_high"],
)
SPECIFIED = SPECIFIED.assign(low=SPECIFIED["estimate"] - 0.15, high=SPECIFIED["estimate"] + 0.1)
MODES = [(-0.7, -0.5, "R18-mode"), (-0.3, -0.1, "R18-mode2")]


def two_classes(**options):
    return show.two_classes(
        MFCC,
        np.stack([MAP, MAP[:, ::-1]]),
        **{"classes": NAMES, "seconds_per_frame": STEP, "source": SOURCE, **options},
    )


def three_bars(map=MAP, features=MFCC, **options):
    return show.three_bars(map, features, **{"title": "siren", "seconds_per_frame": STEP, "source": SOURCE, **options})


def map_over_effects(map=MAP, effects=MFCC[0] ** 2, **options):
    given = {"title": "siren", "seconds_per_frame": STEP, "source": SOURCE, **options}
    return show.map_over_effects(map, MFCC, effects, **given)


def heard_and_seen(effects=MFCC[0] ** 2, **options):
    given = {"title": "siren", "seconds_per_frame": STEP, "source": SOURCE, **options}
    return show.heard_and_seen(np.linspace(-1, 1, 11_025), 22_050, MFCC, MAP, effects, **given)


def representations(waveform, **options):
    return show.representations(
        waveform,
        22_050,
        **{"features": MFCC, "seconds_per_frame": STEP, "title": "siren", "source": SOURCE, **options},
    )


def specifications(table=SPECIFIED, own=None, choices=("layer", "effect", "blocks"), **options):
    own = table["estimate"] == 0.4 if own is None else own
    return show.specifications(table, **{"choices": choices, "own": own, "source": SOURCE, **options})


def densities(**options):
    boxes = {"figure 8": pd.DataFrame({"low": [-0.7], "high": [-0.5], "density": [1.4]})}
    rows = pd.concat(SCORES.assign(slip=name) for name in ("none", "one", "two", "three"))
    return show.densities(rows, **{"boxes": boxes, "usual": "none", "source": SOURCE, **options})


EXPECTED = pd.DataFrame(
    [
        (kind, name, model, value, slope * value)
        for kind in ("ResNet18, MFCC, hop 1024, padded", "EfficientNet-Lite0, log-mel, hop 512, repeated")
        for model, slope in (("linear", 0.5), ("tree", -0.5))
        for name in ("flatness", "onsets per second")
        for value in (0.0, 1.0)
    ],
    columns=["kind", "property", "model", "value", "expected"],
)
POINTS = EXPECTED.assign(**{"flatness": 0.5, "onsets per second": 0.2, "score": 0.3})
TRACES = pd.DataFrame(
    [
        (f"{clip}.wav", second / 10, second / 40, 1 - second / 40, -1.0)
        for clip in range(3)
        for second in range(41 - 10 * clip)
    ],
    columns=["clip", "second", "map", "effects", "score"],
)
FIELDS = pd.DataFrame(
    [(name, 0, field, 0.1, 0.0, 0.3) for name in ("resnet18", "resnet18-narrow") for field in (43, 99, 435)],
    columns=["architecture", "seed", "field", "normalised", "low", "high"],
)
ENDS = pd.Series({"2.wav": "best: dog bark", "0.wav": "worst: street music", "1.wav": "worst: siren"})


def dependence(curves=EXPECTED):
    return show.dependence(curves, POINTS, target="score", label="normalised score", source=SOURCE)


ALIKE = pd.DataFrame(
    [
        (kinds, of, 0.1 * n, -0.2, 0.5, -0.1)
        for kinds in ("one: another seed", "one and two")
        for n, of in enumerate("mef")
    ],
    columns=["kinds", "of", "agreement", "low", "high", "another recording"],
)


def overlaid(**options):
    curves = {"seed 0": MAP[0], "seed 1": np.zeros(40)}
    panels = {"maps": curves, "effects": curves}
    return show.overlaid(**{"panels": panels, "seconds_per_frame": STEP, "title": "a.wav", "source": SOURCE, **options})


GROWN = pd.DataFrame(
    {
        "varied": ["clips", "clips", "rows", "rows"],
        "step": "training",
        "clips": [5, 50, 5, 5],
        "rows": [13, 13, 13, 26],
        "seconds": [2.0, 22.0, 1.0, 1.5],
    }
)

EVERY = {
    "two_classes": lambda: two_classes(
        events={"dog_bark": (0.1, 0.3), "siren": [(0.2, 0.4), (0.5, 0.6)]}, sounding_frames=30
    ),
    "representations": lambda: representations(RNG.normal(scale=0.1, size=11_025)),
    "slices_per_class": lambda: show.slices_per_class(SLICES, source=SOURCE),
    "shortcut": lambda: show.shortcut(source=SOURCE),
    "history": lambda: show.history(HISTORY, test_fold=10, source=SOURCE),
    "confusion": lambda: show.confusion(PREDICTIONS, classes=NAMES, source=SOURCE),
    "three_bars": lambda: three_bars(sounding_frames=17),
    "map_over_effects": lambda: map_over_effects(sounding_frames=17),
    "heard_and_seen": lambda: heard_and_seen(),
    "density": lambda: show.density(SCORES, thesis_modes=MODES, source=SOURCE),
    "densities": lambda: densities(),
    "effects": lambda: show.effects(MAP[0], MAP[0] ** 2, source=SOURCE),
    "convergence": lambda: show.convergence(DRAWN, source=SOURCE),
    "randomisation": lambda: show.randomisation(RANDOMISED, source=SOURCE),
    "agreement": lambda: show.agreement(AGREED, source=SOURCE),
    "wins": lambda: show.wins(WON, source=SOURCE),
    "nulls": lambda: show.nulls(BLIND, STANDING, source=SOURCE),
    "differences": lambda: show.differences(TESTS, source=SOURCE),
    "specifications": specifications,
    "dependence": lambda: dependence(),
    "by_field": lambda: show.by_field(FIELDS, sounding=173, source=SOURCE),
    "maps_and_effects": lambda: show.maps_and_effects(TRACES, ENDS, source=SOURCE),
    "growth": lambda: show.growth(GROWN, source=SOURCE),
    "alike": lambda: show.alike(ALIKE, place="another recording", source=SOURCE),
    "overlaid": overlaid,
}


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def words(figure):
    return "\n".join(text.get_text() for text in texts(figure))


def contrast_on_white(color):
    # WCAG 2.2, relative luminance
    channels = np.asarray(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


@functools.cache
def drawn(name):
    figure = EVERY[name]()
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("name", EVERY)
def test_every_figure_stands_alone(name):
    figure = drawn(name)
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert figure.get_size_inches()[0] == pytest.approx(700 / 96, abs=0.02)
    source = figure._supxlabel
    assert source.get_text() == SOURCE
    assert source.get_fontsize() >= 9
    assert source.get_window_extent().x1 > 0.97 * figure.bbox.width
    assert source.get_window_extent().y1 < 0.1 * figure.bbox.height


@pytest.mark.parametrize("name", EVERY)
def test_all_lettering_is_large_dark_and_whole(name):
    figure = drawn(name)
    for text in texts(figure):
        assert text is figure._supxlabel or text.get_fontsize() >= 10, text
        assert contrast_on_white(text.get_color()) >= 4.5, text
    whole = figure.get_tightbbox()  # inches
    width, height = figure.get_size_inches()
    assert min(whole.x0, whole.y0) >= -0.01
    assert whole.x1 <= width + 0.01
    assert whole.y1 <= height + 0.01


@pytest.mark.parametrize("name", EVERY)
def test_no_two_words_overlap(name):
    figure = drawn(name)
    ticks = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks.update(axis.get_ticklabels(which="both"))  # some lie beyond the axes, not drawn
    upright = [text for text in texts(figure) if text not in ticks]
    boxes = [text.get_window_extent().padded(-1) for text in upright]
    for i, box in enumerate(boxes):
        for j in range(i):
            assert not box.overlaps(boxes[j]), (upright[i], upright[j])


def test_a_notebook_shows_the_figure_as_one_opaque_picture():
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(EVERY["effects"]())
    assert set(shown) == {"image/png", "text/plain"}
    picture = plt.imread(io.BytesIO(shown["image/png"]))
    assert picture.shape[1] == pytest.approx(style.WIDTH * 150, abs=1)
    assert (picture[..., 3] == 1).all()


def test_the_dark_theme_knows_which_panels_hold_shades():
    with style.picture(height=2, source="s") as figure:
        lines, shades = figure.subplots(1, 2)
    for axes, place in ((lines, (0, 0, 0.4, 1)), (shades, (0.5, 0.1, 0.25, 0.8))):
        axes.set_position(place)  # left, lower, width, height
    assert style.classes(figure) == "drawn"
    shades.pcolormesh(np.eye(2))
    assert style.classes(figure) == "shaded at-500-100-750-900"
    lines.imshow(np.eye(2), aspect="auto")
    assert style.classes(figure) == "shaded at-0-0-400-1000 at-500-100-750-900"
    bars = show.three_bars(MAP, MFCC, title="t", seconds_per_frame=STEP, source=SOURCE)
    said = style.classes(bars)
    assert re.findall(r"shaded|drawn|at", said) == ["shaded", "at", "at", "at", "at"]
    bars.savefig(io.BytesIO(), format="png")
    assert style.classes(bars) == said  # the panels are where the file has them
    assert b"class=shaded at-0-0-400-1000 at-500-100-750-900;" in figure._repr_png_()[:1000]


def test_a_dark_style_of_the_reader_changes_nothing():
    with plt.style.context("dark_background"):
        figure = EVERY["history"]()
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
    assert figure.axes[0].title.get_color() == "black"


def test_colours_of_curves_stand_out_from_white_and_never_alone():
    colours, markers, lines = zip(*style.MARKS, strict=True)
    assert min(contrast_on_white(colour) for colour in colours) >= 3
    assert len(set(markers)) == len(set(lines)) == len(style.MARKS)


def test_a_representation_that_says_nothing_of_its_rows_is_drawn_all_the_same():
    assert [axes.get_ylabel() for axes in three_bars(representation="chroma").axes[:2]] == ["row", "row"]


def test_three_bars_draw_what_they_are_given():
    figure = three_bars(MAP[None], MFCC[None])  # a leading axis of length 1 is dropped
    alone, sound, both, scale = figure.axes
    np.testing.assert_array_equal(alone.images[0].get_array(), MAP)
    np.testing.assert_array_equal(sound.images[0].get_array(), MFCC)
    np.testing.assert_array_equal(both.images[0].get_array(), MFCC)
    np.testing.assert_array_equal(both.images[1].get_array(), MAP)
    assert alone.images[0].get_extent() == pytest.approx([0, 40 * STEP, -0.5, 12.5])
    assert alone.images[0].origin == "lower"
    assert both.images[1].get_clim() == alone.images[0].get_clim() == (0, 1)
    assert scale.get_xlim() == (0, 1)
    assert "0 low, 1 high" in scale.get_xlabel()
    assert "padding" not in words(figure)


def test_importance_is_more_opaque_the_higher_it_is():
    image = three_bars().axes[2].images[1]
    opacity = image.cmap(np.linspace(0, 1, 11))[:, 3]
    assert opacity[0] == 0  # the sound shows where the map is 0
    assert (np.diff(opacity) > 0).all()


def test_three_bars_hatch_the_padding():
    figure = three_bars(sounding_frames=17)
    for axes in figure.axes[:3]:
        (span,) = axes.patches
        assert span.get_hatch()
        assert span.get_x() == pytest.approx(17 * STEP)
        assert span.get_x() + span.get_width() == pytest.approx(40 * STEP)
        assert [text.get_text() for text in axes.texts] == ["padding"]
    assert "padding" not in words(three_bars(sounding_frames=40))


def test_effects_stand_below_the_map_as_shares_of_the_largest():
    effects = np.arange(40.0)
    both, below, _ = map_over_effects(effects=effects, sounding_frames=17).axes
    np.testing.assert_array_equal(both.images[0].get_array(), MFCC)
    np.testing.assert_array_equal(both.images[1].get_array(), MAP)
    top = below.collections[0].get_paths()[0].vertices
    assert top[:, 1].max() == 1
    assert top[:, 0].max() == pytest.approx(39 * STEP)
    # at half of the largest effect half of the height
    assert top[np.isclose(top[:, 0], 20 * STEP), 1].max() == pytest.approx(20 / 39)
    map_over_effects(effects=np.zeros(40))  # a network that nothing moves


@pytest.mark.parametrize("effects", [np.ones(39), np.full(40, np.nan), np.ones((1, 40))])
def test_effects_are_one_number_for_each_frame(effects):
    for draw in (map_over_effects, heard_and_seen):
        with pytest.raises(InputError, match="give one number for each frame"):
            draw(effects=effects)


def test_what_is_heard_is_seen_on_one_axis_as_long_as_the_sound():
    wave, seen, marked, below = heard_and_seen(effects=np.arange(40.0)).axes
    assert {axes.get_xlim() for axes in (wave, seen, marked, below)} == {(0, 0.5)}  # 11 025 samples at 22 050 Hz
    seconds, samples = wave.lines[0].get_data()
    assert (samples[0], samples[-1], seconds[-1]) == (-1, 1, pytest.approx(0.5, abs=1e-4))
    np.testing.assert_array_equal(seen.images[0].get_array(), MFCC)
    np.testing.assert_array_equal(marked.images[0].get_array(), MAP)
    assert below.collections[0].get_paths()[0].vertices[:, 1].max() == 1


def test_an_empty_map_is_called_so():
    assert "0 everywhere" in words(three_bars(np.zeros_like(MAP)))
    assert "0 everywhere" not in words(three_bars())


@pytest.mark.parametrize("scale", [0, 1e-3, 1, 1e4])
def test_an_mfcc_of_any_scale_is_drawn_with_zero_in_the_middle(scale):
    image = three_bars(features=np.full((13, 40), scale)).axes[1].images[0]
    assert image.norm(0) == pytest.approx(0.5)
    assert image.norm(scale) == pytest.approx(1 if scale else 0.5)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_a_scaled_mfcc_gives_the_same_greys(scale):
    raw, scaled = (three_bars(features=m).axes[1].images[0] for m in (MFCC, MFCC * scale))
    np.testing.assert_allclose(scaled.norm(MFCC * scale), raw.norm(MFCC), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"map": MAP[:, :-1]}, r"map has shape \(13, 39\), its features \(13, 40\)"),
        ({"map": MAP * 2}, "map leaves the range 0 to 1"),
        ({"map": MAP - 0.1}, "map leaves the range 0 to 1"),
        ({"map": np.full_like(MAP, np.nan)}, "map holds values that are not finite"),
        ({"features": np.stack([MFCC, MFCC])}, r"features has shape \(2, 13, 40\)"),
        ({"features": np.zeros((13, 0))}, r"features has shape \(13, 0\)"),
        ({"sounding_frames": 41}, "sounding_frames is 41; give a number from 0 to 40"),
    ],
)
def test_three_bars_say_what_is_wrong(options, sentence):
    with pytest.raises(InputError, match=sentence):
        three_bars(**options)


@pytest.mark.parametrize(("rows", "frames"), [(2, 32), (64, 345), (128, 1000)])
def test_any_number_of_rows_and_frames_fills_the_panel(rows, frames):
    bands, blank = RNG.normal(-40, 20, size=(rows, frames)), np.zeros((rows, frames))
    figures = [
        three_bars(blank, bands, representation="log-mel"),
        show.two_classes(
            bands, [blank], classes=["siren"], seconds_per_frame=STEP, representation="log-mel", source=SOURCE
        ),
        representations(np.ones(11_025), features=bands, representation="log-mel"),
    ]
    for figure in figures:
        assert "log-mel" in words(figure)
        assert "MFCC" not in words(figure)
        panels = [axes for axes in figure.axes if axes.images]
        assert {axes.get_ylabel() for axes in panels} == {"mel band"}
        for image in (image for axes in panels for image in axes.images):
            assert image.get_extent() == pytest.approx([0, frames * STEP, -0.5, rows - 0.5])
            assert list(image.axes.get_yticks()) == [0, rows // 2, rows - 1]
    greys = figures[0].axes[1].images[0]
    assert greys.norm(bands.min()) == 0  # black to white over the values that there are
    assert greys.norm(bands.max()) == 1
    assert greys.norm((bands.min() + bands.max()) / 2) == pytest.approx(0.5)


def test_rows_of_an_mfcc_are_coefficients_and_maps_bear_the_name_of_their_explainer():
    assert three_bars().axes[1].get_ylabel() == "coefficient"
    assert "in the Grad-CAM map" in words(three_bars())
    for figure in (three_bars(explainer="Saliency"), two_classes(explainer="Saliency")):
        assert "in the Saliency map" in words(figure)
        assert "Grad-CAM" not in words(figure)


def test_two_classes_draw_each_map_and_the_true_times():
    figure = EVERY["two_classes"]()
    truth, mixture, dog, siren, _ = figure.axes
    np.testing.assert_array_equal(mixture.images[0].get_array(), MFCC)
    np.testing.assert_array_equal(dog.images[1].get_array(), MAP)
    np.testing.assert_array_equal(siren.images[1].get_array(), MAP[:, ::-1])
    assert dog.get_title(loc="left") == "Grad-CAM for dog_bark"
    spans = [[tuple(path.get_extents().intervalx) for path in bars.get_paths()] for bars in truth.collections]
    assert spans == [[(0.1, 0.3)], [(0.2, 0.4), (0.5, 0.6)]]
    assert [label.get_text() for label in truth.get_yticklabels()] == NAMES
    assert len({bars.get_hatch() for bars in truth.collections}) == 2
    assert [line.get_xdata()[0] for line in siren.lines] == [0.2, 0.4, 0.5, 0.6]
    assert words(figure).count("padding") == 3


def test_two_classes_without_known_times_have_no_row_for_them():
    assert len(two_classes().axes) == 4


def test_two_classes_need_a_map_per_class():
    with pytest.raises(InputError, match="maps holds 2 maps for 1 classes"):
        two_classes(classes=["siren"])


def test_spectrogram_puts_a_tone_at_its_frequency():
    seconds = np.arange(22_050) / 22_050
    figure = representations(np.sin(2 * np.pi * 1000 * seconds))
    wave, spectrogram, mfcc, *_ = figure.axes
    np.testing.assert_allclose(wave.lines[0].get_xdata(), seconds)
    mesh = spectrogram.collections[0]
    corners = mesh.get_coordinates()[:, 0, 1]
    loudest = mesh.get_array().mean(axis=1).argmax()
    assert corners[loudest] <= 1000 <= corners[loudest + 1]
    assert mesh.get_array().max() == pytest.approx(0, abs=1e-6)  # dB re loudest
    assert mesh.get_array().min() >= -80
    np.testing.assert_array_equal(mfcc.images[0].get_array(), MFCC)
    assert wave.get_xlim() == spectrogram.get_xlim() == mfcc.get_xlim() == (0, 1)
    assert "padding" not in words(figure)


def test_frames_beyond_the_waveform_are_padding():
    figure = representations(np.ones((1, 11_025)))  # 0.5 s of sound, 0.928 s of frames
    assert figure.axes[2].patches[0].get_x() == pytest.approx(0.5)
    assert "padding" in words(figure)


@pytest.mark.parametrize("waveform", [np.zeros(22_050), np.zeros(3), np.ones(1000)])
def test_silent_and_short_waveforms_are_drawn(waveform):
    representations(waveform).draw_without_rendering()


def test_two_channels_are_refused():
    with pytest.raises(InputError, match="waveform has 2 channels"):
        representations(np.ones((2, 100)))


def test_slices_are_added_over_folds_and_written():
    figure = EVERY["slices_per_class"]()
    foreground, background = figure.axes[0].containers[:2]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["siren", "drilling"]  # fewest at the bottom
    assert [bar.get_width() for bar in foreground] == [7, 40]
    assert [bar.get_width() for bar in background] == [5, 0]
    assert [bar.get_x() for bar in background] == [7, 40]
    assert all(bar.get_hatch() for bar in background)
    assert "7 + 5 = 12" in words(figure)
    assert "40 + 0 = 40" in words(figure)


def test_the_shortcut_tells_what_happens_when_the_layers_give_nothing():
    said = words(EVERY["shortcut"]())
    assert said.count("shortcut: x unchanged") == 2
    assert "relu(F(x) + x)" in said
    assert "relu(0 + x) = x" in said


def test_history_draws_both_parts_of_both_measures():
    loss, accuracy = EVERY["history"]().axes
    for axes, what in ((loss, "loss"), (accuracy, "accuracy")):
        for line, fold in zip(axes.lines, (0, 10), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(line.get_ydata(), HISTORY.loc[HISTORY["fold"] == fold, what])
    assert [text.get_text() for text in loss.figure.legends[0].get_texts()] == ["training folds", "test fold"]
    assert loss.lines[0].get_linestyle() != loss.lines[1].get_linestyle()
    assert loss.lines[0].get_marker() != loss.lines[1].get_marker()
    assert accuracy.get_ylim() == (0, 1)


def test_history_of_one_epoch_is_drawn():
    show.history(HISTORY[HISTORY["epoch"] == 1], test_fold=10, source=SOURCE).draw_without_rendering()


def test_every_fold_that_was_held_out_has_a_line_with_its_number():
    held = [HISTORY[HISTORY["fold"] == 10].assign(fold=fold) for fold in range(4, 11)]
    figure = show.history(pd.concat([HISTORY[HISTORY["fold"] == 0], *held]), test_fold=10, source=SOURCE)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["training folds", "test fold", *(f"fold {fold}" for fold in range(4, 10))]


def test_confusion_counts_shares_and_recall():
    predictions = pd.concat([PREDICTIONS, pd.DataFrame({"label": [0], "predicted": [2]})])
    figure = show.confusion(predictions, classes=[*NAMES, "drilling"], source=SOURCE)
    axes, scale = figure.axes
    shares = axes.collections[0].get_array().reshape(3, 3)
    np.testing.assert_allclose(shares[:2], [[0.6, 0.2, 0.2], [0, 1, 0]])
    assert shares.mask[2].all()  # no clip of this class: no share, not 0 %
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["3", "1", "1", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "dog_bark\nrecall 60%",
        "siren\nrecall 100%",
        "drilling\nrecall – (no clips)",
    ]
    assert scale.get_ylim() == (0, 1)
    assert "4 of 6 clips" in axes.get_title(loc="left")


def test_numbers_in_the_matrix_are_readable_on_the_darkest_cell():
    image = EVERY["confusion"]().axes[0].collections[0]
    assert 21 / contrast_on_white(image.cmap(1.0)) >= 4.5  # black lettering


def test_confusion_refuses_an_unknown_class():
    with pytest.raises(InputError, match="outside 0 to 0"):
        show.confusion(PREDICTIONS, classes=["dog_bark"], source=SOURCE)


def test_density_shows_every_score_and_counts_the_missing():
    figure = EVERY["density"]()
    curve, points = figure.axes
    assert "ResNet18: n = 3, NaN = 1, median = -0.10" in words(figure)
    assert "ResNet101: n = 3, NaN = 0, median = +0.60" in words(figure)
    drawn = [line for line in points.lines if line.get_marker() in "oD"]
    np.testing.assert_array_equal(drawn[0].get_xdata(), [-0.5, -0.1, 0.2])
    np.testing.assert_array_equal(drawn[1].get_xdata(), [0.4, 0.6, 0.7])
    medians = [line.get_xdata()[0] for line in points.lines if line.get_marker() == "|"]
    assert medians == [-0.1, 0.6]
    for axes in (curve, points):
        assert [0, 0] in [list(line.get_xdata()) for line in axes.lines]


def test_density_curves_integrate_to_the_mass_between_minus_one_and_one():
    scores = pd.DataFrame({"score": np.linspace(-0.3, 0.3, 50), "architecture": "ResNet18"})
    curve = show.density(scores, source=SOURCE).axes[0].lines[0]
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(1, abs=0.01)
    for side in (-1, 1):
        scores = pd.DataFrame({"score": side * np.linspace(0.5, 1, 50), "architecture": "ResNet18"})
        curve = show.density(scores, source=SOURCE).axes[0].lines[0]
        assert np.abs(curve.get_xdata()).max() <= 1


def test_density_shades_the_modes_of_the_thesis():
    curve, points = EVERY["density"]().axes
    for axes in (curve, points):
        spans = [(span.get_x(), span.get_x() + span.get_width()) for span in axes.patches]
        np.testing.assert_allclose(spans, [(-0.7, -0.5), (-0.3, -0.1)])
    assert [text.get_text() for text in curve.texts] == ["R18-mode", "R18-mode2"]
    assert "thesis" in words(curve.figure)
    assert "thesis" not in words(show.density(SCORES, source=SOURCE))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0.3], "n = 1, NaN = 0, median = +0.30 (no curve"),
        ([0.3, 0.3, np.nan], "n = 2, NaN = 1, median = +0.30 (no curve"),
        ([np.nan, np.nan], "n = 0, NaN = 2 (no curve"),
    ],
)
def test_density_says_why_there_is_no_curve(values, sentence):
    scores = pd.DataFrame({"score": np.array(values, float), "architecture": "ResNet18"})
    figure = show.density(scores, thesis_modes=MODES, source=SOURCE)
    figure.draw_without_rendering()
    assert sentence in words(figure)


def test_effects_are_drawn_in_ranks_with_the_score_in_the_title():
    figure = show.effects([0.1, 0.9, 0.9, 0.2], [5.0, 7.0, 8.0, 1.0], source=SOURCE)
    line = figure.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 3.5, 3.5, 2])
    np.testing.assert_array_equal(line.get_ydata(), [2, 3, 4, 1])
    # Pearson of those ranks by hand: 3.5 / sqrt(4.5 * 5) = 0.74
    assert figure.axes[0].get_title(loc="left") == "Spearman correlation +0.74 (4 blocks)"


def test_effects_of_a_constant_map_are_undefined():
    figure = show.effects([1, 1, 1], [1, 2, 3], source=SOURCE)
    assert "undefined, one side is constant" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize(("said", "done"), [([1, 2], [1, 2, 3]), ([1], [1]), ([1, np.nan], [1, 2]), ([], [])])
def test_effects_need_as_many_finite_values_of_each(said, done):
    with pytest.raises(InputError, match="two or more and all finite"):
        show.effects(said, done, source=SOURCE)


def test_convergence_marks_every_score_and_joins_the_means():
    (axes,) = show.convergence(DRAWN, source=SOURCE).axes
    nodes, _, _, draws, marks, _ = axes.lines
    np.testing.assert_allclose(nodes.get_xydata(), [[1, 0.5], [2, 0.6]])
    np.testing.assert_allclose(draws.get_xydata(), [[2, 0.6], [10, 0.7]])  # means of 0.4, 0.8 and of 0.7, NaN
    np.testing.assert_allclose(marks.get_xydata(), [[2, 0.4], [2, 0.8], [10, 0.7], [10, np.nan]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "10"]


@pytest.mark.parametrize(
    ("draw", "table", "column"),
    [
        (show.slices_per_class, SLICES, "salience"),
        (lambda t, source: show.history(t, test_fold=10, source=source), HISTORY, "fold"),
        (show.density, SCORES, "architecture"),
        (show.convergence, DRAWN, "method"),
        (show.randomisation, RANDOMISED, "order"),
        (show.agreement, AGREED, "clips"),
        (show.wins, WON, "rival"),
        (show.differences, TESTS, "minus"),
        (specifications, SPECIFIED, "null_low"),
        (lambda t, source: show.confusion(t, classes=NAMES, source=source), PREDICTIONS, "label"),
    ],
)
def test_a_missing_column_or_row_is_named(draw, table, column):
    with pytest.raises(InputError, match=f"lacks the column {column};"):
        draw(table.drop(columns=column), source=SOURCE)
    with pytest.raises(InputError, match="has no rows"):
        draw(table[:0], source=SOURCE)


def test_randomisation_draws_the_middle_of_the_clips_that_have_a_value():
    rows = RANDOMISED.assign(clip=RANDOMISED.groupby(["check", "order", "layer"]).cumcount())
    rows["value"] -= rows["clip"] / 100
    rows.loc[rows["check"] == "score", "value"] /= 2
    other_way = rows["order"] == "independent"  # Quantus gives these from the input to the output
    rows = pd.concat([rows[~other_way], rows[other_way][::-1]])
    similarity, score, empty = show.randomisation(rows, source=SOURCE).axes
    cascade, alone, *_ = similarity.lines
    # a stage is one unit wide: its first of two layers lies in the middle, its last on the tick
    for line in (cascade, alone):
        np.testing.assert_allclose(line.get_xdata(), [0, 1, 1.5, 2])
        np.testing.assert_allclose(line.get_ydata(), [0.985, 0.48, 0.235, -0.015])  # fc: of three clips
    np.testing.assert_allclose(score.lines[0].get_ydata(), [0.4925, 0.2425, 0.1175, -0.0075])
    np.testing.assert_allclose(empty.lines[0].get_ydata(), [0, 0.25, 0, 0])
    assert [label.get_text() for label in empty.get_xticklabels()] == ["original", "fc", "layer1"]
    assert cascade.get_linestyle() != alone.get_linestyle()
    assert cascade.get_marker() != alone.get_marker()
    band = similarity.collections[0].get_paths()[0].vertices
    at_original = band[band[:, 0] == 0][:, 1]
    assert (at_original.min(), at_original.max()) == pytest.approx((0.9775, 0.9925))


def agreed(**correlations: float) -> pd.DataFrame:
    """agreed(ab=0.5): of metrics a, b, c in that order; pairs that are not named have no correlation."""
    rows = [
        (a, b, 1.0 if a == b else correlations.get("".join(sorted(a + b)), np.nan), 7 if "a" in a + b else 9)
        for a in "abc"
        for b in "abc"
    ]
    return pd.DataFrame(rows, columns=AGREED.columns)


def cells(figure):
    """Numbers of the matrix by row and column."""
    (axes,) = figure.axes
    rows, columns = ([t.get_text() for t in a.get_ticklabels()] for a in (axes.yaxis, axes.xaxis))
    return {(rows[int(t.get_position()[1])], columns[int(t.get_position()[0])]): t.get_text() for t in axes.texts}


def test_agreement_writes_each_pair_once():
    figure = show.agreement(agreed(ab=-0.123, ac=1.0, bc=0.5), source=SOURCE)
    assert cells(figure) == {("b", "a"): "-.12", ("c", "a"): "+1", ("c", "b"): "+.50"}
    assert "over 7 to 9 clips" in figure.axes[0].get_title(loc="left")
    mesh = figure.axes[0].collections[0]
    assert mesh.get_clim() == (-1, 1)
    for value in (-1, 1):  # black lettering on the darkest cells
        assert 21 / contrast_on_white(mesh.cmap(mesh.norm(value))[:3]) >= 4.5


def test_agreement_leaves_out_a_metric_that_nothing_can_be_compared_with():
    assert cells(show.agreement(agreed(ac=-0.004), source=SOURCE)) == {("c", "a"): "-.00"}
    assert cells(show.agreement(agreed(ab=0.1, ac=0.2), source=SOURCE))["c", "b"] == "–"
    figure = show.agreement(agreed(), source=SOURCE)
    figure.draw_without_rendering()
    assert "too few clips" in words(figure)


def test_wins_are_marked_with_their_intervals():
    table = WON[WON["metric"].isin(METRICS[:2])].copy()
    table.loc[table["metric"] == METRICS[1], "clips"] = [3, 2]
    (axes,) = show.wins(table, source=SOURCE).axes
    blind, loud = (line for line in axes.lines if line.get_marker() in "o^")
    np.testing.assert_allclose(blind.get_xdata(), [0.9, 0.9])
    np.testing.assert_allclose(loud.get_xdata(), [0.4, 0.4])
    assert (blind.get_ydata() < loud.get_ydata()).all()
    np.testing.assert_array_equal(np.round(blind.get_ydata()), [0, 1])
    for line, spans in zip((blind, loud), axes.collections, strict=True):
        for (x, y), (start, end) in zip(line.get_xydata(), spans.get_segments(), strict=True):
            np.testing.assert_allclose([start, end], [[x - 0.1, y], [x + 0.05, y]])
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "MC neighbours, n = 50",
        "MC coefficient, n = 2",
    ]
    assert [0.5, 0.5] in [list(line.get_xdata()) for line in axes.lines]


def test_a_sixth_rival_is_drawn_as_well():
    rivals = [WON[WON["rival"] == "loudness"].assign(rival=f"rival {n}") for n in range(6)]
    (axes,) = show.wins(pd.concat(rivals), source=SOURCE).axes
    labels = [line.get_label() for line in axes.lines if line.get_marker() in tuple("os^Dv")]
    assert labels == [f"Grad-CAM above rival {n}" for n in range(6)]


def test_nulls_count_the_maps_of_each_kind_and_mark_other_scores():
    scores = {
        "random nodes": [-0.5, -0.1, 0.0, np.nan, 0.3],
        "shifted": [0.2, np.nan],
        "same class": [np.nan],
    }
    marks = {"Grad-CAM": 0.31, "loudness": np.nan, "ceiling": 0.9}
    figure = show.nulls(scores, marks, source=SOURCE)
    random, shifted = figure.axes  # a kind without a score has no panel
    assert random.get_title(loc="left") == "random nodes, 4 maps, 50% below 0"  # 0 is not below
    assert shifted.get_title(loc="left") == "shifted, 1 maps, 0% below 0"
    bars = {bar.get_x(): bar.get_height() for bar in random.patches if bar.get_height()}
    assert sum(bars.values()) == 4
    assert sorted(bars) == pytest.approx([-0.5, -0.1, 0.0, 0.3], abs=0.026)
    for axes in figure.axes:
        assert [line.get_xdata()[0] for line in axes.lines] == [0.31, 0.9]
        assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Grad-CAM", "ceiling"]
    assert random.get_xlim() == (-1, 1)


@pytest.mark.parametrize("scores", [{}, {"shifted": []}, {"shifted": [np.nan]}])
def test_nulls_need_a_score(scores):
    with pytest.raises(InputError, match="scores has no finite score; there is nothing to draw"):
        show.nulls(scores, STANDING, source=SOURCE)


def test_differences_stand_in_the_row_of_their_run():
    table = TESTS[:5].sample(frac=1, random_state=1)
    table = table.assign(mean=table["mean"] + np.arange(5) / 100)
    (axes,) = show.differences(table, source=SOURCE).axes
    runs = list(table["run"].unique())
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [run.replace("resnet", "ResNet") for run in runs]
    marked = [line for line in axes.lines if line.get_marker() in "o^"]
    rivals = [line.get_label().removeprefix("Grad-CAM minus ") for line in marked]
    assert rivals == list(table["minus"].unique())
    for rival, line, spans in zip(rivals, marked, axes.collections, strict=True):
        own = table[table["minus"] == rival].set_index("run")
        assert np.isnan(line.get_xdata()).sum() == len(runs) - len(own)
        for (x, y), vertices in zip(line.get_xydata(), spans.get_segments(), strict=True):
            if np.isfinite(x):
                low, middle, high = own.loc[runs[round(y)], ["low", "mean", "high"]]
                assert x == middle
                np.testing.assert_allclose(vertices, [[low, y], [high, y]])
    assert (marked[0].get_ydata() < marked[1].get_ydata()).all()  # beside each other
    assert [0, 0] in [list(line.get_xdata()) for line in axes.lines]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first run at the top


def test_the_specification_curve_rises_and_shows_its_choices_below():
    table = SPECIFIED.sample(frac=1, random_state=3)
    table.loc[table.index[0], "estimate"] = np.nan  # has no place on the curve
    own = table["layer"].eq("layer4[-1]") & table["effect"].eq("squared change of p")
    figure = specifications(table, own=own)
    top, bottom = figure.axes
    order = table.dropna().sort_values("estimate")
    dots, marked, _ = top.lines
    assert len(order) == 5
    np.testing.assert_allclose(dots.get_xydata(), np.column_stack([np.arange(5), order["estimate"]]))
    place = list(order["layer"] + order["effect"]).index("layer4[-1]squared change of p")
    np.testing.assert_allclose(marked.get_xydata(), [[place, order["estimate"].iloc[place]]])
    band, spans = top.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (-0.2, 0.25)
    for (start, end), (x, row) in zip(spans.get_segments(), enumerate(order.to_dict("records")), strict=True):
        np.testing.assert_allclose([start, end], [[x, row["low"]], [x, row["high"]]])
    # a choice with one value is left out
    values = [tuple(label.get_text().split(": ")) for label in bottom.get_yticklabels()]
    assert {choice for choice, _ in values} == {"layer", "effect"}
    assert len(values) == 5
    for row, (choice, value) in enumerate(values):
        ticks = bottom.lines[row]
        np.testing.assert_array_equal(ticks.get_xdata(), np.flatnonzero(order[choice] == value))
        assert set(ticks.get_ydata()) == {row}


def test_the_choices_of_a_curve_have_names_without_underscores():
    table = SPECIFIED.assign(hop_length=[1024, 512] * 3)
    (_, bottom) = specifications(table, choices=["hop_length"]).axes
    assert {label.get_text() for label in bottom.get_yticklabels()} == {"hop length: 512", "hop length: 1024"}


# The ladder


def test_the_ladder_has_a_row_per_rung_and_a_panel_per_place():
    rungs = ["random nodes", "mean map", "Grad-CAM"]
    table = pd.DataFrame(
        {
            "rung": rungs * 2,
            "knows": ["nothing", "no clip", "both"] * 2,
            "where": ["all frames"] * 3 + ["inside the sound"] * 3,
            "score": [0.0, 0.6, 0.5, 0.0, -0.1, 0.1],
            "low": [-0.1, 0.5, 0.4, -0.1, -0.2, 0.0],
            "high": [0.1, 0.7, 0.6, 0.1, 0.0, 0.2],
        }
    )
    figure = show.ladder(table.iloc[:-1], source="made up")  # a rung that is not scored in one place
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "random nodes\n(knows nothing)",
        "mean map\n(knows no clip)",
        "Grad-CAM\n(knows both)",
    ]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["all frames", "inside the sound"]
    marks = [line.get_xdata()[0] for line in first.lines if line.get_marker() not in ("None", "")]
    assert marks == [0.0, 0.6, 0.5]
    assert first.get_ylim() == second.get_ylim() == (2.5, -0.5)


def test_dependence_has_a_row_of_panels_per_kind_and_a_line_per_model():
    panels = dependence().axes
    assert [axes.get_xlabel() for axes in panels] == ["flatness", "onsets per second"] * 2
    assert [axes.get_title("left") for axes in panels[::2]] == list(EXPECTED["kind"].unique())
    points, linear, tree, _ = panels[0].lines
    assert linear.get_ydata().tolist() == [0, 0.5]
    assert tree.get_ydata().tolist() == [0, -0.5]
    assert len(points.get_xdata()) == 8


def test_dependence_says_when_there_is_no_model():
    assert "too few clips for a model" in words(dependence(pd.DataFrame()))


def test_maps_stand_beside_effects_down_the_left_side_first():
    panels = show.maps_and_effects(TRACES, ENDS, source=SOURCE).axes
    assert [axes.get_title("left") for axes in panels] == [
        "best: dog bark, -1.00",
        "worst: siren, -1.00",
        "worst: street music, -1.00",
        "",
    ]
    shown, effects = panels[0].lines
    assert (shown.get_label(), effects.get_label()) == ("Grad-CAM", "effects")
    assert len(shown.get_xdata()) == 21
    assert effects.get_ydata()[0] == 1


# Networks that answer alike


def test_overlaid_curves_are_shares_of_their_own_peak_over_seconds():
    curve = np.array([0, 2, 4])
    figure = overlaid(panels={"maps": {"a": curve, "b": 10 * curve}, "effects": {"a": curve}})
    maps, effects = figure.axes
    assert [line.get_ydata().tolist() for line in maps.lines] == [[0, 0.5, 1]] * 2
    assert maps.lines[0].get_xdata() == pytest.approx([0, STEP, 2 * STEP])
    assert len(effects.lines) == 1
    with pytest.raises(InputError, match="nothing to draw"):
        overlaid(panels={"maps": {}})


def test_what_is_alike_elsewhere_too_stands_hollow_beside_what_is_compared():
    figure = show.alike(ALIKE, place="another recording", source=SOURCE)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one: another seed", "one and two"]
    filled, hollow = axes.lines[0], axes.lines[1]
    assert filled.get_xdata().tolist() == [0, 0]
    assert hollow.get_xdata().tolist() == [-0.1, -0.1]
    assert (hollow.get_markerfacecolor(), hollow.get_ydata().tolist()) == ("white", filled.get_ydata().tolist())


def test_a_waveform_is_drawn_as_a_line_with_its_map_behind_it():
    waves = np.tile(np.linspace(-2, 2, 8)[:, None], (1, 5))
    figure = three_bars(np.full((8, 5), 0.5), waves, representation="waveform")
    alone, sound, both = figure.axes[:3]
    assert sound.get_ylabel() == "amplitude"
    assert sound.lines[0].get_ydata().tolist() == waves.T.ravel().tolist()
    assert not sound.images
    assert both.images[0].get_extent()[2:] == [-2, 2] == list(alone.get_ylim())


def test_growth_is_drawn_as_multiples_of_the_first_beside_the_line_where_both_grow_alike():
    clips, bands = show.growth(GROWN, source=SOURCE).axes
    assert [line.tolist() for line in clips.lines[0].get_data()] == [[1, 10], [1, 11]]
    assert list(clips.lines[1].get_xdata()) == [1, 10]
    assert bands.get_xlabel() == "times as many rows"


def test_what_is_known_by_name_looks_the_same_whatever_stands_beside_it():
    blue, orange, green, purple, _ = style.MARKS
    assert style.looks(["loudness", "Grad-CAM"]) == [green, orange]
    assert style.looks(["random nodes", "minus loudness", "bump"]) == [blue, green, orange]
    assert style.looks(["ResNet101, seed 0", "ResNet18, seed 0", "ResNet18, seed 1"]) == [purple, blue, orange]
    assert style.looks(["Grad-CAM++", "ResNet18-narrow"]) == [blue, orange]  # others than Grad-CAM and ResNet18
    assert style.looks("abcdef") == [*style.MARKS, blue]
