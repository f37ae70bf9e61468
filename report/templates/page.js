// Tables sort by a click on a heading; long ones have a field that filters their rows. What is too wide can be
// scrolled with the keyboard. Without scripts all stands there.
(() => {
  for (const box of document.querySelectorAll(".scroll, .chart")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
  const text = (row, at) => row.cells[at].innerText.trim();
  const compare = (a, b) => {
    const [x, y] = [a, b].map((one) => parseFloat(one.replace(/[,\s≤≥>]/g, "").replace("−", "-")));
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => compare(text(a, at), text(b, at)));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
    if (body.rows.length < 10) continue;
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "Filter rows";
    field.setAttribute("aria-label", "Filter the rows of this table");
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.innerText.toLowerCase().includes(wanted);
    });
    table.parentElement.before(field);
  }
})();
