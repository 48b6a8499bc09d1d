"use strict";
// Filters and sorts the items. The page can be read without it.
(() => {
  const form = document.getElementById("filter");
  const list = document.getElementById("list");
  if (!form || !list) return;
  const body = list.tBodies[0];
  const rows = Array.from(body.rows, (row, place) => ({
    row,
    place,
    text: row.textContent.toLowerCase(),
    name: row.querySelector(".name").textContent,
    registries: row.dataset.registry.split(" "),
    shown: true,
  }));
  const [text, outcome, kind, registry, shown, none] =
    ["text", "outcome", "kind", "registry", "shown", "none"].map((id) => document.getElementById(id));
  const number = new Intl.NumberFormat("en");

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const item of rows) {
      const data = item.row.dataset;
      const wanted =
        (!outcome.value || data.outcome === outcome.value) &&
        (!kind.value || data.kind === kind.value) &&
        (!registry.value || item.registries.includes(registry.value)) &&
        words.every((word) => item.text.includes(word));
      if (wanted) count += 1;
      if (wanted !== item.shown) {
        item.shown = wanted;
        item.row.hidden = !wanted;
      }
    }
    shown.textContent =
      count === rows.length
        ? `${number.format(count)} ${count === 1 ? "item" : "items"}`
        : `${number.format(count)} of ${number.format(rows.length)} items`;
    none.hidden = count > 0;
  };

  const value = {
    outcome: (item) => Number(item.row.dataset.rank),
    name: (item) => item.name,
    copied: (item) => Number(item.row.dataset.copied),
    mounted: (item) => Number(item.row.dataset.mounted),
    present: (item) => Number(item.row.dataset.present),
    time: (item) => Number(item.row.dataset.time),
  };
  const heads = Array.from(list.tHead.rows[0].cells);
  const sort = (head) => {
    const key = head.dataset.key;
    const of = value[key];
    // Names and urgency begin at the front, sizes and times at the largest.
    const natural = key === "name" || key === "outcome" ? "ascending" : "descending";
    const other = natural === "ascending" ? "descending" : "ascending";
    const now = head.getAttribute("aria-sort");
    const next = now === null ? natural : now === natural ? other : null;
    for (const one of heads) one.removeAttribute("aria-sort");
    let compare = (a, b) => a.place - b.place;
    if (next !== null) {
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const order = (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0);
      compare = (a, b) => sign * order(a, b) || a.place - b.place;
    }
    const all = document.createDocumentFragment();
    for (const item of rows.slice().sort(compare)) all.append(item.row);
    body.append(all);
  };
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head));
    head.replaceChildren(button);
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      text.focus();
    } else if (event.key === "Escape" && event.target === text && text.value) {
      text.value = "";
      filter();
    }
  });
  form.hidden = false;
  filter();

  // On paper nothing can be opened.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(body.querySelectorAll("tr:not([hidden]) details:not([open])"));
    if (opened.length > 200) opened = [];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
