// A table that is too wide for a narrow window is stacked: each row becomes a block, in which each
// cell has the heading of its column in front of it. So nothing in it hides behind a scroll.

document.addEventListener("DOMContentLoaded", () => {
  const narrow = window.matchMedia("(max-width: 48em)");
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const table = target.querySelector("table");
      table.classList.remove("stacked");
      if (narrow.matches && target.scrollWidth > target.clientWidth) stack(table);
    }
  });
  for (const wrapper of document.querySelectorAll(".table-wrapper")) {
    if (!wrapper.closest(".cell_output") && wrapper.querySelector("thead")) observer.observe(wrapper);
  }
});

function stack(table) {
  table.classList.add("stacked");
  if (table.querySelector(".heading")) return;
  const headings = [...table.querySelectorAll("thead th")];
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, i) => {
      if (!headings[i]?.textContent.trim() || !cell.textContent.trim()) return;
      const heading = document.createElement("b");
      heading.className = "heading";
      const words = headings[i].querySelector("p") ?? headings[i];
      heading.append(...words.cloneNode(true).childNodes, ": ");
      (cell.querySelector("p") ?? cell).prepend(heading);
    });
  }
}
