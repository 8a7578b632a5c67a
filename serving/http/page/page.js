// Looks once a second, while somebody sees the page, and shows what has changed.
const history_ = new History();
const shown = document.getElementById("shown"), tried = document.getElementById("tried"), outcome = document.getElementById("outcome");
let timer = 0, failures = 0;

// Options of a list, without taking the choice away from who has made one.
function offer(select, entries) {
  const wanted = JSON.stringify(entries);
  if (select.dataset.entries === wanted) return;
  const chosen = select.value;
  select.dataset.entries = wanted;
  select.replaceChildren(...entries.map(([value, text]) => make("option", {value, textContent: text})));
  if (entries.some(([value]) => value === chosen)) select.value = chosen;
}

function showFacts(status) {
  const {server, process} = status, before = history_.snapshots[Math.max(0, history_.snapshots.length - 4)];
  const seconds = history_.last.seconds - before.seconds;
  const cpu = seconds > 0 ? (process.cpu_seconds - before.status.process.cpu_seconds) / seconds : null;
  const held = status.models.reduce((sum, model) => sum + (model.bytes || 0), 0);
  const facts = [["up", formatUptime(server.uptime_seconds)], ["CPU", cpu === null ? "\u2013" : `${Math.max(0, cpu).toFixed(2)} cores`],
                 ["memory", formatBytes(process.resident_bytes)],
                 ["models", formatBytes(held) + (server.memory_limit ? ` of ${formatBytes(server.memory_limit)}` : "")]];
  document.getElementById("facts").replaceChildren(
      ...facts.map(([name, value]) => make("div", {}, make("dt", {textContent: name}), make("dd", {textContent: value}))));
  document.getElementById("version").textContent = server.version;
  const state = document.getElementById("state"), text = server.ready ? "Ready" : `Not ready: ${server.reason}`;
  if (state.textContent !== text) state.textContent = text;
  state.className = `pill ${server.ready ? "good" : "bad"}`;
}

function showLoad() {
  const key = shown.value, points = history_.points(key), recent = history_.recent(5, key), minute = history_.recent(60, key);
  const tell = (id, chart, text, what) => {
    document.getElementById(id).textContent = text;
    document.getElementById(chart).setAttribute("aria-label", `${what}: ${text}`);
  };
  const runs = minute.batches.reduce((sum, [, count]) => sum + count, 0);
  const mean = minute.batches.reduce((sum, [size, count]) => sum + size * count, 0) / Math.max(runs, 1);
  tell("rate", "rates", formatCount(recent.rate), "Requests a second");
  tell("latency", "latencies", recent.p50 === null ? "\u2013" : `p50 ${formatTime(recent.p50)}, p99 ${formatTime(recent.p99)}`, "Latency");
  tell("queue", "queues", formatCount(recent.queued), "Waiting in the queue");
  tell("batch", "batches", runs ? `mean ${+mean.toPrecision(3)}` : "\u2013", "Batch sizes of the last minute");
  drawLines(document.getElementById("rates"), points, [["first", "", point => point.rate]], 10, formatCount);
  drawLines(document.getElementById("latencies"), points, [["first", "p50", point => point.p50], ["second", "p99", point => point.p99]], 1e5, formatTime);
  drawLines(document.getElementById("queues"), points, [["first", "", point => point.queued]], 10, formatCount);
  drawColumns(document.getElementById("batches"), minute.batches);
}

function show(status) {
  history_.add(status, performance.now() / 1000);
  const title = model => `${model.name}, version ${model.version}`;
  const loaded = status.models.filter(model => model.requests !== undefined);
  offer(shown, [[kAll, "all models"], ...loaded.map(model => [keyOf(model), title(model)])]);
  offer(tried, loaded.filter(model => model.state === "READY").map(model => [keyOf(model), title(model)]));
  if (tried.value !== (trial.model ? keyOf(trial.model) : "")) chooseTrial(loaded.find(model => keyOf(model) === tried.value) || null);
  showFacts(status);
  showModels(status, history_);
  showLoad();
}

async function look() {
  clearTimeout(timer);
  const notice = document.getElementById("notice");
  let status = null;
  try {
    const answer = await fetch("/status.json", {cache: "no-store"});
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    status = await answer.json();
    failures = 0;
    notice.hidden = true;
  } catch (error) {
    ++failures;
    notice.textContent = `The server does not answer (${error.message}). What is shown is what it said last.`;
    notice.hidden = false;
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, Math.min(1000 * 2 ** failures, 10000));
  if (status) show(status);
}

shown.onchange = showLoad;
tried.onchange = () => chooseTrial(history_.last.status.models.find(model => keyOf(model) === tried.value) || null);
document.getElementById("trial").onsubmit = sendTrial;
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
