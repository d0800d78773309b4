"""What makes the episode's page move: its script and its own style; nothing from outside."""

STYLE = """
.player .views { display: flex; flex-wrap: wrap; gap: 16px; justify-content: center; }
.player .views figure { flex: 1 1 260px; max-width: 480px; }
.player .views img { width: 100%; border-radius: 10px; background: #eef0f2; display: block;
  image-rendering: auto; }
.player .views figcaption { text-align: center; }
.bar { display: flex; align-items: center; gap: 14px; margin: 16px 0 12px; }
.bar input { flex: 1; accent-color: var(--accent); height: 26px; }
.bar output { min-width: 152px; text-align: right; color: var(--soft); font-size: 14.5px; }
.bar button { border: 0; border-radius: 99px; width: 40px; height: 40px; font-size: 15px;
  background: var(--accent); color: #fff; cursor: pointer; }
.bar button:focus-visible, .bar input:focus-visible { outline: 3px solid #9cc3ea; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px;
  margin-bottom: 14px; }
.facts div { background: #f6f7f9; border-radius: 10px; padding: 8px 12px; font-size: 14px;
  overflow-wrap: anywhere; }
.facts b { display: block; color: var(--soft); font-weight: 500; font-size: 12.5px; }
.facts .axis { position: relative; height: 8px; border-radius: 4px; background: #e3e6ea;
  margin-top: 6px; }
.facts .axis i { position: absolute; top: 0; bottom: 0; border-radius: 4px;
  background: var(--accent); }
.facts .axis u { position: absolute; top: -3px; bottom: -3px; width: 2px; background: var(--bad); }
.facts .bad { color: var(--bad); font-weight: 600; } .facts .good { color: var(--good);
  font-weight: 600; }
figure.timed svg { cursor: crosshair; }
"""

SCRIPT = """
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const slider = document.getElementById('at'), now = document.getElementById('now');
const facts = document.getElementById('facts'), play = document.getElementById('play');
const last = data.steps.length, LEFT = 52, RIGHT = 14, WIDE = 560;
const charts = [...document.querySelectorAll('figure.timed svg')];
const NS = 'http://www.w3.org/2000/svg';
for (const svg of charts) {
  const tall = svg.viewBox.baseVal.height, line = document.createElementNS(NS, 'line');
  line.setAttribute('class', 'cursor');
  for (const [k, v] of [['y1', 12], ['y2', tall - 38], ['stroke', '#1f2733'],
    ['stroke-dasharray', '3 3'], ['stroke-opacity', 0.7]]) line.setAttribute(k, v);
  svg.append(line);
  svg.addEventListener('pointerdown', e => {
    const box = svg.getBoundingClientRect();
    const x = (e.clientX - box.left) / box.width * WIDE;
    show(Math.round((x - LEFT) / (WIDE - LEFT - RIGHT) * last));
  });
}
function fact(name, text, kind) {
  const box = document.createElement('div'), title = document.createElement('b');
  title.textContent = name;
  box.append(title);
  const said = document.createElement('span');
  if (kind) said.className = kind;
  said.textContent = text;
  box.append(said);
  facts.append(box);
  return box;
}
function axis(name, sent, asked) {
  const differs = asked !== null && Math.abs(asked - sent) > 0.005;
  const box = fact(name, sent.toFixed(3) + (differs ? '  (asked ' + asked.toFixed(3) + ')' : ''));
  const rule = document.createElement('div'), bar = document.createElement('i');
  rule.className = 'axis';
  const from = 50 * (1 + Math.min(0, sent)), to = 50 * (1 + Math.max(0, sent));
  bar.style.left = Math.max(0, from) + '%';
  bar.style.width = Math.min(100, to) - Math.max(0, from) + '%';
  rule.append(bar);
  if (differs) {
    const mark = document.createElement('u');
    mark.style.left = Math.min(100, Math.max(0, 50 * (1 + asked))) + '%';
    rule.append(mark);
  }
  box.append(rule);
}
function show(k) {
  k = Math.min(last, Math.max(0, k));
  slider.value = k;
  for (const [name, uris] of Object.entries(data.pictures))
    document.getElementById('view-' + name).src = uris[k];
  now.textContent = 'step ' + (k + data.first) + ' of ' + (last + data.first) + ', ' +
    data.seconds[k].toFixed(1) + ' s';
  for (const svg of charts) {
    const x = LEFT + k / last * (WIDE - LEFT - RIGHT), line = svg.querySelector('.cursor');
    line.setAttribute('x1', x);
    line.setAttribute('x2', x);
  }
  facts.replaceChildren();
  const step = data.steps[k];
  if (!step) { fact('the end', 'no action was made from this picture'); return; }
  data.names.forEach((name, n) => axis(name, step.sent[n],
    step.asked && n < step.asked.length ? step.asked[n] : null));
  fact('verdict', step.verdict || 'not recorded',
    step.verdict && step.verdict !== 'ok' ? 'bad' : '');
  fact('reward', String(step.reward), step.reward > 0 ? 'good' : '');
  fact('discount', String(step.discount));
  if (step.success !== undefined && step.success !== null)
    fact('success', step.success ? 'yes' : 'no', step.success ? 'good' : '');
  for (const [name, value] of Object.entries(step.info))
    fact(name, typeof value === 'number' ? value.toFixed(4) : String(value));
}
let timer = 0;
function stop() { clearTimeout(timer); timer = 0; play.textContent = '\\u25b6'; }
function tick() {
  const k = Number(slider.value);
  if (k >= last) { stop(); return; }
  show(k + 1);
  const wait = k + 2 <= last ? data.seconds[k + 2] - data.seconds[k + 1] : 0.1;
  timer = setTimeout(tick, 1000 * Math.min(1, Math.max(0.02, wait)));
}
function toggle() {
  if (timer) { stop(); return; }
  if (Number(slider.value) >= last) show(0);
  play.textContent = '\\u275a\\u275a';
  timer = setTimeout(tick, 100);
}
play.addEventListener('click', toggle);
slider.addEventListener('input', () => show(Number(slider.value)));
document.addEventListener('keydown', e => {
  const to = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[e.key];
  if (to !== undefined) { stop(); show(Number(slider.value) + to); }
  else if (e.key === ' ') toggle();
  else return;
  e.preventDefault();
});
const asked = Number(new URLSearchParams(location.search).get('step') || location.hash.slice(1));
show(Math.max(0, (asked || 0) - data.first));
"""
