// What the theme leaves out for readers who use a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  for (const toggle of document.querySelectorAll("nav summary")) toggle.setAttribute("aria-label", "Show or hide its chapters");
  for (const scrolls of document.querySelectorAll(".cell_output table, .formula, pre")) scrolls.tabIndex = 0;
  for (const entry of document.querySelectorAll("[role=doc-biblioentry]")) entry.setAttribute("role", "listitem"); // the other is deprecated
});
