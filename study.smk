# A study as a graph: a rule for each kind of artefact, a job for each that is to be made; helpers/book/jobs.py says which.
import json
import shlex
from pathlib import Path

GRAPH = json.loads(Path(config["jobs"]).read_text())
ROOT = "/" if GRAPH[0]["record"].startswith("/") else ""  # where runs are kept elsewhere: RUNS=folder
JOBS = {job["record"].removeprefix(ROOT): job for job in GRAPH}
# the command, by the process that has imported what artefacts need (helpers.book.warm), where there is one; a machine
# elsewhere knows no environment of ours
MAKE = f"RUNS={shlex.quote(config['runs'])} {shlex.quote(sys.executable)} -IS src/helpers/book/ask.py make"


localrules:
    study,


rule study:
    input:
        [local(job["record"]) for job in GRAPH],


for kind in dict.fromkeys(job["kind"] for job in GRAPH):

    rule:
        name: kind.replace("-", "_")  # by which config/engines can speak of it
        input:
            lambda wildcards: map(local, JOBS[wildcards.record]["inputs"]),
        output:
            # the artefact lies beside its record, in a folder that all machines share, whatever storage Snakemake has
            # beside it (local); what is there is kept when the job fails (update)
            local(update(ROOT + "{record}")),
        wildcard_constraints:
            record=rf".*/{kind}(-[a-z_]+=[^/]*|-[0-9a-f]{{16}})?\.json",
        params:
            lambda wildcards: JOBS[wildcards.record]["words"],
        threads: lambda wildcards: JOBS[wildcards.record]["threads"]
        resources:
            mem_mb=lambda wildcards, attempt: JOBS[wildcards.record]["mem_mb"] * attempt,
            runtime=lambda wildcards, attempt: JOBS[wildcards.record]["runtime"] * attempt,
        log:
            "_build/logs/study/{record}.log",
        shell:
            "{MAKE} {params[0]} --threads {threads} 2>&1 | tee -i {log:q}"
