document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".math")) {
    katex.render(place.textContent, place, { displayMode: place.tagName === "DIV", throwOnError: false });
    keepPunctuation(place);
  }
});

// no line begins with the comma or full stop that follows a formula
function keepPunctuation(formula) {
  const after = formula.nextSibling;
  const marks = after?.nodeType === Node.TEXT_NODE && after.data.match(/^[.,;:!?)]+/);
  if (!marks) return;
  after.splitText(marks[0].length);
  const together = document.createElement("span");
  together.style.whiteSpace = "nowrap";
  formula.before(together);
  together.append(formula, after);
}
