// A reader chooses, and what was made for that choice is shown (helpers.show.chosen): this script only picks, and keeps the
// choice in the address, so that it can be sent.
document.addEventListener("DOMContentLoaded", () => {
  // A script in place of a request: it also works where the page is opened as a file.
  const load = (from) => new Promise((done, fail) => {
    const name = from.split("/").pop().replace(".js", ""), script = document.createElement("script");
    if (window.given?.[name]) return done(window.given[name]);
    script.onload = () => done(window.given[name]);
    script.onerror = fail;
    script.src = from;
    document.head.append(script);
  });

  // Of the rows that have the value just chosen, the first of those that have most of the others.
  const nearest = ({ names, values, rows }, want, just) => {
    const places = names.map((name, i) => values[i].indexOf(want[name]));
    const agree = ([own]) => own.reduce((sum, place, i) => sum + (place === places[i]) * (names[i] === just ? names.length : 1), 0);
    return rows.reduce((best, row) => (agree(row) > agree(best) ? row : best));
  };

  for (const root of document.querySelectorAll(".chosen")) {
    const files = JSON.parse(root.dataset.files), own = root.dataset.name, note = root.querySelector(".note");
    const fields = document.createElement("fieldset"), legend = document.createElement("legend");
    const selects = {};
    let shown = { ...JSON.parse(root.dataset.first) }, file = null, data = null, asked = 0;
    legend.textContent = "Choose what is shown";
    fields.append(legend);
    root.prepend(fields);

    const select = (name) => {
      if (!selects[name]) {
        const label = document.createElement("label");
        selects[name] = document.createElement("select");
        selects[name].name = name;
        label.append(name, selects[name]);
        fields.append(label);
        selects[name].addEventListener("change", () => show({ ...shown, [name]: selects[name].value }, name));
      }
      return selects[name];
    };
    if (own) {
      for (const [value, label, group] of files) {
        const last = select(own).lastElementChild;
        const place = last?.label === group ? last : Object.assign(document.createElement("optgroup"), { label: group });
        place.append(new Option(label, value));
        select(own).append(place);
      }
    }

    // `want`: values by name; `just`: the name of the one that was chosen, "" at the start and for an address.
    const show = async (want, just) => {
      const turn = ++asked, next = files.find(([value]) => value === want[own]) ?? files.find(([value]) => value === shown[own]) ?? files[0];
      try {
        const loaded = await load(next[3]);
        if (turn !== asked) return; // another choice was made meanwhile
        if (next !== file) {
          [file, data] = [next, loaded];
          data.names.forEach((name, i) => select(name).replaceChildren(...data.values[i].map((value) => new Option(value, value))));
        }
      } catch {
        note.textContent = "What was chosen could not be loaded.";
        return;
      }
      const [places, texts] = nearest(data, want, just);
      shown = own ? { [own]: file[0] } : {};
      data.names.forEach((name, i) => (shown[name] = data.values[i][places[i]]));
      for (const [name, value] of Object.entries(shown)) select(name).value = value;
      data.slots.forEach((slot, i) => {
        const here = root.querySelector(`[data-slot="${slot}"]`), text = data.texts[texts[i]];
        if (here.innerHTML !== text) here.innerHTML = text;
      });
      root.querySelector(".line")?.setAttribute("hidden", ""); // it belongs to the sound that was here
      const moved = Object.entries(shown).filter(([name, value]) => name in want && want[name] !== value).map(([name, value]) => `${name} ${value}`);
      note.textContent = moved.length ? `Not recorded together; nearest to it: ${moved.join(", ")}.` : "";
      if (just) history.replaceState(null, "", `#${new URLSearchParams(shown)}`);
    };

    const fromAddress = (first) => {
      const named = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      const asks = Object.keys(named).some((name) => name === own || Object.keys(shown).includes(name));
      if (asks || first) show(asks ? { ...shown, ...named } : shown, "");
      if (asks) root.scrollIntoView();
    };
    window.addEventListener("hashchange", () => fromAddress(false));
    fromAddress(true);
  }
});

// While a sound plays, a line moves over the figure of its clip; for readers who want little motion it moves when the
// sound stops or another place is chosen. One sound of a figure plays at a time.
document.addEventListener("DOMContentLoaded", () => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  for (const figure of document.querySelectorAll(".follow, .explorer")) {
    const line = figure.querySelector(".line");
    const place = (audio) => {
      const { left = 0, right = 1, start = 0, end } = (figure.querySelector("[data-end]") ?? figure).dataset;
      line.hidden = false;
      line.style.left = `${100 * (Number(left) + ((right - left) * (audio.currentTime - start)) / (end - start))}%`;
    };
    const move = (audio) => {
      if (audio.paused || calm.matches) return;
      place(audio);
      requestAnimationFrame(() => move(audio));
    };
    // caught on their way down: they do not rise, and players come and go with what is chosen
    const on = (moment, then) => figure.addEventListener(moment, ({ target }) => target.matches("audio") && then(target), true);
    on("play", (audio) => figure.querySelectorAll("audio").forEach((other) => other !== audio && other.pause()));
    for (const moment of ["play", "playing"]) on(moment, move);
    for (const moment of ["pause", "seeked", "ended"]) on(moment, place);
  }
});

// The blind test: the reader says which is which, and is told when the answer is opened.
document.addEventListener("DOMContentLoaded", () => {
  for (const test of document.querySelectorAll(".blind")) {
    const rounds = [...test.querySelectorAll(".round")].map((round) => {
      const answers = [...round.querySelectorAll("dd")].map((dd) => dd.textContent), said = document.createElement("output");
      const selects = [...round.querySelectorAll("figure.player")].map((player, i) => {
        const label = document.createElement("label"), select = document.createElement("select");
        select.append(new Option("?", ""), ...[...answers].sort().map((name) => new Option(name)));
        label.append(`Version ${"ABCDEFGH"[i]} is `, select);
        player.append(label);
        return select;
      });
      round.append(said);
      return { answers, selects, said, details: round.querySelector("details"), right: () => selects.filter((select, i) => select.value === answers[i]).length };
    });
    for (const { answers, selects, said, details, right } of rounds) {
      details.addEventListener("toggle", () => {
        if (!details.open) return;
        for (const select of selects) select.disabled = true; // the answer is seen
        if (!selects.some((select) => select.value)) {
          said.textContent = "You did not guess, so this round does not count.";
          return;
        }
        const done = rounds.filter((round) => round.details.open && round.selects.some((select) => select.value));
        const [sum, of] = [done.reduce((sum, round) => sum + round.right(), 0), done.reduce((sum, round) => sum + round.answers.length, 0)];
        said.textContent = `${right()} of ${answers.length} right; so far ${sum} of ${of}, where guessing blindly gives ${of / answers.length} on average.`;
      });
    }
  }
});
