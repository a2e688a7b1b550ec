// SPDX-License-Identifier: Apache-2.0
// ---- what is pointed at
function listen(node, item) {
  node.addEventListener('pointerenter', (event) => { tip(line(item), event); if (!pinned) details(item); });
  node.addEventListener('pointerleave', () => tip(null));
  node.addEventListener('focus', () => { focused = item.index; if (!pinned) details(item); });
  node.addEventListener('blur', () => { if (node.isConnected) focused = -1; });
  node.addEventListener('click', () => { if (!dragged) pin(item); });
  node.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); pin(item); } });
}
function pin(item) { pinned = item; details(item); draw(); }
function unpin() { pinned = null; draw(); }

function tip(text, event) {
  const box = $('tip');
  box.hidden = text === null;
  if (text === null) return;
  box.textContent = text;
  const frame = $('chart').getBoundingClientRect();
  const left = event.clientX - frame.left + 14;
  box.style.left = Math.max(4, Math.min(left, frame.width - box.offsetWidth - 8)) + 'px';
  box.style.top = event.clientY - frame.top + $('chart').scrollTop + 16 + 'px';
}

// Laid out by nesting, not parsed and printed: numbers stay as QEMU wrote them.
function pretty(text) {
  let out = '', depth = 0, quoted = false;
  const fresh = () => '\n' + '  '.repeat(Math.min(depth, 40));
  for (let i = 0; i < text.length; ++i) {
    const c = text[i];
    if (quoted) {
      out += c;
      if (c === '\\') out += text[++i] ?? '';
      else if (c === '"') quoted = false;
    } else if (c === '"') { quoted = true; out += c;
    } else if (c === '{' || c === '[') {
      const close = /^\s*[}\]]/.exec(text.slice(i + 1, i + 40));
      if (close) { out += c + close[0].trim(); i += close[0].length; } else { ++depth; out += c + fresh(); }
    } else if (c === '}' || c === ']') { --depth; out += fresh() + c;
    } else if (c === ',') { out += c + fresh();
    } else if (c === ':') { out += ': ';
    } else if (!/\s/.test(c)) out += c;
  }
  return out;
}

function details(item) {
  $('what').textContent = (item.kind === 'event' ? 'Event ' : '') + item.name;
  const facts = $('facts');
  facts.replaceChildren();
  const fact = (name, value) => { if (value !== '' && value !== null && value !== undefined) facts.append(html('dt', name), html('dd', String(value))); };
  fact('Time', moment(item.from) + (wall(item.from) ? ' (' + wall(item.from) + ')' : ''));
  if (item.kind === 'exchange') fact('Latency', item.latency === null ? 'none: ' + item.outcome : duration(item.latency) + (item.slow ? ' (slow)' : ''));
  if (item.kind === 'remark' && item.to > item.from) fact('For', duration(item.to - item.from));
  fact('Device', data.lanes[item.lane].device);
  if (item.outcome === 'refused') fact('Refused', item.errorClass + ': ' + item.desc);
  if (item.kind === 'remark') fact('What', item.args);
  fact('Events meanwhile', item.events || '');
  fact('Connection', item.conn || '');
  const bodies = $('bodies');
  bodies.replaceChildren();
  const shown = (name, index) => {
    if (index === undefined || (index === null && item.kind !== 'exchange')) return;
    bodies.append(html('p', name, 'cap'));
    bodies.append(html('pre', index === null ? '(none)' : index < 0 ? '(left out of this page, see its notes)' : pretty(data.bodies[index])));
  };
  if (item.kind === 'exchange') { shown('Sent', item.sent); shown('Received', item.reply); } else shown('Message', item.body);
}

function findings() {
  const found = items.filter((item) => (!matching || matching.has(item)) &&
    (item.outcome === 'refused' || item.outcome === 'unanswered' || item.slow || ['lost', 'torn', 'gap', 'silent', 'stray'].includes(item.name) && item.kind === 'remark'));
  $('count').textContent = found.length > 200 ? `the first 200 of ${found.length}` : String(found.length);
  $('findings').replaceChildren(...found.slice(0, 200).map((item) => {
    const entry = html('li'), button = html('button', (item.kind === 'remark' ? item.name + ': ' + item.args : item.name + (data.lanes[item.lane].device ? ' ' + data.lanes[item.lane].device : '')), 
      item.outcome === 'refused' || item.name === 'lost' || item.name === 'torn' || item.name === 'stray' ? 'bad' : item.outcome === 'unanswered' || item.kind === 'remark' ? 'none' : 'late');
    button.append(html('small', moment(item.from) + (item.outcome === 'refused' ? '  ' + item.desc : item.outcome === 'unanswered' ? '  no answer' : item.latency ? '  took ' + duration(item.latency) : '')));
    button.addEventListener('click', () => show(item));
    entry.append(button);
    return entry;
  }));
}

// ---- keys, wheel, drag
let dragged = false, grip = null;
plot.addEventListener('wheel', (event) => {
  event.preventDefault();
  const delta = event.deltaY || event.deltaX;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return pan(Math.sign(event.deltaX || delta) * 0.12);
  const at = view.from + (event.clientX - plot.getBoundingClientRect().left - LABELS) / scale;
  zoom(delta < 0 ? 1.3 : 1 / 1.3, Math.min(Math.max(at, view.from), view.to));
}, { passive: false });
plot.addEventListener('pointerdown', (event) => { if (event.button === 0) grip = { x: event.clientX, from: view.from, to: view.to }; dragged = false; });
window.addEventListener('pointermove', (event) => {
  if (!grip) return;
  const moved = event.clientX - grip.x;
  if (Math.abs(moved) > 3) dragged = true;
  if (!dragged) return;
  plot.classList.add('drag');
  view.from = grip.from - moved / scale; view.to = grip.to - moved / scale;
  keepInside(); draw();
});
window.addEventListener('pointerup', () => { grip = null; plot.classList.remove('drag'); });
document.addEventListener('keydown', (event) => {
  if (event.target === $('search')) { if (event.key === 'Escape') { $('search').value = ''; filter(); $('search').blur(); } return; }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = { '+': () => zoom(1.6), '=': () => zoom(1.6), '-': () => zoom(1 / 1.6), '0': fit, ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15),
    Escape: unpin, '/': () => $('search').focus() }[event.key];
  if (action) { event.preventDefault(); action(); }
});
$('in').addEventListener('click', () => zoom(1.6));
$('out').addEventListener('click', () => zoom(1 / 1.6));
$('left').addEventListener('click', () => pan(-0.25));
$('right').addEventListener('click', () => pan(0.25));
$('fit').addEventListener('click', fit);
$('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
});
$('search').addEventListener('input', filter);
window.addEventListener('resize', draw);

// ---- what stands round it
$('title').textContent = data.title;
document.title = 'QMP trace: ' + data.title;
$('summary').textContent = data.summary + (wall(0) ? ', from ' + wall(0) : '');
$('notes').append(...data.notes.map((note) => html('li', note)));
function legend(text, draw) {
  const entry = html('span'), picture = el('svg', { width: 26, height: 16, viewBox: '0 0 26 16', 'aria-hidden': 'true' });
  picture.append(draw);
  entry.append(picture, text);
  $('legend').append(entry);
}
const sample = (classes, ...nodes) => el('g', { class: classes }, ...nodes);
const bar = () => el('rect', { class: 'bar', x: 3, y: 4, width: 18, height: 9, rx: 2 });
legend('command', sample('exchange', bar()));
legend('slow (' + duration(data.slow_us) + ' or more)', sample('slow', bar(), el('path', { class: 'flag', d: 'M3 0h9l-2.5 3l2.5 3h-9z' })));
legend('refused', sample('refused', bar(), cross(21, 8)));
legend('unanswered', sample('unanswered', bar(), el('path', { class: 'mark', d: 'M14 3.5l8 5l-8 5z' })));
legend('event', sample('event', el('path', { class: 'mark', d: 'M12 2l6 6l-6 6l-6-6z' })));
legend('connection lost, torn or stray message', sample('remark lost', el('line', { x1: 12, x2: 12, y1: 0, y2: 16 }), cross(12, 7)));
for (const state of ['plugging', 'present', 'unplug pending'])
  legend(state, sample('', el('rect', { class: 'phase ' + state.replace(' ', '-'), x: 2, y: 2, width: 22, height: 12, rx: 2 })));

filter();
