// The page itself: tabs, light and dark, and the start.

const THEME_KEY = "glowlite-theme";

function openTab(name, focus = false) {
  state.tab = name;
  for (const tab of TABS) {
    const open = tab === name;
    byId(`tab-${tab}`).setAttribute("aria-selected", open);
    byId(`tab-${tab}`).tabIndex = open ? 0 : -1;
    byId(`panel-${tab}`).hidden = !open;
  }
  if (focus) byId(`tab-${name}`).focus();
  document.documentElement.dataset.tab = name;
  openBlend();
  openLatents();
  openPainting();
  askOthers();
  writeAddress();
}

function startTabs() {
  for (const [k, tab] of TABS.entries()) {
    byId(`tab-${tab}`).addEventListener("click", () => openTab(tab));
    byId(`tab-${tab}`).addEventListener("keydown", (event) => {
      const steps = {ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: TABS.length - 1};
      if (!(event.key in steps)) return;
      event.preventDefault();
      openTab(TABS[(steps[event.key] + TABS.length) % TABS.length], true);
    });
  }
}

// Light or dark is the system's choice until one presses the button.
function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const show = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    byId("theme").setAttribute("aria-pressed", dark);
    return dark;
  };
  try {
    const kept = localStorage.getItem(THEME_KEY);
    if (["light", "dark"].includes(kept)) root.dataset.theme = kept;
  } catch {
    // a page from a folder may not be allowed to keep anything
  }
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = show() ? "light" : "dark";
    show();
    try {
      localStorage.setItem(THEME_KEY, root.dataset.theme);
    } catch {
      // then it is light or dark for this visit only
    }
  });
  system.addEventListener("change", show);
  show();
}

function showControls() {
  showSamples();
  showEdits();
  showLevels();
  showBlend();
}

function startAbout() {
  for (const [label, text] of Object.entries(model.facts)) {
    byId("facts").append(element("dt", {}, label), element("dd", {}, text));
  }
}

function startPicture() {
  startOwnPicture();
  startPainting();
  startOthers();
}

function readAddress() {
  readState(location.hash.slice(1));
  showControls();
  openTab(state.tab);
  askSamples();
  subjectChanged();
}

function start() {
  startTheme();
  sizeFrames();
  startAbout();
  startTabs();
  startSubject();
  startSamples();
  startEdits();
  startBlend();
  startLatents();
  startPicture();
  readAddress();
  addEventListener("hashchange", () => isOwnWriting() || readAddress());
  // the page is painted before the weights are read
  requestAnimationFrame(() => setTimeout(startWorker));
}

start();
