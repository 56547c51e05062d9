// Draws the views: each has a form, elements of charts, and their specifications with data as JSON. The parameters of
// charts are bound to the elements of the form by Vega itself.
for (const section of document.querySelectorAll("[data-view]")) {
  const { charts, rows } = JSON.parse(document.getElementById(section.dataset.view).textContent);
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
      // Rows go into the compiled chart, so that Vega-Lite neither reads nor copies them.
      patch: (made) => {
        for (const data of made.data) if (data.name in rows) data.values = structuredClone(rows[data.name]);
        return made;
      },
    };
    vegaEmbed(`#${id}`, spec, options).then(({ view }) => {
      document.getElementById(id).dataset.drawn = "yes";
      section.views = { ...section.views, [id]: view };
    });
  }
}
