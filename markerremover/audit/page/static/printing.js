// Paper: the summary, and the files that were chosen as a table; pictures only where they are few.
const LINES = 500, WITH_PICTURES = 60;

function line(i, pictures) {
  const row = rowOf(data.rows[i]), kept = row.boxes.filter(box => word(box, "action") === "keep").length;
  const cells = [visible(row.relative), row.status, `${row.boxes.length - kept}`, `${kept}`, `${whole.format(row.ms)}`,
    [row.reason, row.more.released_held && `released in spite of doubt: ${row.more.released_held}`,
      "verdict" in row.more && `${row.more.verdict || "marked"} by ${row.more.who}, ${row.more.when}`].filter(Boolean).map(visible).join("; ")];
  const node = make("tr", "", ...cells.map(text => make("td", "", text)));
  if (pictures) node.append(make("td", "", ...(row.thumbs ? [make("div", "pair", ...row.thumbs.map((name, n) => {
    const image = picture(name, n ? "after" : "before");
    image.loading = "eager";
    return image;
  }))] : [])));
  return node;
}
function typeset(pictures) {
  const rows = rowsShown(), some = rows.slice(0, LINES), filter = inWords(G.want);
  const said = `${many(rows.length, "file", "files")} of ${whole.format(data.rows.length)}${filter ? `, where ${filter}` : ""}` +
    (rows.length > LINES ? `; the first ${whole.format(LINES)} are listed, manifest.jsonl holds all` : "");
  const names = ["File", "Status", "Removed", "Kept", "ms", "Reason", ...(pictures ? ["Before, after"] : [])];
  const table = make("table", "", make("thead", "", make("tr", "", ...names.map(name => make("th", "", name)))), make("tbody", "", ...some.map(i => line(i, pictures))));
  at("paper").replaceChildren(make("h2", "", said), table);
}
async function putOnPaper() {
  const pictures = rowsShown().length <= WITH_PICTURES;
  typeset(pictures);
  at("paper").dataset.ready = "";
  await Promise.all([...at("paper").querySelectorAll("img")].map(image => image.decode().catch(() => {})));  // one that is missing shows as missing
  window.print();
}
addEventListener("beforeprint", () => { if (!("ready" in at("paper").dataset)) typeset(false); });
addEventListener("afterprint", () => { at("paper").replaceChildren(); delete at("paper").dataset.ready; });
