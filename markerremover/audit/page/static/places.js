// Boxes of one place: several of one plate are one entry of a list.
const NESTED = 0.8;  // least share of the smaller box that lies in the larger one
const known = new WeakMap();
const area = box => (box[B.x2] - box[B.x1]) * (box[B.y2] - box[B.y1]);

function nested(a, b) {
  const wide = Math.min(a[B.x2], b[B.x2]) - Math.max(a[B.x1], b[B.x1]), high = Math.min(a[B.y2], b[B.y2]) - Math.max(a[B.y1], b[B.y1]);
  return wide > 0 && high > 0 && wide * high >= NESTED * Math.min(area(a), area(b)) && (a[B.action] || 0) === (b[B.action] || 0);
}
function places(boxes) {  // arrays of boxes' numbers, the largest box of a place first; places in the order of their first boxes
  if (known.has(boxes)) return known.get(boxes);
  const of = boxes.map((_, n) => n), root = n => { while (of[n] !== n) n = of[n] = of[of[n]]; return n; };
  for (let n = 1; n < boxes.length; n++) for (let m = 0; m < n; m++) if (root(m) !== root(n) && nested(boxes[m], boxes[n])) {
    const [low, high] = [root(m), root(n)].sort((a, b) => a - b);
    of[high] = low;
  }
  const found = new Map();
  boxes.forEach((_, n) => { const key = root(n); found.has(key) ? found.get(key).push(n) : found.set(key, [n]); });
  const groups = [...found.values()].map(group => group.sort((a, b) => area(boxes[b]) - area(boxes[a]) || a - b));
  known.set(boxes, groups);
  return groups;
}
