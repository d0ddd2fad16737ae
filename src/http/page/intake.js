// Films on their way in: a row for each with its progress, a few at a time, tried again while chexbox is busy or away.
// In: files. Out: `done` with the readings of each. Never: a film that is dropped without a word.

import * as client from "./client.js";
import { summary } from "./findings.js";
import { joined, word } from "./words.js";

/** Films sent at once: one is read while the next one travels. */
const AT_ONCE = 2;
/** Seconds between tries while chexbox does not answer. */
const AWAY_S = 5;

const part = (id) => document.getElementById(id);
const films = [];
let hear = { done: () => {}, said: () => {}, model: () => "" };

/** Says who hears of finished films and of what is to be said aloud, and which model is asked for. */
export const wire = (hearers) => {
  hear = hearers;
};

/** Takes files in. */
export function take(files) {
  for (const file of files) {
    const node = part("intake-row").content.firstElementChild.cloneNode(true);
    const film = { file, node, state: "waiting", share: 0, stop: new AbortController(), model: hear.model() };
    for (const label of node.querySelectorAll("[data-word]")) label.textContent = word(label.dataset.word);
    node.querySelector(".name").textContent = file.name;
    node.querySelector("progress").setAttribute("aria-label", file.name);
    node.querySelector(".stop").addEventListener("click", () => drop(film));
    node.querySelector(".again").addEventListener("click", () => film.wake?.());
    films.push(film);
    part("intake-rows").append(node);
    show(film);
  }
  document.body.setAttribute("data-used", "");
  next();
}

/** Whether more than one film is on its way or has just come. */
export const several = () => films.length > 1;

function next() {
  const busy = films.filter((film) => film.state === "sending" || film.state === "held").length;
  for (const film of films.filter((film) => film.state === "waiting").slice(0, Math.max(0, AT_ONCE - busy))) run(film);
}

/** Waits, and shows how long still; ends early where somebody wants that. */
async function hold(film, seconds, message) {
  film.state = "held";
  let awake = false;
  film.wake = () => (awake = true);
  for (let left = seconds; left > 0 && !awake && !film.stop.signal.aborted; left -= 0.25) {
    show(film, message(Math.ceil(left)));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  film.wake = null;
}

/** Whether sending broke off more than once while chexbox answers: then it is this film that it does not take. */
async function brokeOff(film) {
  film.breaks = (film.breaks ?? 0) + ((await client.alive()) ? 1 : 0);
  return film.breaks > 1;
}

async function run(film) {
  while (!film.stop.signal.aborted) {
    film.state = "sending";
    film.share = 0;
    show(film);
    try {
      const readings = await client.send(film.file, film.model, (share) => progress(film, share), film.stop.signal);
      finish(film, readings);
      break;
    } catch (problem) {
      if (problem.kind === "busy") await hold(film, problem.wait, (left) => word("retryIn", left));
      else if (problem.kind === "offline" && !(await brokeOff(film))) await hold(film, AWAY_S, () => word("offline"));
      else if (problem.kind === "offline") {
        fail(film, new client.Problem("failed", word("brokenOff")));
        break;
      } else {
        fail(film, problem);
        break;
      }
    }
  }
  next();
}

function progress(film, share) {
  film.share = share;
  show(film);
}

function finish(film, readings) {
  const first = readings[0];
  film.state = "done";
  film.readings = readings;
  // Asked for several models, a refused film comes as a list of problems.
  if (first?.code) return refuse(film, { message: first.detail ?? first.title, remedy: first.remedy }, first.reading);
  film.positive = readings.some((reading) => (reading.findings ?? []).some((finding) => finding.positive));
  film.said = readings.map(summary).join("; ");
  hear.said(word("readDone", film.file.name, film.said));
  show(film);
  hear.done(readings);
}

function refuse(film, { message, remedy }, id) {
  film.state = "refused";
  film.said = joined(message, remedy);
  film.reading = id;
  hear.said(word("readRefused", film.file.name, film.said));
  show(film);
  hear.done(id ? [{ id, status: "refused" }] : []);
}

function fail(film, problem) {
  if (problem.kind === "refused") return refuse(film, { message: problem.message, remedy: problem.remedy }, problem.reading);
  film.state = "failed";
  film.said = joined(problem.message, problem.remedy);
  if (problem.kind !== "cancelled") hear.said(word("readFailed", film.file.name, film.said));
  return show(film);
}

function drop(film) {
  film.stop.abort();
  film.node.remove();
  films.splice(films.indexOf(film), 1);
  showAll();
  next();
}

const ENDED = ["done", "refused", "failed"];

/** Clears the rows of films that have ended. */
export function clear() {
  for (const film of films.filter((film) => ENDED.includes(film.state))) {
    film.node.remove();
    films.splice(films.indexOf(film), 1);
  }
  showAll();
}

function stateOf(film) {
  if (film.state === "waiting") return word("waiting");
  if (film.state === "sending") return film.share < 1 ? word("sending", Math.floor(film.share * 100)) : word("reading");
  if (film.state === "done") return film.positive ? word("positive") : word("nonePositive");
  return word(film.state === "refused" ? "statusRefused" : "failed");
}

/** Writes the row of a film; `held` is what it waits for. */
function show(film, held = null) {
  const { node } = film;
  const ended = ENDED.includes(film.state);
  node.dataset.state = film.state;
  node.classList.toggle("positive", Boolean(film.positive));
  node.querySelector(".state").textContent = held ?? stateOf(film);
  const bar = node.querySelector("progress");
  bar.hidden = ended;
  if (film.state === "sending" && film.share < 1) bar.value = film.share;
  else if (film.state === "sending") bar.removeAttribute("value");
  else bar.value = 0;
  node.querySelector(".trouble-said").textContent = film.said ?? "";
  node.querySelector(".again").hidden = !held;
  node.querySelector(".stop").textContent = word(ended ? "dismiss" : "cancel");
  const id = film.readings?.[0]?.id ?? film.reading;
  if (id) node.querySelector(".name").href = `#/readings/${id}`;
  showAll();
}

function showAll() {
  const ended = films.filter((film) => ENDED.includes(film.state)).length;
  part("intake").hidden = films.length === 0;
  part("intake-count").textContent = word("uploadsOf", ended, films.length);
  part("intake-clear").hidden = ended === 0;
  part("intake-head").textContent = word(ended === films.length ? "uploadsDone" : "uploads");
  const whole = films.reduce((sum, film) => sum + (ENDED.includes(film.state) ? 1 : film.share * 0.7), 0);
  part("intake-all").value = films.length ? whole / films.length : 0;
}

/** Writes everything again, in another language; why a film was refused is asked for anew. */
export async function again() {
  films.forEach((film) => show(film));
  for (const film of films.filter((film) => film.state === "refused" && film.reading)) {
    try {
      const { refusal } = await client.json(`/v1/readings/${film.reading}`);
      film.said = joined(refusal.message, refusal.remedy);
      show(film);
    } catch {
      // Deleted meanwhile, or away: what was said stays.
    }
  }
}
