// Bell curves of the usual values, with a mark at the value of this picture.

const SVG = "http://www.w3.org/2000/svg";

function svgElement(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// exp(-(x - mean)^2 / 2 std^2), one high, as a closed path in a box of 100 by 30.
function bellPath([mean, std], [low, high]) {
  const points = [];
  for (let k = 0; k <= 80; k++) {
    const x = low + ((high - low) * k) / 80;
    const height = Math.exp(-((x - mean) ** 2) / (2 * std * std));
    points.push(`${(k * 1.25).toFixed(2)} ${(29 - 25 * height).toFixed(2)}`);
  }
  return `M0 29L${points.join("L")}L100 29`;
}

// curves: [{bell: [mean, std], kind}], drawn in that order; mark(x) moves the mark.
function bellCurves(curves) {
  const low = Math.min(...curves.map(({bell}) => bell[0] - 3.5 * bell[1]));
  const high = Math.max(...curves.map(({bell}) => bell[0] + 3.5 * bell[1]));
  const drawing = svgElement("svg", {viewBox: "0 0 100 30", preserveAspectRatio: "none",
    "aria-hidden": "true"});
  for (const {bell, kind} of curves) {
    drawing.append(svgElement("path", {class: kind, d: bellPath(bell, [low, high])}));
  }
  const layer = element("span", {class: "layer mark"});
  const node = element("div", {class: "bells"}, drawing, layer);
  const mark = (x) =>
    moveLayer(layer, Number.isFinite(x) ? clamp((x - low) / (high - low), 0.005, 0.985) : -1, 0);
  mark(NaN);
  return {node, mark};
}
