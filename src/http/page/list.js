// The list of films: by default the day's. In: what is searched for. Out: rows that lead to readings.
// Never: more than what was asked for; the next part is fetched when the reader wants it.

import * as client from "./client.js";
import { summary } from "./findings.js";
import { dayOf, headed, joined, language, timeOfDay, word } from "./words.js";

const PART = 40;
/** Films also arrive from modalities; the list looks for them this often while it is seen. */
const FRESHEN_MS = 30_000;
const TYPING_MS = 300;

const part = (id) => document.getElementById(id);
const state = { period: "today", readings: [], next: null, open: null, asked: 0 };

/** Midnight this many days ago. */
function midnight(days) {
  const day = new Date();
  day.setHours(0, 0, 0, 0);
  day.setDate(day.getDate() - days);
  return day;
}

/** The bounds in time that are asked for, as moments. */
function bounds(form) {
  const [from, to] = [form.elements.from.value, form.elements.to.value];
  if (from || to) {
    const after = to && new Date(`${to}T00:00`);
    if (after) after.setDate(after.getDate() + 1);
    return { since: from && new Date(`${from}T00:00`), until: after };
  }
  if (state.period === "today") return { since: midnight(0) };
  if (state.period === "week") return { since: midnight(6) };
  return {};
}

function address() {
  const form = part("query");
  const query = new URLSearchParams({ limit: PART });
  for (const name of ["q", "patient", "finding", "status"]) {
    const value = form.elements[name].value.trim();
    if (value) query.set(name, value);
  }
  for (const [name, value] of Object.entries(bounds(form))) {
    if (value) query.set(name, value.toISOString().replace(/\.\d+Z$/, "Z"));
  }
  return `/v1/readings?${query}`;
}

/** A name as DICOM writes it (family^given, in up to three scripts with = between) as people read it. */
function named(name) {
  const [latin, ideographs] = (name ?? "").split("=");
  const shown = (language() === "zh" && ideographs) || latin || ideographs || "";
  return shown.split("^").filter(Boolean).join(" ");
}

/** Who or what a reading is of, in a line. */
export function subject(reading) {
  const patient = reading.patient ?? {};
  return named(patient.name) || patient.id || reading.film.name || word("noName");
}

function row(reading) {
  const node = part("list-row").content.firstElementChild.cloneNode(true);
  const refused = reading.status === "refused";
  const positive = (reading.findings ?? []).filter((finding) => finding.positive).length;
  const link = node.querySelector("a");
  link.href = `#/readings/${reading.id}`;
  link.dataset.reading = reading.id;
  link.classList.toggle("refused", refused);
  link.classList.toggle("positive", positive > 0);
  if (reading.id === state.open) link.setAttribute("aria-current", "true");
  node.querySelector(".who").textContent = subject(reading);
  const time = node.querySelector("time");
  time.dateTime = reading.created;
  time.textContent = timeOfDay(reading.created);
  node.querySelector(".sign").textContent = refused ? "" : positive || "";
  const what = refused ? joined(word("statusRefused"), reading.refusal?.message) : summary(reading);
  node.querySelector(".what").textContent = what;
  return node;
}

/** Writes the rows, under a heading for each day. */
function show() {
  // The list is also written anew while somebody walks through it by keyboard.
  const focused = document.activeElement?.dataset.reading;
  const days = new Map();
  for (const reading of state.readings) {
    const day = dayOf(reading.created);
    if (!days.has(day)) days.set(day, []);
    days.get(day).push(row(reading));
  }
  part("days").replaceChildren(
    ...[...days].flatMap(([day, rows]) => {
      const [head, list] = [document.createElement("h3"), document.createElement("ol")];
      head.textContent = day;
      list.append(...rows);
      return [head, list];
    }),
  );
  if (focused) [...part("days").querySelectorAll("a")].find((link) => link.dataset.reading === focused)?.focus();
  const count = state.readings.length;
  const plain = state.next ? "listCountMore" : "listCount";
  part("list-count").textContent = count === 1 && !state.next ? word("listOne") : word(plain, count);
  part("list-more").hidden = !state.next;
  part("list-nothing").hidden = count > 0;
  part("list-nothing").textContent = word(filters() || state.period !== "today" || part("q").value ? "listEmpty" : "listEmptyToday");
}

/** How many filters beside the search are set. */
function filters() {
  const { patient, finding, status, from, to } = part("query").elements;
  return [patient, finding, status, from, to].filter((field) => field.value).length;
}

function showFilters() {
  const count = filters();
  part("filter-count").hidden = count === 0;
  part("filter-count").textContent = count;
  part("open-filters").setAttribute("aria-label", count ? word("filtersOn", count) : word("filters"));
  const { from, to } = part("query").elements;
  for (const button of part("periods").children) {
    const chosen = button.dataset.period === state.period && !from.value && !to.value;
    button.setAttribute("aria-pressed", String(chosen));
  }
}

/** Fetches the list anew. Only the answer to the last question counts. */
export async function freshen() {
  showFilters();
  const asked = (state.asked += 1);
  try {
    const { readings, next } = await client.json(address());
    if (asked !== state.asked) return;
    Object.assign(state, { readings, next });
    document.body.toggleAttribute("data-used", readings.length > 0 || document.body.hasAttribute("data-used"));
    show();
  } catch (problem) {
    if (asked !== state.asked) return;
    part("list-nothing").hidden = false;
    part("list-nothing").textContent = joined(problem.message, problem.remedy);
  }
}

async function more() {
  const asked = state.asked;
  const { readings, next } = await client.json(state.next);
  if (asked !== state.asked) return;
  const first = state.readings.length;
  state.readings.push(...readings);
  state.next = next;
  show();
  part("days").querySelectorAll("a")[first]?.focus();
}

/** Marks the reading that is open. */
export function current(id) {
  state.open = id;
  for (const link of part("days").querySelectorAll("a")) {
    if (link.dataset.reading === id) {
      link.setAttribute("aria-current", "true");
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

/** The reading after (1) or before (-1) the open one, or null. */
export function neighbour(step) {
  const at = state.readings.findIndex((reading) => reading.id === state.open);
  return state.readings[at < 0 ? 0 : at + step]?.id ?? null;
}

/** Offers the findings of these models as filters. */
export function offer(models) {
  const select = part("by-finding");
  const chosen = select.value;
  const names = new Map();
  for (const model of models) {
    for (const finding of model.findings ?? []) if (finding.trained !== false) names.set(finding.id, headed(finding.name));
  }
  const options = [...names].sort((a, b) => a[1].localeCompare(b[1])).map(([id, name]) => new Option(name, id));
  select.replaceChildren(new Option(word("anyFinding"), ""), ...options);
  select.value = names.has(chosen) ? chosen : "";
}

/** Listens to the search, the filters and the clock. */
export function listen() {
  const form = part("query");
  let typed;
  const soon = (wait) => {
    clearTimeout(typed);
    typed = setTimeout(freshen, wait);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    soon(0);
  });
  form.addEventListener("input", (event) => soon(event.target.type === "search" || event.target.type === "text" ? TYPING_MS : 0));
  form.addEventListener("reset", () => soon(0));
  part("open-filters").addEventListener("click", () => {
    const open = part("filters").toggleAttribute("hidden");
    part("open-filters").setAttribute("aria-expanded", String(!open));
    if (!open) form.elements.patient.focus();
  });
  part("periods").addEventListener("click", ({ target }) => {
    if (!target.dataset.period) return;
    state.period = target.dataset.period;
    form.elements.from.value = form.elements.to.value = "";
    freshen();
  });
  part("list-more").addEventListener("click", () => more().catch(() => freshen()));
  part("list-refresh").addEventListener("click", freshen);
  setInterval(() => {
    if (!document.hidden && state.readings.length <= PART) freshen();
  }, FRESHEN_MS);
}
