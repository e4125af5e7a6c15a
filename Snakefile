# The study as a graph, generated from the contents (_toc.yml) and from what the artefacts declare: one rule per
# executed chapter. A page of your copy has as further outputs the provenance records of the artefacts that its
# chapter makes: small, so that Snakemake compares their content, and touched when the artefact is found fresh.
import json
import shlex

from helpers import artifacts, study
from helpers.book import contents, studies

ARCHS = config.get("archs", "resnet18 resnet101").split()
PARTS = config.get("parts", "recorded copy").split()
PROFILE, DATA = config.get("profile", "quick"), str(config.get("data") or "")
OTHERS = config.get("others", "{}")
OTHERS = json.loads(OTHERS) if isinstance(OTHERS, str) else OTHERS
TOC = contents.contents(ARCHS, parts=PARTS)
FILES = list(contents.files(TOC))
PAGES = {f"{file}.ipynb": page for file in FILES if (page := contents.executed(file))}
PYTHON = sys.executable
# every recorded table's provenance and what the recorded pages read beside them
RECORDED = sorted(path.relative_to(study.ROOT).as_posix() for path in study.RECORDED.rglob("[!.]*.*") if path.is_file())
RECORDED += ["data/claims.yaml", "config/studies/reference.yaml"]
# Long work takes all cores in turn; smoke's short work runs best side by side.
THREADS = 1 if PROFILE == "smoke" else workflow.cores
FIRST = ("05_training", "06_explanations", "08_scores")  # the longest way through the graph first


def run_of(architecture):
    return study.open(architecture=architecture, profile=PROFILE, data=DATA, **OTHERS)


def records(artefact, architectures):
    """The provenance records of an artefact of your copy; of one that is made fold by fold, one for each fold."""
    paths = []
    for run in map(run_of, architectures):
        folds = (*run.training_folds, run.test_fold) if artefact.folds else (None,)
        paths += [artifacts.record_path(artefact.path(run, fold)) for fold in folds]
    return [str(path.relative_to(study.ROOT) if path.is_relative_to(study.ROOT) else path) for path in dict.fromkeys(paths)]


def inputs(page):
    """The chapter, the profiles, the helper modules its cells import, and the records of what it reads."""
    chapter = [f"notebooks/{page.chapter}.md", "config/profiles.yaml", *contents.sources_of(page.chapter)]
    if page.part == "recorded":
        return chapter + RECORDED
    reads = [r for one in studies.reads(page.chapter) if one.chapter != page.chapter for r in records(one, of(page))]
    if page.chapter == "11_runs":  # it lists what made every file, so it comes last of all
        return chapter + sorted(MADE)
    return chapter + [r for r in reads if r in MADE]


def of(page):
    """The architectures that a page of your copy speaks of."""
    if page.architecture:
        return [page.architecture]
    return ARCHS if "architectures" in contents.parameters(page.chapter) else ARCHS[:1]


def outputs(page):
    made = [one for one in artifacts.ALL.values() if one.chapter == page.chapter and page.part == "copy"]
    if page.architecture:  # what several networks share is made by the first that asks
        made = [one for one in made if "architecture" in one.closure]
    return [r for one in made for r in records(one, of(page))]


MADE = {record for page in PAGES.values() for record in outputs(page)}


def given(page):
    """The parameters of a page as the command line takes them."""
    values = {}
    if page.part:
        values = {"data": "recorded"} if page.part == "recorded" else {"profile": PROFILE, "data": DATA, **OTHERS}
        known = contents.recorded_architectures() if page.part == "recorded" else ARCHS
        own = contents.parameters(page.chapter)
        values |= {"architectures": " ".join(known)} if "architectures" in own else {}
        values |= {"architecture": page.architecture or known[0]} if "architecture" in own else {}
    return " ".join(f"-p {shlex.quote(f'{name}={value}')}" for name, value in values.items())


rule book:
    input:
        list(PAGES), "_config.yml", "_toc.yml", "book/references.bib",
        [f"{file}.md" for file in FILES if "/executed/" not in file],
        "book/_static/book.css", "book/_static/book.js", [f"src/helpers/book/{name}.py" for name in ("site", "contents", "sphinx")],
        "data/recorded/answer.md", "data/recorded/sheet.md",
    output:
        "_build/html/.complete",
    params:
        archs=" ".join(ARCHS), parts=" ".join(PARTS),
    shell:
        "{PYTHON} -m helpers.book site --archs '{params.archs}' --parts '{params.parts}' && touch {output}"


for file, page in PAGES.items():

    rule:
        name: file.partition("executed/")[2].removesuffix(".ipynb").replace("/", "_")
        input:
            inputs(page),
        output:
            # Snakemake runs all that lies behind a step that runs; a page whose inputs came out the same is then
            # left as it is (`update`: a step's old outputs are there when it begins)
            update(file), *map(update, outputs(page)),
        priority: 10 * (len(FIRST) - FIRST.index(page.chapter)) if page.chapter in FIRST else 0
        params:
            given(page), config.get("digest", "") if page.part == "copy" else "",
        threads: THREADS if page.part == "copy" and outputs(page) else 1
        shell:
            "{PYTHON} -m helpers.book execute {input[0]} {output} --inputs {input} {params[0]}"
