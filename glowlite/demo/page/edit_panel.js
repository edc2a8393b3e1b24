// Edit: a slider for every attribute, and how typical the picture is with and without it.

const editRows = new Map(); // name of an attribute -> {slider, value, back, curves, near, far}

function editId(name) {
  return `edit-${name.replace(/\s+/g, "-")}`;
}

function changeEdit(name, alpha) {
  state.alphas[name] = alpha;
  showEdit(name);
  subjectChanged();
}

function showEdit(name) {
  const alpha = state.alphas[name] ?? 0;
  const row = editRows.get(name);
  row.slider.value = alpha;
  row.value.textContent = (alpha > 0 ? "+" : "") + decimals(alpha);
  row.back.disabled = alpha === 0;
}

function sigmasFrom(bell, x) {
  return decimals(Math.abs(x - bell[0]) / bell[1], 1);
}

// Where the picture stands along every direction, in the units of its bells.
function showPositions(answer) {
  if (!model.attributes || !model.attributes.positions) return;
  ATTRIBUTES.forEach((name, k) => {
    const bells = model.attributes.positions[k];
    if (!bells) return;
    const row = editRows.get(name);
    const x = answer.positions[k];
    row.curves.mark(x);
    row.near.textContent = `${sigmasFrom(bells.with, x)} sigma from ${NOUN}s with it,`;
    row.far.textContent = `${sigmasFrom(bells.without, x)} from those without`;
  });
}

function editRow(name, bells) {
  const id = editId(name);
  const slider = element("input", {type: "range", id, "data-name": name, min: -1.5, max: 1.5,
    step: 0.01, "aria-describedby": `${id}-words`,
    oninput: (event) => changeEdit(name, Number(event.target.value)),
    ondblclick: () => changeEdit(name, 0)});
  const value = element("output", {for: id, class: "number"});
  const back = button("0", () => changeEdit(name, 0),
    {class: "small", "data-name": `zero-${name}`, "aria-label": `${inWords(name)} back to 0`,
      title: "Back to 0"});
  const [near, far] = [element("span"), element("span")]; // each on a line of its own, or on one
  const words = element("p", {class: "fine", id: `${id}-words`}, near, " ", far);
  const curves = bells
    ? bellCurves([{bell: bells.without, kind: "without"}, {bell: bells.with, kind: "with"}])
    : null;
  editRows.set(name, {slider, value, back, curves, near, far});
  const head = element("div", {class: "row-head"},
    element("label", {for: id}, inWords(name)), value, back);
  const row = element("div", {class: "edit-row"}, head);
  if (curves) row.append(curves.node);
  row.append(slider);
  if (curves) row.append(words);
  return row;
}

function showEdits() {
  for (const name of ATTRIBUTES) showEdit(name);
}

function startEdits() {
  byId("edit-some").hidden = ATTRIBUTES.length === 0;
  byId("edit-none").hidden = ATTRIBUTES.length > 0;
  if (!model.attributes) return;
  const positions = model.attributes.positions;
  byId("edit-key").hidden = !positions;
  byId("edit-held").hidden = !model.attributes.held;
  ATTRIBUTES.forEach((name, k) => byId("edits").append(editRow(name, positions && positions[k])));
  subjectWatchers.push(showPositions);
}
