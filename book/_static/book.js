// What the theme leaves out for readers who use a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  for (const toggle of document.querySelectorAll("nav summary")) toggle.setAttribute("aria-label", "Show or hide its chapters");
  for (const scrolls of document.querySelectorAll(".cell_output table, .formula, pre")) scrolls.tabIndex = 0;
  for (const entry of document.querySelectorAll("[role=doc-biblioentry]")) entry.setAttribute("role", "listitem"); // the other is deprecated
});

// The theme's buttons, whose own handlers stand in the page, where the site's policy lets no script run.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".btn-download-pdf-button")) button.addEventListener("click", () => window.print());
  for (const button of document.querySelectorAll(".btn-fullscreen-button")) button.addEventListener("click", () => toggleFullScreen());
});

// A word of the glossary says what it means under the pointer and when the keyboard reaches it; Escape hides it.
document.addEventListener("DOMContentLoaded", () => {
  for (const link of document.querySelectorAll("a[title]:has(> .term)")) {
    link.dataset.meaning = link.title;
    link.setAttribute("aria-description", link.title);
    link.removeAttribute("title");
    for (const back of ["pointerenter", "focus"]) link.addEventListener(back, () => link.classList.remove("hushed"));
  }
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") for (const link of document.querySelectorAll("a[data-meaning]")) link.classList.add("hushed");
  });
});

// The specification curve: a choice of values keeps the strokes that have them and spreads them over the width.
document.addEventListener("DOMContentLoaded", () => {
  for (const figure of document.querySelectorAll(".curve")) {
    const strokes = [...figure.querySelectorAll("g")].map((g) => ({ g, chosen: g.dataset.c.split(",").map(Number), at: Number(g.querySelector("circle").getAttribute("cy")) }));
    const fields = document.createElement("fieldset"), said = document.createElement("output");
    const zero = Number(figure.querySelectorAll("text")[2].getAttribute("y")) - 4; // where the score is 0
    const selects = figure.dataset.choices.split("|").map((choice) => {
      const [name, values] = choice.split(/=(.*)/s), label = document.createElement("label"), select = document.createElement("select");
      select.append(new Option("all", ""), ...values.split(";").map((value, i) => new Option(value, i)));
      label.append(name.replace("_", " "), select);
      fields.append(label);
      return select;
    });
    const left = Number(figure.dataset.left), width = Number(figure.dataset.right) - left;
    const draw = () => {
      const kept = strokes.filter(({ g, chosen }) => {
        const keep = selects.every((select, i) => select.value === "" || Number(select.value) === chosen[i]);
        g.style.display = keep ? "" : "none";
        return keep;
      });
      kept.forEach(({ g }, i) => g.setAttribute("transform", `translate(${left + ((i + 0.5) / kept.length) * width})`));
      const below = kept.filter(({ at }) => at > zero).length;
      said.textContent = `${kept.length} of ${strokes.length} specifications; the median score of ${below} is below 0.`;
    };
    fields.addEventListener("change", draw);
    said.setAttribute("aria-live", "polite");
    figure.prepend(fields, said);
    draw();
  }
});

// What is wider than its place says that it scrolls, and can be reached by the keyboard.
document.addEventListener("DOMContentLoaded", () => {
  const boxes = [...document.querySelectorAll(".bd-article :is(figure:not(.player), .cell_output table, .pst-scrollable-table-container, .formula)")];
  const look = () => boxes.forEach((box) => {
    const wider = box.scrollWidth > box.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
    box.classList.toggle("wider", wider);
    if (wider) box.tabIndex = 0;
  });
  const watch = new ResizeObserver(look); // also when a picture has arrived
  for (const box of boxes) watch.observe(box);
  for (const picture of document.querySelectorAll(".bd-article img")) picture.addEventListener("load", look);
});

// In the dark theme a figure is turned over, but no panel where a shade stands for a number: there the same picture lies above it.
document.addEventListener("DOMContentLoaded", () => {
  for (const picture of document.querySelectorAll("img.shaded")) {
    const above = picture.cloneNode(), both = document.createElement("span");
    const panels = [...picture.classList].filter((name) => name.startsWith("at-")).map((name) => name.split("-").slice(1).map((end) => `${end / 10}%`));
    const start = `${panels[0][0]} ${panels[0][1]}`; // there and back, so that the lines between panels enclose nothing
    const corners = panels.flatMap(([l, t, r, b]) => [`${l} ${t}`, `${r} ${t}`, `${r} ${b}`, `${l} ${b}`, `${l} ${t}`, start]);
    above.style.clipPath = `polygon(evenodd, ${start}, ${corners.join(", ")})`;
    above.className = "above dark-light";
    above.alt = "";
    above.removeAttribute("id");
    both.className = "turned";
    picture.replaceWith(both);
    both.append(picture, above);
  }
});
