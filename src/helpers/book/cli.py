"""The command line of the study.

`python -m helpers.book --help` lists the commands; the Makefile calls them.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from helpers import InputError, artifacts, printable, study
from helpers.book import contents, elsewhere, graph, progress, site

PLANNED = 200  # artefacts that `make plan` lists one by one
STEP = 1500  # MB of memory that a step of a study may take


def build(*, profile: str, architectures: str, data: str, others: str, parts: str, cores: int) -> None:
    """The main job: check every parameter and the data, run the study's graph, print the site's path."""
    study.check("architectures", architectures, where="ARCHS in the call")
    wanted = parts.split()
    if not wanted or set(wanted) - set(contents.PARTS):
        raise InputError(f'PARTS="{parts}" is not known; choose from {", ".join(contents.PARTS)}, or both')
    study.check("profile", profile, where="PROFILE in the call")
    elsewhere.whole(contents.files(contents.contents(architectures.split(), parts=wanted)))
    settings = _settings(others)
    if set(kept := os.environ.get("RUNS", "")) & set("{}"):
        raise InputError(f'RUNS="{kept}" holds a brace, in which Snakemake looks for a name; take another folder')
    digest = ""
    if "copy" in wanted:
        runs = [
            study.open(architecture=name, profile=profile, data=data, **settings, where="the call")
            for name in architectures.split()
        ]
        source = runs[0].source
        if source.kind == "recorded":
            raise InputError('DATA="recorded" is what the recorded part shows; name a folder, or PARTS=recorded')
        print(f"Data: {source.label}, {source.folder}, because {source.why}.", flush=True)
        digest = "generated"
        if source.kind == "folder":
            from helpers.audio import sounds  # here, because it takes seconds to import

            print(printable(sounds.summary(runs[0])), flush=True)
            for clip in sounds.left_out(runs[0]):
                print(f"Left out: {clip}", flush=True)
            sounds.require_classes(runs[0])
            folds = (runs[0].test_fold, *runs[0].training_folds)
            digest = " ".join(sounds.digest(runs[0], fold)["clips"] for fold in folds)
        changed = "; ".join(f"{n} {study.said(v)}" for n, v in runs[0].changed.items())
        print(
            f"Profile {profile}, architectures {architectures}{changed and '; ' + changed}, {cores} cores.", flush=True
        )
    given = {"profile": profile, "archs": architectures, "data": data, "digest": digest, "parts": parts}
    from helpers.book import warm  # here, because it takes seconds to import

    call = " ".join(filter(None, [*sorted(wanted), *([profile, architectures] if "copy" in wanted else []), others]))
    known = _times()
    with _only_run() as held, warm.server():
        print(_expected(known.get(call), runs if "copy" in wanted else []), flush=True)
        (site.BUILD / site.TOOK).unlink(missing_ok=True)
        started = _clock()
        if "copy" in wanted:
            graph.forget(graph.Call.of(given | {"others": settings}))
        _put_right()
        _snakemake(cores=cores, settings=given | {"others": settings}, held=[held])
    seconds = _clock() - started
    print(f"Took {progress.spoken(seconds)}{_each_part()}.")
    artifacts.write_text(site.BUILD / _TIMES, json.dumps(known | {call: max(seconds, known.get(call, 0))}))
    print(f"The book: {site.SITE / 'index.html'}")


_clock = time.monotonic
_TIMES = "times.json"  # in _build, by call: the longest that a whole build took here, seconds


def _times() -> dict[str, float]:
    try:
        return json.loads((site.BUILD / _TIMES).read_text())
    except (OSError, ValueError):  # nothing built yet, or not whole
        return {}


def _expected(seconds: float | None, runs: Sequence[study.Run]) -> str:
    """How long a build will take, as a sentence: from one before, else from what the same work took elsewhere."""
    if seconds:
        return f"All of it took {progress.spoken(seconds)} here; what has not changed takes no time."
    said = "Nothing was built here before: pages and site take some minutes"
    if not runs:
        return f"{said}."
    if not runs[0].source.folder.exists():  # to count its sounds they would have to be made first
        return f"{said}, your copy what README.md says of its profile."
    from helpers.book import studies  # here, because it takes seconds to import

    every = studies.artifacts.ALL.values()
    work = sum(one.seconds(run) or 0 for run in runs for one in every if not one.folds and not one.path(run).exists())
    return f"{said}, computing for your copy about {progress.spoken(work)}."


def _each_part() -> str:
    """What each part of a build took, as the end of a sentence; nothing where nothing was made."""
    seconds: dict[str, list[float]] = {}
    took = site.BUILD / site.TOOK
    for line in took.read_text(encoding="utf-8").splitlines() if took.exists() else ():
        taken, _, what = line.partition(" ")
        seconds.setdefault(what, []).append(float(taken))
    said = (
        f"{what} {progress.spoken(sum(own))}" + f" ({len(own)} pages)" * (what != "site")
        for what, own in seconds.items()
    )
    return f": {', '.join(said)}" if seconds else ": nothing had changed"


def _put_right() -> None:
    """Take back times that lie ahead: they were written by a clock that went wrong, and Snakemake stops at them."""
    now = time.time()
    made = (p for root in (contents.EXECUTED, site.SITE, study.RUNS, study.DATA / "synthetic") for p in root.rglob("*"))
    made = (path for path in made if path.suffix in (".ipynb", ".json") or path.name == ".complete")
    listed = filter(Path.exists, [study.ROOT / graph.RECORDED])
    for path in (*made, *listed, *elsewhere.sources(study.ROOT)):
        if path.lstat().st_mtime > now:
            os.utime(path)


def _settings(others: str) -> dict[str, str]:
    """`OTHERS="n_mfcc=20 learning_rate=3e-4"` as fields of a run; a value with spaces stands in double quotes."""
    settings = dict(_value(word) for word in _words(others, setting="OTHERS"))
    own = {"profile": "PROFILE", "data": "DATA", "architecture": "ARCHS"}
    for name, value in settings.items():
        if name in own:
            raise InputError(f"{name} has a setting of its own ({own[name]}); take it out of OTHERS")
        study.check(name, value, where="OTHERS in the call")
    return settings


def _words(text: str, *, setting: str) -> list[str]:
    """The words of a setting; one with spaces stands in quotes."""
    try:
        return shlex.split(text)
    except ValueError:
        raise InputError(f"{setting}={text!r} has a quotation mark without its partner; close it") from None


def make_study(*, name: str, data: str, profile: str, engine: str, cores: int) -> None:
    """Make what a study asks for and is not there: one job per artefact, on this machine or on a cluster."""
    if profile:
        study.check("profile", profile, where="PROFILE in the call")
    study.study(name)  # refuses one that is not there before seconds of importing
    folder = _engine(engine)
    from helpers.book import jobs, warm  # here, because they take seconds to import

    source = study.entries(name, data=data, profile=profile)[0].source
    kept = jobs.place(source.results)
    if signs := set(kept) & set("{}" if engine == "local" else "{},"):
        raise InputError(
            f'"{kept}" holds "{min(signs)}", which Snakemake reads as its own; name RUNS or DATA otherwise'
        )
    with _only_run() as held:
        _put_right()
        waiting = jobs.write(name, data, profile, site.BUILD / "jobs.json")
        print(f"Study {name} on {source.label}, {source.folder}: {waiting} artefacts to make.", flush=True)
        if waiting:
            words = ["--snakefile", "study.smk", "--workflow-profile", str(folder), "--keep-going", "--forceall"]
            settings = {"jobs": str(site.BUILD / "jobs.json"), "runs": str(study.RUNS)}
            own = cores if engine == "local" else 0
            # on other machines nothing can ask a process of this one
            with warm.server() if engine == "local" else contextlib.nullcontext():
                _snakemake(cores=own, settings=settings, held=[held], words=words)
    print(f"All artefacts of study {name} are there: {source.results}")


def _engine(name: str) -> Path:
    """The folder of an engine's workflow profile.

    Raises
    ------
    InputError
        There is none of that name, or what it needs is not installed.
    """
    known = {path.parent.name: path.parent for path in sorted(study.ROOT.glob("config/engines/*/config.yaml"))}
    if name not in known:
        raise InputError(f'engine "{name}" is not known; choose from {", ".join(known)} (ENGINE in the call)')
    folder = known[name]
    executor = yaml.safe_load((folder / "config.yaml").read_text()).get("executor", "local")
    package = f"snakemake-executor-plugin-{executor}"
    if executor != "local" and importlib.util.find_spec(package.replace("-", "_")) is None:
        raise InputError(f"ENGINE={name} needs the package {package}, which is not installed; install it with pip")
    if executor == "slurm" and not shutil.which("sbatch"):
        raise InputError("ENGINE=slurm needs Slurm's sbatch, which is not on this machine; call it on a login node")
    return folder


def _cores(given: str) -> int:
    """How many steps run side by side: as many as are asked for, else one a core, as far as the memory goes."""
    if not given:
        own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(own, memory() // STEP))
    if not re.fullmatch("[1-9][0-9]{0,4}", given):
        raise InputError(f"CORES={given} is not a number of cores; give 1 or more")
    return int(given)


def memory() -> int:
    """MB that this process and those that it starts may take: the machine's, or what a container or a job was given."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    groups = Path("/proc/self/cgroup").read_text().splitlines() if Path("/proc/self/cgroup").exists() else []
    for place in {"/", *(line.split(":", 2)[2] for line in groups)}:  # in a container its own is the uppermost
        for limit in (f"/sys/fs/cgroup{place}/memory.max", f"/sys/fs/cgroup/memory{place}/memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                found.append(int(Path(limit).read_text()))
    return min(found) // 2**20


def _snakemake(*, cores: int, settings: dict, held: Sequence[int] = (), words: Sequence[str] = ()) -> None:
    """Run a graph; jobs speak on standard output, Snakemake itself only counts the steps.

    Parameters
    ----------
    cores : of this machine; 0 where the steps run elsewhere.
    held : numbers of open files that the engine keeps open: the lock, which it holds also when this process is killed.
    words : further ones of Snakemake's command line.
    """
    call = [sys.executable, "-m", "helpers.book", "engine", "--", "--nolock", "--rerun-incomplete", *words]
    call += ["--cores", str(cores)] if cores else []
    config = site.BUILD / "study.json"  # a file: on the command line Snakemake guesses what a value is
    artifacts.write_text(config, json.dumps(settings))
    call += ["--quiet", "host", "--configfile", str(config)]
    log = site.BUILD / "study.log"
    # a profile of the user's own, for other work, would send the steps elsewhere or nowhere
    own = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    with log.open("w") as record:
        running = subprocess.Popen(
            call, cwd=study.ROOT, stderr=subprocess.PIPE, text=True, env=own, start_new_session=True, pass_fds=held
        )
        try:
            for line in running.stderr or ():
                record.write(line)
                if re.search(r"^\d+ of \d+ steps", line):
                    print(f"[{line.strip()}]", flush=True)
        except KeyboardInterrupt:
            os.killpg(running.pid, signal.SIGINT)  # it stops its steps
            running.wait()
            raise
    if running.wait():
        text = log.read_text()
        if mistake := re.search(r"^InputError in file .*:\n(.+)", text, re.MULTILINE):
            raise InputError(mistake[1])  # met before the first step
        said = [] if cores else _failed(text)
        print(*said, sep="\n", end="\n" if said else "", file=sys.stderr)
        if not said and "CalledProcessError" not in text:  # else the failed step has said what is wrong
            print("\n".join(text.splitlines()[-20:]), file=sys.stderr)
        raise RuntimeError("stopped; the whole log is _build/study.log, and what each step said is in _build/logs")


def _failed(text: str) -> list[str]:
    """The last line of what each step said that failed elsewhere and did not come out at another try."""
    found = {}
    for block in re.split(r"(?=jobid: \d)", text)[1:]:
        number = block.partition("\n")[0]
        log = re.search(r"^ +log: (.+?\.json\.log).*\(check log file", block, re.MULTILINE)
        if log and f"Finished {number} " not in text:
            found[study.ROOT / log[1]] = number
    return [line for path in found if path.is_file() for line in path.read_text().splitlines()[-1:]]


def engine(words: Sequence[str]) -> None:
    """Snakemake in this process, for as long as the process that started this one lives."""
    from snakemake import cli as snakemake  # here, because it takes seconds to import

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in its background ignore it
    parent = os.getppid()

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(os.getpgrp(), signal.SIGINT)  # stops the steps that run, as a Ctrl-C does

    threading.Thread(target=end_with_parent, daemon=True).start()
    snakemake.main(list(words))


def verify(*, every: bool, name: str, data: str) -> None:
    """Print what was made again beside what is recorded."""
    from helpers.book import verify as verifying  # here, because it takes seconds to import

    table = verifying.verify(count="all" if every else verifying.CLIPS, name=name, data=data)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2g}", na_rep=""))
    if (table["equal"] == "no").any():
        raise RuntimeError("something differs by more than is allowed")


def record(*, name: str, data: str) -> None:
    """Write data/recorded: what a study's runs made, what follows, the official counts, times of a bench.

    In one step: until all of it is written, data/recorded is as it was. What the cells "change this" say follows from
    the rest of it; the README's answer comes last.
    """
    from helpers.audio import overlaps, sounds
    from helpers.book import outcomes, picture, studies
    from helpers.findings import answer

    study.study(name)  # refuses one that is not there before anything is written
    bench = site.BUILD / "bench.json"
    source = study.open(profile="thesis", data=data).source
    if source.synthetic and not bench.exists():
        raise InputError(
            "there is nothing to record; name DATA=folder with recordings and their results, or `make bench`"
        )
    if not source.synthetic and not sounds.is_official(source.folder):
        print(f"{source.folder} has not the official table of all clips: its counts stay as they are recorded")
    with studies.staged() as stage:
        written: list[str | Path] = []
        for times in (bench, bench.with_name("scale.json")):
            if times.exists():
                artifacts.write_text(stage / times.name, times.read_text())
                written.append(times.name)
        if not source.synthetic:
            if sounds.is_official(source.folder):
                written.append(sounds.record_slices(source.folder))
            written += studies.record(name, data)
            written.append(overlaps.record(source.folder, sounds.clips(study.open(profile="thesis", data=data))))
            said = answer.write()
            written += [picture.write(stage / "ladder.svg"), picture.first(stage)]
            written += [outcomes.write()] if name == "reference" else []  # the chapters open its runs alone
    print("\n".join(str(study.RECORDED / (p.relative_to(stage) if isinstance(p, Path) else p)) for p in written))
    if not source.synthetic:
        answer.show(said)


@contextlib.contextmanager
def _only_run() -> Iterator[int]:
    """Hold the study's lock, and give the number of its file.

    The system lets go of it when this process, and the one that was started with that number, end, however they end.
    """
    _folder(site.BUILD)
    with (site.BUILD / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another `make book` is running in this folder; wait for it or stop it") from None
        except OSError as error:
            raise InputError(
                f"{file.name} cannot be locked ({error.strerror}); let all lie on another disk, with BUILD=folder"
            ) from None
        yield file.fileno()


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
    command.add_argument("--others", default="", help='further fields of the run, "n_mfcc=20 learning_rate=3e-4"')
    command.add_argument("--parts", default=" ".join(contents.PARTS))
    command.add_argument("--cores", default="", help="steps side by side")
    command = commands.add_parser("merge", help="take over what others' runs of the same study made")
    command.add_argument("folder", help="their runs, such as data/runs of another checkout")
    command.add_argument("--data", default="")
    command = commands.add_parser("execute", help="execute one chapter")
    command.add_argument("notebook", type=Path)
    command.add_argument("outputs", type=Path, nargs="+", help="the page, then records that it brings about")
    command.add_argument("--inputs", type=Path, nargs="+", default=[], help="do nothing if these are as before")
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    command = commands.add_parser("site", help="build the site from the executed chapters")
    command.add_argument("--archs", default="resnet18 resnet101")
    command.add_argument("--parts", default=" ".join(contents.PARTS))
    command.add_argument("--data", default="")
    command = commands.add_parser("pairs", help="write the .ipynb twins of the chapters")
    command.add_argument("--check", action="store_true")
    for name, said in (
        ("study", "make what a study's runs need, with Snakemake"),
        ("plan", "list the jobs of a study, with minutes"),
        ("record", "write data/recorded from a study's runs"),
    ):
        command = commands.add_parser(name, help=said)
        command.add_argument("--study", default="reference")
        command.add_argument("--data", default="")
        if name != "record":
            command.add_argument("--profile", default="", help="of all runs, in place of what the study says")
        if name == "study":
            command.add_argument("--engine", default="local", help="a folder of config/engines")
            command.add_argument("--cores", default="", help="steps side by side")
    command = commands.add_parser("make", help="make one artefact of one run, if it is not there")
    command.add_argument("artefact", help='its name, such as "scores.csv"')
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    command.add_argument("--fold", type=int, help="of one that is made fold by fold")
    command.add_argument("--threads", type=int, default=0)
    command = commands.add_parser("verify", help="make recorded results again and compare; with data a whole study")
    command.add_argument("--all", action="store_true", help="all explained clips, not the first few")
    command.add_argument("--study", default="reference")
    command.add_argument("--data", default="")
    command = commands.add_parser("engine", help="Snakemake with its own words, under the study's lock")
    command.add_argument("words", nargs="*")
    command = commands.add_parser("prune", help="list artefacts by size; remove those named")
    command.add_argument("--names", default="", help="as the list shows them; one with spaces in quotes")
    commands.add_parser("outcomes", help="write what the cells 'change this' say with their other values")
    commands.add_parser("pdf", help="print the built site")
    commands.add_parser("data", help="download UrbanSound8K and verify it")
    options = parser.parse_args(arguments)
    # a chapter executed by Snakemake speaks where its progress is shown
    stream = sys.stdout if options.command in ("execute", "site", "make") else sys.stderr
    try:
        study.place("RUNS", os.environ.get("RUNS", ""))
        if os.environ.get("BUILD"):
            elsewhere.run(os.environ["BUILD"], sys.argv[1:] if arguments is None else arguments)
        _at_home()
        drawing = options.command in ("study", "make", "data", "record", "outcomes")
        with contextlib.redirect_stderr(progress.Lines(sys.stderr)) if drawing else contextlib.nullcontext():
            _run(options)
    except InputError as mistake:
        print(mistake, file=stream)
        return 2
    except RuntimeError as failure:
        print(failure, file=stream)
        return 1
    except OSError as error:
        if not (reason := artifacts.unwritable(error, study.ROOT)):
            raise
        where = error.filename2 or error.filename or site.BUILD  # of a copy: where to
        remedy = (
            "make room or get the right to write there (BUILD=folder takes another), and run the same command again"
        )
        print(f"{where} cannot be written ({reason}); {remedy}", file=stream)
        return 1
    except KeyboardInterrupt:
        if "HELPERS_WARM" not in os.environ:  # else it is a step of a command that says so itself
            print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _at_home() -> None:
    """Give libraries a home to keep their caches in where the user's cannot be written to."""
    os.environ["JOBLIB_MULTIPROCESSING"] = "0"  # nothing here uses it, and without a /dev/shm it warns on every page
    home = Path(os.environ.get("HOME") or "/nonexistent")
    if not os.access(home, os.W_OK | os.X_OK):
        os.environ["HOME"] = str(site.BUILD / "home")
        _folder(site.BUILD / "home")


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f'"{study.ROOT}" cannot be written to ({error.strerror}); name a folder that can, with BUILD=folder'
        ) from None


def _run(options: argparse.Namespace) -> None:
    if options.command == "build":
        build(
            profile=options.profile,
            architectures=options.archs,
            data=options.data,
            others=options.others,
            parts=options.parts,
            cores=_cores(options.cores),
        )
    elif options.command == "execute":
        from helpers.book import execute  # here, because it takes seconds to import

        given = dict(_value(text) for text in options.parameters)
        page, *records = options.outputs
        execute.execute(options.notebook.resolve(), page.resolve(), given, inputs=options.inputs, records=records)
    elif options.command == "site":
        from helpers.book import first  # here, because it takes seconds to import

        first.sound(options.data)
        if site.address():
            first.card()
        site.site(options.archs.split(), parts=options.parts.split())
    elif options.command == "engine":
        engine(options.words)
    elif options.command == "pairs":
        contents.pairs(check=options.check)
    elif options.command == "record":
        with _only_run():
            record(name=options.study, data=options.data)
    elif options.command == "verify":
        verify(every=options.all, name=options.study, data=options.data)
    elif options.command == "outcomes":
        from helpers.book import outcomes  # here, because it takes seconds to import

        with _only_run():
            print(outcomes.write())
    elif options.command == "pdf":
        from helpers.book import pdf  # here, because only this command needs it

        print(pdf.pdf())
    elif options.command == "data":
        from helpers.audio import download

        download.download(study.DATA / "UrbanSound8K")
    elif options.command == "study":
        make_study(
            name=options.study,
            data=options.data,
            profile=options.profile,
            engine=options.engine,
            cores=_cores(options.cores),
        )
    else:
        from helpers.book import jobs, studies  # here, because they take seconds to import

        if options.command == "make":
            given = dict(_value(text) for text in options.parameters)
            jobs.make(options.artefact, given, fold=options.fold, threads=options.threads)
        elif options.command == "plan":
            table = jobs.plan(options.study, options.data, options.profile)
            site.BUILD.mkdir(exist_ok=True)
            whole = site.BUILD / f"plan-{options.study}.csv"
            table.to_csv(whole, index=False)
            print(table.to_string(index=False) if len(table) <= PLANNED else f"{len(table)} artefacts: {whole}")
            print(jobs.totals(table).to_string(index=False))
        elif options.command == "merge":
            with _only_run():
                print(studies.merge(options.folder, options.data).to_string(index=False))
        else:
            print(studies.prune(_words(options.names, setting="NAMES")).to_string(index=False))
