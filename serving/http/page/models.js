// The table of models. Names and reasons come from folders and clients: they are put in as text, never as markup.
const rowsByKey = new Map();

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function control(model, verb, button) {
  button.disabled = true;
  outcome.textContent = `${verb === "load" ? "Loading" : "Unloading"} ${model}`;
  try {
    const answer = await fetch(`/v2/repository/models/${encodeURIComponent(model)}/${verb}`, {method: "POST"});
    const problem = answer.ok ? "" : (await answer.json()).error;
    outcome.textContent = problem || `${model} was ${verb}ed`;
  } catch (error) {
    outcome.textContent = `${verb}: ${error.message}`;
  }
  button.disabled = false;
  look();
}

// Unloading asks once more, on the button itself.
function unloadButton(model) {
  const button = make("button", {type: "button", textContent: "Unload"});
  button.setAttribute("aria-label", `Unload ${model}`);
  const calm = () => { button.textContent = "Unload"; button.className = ""; };
  button.onclick = () => {
    if (button.className) { calm(); return control(model, "unload", button); }
    button.textContent = "Really unload?";
    button.className = "sure";
    setTimeout(calm, 4000);
  };
  return button;
}

function makeRow(model, leads) {
  const row = {element: make("tr", {}), cells: {}};
  const title = make("th", {scope: "row", className: "wide"}, model.name);
  if (model.version) title.append(make("span", {className: "reason", textContent: `version ${model.version}`}));
  row.state = make("span", {className: "pill"});
  row.reason = make("span", {className: "reason"});
  row.element.append(title, make("td", {className: "wide"}, row.state, row.reason));
  for (const label of ["Requests/s", "p50", "p99", "Waiting", "Failed", "Memory"]) {
    row.cells[label] = make("td", {className: "number"});
    row.cells[label].dataset.label = label;
    row.element.append(row.cells[label]);
  }
  row.actions = make("td", {className: "actions wide"});
  row.element.append(row.actions);
  if (leads) {
    row.load = make("button", {type: "button"});
    row.load.onclick = () => control(model.name, "load", row.load);
    row.unload = unloadButton(model.name);
    row.actions.append(row.load, " ", row.unload);
  }
  return row;
}

function fillRow(row, model, mayControl, history) {
  const loaded = model.requests !== undefined, ready = model.state === "READY";
  row.state.textContent = model.state.toLowerCase();
  row.state.className = `pill ${ready ? "good" : model.reason && !/^(unloaded|evicted)/.test(model.reason) ? "bad" : ""}`;
  const notes = [model.reason, model.fallback, loaded && model.device !== "cpu" ? `on ${model.device}` : ""];
  row.reason.textContent = notes.filter(Boolean).join("; ");
  const now = history.recent(10, keyOf(model));
  const texts = loaded ? {"Requests/s": formatCount(now.rate), "p50": formatTime(now.p50), "p99": formatTime(now.p99),
                          "Waiting": formatCount(model.queued), "Failed": formatCount(model.failures), "Memory": formatBytes(model.bytes)} : {};
  for (const [label, cell] of Object.entries(row.cells)) {
    cell.textContent = texts[label] ?? "";
    cell.classList.toggle("absent", !loaded);
  }
  row.actions.classList.toggle("absent", !(mayControl && row.load));
  if (!row.load) return;
  row.load.hidden = row.unload.hidden = !mayControl;
  if (!loaded) row.unload.hidden = true;
  row.load.textContent = loaded ? "Reload" : "Load";
  row.load.setAttribute("aria-label", `${row.load.textContent} ${model.name}`);
}

function showModels(status, history) {
  const body = document.getElementById("rows"), seen = new Set();
  let previous = null;
  status.models.forEach((model, i) => {
    const leads = model.name !== previous, key = keyOf(model) + leads;
    previous = model.name;
    seen.add(key);
    if (!rowsByKey.has(key)) rowsByKey.set(key, makeRow(model, leads));
    const row = rowsByKey.get(key);
    if (body.children[i] !== row.element) body.insertBefore(row.element, body.children[i] || null);
    fillRow(row, model, status.server.may_control, history);
  });
  for (const [key, row] of rowsByKey)
    if (!seen.has(key)) {
      row.element.remove();
      rowsByKey.delete(key);
    }
}
