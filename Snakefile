# The study as a graph: one rule per chapter, once per architecture where the contents say so.
# A rule's second output is the provenance record of the artefact its chapter makes: small, so that
# Snakemake compares its content, and touched when the artefact is found fresh.
import shlex

from helpers import artifacts, book, study

ARCHS = config.get("archs", "resnet18 resnet101").split()
PROFILE = config.get("profile", "quick")
DATA = str(config.get("data") or "")
run = study.open(architecture="resnet18", profile=PROFILE, data=DATA)
SETTINGS = f"-p profile={PROFILE} -p {shlex.quote('data=' + DATA)}"
PYTHON = sys.executable
# Snakemake runs all that lies behind a step that runs; a page whose inputs came out the same is then
# left as it is (`update`: a step's old outputs are there when it begins).
EXECUTE = "{PYTHON} -m helpers.book execute {input[0]} {output} --inputs {input}"
# Long work takes all cores in turn; smoke's short work runs best side by side.
THREADS = 1 if PROFILE == "smoke" else workflow.cores


wildcard_constraints:
    arch="|".join(study.ARCHITECTURES),


def record(artefact):
    """The record of an artefact, `{arch}` standing for the architecture."""
    path = artifacts.record_path(run.path(artefact)).relative_to(study.ROOT)
    return str(path).replace("resnet18", "{arch}")


def chapter(name):
    """A chapter, the profiles, and the helper modules its cells import, with all that these import."""
    return [f"notebooks/{name}.md", "config/profiles.yaml", *book.sources_of(name)]


rule book:
    input:
        expand("{page}.ipynb", page=[f for f in book.files(book.contents(ARCHS)) if "/executed/" in f]),
        "_config.yml", "_toc.yml", "book/references.bib",
        [f"{page}.md" for page in book.files(book.contents(ARCHS)) if "/executed/" not in page],
        "book/_static/book.css", "book/_static/book.js", "src/helpers/book.py", "src/helpers/pages.py",
        "data/recorded/answer.md", "data/recorded/sheet.md",
    output:
        "_build/html/.complete",
    params:
        archs=" ".join(ARCHS),
    shell:
        "{PYTHON} -m helpers.book site --archs '{params.archs}' && touch {output}"


rule features:
    input:
        chapter("03_features"),
    output:
        update("book/executed/03_features.ipynb"), update(record("features.npz")),
    params:
        SETTINGS, config.get("digest", ""),
    shell:
        "{PYTHON} -m helpers.book execute {input[0]} {output} {params[0]}"


rule training:
    input:
        chapter("05_training"), record("features.npz"),
    output:
        update("book/executed/{arch}/05_training.ipynb"), update(record("network")),
    priority: 30  # the longest way through the graph first
    params:
        SETTINGS,
    threads: THREADS
    shell:
        EXECUTE + " -p architecture={wildcards.arch} {params}"


rule explanations:
    input:
        chapter("06_explanations"), record("network"),
    output:
        update("book/executed/{arch}/06_explanations.ipynb"), update(record("explanations.npz")),
    priority: 20
    params:
        SETTINGS,
    shell:
        EXECUTE + " -p architecture={wildcards.arch} {params}"


rule scores:
    input:
        chapter("08_scores"), record("explanations.npz"), "data/claims.yaml",
    output:
        update("book/executed/{arch}/08_scores.ipynb"), update(record("scores.csv")), update(record("quantus.csv")),
    priority: 10
    params:
        SETTINGS,
    threads: THREADS
    shell:
        EXECUTE + " -p architecture={wildcards.arch} {params}"


rule introduction:
    input:
        chapter("01_introduction"), expand(record("network"), arch=ARCHS[0]),
    output:
        update("book/executed/01_introduction.ipynb"),
    params:
        SETTINGS,
    shell:
        EXECUTE + " -p architecture={ARCHS[0]} {params}"


rule dataset:
    input:
        chapter("02_dataset"), record("features.npz"),
    output:
        update("book/executed/02_dataset.ipynb"),
    params:
        SETTINGS,
    shell:
        EXECUTE + " {params}"


rule networks:
    input:
        chapter("04_networks"),
    output:
        update("book/executed/04_networks.ipynb"),
    params:
        " ".join(ARCHS),
    shell:
        EXECUTE + " -p 'architectures={params}'"


rule metric:
    input:
        chapter("07_metric"),
    output:
        update("book/executed/07_metric.ipynb"),
    shell:
        EXECUTE


rule engine:
    input:
        chapter("12_engine"), expand(record("explanations.npz"), arch=ARCHS[0]),
        "data/recorded/bench.json" if (study.RECORDED / "bench.json").exists() else [],
    output:
        update("book/executed/12_engine.ipynb"),
    params:
        SETTINGS,
    threads: THREADS
    shell:
        EXECUTE + " -p architecture={ARCHS[0]} {params}"


# every recorded table, but no lock or other hidden file
RECORDED = sorted(str(path.relative_to(study.ROOT)) for path in study.RECORDED.glob("[!.]*"))
CONTROLS = {
    "15_controls": "controls.csv", "16_sanity": "sanity.csv", "17_metrics": "metrics.csv",
    "18_specifications": "specifications.csv",
}  # what each chapter makes of the first network, beside the recorded results of both


for page, artefact in CONTROLS.items():

    rule:
        name: artefact.removesuffix(".csv")
        input:
            chapter(page), expand(record("explanations.npz"), arch=ARCHS[0]), RECORDED,
        output:
            update(f"book/executed/{page}.ipynb"), update(expand(record(artefact), arch=ARCHS[0])),
        params:
            SETTINGS,
        threads: THREADS
        shell:
            EXECUTE + " -p architecture={ARCHS[0]} {params}"


rule recorded:
    input:
        lambda wildcards: chapter(wildcards.page), "data/claims.yaml", RECORDED,
    output:
        update("book/executed/{page}.ipynb"),
    wildcard_constraints:
        page="13_reference|14_ledger|19_answer",
    shell:
        EXECUTE


rule comparison:
    input:
        lambda wildcards: chapter(wildcards.page), "data/claims.yaml", "data/recorded/verdicts.csv",
        expand([record("scores.csv"), record("quantus.csv")], arch=ARCHS),
    output:
        update("book/executed/{page}.ipynb"),
    wildcard_constraints:
        page="09_results|10_conclusions",
    params:
        SETTINGS, " ".join(ARCHS),
    shell:
        EXECUTE + " -p 'architectures={params[1]}' {params[0]}"


rule runs:  # what made every file, so the last of all
    input:
        chapter("11_runs"), record("features.npz"),
        expand([record(f) for f in ("network", "explanations.npz", "scores.csv", "quantus.csv")], arch=ARCHS),
        expand([record(artefact) for artefact in CONTROLS.values()], arch=ARCHS[0]),
    output:
        update("book/executed/11_runs.ipynb"),
    params:
        SETTINGS, " ".join(ARCHS),
    shell:
        EXECUTE + " -p 'architectures={params[1]}' {params[0]}"
