// The list: chunks of a few items. Only those near the window are in the document; the others keep their place by their height.
const PAGE = 10000;  // items in one list: browsers have a greatest height
const NEAR = "900px";  // how far from the window a chunk is made ready
const CELL = { thumbs: [150, 48], boxes: [210, 66] };  // least width, and height of the lines below the picture
const G = { want: null, items: [], files: 0, boxes: 0, page: 0, per: 0, columns: 1, high: 330, watch: null, open: -1 };

function measure() {  // how many cells fit beside each other, and how high they are
  const cells = CELL[G.want.view], width = at("list").clientWidth - parseFloat(getComputedStyle(at("list")).paddingLeft) * 2;
  if (!cells) { G.columns = 1; G.per = 10; return; }
  G.columns = Math.max(2, Math.floor((width + 12) / (cells[0] + 12)));
  const inner = (width - 12 * (G.columns - 1)) / G.columns - 14;
  G.cell = Math.round((G.want.view === "boxes" ? inner / 2 - 3 : inner) + cells[1] + 14);
  G.per = G.columns * 5;
}
function fill(chunk) {
  const from = Number(chunk.dataset.from), items = G.items.slice(from, Math.min(from + G.per, (G.page + 1) * PAGE));
  const made = { thumbs: ([i]) => thumb(i, open), boxes: ([i, n, all]) => marking(i, n, all, open) }[G.want.view] || (([i]) => card(i, G.want, open));
  chunk.replaceChildren(...items.map(made));
  chunk.style.height = "";
  chunk.dataset.full = "";
}
function clear(chunk) {
  if (!("full" in chunk.dataset) || chunk.contains(document.activeElement)) return;
  chunk.style.height = `${chunk.offsetHeight}px`;
  chunk.replaceChildren();
  delete chunk.dataset.full;
}
function lay() {  // empty chunks for all items of the page
  measure();
  G.watch?.disconnect();
  G.watch = new IntersectionObserver(seen => { for (const { target, isIntersecting } of seen) isIntersecting ? "full" in target.dataset || fill(target) : clear(target); },
    { rootMargin: NEAR });
  const list = at("list"), chunks = [], grid = G.want.view in CELL, end = Math.min(G.items.length, (G.page + 1) * PAGE);
  list.style.setProperty("--columns", G.columns);
  list.style.setProperty("--high", `${G.cell}px`);
  for (let from = G.page * PAGE; from < end; from += G.per) {
    const chunk = make("div", grid ? "chunk cells" : "chunk"), count = Math.min(G.per, end - from);
    chunk.dataset.from = from;
    chunk.style.height = `${grid ? Math.ceil(count / G.columns) * (G.cell + 12) : count * G.high}px`;
    chunks.push(chunk);
  }
  list.replaceChildren(...(chunks.length ? chunks : [make("p", "soft", "No file fits. Take filters away, or reset them.")]));
  if (chunks.length) fill(chunks[0]);
  chunks.forEach(chunk => G.watch.observe(chunk));
  at("pages").hidden = G.items.length <= PAGE;
  at("pages").querySelector("span").textContent = `${whole.format(G.page * PAGE + 1)} to ${whole.format(end)} of ${whole.format(G.items.length)}`;
  at("back").disabled = !G.page;
  at("on").disabled = end >= G.items.length;
}
function show() {
  G.want = asked();
  Object.assign(G, choose(G.want), { page: 0 });
  const used = FURTHER.filter(name => field(name).value).length;
  if (used) at("more").dataset.used = used; else delete at("more").dataset.used;
  const boxes = G.want.view === "boxes" ? `${many(G.boxes, "box", "boxes")} in ` : "", at_places = boxes && G.boxes !== G.items.length ? `, at ${many(G.items.length, "place", "places")}` : "";
  at("shown").textContent = `${boxes}${whole.format(G.files)} of ${many(data.rows.length, "file", "files")}${at_places}`;
  lay();
}
function turn(step) {
  G.page += step;
  lay();
  at("list").focus({ preventScroll: true });
  at("list").scrollIntoView();
}

// --- one file, large
const rowsShown = () => [...new Set(G.items.map(item => item[0]))];
function open(i) {
  const rows = rowsShown(), place = rows.indexOf(i);
  G.open = i;
  at("detail").replaceChildren(card(i, G.want));
  at("place").textContent = place < 0 ? "not among the files that are shown" : `${whole.format(place + 1)} of ${whole.format(rows.length)}`;
  at("previous").disabled = place <= 0;
  at("next").disabled = place < 0 || place === rows.length - 1;
  at("one").scrollTop = 0;
  if (!at("one").open) at("one").showModal();
  toAddress(data.rows[i][E.relative]);
}
function step(by) {
  const rows = rowsShown(), place = rows.indexOf(G.open) + by;
  if (rows.indexOf(G.open) >= 0 && place >= 0 && place < rows.length) open(rows[place]);
}
