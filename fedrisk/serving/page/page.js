"use strict";
// The page of a loan officer. It talks to its own service alone, puts every text in as text, and keeps the token in
// this tab's session. The same request is sent again under the same key, so that nobody is asked twice.

const $ = (id) => document.getElementById(id);
const KEY = "fedrisk-token";
const PASSING = new Set(["away", "late", "version", "keys", "old", "later", "internal", "hub", "own_table"]);
// A member that failed the whole question: asked again under the same id, the others use no consent twice.
const FAILED = new Set([...PASSING, "form", "envelope", "repeated", "unknown", "approval", "asker", "purpose", "quota"]);
const DECISIONS = { accept: "Accept", refer: "A person decides", decline: "Decline" };
const PARTS = {
  funding: "Funding", operating: "Operation", expected_loss: "Expected loss", margin: "Margin",
  green: "Green discount", floor: "Raised to the floor", cap: "Lowered to the cap",
};
const GRADES = { A: [0, 0.25], B: [0.25, 0.5], C: [0.5, 1], D: [1, 2], E: [2, 4], F: [4, 8], G: [8, 16], H: [16, 32] };
let models = [];
let pending = { body: "", key: "" };

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function number(value, digits = 0) {
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { authorization: `Bearer ${sessionStorage.getItem(KEY) || ""}`, ...(options.headers || {}) },
      cache: "no-store", credentials: "omit", redirect: "error",
    });
  } catch {
    return { problem: { code: "gone", title: "The bank's node does not answer. Check that it runs, then try again." } };
  }
  let body = null;
  try { body = await response.json(); } catch { /* Said below. */ }
  if (response.ok && body !== null) return { body };
  return { problem: body || { code: "gone", title: "The bank's node gave no readable answer. Try again." } };
}

// --- signing in ---------------------------------------------------------------------------------------------

function showEntrance(text = "") {
  sessionStorage.removeItem(KEY);
  $("desk").hidden = true;
  $("sign-out").hidden = true;
  $("entrance").hidden = false;
  $("bank").textContent = "";
  $("token-error").textContent = text;
  $("token").toggleAttribute("aria-invalid", false);
  if (text) $("token").setAttribute("aria-invalid", "true");
  $("token").value = "";
  $("token").focus();
}

async function enter() {
  const { body, problem } = await call("/v1/models");
  if (problem) {
    if (problem.code === "token") showEntrance("This is not the token of this service. Copy it once more.");
    else if (!$("entrance").hidden || !models.length) showEntrance(problem.title);
    return;
  }
  models = body.models.filter((m) => m.deployed_as);
  $("bank").textContent = body.bank;
  fillChoices(body.products);
  $("entrance").hidden = true;
  $("desk").hidden = false;
  $("sign-out").hidden = false;
  if (!models.length) {
    tellProblem("No model is deployed at this bank", "Deploy one with fedrisk model deploy, then reload this page.");
  }
  $("id").focus();
}

function fillChoices(products) {
  const champions = models.filter((m) => m.deployed_as === "champion");
  const options = models.map((m) => make("option", {
    value: m.id, text: `${m.name}, version ${m.version} (${m.deployed_as})`,
  }));
  if (champions.length === 1) options.unshift(make("option", { value: "champion", text: "The bank's champion" }));
  $("model").replaceChildren(...options);
  $("product").replaceChildren(
    make("option", { value: "", text: products.length ? "None (score alone)" : "None" }),
    ...products.map((name) => make("option", { value: name, text: name.replaceAll("_", " ") })),
  );
  $("product").disabled = !products.length;
  showTerms();
  showColumns();
}

function showTerms() { $("terms").hidden = !$("product").value; }

function chosen() {
  const value = $("model").value;
  return models.find((m) => (value === "champion" ? m.deployed_as === "champion" : m.id === value));
}

function showColumns() {
  const model = chosen();
  const columns = model ? model.columns : [];
  $("own").hidden = !columns.length;
  $("columns").replaceChildren(...columns.map((column) => {
    const id = `column-${column.name}`;
    let input;
    if (column.kind === "number") {
      input = make("input", { id, inputmode: "decimal", "data-kind": "number" });
    } else {
      const words = column.kind === "flag" ? [["1", "yes"], ["0", "no"]] : (column.categories || []).map((c) => [c, c]);
      input = make("select", { id, "data-kind": column.kind }, make("option", { value: "", text: "not known" }),
        ...words.map(([value, text]) => make("option", { value, text })));
    }
    input.dataset.column = column.name;
    input.setAttribute("aria-describedby", `${id}-error`);
    const hint = column.kind === "number" ? ` ${number(column.low, column.low % 1 ? 2 : 0)} to ${number(column.high, column.high % 1 ? 2 : 0)}` : "";
    const meaning = column.meaning && column.meaning !== column.name ? column.meaning : "";
    return make("div", { class: "field" },
      make("label", { for: id }, column.name.replaceAll("_", " "), make("span", { class: "hint", text: hint })),
      input, meaning ? make("p", { class: "help", text: meaning }) : null,
      make("p", { id: `${id}-error`, class: "wrong" }));
  }));
}

// --- asking -------------------------------------------------------------------------------------------------

function wrong(input, text) {
  const place = $(`${input.id}-error`);
  if (place) place.textContent = text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  return text ? input : null;
}

function amountOf(input, whole = false) {
  const text = input.value.trim().replace(/[\s,\u00a0\u202f']/g, "");
  if (!text) return [null, wrong(input, "")];
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) return [null, wrong(input, "Write a number, for example 300000.")];
  if (whole && (!Number.isInteger(value) || value < 1)) return [null, wrong(input, "Write whole months, for example 12.")];
  return [value, wrong(input, "")];
}

function readForm() {
  const faults = [];
  const enterprise = { id: $("id").value.trim(), consent: $("consent").value.trim() };
  faults.push(wrong($("id"), enterprise.id ? "" : "Write the enterprise's id."));
  if ($("product").value) {
    const application = {};
    for (const name of ["amount", "months", "turnover"]) {
      const [value, fault] = amountOf($(name), name === "months");
      faults.push(fault);
      if (value !== null) application[name] = value;
    }
    application.green = $("green").checked;
    enterprise.application = application;
  }
  if ($("own").open && !$("own").hidden) {
    enterprise.values = {};
    for (const input of $("columns").querySelectorAll("[data-column]")) {
      const text = input.value.trim();
      if (!text) { wrong(input, ""); continue; }
      let value = text;
      if (input.dataset.kind === "number") {
        value = Number(text.replace(/[\s,\u00a0\u202f']/g, ""));
        if (!Number.isFinite(value)) { faults.push(wrong(input, "Write a number, for example 1234.5.")); continue; }
      }
      wrong(input, "");
      enterprise.values[input.dataset.column] = value;
    }
  }
  const fault = faults.find((f) => f);
  if (fault) { fault.focus(); return null; }
  return { enterprises: [enterprise], model: $("model").value || "champion", product: $("product").value };
}

async function ask(event) {
  event.preventDefault();
  $("ask-error").textContent = "";
  const asked = readForm();
  if (!asked || $("score").disabled) return;
  const body = JSON.stringify(asked);
  if (pending.body !== body) pending = { body, key: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) };
  $("score").disabled = true;
  $("score").textContent = "Asking …";
  $("result").setAttribute("aria-busy", "true");
  const { body: found, problem } = await call("/v1/scores", {
    method: "POST", body, headers: { "content-type": "application/json", "idempotency-key": pending.key },
  });
  $("score").disabled = false;
  $("score").textContent = "Score";
  $("result").removeAttribute("aria-busy");
  if (problem && problem.code === "token") { showEntrance("The token has changed. Sign in with the new one."); return; }
  if (problem) {
    tellProblem("No score", `${problem.title}${problem.detail ? ` ${problem.detail}` : ""}`, problem.places || []);
  } else {
    const [answer] = found.answers;
    const codes = [answer.code, ...Object.values(answer.members)];
    const passes = codes.some((code) => PASSING.has(code));
    if (!codes.some((code) => FAILED.has(code))) pending = { body: "", key: "" };
    showAnswer(answer, passes);
  }
  $("result-title").focus();
  if (window.innerWidth < 800) $("result").scrollIntoView({ block: "start" });
}

// --- answers ------------------------------------------------------------------------------------------------

function tellProblem(title, text, places = []) {
  $("answer").classList.remove("stale");
  $("stale").hidden = true;
  $("answer").replaceChildren(make("div", { class: "notice error" },
    make("strong", { text: title }), make("p", { text }),
    places.length ? make("ul", {}, ...places.map((p) => make("li", { text: p }))) : null));
}

function showAnswer(answer, passes) {
  const model = models.find((m) => m.id === answer.model.id);
  const parts = [make("p", { class: "who", text: answer.id })];
  if (answer.code) {
    parts.push(make("div", { class: "notice error" }, make("strong", { text: "No score" }),
      make("p", { text: answer.words }),
      passes ? make("p", { text: "“Score” asks again; nobody counts it twice." }) : null));
  } else {
    parts.push(figures(answer, model), model ? scale(answer, model) : null);
    if (answer.own_probability !== null) {
      parts.push(make("p", { class: "own", text:
        `The bank's own best model says ${number(answer.own_probability * 100, 1)}%` }));
    }
  }
  if (answer.notice) parts.push(make("div", { class: "notice" }, make("p", { text: answer.notice })));
  if (answer.decision) parts.push(advice(answer.decision));
  if (!answer.code) parts.push(reasons(answer, model), data(answer));
  if (answer.code.startsWith("own_") && !$("own").hidden) $("own").open = true;
  const time = new Date(answer.made * 1000).toLocaleString();
  parts.push(make("p", { class: "meta", text:
    `Model ${answer.model.name}, version ${answer.model.version} (${answer.model.deployed_as}), ${time}` }));
  $("answer").replaceChildren(...parts.filter((p) => p !== null));
  $("answer").classList.remove("stale");
  $("stale").hidden = true;
}

function formChanged() {
  // An answer that stands beside another enterprise's id would be read as that one's.
  if (!$("answer").querySelector(".who")) return;
  $("answer").classList.add("stale");
  $("stale").hidden = false;
}

function figures(answer, model) {
  const percent = answer.probability * 100;
  const exact = `${number(percent, percent < 10 ? 2 : 1)}%`;
  const span = answer.grade_scale === "public" ? GRADES[answer.grade] : null;
  const grade = span ? `${span[0]} to ${span[1]}%` : answer.grade_scale === "public" ? "32% and more" : "of the bank's table";
  return make("div", { class: "head" },
    figure("Score", String(answer.score), "higher is safer"),
    figure("Grade", answer.grade, grade),
    figure("Chance of default", answer.probability_words, model && model.horizon ? `${exact} · ${model.horizon}` : exact, "words"));
}

function figure(name, value, small, kind = "") {
  return make("dl", { class: "figure" }, make("dt", { text: name }),
    make("dd", { class: kind, text: value }), make("dd", { class: "small", text: small }));
}

function scale(answer, model) {
  const share = (score) => Math.min(Math.max((score - model.low) / (model.high - model.low), 0), 1);
  const pointer = make("div", { class: "pointer" });
  pointer.style.left = `${100 * share(answer.score)}%`;
  const mean = make("div", { class: "mean" });
  mean.style.left = `${100 * share(model.mean)}%`;
  const side = answer.score >= model.mean ? "safer" : "riskier";
  return make("div", { class: "scale", role: "img", "aria-label":
    `${answer.score} on a scale from ${model.low}, riskiest, to ${model.high}, safest; ${side} than the mean of ${model.mean}` },
  make("div", { class: "track" }, mean, pointer),
  make("div", { class: "ends" }, make("span", { text: `${model.low} riskiest` }),
    make("span", { text: `mean ${model.mean}` }), make("span", { text: `safest ${model.high}` })));
}

function reasons(answer, model) {
  const meanings = new Map((model ? model.columns : []).map((c) => [c.name, c.meaning]));
  const items = answer.reasons.map((reason) => {
    const column = reason.split(" (")[0];
    const meaning = meanings.get(column);
    if (reason === "external data") return make("li", { text: "external data: what other institutions know, all together" });
    const name = reason.replaceAll("_", " ");
    return make("li", { text: meaning && meaning !== column ? `${name}: ${meaning}` : name });
  });
  return make("div", {}, make("h3", { text: "What speaks against it most" }),
    items.length ? make("ol", {}, ...items) : make("p", { text: "Nothing: no part of it is below average." }));
}

function data(answer) {
  const lines = [];
  if (answer.ages) lines.push(answer.ages.words);
  if (answer.own_day) lines.push(`The bank's own data are of ${answer.own_day}.`);
  if (answer.missing.length) {
    lines.push(`Missing in the bank's own data: ${answer.missing.map((m) => m.replaceAll("_", " ")).join(", ")}.`);
  }
  return lines.length ? make("div", {}, make("h3", { text: "The data behind it" }),
    ...lines.map((text) => make("p", { text }))) : null;
}

function advice(said) {
  const money = (value) => `${number(value)} ${said.currency}`;
  const rate = (value) => `${number(100 * value, 2)}%`;
  const rows = said.parts.map((part) => make("tr", {}, make("th", { scope: "row", text: PARTS[part.name] || part.name }),
    make("td", { text: rate(part.rate) })));
  if (said.rate !== null) {
    rows.push(make("tr", { class: "sum" }, make("th", { scope: "row", text: "Rate a year" }), make("td", { text: rate(said.rate) })));
  }
  return make("div", { class: "advice" },
    make("h3", { text: `What the bank's table advises for ${said.product.replaceAll("_", " ")}` }),
    make("p", { class: `verdict ${said.decision}`, text: DECISIONS[said.decision] || said.decision }),
    said.limit === null ? null : make("p", { text: `Limit ${money(said.limit)}, ${said.months} months` }),
    said.reasons.length ? make("ul", {}, ...said.reasons.map((text) => make("li", { text }))) : null,
    rows.length ? make("table", {}, make("tbody", {}, ...rows)) : null,
    make("p", { class: "help", text: said.notice }));
}

// --- start --------------------------------------------------------------------------------------------------

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  if (!token) { showEntrance("Paste the token."); return; }
  sessionStorage.setItem(KEY, token);
  await enter();
});
$("sign-out").addEventListener("click", () => showEntrance());
$("ask").addEventListener("submit", ask);
$("ask").addEventListener("reset", () => {
  $("answer").replaceChildren(make("p", { class: "empty", text: "The score appears here." }));
  $("answer").classList.remove("stale");
  $("stale").hidden = true;
  for (const input of $("ask").querySelectorAll("[aria-invalid]")) wrong(input, "");
  $("own").open = false;
  setTimeout(() => { showTerms(); showColumns(); $("id").focus(); });
});
$("ask").addEventListener("input", formChanged);
$("product").addEventListener("change", showTerms);
$("model").addEventListener("change", showColumns);
if (sessionStorage.getItem(KEY)) enter(); else showEntrance();
