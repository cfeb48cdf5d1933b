"use strict";
// The status page: asks for the numbers every two seconds. What a table shows is text, never markup; names of dropped files stay in this page.

const at = (id) => document.getElementById(id);
const names = new Map();  // number of a dropped file -> its name
const STATES = ["received", "cleaning", "waiting", "sent", "held", "failed"];
const EVERY_MS = 2000;
let most = 0;

function element(kind, text, parent) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function fill(id, rows, empty) {
  const body = at(id).tBodies[0];
  body.replaceChildren();
  for (const cells of rows) {
    const row = element("tr", undefined, body);
    for (const cell of cells) {
      const place = element("td", cell instanceof Node ? undefined : cell, row);
      if (cell instanceof Node) place.append(cell);
    }
  }
  if (!rows.length && empty) element("td", empty, element("tr", undefined, body)).className = "soft";
  at(id).tHead?.toggleAttribute("hidden", !rows.length);
}

function ago(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

const gb = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;

function show(status) {
  const counts = status.counts;
  at("version").textContent = status.version;
  const state = at("state");
  state.textContent = status.error ? `Stopped: ${status.error}` : status.ready ? "Ready" : "Loading the networks; objects are received meanwhile";
  state.className = status.error ? "bad" : status.ready ? "good" : "";
  at("counts").replaceChildren(...STATES.map((name) => {
    const box = document.createElement("div");
    element("dt", name, box);
    element("dd", counts[name].toLocaleString("en"), box).className = counts[name] && (name === "held" || name === "failed") ? "bad" : "";
    return box;
  }));
  at("sum").textContent = `${counts.accepted.toLocaleString("en")} accepted, ${counts.duplicates.toLocaleString("en")} came again; `
    + (counts.reconciles ? "every object is in one state" : "THE NUMBERS DO NOT ADD UP");
  at("sum").className = counts.reconciles ? "" : "bad";
  fill("rates", status.rates.map((rate) => [`last ${ago(rate.window_s)}`, rate.received, rate.cleaned, rate.sent]));
  at("room").textContent = `spool ${gb(status.spool_bytes)}, free ${gb(status.free_bytes)}`;
  fill("destinations", status.destinations.map((one) =>
    [one.name, one.pending, one.sent, ago(one.oldest_s), one.pending ? ago(one.next_attempt_s) : "–", one.last_error]), "none");
  at("late").hidden = !status.undelivered.length;
  fill("undelivered", status.undelivered.map((one) => [one.number, one.destination, one.attempts, ago(one.since_s), one.error]));
  fill("held", status.held.map((one) => [one.number, one.state, one.origin, ago(one.age_s), one.reason]), "nothing is held");
  fill("errors", status.errors.map((one) => [ago(one.age_s), one.where, one.number ?? "–", one.text]), "none");
  at("review").disabled = !status.held.length && !counts.held && !counts.failed;
  at("applying").textContent = status.applying === "working" ? "corrections are being applied …" : status.applying;
  at("apply").disabled = at("review").disabled || status.applying === "working";
  most = status.most_bytes;
  at("files").disabled = !most;
  at("drop").classList.toggle("off", !most);
  if (!most) at("drop-text").textContent = "Dropping files is switched off";
  fill("dropped", status.dropped.map((one) => [names.get(one.number) ?? `file ${one.number}`, one.state, outcome(one)]));
  at("loop").hidden = !status.loop;
  if (status.loop) learning(status.loop);
  at("watch").hidden = !status.watch;
  if (status.watch) {
    at("watch-text").textContent = `${status.watch.files} files taken; at the last look ${status.watch.settling} settle, `
      + `${status.watch.ignored} left out by name, ${status.watch.refused} cannot be taken`;
  }
}

function outcome(one) {
  if (!one.result) return one.reason;
  const link = element("a", "fetch the result");
  link.href = `/api/dropped/${one.number}`;
  const name = names.get(one.number);
  link.download = name ? name.replace(/(\.[^.]*)?$/, "-cleaned$1") : `${one.number}-cleaned${one.result}`;
  return link;
}

function learning(loop) {
  at("loop-text").textContent = loop.running ? "`improve` is at work" : loop.due ? "It is time to learn" : "Not yet time to learn";
  at("loop-text").className = loop.due && !loop.running ? "bad" : "";
  at("loop-reasons").replaceChildren(...loop.lines.map((line) => element("li", line)));
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ?? `The server answered ${answer.status}.`);
  return body;
}

function lost(text) {
  at("lost").hidden = !text;
  at("lost").textContent = text;
}

async function refresh() {
  try {
    show(await ask("/api/status"));
    lost("");
  } catch (error) {
    lost(error instanceof TypeError ? "The node does not answer." : error.message);
  }
}

async function send(files) {
  for (const file of files) {
    if (file.size > most) {
      lost(`${file.name} is larger than ${(most / 1e6).toLocaleString("en")} MB`);
      continue;
    }
    try {
      const taken = await ask("/api/dropped", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
      names.set(taken.number, file.name);
    } catch (error) {
      lost(`${file.name}: ${error.message}`);
    }
    await refresh().catch(() => {});
  }
}

at("files").addEventListener("change", () => { send([...at("files").files]); at("files").value = ""; });
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
at("drop").addEventListener("dragover", () => at("drop").classList.add("over"));
at("drop").addEventListener("dragleave", () => at("drop").classList.remove("over"));
at("drop").addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  if (most) send([...event.dataTransfer.files]);
});
at("review").addEventListener("click", async () => {
  at("review").disabled = true;
  const page = window.open("", "_blank");  // now, while it is the click that opens it
  try {
    const address = (await ask("/api/review", { method: "POST" })).address;
    if (page) page.location = address; else location.href = address;
  } catch (error) {
    page?.close();
    lost(error.message);
  }
});
at("apply").addEventListener("click", () => ask("/api/apply", { method: "POST" }).then(refresh, (error) => lost(error.message)));

refresh();
setInterval(refresh, EVERY_MS);
