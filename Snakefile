# The study as a graph: one rule per executed page; helpers/book/graph.py says which, with what they are made from.
import shlex

from helpers.book import graph

CALL = graph.Call.of(config)
STEPS = graph.steps(CALL)
PYTHON = shlex.quote(sys.executable)
# the command, by the process that has imported what chapters import (helpers.book.warm)
EXECUTE = f"{PYTHON} -IS src/helpers/book/ask.py execute"


rule book:
    input:
        [step["page"] for step in STEPS], "_config.yml", "_toc.yml", "book/references.bib",
        [f"{file}.md" for file in CALL.files if "/executed/" not in file],
        "book/_static/book.css", "book/_static/book.js", [f"src/helpers/book/{name}.py" for name in ("site", "contents", "sphinx")],
        [f"data/recorded/{name}" for name in ("answer.md", "sheet.md", "first.md", "ladder.svg", "clip.svg")],
    output:
        "_build/html/.complete",
    params:
        archs=" ".join(CALL.archs), parts=" ".join(CALL.parts),
    shell:
        "{PYTHON} -m helpers.book site --archs '{params.archs}' --parts '{params.parts}' && touch {output}"


for step in STEPS:
    # Long work takes all cores in turn; smoke's short work runs best side by side.
    alone = CALL.profile != "smoke" and workflow.cores > 1 and bool(step["records"])

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
            step["given"],
            config.get("digest", "") if step["part"] == "copy" else "",
        threads: workflow.cores if alone else 1
        shell:
            "{EXECUTE} {input[0]} {output:q} --inputs {input:q} {params[0]}"
