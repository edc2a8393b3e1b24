// Sample: a grid of samples from the model, and pictures that it never saw.

const SAMPLES = 24;

function gridSource(number) {
  return sampleSource(number, state.seed, state.temperature, state.label);
}

// Asks for the whole grid; every button keeps its old picture until the new one is there.
function askSamples() {
  for (let number = 0; number < SAMPLES; number++) askSample(number);
}

function askSample(number) {
  const recipe = recipeOf(gridSource(number), false);
  ask(`sample-${number}`, URGENCY.sample, {kind: "picture", recipe}, (answer) => {
    if (answer.error !== undefined) return;
    const canvas = byId(`sample-${number}`).firstElementChild;
    drawPixels(canvas, answer.pixels);
    if (number < PICKS) drawPixels(byId(`pick-sample-${number}`).firstElementChild, answer.pixels);
  });
}

// The subject, where it is one of the grid's, follows the temperature.
function changeTemperature(temperature) {
  const followed = state.source.kind === "sample" && state.source.seed === state.seed;
  state.temperature = temperature;
  if (followed) state.source = {...state.source, temperature};
  showTemperature();
  if (followed) subjectChanged(); // asked for first, so that it waits for no other
  else writeAddress();
  askSamples();
}

function changeSeed(seed) {
  state.seed = clamp(Math.round(seed) || 0, 0, LARGEST_SEED);
  showSampleChoice();
  askSamples();
  writeAddress();
}

function showTemperature() {
  byId("temperature").value = state.temperature;
  byId("temperature-value").textContent = state.temperature.toFixed(2);
}

// Which of the buttons shows the subject now.
function showSampleChoice() {
  for (let number = 0; number < SAMPLES; number++) {
    const chosen = sameSource(state.source, gridSource(number));
    byId(`sample-${number}`).setAttribute("aria-pressed", chosen);
  }
  for (let number = 0; number < HELD_OUT_COUNT; number++) {
    const chosen = state.source.kind === "held-out" && state.source.number === number;
    byId(`held-out-${number}`).setAttribute("aria-pressed", chosen);
  }
}

function showSamples() {
  showTemperature();
  byId("seed").value = state.seed;
  if (model.classes.length) byId("class").value = state.label;
  showSampleChoice();
}

function startSamples() {
  byId("temperature").addEventListener("input", (event) =>
    changeTemperature(Number(event.target.value)));
  byId("seed").addEventListener("input", (event) => {
    if (event.target.value !== "") changeSeed(Number(event.target.value));
  });
  byId("seed").addEventListener("change", (event) => (event.target.value = state.seed));
  byId("another-seed").addEventListener("click", () => {
    changeSeed(1 + Math.floor(9999 * Math.random()));
    byId("seed").value = state.seed;
  });
  byId("class-field").hidden = model.classes.length === 0;
  model.classes.forEach((name, k) =>
    byId("class").append(element("option", {value: k}, inWords(name))));
  byId("class").addEventListener("change", (event) => {
    state.label = Number(event.target.value);
    showSampleChoice();
    askSamples();
    writeAddress();
  });
  for (let number = 0; number < SAMPLES; number++) {
    byId(`sample-${number}`).addEventListener("click", () => chooseSubject(gridSource(number)));
  }
  startHeldOut();
}

// The held-out pictures are part of the page, so the model has nothing to compute.
function startHeldOut() {
  byId("held-out-part").hidden = HELD_OUT_COUNT === 0;
  for (let number = 0; number < HELD_OUT_COUNT; number++) {
    const press = () => chooseSubject({kind: "held-out", number});
    const choose = pictureButton(`Held-out ${NOUN} ${number + 1}`, press,
      {id: `held-out-${number}`, "aria-pressed": "false"});
    drawPixels(choose.firstElementChild, heldOutPixels(number));
    byId("held-out").append(choose);
  }
}
