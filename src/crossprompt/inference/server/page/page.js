"use strict";

const TOP = 5; // classes shown of a picture while nothing is searched
const MOST = 50; // classes shown of a picture at all
const AT_ONCE = 4; // requests under way
const TRIES = 5; // where the server is busy

const element = (id) => document.getElementById(id);
const pictures = []; // {file, node, shares: [{label, probability}] | null, failed: string | null, locked}
const waiting = [];
let running = 0;
let classes = [];
let limits = null;
let key = "";

/* Requests */

async function ask(path, options = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(path, { ...options, headers });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const error = new Error(answer.error || `the server answered with status ${response.status}`);
  error.status = response.status;
  error.later = Number(response.headers.get("Retry-After"));
  error.reason = answer.images?.[0]?.reason;
  throw error;
}

async function classify(file) {
  for (let tried = 1; ; tried += 1) {
    const form = new FormData();
    form.append("images", file, file.name || "picture");
    form.append("top_k", String(Math.max(classes.length, 1)));
    try {
      return (await ask("/v1/predict", { method: "POST", body: form })).predictions[0].top;
    } catch (error) {
      if (error.status !== 503 || tried === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * tried * (error.later || 1)));
    }
  }
}

function work() {
  while (running < AT_ONCE && waiting.length) {
    const picture = waiting.shift();
    running += 1;
    classifyPicture(picture).finally(() => {
      running -= 1;
      work();
    });
  }
}

async function classifyPicture(picture) {
  try {
    if (limits && picture.file.size > limits.max_upload_bytes - 4096) {
      throw new Error(`larger than the ${megabytes(limits.max_upload_bytes)} that this server takes`);
    }
    picture.shares = await classify(picture.file);
  } catch (error) {
    picture.locked = error.status === 401;
    picture.failed = error.reason || explain(error);
    if (picture.locked) askForKey();
  }
  if (!pictures.includes(picture)) return; // removed meanwhile
  show(picture);
  say(picture);
}

function explain(error) {
  if (error.status === undefined && error instanceof TypeError) return "the server cannot be reached";
  return error.message;
}

/* Pictures */

function add(files) {
  for (const file of files) {
    const picture = { file, node: make("li", "picture"), shares: null, failed: null, locked: false };
    pictures.push(picture);
    element("pictures").append(picture.node);
    waiting.push(picture);
    show(picture);
  }
  showCounts();
  work();
}

function remove(picture) {
  const place = pictures.indexOf(picture);
  pictures.splice(place, 1);
  if (waiting.includes(picture)) waiting.splice(waiting.indexOf(picture), 1);
  URL.revokeObjectURL(picture.url);
  picture.node.remove();
  const next = pictures[Math.min(place, pictures.length - 1)];
  (next ? next.node.querySelector(".remove") : element("choose")).focus();
  element("status").textContent = `${nameOf(picture)} removed`;
  showCounts();
}

function retry(picture) {
  picture.failed = null;
  waiting.push(picture);
  show(picture);
  work();
}

const nameOf = (picture) => picture.file.name || "Pasted picture";

function show(picture) {
  const { node } = picture;
  const focused = node.contains(document.activeElement) && document.activeElement.className;
  node.classList.toggle("failed", picture.failed !== null);
  node.classList.toggle("waiting", picture.failed === null && picture.shares === null);
  const head = make("div", "head");
  head.append(make("h3", "", nameOf(picture)));
  if (picture.failed !== null) head.append(button("again", "Try again", `Try ${nameOf(picture)} again`, () => retry(picture)));
  head.append(button("remove", "Remove", `Remove ${nameOf(picture)}`, () => remove(picture)));
  const body = make("div");
  body.append(head, ...verdict(picture));
  node.replaceChildren(node.querySelector(".thumb") || thumbnail(picture), body);
  if (focused) (node.getElementsByClassName(focused)[0] || node.querySelector(".remove")).focus();
}

function thumbnail(picture) {
  const frame = make("div", "thumb");
  const image = make("img");
  image.alt = ""; // its name stands beside it, and what it shows is what is asked
  image.addEventListener("error", () => image.remove());
  picture.url = URL.createObjectURL(picture.file);
  image.src = picture.url;
  frame.append(image);
  return frame;
}

function verdict(picture) {
  if (picture.failed !== null) return [make("p", "said", `Not classified: ${picture.failed}`)];
  if (picture.shares === null) return [make("p", "said", "Classifying …")];
  const wanted = element("filter").value;
  const found = wanted ? picture.shares.filter((share) => matches(share.label, wanted)) : picture.shares;
  const shown = found.slice(0, wanted ? MOST : TOP);
  const list = make("ol");
  list.append(...shown.map((share) => bar(share, share === picture.shares[0], wanted)));
  if (wanted && !found.length) return [make("p", "said", "No class is found by that.")];
  const more = found.length - shown.length;
  return more && wanted ? [list, make("p", "said", `and ${more} more`)] : [list];
}

function bar(share, best, wanted) {
  const row = make("li", best ? "share best" : "share");
  const name = make("span", "name");
  name.append(...marked(share.label, wanted));
  const track = make("span", "track");
  const fill = make("span", "fill");
  fill.style.width = `${100 * share.probability}%`;
  track.append(fill);
  row.append(name, make("span", "value", percent(share.probability)), track);
  return row;
}

/* Classes */

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const matches = (label, wanted) => plain(label).includes(plain(wanted.trim()));

function marked(label, wanted) {
  const place = wanted.trim() ? plain(label).indexOf(plain(wanted.trim())) : -1;
  // where accents were dropped, letters may stand elsewhere than in the name
  if (place < 0 || plain(label).length !== label.length) return [label];
  const end = place + plain(wanted.trim()).length;
  return [label.slice(0, place), make("mark", "", label.slice(place, end)), label.slice(end)];
}

function filter() {
  const wanted = element("filter").value;
  const found = classes.filter((label) => matches(label, wanted));
  element("matches").textContent = wanted ? `${found.length} of ${classes.length}` : "";
  element("classes").replaceChildren(...found.map((label) => {
    const row = make("li");
    row.append(...marked(label, wanted));
    return row;
  }));
  pictures.filter((picture) => picture.shares).forEach(show);
}

async function loadClasses() {
  try {
    limits = await ask("/v1/classes");
    classes = limits.classes;
    element("key-form").hidden = true;
    element("about").textContent =
      `One of ${classes.length} classes for every picture. Pictures are classified by this server and kept nowhere.`;
    const formats = limits.formats.filter((name) => name !== "MPO").join(", ");
    element("limits").textContent =
      `${formats}; up to ${megabytes(limits.max_upload_bytes)} and ${Math.floor(limits.max_pixels / 1e6) || "under 1"} million pixels each.`;
    filter();
    return true;
  } catch (error) {
    if (error.status === 401) askForKey();
    else element("status").textContent = explain(error);
    return false;
  }
}

/* The key */

function askForKey() {
  if (!element("key-form").hidden) return;
  element("key-form").hidden = false;
  element("key").focus();
}

async function useKey(event) {
  event.preventDefault();
  key = element("key").value.trim();
  if (await loadClasses()) {
    element("choose").focus();
    pictures.filter((picture) => picture.locked && picture.failed).forEach(retry);
  } else {
    element("key-note").textContent = "That is not the key.";
    element("key").select();
  }
}

/* What is said */

function say(picture) {
  const best = picture.shares?.[0];
  element("status").textContent = best
    ? `${nameOf(picture)}: ${best.label}, ${percent(best.probability)}`
    : `${nameOf(picture)} was not classified: ${picture.failed}`;
}

function showCounts() {
  element("picture-count").textContent = pictures.length ? `(${pictures.length})` : "";
  element("empty").hidden = pictures.length > 0;
  element("clear").hidden = pictures.length === 0;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20) || "under 1"} MiB`;

function make(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text; // never as HTML: names are anyone's
  return made;
}

function button(kind, text, label, act) {
  const made = make("button", kind, text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

/* Ways in */

element("choose").addEventListener("click", () => element("files").click());
element("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = ""; // so that the same picture can be chosen again
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add([...event.clipboardData.files]);
});
let over = 0; // elements that the pointer is in while it drags
document.addEventListener("dragenter", () => document.body.classList.toggle("dragging", (over += 1) > 0));
document.addEventListener("dragleave", () => document.body.classList.toggle("dragging", (over -= 1) > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  document.body.classList.remove("dragging");
  add([...event.dataTransfer.files]);
});
element("filter").addEventListener("input", filter);
element("clear").addEventListener("click", () => {
  while (pictures.length) remove(pictures[0]);
  element("status").textContent = "All pictures removed";
});
element("key-form").addEventListener("submit", useKey);
loadClasses();
