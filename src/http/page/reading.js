// One reading on the screen: whose film, the film with its heat maps, the findings, or why it was not read.
// In: the id of a reading. Out: the page, pictures and records to save.

import * as client from "./client.js";
import { Film } from "./film.js";
import { mark, ranked, showFindings } from "./findings.js";
import { subject } from "./list.js";
import { headed, joined, moment, percent, size, word } from "./words.js";

const part = (id) => document.getElementById(id);

/** The reading shown, the finding whose heat map lies over the film, heat maps fetched. */
const open = { reading: null, finding: null, heats: new Map(), asked: 0 };
let film;
let siblings = () => [];

/** The reading on the screen, or null. */
export const shown = () => open.reading;

/** The film's view. */
export const view = () => film;

/** Begins: `related` names the readings of a film by other models. */
export function begin(related) {
  siblings = related;
  film = new Film(part("film"), changed);
}

function changed() {
  const name = open.finding && headed(open.finding.name);
  const what = film.heat && name ? `${name}  ${percent(open.finding.probability)}` : "";
  part("over-what").textContent = what;
  part("over-window").textContent = film.frame ? word("windowNow", film.width, film.level) + (film.zoom > 1 ? `  ${Math.round(film.zoom * 100)} %` : "") : "";
  part("film").setAttribute("aria-label", `${word("filmLabel")} ${film.described(name)}`);
  part("opacity-said").textContent = `${Math.round(film.opacity * 100)} %`;
  part("invert").setAttribute("aria-pressed", String(film.inverted));
}

/** Which of welcome, reading and trouble is seen. */
export function reveal(which) {
  for (const id of ["welcome", "reading", "trouble"]) part(id).hidden = id !== which;
}

/** Shows the reading of this id; `again` where it is shown already, in another language. */
export async function show(id, again = false) {
  const asked = (open.asked += 1);
  try {
    const reading = await client.json(`/v1/readings/${encodeURIComponent(id)}`);
    if (asked !== open.asked) return;
    await write(reading, again, asked);
  } catch (problem) {
    if (asked !== open.asked) return;
    open.reading = null;
    reveal("trouble");
    part("trouble-head").textContent = joined(problem.message || word("failed"));
    part("trouble-more").textContent = joined(problem.remedy);
    part("trouble-retry").onclick = () => show(id);
  }
}

/** Shows no reading. */
export function leave() {
  open.asked += 1;
  open.reading = null;
  reveal("welcome");
}

async function write(reading, again, asked) {
  const refused = reading.status === "refused";
  open.reading = reading;
  reveal("reading");
  writeSubject(reading);
  part("reading").classList.toggle("is-refused", refused);
  part("refusal").hidden = !refused;
  part("findings").hidden = part("verdict").hidden = refused;
  part("save-png").parentElement.hidden = refused;
  part("save-fhir").parentElement.hidden = refused;
  if (refused) writeRefusal(reading.refusal);
  else {
    showFindings(reading, (finding) => choose(open.finding?.id === finding.id && film.heat ? null : finding));
    writeAbout(reading);
  }
  const made = [reading.model && `${reading.model.name} ${reading.model.version}`, reading.provenance?.program, `${word("aboutReading")} ${reading.id}`];
  part("sheet-notice").textContent = [reading.notice, ...made].filter(Boolean).join("  ·  ");
  if (!again) {
    open.heats = new Map();
    open.finding = null;
    film.clear();
    await writeFilm(reading, asked);
  }
  if (asked !== open.asked || refused) return;
  const before = open.finding && reading.findings.find((finding) => finding.id === open.finding.id);
  const first = ranked(reading).find((finding) => finding.positive);
  await choose(again ? before : first ?? null);
}

function writeSubject(reading) {
  const patient = reading.patient ?? {};
  const facts = [
    patient.name && patient.id && `${word("number")} ${patient.id}`,
    patient.birth_date && word("born", patient.birth_date.replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3")),
    patient.accession && word("accession", patient.accession),
    (patient.name || patient.id) && reading.film.name,
    moment(reading.created),
  ];
  part("subject").textContent = subject(reading);
  part("subject-more").textContent = facts.filter(Boolean).join("  ·  ");
  part("delete").disabled = !client.mayDelete();
  part("delete").title = client.mayDelete() ? "" : word("removeNot");
  const others = siblings(reading);
  part("siblings").hidden = others.length < 2;
  part("siblings").replaceChildren(
    ...others.map(({ id, model }) => {
      const link = document.createElement("a");
      link.href = `#/readings/${id}`;
      link.textContent = model.name;
      if (id === reading.id) link.setAttribute("aria-current", "true");
      return link;
    }),
  );
}

function writeRefusal({ code, message, remedy }) {
  part("refusal-why").textContent = joined(message);
  part("refusal-remedy").textContent = joined(remedy);
  part("refusal-code").textContent = code;
}

function writeAbout(reading) {
  const { model, film: file, provenance = {} } = reading;
  const facts = [
    ["aboutTime", moment(reading.created)],
    ["aboutModel", model && `${model.name} ${model.version}`],
    ["aboutProgram", provenance.program],
    ["aboutEngine", provenance.engine],
    ["aboutSize", [file.name, provenance.facts && `${provenance.facts.columns} × ${provenance.facts.rows}`, size(file.bytes)].filter(Boolean).join(", ")],
    ["aboutReading", reading.id],
    ["aboutFilm", file.sha256],
    ["aboutDigest", model?.sha256],
  ];
  const list = part("about-list");
  list.replaceChildren();
  for (const [name, value] of facts.filter(([, value]) => value)) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = word(name);
    text.textContent = value;
    list.append(term, text);
  }
  part("about-steps").replaceChildren(
    ...(provenance.steps ?? []).map(({ step, detail }) => {
      const item = document.createElement("li");
      item.textContent = `${step}: ${detail}`;
      return item;
    }),
  );
}

/** Fetches and shows the film; says so where it is not kept. */
async function writeFilm(reading, asked) {
  part("absent").hidden = true;
  part("viewer").hidden = reading.status === "refused" && !reading.film.href;
  if (part("viewer").hidden) return;
  part("film-waiting").hidden = false;
  let bitmap = null;
  try {
    if (reading.film.href) bitmap = await createImageBitmap(await client.blob(reading.film.href));
  } catch {
    // Not kept, or no picture: the words over the empty stage say so.
  }
  if (asked !== open.asked) return;
  part("film-waiting").hidden = true;
  part("absent").hidden = Boolean(bitmap);
  part("viewer").hidden = !bitmap && reading.status === "refused";
  film.show(bitmap);
}

/** Lays the heat map of a finding over the film; null for the film alone. */
export async function choose(finding) {
  open.finding = finding ?? open.finding;
  const wanted = finding?.heatmap ?? null;
  mark(wanted ? finding.id : null);
  part("heat").setAttribute("aria-pressed", String(Boolean(wanted)));
  part("heat").disabled = !open.finding && !ranked(open.reading).length;
  part("opacity").disabled = !wanted;
  part("heat-key").classList.toggle("off", !wanted);
  if (!wanted) return film.lay(null);
  const asked = open.asked;
  try {
    if (!open.heats.has(wanted)) open.heats.set(wanted, await createImageBitmap(await client.blob(wanted)));
  } catch {
    part("over-what").textContent = word("heatFailed");
    return film.lay(null);
  }
  if (asked === open.asked && open.finding?.id === finding.id) film.lay(open.heats.get(wanted));
}

/** Heat map on or off: the last one, or the most probable finding's. */
export function toggleHeat() {
  if (!open.reading?.findings) return;
  choose(film.heat ? null : open.finding ?? ranked(open.reading)[0]);
}

/** Shows the heat map of the finding at this place of the list. */
export function chooseAt(place) {
  const finding = ranked(open.reading ?? {})[place];
  if (finding) choose(open.finding?.id === finding.id && film.heat ? null : finding);
}

/** Name for files of this reading: no patient in it, files travel. */
const fileName = (ending) => `chexbox-${open.reading.id.slice(0, 10)}${ending}`;

function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return name;
}

/** Saves what is seen, with the finding and the notice below it. */
export async function savePicture() {
  const { reading, finding } = open;
  const numbers = finding && film.heat && `${headed(finding.name)}  ${percent(finding.probability)}, ${word("point", percent(finding.threshold))}, ${word(finding.positive ? "positive" : "negative")}`;
  const made = [reading.model?.name, reading.model?.version, moment(reading.created), reading.id.slice(0, 10)].join("  ");
  const lines = [numbers || word("filmAlone"), made, film.heat && word("heatNote"), reading.notice].filter(Boolean);
  return keep(await film.snapshot(lines), fileName(".png"));
}

/** Saves the record. */
export const saveRecord = () =>
  keep(new Blob([JSON.stringify(open.reading, null, 2)], { type: "application/json" }), fileName(".json"));

/** Saves the report that chexbox makes. */
export const saveReport = async () => keep(await client.blob(open.reading.links.report), fileName(".html"));

/** Saves the report as FHIR has it. */
export const saveFhir = async () => keep(await client.blob(open.reading.links.fhir), fileName(".fhir.json"));
