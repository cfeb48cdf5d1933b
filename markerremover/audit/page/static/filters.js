// Which rows are shown, in which order; the choice stands in the address (behind the #), so that it can be kept and passed on.
const form = at("filters"), field = name => form.elements.namedItem(name);
const FIELDS = ["text", "status", "sort", "view", "action", "reason", "label", "style", "score-from", "score-to", "height-from", "height-to",
  "ms-from", "ms-to", "format", "noted", "flag", "folder"];
const FURTHER = FIELDS.slice(4);
let lowered = null;

function asked() {  // what the form says; numbers are null where nothing is said
  const told = Object.fromEntries(FIELDS.map(name => [name, field(name).value]));
  const bound = name => told[name] === "" ? null : Number(told[name]);
  return { ...told, text: told.text.trim().toLowerCase(), folder: told.folder.trim().replace(/\/+$/, ""),
    score: [bound("score-from"), bound("score-to")], height: [bound("height-from"), bound("height-to")], ms: [bound("ms-from"), bound("ms-to")] };
}
const within = (value, [low, high]) => (low === null || value >= low - 1e-9) && (high === null || value <= high + 1e-9);
const ofBoxes = want => Boolean(want.action || want.label || want.style || want.reason.startsWith("box:") || [...want.score, ...want.height].some(v => v !== null));
function boxWanted(box, want) {
  return (!want.action || word(box, "action") === want.action) && (!want.label || word(box, "label") === want.label) &&
    (!want.style || word(box, "style") === want.style) && (!want.reason.startsWith("box:") || word(box, "reason") === want.reason.slice(4)) &&
    within(score(box), want.score) && within(height(box), want.height);
}
function rowWanted(entry, i, want) {
  if (want.status && data.words[entry[E.status]] !== want.status) return false;
  if (want.format && data.words[entry[E.format]] !== want.format) return false;
  if (want.folder && !entry[E.relative].startsWith(want.folder + "/")) return false;
  if (want.text && !lowered[i].includes(want.text)) return false;
  if (!within(entry[E.ms], want.ms)) return false;
  if (want.reason.startsWith("file:") && data.words[entry[E.kind]] !== want.reason.slice(5)) return false;
  const more = entry[E.more] || {};
  if (want.noted && { notes: !more.notes, released: !more.released_held, reviewed: !more.verdict, open: Boolean(more.verdict) }[want.noted]) return false;
  if (want.flag && !(more.quality || []).some(flag => data.words[flag] === want.flag)) return false;
  if (want.action === "none") return !entry[E.boxes].length;
  return !ofBoxes(want) || entry[E.boxes].some(box => boxWanted(box, want));
}
const ORDERS = {  // smaller comes first; files without boxes last
  near: (entry, boxes) => Math.min(Infinity, ...boxes.map(b => Math.abs(score(b) - (data.threshold ?? 0.5)))),
  score: (entry, boxes) => Math.min(Infinity, ...boxes.map(score)),
  tall: (entry, boxes) => -Math.max(-Infinity, ...boxes.map(height)),
  short: (entry, boxes) => Math.min(Infinity, ...boxes.map(height)),
  boxes: entry => -entry[E.boxes].length,
  slow: entry => -entry[E.ms],
};
function texts(entry) {  // what the search looks in
  const more = entry[E.more] || {};
  return [entry[E.relative], entry[E.reason], more.released_held || "", ...[...(more.notes || []), ...(more.quality || [])].map(n => data.words[n])].join("\n").toLowerCase();
}
function choose(want) {  // items: [number of the row] or, of boxes, [number of the row, number of the box that stands for its place, numbers of all its boxes]
  if (want.text && !lowered) lowered = data.rows.map(texts);
  const single = ofBoxes(want) && want.action !== "none", fits = box => !single || boxWanted(box, want), found = [];
  let files = 0, boxes = 0;
  data.rows.forEach((entry, i) => {
    if (!rowWanted(entry, i, want)) return;
    const before = found.length;
    if (want.view === "boxes") for (const place of places(entry[E.boxes])) {
      const all = place.filter(n => fits(entry[E.boxes][n]));
      if (all.length) { found.push([i, all[0], all]); boxes += all.length; }
    }
    else found.push([i]);
    if (found.length > before) files++;
  });
  const order = ORDERS[want.sort];
  if (order) {
    const keys = new Map(found.map(item => {
      const entry = data.rows[item[0]];
      return [item, order(entry, item.length > 1 ? item[2].map(n => entry[E.boxes][n]) : entry[E.boxes].filter(fits))];
    }));
    found.sort((a, b) => keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : 0);
  }
  return { items: found, files, boxes };
}
function inWords(want) {  // what the list was narrowed by, for paper
  return FIELDS.filter(name => !["sort", "view"].includes(name) && field(name).value)
    .map(name => `${name.replace("-", " ")} ${visible(field(name).value.replace(/^(box|file):/, ""))}`).join(", ");
}
function toAddress(file) {
  const said = new URLSearchParams();
  for (const name of FIELDS) if (field(name).value) said.set(name, field(name).value);
  if (file) said.set("file", file);
  try { history.replaceState(null, "", "#" + said); } catch { /* a path that the browser cannot write in an address: the list is right all the same */ }
}
function fromAddress() {  // returns the file that is to be opened, if any
  const said = new URLSearchParams(location.hash.slice(1)), wrong = [];
  for (const name of FIELDS) {
    const value = said.get(name) || "", input = field(name);
    input.value = value;
    if (input.value !== value) { wrong.push(name); input.value = ""; }
  }
  at("wrong").textContent = wrong.length ? `The address has no such ${wrong.join(", ")} in this audit; left out.` : "";
  return said.get("file");
}
function offer() {  // what the lists of the form have to choose from
  const seen = { reason: new Map(), kind: new Map(), label: new Set(), style: new Set(), format: new Set(), flag: new Set(), folders: new Set() };
  let noted = false;
  for (const entry of data.rows) {
    const name = entry[E.relative], kind = data.words[entry[E.kind]];
    if (kind) seen.kind.set(kind, (seen.kind.get(kind) || 0) + 1);
    seen.format.add(data.words[entry[E.format]]);
    if (seen.folders.size < 1000) for (let cut = name.indexOf("/"); cut > 0; cut = name.indexOf("/", cut + 1)) seen.folders.add(name.slice(0, cut));
    if (entry[E.more]) noted = true;
    for (const flag of entry[E.more]?.quality || []) seen.flag.add(data.words[flag]);
    for (const box of entry[E.boxes]) {
      const reason = word(box, "reason");
      seen.reason.set(reason, (seen.reason.get(reason) || 0) + 1);
      seen.label.add(word(box, "label"));
      seen.style.add(word(box, "style"));
    }
  }
  for (const [title, counts, prefix] of [["Boxes", seen.reason, "box:"], ["Held and failed files", seen.kind, "file:"]]) {
    if (!counts.size) continue;
    const group = make("optgroup");
    group.label = title;
    group.append(...[...counts].sort((a, b) => b[1] - a[1]).slice(0, 200).map(([name, count]) => new Option(`${visible(name)} (${whole.format(count)})`, prefix + name)));
    field("reason").append(group);
  }
  for (const name of ["label", "style", "format"]) {
    const values = [...seen[name]].filter(Boolean).sort();
    field(name).append(...values.map(value => new Option(visible(value), value)));
    field(name).closest("label").hidden = values.length < 2;
  }
  field("flag").append(...[...seen.flag].sort().map(value => new Option(visible(value), value)));
  field("flag").closest("label").hidden = !seen.flag.size;
  field("noted").closest("label").hidden = !noted;
  at("folders").append(...[...seen.folders].sort().map(name => new Option(name)));
  field("folder").closest("label").hidden = !seen.folders.size;
}
