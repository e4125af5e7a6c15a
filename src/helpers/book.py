"""From notebooks and parameters to executed, checked pages and the site; the study's command line.

`python -m helpers.book --help` lists the commands; the Makefile calls them.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode
from traitlets.config import Config

from helpers import InputError, artifacts, study

NOTEBOOKS = study.ROOT / "notebooks"
EXECUTED = study.ROOT / "book" / "executed"
BUILD = study.ROOT / "_build"
SITE = BUILD / "html"
# The architecture that hand-written sources name where each architecture of a run is meant.
TEMPLATE = "resnet18"
_LABEL = re.compile(r"^\(([\w:-]+)\)=|^:(?:label|name): *([\w:-]+)|^\$\$ *\(([\w:-]+)\)", re.MULTILINE)
_EACH = re.compile(r"^% each architecture\n(.*?)^% end\n?", re.MULTILINE | re.DOTALL)
_AUDIO = re.compile(r'src="data:audio/mpeg;base64,([A-Za-z0-9+/=]+)"')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What tqdm leaves behind: "training ResNet18:  40%|####   | 4/10 [00:01<00:02,  2.50batch/s]"
_PROGRESS = re.compile(r"^.*\[(?:\d+:)?\d+:\d\d[<,].*\]\s*$|^\s*$", re.MULTILINE)


def contents(architectures: Sequence[str]) -> dict:
    """The table of contents of _toc.yml with the chapters of each architecture of a run.

    Neighbouring entries whose files lie in a folder `resnet18` are repeated for each architecture.
    """

    def expand(entries: list) -> list:
        expanded = []
        for per_network, group in itertools.groupby(entries, lambda e: f"/{TEMPLATE}/" in e.get("file", "")):
            group = [
                {key: expand(value) if isinstance(value, list) else value for key, value in entry.items()}
                for entry in group
            ]
            text = yaml.safe_dump(group)
            copies = [_for_architecture(text, name) for name in architectures] if per_network else [text]
            expanded += itertools.chain.from_iterable(map(yaml.safe_load, copies))
        return expanded

    return {
        key: expand(value) if isinstance(value, list) else value
        for key, value in yaml.safe_load((study.ROOT / "_toc.yml").read_text()).items()
    }


def files(contents: dict | list) -> Iterator[str]:
    """Every `file` (and the `root`) of a table of contents, in reading order."""
    if isinstance(contents, list):
        for entry in contents:
            yield from files(entry)
        return
    for key, value in contents.items():
        if key in ("root", "file"):
            yield value
        elif isinstance(value, list):
            yield from files(value)


def parameters_of(notebook: NotebookNode, *, name: str) -> dict:
    """Names and default values in the cell tagged `parameters`."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise InputError(f'{name} has {len(cells)} cells tagged "parameters"; give it exactly one')
    return {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(cells[0].source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def sources_of(chapter: str) -> list[str]:
    """Files of the helper modules that a chapter's cells use, from the repository's root."""
    notebook = jupytext.read(NOTEBOOKS / f"{chapter}.md")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    modules = sorted(artifacts.modules_of(code))
    return [artifacts.source_of(name).relative_to(study.ROOT).as_posix() for name in modules]


def execute(
    source: Path, output: Path, given: dict, *, inputs: Sequence[Path] = (), records: Sequence[Path] = ()
) -> None:
    """Execute a chapter with papermill and write the page the book shows.

    A page that was made from the same contents of `inputs` with the same parameters is left as it is.

    Parameters
    ----------
    source : the chapter, notebooks/NN_title.md.
    output : the executed copy, book/executed/[architecture/]NN_title.ipynb; appears only when every
        cell has run.
    given : parameters that differ from the chapter's own.
    inputs : all files that the page depends on; without them the chapter is always executed.
    records : provenance records that the chapter brings about; if one is missing, it is executed too.

    Raises
    ------
    InputError
        A parameter is not the chapter's or has no such value, or a cell met a user's mistake.

    Source: papermill. Chapter: notebooks/11_runs.md
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    if not source.exists():
        raise InputError(f"notebooks/{source.name} does not exist; name one of notebooks/*.md")
    notebook = jupytext.read(source)
    defaults = parameters_of(notebook, name=source.name)
    for name, value in given.items():
        if name not in defaults:
            raise InputError(
                f'parameter "{name}" is not known to notebooks/{source.name}; '
                f"choose from {', '.join(defaults)}"
            )
        if isinstance(value, str) and not isinstance(defaults[name], str):  # from the command line
            with contextlib.suppress(ValueError, SyntaxError):
                given = given | {name: ast.literal_eval(value)}
        study.check(name, given[name], where=f"notebooks/{source.name}")
    values = defaults | given
    made_from = _made_from(inputs, given)
    if inputs and _says(output, made_from) and all(path.exists() for path in records):
        for path in (output, *records):
            path.touch()  # the workflow engine reads times: checked now, not older than its inputs
        return
    architectures = values.get("architectures", values.get("architecture", TEMPLATE)).split()
    per_architecture = output.parent != EXECUTED and "architecture" in values
    for cell in notebook.cells:
        cell.source = _EACH.sub(
            lambda block: "".join(_for_architecture(block[1], name) for name in architectures), cell.source
        )
    if per_architecture:
        _make_labels_unique(notebook, values["architecture"])
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".part-{output.name}")
    sockets = tempfile.TemporaryDirectory()
    started = time.monotonic()
    try:
        executed = papermill.execute_notebook(
            notebook,
            part,
            given,
            cwd=NOTEBOOKS,
            kernel_name="python3",
            progress_bar=False,
            stderr_file=sys.stdout,
            # sockets of its own: kernels that start at the same time cannot take each other's ports
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets.name}/kernel"}}),
        )
    except PapermillExecutionError as error:
        if error.ename == "InputError":
            part.unlink(missing_ok=True)
            raise InputError(error.evalue) from None
        failed = BUILD / "failed" / output.name
        failed.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, failed)
        raise RuntimeError(
            f"notebooks/{source.name} stopped with {error.ename}: {error.evalue}\n"
            f"{_COLOUR.sub('', chr(10).join(error.traceback))}\n"
            f"(the notebook up to there: {failed.relative_to(study.ROOT)})"
        ) from None
    except BaseException:  # Ctrl-C, for one
        part.unlink(missing_ok=True)
        raise
    finally:
        sockets.cleanup()
    if dict(executed.metadata.papermill.parameters) != given:
        raise RuntimeError(f"papermill did not pass {given} to notebooks/{source.name}")
    root = "/".join(".." for _ in output.parent.relative_to(study.ROOT).parts)
    _make_page(executed, source=source, root=root, values=values, seconds=time.monotonic() - started)
    executed.metadata["made_from"] = made_from
    nbformat.write(executed, part)
    os.replace(part, output)


def _made_from(inputs: Sequence[Path], given: dict) -> str:
    contents = {str(path): artifacts.content_digest(path) for path in inputs}
    return hashlib.sha256(json.dumps([contents, given], sort_keys=True).encode()).hexdigest()


def _says(page: Path, made_from: str) -> bool:
    try:
        return json.loads(page.read_text())["metadata"]["made_from"] == made_from
    except (OSError, ValueError, KeyError):  # not there, not whole, or not ours: to be made
        return False


def _for_architecture(text: str, architecture: str) -> str:
    return text.replace(TEMPLATE, architecture).replace(
        TEMPLATE.replace("resnet", "ResNet"), architecture.replace("resnet", "ResNet")
    )


def labels_of(notebook: NotebookNode) -> set[str]:
    """Labels a chapter defines: sections, equations, directives with a name, figures of code cells."""
    found = set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found |= {next(filter(None, groups)) for groups in _LABEL.findall(cell.source)}
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        found |= {name} if name else set()
    return found


def _make_labels_unique(notebook: NotebookNode, architecture: str) -> None:
    """Give the labels of all per-architecture chapters, and references to them, the run's suffix."""
    chapters = {Path(f).name for f in files(contents([TEMPLATE])) if f"/{TEMPLATE}/" in f}
    labels = set().union(*(labels_of(jupytext.read(NOTEBOOKS / f"{name}.md")) for name in chapters))
    pattern = re.compile(r"(?<![\w:-])(" + "|".join(map(re.escape, sorted(labels))) + r")(?![\w:-])")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = pattern.sub(rf"\1-{architecture}", cell.source)
            cell.source = re.sub(
                r"\A((?:\(.*\)=\n)?# .*)",
                lambda title: f"{title[1]} ({architecture.replace('resnet', 'ResNet')})",
                cell.source,
            )
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        for key in figure:
            figure[key] = pattern.sub(rf"\1-{architecture}", figure[key])


def _make_page(notebook: NotebookNode, *, source: Path, root: str, values: dict, seconds: float) -> None:
    """Make an executed notebook a page: say its data, keep sound in files, drop what only machines read."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags and len(values):
            injected = any("injected-parameters" in c.metadata.get("tags", []) for c in notebook.cells)
            cell.metadata["tags"] = [*tags, "remove-cell"] if injected else tags
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for shown in cell.outputs:
            if shown.output_type == "stream" and shown.name == "stderr":
                shown.text = _PROGRESS.sub("", shown.text.replace("\r", "\n")).strip()
                if not shown.text:
                    continue  # a progress bar; anything else stays, and makes the site's build fail
            if "application/vnd.jupyter.widget-view+json" in shown.get("data", {}):
                continue  # a library's progress bar for JupyterLab; dead in a page
            if "text/html" in shown.get("data", {}):
                shown.data["text/html"] = _AUDIO.sub(
                    lambda match: f'src="{root}/_static/audio/{_lift_sound(match[1])}"',
                    shown.data["text/html"],
                )
            kept.append(shown)
        cell.outputs = kept
    notebook.metadata.pop("papermill", None)
    notebook.cells[0].source += f"\n\n{banner(source=source, values=values, seconds=seconds)}"


def banner(*, source: Path, values: dict, seconds: float) -> str:
    """What the numbers on a page were computed from, as MyST; synthetic data is called so first."""
    made = f"`notebooks/{source.name}` at revision `{artifacts.revision()}`, executed in {seconds:.0f} s"
    if "data" not in values:
        return f"```{{div}} provenance\n{made}.\n```"
    shown = {k: v for k, v in values.items() if k not in ("data", "profile")}
    run = study.open(profile=values["profile"], data=values["data"])
    settings = ", ".join(f"{name} {value}" for name, value in shown.items())
    if run.source.synthetic:
        text = "Sounds made by a program, **not recordings**: a **synthetic stand-in** for UrbanSound8K."
    else:
        text = "Real recordings from UrbanSound8K."
    kind = "warning" if run.source.synthetic else "note"
    return (
        f":::{{admonition}} Data on this page: {run.source.label}\n:class: {kind} provenance\n"
        f"{text} Profile `{run.profile.name}`; {settings}. Made by {made}; {{ref}}`all runs <sec:runs>`.\n:::"
    )


def _lift_sound(encoded: str) -> str:
    """Write an inline sound to the site's static files and return the file's name."""
    sound = base64.b64decode(encoded)
    path = EXECUTED / "_static" / "audio" / f"{hashlib.sha256(sound).hexdigest()[:16]}.mp3"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sound)
    return path.name


def pair(source: Path) -> str:
    """The .ipynb twin of a chapter as text: no outputs, cell ids that depend on the position alone."""
    notebook = jupytext.read(source)
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    notebook.metadata["jupytext"] = {"formats": "ipynb,md:myst"}
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook) + "\n"


def pairs(*, check: bool) -> None:
    """Write the .ipynb twins of all chapters, or refuse those that differ from their .md."""
    stale = []
    for source in sorted(NOTEBOOKS.glob("*.md")):
        twin, text = source.with_suffix(".ipynb"), pair(source)
        if twin.exists() and twin.read_text() == text:
            continue
        stale.append(twin.name)
        if not check:
            artifacts.write_text(twin, text)
    lonely = [p.name for p in NOTEBOOKS.glob("*.ipynb") if not p.with_suffix(".md").exists()]
    if lonely:
        raise InputError(f"notebooks without a .md twin: {', '.join(lonely)}; remove or pair them")
    if check and stale:
        raise InputError(f"notebooks differ from their .md twins: {', '.join(stale)}; run `make pairs`")


def site(architectures: Sequence[str]) -> Path:
    """Build the site with warnings as errors; the old one stays until the new one is complete."""
    following = BUILD / "following"
    shutil.rmtree(following, ignore_errors=True)
    following.mkdir(parents=True)
    toc = following / "toc.yml"
    toc.write_text(yaml.safe_dump(contents(architectures), sort_keys=False))
    for name in ("book/_static", "book/executed/_static"):
        (study.ROOT / name).mkdir(parents=True, exist_ok=True)
    call = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(study.ROOT),
        "--path-output",
        str(following),
    ]
    call += ["--toc", str(toc), "-n", "-W", "--keep-going", "-q"]
    with (BUILD / "site.log").open("w") as log:
        result = subprocess.run(call, stdout=log, stderr=subprocess.STDOUT, check=False)
    built = following / "_build" / "html"
    if result.returncode or not (built / "index.html").exists():
        tail = "\n".join((BUILD / "site.log").read_text().splitlines()[-30:])
        raise RuntimeError(f"{tail}\nthe site could not be built; the whole log is _build/site.log")
    shutil.rmtree(SITE, ignore_errors=True)
    os.replace(built, SITE)
    shutil.rmtree(following)
    return SITE / "index.html"


def build(*, profile: str, architectures: str, data: str, cores: int) -> None:
    """The main job: check every parameter and the data, run the study's graph, print the site's path."""
    study.check("architectures", architectures, where="ARCHS in the call")
    names = architectures.split()
    if cores < 1:
        raise InputError(f"CORES={cores} is not a number of cores; give 1 or more")
    study.check("profile", profile, where="PROFILE in the call")
    run = study.open(profile=profile, data=data)
    from helpers import sounds

    print(f"Data: {run.source.label}, {run.source.folder}, because {run.source.why}.", flush=True)
    digest = "generated"
    if not run.source.synthetic or run.source.named:
        clips, digest = sounds.clips(run)
        print(sounds.summary(clips), flush=True)
    print(f"Profile {profile}, architectures {', '.join(names)}, {cores} cores.", flush=True)
    with _only_run():
        _snakemake(
            cores=cores, settings={"profile": profile, "archs": architectures, "data": data, "digest": digest}
        )
    print(f"The book: {SITE / 'index.html'}")


def _snakemake(*, cores: int, settings: dict) -> None:
    """Run the study's graph; jobs speak on standard output, Snakemake itself only counts the steps."""
    call = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--nolock", "--rerun-incomplete"]
    call += ["--quiet", "host", "rules", "--config"]
    call += [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    log = BUILD / "study.log"
    with log.open("w") as record:
        engine = subprocess.Popen(call, cwd=study.ROOT, stderr=subprocess.PIPE, text=True)
        try:
            for line in engine.stderr:
                record.write(line)
                if re.search(r"^\d+ of \d+ steps", line):
                    print(f"[{line.strip()}]", flush=True)
        except KeyboardInterrupt:
            engine.wait()  # it has had the same Ctrl-C and stops its jobs
            raise
    if engine.wait():
        text = log.read_text()
        if "CalledProcessError" not in text:  # else the failed chapter has said what is wrong
            print("\n".join(text.splitlines()[-20:]), file=sys.stderr)
        raise RuntimeError("stopped; the whole log is _build/study.log")


def record(*, data: str) -> None:
    """Write data/recorded: the official table's counts, the reference runs of `data`, times of a bench."""
    from helpers import reference, sounds

    bench = BUILD / "bench.json"
    source = study.open(profile="thesis", data=data).source
    if source.synthetic and not bench.exists():
        raise InputError(
            "there is nothing to record; name DATA=folder with the official table, or `make bench`"
        )
    if bench.exists():
        artifacts.write_text(study.RECORDED / "bench.json", bench.read_text())
        print(study.RECORDED / "bench.json")
    if not source.synthetic:
        print(sounds.record_slices(source.folder))
        for key in reference.record(data):
            print(f"{study.RECORDED}: {key}")
        readme = study.ROOT / "README.md"
        answer = f"\\1\n{reference.answer()}\\2"
        text = re.sub(
            r"(<!-- answer: .*? -->).*(<!-- /answer -->)", answer, readme.read_text(), flags=re.DOTALL
        )
        artifacts.write_text(readme, text)


@contextlib.contextmanager
def _only_run() -> Iterator[None]:
    """Hold the study's lock; the system lets go of it when the process ends, however it ends."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "another `make book` is running in this folder; wait for it or stop it"
            ) from None
        yield


def _value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f'"{text}" is not a parameter; write name=value')
    return name, value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake ends with one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m helpers.book", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="run the study and build the site")
    command.add_argument("--profile", default="quick")
    command.add_argument("--archs", default="resnet18 resnet101")
    command.add_argument("--data", default="")
    command.add_argument("--cores", type=int, default=os.cpu_count())
    command = commands.add_parser("execute", help="execute one chapter")
    command.add_argument("notebook", type=Path)
    command.add_argument("outputs", type=Path, nargs="+", help="the page, then records that it brings about")
    command.add_argument(
        "--inputs", type=Path, nargs="+", default=[], help="do nothing if these are as before"
    )
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    command = commands.add_parser("site", help="build the site from the executed chapters")
    command.add_argument("--archs", default="resnet18 resnet101")
    command = commands.add_parser("pairs", help="write the .ipynb twins of the chapters")
    command.add_argument("--check", action="store_true")
    command = commands.add_parser("reference", help="compute the reference runs on real recordings")
    command.add_argument("--data", default="")
    command = commands.add_parser("record", help="write data/recorded")
    command.add_argument("--data", default="")
    commands.add_parser("data", help="download UrbanSound8K and verify it")
    options = parser.parse_args(arguments)
    # a chapter executed by Snakemake speaks where its progress is shown
    stream = sys.stdout if options.command in ("execute", "site") else sys.stderr
    try:
        if options.command == "build":
            build(
                profile=options.profile, architectures=options.archs, data=options.data, cores=options.cores
            )
        elif options.command == "execute":
            given = dict(_value(text) for text in options.parameters)
            page, *records = options.outputs
            execute(options.notebook.resolve(), page.resolve(), given, inputs=options.inputs, records=records)
        elif options.command == "site":
            site(options.archs.split())
        elif options.command == "pairs":
            pairs(check=options.check)
        elif options.command == "reference":
            from helpers import reference

            with _only_run():
                reference.make(options.data)
        elif options.command == "record":
            record(data=options.data)
        elif options.command == "data":
            from helpers import urbansound

            urbansound.download(study.DATA / "UrbanSound8K")
    except InputError as mistake:
        print(mistake, file=stream)
        return 2
    except RuntimeError as failure:
        print(failure, file=stream)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
