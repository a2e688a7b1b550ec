// SPDX-License-Identifier: Apache-2.0
// ---- drawing: only what is in view; where that is too much, bins
let width = 0, scale = 1, drawn = 0, binned = 0;
const x = (us) => LABELS + (us - view.from) * scale;
const clampX = (value) => Math.min(Math.max(value, LABELS - 4), width + 4);

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; paint(); });
}

function paint() {
  width = Math.max(plot.clientWidth, LABELS + 200);
  scale = (width - LABELS) / (view.to - view.from);
  drawn = binned = 0;
  const layers = { back: el('g'), lanes: el('g'), items: el('g'), labels: el('g', { class: 'labels' }) };
  let y = AXIS;
  const names = [];
  for (const lane of lanes) {
    const content = layout(lane, y);
    layers.lanes.append(el('rect', { class: lane.index % 2 ? 'none' : 'lane', x: 0, y, width, height: content.height, ...(lane.index % 2 ? { fill: 'none' } : {}) }));
    layers.items.append(...content.nodes);
    names.push([lane, y, content.height]);
    y += content.height;
  }
  ticks(layers.back, y);
  for (const remark of remarks) if (!matching || matching.has(remark)) drawRemark(layers, remark, y);
  layers.labels.append(el('rect', { x: 0, y: 0, width: LABELS, height: y }), el('line', { class: 'edge', x1: LABELS, x2: LABELS, y1: 0, y2: y, stroke: 'currentColor' }));
  for (const [lane, top, height] of names) {
    const title = lane.device === '' ? 'monitor' : lane.device;
    const label = el('g', { class: 'label', 'data-lane': lane.index });
    label.append(el('text', { x: 12, y: top + PAD + 12, 'font-weight': 600 }, title.length > 20 ? title.slice(0, 19) + '…' : title));
    const last = lane.phases.length ? lane.phases[lane.phases.length - 1][0] : '';
    label.append(el('text', { class: 'sub', x: 12, y: top + Math.min(height - 5, PAD + 27) }, lane.device === '' ? lane.all.length + ' in all' : lane.all.length + (last ? ', ' + last : '')));
    label.append(el('title', {}, title));
    layers.labels.append(label);
  }
  plot.setAttribute('height', y + 4);
  plot.setAttribute('viewBox', `0 0 ${width} ${y + 4}`);
  plot.replaceChildren(layers.lanes, layers.back, layers.items, layers.labels);
  plot.dataset.scale = scale * 1000; // pixels per millisecond
  plot.dataset.drawn = drawn;
  plot.dataset.binned = binned;
  plot.dataset.from = view.from;
  $('density').textContent = binned ? `${binned} in view are too many to draw one by one: each column stands for those in its ${BIN} pixels, its height for how many. Zoom in for each.` : '';
  if (focused >= 0) {
    const again = plot.querySelector(`[data-item="${focused}"]`);
    if (again) again.focus({ preventScroll: true });
  }
}

function layout(lane, top) {
  const nodes = [];
  let y = top + PAD;
  if (lane.device !== '') {
    for (const [state, from, to, cause] of lane.phases) {
      const end = to === null ? all.to : to;
      if (end < view.from || from > view.to) continue;
      const left = clampX(x(from)), right = Math.max(clampX(x(end)), left + 1);
      const phase = state === 'gone' ? el('line', { class: 'phase gone', x1: left, x2: right, y1: y + PHASE / 2, y2: y + PHASE / 2 })
        : el('rect', { class: 'phase ' + state.replace(' ', '-'), x: left, y, width: right - left, height: PHASE, rx: 2 });
      phase.append(el('title', {}, `${state} since ${moment(from)}: ${cause}`));
      nodes.push(phase);
      if (state !== 'gone' && right - left > state.length * 7 + 8)
        nodes.push(el('text', { class: 'state', x: Math.max(left, LABELS) + 5, y: y + 11 }, state));
    }
    y += PHASE + 3;
  }
  const begin = firstAtLeast(lane.latest, view.from, (value) => value);
  const end = firstAtLeast(lane.shown, view.to, (item) => item.from);
  const levels = [];
  if (end - begin > MOST) {
    bins(lane, begin, end, y, nodes);
    levels.push(0);
  } else {
    for (let i = begin; i < end; ++i) {
      const item = lane.shown[i];
      if (item.to < view.from) continue;
      const left = x(item.from), right = Math.max(x(item.to), left + (item.kind === 'event' ? 9 : 4));
      let level = 0;
      while (level < levels.length && level < LEVELS - 1 && levels[level] > left - 2) ++level;
      if (level === levels.length) levels.push(0);
      levels[level] = Math.max(levels[level], right);
      nodes.push(drawItem(item, left, right, y + level * ROW));
      ++drawn;
    }
  }
  const rows = Math.max(levels.length, 1);
  return { nodes, height: Math.max(y - top + rows * ROW + PAD, 42) };
}

function bins(lane, begin, end, y, nodes) {
  const bin = new Map();
  for (let i = begin; i < end; ++i) {
    const item = lane.shown[i];
    if (item.to < view.from) continue;
    const key = Math.floor((Math.max(item.from, view.from) - view.from) * scale / BIN);
    let entry = bin.get(key);
    if (!entry) bin.set(key, (entry = { first: item, last: item, count: 0, refused: 0, unanswered: 0, slow: 0, events: 0 }));
    ++entry.count;
    entry.last = item;
    if (item.kind === 'event') ++entry.events;
    if (item.outcome === 'refused') ++entry.refused;
    if (item.outcome === 'unanswered') ++entry.unanswered;
    if (item.slow) ++entry.slow;
  }
  let most = 1;
  for (const entry of bin.values()) most = Math.max(most, entry.count);
  for (const [key, entry] of bin) {
    const height = 3 + (ROW - 5) * Math.log1p(entry.count) / Math.log1p(most);
    const left = LABELS + key * BIN;
    const state = entry.refused ? ' refused' : entry.unanswered ? ' unanswered' : entry.slow ? ' slow' : '';
    const group = el('g', { class: 'item many' + state, role: 'button' });
    group.append(el('rect', { class: 'bar', x: left, y: y + ROW - 3 - height, width: BIN - 1, height }));
    if (entry.refused) group.append(cross(left + BIN / 2 - .5, y + 2));
    const text = `${entry.count} from ${moment(entry.first.from)} to ${moment(entry.last.from)}` +
      (entry.events ? `, ${entry.events} events` : '') + (entry.refused ? `, ${entry.refused} refused` : '') +
      (entry.unanswered ? `, ${entry.unanswered} unanswered` : '') + (entry.slow ? `, ${entry.slow} slow` : '') + '; zoom in for each';
    group.setAttribute('aria-label', text);
    group.addEventListener('pointerenter', (event) => tip(text, event));
    group.addEventListener('pointerleave', () => tip(null));
    group.addEventListener('dblclick', () => zoom(8, entry.first.from));
    nodes.push(group);
    binned += entry.count;
  }
}

const cross = (cx, cy, r = 4.5) => el('path', { class: 'mark', d: `M${cx - r} ${cy - r + 2}l2-2l${r - 2} ${r - 2}l${r - 2}-${r - 2}l2 2l-${r - 2} ${r - 2}l${r - 2} ${r - 2}l-2 2l-${r - 2}-${r - 2}l-${r - 2} ${r - 2}l-2-2l${r - 2}-${r - 2}z` });

function drawItem(item, left, right, y) {
  const classes = ['item', item.kind];
  if (item.outcome) classes.push(item.outcome);
  if (item.slow) classes.push('slow');
  if (item === pinned) classes.push('pinned');
  const group = el('g', { class: classes.join(' '), tabindex: 0, role: 'button', 'data-item': item.index, 'aria-label': line(item) });
  const from = clampX(left), to = clampX(right), middle = y + ROW / 2 - 1;
  if (item.kind === 'event') {
    group.append(el('path', { class: 'mark', d: `M${left} ${middle - 6}l6 6l-6 6l-6-6z` }));
    group.append(el('rect', { class: 'ring', x: left - 8, y: middle - 8, width: 16, height: 16, rx: 3 }));
  } else {
    group.append(el('rect', { class: 'bar', x: from, y: y + 2, width: Math.max(to - from, 1), height: ROW - 6, rx: 2 }));
    if (item.outcome === 'refused') group.append(cross(to, middle));
    if (item.outcome === 'unanswered') group.append(el('path', { class: 'mark', d: `M${to - 8} ${middle - 5}l8 5l-8 5z` }));
    if (item.slow) group.append(el('path', { class: 'flag', d: `M${from} ${y - 3}h9l-2.5 3l2.5 3h-9z` }));
    group.append(el('rect', { class: 'ring', x: from - 3, y: y - 1, width: Math.max(to - from, 1) + 6, height: ROW, rx: 3 }));
    const room = to - Math.max(from, LABELS);
    if (room > item.name.length * 7 + 14 && item.outcome !== 'unanswered')
      group.append(el('text', { x: Math.max(from, LABELS) + 5, y: y + 11.5, 'font-size': 11, style: 'fill:var(--panel);font-size:11px' }, item.name));
  }
  listen(group, item);
  return group;
}

function drawRemark(layers, item, bottom) {
  if (item.to < view.from || item.from > view.to) return;
  const at = x(item.from);
  const group = el('g', { class: 'item remark ' + item.name + (item === pinned ? ' pinned' : ''), tabindex: 0, role: 'button', 'data-item': item.index, 'aria-label': line(item) });
  if (item.to > item.from) layers.back.append(el('rect', { class: 'span', x: clampX(at), y: AXIS, width: Math.max(clampX(x(item.to)) - clampX(at), 2), height: bottom - AXIS }));
  group.append(el('line', { x1: at, x2: at, y1: AXIS - 6, y2: bottom, stroke: 'currentColor' }));
  group.append(item.name === 'lost' || item.name === 'torn' || item.name === 'stray' ? cross(at, AXIS - 8) : item.name === 'connected' || item.name === 'greeted'
    ? el('circle', { class: 'mark', cx: at, cy: AXIS - 8, r: 4 }) : el('rect', { class: 'mark', x: at - 4, y: AXIS - 12, width: 8, height: 8 }));
  group.append(el('rect', { class: 'ring', x: at - 7, y: AXIS - 15, width: 14, height: 14, rx: 3 }));
  listen(group, item);
  layers.items.append(group);
  ++drawn;
}

function ticks(layer, bottom) {
  const wish = (view.to - view.from) / Math.max((width - LABELS) / 110, 1);
  const power = 10 ** Math.floor(Math.log10(wish));
  const step = Math.max([1, 2, 5, 10].map((n) => n * power).find((n) => n >= wish), 1);
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const digits = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step))));
    const tick = el('g', { class: 'tick' });
    tick.append(el('line', { x1: x(at), x2: x(at), y1: AXIS - 4, y2: bottom }), el('text', { x: x(at) + 3, y: 13 }, (at / 1e6).toFixed(digits) + ' s'));
    layer.append(tick);
  }
}
