// The page: brings list, intake and reading together. What is open stands in the address (#/readings/ID),
// so that back, forward and a second tab work as everywhere.

import * as client from "./client.js";
import * as intake from "./intake.js";
import * as list from "./list.js";
import * as reading from "./reading.js";
import * as tools from "./tools.js";
import { joined, language, preferred, speak, word } from "./words.js";

const part = (id) => document.getElementById(id);
const ALIVE_MS = 5_000;
const TOAST_MS = 4_000;

let models = [];
/** Readings that this page has seen, by the film's digest: a film read by several models has several. */
const seen = new Map();

const wide = () => matchMedia("(min-width: 1100px)").matches;
const on = (id, what, act) => part(id).addEventListener(what, act);

/** Says a line to those who listen. */
const tell = (text) => (part("said").textContent = text);

/** Says a line to those who listen, and briefly shows it to those who look. */
function say(text) {
  tell(text);
  part("toast").textContent = text;
  part("toast").hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (part("toast").hidden = true), TOAST_MS);
}

const opened = () => /^#\/readings\/([a-z0-9]+)$/.exec(location.hash)?.[1] ?? null;

/** Shows what the address says. */
async function follow(focus = true) {
  const id = opened();
  document.body.dataset.view = id ? "reading" : "list";
  list.current(id);
  if (!id) return reading.leave();
  await reading.show(id);
  remember(reading.shown());
  if (focus && opened() === id) part("subject").focus({ preventScroll: wide() });
  if (!wide()) scrollTo(0, 0);
}

function remember(one) {
  if (!one?.film) return;
  const same = seen.get(one.film.sha256) ?? new Map();
  seen.set(one.film.sha256, same.set(one.id, { id: one.id, model: one.model ?? { name: "" } }));
}

/** A film has been read: opens it where nothing is open, and freshens the list. */
function done(readings) {
  readings.forEach(remember);
  list.freshen();
  const read = readings[0]?.status === "read";
  if (!opened() && readings[0] && (wide() ? read || !intake.several() : !intake.several())) location.hash = `#/readings/${readings[0].id}`;
}

function take(files) {
  if (!files.length) return;
  intake.take([...files]);
  if (!wide() && !opened()) document.body.dataset.view = "list";
}

async function loadModels() {
  try {
    const body = await client.json("/v1/models");
    models = body.models ?? body;
  } catch {
    return;
  }
  const select = part("model");
  const chosen = select.value;
  const options = models.map((model) => new Option(model.title ?? model.name, model.name));
  if (models.length > 1) options.push(new Option(word("everyModel"), "all"));
  select.replaceChildren(...options);
  if (chosen) select.value = chosen;
  part("model-line").hidden = models.length < 2;
  list.offer(models);
}

/** Everything that depends on the language. */
async function changeLanguage(code) {
  speak(code);
  showLanguage();
  showWho();
  tell("");
  part("toast").hidden = true;
  await Promise.all([intake.again(), loadModels(), list.freshen(), opened() && reading.shown() && reading.show(opened(), true)]);
}

function showLanguage() {
  for (const button of part("languages").children) {
    button.setAttribute("aria-pressed", String(button.dataset.lang === language()));
  }
}

function showWho() {
  const claims = client.claims();
  const name = claims?.sub;
  part("sign-out").hidden = !claims;
  part("who").hidden = !name;
  part("who").textContent = name ? word("signedIn", name) : "";
}

/** Asks for a token until there is one. */
function askForToken(wrong) {
  const box = part("token-box");
  part("token-wrong").hidden = !wrong;
  part("token").value = "";
  if (!box.open) box.showModal();
  return new Promise((resolve, reject) => {
    box.addEventListener(
      "close",
      () => {
        const text = part("token").value.trim();
        part("token").value = "";
        if (text) resolve(text);
        else reject(new client.Problem("denied", word("tokenTitle"), { remedy: word("tokenMore") }));
        setTimeout(showWho);
      },
      { once: true },
    );
  });
}

let away = null;
function hearConnection(answers) {
  part("offline").hidden = answers;
  if (answers && away) {
    clearInterval(away);
    away = null;
    say(word("onlineAgain"));
    list.freshen();
    if (opened() && !reading.shown()) follow(false);
  }
  if (!answers) away ??= setInterval(client.alive, ALIVE_MS);
}

async function remove() {
  const one = reading.shown();
  part("delete-more").textContent = word("removeMore", list.subject(one));
  part("delete-box").returnValue = "no";
  part("delete-box").showModal();
  await new Promise((resolve) => part("delete-box").addEventListener("close", resolve, { once: true }));
  if (part("delete-box").returnValue !== "yes") return;
  await attempt(async () => {
    await client.remove(one.links.self);
    say(word("removed"));
    location.hash = "#/";
    list.freshen();
    setTimeout(() => part("list-refresh").focus());
  });
}

/** Does something and says what stood in its way. */
async function attempt(act) {
  try {
    await act();
  } catch (problem) {
    say(joined(word("failed"), problem.message, problem.remedy));
  }
}

function search() {
  if (!wide()) location.hash = "#/";
  part("q").focus();
}

/** Files may be dropped anywhere. */
function listenToDrops() {
  let inside = 0;
  const files = (event) => event.dataTransfer?.types.includes("Files");
  const showDrop = (shown) => (part("drop").hidden = !shown);
  addEventListener("dragenter", (event) => {
    if (files(event)) showDrop((inside += 1) > 0);
  });
  addEventListener("dragleave", (event) => {
    if (files(event)) showDrop((inside -= 1) > 0);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    showDrop(false);
    take(event.dataTransfer.files);
  });
}

function listen() {
  for (const id of ["add", "choose", "tray"]) on(id, "click", () => part("files").click());
  on("files", "change", ({ target }) => {
    take(target.files);
    target.value = "";
  });
  on("languages", "click", ({ target }) => target.dataset.lang && changeLanguage(target.dataset.lang));
  on("intake-clear", "click", intake.clear);
  on("offline-retry", "click", client.alive);
  on("sign-out", "click", () => {
    client.forget();
    location.reload();
  });
  addEventListener("hashchange", () => follow());
  listenToDrops();
  list.listen();
  tools.listen({ attempt, say, search, remove });
}

async function start() {
  speak(preferred());
  showLanguage();
  showWho();
  client.wire(askForToken, hearConnection);
  reading.begin((one) => [...(seen.get(one.film.sha256)?.values() ?? [])]);
  intake.wire({ done, said: tell, model: () => part("model").value });
  listen();
  // One request alone first: where a token is needed, one wrong token is one failed sign-in.
  await loadModels();
  await Promise.all([list.freshen(), follow(false)]);
  showWho();
  document.body.dataset.ready = "";
}

start();
