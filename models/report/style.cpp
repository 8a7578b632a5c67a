#include "models/report/style.h"

namespace tandem {

// Text and lines keep a contrast of 4.5 to 1 and 3 to 1 with their background (WCAG 2.1 AA) in both schemes.
const std::string_view kReportStyle = R"css(
:root { color-scheme: light dark; --page: #ffffff; --card: #f6f8fa; --text: #1f2328; --soft: #57606a; --rule: #d0d7de;
  --link: #0550ae;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #6e5a00; --heat: 9, 105, 218; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0d1117; --card: #161b22; --text: #e6edf3; --soft: #9da7b3; --rule: #30363d; --link: #79b8ff;
    --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #ff7bac; --c5: #d4b72f; --heat: 88, 166, 255; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 36px 0 12px; padding-bottom: 4px; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0 0 10px; }
a { color: var(--link); overflow-wrap: anywhere; }
.lead, .note, .axis-name, .range, .beside { color: var(--soft); }
.note { font-size: .85rem; margin: 6px 0 4px; }
.axis-name { font-size: .8rem; margin: 2px 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 220px), 1fr)); gap: 12px; margin: 18px 0; }
.card, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; margin: 0; }
.card b { display: block; font-size: 1.9rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.range, .beside { display: block; font-size: .85rem; font-weight: 400; font-variant-numeric: tabular-nums; }
td .range { white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 14px;
   align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .85rem; padding-bottom: 6px; }
th, td { padding: 5px 12px 5px 0; text-align: right; border-bottom: 1px solid var(--rule); vertical-align: top; }
th[scope="row"], thead th:first-child { text-align: left; }
th { font-weight: 600; }
td.best { font-weight: 700; }
table.results { min-width: min(100%, 640px); }
table.confusion td, table.confusion thead th { text-align: center; padding: 5px 8px; min-width: 44px; }
figure.wide { grid-column: 1 / -1; }
table.confusion td.right { outline: 1px solid var(--soft); outline-offset: -2px; }
.groups { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 20px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 14px; margin: 8px 0 0; font-size: .9rem; }
dt { color: var(--soft); max-width: 11em; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px; overflow-x: auto;
   font-size: .85rem; }
summary { cursor: pointer; color: var(--link); font-size: .9rem; padding: 4px 0; }
ul.files { padding-left: 1.2em; margin: 0; }
ul.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0; margin: 4px 0 0; font-size: .85rem; }
@media (max-width: 600px) {
  table.results { font-size: .82rem; } table.results .range { font-size: .7rem;
    } table.results th, table.results td { padding-right: 6px; }
  .wide table.confusion td, .wide table.confusion thead th { min-width: 27px; padding: 4px 3px; font-size: .75rem; } }
svg.plot { display: block; width: 100%; max-width: 520px; height: auto; margin: 4px auto 0; }
svg text { fill: var(--soft); font: 11px system-ui, "DejaVu Sans", sans-serif; }
svg text.label { font-size: 12px; }
.grid { stroke: var(--rule); stroke-width: .7; }
.axis { stroke: var(--soft); fill: none; }
.diagonal { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 4; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 5 3; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.dot { fill: currentColor; }
.s0, .s6 { color: var(--c0); } .s1, .s7 { color: var(--c1); } .s2, .s8 { color: var(--c2); }
.s3, .s9 { color: var(--c3); } .s4, .s10 { color: var(--c4); } .s5, .s11 { color: var(--c5); }
.s1.line, .s3.line, .s5.line { stroke-dasharray: 7 3; }
.s6.line, .s7.line, .s8.line, .s9.line, .s10.line, .s11.line { stroke-dasharray: 2 3; }
)css";

}  // namespace tandem
