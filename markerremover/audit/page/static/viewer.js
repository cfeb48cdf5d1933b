// One film, large: before, after, what changed, and equalised so that faint print shows. Its pictures are loaded when somebody asks.
const LOOKS = { before: ["before"], after: ["after"], difference: ["before", "after"], equalised: ["equalised"] };
const KEYS = { b: "before", a: "after", d: "difference", f: "difference", e: "equalised" };  // as in `markerremover review`
const V = { i: -1, row: null, stops: [], stop: -1, look: "after", source: "" };
const viewer = at("viewer"), layer = Object.fromEntries(["before", "after", "equalised"].map(name => [name, at("film").querySelector(`[data-picture=${name}]`)]));

function stopsOf(entry) {  // what can be gone to: places that led to the doubt, then places of boxes
  const of = (boxes, held) => places(boxes).map(group => ({ boxes: group.map(n => boxes[n]), box: boxOf(boxes[group[0]]), held }));
  return [...of(entry[E.held_for] || [], true), ...of(entry[E.boxes], false)];
}
function view(i, look, box) {  // box: as in `data`, to begin there
  const entry = data.rows[i];
  Object.assign(V, { i, row: rowOf(entry), stops: stopsOf(entry), look });
  V.stop = box ? V.stops.findIndex(stop => stop.boxes.includes(box)) : -1;
  if (!viewer.open) { viewer.showModal(); stage.focus(); }
  show_film();
}
function pictures() {  // {key, names by look, w, h, frame}: the film, or where there is none the small pictures
  const { row } = V, stop = V.stops[V.stop], [, h, w] = row.shape;
  const [frame, scale] = Array.isArray(row.film) ? [row.film[0], row.film[1] || data.scale] : [0, 0];
  if (scale && row.thumbs && (!stop || stop.box.frame === frame || stop.boxes.some(box => (box[B.frame] || 0) === frame))) {
    const id = row.thumbs[0].replace(/-before\.jpg$/, "");
    return { whole: true, scale: scale / data.scale, frame, w, h, names: Object.fromEntries(Object.keys(layer).map(name => [name, `films/${id}-${name}.jpg`])) };
  }
  const small = stop ? stop.box.crops : row.thumbs;
  const names = small ? { before: "crops/" + small[0], after: "crops/" + small[1] } : {};
  return { whole: false, scale, frame, names, why: missing(stop, scale, frame) };
}
function missing(stop, scale, frame) {
  if (scale && stop) return `This box is in frame ${stop.box.frame}; the full picture is of frame ${frame}.`;
  if (!V.row.thumbs) return V.row.shape.length ? "There is no picture of it in this audit." : "It could not be read, so there is no picture of it.";
  return `Only a small picture: ${visible(data.words[V.row.film] || "the full one is not in the audit folder")}.`;
}
function show_film() {
  const found = pictures(), key = JSON.stringify(found.names), { row } = V, stop = V.stops[V.stop];
  at("v-name").textContent = visible(row.relative);
  at("v-state").textContent = row.status;
  at("v-state").className = row.status;
  if (V.source !== key) {
    Object.assign(V, { source: key, sized: false });
    for (const [name, image] of Object.entries(layer)) { image.removeAttribute("src"); image.dataset.name = found.names[name] || ""; }
  }
  for (const button of viewer.querySelectorAll("button[data-look]")) button.disabled = !LOOKS[button.dataset.look].every(name => found.names[name]);
  V.why = (found.whole && row.shape[0] > 1 ? `Frame ${found.frame} of 0 to ${row.shape[0] - 1}. ` : "") + (found.why || "");
  note("");
  at("v-box").replaceChildren(...about(stop));
  for (const id of ["box-before", "box-next"]) at(id).disabled = !V.stops.length;
  const rows = rowsShown(), place_in_list = rows.indexOf(V.i);
  at("film-before").disabled = place_in_list <= 0;
  at("film-next").disabled = place_in_list < 0 || place_in_list === rows.length - 1;
  V.whole = found.whole;
  if (found.whole) { size(found.w, found.h); stop ? zoomTo(stop.box.xyxy) : fit(); }
  outline(found);
  look(V.look);
}
function note(loss) {  // what is not there at full size, and where it is
  const text = [V.why, loss].filter(Boolean).join(" ");
  at("v-note").replaceChildren(...(text ? [`${text} All pixels: `, make("code", "", data.review)] : []));
}
function about(stop) {
  if (!stop) return [`${many(V.row.boxes.length, "box", "boxes")} at ${many(V.stops.filter(each => !each.held).length, "place", "places")}`,
    ...(V.row.reason ? [": ", make("span", V.row.status, visible(V.row.reason))] : [])];
  const { box } = stop, what = stop.held ? make("b", "held", `held for this: ${visible(box.reason)}`) : make("span", "", make("b", box.action, box.action === "keep" ? "kept" : "removed"), `: ${visible(box.reason)}`);
  return [`${whole.format(V.stop + 1)} of ${whole.format(V.stops.length)}, `, what, `, ${visible(box.label)} ${box.score.toFixed(2)}, ${box.x2 - box.x1} × ${box.y2 - box.y1} px`,
    ...(stop.boxes.length > 1 ? [`, ${whole.format(stop.boxes.length)} boxes of this place`] : []), ...(box.text ? [", read ", make("i", "", visible(box.text))] : [])];
}
function outline(found) {  // lines just outside the boxes, which hide no print inside
  const lines = at("outlines");
  lines.replaceChildren();
  if (!found.whole) return;
  lines.setAttribute("viewBox", `0 0 ${found.w} ${found.h}`);
  V.stops.forEach((stop, n) => {
    for (const entry of n === V.stop ? stop.boxes.slice(0, 60) : [stop.boxes.find(each => (each[B.frame] || 0) === found.frame)].filter(Boolean)) {
      const box = boxOf(entry), rect = document.createElementNS(lines.namespaceURI, "rect");
      if (box.frame !== found.frame) continue;
      for (const [name, value] of Object.entries({ x: box.x1 - 2, y: box.y1 - 2, width: box.x2 - box.x1 + 4, height: box.y2 - box.y1 + 4 })) rect.setAttribute(name, value);
      rect.setAttribute("class", [stop.held ? "held" : box.action, n === V.stop ? "here" : ""].join(" "));
      lines.append(rect);
    }
  });
}
const loaded = image => image.complete && image.naturalWidth > 0;
function load(name) { const image = layer[name]; if (image.dataset.name && !image.hasAttribute("src")) image.src = image.dataset.name; }
function look(name) {
  const button = viewer.querySelector(`button[data-look=${name}]`);
  V.look = button.disabled ? "after" : name;
  at("film").dataset.look = V.look;
  for (const each of viewer.querySelectorAll("button[data-look]")) each.setAttribute("aria-pressed", String(each.dataset.look === V.look));
  LOOKS[V.look].forEach(load);
  ready();
}
function ready() {  // the others follow when what is asked for is there
  const wanted = LOOKS[V.look].map(each => layer[each]).filter(image => image.dataset.name), there = wanted.every(loaded);
  stage.setAttribute("aria-busy", String(!there));
  if (!there) return;
  if (!V.whole && !V.sized && wanted.length) { V.sized = true; size(wanted[0].naturalWidth, wanted[0].naturalHeight); fit(); }
  const share = V.whole ? Math.min(...wanted.map(image => image.naturalWidth / Z.w)) : 1;
  note(share < 0.995 ? `Shown at ${Math.round(share * 100)} % of its size.` : "");
  if (wanted.length) Object.keys(layer).forEach(load);
}
for (const image of Object.values(layer)) {
  image.addEventListener("load", ready);
  image.addEventListener("error", () => { if (image.hasAttribute("src")) note(`${image.dataset.name} is not in the audit folder.`); });
}
function go(by) {
  if (!V.stops.length) return;
  V.stop = V.stop < 0 ? (by > 0 ? 0 : V.stops.length - 1) : (V.stop + by + V.stops.length) % V.stops.length;
  show_film();
}
function turnFilm(by) {
  const rows = rowsShown(), to = rows.indexOf(V.i) + by;
  if (rows.indexOf(V.i) >= 0 && to >= 0 && to < rows.length) view(rows[to], V.look);
}
const DOES = { "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: () => { V.stop = -1; show_film(); }, z: () => zoom(1 / Z.s), o: () => outlines(),
  j: () => go(1), k: () => go(-1), n: () => turnFilm(1), p: () => turnFilm(-1) };
const MOVES = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
function outlines() { const off = at("film").classList.toggle("bare"); at("v-outlines").setAttribute("aria-pressed", String(!off)); }
viewer.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, far = event.shiftKey ? 400 : 80;
  if (key in MOVES) pan(MOVES[key][0] * far, MOVES[key][1] * far);
  else if (key in KEYS) look(KEYS[key]);
  else if (key in DOES) DOES[key]();
  else return;
  event.preventDefault();
  event.stopPropagation();
});
for (const button of viewer.querySelectorAll("button[data-look]")) button.onclick = () => look(button.dataset.look);
for (const [id, does] of Object.entries({ "zoom-in": DOES["+"], "zoom-out": DOES["-"], "zoom-fit": DOES[0], "zoom-full": DOES.z, "v-outlines": outlines, "film-before": DOES.p, "film-next": DOES.n, "box-before": DOES.k, "box-next": DOES.j,
  "v-close": () => viewer.close() })) at(id).onclick = does;
viewer.addEventListener("close", () => { Z.hands.clear(); V.source = ""; Object.values(layer).forEach(image => image.removeAttribute("src")); });
addEventListener("resize", () => { if (viewer.open) place(); });
