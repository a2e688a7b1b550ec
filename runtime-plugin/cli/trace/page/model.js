// SPDX-License-Identifier: Apache-2.0
'use strict';
const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const svgNS = 'http://www.w3.org/2000/svg';
const LABELS = 168, AXIS = 26, ROW = 17, PHASE = 15, PAD = 7, LEVELS = 4, MOST = 400, BIN = 5;
const plot = $('plot');

// Everything QEMU or the host said is put on the page as text nodes and attribute values only.
function el(name, attributes, ...children) {
  const node = document.createElementNS(svgNS, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  node.append(...children);
  return node;
}
function html(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function duration(us) {
  if (us < 1000) return us.toFixed(0) + ' µs';
  if (us < 1e6) return (us / 1e3).toFixed(us < 1e4 ? 2 : 1) + ' ms';
  return (us / 1e6).toFixed(3) + ' s';
}
const moment = (us) => '+' + (us / 1e6).toFixed(6) + ' s';
function wall(us) {
  if (!data.begin_wall_us) return '';
  const all = data.begin_wall_us + us;
  return new Date(all / 1e3).toISOString().slice(0, 19).replace('T', ' ') + '.' +
    String(Math.floor(all % 1e6)).padStart(6, '0') + ' UTC';
}

// ---- what there is, one object per thing drawn
const items = [];
for (const [conn, lane, command, args, from, to, outcome, errorClass, desc, sent, reply, events] of data.exchanges)
  items.push({ kind: 'exchange', conn, lane, name: command, args, from, to: to === null ? data.end_us : to, outcome,
    latency: to === null ? null : to - from, slow: to !== null && to - from >= data.slow_us, errorClass, desc, sent, reply, events });
for (const [conn, lane, at, name, args, body] of data.events)
  items.push({ kind: 'event', conn, lane, name, args, from: at, to: at, body });
const remarks = [];
for (const [name, conn, at, until, text, body] of data.remarks) {
  const item = { kind: 'remark', conn, lane: 0, name, args: text, from: at, to: until === null ? at : until, body };
  items.push(item);
  remarks.push(item);
}
items.sort((a, b) => a.from - b.from);
items.forEach((item, index) => {
  item.index = index;
  item.text = [item.name, item.args, data.lanes[item.lane].device, item.errorClass, item.desc, item.outcome,
    body(item.sent), body(item.reply), body(item.body)].join('\n').toLowerCase();
});
const lanes = data.lanes.map((lane, index) => ({ ...lane, index, all: [], shown: [] }));
for (const item of items) if (item.kind !== 'remark') lanes[item.lane].all.push(item);

function body(index) { return index === null || index === undefined ? '' : data.bodies[index]; }
function line(item) {
  const what = item.kind === 'event' ? 'event ' + item.name : item.name;
  const tail = item.outcome === 'refused' ? ' → ' + item.errorClass + ': ' + item.desc
    : item.outcome === 'unanswered' ? ' → no answer' : item.latency !== undefined && item.latency !== null ? ' → ' + duration(item.latency) : '';
  return moment(item.from) + '  ' + what + (item.args ? ' ' + item.args : '') + tail;
}

// ---- the view
const span = Math.max(data.end_us, 1);
const all = { from: -span * 0.01, to: span * 1.02 };
const view = { ...all };
let matching = null; // a Set while something is searched for
let pinned = null, focused = -1;

function keepInside() {
  const least = 20, most = (all.to - all.from);
  const middle = (view.from + view.to) / 2, width = Math.min(Math.max(view.to - view.from, least), most);
  view.from = middle - width / 2; view.to = middle + width / 2;
  if (view.from < all.from) { view.to += all.from - view.from; view.from = all.from; }
  if (view.to > all.to) { view.from -= view.to - all.to; view.to = all.to; }
}
function zoom(factor, at = (view.from + view.to) / 2) {
  view.from = at - (at - view.from) / factor;
  view.to = at + (view.to - at) / factor;
  keepInside(); draw();
}
function pan(part) {
  const step = (view.to - view.from) * part;
  view.from += step; view.to += step;
  keepInside(); draw();
}
function fit() { Object.assign(view, all); draw(); }
function show(item) {
  const room = Math.max(item.to - item.from, (view.to - view.from) / 50, 2000);
  view.from = item.from - room * 2; view.to = item.to + room * 2;
  keepInside(); pin(item); draw();
}

function filter() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  matching = words.length ? new Set(items.filter((item) => words.every((word) => item.text.includes(word)))) : null;
  $('matches').textContent = matching ? matching.size + ' of ' + items.length : '';
  for (const lane of lanes) {
    lane.shown = matching ? lane.all.filter((item) => matching.has(item)) : lane.all;
    // The latest end so far: the first place where something may still reach into the view.
    let latest = -Infinity;
    lane.latest = lane.shown.map((item) => (latest = Math.max(latest, item.to)));
  }
  findings();
  draw();
}

function firstAtLeast(list, value, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < value) low = middle + 1; else high = middle;
  }
  return low;
}
