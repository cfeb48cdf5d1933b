// Zoom and pan of the picture in the viewer, by wheel, drag, pinch and keys. Lengths are CSS pixels; the picture's own are those of the source.
const Z = { s: 1, x: 0, y: 0, w: 1, h: 1, hands: new Map() };
const MOST = 16, STEP = 1.25, AROUND = 110;  // greatest zoom; of a key; least margin around a box, source pixels
const stage = at("stage"), film = at("film");
const limited = (value, low, high) => Math.min(Math.max(value, low), high);
const whole_zoom = () => Math.min(stage.clientWidth / Z.w, stage.clientHeight / Z.h, 4);

function place() {  // the middle of the stage is always on the picture
  Z.s = limited(Z.s, Math.min(0.05, whole_zoom()), MOST);
  Z.x = limited(Z.x, stage.clientWidth / 2 - Z.w * Z.s, stage.clientWidth / 2);
  Z.y = limited(Z.y, stage.clientHeight / 2 - Z.h * Z.s, stage.clientHeight / 2);
  film.style.transform = `translate(${Z.x}px, ${Z.y}px) scale(${Z.s})`;
  film.style.setProperty("--zoom", Z.s);
  film.classList.toggle("near", Z.s >= 3);
  at("zoom").textContent = `${Math.round(Z.s * 100)} %`;
}
function centre(x, y, s) {
  Object.assign(Z, { s, x: stage.clientWidth / 2 - x * s, y: stage.clientHeight / 2 - y * s });
  place();
}
function size(w, h) { Object.assign(Z, { w, h }); film.style.width = `${w}px`; film.style.height = `${h}px`; }
const fit = () => centre(Z.w / 2, Z.h / 2, whole_zoom());
function zoom(by, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {  // what lies at (x, y) of the stage stays there
  const s = limited(Z.s * by, Math.min(0.05, whole_zoom()), MOST);
  Object.assign(Z, { x: x - (x - Z.x) * s / Z.s, y: y - (y - Z.y) * s / Z.s, s });
  place();
}
function pan(x, y) { Z.x += x; Z.y += y; place(); }
function zoomTo([x1, y1, x2, y2]) {
  const around = Math.max(AROUND, 0.5 * Math.max(x2 - x1, y2 - y1));
  const s = Math.min(stage.clientWidth / (x2 - x1 + 2 * around), stage.clientHeight / (y2 - y1 + 2 * around), 6);
  centre((x1 + x2) / 2, (y1 + y2) / 2, Math.max(s, whole_zoom()));
}
stage.addEventListener("wheel", event => {
  event.preventDefault();
  const box = stage.getBoundingClientRect(), lines = event.deltaMode === 1 ? 20 : 1;
  zoom(Math.exp(-limited(event.deltaY * lines, -200, 200) * (event.ctrlKey ? 0.01 : 0.002)), event.clientX - box.x, event.clientY - box.y);
}, { passive: false });
const spread = () => { const [a, b] = [...Z.hands.values()]; return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0; };
const middle = () => { const all = [...Z.hands.values()]; return { x: all.reduce((sum, p) => sum + p.x, 0) / all.length, y: all.reduce((sum, p) => sum + p.y, 0) / all.length }; };
stage.addEventListener("pointerdown", event => {
  if (event.button > 0) return;
  stage.setPointerCapture(event.pointerId);
  Z.hands.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
stage.addEventListener("pointermove", event => {
  if (!Z.hands.has(event.pointerId)) return;
  const before = middle(), wide = spread(), box = stage.getBoundingClientRect();
  Z.hands.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const after = middle();
  if (wide > 0 && spread() > 0) zoom(spread() / wide, after.x - box.x, after.y - box.y);
  pan(after.x - before.x, after.y - before.y);
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, event => Z.hands.delete(event.pointerId));
stage.addEventListener("dblclick", event => {
  const box = stage.getBoundingClientRect();
  Z.s > 1.5 * whole_zoom() ? fit() : zoom(1 / Z.s * Math.max(1, 2 * whole_zoom()), event.clientX - box.x, event.clientY - box.y);
});
