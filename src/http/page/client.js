// Talks to chexbox. In: a path. Out: JSON, bytes, or a `Problem` that says what is wrong in the user's language.
// Never: a token in an address, on disk or beyond this tab.

import { language, word } from "./words.js";

const KEPT = "chexbox.token";

/** Seconds to wait where a busy answer does not say how long. */
const WAIT_DEFAULT_S = 5;
/** The longest wait that the page takes an answer's word for. */
const WAIT_MAX_S = 120;

/** Why something could not be had: `kind` is offline, busy, refused, denied, gone or failed. */
export class Problem extends Error {
  constructor(kind, message, more = {}) {
    super(message);
    this.kind = kind;
    this.remedy = more.remedy ?? null;
    this.reading = more.reading ?? null;
    this.wait = more.wait ?? WAIT_DEFAULT_S;
    this.code = more.code ?? null;
  }
}

let ask = () => Promise.reject(new Problem("denied", ""));
let asked = null;
let heard = () => {};

/** Says who asks for a token, and who hears whether chexbox answers. */
export function wire(askForToken, hearConnection) {
  ask = askForToken;
  heard = hearConnection;
}

/** The token of this tab. */
export const token = () => sessionStorage.getItem(KEPT);

/** Forgets the token. */
export const forget = () => sessionStorage.removeItem(KEPT);

/**
 * What the token says about itself, or null without one. A v4.public token carries its claims in the clear before
 * 64 bytes of signature; the page reads them only to offer what is allowed, chexbox alone decides.
 */
export function claims() {
  const text = token();
  if (!text) return null;
  try {
    const body = atob(text.split(".")[2].replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(body.slice(0, -64), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

/** Whether deleting is worth offering: without a token (on the box itself), or with scope admin. */
export const mayDelete = () => !token() || claims().scope === "admin";

const headers = () => {
  const all = { "Accept-Language": language() === "zh" ? "zh-CN" : "en" };
  if (token()) all.Authorization = `Bearer ${token()}`;
  return all;
};

async function signIn(wrong) {
  asked ??= ask(wrong).finally(() => (asked = null));
  sessionStorage.setItem(KEPT, await asked);
}

const waitOf = (text) => Math.min(WAIT_MAX_S, Math.max(1, Number.parseInt(text, 10) || WAIT_DEFAULT_S));

/** What the gate says before it has read any header of ours, it says in both languages: "English / 中文". */
function mine(text) {
  const both = /^(.*[^\u4e00-\u9fff]) \/ (.*[\u4e00-\u9fff].*)$/.exec(text ?? "");
  return both ? both[language() === "zh" ? 2 : 1] : text;
}

/** The problem that an answer tells of. */
function told(status, body, retryAfter) {
  let said = {};
  try {
    said = JSON.parse(body);
  } catch {
    // An answer from something in between need not be JSON.
  }
  const more = { ...said, wait: waitOf(retryAfter) };
  if (status === 503) return new Problem("busy", mine(said.detail) || word("busy"), more);
  if (status === 429) return new Problem("denied", word("tooMany", more.wait), more);
  if (status === 401) return new Problem("denied", word("tokenWrong"), more);
  if (status === 403) return new Problem("denied", word("notAllowed"), more);
  if (status === 404) return new Problem("gone", word("gone"), more);
  if (status === 422) return new Problem("refused", mine(said.detail) || said.title, more);
  return new Problem("failed", mine(said.detail) || said.title || `HTTP ${status}`, more);
}

/** One request; signs in where chexbox asks for it. */
async function request(path, { method = "GET", again = true } = {}) {
  let answer;
  const sent = token();
  try {
    answer = await fetch(path, { method, headers: headers(), cache: "no-store" });
  } catch {
    heard(false);
    throw new Problem("offline", word("offline"), { remedy: word("offlineMore") });
  }
  heard(true);
  if (answer.status === 401 && again) {
    if (token() === sent) await signIn(Boolean(sent));
    return request(path, { method });
  }
  if (!answer.ok) throw told(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
}

/** JSON of a path. */
export const json = async (path) => (await request(path)).json();

/** Bytes of a path. */
export const blob = async (path) => (await request(path)).blob();

/** Deletes what a path names. */
export const remove = (path) => request(path, { method: "DELETE" });

/** Whether chexbox answers at all. */
export async function alive() {
  let answers = false;
  try {
    answers = (await fetch("/healthz", { cache: "no-store" })).ok;
  } catch {
    // It does not.
  }
  heard(answers);
  return answers;
}

/**
 * Sends a film and waits for its readings. `progress` hears the share sent, 1 when all of it is.
 * Resolves to a list of readings; rejects with a `Problem`. `signal` gives it up.
 */
export async function send(file, model, progress, signal) {
  const query = new URLSearchParams({ name: file.name, heatmaps: "all" });
  if (model) query.set("model", model);
  const sent = token();
  const answer = await new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/readings?${query}`);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.upload.onload = () => progress(1);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Problem("offline", word("offline"), { remedy: word("offlineMore") }));
    request.onabort = () => reject(new Problem("cancelled", ""));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
  if (answer.status === 401) {
    if (token() === sent) await signIn(Boolean(sent));
    return send(file, model, progress, signal);
  }
  if (answer.status >= 300) throw told(answer.status, answer.responseText, answer.getResponseHeader("Retry-After"));
  const body = JSON.parse(answer.responseText);
  return body.readings ?? [body];
}
