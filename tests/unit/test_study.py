"""The settings: what may be asked for, and where its results lie."""

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import InputError, artifacts, study

ARTEFACTS = {
    "features.npz": {"hop_length", "padding"},
    "network": {"hop_length", "padding", "architecture", "seed", "scaling"},
    "explanations.npz": {"hop_length", "padding", "architecture", "seed", "scaling", "layer", "explained"},
}
for scores in ("quantus.csv", "scores.csv"):
    ARTEFACTS[scores] = ARTEFACTS["explanations.npz"] | {"scored"}


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A data folder with nothing in it."""
    monkeypatch.setattr(study, "DATA", tmp_path)
    return tmp_path


# Defaults and legal values


def test_defaults_are_those_of_the_thesis_as_we_read_it(empty):
    run = study.open()
    assert (run.architecture, run.profile.name, run.seed) == ("resnet18", "quick", 0)
    assert run.parameters("hop_length", "padding", "scaling", "layer", "explained", "scored") == {
        "hop_length": 1024,
        "padding": "zero",
        "scaling": "raw",
        "layer": "layer4[-1]",
        "explained": "predicted",
        "scored": "explained",
    }
    assert run.label == "ResNet18 · synthetic stand-in · quick · seed 0"
    assert run.data_label == "synthetic stand-in · quick"
    assert run.seconds_per_frame == pytest.approx(1024 / 44100, rel=1e-12)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in study.CHOICES.items() for v in vs])
def test_every_legal_value_is_taken(empty, name, value):
    run = study.open(**{name: value})
    settled = getattr(run, name)
    assert (settled.name if name == "profile" else settled) == value


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_every_seed_that_torch_and_numpy_take_is_taken(empty, seed):
    assert study.open(seed=seed).seed == seed


# Illegal ones


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("architecture", "resnet8", 'architecture "resnet8" is not known; choose from resnet18, resnet34, '),
        ("architecture", "ResNet18", 'architecture "ResNet18" is not known'),
        ("architecture", 18, "architecture 18 is not known"),
        ("architecture", None, "architecture None is not known"),
        ("architecture", ["resnet18"], "architecture ['resnet18'] is not known"),
        ("profile", "fast", 'profile "fast" is not known; choose from quick, smoke, thesis'),
        ("profile", "", 'profile "" is not known'),
        ("seed", True, "seed True is not an integer from 0"),
        ("seed", -1, "seed -1 is not an integer from 0"),
        ("seed", 2**32, "seed 4294967296 is not an integer from 0 to 4294967295"),
        ("seed", 0.0, "seed 0.0 is not an integer"),
        ("seed", "0", "seed '0' is not an integer"),
        ("seed", None, "seed None is not an integer"),
        ("hop_length", 1024.0, "hop_length 1024.0 is not known; choose from 441, 512, 1024"),
        ("hop_length", "1024", 'hop_length "1024" is not known'),
        ("hop_length", 100, "hop_length 100 is not known"),
        ("padding", "Zero", 'padding "Zero" is not known; choose from zero, minimum, repeat'),
        ("scaling", "standardized", "choose from raw, standardised"),
        ("layer", "layer1[-1]", 'layer "layer1[-1]" is not known; choose from layer4[-1], '),
        ("explained", "both", "choose from predicted, true"),
        ("scored", "predicted", "choose from explained, true"),
        ("data", None, "data None is not text"),
        ("data", 5, "data 5 is not text"),
        ("data", Path(), "is not text"),
        ("layers", "layer4[-1]", 'parameter "layers" is not known'),
        ("source", "x", 'parameter "source" is not known'),
    ],
)
def test_an_illegal_value_is_one_sentence_with_the_legal_ones(empty, name, value, said):
    with pytest.raises(InputError) as caught:
        study.open(**{name: value})
    assert said in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "architectures '' is not a list of networks"),
        ("  ", "is not a list of networks"),
        ("resnet18 resnet18", "each named once"),
        (["resnet18"], "architectures ['resnet18'] is not a list"),
        ("resnet18 resnet8", 'architecture "resnet8" is not known'),
        ("resnet18,resnet34", 'architecture "resnet18,resnet34" is not known'),
    ],
)
def test_an_illegal_list_of_networks_is_refused(value, said):
    with pytest.raises(InputError) as caught:
        study.check("architectures", value, where="ARCHS in the call")
    assert said in str(caught.value)
    assert "ARCHS in the call" in str(caught.value)


def test_a_list_of_networks_may_have_any_space_between_the_names():
    study.check("architectures", " resnet18  resnet101 ")


def test_a_list_of_networks_is_not_one_runs_parameter(empty):
    # a run has one network: the list belongs to chapters that compare runs
    with pytest.raises(InputError, match="architectures"):
        study.open(architectures="resnet18 resnet34")


def test_an_unknown_parameter_lists_the_known_ones(empty):
    with pytest.raises(InputError) as caught:
        study.open(hop=512)
    for name in ("seed", "data", *study.CHOICES):
        assert name in str(caught.value)


# Which clips


def test_a_folder_that_is_not_there_is_named(empty):
    with pytest.raises(InputError) as caught:
        study.open(data="nowhere/at/all")
    assert 'data folder "nowhere/at/all" does not exist' in str(caught.value)
    assert "metadata/UrbanSound8K.csv" in str(caught.value)
    assert "DATA in the call" in str(caught.value)


def test_a_file_is_not_a_folder(empty, tmp_path):
    (tmp_path / "table.csv").write_text("")
    with pytest.raises(InputError, match=r"table\.csv"):
        study.open(data=str(tmp_path / "table.csv"))


def test_a_home_folder_of_nobody_is_said_like_any_missing_folder(empty):
    with pytest.raises(InputError, match="nobody-of-that-name"):
        study.open(data="~nobody-of-that-name/sounds")


def test_without_a_name_the_stand_in_is_taken(empty):
    source = study.open(profile="quick").source
    assert source.synthetic
    assert not source.named
    assert source.folder == empty / "synthetic" / f"clips={study.profiles()['quick'].clips}"
    assert source.label == "synthetic stand-in"
    assert study.open(profile="thesis").source.folder == empty / "synthetic" / "clips=official"


def test_without_a_name_the_recordings_in_the_data_folder_come_first(empty):
    (empty / "UrbanSound8K").mkdir()
    source = study.open().source
    assert not source.synthetic
    assert source.folder == empty / "UrbanSound8K"
    assert source.label == "UrbanSound8K"
    assert source.key == "urbansound8k"


def test_a_stand_in_that_a_user_names_is_still_called_synthetic(empty, stand_in):
    source = study.open(data=str(stand_in)).source
    assert source.synthetic
    assert source.named
    assert source.label == "synthetic stand-in"


def test_a_folder_without_the_stand_ins_table_is_called_recordings(empty, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    assert study.open(data=str(folder)).source.label == "UrbanSound8K"


def test_a_relative_folder_is_looked_for_from_the_repository(empty, monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    assert study.open(data="config").source.folder == study.ROOT / "config"


def test_two_folders_of_one_name_do_not_share_results(empty, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "sounds").mkdir(parents=True)
    keys = {study.open(data=str(tmp_path / parent / "sounds")).source.key for parent in ("a", "b")}
    assert len(keys) == 2
    assert all(key.startswith("sounds-") for key in keys)


def test_a_named_folder_does_not_share_results_with_the_stand_in(empty, stand_in):
    folder = empty / "synthetic"
    shutil.copytree(stand_in / "metadata", folder / "metadata")
    assert study.open(data=str(folder)).source.key != study.open().source.key


# Where results lie


def settings_of_a_run():
    choices = {name: st.sampled_from(study.CHOICES[name]) for name in study.CHOICES if name != "profile"}
    return st.fixed_dictionaries(choices | {"seed": st.integers(0, 12)})


@pytest.mark.parametrize("artefact", ARTEFACTS)
@pytest.mark.parametrize("name", ["seed", *study.CHOICES])
def test_one_changed_setting_moves_exactly_the_artefacts_that_depend_on_it(empty, artefact, name):
    other = study.open(**{name: 1 if name == "seed" else study.CHOICES[name][1]})
    moved = other.path(artefact) != study.open().path(artefact)
    assert moved == (name in {*ARTEFACTS[artefact], "profile"})


@given(settings_of_a_run(), settings_of_a_run(), st.sampled_from(sorted(ARTEFACTS)), st.data())
@settings(max_examples=100, deadline=None)
def test_settings_share_a_path_exactly_when_the_artefact_does_not_depend_on_what_differs(
    first, second, artefact, data
):
    # near misses matter most: take over most of the first run's values
    kept = set(first) - data.draw(st.sets(st.sampled_from(sorted(first)), max_size=3))
    second = second | {name: first[name] for name in kept}
    same = all(first[name] == second[name] for name in ARTEFACTS[artefact])
    paths = [study.open(**given).path(artefact) for given in (first, second)]
    assert (paths[0] == paths[1]) == same
    assert (artifacts.record_path(paths[0]) == artifacts.record_path(paths[1])) == same


@given(settings_of_a_run())
@settings(deadline=None)
def test_artefacts_of_one_run_never_share_a_path_or_a_record(given):
    run = study.open(**given)
    paths = [run.path(artefact) for artefact in ARTEFACTS]
    assert len({*paths, *map(artifacts.record_path, paths)}) == 2 * len(ARTEFACTS)


def test_a_name_carries_what_differs_from_the_default_only(empty):
    run = study.open(profile="smoke", architecture="resnet34", seed=3, padding="repeat", layer="layer3[-1]")
    folder = empty / "runs" / "synthetic" / "smoke"
    assert run.path("features.npz") == folder / "features-padding=repeat.npz"
    assert run.path("network") == folder / "resnet34" / "network-seed=3-padding=repeat"
    assert run.path("scores.csv") == folder / "resnet34" / "scores-seed=3-padding=repeat-layer=layer3[-1].csv"
    assert study.open(profile="smoke").path("network") == folder / "resnet18" / "network"


def test_profiles_and_data_have_folders_of_their_own(empty, stand_in):
    runs = [study.open(profile=p, data=d) for p in ("smoke", "quick") for d in ("", str(stand_in))]
    assert len({run.path("features.npz") for run in runs}) == 4


def test_every_path_lies_below_the_data_folder(empty):
    run = study.open()
    assert all(run.path(artefact).is_relative_to(empty) for artefact in ARTEFACTS)


# What recorded tables call a run


def test_the_key_of_the_default_run_names_network_seed_and_hop(empty):
    assert study.open().key == "resnet18 seed=0 hop_length=1024"


@pytest.mark.parametrize(
    ("choices", "key"),
    [
        ({"architecture": "resnet101", "hop_length": 512}, "resnet101 seed=0 hop_length=512"),
        ({"seed": 3}, "resnet18 seed=3 hop_length=1024"),
        ({"padding": "repeat"}, "resnet18 seed=0 hop_length=1024 padding=repeat"),
        (
            {"scored": "true", "layer": "layer3[-1]", "padding": "repeat", "explained": "true"},
            "resnet18 seed=0 hop_length=1024 padding=repeat layer=layer3[-1] explained=true scored=true",
        ),
    ],
)
def test_the_key_names_each_choice_that_is_not_the_default(empty, choices, key):
    assert study.open(**choices).key == key


def test_the_key_names_neither_data_nor_profile(empty, stand_in):
    assert study.open(profile="thesis", data=str(stand_in)).key == study.open().key


@given(settings_of_a_run(), settings_of_a_run(), st.data())
@settings(max_examples=60, deadline=None)
def test_two_runs_share_a_key_exactly_when_their_settings_are_the_same(first, second, data):
    kept = set(first) - data.draw(st.sets(st.sampled_from(sorted(first)), max_size=2))
    second = second | {name: first[name] for name in kept}
    assert (study.open(**first).key == study.open(**second).key) == (first == second)


# Profiles


def test_profiles_are_those_of_the_configuration():
    table = yaml.safe_load((study.ROOT / "config" / "profiles.yaml").read_text())
    assert set(table) == set(study.CHOICES["profile"])
    assert {name: vars(p) for name, p in study.profiles().items()} == {
        name: {"name": name, **values} for name, values in table.items()
    }


def test_the_thesis_profile_scales_nothing_down():
    assert study.profiles()["thesis"] == study.Profile(
        "thesis",
        clips=None,
        epochs=30,
        explanations=50,
        stock_clips=50,
        stock_clips_deep=5,  # of ResNet101 stock Quantus takes minutes a clip
        drawn_clips=50,
        draws=10,
        control_clips=None,
        null_maps=1000,
    )


@pytest.mark.parametrize("name", study.CHOICES["profile"])
def test_no_profile_scores_more_clips_than_it_explains(name):
    profile = study.profiles()[name]
    scored = (profile.stock_clips, profile.stock_clips_deep, profile.drawn_clips)
    assert max(scored) <= profile.explanations
    assert min(scored) > 0


def test_the_profile_table_says_all_where_nothing_limits():
    table = study.profile_table().set_index("name")
    assert list(table) == [
        *("clips", "epochs", "explanations"),
        *("stock clips", "stock clips deep", "drawn clips", "draws"),
        *("control clips", "null maps"),
    ]
    assert set(table.loc["thesis", ["clips", "control clips"]]) == {"all"}
    assert table.loc["quick", "stock clips"] == study.profiles()["quick"].stock_clips


def test_the_readme_shows_the_same_profiles():
    lines = (study.ROOT / "README.md").read_text().splitlines()
    rows = [[cell.strip(" `*") for cell in line.strip("| ").split("|")] for line in lines if "|" in line]
    header = next((row for row in rows if "epochs" in row), None)
    if header is None:
        pytest.skip("the README has no table of the profiles yet")
    rows = [row for row in rows if row[0] in study.profiles() and len(row) == len(header)]
    shown = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    for _, profile in study.profile_table().astype(str).iterrows():
        expected = profile.drop("name").to_dict()
        assert {name: shown[profile["name"]].get(name) for name in expected} == expected
