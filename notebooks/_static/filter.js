// Filters above a table in a cell tagged "filterable": a choice for each column of few values, and
// words, all of which a row has to hold, in any order.
// Without scripts the table is complete and plain; on paper it is printed whole.
document.addEventListener("DOMContentLoaded", () =>
  document.querySelectorAll(".tag_filterable table").forEach(addFilters)
);

// A table wider than the text takes the margin too. The theme looks for such cells once the page is read, so
// they are marked just before.
document.addEventListener("readystatechange", () => {
  if (document.readyState !== "interactive") return;
  for (const frame of document.querySelectorAll(".cell_output .text_html:has(table)")) {
    const fold = frame.closest("details:not([open])");
    fold?.toggleAttribute("open", true); // what is folded has no width
    if (frame.scrollWidth > frame.clientWidth + 1) frame.closest(".cell").classList.add("tag_full-width");
    fold?.toggleAttribute("open", false);
  }
});

// On a telephone the contents open as a dialog, which a link within the page leaves open.
document.addEventListener("click", (event) => {
  if (event.target.closest("dialog a[href^='#']")) event.target.closest("dialog").close();
});

const MOST_CHOICES = 12;

function addFilters(table) {
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  const whole = texts.map((row) => plain(row.join(" ")));
  const bar = document.createElement("form");
  bar.className = "filters";
  bar.setAttribute("role", "search");
  bar.addEventListener("submit", (event) => event.preventDefault());

  const choices = [...table.tHead.rows[0].cells].map((heading, column) => {
    const values = [...new Set(texts.map((row) => row[column]))];
    if (values.length < 2 || values.length > MOST_CHOICES) return null;
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
    bar.append(labelled(heading.textContent.trim(), select));
    return select;
  });
  const search = document.createElement("input");
  search.type = "search";
  bar.append(labelled("words", search));
  const count = document.createElement("output");
  bar.append(count);

  function update() {
    const wanted = plain(search.value).split(" ").map(beginning);
    let shown = 0;
    rows.forEach((row, i) => {
      const fits =
        choices.every((select, column) => !select || !select.value || select.value === texts[i][column]) &&
        wanted.every((word) => word.test(whole[i]));
      row.classList.toggle("filtered", !fits);
      shown += fits;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
    table.closest(".text_html")?.scrollTo(0, 0);
  }

  bar.addEventListener("input", update);
  // The frame around the table scrolls; the filters stay above it.
  (table.closest(".output") ?? table).before(bar);
  update();
}

// Text in small letters, every dash a hyphen and every run of white space one space: what is typed finds what is
// set in type.
function plain(text) {
  return text.toLowerCase().replace(/[‐‑–−]/g, "-").replace(/\s+/g, " ").trim();
}

// A word is found where it begins one: "DL" in "DL (combined)", not in "middle".
function beginning(word) {
  return new RegExp("(^|[^\\p{L}\\p{N}])" + word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "u");
}

function labelled(name, control) {
  const label = document.createElement("label");
  label.append(name, " ", control);
  return label;
}
