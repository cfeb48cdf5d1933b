// One file, or one box, as it shows.
const FIRST = 12;  // boxes of a file that show before somebody asks for the rest
const picture = (name, alt) => {
  const node = make("img");
  node.loading = "lazy"; node.decoding = "async"; node.alt = alt; node.src = "crops/" + name;
  return node;
};
const pair = (className, names, caption) => make("figure", className,
  make("div", "pair", picture(names[0], "before"), picture(names[1], "after")), make("figcaption", "", caption));

function caption(box, frames) {
  const parts = [make("b", box.action, box.action === "keep" ? "kept" : "removed"), `: ${visible(box.reason)}`, make("br")];
  if (box.text) parts.push("read ", make("span", "text", visible(box.text)), ` (${box.confidence.toFixed(2)})`,
    box.rotation_deg ? `, turned ${box.rotation_deg}°` : "", box.mirrored ? ", mirrored" : "", make("br"));
  if (box.style) parts.push(`style ${box.style}${box.style_reason ? `: ${visible(box.style_reason)}` : ""}`, make("br"));
  parts.push(`${visible(box.label)}, score ${box.score.toFixed(2)}`, make("br"), `${box.xyxy.join(", ")}${frames > 1 ? `, frame ${box.frame}` : ""}`);
  return make("span", "", ...parts);
}
function boxList(row, want, from, to) {
  const marks = ofBoxes(want) && want.action !== "none";
  return row.boxes.slice(from, to).map(entry => {
    const box = boxOf(entry), text = caption(box, row.shape[0]);
    return make("div", marks && boxWanted(entry, want) ? "box hit" : "box", box.crops ? pair("crop", box.crops, text) : text);
  });
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
  const body = make("div", "body"), boxes = make("div", "boxes", ...boxList(row, want, 0, FIRST));
  if (row.thumbs) body.append(pair("whole", row.thumbs, row.status === "held" ? "before, and the result that was held back" : "before, after"));
  if (row.boxes.length > FIRST) {
    const more = make("button", "", `${whole.format(row.boxes.length - FIRST)} more boxes`);
    more.type = "button";
    more.onclick = () => more.replaceWith(...boxList(row, want, FIRST));
    boxes.append(more);
  }
  if (row.boxes.length) body.append(boxes);
  if (body.childElementCount) node.append(body);
  return node;
}
function cell(inside, title, open, ...lines) {
  const node = make("button", "cell", inside, ...lines);
  node.type = "button"; node.title = title; node.onclick = open;
  return node;
}
function thumb(i, open) {
  const row = rowOf(data.rows[i]), name = visible(row.relative), shown = row.status === "held" ? "the result that was held back" : "after";
  return cell(row.thumbs ? picture(row.thumbs[1], shown) : make("span", "blank", "no picture"), name, () => open(i),
    make("span", row.status, `${row.status}, ${many(row.boxes.length, "box", "boxes")}`), make("span", "", name.split("/").pop()));
}
function marking(i, n, open) {
  const row = rowOf(data.rows[i]), box = boxOf(row.boxes[n]), name = visible(row.relative);
  const images = box.crops ? make("div", "pair", picture(box.crops[0], "before"), picture(box.crops[1], "after")) : make("div", "pair", make("span", "blank", "no picture"));
  return cell(images, name, () => open(i), make("span", "", make("b", box.action, box.action === "keep" ? "kept" : "removed"), `: ${visible(box.reason)}`),
    make("span", "", `${visible(box.label)} ${box.score.toFixed(2)}, ${box.y2 - box.y1} px`, ...(box.text ? [", ", make("i", "", visible(box.text))] : [])), make("span", "soft", name.split("/").pop()));
}
