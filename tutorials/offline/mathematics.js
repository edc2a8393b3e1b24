// Every $...$ and $$...$$ of the text, but not of code, is rendered by KaTeX.
const FORMULA = /\$\$([\s\S]+?)\$\$|\$([^$]+?)\$/g;

function renderFormulas(place) {
  const texts = [];
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement.closest("pre, code, script, style")) texts.push(walker.currentNode);
  }
  for (const text of texts) {
    const pieces = [];
    let end = 0;
    for (const found of text.data.matchAll(FORMULA)) {
      const [all, display, inline] = found;
      const formula = document.createElement("span");
      katex.render(display ?? inline, formula, { displayMode: display !== undefined, throwOnError: false });
      pieces.push(text.data.slice(end, found.index), formula);
      end = found.index + all.length;
    }
    if (pieces.length) text.replaceWith(...pieces, text.data.slice(end));
  }
}

addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".jp-RenderedMarkdown, .mathematics").forEach(renderFormulas);
});
