"""From a notebook and parameters to an executed, checked page."""

import base64
import json
import os
import posixpath
import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
from nbformat.v4 import new_output

from helpers import InputError, study
from helpers.book import contents, execute
from tests.unit.book import made
from tests.unit.book.conftest import PICTURE, Papermill

pytestmark = pytest.mark.slow  # kernels are started

# Parameters


def test_executing_a_notebook_without_a_parameters_cell_is_refused(executed, engine):
    with pytest.raises(InputError, match=r'03_features.md has 0 cells tagged "parameters"'):
        executed("03_features")
    assert engine.calls == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"hop": 1},
            'parameter "hop" is not known to notebooks/05_training.md; choose from architecture, profile, ',
        ),
        ({"architectures": "resnet18"}, 'parameter "architectures" is not known to notebooks/05'),
        ({"architecture": "resnet8"}, 'architecture "resnet8" is not known; choose from resnet18, '),
        ({"seed": -1}, "seed -1 is not possible; give a whole number from 0 to 4294967295"),
        ({"seed": True}, "seed True is not"),
        ({"profile": "fast"}, 'profile "fast" is not known; choose from quick, smoke, thesis'),
        ({"data": 5}, "data 5 is not possible; give text"),
        ({"others": "n_mfcc=20"}, 'others "n_mfcc=20" is not a dictionary'),
        ({"others": {"hop": 1}}, 'parameter "hop" is not known'),
        # fields that the cell does not list are checked all the same
        ({"n_mfcc": 1}, "n_mfcc 1 is not possible; give a whole number from 2 to 512"),
        ({"n_mfcc": "twenty"}, 'n_mfcc "twenty" is not possible'),
        ({"hop_length": 4096}, "hop_length=4096 leaves gaps between windows of n_fft=2048"),
        ({"training_folds": "1 10"}, "training_folds holds fold 10, which is the test fold"),
        ({"data": "recorded", "n_mfcc": 20}, "no recorded run has n_mfcc=20"),
        ({"data": "no/such/folder"}, 'data folder "no/such/folder" does not exist'),
    ],
)
def test_a_wrong_parameter_is_refused_before_a_kernel_starts(executed, engine, library, given, said):
    with pytest.raises(InputError) as caught:
        executed("05_training", folder="recorded/resnet18", **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert engine.calls == []
    assert not (library / "book" / "executed").exists()


def test_a_list_of_networks_is_checked_too(executed, engine):
    with pytest.raises(InputError, match="each named once"):
        executed("09_results", architectures="resnet18 resnet18")
    with pytest.raises(InputError, match="no recorded run has architecture=vgg13"):
        executed("09_results", architectures="resnet18 vgg13", data="recorded")
    assert engine.calls == []


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({"n_mfcc": "20", "learning_rate": "3e-4"}, {"n_mfcc": 20, "learning_rate": 3e-4}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"pretrained": "true", "clips": "3"}, {"pretrained": True, "clips": 3}),
        ({"clips": "all", "epochs": "None"}, {"clips": "all", "epochs": None}),
        ({"training_folds": "2 1", "layers": "layer4[-1] layer2[-1]"}, None),
        ({"others": {"n_mfcc": "20"}}, {"others": {"n_mfcc": "20"}}),  # `study.open` reads it
    ],
)
def test_a_value_is_passed_on_as_its_field_means_it(executed, engine, given, passed):
    executed("05_training", **given)
    passed = passed or {"training_folds": "1+2", "layers": "layer4[-1]+layer2[-1]"}  # papermill writes text
    assert engine.calls[0]["given"] == passed
    assert [type(v) for v in engine.calls[0]["given"].values()] == [type(v) for v in passed.values()]


def test_a_page_is_left_as_it_is_while_its_inputs_are(executed, engine, library):
    source, record = library / "notebooks" / "05_training.md", library / "network.json"
    page = library / "book" / "executed" / "copy" / "resnet18" / "05_training.ipynb"
    other = library / "features.json"
    other.write_text("1")
    record.write_text("{}")
    made_from = {"folder": "copy/resnet18", "inputs": [source, other], "records": [record]}

    def again(**changed) -> bool:
        before = len(engine.calls)
        executed("05_training", **(made_from | changed))
        return len(engine.calls) > before

    assert again()
    whole = page.read_bytes()
    for path in (page, record):
        os.utime(path, (0, 0))
    assert not again()
    assert page.read_bytes() == whole
    assert min(page.stat().st_mtime, record.stat().st_mtime) >= other.stat().st_mtime
    assert again(inputs=())  # who does not say what it depends on gets it anew
    assert again()
    assert again(seed=1)
    assert not again(seed="1")
    assert again(seed=1, n_mfcc=20)
    other.write_text("2")
    assert again(seed=1)
    page.write_bytes(whole[:100])
    assert again(seed=1)
    record.unlink()
    assert again(seed=1)
    assert not record.exists()


def test_a_chapter_that_is_not_there_is_refused(executed):
    with pytest.raises(InputError) as caught:
        executed("04_nothing")
    assert str(caught.value) == "notebooks/04_nothing.md does not exist; name one of notebooks/*.md"


def test_parameters_that_papermill_loses_are_noticed(library, monkeypatch):
    fake = Papermill()

    def lossy(notebook, output, given, **options):
        executed = fake(notebook, output, given, **options)
        executed.metadata.papermill["parameters"] = {}
        return executed

    monkeypatch.setattr(papermill, "execute_notebook", lossy)
    output = library / "book" / "executed" / "copy" / "resnet34" / "05_training.ipynb"
    with pytest.raises(RuntimeError, match="did not pass"):
        execute.execute(library / "notebooks" / "05_training.md", output, {"architecture": "resnet34"})
    assert not output.exists()


# Pages


def outputs_on_the_page(page):
    kept = [[one for one in cell.get("outputs", []) if one != PICTURE] for cell in page.cells]
    return [outputs for outputs in kept if outputs]


# What tqdm writes; a line that has become shorter is filled with spaces.
BARS = {
    "named": "\rtraining ResNet18:   0%|          | 0/3 [00:00<?, ?batch/s]"
    "\rtraining ResNet18:  67%|██████▋   | 2/3 [00:01<00:00,  1.31batch/s]"
    "\rtraining ResNet18: 100%|██████████| 3/3 [00:02<00:00,  1.29batch/s]\n",
    "plain": "\r  0%|          | 0/3 [00:00<?, ?it/s]\r100%|##########| 3/3 [00:00<00:00, 38.16it/s]\n",
    "endless": "\rMFCC: 0clip [00:00, ?clip/s]\rMFCC: 3clip [00:00, 96183.52clip/s]\n",
    "bytes": "\ra file.tar.gz:   0%|          | 1.00/7.00k [00:00<00:00, 381kB/s]\n",
    "named, shorter": "\rMFCC:  33%|███▎      | 1/3 [00:00<00:00, 10.02clip/s]"
    "\rMFCC:  67%|██████▋   | 2/3 [00:00<00:00,  9.7clip/s] \n",
    "within another": "\rexplainers:   0%|          | 0/3 [00:00<?, ?clip/s]\n\r  0%|          | 0/16 [00:00<?, ?it/s]"
    "\x1b[A\n\r100%|##########| 16/16 [00:02<00:00,  6.47it/s]\x1b[A"
    "\rexplainers: 100%|##########| 3/3 [01:06<00:00, 22.06s/clip]\n",
    "endless, shorter": "\rMFCC: 1clip [00:00, 419430.40clip/s]\rMFCC: 2clip [00:00, 96183.52clip/s] \n",
}


@pytest.mark.parametrize("text", BARS.values(), ids=BARS)
def test_progress_bars_are_stripped(executed, text):
    page = executed("05_training", outputs=[new_output("stream", name="stderr", text=text)])
    assert [output.text for shown in outputs_on_the_page(page) for output in shown] == []


@pytest.mark.parametrize(
    "warning",
    [
        "module.py:3: UserWarning: lr_scheduler.step() before optimizer.step()\n  warn(x)",
        "50% of the clips [all of fold 3] are missing",
        # looks like the bar of an endless loop
        "RuntimeWarning: 2nd argument [a, b]",
    ],
)
def test_a_warning_beside_a_bar_is_kept_and_is_no_page_of_the_book(executed, library, warning):
    text = f"{BARS['named']}{warning}\n{BARS['endless']}"
    with pytest.raises(RuntimeError) as caught:
        executed("05_training", outputs=[new_output("stream", name="stderr", text=text)])
    assert str(caught.value) == f"a cell of notebooks/05_training.md wrote to its error stream:\n{warning}"
    assert not list((library / "book" / "executed").rglob("*.ipynb"))  # so the next call executes it again


def test_a_warning_on_the_line_of_a_bar_is_kept(executed):
    text = f"{BARS['named'].rstrip()}module.py:3: UserWarning: careful\n  warn(x)\n"
    with pytest.raises(RuntimeError, match="UserWarning: careful"):
        executed("05_training", outputs=[new_output("stream", name="stderr", text=text)])


def test_what_a_cell_prints_is_kept_as_it_is(executed):
    text = "10%|# | 1/10 [a]\n\nlast line\n"
    page = executed("05_training", outputs=[new_output("stream", name="stdout", text=text)])
    assert outputs_on_the_page(page)[0][0].text == text


def test_a_figure_that_a_cell_promises_and_does_not_draw_is_no_page_of_the_book(executed, engine, library):
    engine.draws = False
    said = r"a cell of notebooks/05_training\.md shows no figure, .* fig:history's"
    for outputs in ([], [new_output("stream", name="stdout", text="no figure")]):
        with pytest.raises(RuntimeError, match=said):
            executed("05_training", outputs=outputs)
    assert not list((library / "book" / "executed").rglob("*.ipynb"))
    executed("05_training", outputs=[new_output("display_data", data={HTML: "<svg></svg>"})])


HTML = "text/html"


@pytest.mark.parametrize("folder", ["", "recorded", "copy/resnet18"])
def test_sound_is_lifted_to_a_file_that_the_page_finds(executed, library, folder):
    sounds = [b"ID3 one", b"ID3 two"]
    html = "".join(
        f'<audio src="data:audio/mpeg;base64,{base64.b64encode(sound).decode()}"></audio>' for sound in sounds
    )
    page = executed("05_training", folder=folder, outputs=[new_output("display_data", data={HTML: html})])
    shown = outputs_on_the_page(page)[0][0].data[HTML]
    assert "base64" not in shown
    addresses = re.findall(r'src="([^"]+)"', shown)
    for address, sound in zip(addresses, sounds, strict=True):
        # from the page's address on the site; Sphinx puts book/executed/_static into _static
        found = posixpath.normpath(posixpath.join("book/executed", folder, address))
        assert found.startswith("_static/audio/")
        assert found.endswith(".mp3")
        assert (library / "book" / "executed" / found).read_bytes() == sound


def test_what_a_reader_may_choose_is_lifted_to_a_script_that_gives_it_by_its_name(executed, library):
    held = b'{"rows":[1,2]}'
    encoded = base64.b64encode(held).decode()
    html = f'<div data-files="[[&quot;data:application/json;base64,{encoded}&quot;]]"></div>'
    page = executed("05_training", folder="recorded", outputs=[new_output("display_data", data={HTML: html})])
    address = re.search(r"&quot;([^&]+)&quot;", outputs_on_the_page(page)[0][0].data[HTML])[1]
    found = posixpath.normpath(posixpath.join("book/executed/recorded", address))
    name = Path(found).stem
    assert (Path(found).parent.as_posix(), Path(found).suffix) == ("_static/chosen", ".js")
    text = (library / "book" / "executed" / found).read_bytes()
    assert text == b'(window.given ??= {})["%s"] = %s;\n' % (name.encode(), held)


def test_a_notebook_outside_the_book_keeps_its_sounds_and_labels(library, engine):
    html = '<audio src="data:audio/mpeg;base64,SUQz"></audio>'
    engine.outputs = [new_output("display_data", data={HTML: html})]
    output = library / "mine.ipynb"
    execute.execute(library / "notebooks" / "05_training.md", output, {"architecture": "resnet34"})
    page = nbformat.read(output, as_version=4)
    assert outputs_on_the_page(page)[0][0].data[HTML] == html
    assert page.cells[0].source.startswith("(sec:training)=\n# Training\n")
    assert not (library / "book" / "executed").exists()


def test_other_html_is_left_alone(executed):
    html = '<img src="data:image/png;base64,AAAA"><table></table>'
    page = executed("05_training", outputs=[new_output("display_data", data={HTML: html})])
    assert outputs_on_the_page(page)[0][0].data[HTML] == html


def test_a_progress_bar_for_jupyterlab_is_left_out(executed):
    data = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "0%"}
    assert outputs_on_the_page(executed("05_training", outputs=[new_output("display_data", data=data)])) == []


def test_the_page_shows_the_parameters_once(executed):
    def shown(page):
        return [
            c.source
            for c in page.cells
            if {"parameters", "injected-parameters"} & set(c.metadata.get("tags", []))
            and "remove-cell" not in c.metadata["tags"]
        ]

    (given,) = shown(executed("05_training", folder="copy/resnet34", architecture="resnet34", n_mfcc=20))
    (own,) = shown(executed("05_training"))
    lines = own.splitlines()
    assert lines[0].startswith('architecture = "resnet18"  # ')
    # what was given stands in its place, a field that the chapter does not list at the end
    assert given.splitlines() == [lines[0].replace('"resnet18"', "'resnet34'", 1), *lines[1:], "n_mfcc = 20"]


def test_the_page_keeps_nothing_that_only_machines_read(executed):
    page = executed("05_training", seed=3)
    assert "papermill" not in page.metadata
    assert all(not {"papermill", "execution"} & set(cell.metadata) for cell in page.cells)


# What a page says it was computed from


def test_the_banner_says_synthetic_first_and_what_is_changed(executed, markdown):
    text = markdown(executed("05_training", seed=7, n_mfcc=20))
    assert ":::{admonition} Data on this page: synthetic stand-in\n:class: warning provenance\n" in text
    assert "**not recordings**" in text
    assert "Profile `smoke`, seed 7. Differs from the thesis and the profile: **n_mfcc 20, seed 7**." in text
    assert "folds 1, 2, 3, 4, 5, 6, 7, 8, 9; fold 10 tests" in text
    assert "`notebooks/05_training.md` at revision `unknown`" in text
    assert "its files: {ref}`sec:runs-copy`" in text


def test_the_banner_says_synthetic_also_when_the_stand_in_is_named(library, stand_in):
    values = {"profile": "smoke", "data": str(stand_in), "seed": 0}
    text = execute.banner(source=study.ROOT / "notebooks" / "05_training.md", values=values, seconds=3.4, words=1099)
    assert "**synthetic stand-in**" in text
    assert str(stand_in) not in text
    assert "executed in 3 s; about 5 min to read" in text
    assert "Differs" not in text


def test_the_banner_says_recordings_for_recordings(library):
    for fold in (1, 10):
        (study.DATA / "UrbanSound8K" / "audio" / f"fold{fold}").mkdir(parents=True)
        (study.DATA / "UrbanSound8K" / "audio" / f"fold{fold}" / "1-0-0-0.wav").touch()
    values = {"profile": "thesis", "data": "", "architectures": "resnet18 resnet34"}
    text = execute.banner(source=study.ROOT / "notebooks" / "05_training.md", values=values, seconds=1, words=20)
    assert "Data on this page: UrbanSound8K\n:class: note provenance" in text
    assert "Real recordings from UrbanSound8K. Profile `thesis`" in text
    assert "Networks learned from folds 1; fold 10 tests" in text
    assert "synthetic" not in text


def test_the_banner_says_how_many_clips_are_left_out_and_which(library, stand_in, tmp_path):
    folder = shutil.copytree(stand_in, tmp_path / "mine")
    clip = min((folder / "audio" / "fold3").iterdir())
    clip.unlink()
    values = {"data": str(folder), "profile": "smoke", "left_out": 1}
    text = execute.banner(source=study.ROOT / "notebooks" / "05_training.md", values=values, seconds=1, words=20)
    said = f"**Clips that cannot be used and are left out: 1** (audio/fold3/{clip.name} is not there)."
    assert said in text
    assert "left_out 1" in text


def test_several_names_reach_the_chapter_as_they_were_given(executed, engine):
    executed("05_training", explainers="Grad-CAM++, input x gradient", training_folds="2 1")
    given = engine.calls[0]["given"]
    assert given == {"explainers": "Grad-CAM++,input x gradient", "training_folds": "1+2"}
    assert study.open(**given).explainers == ("Grad-CAM++", "input x gradient")


def test_the_banner_of_a_recorded_page_names_its_runs(library):
    values = {"profile": "quick", "seed": 0, "data": "recorded", "architectures": "resnet18 resnet101"}
    source = study.ROOT / "notebooks" / "05_training.md"
    text = execute.banner(source=source, values=values, seconds=1, words=20)
    assert "comes with the book" not in text
    assert "Data on this page: UrbanSound8K, recorded\n:class: note provenance" in text
    assert "`resnet18 seed=0 hop_length=1024 training_folds=1+2`" in text
    assert "`resnet101 seed=0 hop_length=1024 training_folds=1+2`" in text
    assert "Networks learned from folds 1, 2; fold 10 tests" in text
    assert "Profile" not in text


def test_the_banner_names_the_network_that_a_page_asks(library):
    values = {"profile": "quick", "data": "recorded", "architectures": "resnet101"}
    source = library / "notebooks" / "05_training.md"
    known = f"`{study.traveller().key}`"
    source.write_text("other = study.with_network(run)\n")
    beside = execute.banner(source=source, values=values, seconds=1, words=20)
    assert f"the one that comes with the book: {known}." in beside
    source.write_text("run = study.with_network(study.open())\n")
    alone = execute.banner(source=source, values=values, seconds=1, words=20)
    assert f"the same in every copy: {known}." in alone


def test_the_banner_of_a_page_without_data_names_its_source_only():
    text = execute.banner(source=Path("07_metric.md"), values={"seed": 0}, seconds=1, words=20)
    assert text.startswith("```{div} provenance\n`notebooks/07_metric.md` at revision ")
    assert "synthetic" not in text


# Real kernels

OPENS = """from helpers import study
run = study.open(architecture=architecture, profile=profile, seed=seed, data=data, **others)
print(run.architecture, run.seed, run.n_mfcc, run.learning_rate, run.training_folds)"""


@pytest.fixture
def opens(library):
    """The chapter opens a run and says what it is."""
    source = library / "notebooks" / "05_training.md"
    source.write_text(made.TRAINING.replace("print(architecture, seed)", OPENS))
    return source


def test_a_field_that_the_cell_does_not_list_reaches_the_run(library, opens):
    output = library / "book" / "executed" / "copy" / "resnet34" / "05_training.ipynb"
    given = {"architecture": "resnet34", "n_mfcc": "20", "learning_rate": "3e-4", "training_folds": "2 1"}
    execute.execute(opens, output, given)
    page = nbformat.read(output, as_version=4)
    assert outputs_on_the_page(page)[-1][0].text == "resnet34 0 20 0.0003 (1, 2)\n"
    assert [p.name for p in output.parent.iterdir()] == [output.name]
    assert page.cells[0].source.startswith("(sec:training-resnet34-copy)=")


def by_papermill(opens: Path, **given):
    twin = opens.with_suffix(".ipynb")
    nbformat.write(jupytext.read(opens), twin)
    return papermill.execute_notebook(
        twin, opens.with_name("out.ipynb"), given, kernel_name="python3", progress_bar=False, log_output=False
    )


def test_plain_papermill_reaches_the_run_too(opens):
    page = by_papermill(opens, seed=3, n_mfcc=20, learning_rate="3e-4")
    assert outputs_on_the_page(page)[-1][0].text.startswith("resnet18 3 20 0.0003 ")


def test_plain_papermill_is_refused_a_name_that_is_no_field(opens):
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        by_papermill(opens, lerning_rate=3e-4)
    assert caught.value.ename == "InputError"
    said = 'parameter "lerning_rate" is not known (the notebook\'s parameters); choose from profile, data, '
    assert caught.value.evalue.startswith(said)


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("from helpers import InputError\nraise InputError('Give another.')", InputError, "Give another."),
        ("1 / 0", RuntimeError, "notebooks/05_training.md stopped in cell 2 with ZeroDivisionError: division by zero"),
    ],
    ids=["mistake", "failure"],
)
def test_a_failing_cell_leaves_no_page_and_keeps_the_old_one(library, line, error, said):
    source = library / "notebooks" / "05_training.md"
    source.write_text(made.TRAINING.replace("print(architecture, seed)", line))
    output = library / "book" / "executed" / "copy" / "05_training.ipynb"
    output.parent.mkdir(parents=True)
    output.write_text("old")
    with pytest.raises(error) as caught:
        execute.execute(source, output, {})
    assert str(caught.value).startswith(said)
    assert "\x1b" not in str(caught.value)
    assert output.read_text() == "old"
    assert [p.name for p in output.parent.iterdir()] == [output.name]
    if error is InputError:
        assert str(caught.value) == said
    else:
        assert (library / "_build" / "failed" / "05_training.ipynb").is_file()
        assert "_build/failed/05_training.ipynb" in str(caught.value)


# Figures


def test_a_figure_is_known_to_the_dark_theme_and_says_where_it_comes_from(executed):
    pictures = [b"\x89PNG " + said for said in (b"class=drawn;", b"class=shaded at-0-10-500-990;", b"a picture")]
    shown = [new_output("display_data", {"image/png": base64.b64encode(one).decode()}) for one in pictures]
    for output, marked in zip(shown, ("drawn", "shaded at-0-10-500-990", None), strict=True):
        page = executed("05_training", folder="recorded/resnet18", outputs=[output], data="recorded")
        cells = [cell for cell in page.cells if cell.cell_type == "code" and cell.outputs]
        assert {cell.metadata.get("mystnb", {}).get("image", {}).get("classes") for cell in cells} == {marked}
        assert all("Where this comes from" in cell.metadata["origin"] for cell in cells)


def test_parameters_of_a_chapter_alone_reach_it_as_they_are(library, executed, engine):
    chapter = library / "notebooks" / "05_training.md"
    chapter.write_text(chapter.read_text().replace("seed = 0", 'sound = ""  # a file\nseed = 0', 1))
    executed("05_training", sound="my bark.wav")
    assert engine.calls[0]["given"] == {"sound": "my bark.wav"}


def test_tables_are_numbered_on_a_page_of_the_book_and_those_of_other_values_are_not(executed):
    html = ['<table><caption class="a">First</caption></table>', "<table><caption>Second</caption></table>"]
    html.insert(1, '<details class="outcomes"><table><caption>Tried</caption></table></details>')
    given = [new_output("display_data", data={HTML: one}) for one in html]
    page = executed("05_training", folder="recorded", outputs=given)
    first, tried, second, *_ = (shown.data[HTML] for shown in outputs_on_the_page(page)[0])
    assert (
        first
        == '<table><caption class="a"><span class="caption-number" id="table-1">Table 1. </span>First</caption></table>'
    )
    assert (
        second == '<table><caption><span class="caption-number" id="table-2">Table 2. </span>Second</caption></table>'
    )
    assert tried == html[1]


def test_a_page_holds_no_address_of_an_object(executed):
    """Else it is another page each time that it is made."""
    shown = new_output("execute_result", {"text/plain": "<a.Styler object at 0x7fde40146b50>"}, execution_count=1)
    page = executed("05_training", folder="recorded/resnet18", outputs=[shown], data="recorded")
    texts = [one.data.get("text/plain") for cell in page.cells if cell.cell_type == "code" for one in cell.outputs]
    assert "<a.Styler object>" in texts


def test_a_sound_within_a_choice_is_a_file_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(contents, "EXECUTED", tmp_path)
    sound = f"data:audio/mpeg;base64,{base64.b64encode(b'a sound').decode()}"
    choice = json.dumps({"text": f'<audio src="{sound}"></audio>'})
    held = base64.b64encode(choice.encode()).decode()
    text = execute.lifted(f'<div data-files="data:application/json;base64,{held}">', root="../..")
    (script,) = re.findall(r'"\.\./\.\./_static/(chosen/\w+\.js)"', text)
    (named,) = re.findall(r"\.\./\.\./_static/(audio/\w+\.mp3)", (tmp_path / "_static" / script).read_text())
    assert (tmp_path / "_static" / named).read_bytes() == b"a sound"
