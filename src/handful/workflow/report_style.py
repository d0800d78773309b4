"""How the report looks: one inline style sheet, the fonts the reader's system has, light paper."""

CSS = """
:root { --ink: #1f2733; --soft: #5b6572; --line: #e3e6ea; --accent: #2f6fb3; --good: #2c8f6b;
  --bad: #cf4a3c; --paper: #ffffff; --ground: #f4f5f7; }
* { box-sizing: border-box; }
html { background: var(--ground); }
body { margin: 0 auto; max-width: 1080px; padding: 40px 28px 72px; color: var(--ink);
  font: 16px/1.55 Inter, "Segoe UI", "Helvetica Neue", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
header p.eyebrow { margin: 0 0 6px; color: var(--soft); letter-spacing: .08em; font-size: 13px;
  text-transform: uppercase; }
h1 { font-size: 38px; line-height: 1.15; margin: 0 0 10px; font-weight: 650;
  letter-spacing: -0.02em; }
h2 { font-size: 23px; margin: 0 0 4px; font-weight: 620; letter-spacing: -0.01em; }
h3 { font-size: 15px; margin: 0 0 6px; font-weight: 600; }
p { margin: 0 0 12px; }
p.lead { font-size: 18px; color: var(--soft); max-width: 46em; }
p.note, .caption { color: var(--soft); font-size: 14px; max-width: 56em; }
.empty { color: var(--soft); font-style: italic; font-size: 14px; }
section { margin-top: 28px; background: var(--paper); border: 1px solid var(--line);
  border-radius: 14px; padding: 26px 28px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 12px;
  margin-top: 24px; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; }
.tile b { display: block; font-size: 27px; font-weight: 620; line-height: 1.2;
  letter-spacing: -0.01em; }
.tile span { color: var(--soft); font-size: 13.5px; }
.tile.first { background: var(--accent); border-color: var(--accent); color: #fff; }
.tile.first span { color: #dbe8f5; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 26px; }
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 22px; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: 13.5px; margin-top: 4px; }
svg { width: 100%; height: auto; display: block; overflow: visible; }
svg text { font-family: inherit; fill: var(--soft); }
svg .tick { font-size: 11.5px; } svg .axis { font-size: 12.5px; }
img.film { width: 100%; border-radius: 10px; display: block; background: #eef0f2; }
.tag { display: inline-block; border-radius: 99px; padding: 0 9px; font-size: 12.5px;
  font-weight: 600; color: #fff; background: var(--good); }
.tag.bad { background: var(--bad); }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
th { text-align: left; color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line);
  padding: 6px 12px 6px 0; }
td { border-bottom: 1px solid var(--line); padding: 7px 12px 7px 0; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
.near { display: grid; grid-template-columns: 1fr 14px repeat(5, 1fr); gap: 8px;
  align-items: start; margin-bottom: 12px; }
.near img { width: 100%; border-radius: 6px; display: block; image-rendering: auto; }
.near .caption { font-size: 12px; text-align: center; line-height: 1.3; }
.near .rule { border-left: 2px solid var(--line); height: 100%; margin-left: 6px; }
.key { display: flex; flex-wrap: wrap; gap: 6px 18px; font-size: 13.5px; color: var(--soft);
  margin: 4px 0 12px; }
.key i { display: inline-block; width: 18px; height: 3px; border-radius: 2px;
  vertical-align: middle; margin-right: 6px; }
pre { background: #f6f7f9; border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
  overflow: auto; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; }
details summary { cursor: pointer; color: var(--accent); font-weight: 550; margin: 10px 0; }
footer { color: var(--soft); font-size: 13.5px; margin-top: 26px; }
@media print { html { background: #fff; } section { break-inside: avoid; } }
@media (max-width: 560px) { .two, .three { grid-template-columns: 1fr; }
  body { padding: 20px 14px; }
  h1 { font-size: 29px; } section { padding: 18px 16px; } }
"""
