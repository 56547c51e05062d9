// Draws the views: each has a form, elements of charts, and their specifications with data as JSON. The parameters of
// charts are bound to the elements of the form by Vega itself.

// Let a compiled chart be as high as its rows, each of them `step` pixels: what Vega-Lite makes of a height in steps, for
// which it warns where the page decides on the width.
function growByRows(made, step) {
  const rows = made.scales.find(({ name }) => name === "y");
  const { type, padding = 0, paddingInner = padding, paddingOuter = padding } = rows;
  const space = type === "point" ? [1, padding] : [paddingInner, paddingOuter];
  rows.range = { step };
  delete made.height;
  made.signals.push({ name: "height", update: `${step} * bandspace(domain("y").length, ${space})` });
}

for (const section of document.querySelectorAll("[data-view]")) {
  const { charts, rows, steps } = JSON.parse(document.getElementById(section.dataset.view).textContent);
  for (const input of section.querySelectorAll("input[data-words]")) {
    const words = JSON.parse(input.dataset.words);
    const say = () => {
      input.nextElementSibling.textContent = words[input.value];
      input.setAttribute("aria-valuetext", words[input.value]);
    };
    input.addEventListener("input", say);
    say();
  }
  for (const [id, spec] of Object.entries(charts)) {
    const options = {
      mode: "vega-lite",
      actions: false,
      renderer: "svg",
      // Expressions are interpreted: the page's policy forbids to make code of text.
      ast: true,
      patch: (made) => {
        // Rows go into the compiled chart, so that Vega-Lite neither reads nor copies them.
        for (const data of made.data) if (data.name in rows) data.values = structuredClone(rows[data.name]);
        if (id in steps) growByRows(made, steps[id]);
        return made;
      },
    };
    vegaEmbed(`#${id}`, spec, options).then(({ view }) => {
      document.getElementById(id).dataset.drawn = "yes";
      section.views = { ...section.views, [id]: view };
    });
  }
}
