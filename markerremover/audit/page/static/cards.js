// One file, or one box, as it shows.
const FIRST = 12;  // boxes of a file that show before somebody asks for the rest
const picture = (name, alt) => {
  const node = make("img");
  node.loading = "lazy"; node.decoding = "async"; node.alt = alt; node.src = "crops/" + name;
  return node;
};
// A picture that the viewer enlarges, from before or after, at a box if there is one. Its words stand outside: corners of a film often hold print.
function enlarges(i, box, what, ...inside) {
  const node = make("button", "look", ...inside);
  node.type = "button"; node.title = "enlarge"; node.setAttribute("aria-label", `enlarge ${what}`);
  node.onclick = event => view(i, event.target.alt === "before" ? "before" : "after", box);
  return node;
}
const beside = names => make("div", "pair", picture(names[0], "before"), picture(names[1], "after"));
const pair = (className, names, caption, i, box) => make("figure", className, enlarges(i, box, box ? "this box" : "the film", beside(names)), make("figcaption", "", caption));

function caption(box, frames) {
  const parts = [make("b", box.action, box.action === "keep" ? "kept" : "removed"), `: ${visible(box.reason)}`, make("br")];
  if (box.text) parts.push("read ", make("span", "text", visible(box.text)), ` (${box.confidence.toFixed(2)})`,
    box.rotation_deg ? `, turned ${box.rotation_deg}°` : "", box.mirrored ? ", mirrored" : "", make("br"));
  if (box.style) parts.push(`style ${box.style}${box.style_reason ? `: ${visible(box.style_reason)}` : ""}`, make("br"));
  parts.push(`${visible(box.label)}, score ${box.score.toFixed(2)}`, make("br"), `${box.xyxy.join(", ")}${frames > 1 ? `, frame ${box.frame}` : ""}`);
  return make("span", "", ...parts);
}
function boxList(i, row, want, from, to) {  // one entry a place
  const marks = ofBoxes(want) && want.action !== "none";
  const one = n => {
    const entry = row.boxes[n], box = boxOf(entry), text = caption(box, row.shape[0]);
    return make("div", marks && boxWanted(entry, want) ? "box hit" : "box", box.crops ? pair("crop", box.crops, text, i, entry) : text);
  };
  return places(row.boxes).slice(from, to).map(([first, ...others]) => {
    const node = one(first);
    if (others.length) {
      const more = make("details", "", make("summary", "", `${many(others.length, "more box", "more boxes")} of this place`));
      more.open = marks && others.some(n => boxWanted(row.boxes[n], want));
      const fill = () => { if (more.open && more.childElementCount === 1) more.append(...others.map(one)); };
      more.addEventListener("toggle", fill);
      fill();
      node.append(more);
    }
    return node;
  });
}
function doubts(i, row) {  // what a file is held for, or was released in spite of
  return places(row.held_for).map(([first, ...others]) => {
    const entry = row.held_for[first], box = boxOf(entry), text = make("span", "", make("b", "held", row.status === "held" ? "held for this" : "released with this"), `: ${visible(box.reason)}`, make("br"),
      `${visible(box.label)}, score ${box.score.toFixed(2)}${others.length ? `, ${many(others.length, "more box", "more boxes")} of this place` : ""}`, make("br"), `${box.xyxy.join(", ")}${row.shape[0] > 1 ? `, frame ${box.frame}` : ""}`);
    if (!box.crops) { const button = enlarges(i, entry, "what it is held for", "enlarge"); button.className = ""; text.append(make("br"), button); }
    return make("div", "box held", box.crops ? pair("crop", box.crops, text, i, entry) : text);
  });
}
function remarks(row) {  // flags and notes
  const said = list => (list || []).map(n => visible(data.words[n])), flags = said(row.more.quality), notes = said(row.more.notes);
  const chips = flags.map((text, n) => {
    const chip = make("button", "chip", text);
    chip.type = "button"; chip.title = "show all files with this flag";
    chip.onclick = () => { at("one").close(); pick(JSON.stringify({ flag: data.words[row.more.quality[n]] })); };
    return chip;
  });
  const list = make("ul", "notes", ...notes.map(text => make("li", "", text)));
  const folded = make("details", "", make("summary", "", many(notes.length, "note", "notes")), list);
  return [...(flags.length ? [make("div", "", ...chips)] : []), ...(notes.length > 3 ? [folded] : notes.length ? [list] : [])];
}
function facts(row) {
  const [frames, h, w] = row.shape;
  const size = row.shape.length ? `${w} × ${h}${frames > 1 ? `, ${frames} frames` : ""}` : "";
  return [visible(row.format), size, many(row.boxes.length, "box", "boxes"), `${whole.format(row.ms)} ms`].filter(Boolean).join(" · ");
}
function card(i, want, open) {  // open: what a click on the name does; none in the dialog
  const row = rowOf(data.rows[i]), name = visible(row.relative), title = make("h2", "", make("span", "badge " + row.status, row.status));
  if (open) { const button = make("button", "", name); button.type = "button"; button.onclick = () => open(i); title.append(button); } else title.append(name);
  const node = make("article", "", title, make("p", "meta", facts(row)));
  if (row.more.released_held) node.append(make("p", "meta held", "released in spite of doubt: " + visible(row.more.released_held)));
  if ("verdict" in row.more) {
    const said = { accept: "accepted", release: "released" }[row.more.verdict] || "marked";
    node.append(make("p", "meta", `${said} by ${visible(row.more.who)}, ${row.more.when}`));
  }
  if (row.reason) node.append(make("p", "meta " + row.status, visible(row.reason)));
  if (row.status === "held" && !open) node.append(make("p", "meta", "To correct or release it: ", make("code", "", data.review)));
  node.append(...remarks(row));
  const body = make("div", "body"), boxes = make("div", "boxes", ...doubts(i, row), ...boxList(i, row, want, 0, FIRST));
  if (row.thumbs) body.append(pair("whole", row.thumbs, row.status === "held" ? "before, and the result that was held back" : "before, after", i));
  const places_left = places(row.boxes).length - FIRST;
  if (places_left > 0) {
    const more = make("button", "", `boxes at ${many(places_left, "more place", "more places")}`);
    more.type = "button";
    more.onclick = () => more.replaceWith(...boxList(i, row, want, FIRST));
    boxes.append(more);
  }
  if (boxes.childElementCount) body.append(boxes);
  if (body.childElementCount) node.append(body);
  return node;
}
function cell(inside, title, open, ...lines) {
  const name = make("button", "name", ...lines);
  name.type = "button"; name.title = title; name.onclick = open;
  return make("div", "cell", inside, name);
}
function thumb(i, open) {
  const row = rowOf(data.rows[i]), name = visible(row.relative), shown = row.status === "held" ? "the result that was held back" : "after";
  return cell(row.thumbs ? enlarges(i, null, name, picture(row.thumbs[1], shown)) : make("span", "blank", "no picture"), name, () => open(i),
    make("span", row.status, `${row.status}, ${many(row.boxes.length, "box", "boxes")}`), make("span", "", name.split("/").pop()));
}
function marking(i, n, all, open) {
  const row = rowOf(data.rows[i]), box = boxOf(row.boxes[n]), name = visible(row.relative);
  const images = box.crops ? enlarges(i, row.boxes[n], `a box of ${name}`, beside(box.crops)) : make("div", "pair", make("span", "blank", "no picture"));
  return cell(images, name, () => open(i), make("span", "", make("b", box.action, box.action === "keep" ? "kept" : "removed"), `: ${visible(box.reason)}`),
    make("span", "", `${visible(box.label)} ${box.score.toFixed(2)}, ${box.y2 - box.y1} px`, ...(box.text ? [", ", make("i", "", visible(box.text))] : [])), make("span", "soft", (all.length > 1 ? `+ ${whole.format(all.length - 1)} of this place · ` : "") + name.split("/").pop()));
}
