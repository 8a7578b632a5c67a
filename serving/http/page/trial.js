// A request made by hand, from what the model says of its inputs.
const trial = {model: null, inputs: []};

const elementsOf = shape => shape.reduce((product, size) => product * size, 1);

function parseShape(text) {
  const sizes = text.split(/[\s,x]+/).filter(Boolean).map(Number);
  if (sizes.some(size => !Number.isInteger(size) || size < 0)) throw new Error(`not a shape: ${text}`);
  return sizes;
}

// A list in JSON, or its content without the brackets; for texts also plain lines.
function parseValues(text, datatype) {
  const bare = text.trim();
  try {
    const list = JSON.parse(bare.startsWith("[") ? bare : `[${bare}]`);
    return list.flat(Infinity);
  } catch {
    if (datatype !== "BYTES") throw new Error("values: numbers with commas between them");
    return bare.split("\n");
  }
}

function filled(datatype, count, kind) {
  if (count > 2e6) throw new Error("too many elements to send from a page");
  const one = () => datatype === "BYTES" ? "" : datatype === "BOOL" ? kind === "ones" : kind === "ones" ? 1 : 0;
  const isFloat = /^(FP|BF)/.test(datatype);
  const random = () => datatype === "BYTES" ? "" : datatype === "BOOL" ? Math.random() < .5
      : isFloat ? +Math.random().toFixed(4) : Math.floor(Math.random() * 10);
  return Array.from({length: count}, kind === "random" ? random : one);
}

function makeInput(spec) {
  const shape = make("input", {value: spec.shape.map(size => size < 0 ? 1 : size).join(", "), size: 18, inputMode: "text"});
  const fill = make("select", {}, ...["own values", "random", "zeros", "ones"].map(kind => make("option", {textContent: kind})));
  const values = make("textarea", {spellcheck: false});
  values.setAttribute("aria-label", `Values of ${spec.name}`);
  const count = elementsOf(parseShape(shape.value));
  fill.value = spec.datatype === "BYTES" || count <= 32 ? "own values" : "random";
  values.value = spec.datatype === "BYTES" ? JSON.stringify(Array(Math.min(count, 32)).fill("text"))
                                           : JSON.stringify(filled(spec.datatype, Math.min(count, 32), "zeros"));
  const show = () => { values.hidden = fill.value !== "own values"; };
  fill.onchange = show;
  show();
  const box = make("fieldset", {}, make("legend", {}, spec.name, " ", make("small", {textContent: `${spec.datatype} [${spec.shape.join(", ")}]`})),
                   make("div", {className: "line"}, make("label", {className: "line"}, "Shape", shape), make("label", {className: "line"}, "Filled with", fill)),
                   values);
  const tensor = () => {
    const sizes = parseShape(shape.value);
    const data = fill.value === "own values" ? parseValues(values.value, spec.datatype) : filled(spec.datatype, elementsOf(sizes), fill.value);
    return {name: spec.name, shape: sizes, datatype: spec.datatype, data};
  };
  return {box, tensor};
}

async function chooseTrial(model) {
  trial.model = model;
  const box = document.getElementById("inputs");
  box.replaceChildren();
  trial.inputs = [];
  if (!model) return;
  try {
    const answer = await fetch(`/v2/models/${encodeURIComponent(model.name)}/versions/${model.version}`);
    const said = await answer.json();
    if (trial.model !== model) return;
    if (!answer.ok) throw new Error(said.error);
    trial.inputs = said.inputs.map(makeInput);
    box.replaceChildren(...trial.inputs.map(input => input.box));
  } catch (error) {
    box.replaceChildren(make("p", {className: "notice", textContent: error.message}));
  }
}

function describeOutput(output) {
  const data = output.data || [], shown = data.slice(0, 60);
  const text = shown.map(value => typeof value === "number" ? +value.toPrecision(6) : JSON.stringify(value)).join(", ");
  const parts = [make("h3", {textContent: `${output.name}  ${output.datatype} [${output.shape.join(", ")}]`}),
                 make("pre", {textContent: text + (data.length > shown.length ? `, and ${data.length - shown.length} more` : "")})];
  if (data.length > 10 && typeof data[0] === "number") {
    const best = data.map((value, index) => [value, index]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    parts.push(make("p", {textContent: "Largest: " + best.map(([value, index]) => `[${index}] ${+value.toPrecision(4)}`).join("   ")}));
  }
  return parts;
}

async function sendTrial(event) {
  event.preventDefault();
  const box = document.getElementById("answer"), send = document.getElementById("send");
  send.disabled = true;
  try {
    if (!trial.model) throw new Error("no model is ready");
    const path = `/v2/models/${encodeURIComponent(trial.model.name)}/versions/${trial.model.version}/infer`;
    const body = JSON.stringify({inputs: trial.inputs.map(input => input.tensor()), parameters: {explain: true}});
    const begun = performance.now();
    const answer = await fetch(path, {method: "POST", body});
    const said = await answer.json();
    const took = performance.now() - begun;
    if (!answer.ok) throw new Error(`${answer.status}: ${said.error}`);
    const how = said.parameters || {};
    const told = `Answered in ${took.toFixed(1)} ms` + (how.batch_size ? `: waited ${formatTime(how.queue_us * 1e3)}, batch of ${how.batch_size}, lane ${how.lane}` : "");
    box.replaceChildren(make("p", {textContent: told}), ...said.outputs.flatMap(describeOutput));
    if (body.length < 2000) {
      const command = `curl ${location.origin}${path} -d '${body.replaceAll("'", "'\\''")}'`;
      box.append(make("details", {}, make("summary", {textContent: "As a command"}), make("pre", {textContent: command})));
    }
  } catch (error) {
    box.replaceChildren(make("p", {className: "notice", textContent: error.message}));
  }
  send.disabled = false;
}
