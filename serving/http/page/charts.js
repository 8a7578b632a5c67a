// Small charts in SVG, drawn anew with each snapshot.
const kSpan = 120;  // seconds shown
const kLeft = 44, kBottom = 18, kTop = 6, kRight = 6;

function draw(parent, tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// 1, 2 or 5 times a power of ten, the first at or above `value`.
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find(step => step * power >= value * 0.999);
}

function frame(svg, top, format) {
  const width = svg.clientWidth || 300, height = svg.clientHeight || 128;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const y = value => height - kBottom - (height - kBottom - kTop) * Math.min(value / top, 1);
  for (const share of [0, .5, 1]) {
    draw(svg, "line", {class: "grid", x1: kLeft, x2: width - kRight, y1: y(share * top), y2: y(share * top)});
    draw(svg, "text", {x: kLeft - 5, y: y(share * top) + 4, "text-anchor": "end"}, format(share * top));
  }
  return {width, height, y};
}

// `series`: [class, name of the label, values by point (null: none)].
function drawLines(svg, points, series, least, format) {
  const largest = Math.max(least, ...series.flatMap(([, , of]) => points.map(point => of(point) ?? 0)));
  const {width, height, y} = frame(svg, niceTop(largest), format);
  const now = points.length ? points[points.length - 1].seconds : 0;
  const x = seconds => width - kRight - (width - kRight - kLeft) * (now - seconds) / kSpan;
  draw(svg, "text", {x: kLeft, y: height - 3}, "2 min ago");
  draw(svg, "text", {x: width - kRight, y: height - 3, "text-anchor": "end"}, "now");
  for (const [style, label, of] of series) {
    let path = "", joined = false, first = 0, last = 0;
    for (const point of points) {
      const value = of(point);
      if (value === null || now - point.seconds > kSpan) { joined = false; continue; }
      last = x(point.seconds);
      if (!path) first = last;
      path += `${joined ? "L" : "M"}${last.toFixed(1)} ${y(value).toFixed(1)}`;
      joined = true;
    }
    if (!path) continue;
    if (series.length === 1) draw(svg, "path", {class: "area", d: `${path}L${last.toFixed(1)} ${y(0)}L${first.toFixed(1)} ${y(0)}Z`});
    draw(svg, "path", {class: style, d: path});
    if (label) draw(svg, "text", {class: style === "first" ? "one" : "two", x: kLeft + (style === "first" ? 6 : 40), y: kTop + 8}, label);
  }
}

// Columns of powers of two: 1, 2, 3-4, 5-8 and so on.
function columnsOf(pairs) {
  const columns = new Map();
  for (const [size, count] of pairs) {
    const to = 2 ** Math.ceil(Math.log2(Math.max(size, 1)));
    columns.set(to, (columns.get(to) || 0) + count);
  }
  return [...columns].map(([to, count]) => [to > 2 ? to / 2 + 1 : to, to, count]);
}

// `pairs`: [size, how many], ascending.
function drawColumns(svg, pairs) {
  const columns = columnsOf(pairs);
  const {width, height, y} = frame(svg, niceTop(Math.max(1, ...columns.map(([, , count]) => count))), formatCount);
  const step = (width - kRight - kLeft) / Math.max(columns.length, 4);
  columns.forEach(([from, to, count], i) => {
    draw(svg, "rect", {class: "column", x: kLeft + i * step + step * .15, width: step * .7, y: y(count), height: Math.max(0, y(0) - y(count)), rx: 2});
    draw(svg, "text", {x: kLeft + (i + .5) * step, y: height - 3, "text-anchor": "middle"}, from === to ? from : `${from}-${to}`);
  });
}

function formatCount(value) {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e4) return `${+(value / 1e3).toPrecision(3)}K`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : String(+value.toPrecision(2));
}
function formatTime(ns) {
  if (ns === null || ns === undefined) return "\u2013";
  if (ns < 1e6) return `${+(ns / 1e3).toPrecision(3)} \u00b5s`;
  return ns < 1e9 ? `${+(ns / 1e6).toPrecision(3)} ms` : `${+(ns / 1e9).toPrecision(3)} s`;
}
function formatBytes(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < 4; ++unit) bytes /= 1024;
  return `${bytes >= 100 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}
function formatUptime(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}
