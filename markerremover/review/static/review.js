"use strict";
// The review page. Text goes into the document as text nodes only; every decision is saved by the server before it shows here.
const at = id => document.getElementById(id);
const make = (tag, className, ...children) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
};
const drawn = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};
const VIEWS = ["after", "before", "wipe", "difference"], SIDES = { after: "after", before: "before", wipe: "before | after",
  difference: "what was removed" };
const RETAINED = { laterality: "a laterality marker, retained", none: "nothing burned in, retained", marker: "retained" };
const KEYS = [
  ["Enter", "right (with your corrections): save and go to the next"], ["N →, P ←", "next, previous file, nothing decided"],
  ["J, Shift+J, 1–9", "select a box; two digits within a second and a half: a number past 9"], ["K", "the selected box, and those that lie in it: a laterality marker, it is retained"],
  ["C", "the same: nothing burned in there, it is retained"],
  ["X", "the same: an annotation, it is removed; a drawn box is erased"],
  ["D", "draw a missed annotation: with the mouse or a finger; or arrows move, Shift+arrows resize" +
    " (Alt: by one pixel), Enter adds, Esc leaves"],
  ["D, then K", "draw a missed laterality marker: it is retained if it is read as one, else removed"],
  ["U", "undo your last decision, also that on the file before: the page returns to it"],
  ["Shift+U", "undo the last decision on this file"],
  ["H", "of a held file: the next place that still shows"],
  ["R", "of a held file: write its redacted result although something still shows"],
  ["A B W F, V", "after, before, wipe, removed; the next view"], ["E", "equalised: shows what is faint"],
  ["right mouse button", "drag across: window narrower, wider; up and down: brighter, darker"],
  ["[ ]  , .", "window narrower, wider; darker, brighter; \\ as it was"], ["+ − 0, Z", "zoom; whole image; zoom to the selected box"],
  ["Shift+arrows", "move the picture, or the wipe"], ["PgUp PgDn", "frames"], ["O", "outlines on and off"], ["L", "all files"],
    ["G", "the next one not looked at"],
];
const S = { all: null, number: 0, file: null, view: "after", equalised: false, centre: 0.5, width: 1, frame: 0, chosen: -1,
  outlines: true, draft: null, draftKind: "marker", note: "", place: -1, going: false,
  drawing: false, wipe: 0.5, zoom: 1, x: 0, y: 0, fitted: 1, busy: false, shown: 0 };
const ready = new Map();  // number -> promise of a file and its pictures
const fine = { centre: 0.5, width: 1, equalised: false, frame: 0 };

async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(path, options).catch(() => {
    throw new Error("the server does not answer; start `markerremover review` again, it continues here"); });
  const found = await answer.json().catch(() => ({ error: "the server refused: open the address that it printed again" }));
  if (!answer.ok) throw new Error(found.error || `the server said ${answer.status}`);
  return found;
}
async function picture(number, view, how) {
  const image = new Image();
  image.alt = view;
  image.src = `/api/files/${number}/${view}.png?frame=${how.frame}&centre=${how.centre.toFixed(2)}` +
    `&width=${how.width.toFixed(2)}&equalised=${how.equalised ? 1 : 0}`;
  try { await image.decode(); } catch { throw new Error(await problem(image.src)); }
  return image;
}
async function problem(source) {  // the server's message about a picture that it cannot give
  try { return (await (await fetch(source)).json()).error; } catch { return "the picture cannot be shown; is the server still there?"; }
}
async function fetched(number) {
  const file = await ask(`/api/files/${number}`);
  const how = { ...fine, equalised: S.equalised, frame: firstFrame(file) };
  const pictures = {};
  if (file.shape.length) {
    try { [pictures.after, pictures.before] = await Promise.all([picture(number, "after", how), picture(number, "before", how)]); }
    catch (error) { pictures.error = error.message; }
  } else pictures.error = file.reason || "there is nothing to show";
  const range = pictures.error ? null : await ask(`/api/files/${number}/window`);
  return { file, pictures, how, range };
}
const firstFrame = file => [...file.holds, ...file.boxes, { frame: 0 }][0].frame;
const key = (number) => `${number} ${S.equalised}`;
function prefetch(number) {
  if (number < 0 || number >= S.all.files.length || ready.has(key(number))) return;
  ready.set(key(number), fetched(number).catch(error => { ready.delete(key(number)); throw error; }));
  ready.get(key(number)).then(() => {
    document.body.dataset.prefetched = `${document.body.dataset.prefetched || ""} ${number}`.slice(-200); }, () => {});
  while (ready.size > 7) ready.delete(ready.keys().next().value);
}
const todo = (from, step = 1) => {
  const files = S.all.files;
  for (let i = 1; i <= files.length; i++) {
    const n = (from + i * step + files.length * 2) % files.length;
    if (files[n].state === "todo" || files[n].state === "again") return n;
  }
  return -1;
};
let asked = 0;
async function show(number, note = "") {
  const mine = ++asked, start = performance.now();
  S.going = true;
  prefetch(number);
  try {
    const { file, pictures, how, range } = await ready.get(key(number));
    if (mine !== asked) return;
    ready.delete(key(number));
    const fresh = S.number !== number || !S.file;
    Object.assign(S, { number, file, range, note, draft: null, drawing: false, centre: 0.5, width: 1, frame: how.frame, place: -1, going: false });
    if (fresh) { S.chosen = -1; if (S.view === "difference") S.view = "after"; }
    S.pictures = pictures;
    fit();
    paint();
    history.replaceState(null, "", "#" + number);
    document.body.dataset.shown = String(number);
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);  // it is on the screen: decoding, if the browser had to, is behind us
    document.body.dataset.took = `${number} ${(performance.now() - start).toFixed(1)}`;
    for (const n of [todo(number), number + 1, number - 1]) {  // the likeliest first, alone
      if (mine !== asked) return;
      if (n >= 0 && n !== number) { prefetch(n); await Promise.resolve(ready.get(key(n))).catch(() => {}); }
    }
  } catch (error) { say(error.message); if (mine === asked) S.going = false; }
}
function say(text) { at("message").hidden = !text; at("message").textContent = text || ""; }

// --- what is on the stage
const size = () => S.file && S.file.shape.length ? { w: S.file.shape[2], h: S.file.shape[1] } : { w: 1, h: 1 };
function fit() {
  const { w, h } = size(), stage = at("stage");
  S.fitted = S.zoom = Math.min(stage.clientWidth / w, stage.clientHeight / h);
  S.x = (stage.clientWidth - w * S.zoom) / 2;
  S.y = (stage.clientHeight - h * S.zoom) / 2;
}
const edge = () => S.view === "wipe" ? Math.max(0, Math.min(size().w, (S.wipe * at("stage").clientWidth - S.x) / S.zoom)) : 0;
function place() {
  const { w, h } = size(), scene = at("scene");
  scene.style.width = w + "px"; scene.style.height = h + "px";
  scene.style.transform = `translate(${S.x}px, ${S.y}px) scale(${S.zoom})`;
  at("marks").style.setProperty("--px", String(1 / S.zoom));
  const holes = S.view === "difference" ? "" : kept().map(([x1, y1, x2, y2]) => `M${x1} ${y1}H${x2}V${y2}H${x1}Z`).join("");
  at("over").style.clipPath = `path(evenodd, "M${edge()} 0H${w}V${h}H${edge()}Z${holes}")`;
  at("wipe").hidden = S.view !== "wipe";
  at("wipe").style.left = S.wipe * 100 + "%";
  at("wipe").setAttribute("aria-valuenow", String(Math.round(S.wipe * 100)));
  marks();
}
function kept() {  // parts that people retained and no other removal covers
  const here = all().filter(b => b.frame === S.frame), removals = here.filter(b => b.now === "remove").map(b => b.xyxy);
  const retained = here.filter(b => b.now === "keep" && b.action !== "keep").map(b => [Math.max(b.xyxy[0], edge()),
    ...b.xyxy.slice(1)]).filter(b => b[0] < b[2]);
  return removals.reduce((parts, removal) => parts.flatMap(part => without(part, removal)), apart(retained));
}
function apart(boxes) {  // the same area as boxes that do not overlap: where two holes of a clip path meet there would be none
  return boxes.reduce((found, box) => [...found, ...found.reduce((parts, other) => parts.flatMap(part => without(part, other)), [box])],
    []);
}
function without([a, b, c, d], [x1, y1, x2, y2]) {
  if (x1 >= c || x2 <= a || y1 >= d || y2 <= b) return [[a, b, c, d]];
  const top = Math.max(b, y1), bottom = Math.min(d, y2);
  return [[a, b, c, top], [a, bottom, c, d], [a, top, x1, bottom], [x2, top, c, bottom]].filter(([l, t, r, u]) => l < r && t < u);
}
function put(parent, image) { if (image) parent.replaceChildren(image); else parent.replaceChildren(); }
function paint() {
  const { file, pictures } = S;
  say(pictures.error);
  put(at("under"), pictures.before);
  put(at("over"), S.view === "before" ? null : S.view === "difference" ? pictures.difference : pictures.after);
  if (S.view === "difference" && !pictures.difference && !pictures.error) load();
  at("side").textContent = SIDES[S.view] + (S.view !== "difference" && S.equalised ? ", equalised" : "") + (S.view !== "before" &&
    !file.seen[1] ? " (not written; every box blacked out)" : "");
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed",
    String(button.dataset.view === S.view));
  at("equalised").setAttribute("aria-pressed", String(S.equalised));
  place(); head(); panel();
}
function marks() {
  const { w, h } = size(), svg = at("marks"), text = 12 / S.zoom;
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  svg.replaceChildren();
  all().forEach((box, i) => {
    if (box.frame !== S.frame) return;
    const [x1, y1, x2, y2] = box.xyxy, fill = box.now === "remove" && (box.drawn || box.action === "keep") && (S.view === "after" ||
      S.view === "wipe");
    if (!S.outlines && !fill && i !== S.chosen) return;
    const person = box.drawn || box.now !== box.action || box.kind;
    const left = Math.max(x1, edge()), out = 1.5 / S.zoom;
    if (fill && left < x2) svg.append(drawn("rect", { x: left, y: y1, width: x2 - left, height: y2 - y1, class: "fill" }));
    svg.append(drawn("rect", { x: x1 - out, y: y1 - out, width: x2 - x1 + 2 * out, height: y2 - y1 + 2 * out,
      class: `${box.now}${person ? " person" : ""}${i === S.chosen ? " selected" : ""}` }));
    const label = drawn("text", { x: x1, y: y1 > text * 1.5 ? y1 - text * 0.4 : y2 + text * 1.2, "font-size": text,
      "stroke-width": text / 5 });
    label.textContent = `${i + 1}`;
    svg.append(label);
  });
  if (S.outlines) S.file.holds.forEach((place, i) => {
    if (place.frame !== S.frame) return;
    const [x1, y1, x2, y2] = place.xyxy, out = 5 / S.zoom;
    svg.append(drawn("rect", { x: x1 - out, y: y1 - out, width: x2 - x1 + 2 * out, height: y2 - y1 + 2 * out, class: "holds" }));
    const label = drawn("text", { x: x2 + 2 * out, y: Math.max(text, y1 + text / 2), "font-size": text, "stroke-width": text / 5, class: "holds" });
    label.textContent = `!${i + 1}`;
    svg.append(label);
  });
  if (S.draft) {
    const [x1, y1, x2, y2] = S.draft;
    svg.append(drawn("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "draft" }));
  }
}
const all = () => [...S.file.boxes, ...S.file.drawn.map(d => ({ ...d, drawn: true, now: d.action }))];

// --- words
function head() {
  const { file } = S, far = S.all.progress;
  at("file").textContent = file.file;
  at("status").textContent = file.status; at("status").className = "badge " + file.status;
  at("why").textContent = at("why").title = order(file);
  at("bar").max = far.of; at("bar").value = far.done;
  at("count").textContent = `${far.done} of ${far.of}` + (S.all.sample ? ` of a random sample` : "") + (far.again ? `, ${far.again} to look at again` : "") + (far.waiting ?
    `, ${far.waiting} to apply` : "");
  document.title = `${far.done}/${far.of} · Review`;
}
const reasons = words => words.slice(0, 3).join(", and ");
function order(f) {  // why a file has its place
  const { sample } = S.all;
  if (sample) return `shown because it was drawn at random, ${sample.count} of ${sample.population} results` + (f.early ? `; ${reasons(f.why)}` : "");
  return f.early ? `shown early because ${reasons(f.why)}` : "shown late because nothing in its row is in doubt" +
    (f.why.length ? `; ${reasons(f.why)}` : "");
}
const EVENTS = { accept: "right", release: "released", draw: "a drawn box", retain: "a drawn laterality marker", erase: "the erasure of a box",
  set: "what a box is" };
const values = () => {  // the window in values of the file
  const { low, high, stored } = S.range, level = low + (high - low) * S.centre;
  return `W ${Math.round(Math.abs(high - low) * S.width)} L ${Math.round(level)}` + (stored ? "" : " of 255");
};
function level() {
  const changed = S.range && (S.centre !== 0.5 || S.width !== 1);
  at("level").hidden = !changed;
  if (changed) at("level").textContent = `${values()} ↺`;
  at("window-text").textContent = changed ? `Window ${values()}${S.range.stored ? ", stored values" : ""}` : "Window as the program sees it";
  at("centre").value = S.centre; at("width").value = S.width;
}
function panel() {
  const { file } = S, [frames, h, w] = file.shape.length ? file.shape : [0, 0, 0];
  const facts = [`${S.number + 1} of ${file.of}`, file.format, w ? `${w} × ${h}` : ""].filter(Boolean).join(" · ");
  at("facts").replaceChildren(facts, ...[file.reason, file.released_held &&
    "released in spite of doubt: " + file.released_held].filter(Boolean).flatMap(t => [make("br"), make("b", "", t)]));
  at("holds").hidden = !file.holds.length;
  at("places").replaceChildren(...file.holds.map((place, i) => {
    const button = make("button", "", make("b", "", `!${i + 1} `), place.label === "header" ? "text that matches the header" :
      `found again, score ${place.score.toFixed(2)}`, frames > 1 ? ` · frame ${place.frame + 1}` : "");
    button.onclick = () => toPlace(i);
    return make("li", "", button);
  }));
  at("boxes").replaceChildren(...all().map(entry));
  for (const [id, { now, kind }] of Object.entries(SAYS)) {
    const box = chosen();
    at(id).disabled = S.drawing ? id === "none" : !box || (box.drawn ? id === "none" || (id === "laterality" && box.now === "keep") :
      box.now === now && (now === "remove" || (box.kind || "laterality") === kind));
    at(id).setAttribute("aria-pressed", String(S.drawing && id === S.draftKind));
  }
  const last = S.all.progress.undo, elsewhere = last && last.number !== S.number;
  at("undo").disabled = !last && !file.can_undo;
  at("undo").lastElementChild.textContent = elsewhere ? `Undo in ${last.number + 1}` : "Undo";
  at("undo").title = last ? `U: take back ${EVENTS[last.event]}${elsewhere ? `, in ${last.file}` : ""}` : "U";
  at("release").hidden = file.status !== "held";
  at("accept").lastElementChild.textContent = file.status === "held" ? "Keep held, next" : file.status === "failed" ?
    "Seen, next" : "Right, next";
  at("frames").hidden = frames < 2; at("frame").max = frames - 1; at("frame").value = S.frame;
    at("frame-text").textContent = `${S.frame + 1}/${frames}`;
  level();
  const state = { done: "looked at", corrected: "corrected", again: "redone since you looked: look again", gone: "has no result any more" }[file.state] || "";
  at("said").textContent = [state && `${state} by ${file.by}, ${file.when.replace("T", " ").replace("+00:00", " UTC")}`, file.waits &&
    "waits for markerremover apply"].filter(Boolean).join("; ");
  at("draw").classList.toggle("on", S.drawing); at("stage").classList.toggle("drawing", S.drawing);
  at("hint").hidden = !S.drawing && !S.note;
  at("hint").textContent = !S.drawing ? S.note : (S.draftKind === "laterality" ?
    "Draw a box around the missed laterality marker: retained if it is read as one, else removed (X: an annotation)" :
    "Draw a box around the missed annotation: it is removed (K: a laterality marker)") +
    ", or move it with the arrows (Shift: resize, Alt: finer) and press Enter. Esc leaves.";
}
function entry(box, i) {
  const person = box.drawn || box.now !== box.action || box.kind, node = make("li",
    `${box.now}${person ? " person" : ""}${i === S.chosen ? " selected" : ""}`);
  const what = make("div", "what", make("b", "", `${i + 1}`), make("span", "", box.now !== "keep" ? "removed" :
    box.drawn ? "to be retained" : "retained"), make("span",
    "label", box.drawn ? "drawn" : box.label));
  if (box.text) what.append(make("span", "read", box.text));
  node.append(what);
  const reason = box.drawn ? box.became : box.reason, facts = box.drawn ? [] : [`score ${box.score.toFixed(2)}`];
  if (box.text) facts.push(`read with ${box.confidence.toFixed(2)}`);
  if (box.rotation_deg) facts.push(`turned ${box.rotation_deg}°`);
  if (box.mirrored) facts.push("mirrored");
  if (S.file.shape[0] > 1) facts.push(`frame ${box.frame + 1}`);
  node.append(make("small", "", [reason, ...facts].filter(Boolean).join(" · ")));
  if (person) node.append(make("small", "", box.drawn ?
    `${box.who}: ${box.now === "keep" ? "a laterality marker that was missed: retained if it is read as one, else removed" : "an annotation that was missed"}` : `${box.by}: ${box.now === "keep" ? RETAINED[box.kind] : "to be removed"}`));
  node.onclick = () => choose(i, true);
  return node;
}
function choose(i, look) {
  const boxes = all();
  S.chosen = boxes.length ? (i + boxes.length) % boxes.length : -1;
  if (look && S.chosen >= 0 && boxes[S.chosen].frame !== S.frame) { S.frame = boxes[S.chosen].frame; load(); }
  marks(); panel();
  const node = at("boxes").children[S.chosen];
  if (node) node.scrollIntoView({ block: "nearest" });
}

// --- decisions
async function decide(event, number = S.number, seen = S.file?.seen) {
  if (S.busy || !seen) return false;
  S.busy = true;
  try {
    const file = await ask(`/api/files/${number}/decisions`, { ...event, seen });
    S.all.progress = file.progress;
    Object.assign(S.all.files[number], { state: file.state, by: file.by });
    for (const known of ready.keys()) if (known.startsWith(`${number} `)) ready.delete(known);  // as it was before
    S.note = ""; say("");
    if (number !== S.number) return true;
    S.file = file;
    S.chosen = Math.min(S.chosen, all().length - 1);
    place(); head(); panel();
    return true;
  } catch (error) {
    say(`not saved: ${error.message}`);
    if (/redone/.test(error.message)) { ready.clear(); S.file = null; show(S.number); }
    if (event.event === "undo") await ask("/api/files").then(found => { S.all = found; }, () => {});
    return false;
  } finally { S.busy = false; }
}
let turn = Promise.resolve(), finishing = false;
function inTurn(action) {  // one decision after the other, none of them lost, each on the file on which its key was pressed
  const number = S.number;
  if (finishing) return turn;
  return turn = turn.then(() => number === S.number && S.file ? action() : false);
}
async function undo() {  // the last decision, wherever it was made; the page returns there
  const last = S.all.progress.undo;
  if (!last) return decide({ event: "undo" });
  if (S.going) { asked++; S.going = false; }  // the page was about to turn
  const note = `Taken back: ${EVENTS[last.event]}`;
  if (!await decide({ event: "undo", of: last.n }, last.number, last.seen)) return false;
  if (last.number !== S.number) await show(last.number, note); else { S.note = note; panel(); }
  return true;
}
async function finish(event) {
  if (finishing) return;
  const done = inTurn(() => decide({ event }));
  finishing = true;
  try { if (!await done) return; } finally { finishing = false; }
  const next = todo(S.number);
  if (next >= 0) return show(next);
  const far = S.all.progress;
  at("end-title").textContent = S.all.sample ? "The whole sample has been looked at" : "Every file has been looked at";
  at("end-text").textContent = far.statement ? far.statement + "." : `${far.corrected} of ${far.of} files were corrected.`;
  at("end-more").textContent = [far.statement && "The statement lies in the audit folder, under review.", far.waiting &&
    `${far.waiting} files wait for their corrections: markerremover apply.`].filter(Boolean).join(" ");
  at("end").showModal();
}
const chosen = () => S.chosen >= 0 ? all()[S.chosen] : null;
const area = b => Math.max(0, b[2] - b[0]) * Math.max(0, b[3] - b[1]);
const within = (a, b) => area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]) >= 0.8 * area(a);
// What each of three keys says of a box, whatever was said of it before.
const SAYS = { laterality: { now: "keep", kind: "laterality" }, none: { now: "keep", kind: "none" }, marker: { now: "remove", kind: "marker" } };
const tell = id => { const i = S.chosen; return S.drawing ? draftIs(id) : inTurn(() => told(id, all()[i])); };
function draftIs(id) { if (id !== "none") S.draftKind = id; panel(); }
async function told(id, box) {  // and with it of the boxes that lie in it: they are about the same
  const { now, kind } = SAYS[id];
  if (!box) return;
  if (box.drawn && id === "laterality" && box.now === "remove") {  // first the new, then away with the old: a removal is never lost between them
    if (!await decide({ event: "retain", frame: box.frame, xyxy: box.xyxy }) || !await decide({ event: "erase", of: box.id })) return;
    return choose(all().length - 1);
  }
  if (box.drawn) return now === "remove" ? decide({ event: "erase", of: box.id }) : say("X erases a drawn box");
  const same = S.file.boxes.filter(b => b !== box && b.frame === box.frame && b.now === box.now && within(b.xyxy, box.xyxy));
  for (const each of [box, ...same])
    if (!await decide({ event: "set", frame: each.frame, xyxy: each.xyxy, to: now, kind })) return;
}
const erase = () => { if (chosen()?.drawn) tell("marker"); };
function startDrawing() {
  if (S.drawing) return stopDrawing();
  const { w, h } = size(), stage = at("stage");
  const cx = Math.max(0, Math.min(w, (stage.clientWidth / 2 - S.x) / S.zoom)), cy = Math.max(0,
    Math.min(h, (stage.clientHeight / 2 - S.y) / S.zoom));
  const half = Math.max(4, Math.min(w, h, stage.clientWidth / S.zoom) / 12);
  S.drawing = true; S.draftKind = "marker"; S.draft = inside([cx - half, cy - half / 2, cx + half, cy + half / 2]);
  if (S.view === "before") S.view = "after";
  paint();
}
function stopDrawing() { S.drawing = false; S.draft = null; marks(); panel(); }
const inside = ([x1, y1, x2, y2]) => {
  const { w, h } = size();
  const whole = [Math.floor(Math.min(x1, x2)), Math.floor(Math.min(y1, y2)), Math.ceil(Math.max(x1, x2)), Math.ceil(Math.max(y1, y2))];
  return [Math.max(0, Math.min(w - 2, whole[0])), Math.max(0, Math.min(h - 2, whole[1])), Math.min(w, Math.max(whole[2], whole[0] + 2)),
    Math.min(h, Math.max(whole[3], whole[1] + 2))];
};
async function addDraft() {
  if (!S.draft || S.busy) return;
  const frame = S.frame, xyxy = inside(S.draft);
  const event = S.draftKind === "laterality" ? { event: "retain", frame, xyxy } : { event: "draw", frame, xyxy, kind: "marker" };
  const done = await inTurn(() => decide(event));
  if (done) { stopDrawing(); choose(all().length - 1); }
}
function moveDraft(dx, dy, resize, finely) {
  const step = finely ? 1 : Math.max(1, Math.round(12 / S.zoom)), { w, h } = size();
  let [x1, y1, x2, y2] = S.draft;
  if (resize) { x2 += dx * step; y2 += dy * step; if (x2 - x1 < 2 || y2 - y1 < 2) return; S.draft = inside([x1, y1, x2, y2]); }
  else {
    const mx = Math.max(-x1, Math.min(w - x2, dx * step)), my = Math.max(-y1, Math.min(h - y2, dy * step));
    S.draft = [x1 + mx, y1 + my, x2 + mx, y2 + my];
  }
  marks();
}

// --- looking
let loading = false, stale = false;
async function load() {  // the pictures of this file as they are wanted now; while some are on their way, only the latest wish counts
  stale = true;
  if (loading) return;
  loading = true;
  while (stale) { stale = false; await loaded(); }
  loading = false;
}
async function loaded() {
  const number = S.number, how = { frame: S.frame, centre: S.centre, width: S.width, equalised: S.equalised };
  if (!S.file || !S.file.shape.length) return;
  try {
    const names = S.view === "difference" ? ["difference", "after", "before"] : ["after", "before"];
    const found = await Promise.all(names.map(name => picture(number, name, how)));
    if (number !== S.number || how.frame !== S.frame || !S.file) return;
    S.pictures = Object.fromEntries(names.map((name, i) => [name, found[i]]));
    paint();
  } catch (error) { if (number === S.number) say(error.message); }
}
function see(view) { S.view = view; paint(); }
function equalise() { S.equalised = !S.equalised; load(); }
function windowed(centre, width) {
  S.centre = Math.max(0, Math.min(4, Math.round(centre * 100) / 100)); S.width = Math.max(0.02, Math.min(4, Math.round(width * 100) / 100));
  level();
  load();
}
function toFrame(n) { const f = Math.max(0, Math.min((S.file.shape[0] || 1) - 1, n)); if (f !== S.frame) { S.frame = f; load(); } }
function zoom(factor, px, py) {
  const stage = at("stage"), x = px ?? stage.clientWidth / 2, y = py ?? stage.clientHeight / 2;
  const z = Math.max(S.fitted * 0.5, Math.min(16, S.zoom * factor));
  S.x = x - (x - S.x) * z / S.zoom; S.y = y - (y - S.y) * z / S.zoom; S.zoom = z;
  place();
}
function toPlace(i) {  // a place that holds the file
  const { holds } = S.file;
  if (!holds.length) return;
  S.place = i % holds.length;
  const place = holds[S.place];
  if (place.frame !== S.frame) { S.frame = place.frame; load(); }
  zoomToBox(place);
  panel();
}
function zoomToBox(box = chosen()) {
  const stage = at("stage");
  if (!box) return;
  const [x1, y1, x2, y2] = box.xyxy;
  S.zoom = Math.min(8, 0.4 * Math.min(stage.clientWidth / (x2 - x1), stage.clientHeight / (y2 - y1)));
  S.x = stage.clientWidth / 2 - (x1 + x2) / 2 * S.zoom; S.y = stage.clientHeight / 2 - (y1 + y2) / 2 * S.zoom;
  place();
}
function wipeTo(share) { S.wipe = Math.max(0, Math.min(1, share)); place(); }

// --- keys
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ACTIONS = {
  n: () => show((S.number + 1) % S.all.files.length), p: () => show((S.number + S.all.files.length - 1) % S.all.files.length),
  ArrowRight: () => ACTIONS.n(), ArrowLeft: () => ACTIONS.p(), g: () => { const n = todo(S.number); if (n >= 0) show(n); },
  j: () => choose(S.chosen + 1, true), J: () => choose(S.chosen < 0 ? -1 : S.chosen - 1, true), k: () => tell("laterality"), c: () => tell("none"), x: () => tell("marker"), Delete: erase,
    d: startDrawing,
  u: () => inTurn(undo), U: () => inTurn(() => decide({ event: "undo" })), h: () => toPlace(S.place + 1), r: () => { if (S.file.status === "held") finish("release"); }, Enter: () => finish("accept"),
  a: () => see("after"), b: () => see("before"), w: () => see("wipe"), f: () => see("difference"),
    v: () => see(VIEWS[(VIEWS.indexOf(S.view) + 1) % VIEWS.length]),
  e: equalise, "[": () => windowed(S.centre, S.width / 1.15), "]": () => windowed(S.centre, S.width * 1.15),
  ",": () => windowed(S.centre + 0.05, S.width), ".": () => windowed(S.centre - 0.05, S.width), "\\": () => windowed(0.5, 1),
  "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => { fit(); place(); }, z: () => zoomToBox(),
  PageUp: () => toFrame(S.frame - 1), PageDown: () => toFrame(S.frame + 1), o: () => { S.outlines = !S.outlines; marks(); },
  l: () => openList(), "?": () => at("help").showModal(),
};
let digits = "", typed = 0;
function byNumber(event) {  // the box of the digits typed so far, else of the last one; whether there is one
  const count = all().length, longer = event.timeStamp - typed < 1500 ? Number(digits + event.key) : 0;
  const number = longer && longer <= count ? longer : Number(event.key);
  if (!number || number > count) return false;
  digits = String(number); typed = event.timeStamp;
  choose(number - 1, true);
  return true;
}
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || document.querySelector("dialog[open]") || !S.file) return;
  const own = event.target.tagName;
  if (own === "INPUT" && event.target.type === "range" && event.key in ARROWS) return;
  if (own === "BUTTON" && (event.key === "Enter" || event.key === " ") && event.target.matches(":focus-visible")) return;
  if (S.drawing) {
    if (event.key in ARROWS) { moveDraft(...ARROWS[event.key], event.shiftKey, event.altKey); event.preventDefault(); return; }
    if (event.key === "Enter") { event.preventDefault(); addDraft(); return; }
    if (event.key === "Escape") { event.preventDefault(); stopDrawing(); return; }
  }
  if (event.shiftKey && event.key in ARROWS) {
    const [dx, dy] = ARROWS[event.key];
    event.preventDefault();
    if (S.view === "wipe" && dx) return wipeTo(S.wipe + dx * 0.04);
    S.x -= dx * 60; S.y -= dy * 60;
    return place();
  }
  if (event.altKey) return;
  if (/^[0-9]$/.test(event.key)) { if (byNumber(event) || event.key !== "0") return; }
  else if (event.key.length === 1) digits = "";
  const action = ACTIONS[event.key] || ACTIONS[event.key.toLowerCase()];
  if (!action || (event.repeat && ["Enter", "r", "k", "c", "u", "U", "x", "d"].includes(event.key))) return;
  event.preventDefault();
  action();
});

// --- mouse and fingers
const fingers = new Map();
let start = null;
const point = event => { const r = at("stage").getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
const source = ([x, y]) => [(x - S.x) / S.zoom, (y - S.y) / S.zoom];
at("stage").addEventListener("pointerdown", event => {
  if (!S.file || ![0, 2].includes(event.button)) return;
  at("stage").setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, point(event));
  start = event.button === 2 ? { from: point(event), centre: S.centre, width: S.width } :
    S.drawing && fingers.size === 1 ? { draw: source(point(event)) } : { moved: 0 };
  at("stage").focus({ preventScroll: true });
});
at("stage").addEventListener("pointermove", event => {
  if (!fingers.has(event.pointerId) || !start) return;
  const [x, y] = point(event), [ox, oy] = fingers.get(event.pointerId);
  if (start.from) {  // right button: the width across, the centre up and down, finer where the window is narrow
    const stage = at("stage"), [fx, fy] = start.from;
    return windowed(start.centre + (y - fy) / stage.clientHeight * Math.min(1, Math.max(0.1, start.width)),
      start.width * Math.exp(3 * (x - fx) / stage.clientWidth));
  }
  if (start.draw) { const [sx, sy] = source([x, y]); S.draft = inside([...start.draw, sx, sy]); start.drew = true; return marks(); }
  if (fingers.size === 2) {
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
    zoom(Math.hypot(x - other[0], y - other[1]) / Math.max(1, Math.hypot(ox - other[0], oy - other[1])), other[0], other[1]);
  } else { S.x += x - ox; S.y += y - oy; start.moved += Math.hypot(x - ox, y - oy); place(); }
  fingers.set(event.pointerId, [x, y]);
});
function lift(event) {
  if (!fingers.delete(event.pointerId) || !start) return;
  if (start.draw && start.drew && event.type === "pointerup") addDraft();
  else if (!start.draw && !start.from && start.moved < 4 && event.type === "pointerup") {
    const [x, y] = source(point(event));
    const hits = all().map((b, i) => [b, i]).filter(([b]) => b.frame === S.frame && x >= b.xyxy[0] && x < b.xyxy[2] && y >= b.xyxy[1] &&
      y < b.xyxy[3]);
    hits.sort(([a], [b]) => (a.xyxy[2] - a.xyxy[0]) * (a.xyxy[3] - a.xyxy[1]) - (b.xyxy[2] - b.xyxy[0]) * (b.xyxy[3] - b.xyxy[1]));
    if (hits.length) choose(hits[0][1]); else { S.chosen = -1; marks(); panel(); }
  }
  if (!fingers.size) start = null;
}
at("stage").addEventListener("pointerup", lift);
at("stage").addEventListener("pointercancel", lift);
at("stage").addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(-event.deltaY * 0.0015), ...point(event)); },
  { passive: false });
at("stage").addEventListener("contextmenu", event => event.preventDefault());
at("stage").addEventListener("dblclick", () => { fit(); place(); });
at("level").addEventListener("pointerdown", event => event.stopPropagation());
at("wipe").addEventListener("pointerdown", event => { event.stopPropagation(); at("wipe").setPointerCapture(event.pointerId); });
at("wipe").addEventListener("pointermove", event => { if (at("wipe").hasPointerCapture(event.pointerId)) { event.stopPropagation();
  wipeTo(point(event)[0] / at("stage").clientWidth); } });
let wide = innerWidth;
addEventListener("resize", () => { if (S.file) { if (innerWidth !== wide || S.zoom === S.fitted) fit(); wide = innerWidth; place(); } });

// --- buttons, lists
for (const button of document.querySelectorAll("[data-view]")) button.onclick = () => see(button.dataset.view);
for (const [id, action] of Object.entries({ equalised: equalise, previous: ACTIONS.p, next: ACTIONS.n, draw: startDrawing, laterality: () => tell("laterality"),
  none: () => tell("none"), marker: () => tell("marker"),
  undo: ACTIONS.u, level: ACTIONS["\\"],
  release: ACTIONS.r, accept: ACTIONS.Enter, "open-list": () => openList(), "open-help": ACTIONS["?"] })) at(id).onclick = () => {
    action(); at("stage").focus({ preventScroll: true }); };
at("centre").oninput = () => windowed(Number(at("centre").value), S.width);
at("width").oninput = () => windowed(S.centre, Number(at("width").value));
at("frame").oninput = () => toFrame(Number(at("frame").value));
for (const [keys, text] of KEYS) at("keys").append(make("dt", "", keys), make("dd", "", text));
function openList() { at("search").value = ""; list(); at("list").showModal(); }
function list() {
  const wanted = at("search").value.toLowerCase(), found = [];
  for (let i = 0; i < S.all.files.length && found.length < 200; i++) {
    const f = S.all.files[i];
    if (wanted && !`${f.file} ${f.state} ${f.status} ${order(f)}`.toLowerCase().includes(wanted)) continue;
    const state = { todo: f.status, done: "✓ looked at", corrected: "✓ corrected", again: "look again", gone: "no result" }[f.state];
    const button = make("button", "", make("span", f.state, state), make("span", "", f.file), make("span", "", order(f)));
    button.onclick = () => { at("list").close(); show(i); };
    found.push(make("li", "", button));
  }
  at("files").replaceChildren(...found);
}
at("search").oninput = list;
(async () => {
  try {
    S.all = await ask("/api/files");
    const from = Number(location.hash.slice(1)), files = S.all.files;
    const first = files.length && (files[0].state === "todo" || files[0].state === "again") ? 0 : Math.max(0, todo(0));
    await show(location.hash && from >= 0 && from < files.length ? from : first);
    at("stage").focus({ preventScroll: true });
  } catch (error) { say(error.message); }
})();
