"""The command line of the study.

`python -m helpers.book --help` lists the commands; the Makefile calls them.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from helpers import InputError, artifacts, study
from helpers.audio import download
from helpers.book import contents, execute, site


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
    print(f"The book: {site.SITE / 'index.html'}")


def _snakemake(*, cores: int, settings: dict) -> None:
    """Run the study's graph; jobs speak on standard output, Snakemake itself only counts the steps."""
    call = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--nolock", "--rerun-incomplete"]
    call += ["--quiet", "host", "rules", "--config"]
    call += [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    log = site.BUILD / "study.log"
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

    bench = site.BUILD / "bench.json"
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
    site.BUILD.mkdir(exist_ok=True)
    with (site.BUILD / ".lock").open("w") as lock:
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
            execute.execute(
                options.notebook.resolve(), page.resolve(), given, inputs=options.inputs, records=records
            )
        elif options.command == "site":
            site.site(options.archs.split())
        elif options.command == "pairs":
            contents.pairs(check=options.check)
        elif options.command == "reference":
            from helpers import reference

            with _only_run():
                reference.make(options.data)
        elif options.command == "record":
            record(data=options.data)
        elif options.command == "data":
            download.download(study.DATA / "UrbanSound8K")
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
