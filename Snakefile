# The study as a graph: one rule per executed page; helpers/book/graph.py says which, with what they are made from.
import shlex

from helpers.book import graph

CALL = graph.Call.of(config)
STEPS = graph.steps(CALL)
RECORDS = {record for step in STEPS for record in step["records"]}
PYTHON = shlex.quote(sys.executable)
# a command, by the process that has imported what chapters import (helpers.book.warm)
ASK = f"{PYTHON} -IS src/helpers/book/ask.py"


WRITTEN = [
    "_config.yml", "_toc.yml", "book/references.bib", *(f"book/_static/{name}" for name in ("book.css", "book.js", "choose.js")),
    *(f"{file}.md" for file in CALL.files if "/executed/" not in file),
    *(f"src/helpers/book/{name}.py" for name in ("site", "pages", "contents", "sphinx", "doors", "first")),
    *(f"data/recorded/{name}" for name in ("answer.md", "sheet.md", "first.md", "ladder.svg", "clip.svg")),
]


# Everything is asked for: what was deleted comes back, also while the site is there.
rule all:
    input:
        "_build/html/.complete", [step["page"] for step in STEPS], sorted(RECORDS),


rule book:
    input:
        [step["page"] for step in STEPS], WRITTEN,
    output:
        "_build/html/.complete",
    params:
        archs=" ".join(CALL.archs), parts=" ".join(CALL.parts), data=CALL.data, written=graph.digest(WRITTEN),
    log:
        "_build/logs/site.log",
    shell:
        "{ASK} site --archs={params.archs:q} --parts={params.parts:q} --data={params.data:q} 2>&1 | tee -i {log} && touch {output}"


for step in STEPS:
    # The thesis's long work takes all cores in turn, as memory allows; short work is done faster side by side: a second
    # thread makes a training half as fast again, a second step twice as much.
    alone = CALL.profile == "thesis" and workflow.cores > 1 and bool(step["records"])

    rule:
        name: step["name"]
        input:
            step["inputs"],
        output:
            # Snakemake runs all that lies behind a step that runs; a page whose inputs came out the same is then
            # left as it is (`update`: a step's old outputs are there when it begins)
            update(step["page"]), *map(update, step["records"]),
        priority: step["priority"]
        params:
            lambda _, given=step["given"]: given,  # of a function's text Snakemake leaves the braces alone
            config.get("digest", "") if step["part"] == "copy" else "",
            graph.digest(file for file in step["inputs"] if file not in RECORDS),
        threads: workflow.cores if alone else 1
        log:
            f"_build/logs/{step['name']}.log",
        shell:
            "{ASK} execute {input[0]:q} {output:q} --inputs {input:q} {params[0]} 2>&1 | tee -i {log:q}"
