// The findings of one reading: what was called, each probability beside its operating point, and what has no number.
// In: a reading. Out: rows in the page, and `choose` with the finding whose heat map is wanted.

import { headed, language, percent, word } from "./words.js";

/** Ends of the scale, as probabilities; log-odds between them lie evenly. */
const SCALE_LOW = 0.001;
const SCALE_HIGH = 0.999;
const TICKS = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999];

const logit = (p) => Math.log(p / (1 - p));

/** Place of a probability on the scale, 0 to 1. */
function place(p) {
  const inside = Math.min(SCALE_HIGH, Math.max(SCALE_LOW, p));
  return (logit(inside) - logit(SCALE_LOW)) / (logit(SCALE_HIGH) - logit(SCALE_LOW));
}

/** The assessed findings: the positive ones first, then by falling probability. */
export const ranked = (reading) =>
  (reading.findings ?? [])
    .filter((finding) => finding.trained)
    .sort((a, b) => b.positive - a.positive || b.probability - a.probability);

/** Names of the positive findings, or that there is none. */
export function summary(reading) {
  const names = ranked(reading).filter((finding) => finding.positive).map((finding) => headed(finding.name));
  return names.length ? names.join(language() === "zh" ? "、" : ", ") : word("noneBrief");
}

const copy = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

const fill = (node, part, text) => {
  node.querySelector(`.${part}`).textContent = text;
};

/** One finding as a button that shows its heat map. */
function row(finding, number, choose) {
  const node = copy("finding-row");
  const button = node.querySelector("button");
  button.dataset.finding = finding.id;
  node.classList.toggle("positive", finding.positive);
  fill(node, "number", number);
  fill(node, "name", headed(finding.name));
  fill(node, "probability", percent(finding.probability));
  fill(node, "call", word(finding.positive ? "positive" : "negative"));
  fill(node, "point", word("point", percent(finding.threshold)));
  const track = node.querySelector(".track");
  track.style.setProperty("--at", place(finding.probability));
  track.style.setProperty("--point", place(finding.threshold));
  button.addEventListener("click", () => choose(finding));
  return node;
}

function scale(node) {
  node.replaceChildren(
    ...TICKS.map((tick) => {
      const mark = document.createElement("span");
      mark.textContent = `${tick * 100}`.slice(0, 4);
      mark.style.setProperty("--at", place(tick));
      return mark;
    }),
  );
}

/** Writes the findings of a reading into the page. */
export function showFindings(reading, choose) {
  const part = (id) => document.getElementById(id);
  const all = ranked(reading);
  const positive = all.filter((finding) => finding.positive);
  const untrained = (reading.findings ?? []).filter((finding) => !finding.trained);
  const verdict = part("verdict");
  verdict.classList.toggle("positive", positive.length > 0);
  const count = positive.length > 1 ? "verdictMany" : "verdictOne";
  fill(verdict, "said", positive.length ? word(count, all.length, positive.length) : word("verdictNone"));
  fill(verdict, "names", positive.length ? summary(reading) : "");
  fill(verdict, "more", positive.length ? word("verdictMore") : word("verdictNoneMore", all.length, untrained.length));
  const rows = (list, from) => list.map((finding, i) => row(finding, from + i + 1, choose));
  part("above").hidden = positive.length === 0;
  part("below").hidden = positive.length === all.length;
  part("rows-above").replaceChildren(...rows(positive, 0));
  part("rows-below").replaceChildren(...rows(all.slice(positive.length), positive.length));
  scale(part("scale"));
  part("unavailable").hidden = untrained.length === 0;
  part("unavailable-more").textContent = word("unavailableMore", untrained.length);
  part("unavailable-names").replaceChildren(
    ...untrained.map((finding) => {
      const item = document.createElement("li");
      item.textContent = headed(finding.name);
      return item;
    }),
  );
}

/** Marks the finding whose heat map is shown; null for none. */
export function mark(id) {
  for (const button of document.querySelectorAll("#findings [data-finding]")) {
    button.setAttribute("aria-pressed", String(button.dataset.finding === id));
  }
}
