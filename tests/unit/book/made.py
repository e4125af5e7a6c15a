"""A book of three small chapters, by hand."""

HEADER = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
TRAINING = (
    HEADER
    + """(sec:training)=
# Training

From {ref}`sec:features`. See {numref}`fig:history`, {eq}`eq:loss` and {ref}`the start <sec:training>`;
not `sec:training-more`, `my-fig:history` or resnet18. In all: {ref}`sec:results`; made: {ref}`sec:runs`.

$$
L = 0
$$ (eq:loss)

```{code-cell} ipython3
:tags: [parameters]

architecture = "resnet18"  # a network
profile = "smoke"  # how much
seed = 0  # any
data = ""  # whose sounds
others = {}  # any further field
```

```{code-cell} ipython3
---
mystnb:
  figure: {name: "fig:history", caption: "As {eq}`eq:loss` says."}
  image: {alt: "A line."}
---
print(architecture, seed)
from IPython.display import SVG
SVG("<svg xmlns='http://www.w3.org/2000/svg'/>")
```
"""
)
SUMMARY = (
    HEADER
    + """(LABEL)=
# TITLE

{ref}`sec:features`, {ref}`OTHER`

% each architecture
- {ref}`sec:training-resnet18`: ResNet18
% end

After.

```{code-cell} ipython3
:tags: [parameters]

architectures = "resnet18 resnet101"  # names
profile = "smoke"  # how much
seed = 0  # any
data = ""  # whose sounds
others = {}  # any further field
```
"""
)


def _summary(label: str, title: str, other: str) -> str:
    return SUMMARY.replace("LABEL", label).replace("TITLE", title).replace("OTHER", other)


PLAIN = HEADER + "(sec:features)=\n# Features\n\n```{code-cell} ipython3\n1\n```\n"
CHAPTERS = {
    "03_features": PLAIN,
    "05_training": TRAINING,
    "09_results": _summary("sec:results", "Results", "sec:answer"),
    "11_runs": _summary("sec:runs", "Runs", "sec:results"),
    "19_answer": _summary("sec:answer", "Answer", "sec:results"),
}


def _per_network(part: str) -> dict:
    section = {"file": f"book/executed/{part}/resnet18/05_training", "title": "ResNet18: it"}
    return {"file": f"book/networks_{part}", "sections": [section]}


TOC = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [
        {
            "caption": "Recorded",
            "chapters": [
                {"file": "book/executed/03_features"},
                _per_network("recorded"),
                {"file": "book/executed/recorded/09_results"},
                {"file": "book/executed/recorded/19_answer"},
            ],
        },
        {
            "caption": "Your copy",
            "chapters": [
                {"file": "book/your_copy"},
                _per_network("copy"),
                {"file": "book/executed/copy/09_results"},
                {"file": "book/executed/copy/11_runs"},
            ],
        },
    ],
}
RECORDED = ("resnet18", "resnet101")  # networks of the recorded study
