"""The run: what may be asked for, what it is called, and where its results lie."""

import sys
from types import SimpleNamespace
from typing import get_origin

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers import InputError, study
from helpers.book import cli


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A data folder with nothing in it."""
    monkeypatch.setattr(study, "DATA", tmp_path)
    return tmp_path


# Declarations


def test_defaults_are_those_of_the_thesis_as_we_read_it(empty):
    run = study.open(profile="thesis")
    thesis = {
        "n_mfcc": 13,
        "n_fft": 2048,
        "hop_length": 1024,
        "frames": 400,
        "padding": "zero",
        "sampling_rate": 44_100,
    }
    thesis |= {"epochs": 30, "batch_size": 16, "learning_rate": 1e-3, "optimizer": "AdamW", "test_fold": 10}
    thesis |= {
        "explainer": "Grad-CAM",
        "layer": "layer4[-1]",
        "explanations": 50,
        "training_folds": tuple(range(1, 10)),
    }
    thesis |= {"draws": 10, "features_in_step": 13, "perturb_baseline": "uniform", "representation": "mfcc"}
    assert {name: getattr(run, name) for name in thesis} == thesis
    assert run.changed == {}
    assert run.label == "ResNet18 · synthetic stand-in · thesis · seed 0"
    assert run.seconds_per_frame == pytest.approx(1024 / 44100, rel=1e-12)


@pytest.mark.parametrize("name", study.FIELDS)
def test_every_field_says_what_it_is(name):
    info = study.FIELDS[name]
    assert info.description
    assert study.comment(name)
    assert "\n" not in study.comment(name)
    if info.default not in ("", ()) and not isinstance(info.default, tuple):
        study.check(name, info.default)


@pytest.mark.parametrize("name", [n for n in study.FIELDS if study.legal(n)])
def test_every_legal_value_is_taken_and_named_in_the_comment(name):
    for value in study.legal(name):
        study.check(name, value)
        assert str(value) in study.comment(name)


def test_the_table_has_a_row_for_every_field():
    assert study.table()["parameter"].tolist() == list(study.FIELDS)


def test_profiles_scale_fields_of_the_run_and_nothing_else():
    for name, values in study.profiles().items():
        study.check("profile", name)
        for field, value in values.items():
            if not field.endswith("_deep"):
                study.check(field, value)
                assert study._extra(study.FIELDS[field])["scaled"]


@pytest.mark.parametrize("profile", ["smoke", "quick", "thesis"])
def test_none_takes_the_profile_s_value_and_any_other_overrides_it(empty, profile):
    scaled = study.profiles()[profile]
    assert study.open(profile=profile, epochs=None, draws=None).epochs == scaled["epochs"]
    assert study.open(profile=profile, epochs=7).epochs == 7
    assert study.open(profile=profile, architecture="resnet34").stock_clips == scaled["stock_clips_deep"]
    assert study.open(profile=profile, architecture="resnet34").epochs == scaled["epochs"]
    deep = study.open(profile=profile, architecture="resnet101")
    assert (deep.epochs, "epochs" in deep.changed) == (scaled["epochs_deep"], False)


# What is refused


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"architecture": "resnet8"},
            'architecture "resnet8" is not known; choose from resnet18, resnet34, ',
        ),
        ({"profile": "fast"}, 'profile "fast" is not known; choose from quick, smoke, thesis'),
        ({"seed": -1}, "seed -1 is not possible; give a whole number from 0 to 4294967295"),
        ({"seed": True}, "seed True is not possible"),
        ({"seed": 2**32}, "seed 4294967296 is not possible"),
        ({"n_mfcc": 300}, "n_mfcc=300 is more than n_mels=128; take fewer coefficients"),
        ({"n_mfcc": 1000}, "n_mfcc 1000 is not possible; give a whole number from 2 to 512"),
        ({"hop_length": 4096}, "hop_length=4096 leaves gaps between windows of n_fft=2048"),
        ({"architecture": "efficientnet-lite0"}, 'architecture="efficientnet-lite0" cannot take 13 rows'),
        ({"learning_rate": "fast"}, 'learning_rate "fast" is not possible; give a number above 0'),
        ({"learning_rate": 0}, "learning_rate 0.0 is not possible"),
        ({"features_in_step": 7}, "features_in_step=7 does not divide the 13 x 400 cells"),
        ({"training_folds": "1 10"}, "training_folds holds fold 10, which is the test fold"),
        ({"training_folds": "one"}, 'training_folds "one" is not a list of folds'),
        ({"training_folds": [1.5]}, "training_folds [1.5] is not a list of folds"),
        ({"training_folds": "1 11"}, "training_folds (1, 11) is not possible"),
        ({"clips": 0}, 'clips 0 is not possible; give a whole number from 1, or "all"'),
        ({"layer": "layer4[-1"}, 'layer "layer4[-1" is not possible'),
        ({"perturb_baseline": "random"}, "choose from uniform, black, white, mean"),
        ({"colour": "red"}, 'parameter "colour" is not known'),
        ({"architectures": "resnet18"}, "open one run per architecture"),
        ({"data": "/no/such/folder"}, 'data folder "/no/such/folder" does not exist'),
    ],
    ids=str,
)
def test_an_illegal_value_is_one_sentence_that_says_what_to_do(empty, given, said):
    with pytest.raises(InputError) as caught:
        study.open(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "  ", "resnet18 resnet18", ["resnet18"], "resnet18 resnet8"])
def test_an_illegal_list_of_networks_is_refused(value):
    with pytest.raises(InputError, match="ARCHS in the call"):
        study.check("architectures", value, where="ARCHS in the call")


def test_a_combination_is_judged_as_a_whole(empty):
    assert study.open(n_mfcc=14, features_in_step=14).features_in_step == 14  # 7 does not divide 13 x 400
    assert study.open(n_mfcc=20).features_in_step == 20
    assert study.open(representation="log-mel", n_mels=64).rows == 64


# Text from papermill, make and the command line


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "3e-4", 3e-4),
        ("learning_rate", 1, 1.0),
        ("n_mfcc", "20", 20),
        ("pretrained", "True", True),
        ("epochs", "None", None),
        ("clips", "all", "all"),
        ("clips", "7", 7),
        ("training_folds", "2 1", (1, 2)),
        ("training_folds", "1+2", (1, 2)),
        ("training_folds", 4, (4,)),
        ("layers", "layer4[-1] layer3[-1]", ("layer4[-1]", "layer3[-1]")),
        ("data", "12", "12"),
    ],
)
def test_text_becomes_what_its_field_holds(name, text, value):
    assert study.parse(name, text) == value
    assert type(study.parse(name, text)) is type(value)


@given(st.sets(st.integers(1, 10), min_size=1), st.floats(1e-6, 10), st.integers(2, 512))
def test_what_a_name_says_is_read_back(folds, rate, count):
    for name, value in (("training_folds", tuple(sorted(folds))), ("learning_rate", rate), ("n_mfcc", count)):
        assert study.parse(name, study.said(value)) == value


def legal_values(name: str) -> st.SearchStrategy:
    """Values of a field as it declares them."""
    info, values = study.FIELDS[name], study.legal(name)
    limits = {type(m).__name__: m for m in info.metadata}
    whole = st.integers(limits["Ge"].ge if "Ge" in limits else 1, limits["Le"].le if "Le" in limits else 10**6)
    if name == "training_folds":
        return st.sets(st.integers(1, 10)).map(lambda folds: tuple(sorted(folds)))
    if get_origin(info.annotation) is tuple:
        return st.lists(st.sampled_from(values or study._AXES[name][0]), unique=True).map(tuple)
    if values:
        return st.sampled_from(values)
    if name == "data":
        return st.text(st.characters(exclude_categories=["C"]), max_size=20).filter(lambda text: text != "None")
    if name == "layer":
        return st.sampled_from(["", "layer4[-1]", "layer4[-1].conv2", "features[28]", "_blocks[-1]", "a.b.c"])
    if info.annotation is float:
        return st.floats(limits["Gt"].gt, limits["Le"].le, exclude_min=True)
    return st.one_of(whole, st.just("all")) if info.annotation == study.All else whole


@given(st.sampled_from(list(study.FIELDS)).flatmap(lambda name: st.tuples(st.just(name), legal_values(name))))
@example(("explainers", ("Grad-CAM++", "input x gradient")))
@settings(max_examples=150, deadline=None)
def test_every_legal_value_is_read_back_from_the_command_line(given):
    name, value = given
    read, text = cli._value(f"{name}={study.written(name, value)}")
    study.check(read, text)
    assert (read, study.parse(name, text)) == (name, value)
    assert type(study.parse(name, text)) is type(value)


ANYTHING = st.one_of(
    *(st.text(max_size=30), st.integers(), st.floats(), st.booleans()),
    *(st.lists(st.one_of(st.text(max_size=5), st.integers(), st.floats()), max_size=3), st.just({}), st.just(b"x")),
    st.sampled_from(["nan", "inf", "1e999", "-0", "1_0", "٣", "a\nb", "\0", "~nobody/x", "x" * 5000, "9" * 5000]),
)


def refusal(ask) -> str:
    """The sentence that something is refused with; no other exception is one."""
    try:
        ask()
    except InputError as mistake:
        return str(mistake)
    return ""


@pytest.mark.slow
@given(name=st.sampled_from([*study.FIELDS, "others", "architectures", "", "a\nb"]), value=ANYTHING)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_other_value_is_refused_in_one_sentence(empty, name, value):
    for ask in (lambda: study.check(name, value), lambda: study.open(**{name: value})):
        said = refusal(ask)  # "" where the value is legal after all
        assert said.isprintable()
        assert len(said) < 2000


def shell(code: str, monkeypatch):
    """A notebook whose kernel has run a cell that papermill put in."""
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(user_ns={"In": ["", "x = 1", code]}))
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_a_field_that_papermill_put_in_is_taken_though_the_cell_does_not_list_it(empty, monkeypatch):
    shell('# Parameters\nn_mfcc = 20\nlearning_rate = "3e-4"\narchitectures = "resnet18"\n', monkeypatch)
    run = study.open(seed=1)
    assert (run.n_mfcc, run.learning_rate, run.seed) == (20, 3e-4, 1)
    assert study.open(n_mfcc=15).n_mfcc == 15  # what the cell says counts more


def test_a_papermill_name_that_is_no_field_is_refused(empty, monkeypatch):
    shell("# Parameters\nn_mfccs = 20\n", monkeypatch)
    with pytest.raises(InputError, match='parameter "n_mfccs" is not known'):
        study.open()


# Names


def test_labels_and_keys_say_what_differs(empty):
    run = study.open(n_mfcc=20, seed=1, training_folds="1 2", drawn_clips=1)
    assert run.key == "resnet18 seed=1 hop_length=1024 training_folds=1+2 n_mfcc=20"
    assert run.label == "ResNet18 · synthetic stand-in · quick · seed 1 · folds 1+2 · n_mfcc 20"
    assert run.data_label == "synthetic stand-in · quick · n_mfcc 20"


def test_a_changed_run_keeps_what_was_given_and_derives_the_rest(empty):
    run = study.open(profile="smoke", layer="layer3[-1]", training_folds="1 2")
    other = run.with_(n_mfcc=20, architecture="resnet34")
    assert (other.layer, other.features_in_step, other.training_folds) == ("layer3[-1]", 20, (1, 2))
    assert other.stock_clips == study.profiles()["smoke"]["stock_clips_deep"]
    assert run.n_mfcc == 13


# Sources


def test_without_recordings_the_stand_in_is_taken_and_says_why(empty):
    source = study.open().source
    assert (source.kind, source.synthetic, source.label) == ("stand-in", True, "synthetic stand-in")
    assert "no folder was named" in source.why
    (empty / "UrbanSound8K").mkdir()
    assert study.find_source("", "all").label == "UrbanSound8K"


def folder_of(root, *folds):
    for fold in folds:
        (root / "audio" / f"fold{fold}").mkdir(parents=True)
        (root / "audio" / f"fold{fold}" / "1-0-0-0.wav").touch()
    return str(root)


def test_training_takes_all_other_folds_that_are_there(empty, tmp_path):
    run = study.open(data=folder_of(tmp_path / "sounds", 1, 3, 10))
    assert run.training_folds == (1, 3)
    assert study.open(data=str(tmp_path / "sounds"), test_fold=3).training_folds == (1, 10)


@pytest.mark.parametrize("given", [{}, {"test_fold": 9}, {"training_folds": "1 2"}])
def test_folds_that_are_not_there_are_refused(empty, tmp_path, given):
    folder = folder_of(tmp_path / "sounds", *([1, 10] if given else [10]))
    with pytest.raises(InputError, match=r"has clips in folds [\d, ]+ only"):
        study.open(data=folder, **given)


@pytest.mark.parametrize("letter", ["\n", "\r", "\0", "\x1b", "\u2028", "\udcff"])
def test_a_folder_whose_name_is_no_line_of_text_is_refused_in_one_line(empty, letter):
    with pytest.raises(InputError) as refused:
        study.find_source(f"a{letter}b", "all")
    assert str(refused.value).isprintable()
    assert "data 'a\\" in str(refused.value)
    with pytest.raises(InputError, match="does not exist"):
        study.find_source("é 音\u00a0'\"$x", "all")


def test_a_brace_in_a_folders_name_is_none_in_the_name_of_its_results(tmp_path):
    (tmp_path / "{x} y").mkdir()
    assert study.find_source(str(tmp_path / "{x} y"), "all").results.name.startswith("_x_ y-")


def test_folders_of_one_name_share_no_results(tmp_path):
    paths = {study.find_source(folder_of(tmp_path / n / "sounds", 1), "all").results for n in ("a", "b")}
    assert len(paths) == 2


# Recorded runs


def test_a_recorded_run_takes_what_is_not_given_from_the_first_that_matches():
    run = study.open(data="recorded")
    assert (run.architecture, run.profile, run.training_folds) == ("resnet18", "thesis", (1, 2))
    assert study.open(data="recorded", hop_length=512, architecture="resnet101").key.startswith(
        "resnet101 seed=0 hop_length=512"
    )
    assert study.open(data="recorded", training_folds="1 2 4 5 6 7 8 9") == study.traveller()
    assert study.with_network(run) == study.traveller()


def test_a_recorded_run_that_is_not_there_is_one_sentence_with_those_that_are():
    with pytest.raises(
        InputError, match=r"^no recorded run has n_mfcc=20 \(the call\); choose one of: resnet18 seed=0"
    ):
        study.open(data="recorded", n_mfcc=20)


def test_a_changed_run_takes_text_as_every_other_way_in_does(run):
    assert run.with_(learning_rate="3e-4").learning_rate == 3e-4
    assert run.with_(training_folds="1 2").training_folds == (1, 2)
    with pytest.raises(InputError, match=r'^learning_rate "fast" is not possible; give a number'):
        run.with_(learning_rate="fast")


def test_a_study_that_is_not_known_is_refused():
    with pytest.raises(InputError, match='study "all" is not known; choose from folds, full, reference, thesis'):
        study.study("all")


@pytest.mark.parametrize("name", ["reference", "thesis"])
def test_entries_of_studies_are_runs(name):
    entries = yaml.safe_load((study.ROOT / "config" / "studies" / f"{name}.yaml").read_text())
    assert len(study.entries(name)) == len(entries)


# The README


def test_the_readme_shows_the_profiles():
    lines = (study.ROOT / "README.md").read_text().splitlines()
    heads = "| " + " | ".join(study.profile_table().columns) + " |"
    assert heads in lines
    for _, profile in study.profile_table().astype(str).iterrows():
        assert f"| {' | '.join(profile)} |" in lines


def test_names_that_hold_spaces_and_a_plus_are_separated_by_commas():
    assert study.parse("explainers", "Grad-CAM++, input x gradient") == ("Grad-CAM++", "input x gradient")
    with pytest.raises(InputError, match=r'^explainers "LIME" is not known; choose from Grad-CAM, HiResCAM, '):
        study.open(explainers="Grad-CAM, LIME")


@pytest.mark.parametrize(("architecture", "representation"), [("resnet18", "waveform"), ("resnet1d", "mfcc")])
def test_a_waveform_is_for_the_network_that_takes_it(architecture, representation):
    with pytest.raises(InputError, match="a waveform is for"):
        study.open(architecture=architecture, representation=representation, profile="smoke")
