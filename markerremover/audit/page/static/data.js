"use strict";
// The rows of the manifest, as arrays; what a place in an array means says `data.entry`, `data.box`.
const at = id => document.getElementById(id);
const data = JSON.parse(at("data").textContent);
at("data").remove();
const E = Object.fromEntries(data.entry.map((name, i) => [name, i])), B = Object.fromEntries(data.box.map((name, i) => [name, i]));
const WORDS = ["label", "action", "reason", "style", "style_reason"];
const height = box => box[B.y2] - box[B.y1], score = box => (box[B.score] || 0) / data.scale, word = (box, name) => data.words[box[B[name]] || 0];

function boxOf(box) {  // as in the manifest
  const found = Object.fromEntries(data.box.map((name, i) => [name, box[i] || 0]));
  for (const name of WORDS) found[name] = data.words[found[name]];
  return Object.assign(found, { xyxy: [found.x1, found.y1, found.x2, found.y2], score: found.score / data.scale, confidence: found.confidence / data.scale });
}
function rowOf(entry) {
  const found = Object.fromEntries(data.entry.map((name, i) => [name, entry[i]]));
  return Object.assign(found, { status: data.words[found.status], format: data.words[found.format], kind: data.words[found.kind], more: found.more || {}, film: found.film || 0, held_for: found.held_for || [] });
}
const make = (tag, className, ...children) => {  // text goes in as text nodes only: nothing in a name or a reading is ever markup
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
};
// What controls a terminal or turns the line around is shown as a number: a file name may hold it.
const visible = text => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, c => `\\u{${c.codePointAt(0).toString(16)}}`);
const whole = new Intl.NumberFormat("en");
const many = (count, one, more) => `${whole.format(count)} ${count === 1 ? one : more}`;
