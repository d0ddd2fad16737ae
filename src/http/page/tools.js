// Tools for the film, what can be saved, and single keys for both.
// In: clicks and keys. Out: the film's view and the reading's files change. Never: a key that acts while somebody writes.

import * as list from "./list.js";
import * as reading from "./reading.js";
import { word } from "./words.js";

const KEYS_KEPT = "chexbox.keys";
const OPACITY_STEP = 0.1;

const part = (id) => document.getElementById(id);
const on = (id, what, act) => part(id).addEventListener(what, act);
let page;

const saver = (make) => () =>
  page.attempt(async () => {
    closeMenu();
    page.say(word("saved", await make()));
  });

function closeMenu() {
  part("save-menu").hidden = true;
  part("save").setAttribute("aria-expanded", "false");
}

function opacity(value) {
  const film = reading.view();
  film.opacity = Math.min(1, Math.max(0, value));
  part("opacity").value = Math.round(film.opacity * 100);
  film.draw();
}

function tool(name) {
  reading.view().tool = name;
  part("film").classList.toggle("moving", name === "move");
  for (const button of part("tool").children) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
}

function invert() {
  const film = reading.view();
  film.inverted = !film.inverted;
  film.tone();
}

const step = (by) => {
  const id = list.neighbour(by);
  if (id) location.hash = `#/readings/${id}`;
};

/** Single keys, outside of fields and dialogs. */
function key(event) {
  const writes = event.target.closest("input:not([type=range]), select, textarea, dialog");
  if (writes || event.ctrlKey || event.altKey || event.metaKey) return;
  if (!part("keys-on").checked && event.key !== "?") return;
  const film = reading.view();
  const acts = {
    h: reading.toggleHeat,
    "[": () => opacity(film.opacity - OPACITY_STEP),
    "]": () => opacity(film.opacity + OPACITY_STEP),
    j: () => step(1),
    k: () => step(-1),
    "+": () => film.zoomTo(film.zoom * 1.25),
    "=": () => film.zoomTo(film.zoom * 1.25),
    "-": () => film.zoomTo(film.zoom / 1.25),
    i: invert,
    0: () => film.reset(),
    "/": page.search,
    a: () => part("files").click(),
    "?": () => part("keys-box").showModal(),
  };
  const act = /^[1-9]$/.test(event.key) ? () => reading.chooseAt(Number(event.key) - 1) : acts[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
}

/** Listens to the tools and the keys. `to` has what the page does with them. */
export function listen(to) {
  page = to;
  addEventListener("keydown", key);
  on("open-keys", "click", () => part("keys-box").showModal());
  on("keys-on", "change", ({ target }) => localStorage.setItem(KEYS_KEPT, target.checked ? "on" : "off"));
  part("keys-on").checked = localStorage.getItem(KEYS_KEPT) !== "off";
  listenToFilm();
  listenToMenu();
}

function listenToFilm() {
  on("invert", "click", invert);
  on("reset", "click", () => reading.view().reset());
  on("zoom-in", "click", () => reading.view().zoomTo(reading.view().zoom * 1.5));
  on("zoom-out", "click", () => reading.view().zoomTo(reading.view().zoom / 1.5));
  on("heat", "click", reading.toggleHeat);
  on("opacity", "input", ({ target }) => opacity(target.value / 100));
  on("tool", "click", ({ target }) => {
    const chosen = target.closest("[data-tool]");
    if (chosen) tool(chosen.dataset.tool);
  });
}

function listenToMenu() {
  on("print", "click", () => print());
  on("save", "click", () => {
    const hidden = part("save-menu").toggleAttribute("hidden");
    part("save").setAttribute("aria-expanded", String(!hidden));
  });
  on("save-png", "click", saver(reading.savePicture));
  on("save-json", "click", saver(reading.saveRecord));
  on("save-html", "click", saver(reading.saveReport));
  on("save-fhir", "click", saver(reading.saveFhir));
  on("delete", "click", page.remove);
  addEventListener("click", ({ target }) => {
    if (!target.closest(".menu")) closeMenu();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || part("save-menu").hidden) return;
    closeMenu();
    part("save").focus();
  });
}
