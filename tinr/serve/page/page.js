"use strict";
// All text of a model or a tool is inserted as text, never as markup.
const $ = (id) => document.getElementById(id);
const HEADINGS = {think: "Thought", tool_token: "Tools", tool_call: "Call", obs: "Result", response: "Answer"};
const CLASSES = {tool_call: "call", obs: "obs", response: "answer"};
let controller = null;
let history = {}; // model -> the messages so far

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(text, isWrong = false) {
  $("status").textContent = text;
  $("status").className = isWrong ? "wrong" : "";
}

async function read(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Error(body.error ? body.error.message : `${address}: ${answer.status}`);
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const text = part.replace(/^data: /, "");
      if (text !== "[DONE]") yield JSON.parse(text);
    }
  }
}

function readTool(name, model) {
  const address = `/v1/tools/${encodeURIComponent(name)}?model=${encodeURIComponent(model)}`;
  return read(address).then((answer) => answer.json());
}

function toolButton(name, model) {
  const button = element("button", name, "tool");
  button.type = "button";
  button.addEventListener("click", () => showTool(name, model));
  const hint = () => readTool(name, model)
    .then(({recalled, document}) => { button.title = `recalled:\n${recalled}\n\ndocument:\n${document}`; })
    .catch((error) => { button.title = error.message; });
  button.addEventListener("pointerenter", hint, {once: true});
  return button;
}

async function showTool(name, model) {
  $("tool-name").textContent = name;
  $("recalled").textContent = "The model is writing it ...";
  $("document").textContent = "";
  $("tool").showModal();
  try {
    const tool = await readTool(name, model);
    $("recalled").textContent = tool.recalled;
    $("document").textContent = tool.document;
  } catch (error) {
    $("recalled").textContent = error.message;
  }
}

// One answer while it grows: a heading and a box for each part of the reply.
class Answer {
  constructor(box, model) {
    this.box = box;
    this.model = model;
    this.part = null;
    this.last = null;
  }

  grow({part, text, is_tool: isTool}) {
    if (part !== this.part || !this.last) {
      this.box.append(element("h3", HEADINGS[part] || part));
      this.last = element(part === "tool_call" || part === "obs" ? "pre" : "p", "", CLASSES[part] || "");
      if (this.last.tagName === "PRE") this.last.tabIndex = 0;
      this.box.append(this.last);
      this.part = part;
    }
    const found = isTool && text.match(/^([\s\S]*)<<(\S+)>>$/);
    if (!found) {
      this.last.append(text);
      return;
    }
    this.last.append(found[1], toolButton(found[2], this.model));
  }

  end({near, problems}, seconds, usage) {
    if (near && near.length) {
      this.box.append(element("h3", "Most likely tools"));
      for (const choice of near.slice(0, 3)) {
        const table = element("table");
        for (const {name, probability} of choice) {
          const row = table.insertRow();
          row.insertCell().append(toolButton(name, this.model));
          row.insertCell().append(`${(100 * probability).toFixed(1)} %`);
        }
        this.box.append(table);
      }
    }
    for (const problem of problems || []) this.box.append(element("p", problem, "wrong"));
    const spent = usage ? `${usage.prompt_tokens} prompt tokens, ${usage.completion_tokens} written, ` : "";
    this.box.append(element("p", `${spent}${seconds.toFixed(1)} s`, "figures"));
  }
}

async function ask(model, text, box, signal) {
  const earlier = $("keep").checked ? history[model] || [] : [];
  const messages = [...earlier, {role: "user", content: text}];
  const start = performance.now();
  const shown = new Answer(box, model);
  const body = {model, messages, stream: true, watch: true, stream_options: {include_usage: true}};
  const answer = await read("/v1/chat/completions", {
    method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body), signal,
  });
  let content = "";
  let details = {};
  let usage = null;
  for await (const event of events(answer)) {
    if (event.error) throw new Error(event.error.message);
    usage = event.usage || usage;
    const choice = event.choices[0];
    if (!choice) continue;
    content += choice.delta.content || "";
    if (event.tinr && event.tinr.part) shown.grow(event.tinr);
    else if (event.tinr) details = event.tinr;
    if (choice.finish_reason === "tool_calls") {
      box.append(element("p", "The client runs this call. To run it here, start the server with --execute.", "figures"));
    }
  }
  shown.end(details, (performance.now() - start) / 1000, usage);
  history[model] = [...messages, {role: "assistant", content: content || "(no answer)"}];
}

async function submit(event) {
  event.preventDefault();
  const text = $("query").value.trim();
  if (!text) return;
  const models = [...new Set([$("first").value, $("second").value].filter(Boolean))];
  controller = new AbortController();
  $("send").disabled = true;
  $("stop").disabled = false;
  say("The model is writing ...");
  if (!$("keep").checked) {
    history = {};
    $("answers").replaceChildren();
  }
  const boxes = models.map((model) => {
    const label = `answer of ${model}`;
    let box = [...$("answers").children].find((one) => one.getAttribute("aria-label") === label);
    if (!box) {
      box = element("article");
      box.setAttribute("aria-label", label);
      box.append(element("h2", model));
      $("answers").append(box);
    }
    box.append(element("p", text, "asked"));
    return box;
  });
  const ends = await Promise.allSettled(
    models.map((model, place) => ask(model, text, boxes[place], controller.signal)));
  const failed = ends.find((end) => end.status === "rejected");
  if (controller.signal.aborted) say("Stopped.");
  else if (failed) say(failed.reason.message, true);
  else say("Done.");
  $("send").disabled = false;
  $("stop").disabled = true;
  $("query").focus();
}

async function begin() {
  const {data} = await (await read("/v1/models")).json();
  for (const {id} of data) {
    $("first").append(new Option(id, id));
    $("second").append(new Option(id, id));
  }
  $("form").addEventListener("submit", submit);
  $("stop").addEventListener("click", () => controller && controller.abort());
  $("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      $("form").requestSubmit();
    }
  });
}

begin().catch((error) => say(error.message, true));
