"use strict";
// The console: reads the API with the visitor's token. Every text from the server becomes a text node, never markup.

const state = {
  token: sessionStorage.getItem("escapement.token") || "",
  namespace: localStorage.getItem("escapement.namespace") || "_",
  zone: localStorage.getItem("escapement.zone") || "utc",
  live: true, timer: null, offset: 0, drawing: 0,
};
const $ = (id) => document.getElementById(id);
const screens = { overview: "Overview", schedules: "Schedules", timers: "Timers", activations: "Activations", cluster: "Cluster", cron: "Cron" };
const refreshEvery = 2000;

// Elements: el("td.mono", {title: "x"}, "text", child)
function el(kind, attributes, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

class Problem extends Error {
  constructor(status, document) {
    const lines = (document.errors || []).map((e) => `${e.pointer || e.parameter || e.header || ""}: ${e.detail}`);
    super([document.title || `status ${status}`, ...(lines.length ? lines : [document.detail || ""])].join("\n"));
    this.status = status;
    this.code = document.code;
  }
}

async function api(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  if (options.body !== undefined) headers["Content-Type"] = options.type || "application/json";
  const response = await fetch(`../${path}`, {
    method: options.method || "GET", headers, cache: "no-store",
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
  });
  // Relative times count from the server's clock; the browser's may be wrong.
  const date = Date.parse(response.headers.get("Date") || "");
  if (!Number.isNaN(date)) state.offset = date - Date.now();
  const text = await response.text();
  let document = {};
  try { document = text ? JSON.parse(text) : {}; } catch { document = { detail: text.slice(0, 300) }; }
  if (!response.ok) throw new Problem(response.status, document);
  return document;
}

const home = () => `v1/namespaces/${encodeURIComponent(state.namespace)}`;
const now = () => Date.now() + state.offset;

function note(text) {
  $("note").textContent = text;
  clearTimeout(note.timer);
  if (text) note.timer = setTimeout(() => { $("note").textContent = ""; }, 8000);
}

function time(text) {
  if (!text) return "–";
  const date = new Date(text);
  if (state.zone === "utc") return text.replace("T", " ").replace(/\.000Z$/, "Z");
  return `${date.toLocaleDateString()} ${date.toLocaleTimeString()}`;
}

function relative(text) {
  if (!text) return "";
  const difference = Date.parse(text) - now();
  const seconds = Math.round(Math.abs(difference) / 1000);
  if (seconds < 2) return "now";
  const size = seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min`
    : seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
  return difference < 0 ? `${size} ago` : `in ${size}`;
}

function table(heads, rows, empty) {
  if (!rows.length) return el("p.dim", {}, empty || "Nothing here.");
  return el("div.scroll", {}, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => cell instanceof Node && cell.tagName === "TD" ? cell
      : el("td", {}, cell == null ? "–" : cell instanceof Node ? cell : String(cell))))))));
}

const mono = (text) => el("td.mono", {}, text == null ? "–" : String(text));
const tile = (name, value, kind) => el("div.tile", {}, el("b", { class: kind || "" }, String(value)), el("span.dim", {}, name));
const button = (text, action) => el("button", { type: "button", onclick: action }, text);
const link = (screen, ...parts) => `#${[screen, ...parts.map(encodeURIComponent)].join("/")}`;

async function act(work, done) {
  try { await work(); note(done); await draw(); } catch (error) { note(error.message); }
}

function outcome(record) {
  const kind = { dispatched: "good", skipped: "warn", failed: "bad" }[record.outcome] || "";
  const mark = { dispatched: "✓", skipped: "⤼", failed: "✗" }[record.outcome] || "";
  const reason = record.reason && record.reason !== "DISPATCHED" ? ` ${record.reason}` : "";
  return el("span", { class: kind }, `${mark} ${record.outcome}${reason}`);
}

function records(items, empty) {
  return table(["Scheduled", "Name", "Outcome", "Late", "Where", "Id"], items.map((record) => [
    mono(time(record.scheduled_at)), el("a", { href: link("schedules", record.schedule) }, record.schedule || ""), outcome(record),
    record.lateness_ms == null ? null : `${record.lateness_ms} ms`,
    mono(record.kafka ? `${record.kafka.topic}/${record.kafka.partition}@${record.kafka.offset}` : null), mono(record.activation_id),
  ]), empty);
}

const percentile = (sorted, share) => sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;

async function settled(promise) {
  try { return [await promise, null]; } catch (error) { if (error.status === 401) throw error; return [null, error]; }
}

const draws = {
  async overview() {
    const since = new Date(now() - 15 * 60000).toISOString();
    const [[cluster, clusterError], [recent, recentError], [list, listError]] = await Promise.all([
      settled(api("v1/cluster")), settled(api(`${home()}/activations?from=${since}&pageSize=1000`)),
      settled(api(`${home()}/schedules?pageSize=1000`)),
    ]);
    const parts = [];
    if (clusterError) parts.push(el("p.bad", {}, `Cluster: ${clusterError.message}`));
    if (cluster) {
      const up = (role) => cluster.members.filter((member) => member.role === role && member.state === "up").length;
      parts.push(el("div.tiles", {},
        tile(`leader, epoch ${cluster.leader.epoch}`, cluster.leader.id),
        tile("coordinators · tickers · dispatchers up", `${up("coordinator")} · ${up("ticker")} · ${up("dispatcher")}`),
        tile("shards without owner", cluster.shards.unowned, cluster.shards.unowned ? "bad" : "good"),
        tile("moving now", cluster.shards.moving), tile("version", cluster.version)));
      for (const warning of cluster.warnings || []) parts.push(el("p.warn", {}, `⚠ ${warning}`));
    }
    parts.push(el("h2", {}, "Last 15 minutes"));
    if (recentError) parts.push(el("p.bad", {}, `Activation store: ${recentError.message}`));
    if (recent) {
      const items = recent.items || [];
      const late = items.map((record) => record.lateness_ms).filter((value) => value != null).sort((a, b) => a - b);
      const count = (word) => items.filter((record) => record.outcome === word).length;
      const more = recent.nextPageToken ? "+" : "";
      parts.push(el("div.tiles", {},
        tile("fired", count("dispatched") + more), tile("skipped", count("skipped"), count("skipped") ? "warn" : ""),
        tile("failed", count("failed"), count("failed") ? "bad" : ""),
        tile("lateness p50 · p99 · max, ms", late.length ? `${percentile(late, .5)} · ${percentile(late, .99)} · ${late[late.length - 1]}` : "–")));
      if (recent.storeAvailable === false) parts.push(el("p.warn", {}, "The activation store is away; shown is what the dispatchers remember."));
      parts.push(minutes(items), el("h2", {}, "Newest records"), records(items.slice(0, 15), "No fires in this time."));
    }
    parts.push(el("h2", {}, "Next fires"));
    if (listError) parts.push(el("p.bad", {}, listError.message));
    if (list) {
      const next = list.items.filter((item) => item.status.nextFireAt)
        .sort((a, b) => a.status.nextFireAt < b.status.nextFireAt ? -1 : 1).slice(0, 15);
      parts.push(table(["Next", "", "Schedule", "When"], next.map((item) => [mono(time(item.status.nextFireAt)), relative(item.status.nextFireAt),
        el("a", { href: link("schedules", item.name) }, item.name), item.status.text]), "No schedules yet."));
    }
    return parts;
  },

  async schedules(name) {
    if (name) return schedule(name);
    const form = draws.schedules.form || (draws.schedules.form = { q: "", labels: "", state: "" });
    const query = new URLSearchParams({ pageSize: "200" });
    if (form.q) query.set("q", form.q);
    if (form.labels) query.set("labelSelector", form.labels);
    if (form.state) query.set("state", form.state);
    const list = await api(`${home()}/schedules?${query}`);
    const field = (key, placeholder) => el("input", { id: `f-${key}`, value: form[key], placeholder, "aria-label": placeholder,
      onchange: (event) => { form[key] = event.target.value; draw(); } });
    const choice = el("select", { "aria-label": "state", onchange: (event) => { form.state = event.target.value; draw(); } },
      ["", "active", "paused"].map((value) => el("option", { value, selected: value === form.state }, value || "any state")));
    return [
      el("div.bar", {}, field("q", "search names (/)"), field("labels", "labels: team=billing"), choice,
        el("span.dim", {}, `${list.items.length}${list.nextPageToken ? "+" : ""} schedules`)),
      table(["Name", "State", "Next", "", "When", "Action", "Labels"], list.items.map((item) => [
        el("a", { href: link("schedules", item.name) }, item.name),
        el("span", { class: item.status.state === "active" ? "good" : "warn" }, item.status.state),
        mono(time(item.status.nextFireAt)), relative(item.status.nextFireAt), item.status.text, item.target && item.target.action,
        Object.entries(item.labels || {}).map(([key, value]) => `${key}=${value}`).join(" "),
      ]), "No schedule matches. Create one: escapement schedule create tick --cron '* * * * * *' --action /guest/tick"),
    ];
  },

  async timers() {
    const list = await api(`${home()}/timers?pageSize=200`);
    return [el("h2", {}, "Timers still to fire"), table(["Id", "Due", "", "Action", ""], list.items.map((timer) => [
      timer.id, mono(time(timer.dueAt)), relative(timer.dueAt), timer.target && timer.target.action,
      button("cancel", () => confirm(`Cancel ${timer.id}?`)
        && act(() => api(`${home()}/timers/${encodeURIComponent(timer.id)}`, { method: "DELETE" }), `cancelled ${timer.id}`)),
    ]), "No pending timers.")];
  },

  async activations(name) {
    const form = draws.activations.form || (draws.activations.form = { outcome: "", schedule: "" });
    const query = new URLSearchParams({ pageSize: "200" });
    if (form.outcome) query.set("outcome", form.outcome);
    if (name || form.schedule) query.set("schedule", name || form.schedule);
    const list = await api(`${home()}/activations?${query}`);
    return [
      el("div.bar", {},
        el("select", { "aria-label": "outcome", onchange: (event) => { form.outcome = event.target.value; draw(); } },
          ["", "dispatched", "skipped", "failed"].map((value) => el("option", { value, selected: value === form.outcome }, value || "any outcome"))),
        el("input", { id: "f-schedule", value: name || form.schedule, placeholder: "schedule", "aria-label": "schedule",
          onchange: (event) => { form.schedule = event.target.value; location.hash = "#activations"; draw(); } })),
      list.storeAvailable === false && el("p.warn", {}, "The activation store is away; shown is what the dispatchers remember."),
      records(list.items, "No records match."),
    ];
  },

  async cluster() {
    const [cluster, shards] = await Promise.all([api("v1/cluster"), api("v1/cluster/shards")]);
    const owners = [...new Set(shards.shards.map((shard) => shard.owner).filter(Boolean))].sort();
    const color = (owner) => `o${owners.indexOf(owner) % 8}`;
    return [
      el("p", {}, `${cluster.cluster}: ${cluster.leader.id} leads since ${time(cluster.leader.since)}, epoch ${cluster.leader.epoch}.`),
      (cluster.warnings || []).map((warning) => el("p.warn", {}, `⚠ ${warning}`)),
      table(["Member", "Role", "State", "Owns", "Fires/s", "Clock", "Version", "Zone", "Heard"], cluster.members.map((member) => [
        member.id + (member.leader ? " ★" : ""), member.role, el("span", { class: member.state === "up" ? "good" : "warn" }, member.state),
        member.shards != null ? `${member.shards} shards` : member.lanes != null ? `${member.lanes} lanes` : null,
        member.load && member.load.firesPerSecond, member.clockOffset, member.version, member.zone, relative(member.lastSeenAt)])),
      el("h2", {}, "Shards"),
      el("div.legend", {}, owners.map((owner) => [el("span", { class: color(owner) }), owner])),
      el("div.map", {}, shards.shards.map((shard) => el(shard.owner ? `span.${color(shard.owner)}` : "span.none",
        { title: `shard ${shard.shard}: ${shard.state}, ${shard.owner || "nobody"}, epoch ${shard.epoch}` }, String(shard.shard)))),
      el("h2", {}, "Lanes"),
      table(["Lane", "State", "Owner", "Epoch"], shards.lanes.map((lane) => [lane.lane, lane.state, lane.owner, lane.epoch])),
      el("h2", {}, "Hand-overs"),
      table(["At", "What", "To", "Epoch", "Why"], (await api("v1/cluster/handovers?pageSize=50")).items.map((item) => [
        mono(time(item.at)), `${item.kind} ${item.number}`, item.owner || "nobody", item.epoch, item.reason])),
    ];
  },

  async cron() {
    const form = draws.cron.form || (draws.cron.form = { cron: "30 2 * * *", zone: "Europe/Paris" });
    let answer = [];
    try {
      const preview = await api("v1/preview", { method: "POST", body: { when: { cron: form.cron, timeZone: form.zone }, count: 20, seed: "example" } });
      answer = [el("p", {}, preview.text), preview.warnings.map((warning) => el("p.warn", {}, `⚠ ${warning.detail}`)),
        table(["At", "In the zone", ""], preview.fires.map((fire) => [mono(time(fire.at)), mono(fire.local), fire.note || ""]))];
    } catch (error) { if (error.status === 401) throw error; answer = [el("p.bad", {}, error.message)]; }
    const field = (key, label) => el("label", {}, `${label} `, el("input", { id: `f-${key}`, value: form[key], size: 30, spellcheck: "false",
      onchange: (event) => { form[key] = event.target.value; draw(); } }));
    return [el("div.bar", {}, field("cron", "Expression"), field("zone", "Time zone")), ...answer];
  },
};

// Fires per minute of the last quarter of an hour.
function minutes(items) {
  const counts = new Array(15).fill(0);
  const bad = new Array(15).fill(0);
  for (const record of items) {
    const index = 14 - Math.floor((now() - Date.parse(record.scheduled_at)) / 60000);
    if (index >= 0 && index < 15) { counts[index] += 1; if (record.outcome !== "dispatched") bad[index] += 1; }
  }
  const most = Math.max(1, ...counts);
  return el("div.chart", { role: "img", "aria-label": "fires per minute" }, counts.map((count, index) => {
    const bar = el(bad[index] ? "i.bad" : "i", { title: `${14 - index} min ago: ${count}, of them ${bad[index]} not sent` });
    bar.style.height = `${100 * count / most}%`;
    return bar;
  }));
}

async function schedule(name) {
  const path = `${home()}/schedules/${encodeURIComponent(name)}`;
  const [item, upcoming, [history, historyError], revisions] = await Promise.all([
    api(path), api(`${path}/upcoming?count=20`), settled(api(`${path}/activations?pageSize=50`)), api(`${path}/revisions?pageSize=20`),
  ]);
  const explained = el("div", {});
  const at = el("input", { id: "f-at", size: 28, value: (history && history.items[0] && history.items[0].scheduled_at) || item.status.nextFireAt || "", "aria-label": "instant" });
  const explain = async () => {
    try {
      const answer = await api(`${path}/explain?at=${encodeURIComponent(at.value)}`);
      explained.replaceChildren(el("p", {}, el("b", {}, answer.verdict), answer.reason ? ` (${answer.reason}): ` : ": ", answer.summary),
        el("ul", {}, answer.checks.map((check) => el("li", { class: check.ok ? "good" : "bad" }, `${check.ok ? "✓" : "✗"} ${check.check}: ${check.detail}`))),
        ...(answer.suggest || []).map((text) => el("p", {}, "Try ", el("code", {}, text))));
    } catch (error) { explained.replaceChildren(el("p.bad", {}, error.message)); }
  };
  const ask = (verb) => {
    const reason = prompt(`Reason to ${verb} ${name}`);
    if (reason != null) act(() => api(`${path}/${verb}`, { method: "POST", body: { reason } }), `${verb}: done`);
  };
  const { status, ...document } = item;
  return [
    el("p", {}, el("a", { href: "#schedules" }, "Schedules"), ` / ${name}`),
    el("h2", {}, `${name}: ${status.state}`), el("p", {}, status.text || ""),
    item.pause && el("p.warn", {}, `Paused since ${time(item.pause.since)}${item.pause.reason ? `: ${item.pause.reason}` : ""}`),
    el("div.bar", {}, item.paused ? button("resume", () => ask("resume")) : button("pause", () => ask("pause")), button("trigger", () => ask("trigger")),
      button("delete", () => prompt(`Type ${name} to delete it`) === name
        && act(async () => { await api(path, { method: "DELETE" }); location.hash = "#schedules"; }, `deleted ${name}`))),
    el("h2", {}, "Why did it fire, or not?"), el("div.bar", {}, at, button("explain", explain)), explained,
    el("h2", {}, "Next"),
    table(["At", "In its zone", ""], upcoming.items.map((fire) => [mono(time(fire.at)), mono(fire.local), fire.note || relative(fire.at)]), "It will not fire again."),
    el("h2", {}, "History"), historyError ? el("p.bad", {}, historyError.message) : records(history.items, "Nothing has happened yet."),
    el("h2", {}, "Revisions"),
    table(["Generation", "At", "By", "Changed", "Reason"], revisions.items.map((revision) => [revision.generation, mono(time(revision.at)), revision.by,
      revision.changes.map((change) => change.pointer).join(" "), revision.reason])),
    el("h2", {}, "Document"), el("pre", {}, JSON.stringify(document, null, 2)),
  ];
}

function login(message) {
  const field = el("input", { type: "password", id: "f-token", size: 40, autocomplete: "current-password", "aria-label": "token" });
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    state.token = field.value.trim();
    sessionStorage.setItem("escapement.token", state.token);
    draw();
  } }, el("h2", {}, "Sign in"), el("p", {}, message || "Paste a token of this cluster; it stays in this tab."),
    el("div.bar", {}, field, el("button", {}, "sign in")));
  $("main").replaceChildren(form);
  field.focus();
}

async function draw() {
  const [screen, ...parts] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const name = screens[screen] ? screen : "overview";
  $("nav").replaceChildren(...Object.entries(screens).map(([key, title]) =>
    el("a", { href: `#${key}`, "aria-current": key === name ? "page" : null }, title)));
  $("leave").hidden = !state.token;
  const turn = ++state.drawing;
  clearTimeout(state.timer);
  try {
    const nodes = await draws[name](...parts);
    if (turn !== state.drawing) return;
    // What the visitor is typing in is not taken away.
    const focused = document.activeElement && document.activeElement.id;
    $("main").replaceChildren(...nodes.flat(2).filter(Boolean));
    if (focused && focused.startsWith("f-") && $(focused)) $(focused).focus();
  } catch (error) {
    if (turn !== state.drawing) return;
    if (error.status === 401) return login(state.token ? "The token was not accepted." : "");
    $("main").replaceChildren(el("p.bad", {}, error.message), button("try again", draw));
  }
  const static_ = name === "cron" || (name === "schedules" && parts.length > 0);
  if (state.live && !static_) state.timer = setTimeout(tick, refreshEvery);
}

// A refresh waits while somebody types.
function tick() {
  const active = document.activeElement;
  if (document.hidden || (active && active.id && active.id.startsWith("f-"))) { state.timer = setTimeout(tick, refreshEvery); return; }
  draw();
}

$("namespace").value = state.namespace;
$("namespace").addEventListener("change", (event) => {
  state.namespace = event.target.value.trim() || "_";
  localStorage.setItem("escapement.namespace", state.namespace);
  draw();
});
$("zone").value = state.zone;
$("zone").addEventListener("change", (event) => { state.zone = event.target.value; localStorage.setItem("escapement.zone", state.zone); draw(); });
$("live").addEventListener("click", () => {
  state.live = !state.live;
  $("live").textContent = state.live ? "live" : "paused";
  $("live").setAttribute("aria-pressed", String(state.live));
  draw();
});
$("leave").addEventListener("click", () => { state.token = ""; sessionStorage.removeItem("escapement.token"); draw(); });
window.addEventListener("hashchange", draw);
window.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && $("f-q")) { event.preventDefault(); $("f-q").focus(); }
});
api("version").then((version) => { $("footer").textContent = `Escapement ${version.version}, cluster ${version.cluster}, time zones ${version.tzdata || "?"}`; }, () => {});
draw();
