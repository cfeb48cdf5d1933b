// Buttons, keys, the address.
function further(shown) {
  at("further").hidden = !shown;
  at("more").setAttribute("aria-expanded", String(shown));
}
function changed() { at("wrong").textContent = ""; toAddress(); show(); }
function again() {  // what the address says
  const file = fromAddress();
  if (FURTHER.some(name => field(name).value)) further(true);
  show();
  const i = file ? data.rows.findIndex(entry => entry[E.relative] === file) : -1;
  if (i >= 0) open(i);
  else if (file) at("wrong").textContent = "The file that the address names is not in this audit.";
}
function pick(query) {  // what a tile or a bar counts
  for (const [name, value] of Object.entries(JSON.parse(query))) field(name).value = value;
  if (FURTHER.some(name => field(name).value)) further(true);
  changed();
  form.scrollIntoView({ block: "start" });
}
for (const node of document.querySelectorAll("[data-query]")) {
  node.setAttribute("role", "button");
  node.setAttribute("tabindex", "0");
  node.addEventListener("click", () => pick(node.dataset.query));
  node.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(node.dataset.query); } });
}
let soon = 0;
form.addEventListener("input", event => { clearTimeout(soon); soon = setTimeout(changed, ["search", "number"].includes(event.target.type) ? 120 : 0); });
form.addEventListener("submit", event => event.preventDefault());
at("more").onclick = () => further(at("further").hidden);
at("clear").onclick = () => { form.reset(); changed(); };
at("paper-button").onclick = putOnPaper;
at("back").onclick = () => turn(-1);
at("on").onclick = () => turn(1);
at("close").onclick = () => at("one").close();
at("previous").onclick = () => step(-1);
at("next").onclick = () => step(1);
at("one").addEventListener("close", () => toAddress());
at("one").addEventListener("click", event => { if (event.target === at("one")) at("one").close(); });
addEventListener("keydown", event => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey;
  if (viewer.open) return;
  if (at("one").open && event.key === "ArrowLeft") step(-1);
  else if (at("one").open && event.key === "ArrowRight") step(1);
  else if (!typing && !at("one").open && event.key === "/") { event.preventDefault(); field("text").focus(); }
});
addEventListener("hashchange", again);
let width = innerWidth;
addEventListener("resize", () => { if (width !== innerWidth) { width = innerWidth; lay(); } });
form.hidden = false;
offer();
again();
performance.mark("usable");
