"use strict";

const admin = document.documentElement.dataset.role === "admin";
const statusPath = admin ? "/admin/v1/status" : "/status.json";
const every = 2000; // ms between two looks
const kept = 150; // looks in a chart: five minutes
const tokenKey = "outboxd-token";

const $ = (id) => document.getElementById(id);

// --- asking ---

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const headers = {};
  const token = admin && sessionStorage.getItem(tokenKey);
  if (token) headers.Authorization = "Bearer " + token;
  if (body) headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(method === "GET" ? 10000 : 65000);
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal: limit, cache: "no-store" });
  const text = await answer.text();
  const value = text && answer.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : {};
  if (!answer.ok) throw new Refused(answer.status, value.detail || "HTTP status " + answer.status);
  return value;
}

function query(values) {
  const parameters = new URLSearchParams(Object.entries(values).map(([k, v]) => [k, String(v)]));
  return parameters.size ? "?" + parameters : "";
}

// --- making elements; texts are texts, never markup ---

function make(tag, content = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(content)) {
    if (name === "class") element.className = value;
    else element[name] = value;
  }
  element.append(...children.filter((c) => c !== null && c !== ""));
  return element;
}

const line = (name, ...rest) => make("li", {}, make("b", { textContent: name }), ...rest);
const text = (value, kind = "") => make("span", { textContent: value, class: kind });

function button(label, action, kind = "") {
  const b = make("button", { type: "button", textContent: label, class: kind });
  b.addEventListener("click", () => whileBusy(b, action));
  return b;
}

async function whileBusy(control, action) {
  control.disabled = true;
  complain("");
  try {
    await action();
  } catch (error) {
    failed(error);
  } finally {
    control.disabled = false;
  }
}

function onSubmit(form, action) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(form.querySelector("button"), action);
  });
}

function complain(what) {
  $("trouble").textContent = what;
  $("trouble").hidden = !what;
}

function failed(error) {
  if (error.status === 401) return wantToken(error.message);
  complain(error instanceof Refused ? error.message : "No answer from outboxd: " + error.message);
}

// --- numbers ---

const whole = (n) => Math.round(n).toLocaleString("en");

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.0995) return (seconds * 1000).toPrecision(2) + " ms";
  if (seconds < 1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 10) return seconds.toFixed(1) + " s";
  if (seconds < 120) return Math.round(seconds) + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " d";
}

const perSecond = (n) => (n < 10 ? Number(n.toFixed(1)).toString() : whole(n)) + "/s";

// What of a counter or histogram was added since the look before; a new process begins anew.
function added(now, before, name) {
  const value = now[name] || 0;
  const earlier = before[name] || 0;
  return value >= earlier ? value - earlier : value;
}

// Of what was confirmed between two looks; null when nothing was.
function quantile(q, now, before) {
  const prefix = 'outbox_delivery_latency_seconds_bucket{le="';
  const buckets = Object.keys(now)
    .filter((name) => name.startsWith(prefix))
    .map((name) => {
      const bound = name.slice(prefix.length, -2);
      return [bound === "+Inf" ? Infinity : Number(bound), added(now, before, name)];
    })
    .sort((a, b) => a[0] - b[0]);
  const all = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (all <= 0) return null;
  let low = 0;
  let below = 0;
  for (const [high, count] of buckets) {
    if (count >= q * all) return high === Infinity ? low : low + ((high - low) * (q * all - below)) / (count - below || 1);
    [low, below] = [high, count];
  }
  return low;
}

function byReason(metrics, name) {
  const prefix = name + '{reason="';
  return Object.entries(metrics)
    .filter(([key, value]) => key.startsWith(prefix) && value > 0)
    .map(([key, value]) => [key.slice(prefix.length, -2), value]);
}

// --- charts ---

const looks = []; // { at, metrics, confirmed, published, p50, p99, waiting, dead }

function remember(metrics) {
  const at = performance.now();
  const before = looks[looks.length - 1];
  const look = { at, metrics, confirmed: null, published: null, p50: null, p99: null };
  // After a pause of the page (hidden, no answer) a rate would be an average over it.
  if (before && at - before.at < 5 * every) {
    const seconds = (at - before.at) / 1000;
    look.confirmed = added(metrics, before.metrics, "outbox_messages_confirmed_total") / seconds;
    look.published = added(metrics, before.metrics, "outbox_messages_published_total") / seconds;
    look.p50 = quantile(0.5, metrics, before.metrics);
    look.p99 = quantile(0.99, metrics, before.metrics);
  }
  const counted = metrics.outbox_pending_messages !== undefined; // by the leader, and nobody else
  look.waiting = counted ? metrics.outbox_pending_messages + metrics.outbox_deferred_messages : null;
  look.dead = counted ? metrics.outbox_dead_messages : null;
  if (before) before.metrics = null; // only the last one is compared
  looks.push(look);
  if (looks.length > kept) looks.shift();
}

const svgNamespace = "http://www.w3.org/2000/svg";
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A line breaks where nothing was measured.
function path(name, highest, end, span) {
  let drawn = "";
  let pen = "M";
  for (const look of looks) {
    if (look[name] === null) {
      pen = "M";
      continue;
    }
    const x = 300 - ((end - look.at) / span) * 300;
    drawn += `${pen}${x.toFixed(1)} ${(98 - (look[name] / highest) * 94).toFixed(1)}`;
    if (pen === "M") drawn += "h0.1"; // a single point shows too
    pen = "L";
  }
  return drawn;
}

function chart(id, lines, show) {
  const figure = $(id);
  const end = looks[looks.length - 1].at;
  const span = Math.max(end - looks[0].at, 30000);
  const highest = Math.max(...lines.flatMap(([, name]) => looks.map((l) => l[name] ?? 0)));
  const last = (name) => looks[looks.length - 1][name];
  const said = lines.map(([label, name]) => `${label} ${last(name) === null ? "–" : show(last(name))}`);
  const drawing = svg(
    "svg",
    { viewBox: "0 0 300 100", preserveAspectRatio: "none", role: "img", "aria-label": said.join(", ") },
    svg("path", { class: "axis", d: "M0 98H300M0 4H300" }),
    ...lines.map(([, name, kind]) => svg("path", { class: "line " + kind, d: path(name, highest || 1, end, span) })),
  );
  const legend = make("ul", { class: "legend" }, ...lines.map(([label, name, kind]) =>
    make("li", { class: kind }, label + " ", make("b", { textContent: last(name) === null ? "–" : show(last(name)) }))));
  const scale = make("div", { class: "scale" }, text(duration(span / 1000) + " ago"), text("highest " + show(highest)), text("now"));
  figure.replaceChildren(figure.firstElementChild, legend, drawing, scale);
}

function drawCharts() {
  chart("rate", [["confirmed", "confirmed", "one"], ["published", "published", "two"]], perSecond);
  chart("latency", [["median", "p50", "one"], ["99 %", "p99", "two"]], duration);
  chart("backlog", [["waiting", "waiting", "one"], ["dead", "dead", "two"]], whole);
}

// --- what it shows ---

function tile(name, value, bad = false) {
  return make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value, class: bad ? "bad" : "" }));
}

function showNumbers(m) {
  const oldest = m.outbox_oldest_pending_age_seconds;
  const rows = (n) => (n === undefined ? "–" : whole(n)); // only the leader counts them
  $("tiles").replaceChildren(
    tile("pending", rows(m.outbox_pending_messages)),
    tile("oldest", oldest === undefined ? "–" : duration(oldest), oldest > 60),
    tile("deferred", rows(m.outbox_deferred_messages)),
    tile("dead", rows(m.outbox_dead_messages), m.outbox_dead_messages > 0),
    tile("unconfirmed", whole(m.outbox_unconfirmed_messages)),
    tile("held keys", whole(m.outbox_held_keys), m.outbox_held_keys > 0),
    tile("held destinations", whole(m.outbox_held_destinations), m.outbox_held_destinations > 0),
    tile("confirmed", whole(m.outbox_messages_confirmed_total)),
  );
}

function showState(now) {
  const paused = now.metrics.outbox_paused;
  const pauses = paused ? `, ${paused} ${paused === 1 ? "pause" : "pauses"}` : "";
  const badge = $("state");
  badge.textContent = now.ready ? now.state + pauses : now.state + ", not ready";
  badge.className = "badge " + (!now.ready ? "bad" : paused ? "warn" : now.state === "leading" ? "good" : "");
  $("instance").textContent = now.instance;
  $("about").textContent = `version ${now.version} (${now.revision}), up for ${duration(now.uptime_seconds)}`;
  document.title = `outboxd ${now.instance}`;
}

function showLists(now) {
  $("checks").replaceChildren(...now.checks.map((c) =>
    line(c.name, text(c.ok ? "ok" : "not ok", c.ok ? "good" : "bad"), text(c.detail))));
  $("holds-section").hidden = now.holds.length === 0;
  $("holds").replaceChildren(...now.holds.map((h) => line(h.destination, text(h.detail))),
    ...(now.more_holds ? [line("and", text(now.more_holds + " more"))] : []));
  const failures = [
    ...byReason(now.metrics, "outbox_messages_failed_total").map(([why, n]) => line(why, text(whole(n)))),
    ...byReason(now.metrics, "outbox_messages_unknown_total").map(([why, n]) =>
      line(why, text(whole(n) + " with an unknown outcome, sent again"))),
  ];
  $("failures").replaceChildren(...(failures.length ? failures : [line("none")]));
  const deaths = byReason(now.metrics, "outbox_messages_dead_total");
  const asked = now.dead === null ? [] : Object.entries(now.dead.by_reason);
  const of = now.dead !== null && now.dead.rows > now.dead.newest_asked ? ` of the newest ${whole(now.dead.newest_asked)}` : "";
  const dead = now.metrics.outbox_dead_messages;
  $("dead-count").textContent = dead === undefined ? "" : whole(dead);
  $("deaths").replaceChildren(...asked.map(([why, n]) => line(why, text(whole(n) + of))),
    ...deaths.map(([why, n]) => line(why, text(whole(n) + " given up since the start"))));
}

function show(now) {
  $("login").hidden = true;
  $("content").hidden = false;
  remember(now.metrics);
  showState(now);
  showNumbers(now.metrics);
  showLists(now);
  drawCharts();
}

// --- looking again and again, while somebody looks ---

let timer = null;
let looking = false;
let deadSeen = null;
let turns = 0;

async function look() {
  clearTimeout(timer);
  timer = null;
  if (looking || document.hidden) return;
  looking = true;
  try {
    const now = await ask("GET", statusPath);
    const wasStale = document.body.classList.contains("stale");
    document.body.classList.remove("stale");
    if (wasStale || !$("login").hidden) complain("");
    show(now);
    if (admin) await lookAtRows(now);
  } catch (error) {
    if (!(error instanceof Refused)) document.body.classList.add("stale");
    failed(error);
  } finally {
    looking = false;
    if (!document.hidden && $("login").hidden) timer = setTimeout(look, every);
  }
}

// These ask the database: only when the number of dead rows has changed, and now and then.
async function lookAtRows(now) {
  const dead = now.metrics.outbox_dead_messages;
  if (turns % 5 === 0) await loadPauses();
  if (turns === 0 || (dead !== deadSeen && !isReading())) await loadRows();
  deadSeen = dead;
  turns += 1;
}

function wantToken(why) {
  clearTimeout(timer);
  const had = sessionStorage.getItem(tokenKey);
  sessionStorage.removeItem(tokenKey);
  complain(had ? why : "");
  turns = 0;
  $("state").textContent = "locked";
  $("state").className = "badge";
  $("content").hidden = true;
  $("login").hidden = false;
  $("token").focus();
}

// --- dead letters ---

const rowsAtOnce = 50;
let filter = {};

const chosen = () => (Object.keys(filter).length ? { ...filter } : { all: true });

function readFilter() {
  const values = {};
  for (const [name, value] of new FormData($("filter"))) if (value !== "") values[name] = value;
  return values;
}

// Somebody has opened a row, asked for more of them, or is about to decide: the list stays as it is.
function isReading() {
  return $("sure").open || $("rows").querySelector("pre") !== null || $("rows").children.length > rowsAtOnce;
}

async function loadRows(after = 0) {
  const found = await ask("GET", "/admin/v1/dead" + query({ ...filter, after, limit: rowsAtOnce }));
  const rows = found.rows.map(deadRow);
  if (after) $("rows").append(...rows);
  else $("rows").replaceChildren(...rows);
  $("more").hidden = found.next === null;
  $("more").onclick = () => whileBusy($("more"), () => loadRows(found.next));
  const none = $("rows").children.length === 0;
  $("dead-note").textContent = none ? "none" : "";
  $("retry-all").disabled = $("discard-all").disabled = none;
}

function deadRow(row) {
  const where = row.exchange ? `${row.exchange} / ${row.routing_key}` : `queue ${row.routing_key}`;
  const more = [row.ordering_key !== null && "key " + row.ordering_key, row.type !== null && "type " + row.type,
    "died " + row.died_at, "created " + row.created_at, row.attempts + (row.attempts === 1 ? " attempt" : " attempts")];
  const whole = make("div");
  return make("li", {},
    make("div", {}, make("b", { textContent: `#${row.id} ` }), where),
    make("div", { class: "why", textContent: row.last_error }),
    make("div", { class: "meta" }, ...more.filter(Boolean).map((each) => text(each))),
    make("div", { class: "actions" },
      button("Retry", () => decide("retry", { id: row.id }, `Send row ${row.id} again?`)),
      button("Discard", () => decide("discard", { id: row.id }, `Delete row ${row.id} for good?`), "danger"),
      button("Show", () => showWhole(row.id, whole))),
    whole);
}

async function showWhole(id, into) {
  if (into.firstChild) return into.replaceChildren();
  const row = await ask("GET", "/admin/v1/dead/" + id);
  const body = row.body_beginning ?? row.body_beginning_hex;
  const cut = row.body_beginning === undefined ? ", in hex" : "";
  into.replaceChildren(make("pre", { textContent:
    `message_id   ${row.message_id}\ncontent_type ${row.content_type ?? "–"}\nheaders      ${row.headers ?? "–"}\n` +
    `body         ${row.body_size} bytes${cut}\n\n${body}` }));
}

function sure(question, yes) {
  $("sure-text").textContent = question;
  $("sure-yes").textContent = yes;
  const dialog = $("sure");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

async function decide(action, which, question) {
  if (!(await sure(question, action === "retry" ? "Retry" : "Discard"))) return;
  const done = await ask("POST", "/admin/v1/dead/" + action, which);
  await loadRows();
  $("dead-note").textContent = `${action === "retry" ? "retried" : "discarded"} ${whole(done.rows)} ${done.rows === 1 ? "row" : "rows"}`;
}

async function decideAboutAll(action) {
  const which = chosen();
  const { rows } = await ask("POST", "/admin/v1/dead/" + action, { ...which, dry_run: true });
  const words = which.all ? "every dead row" : Object.entries(filter).map(([k, v]) => `${k} ${v}`).join(", ");
  const verb = action === "retry" ? "Send again" : "Delete for good";
  await decide(action, which, `${verb} ${whole(rows)} ${rows === 1 ? "row" : "rows"}: ${words}?`);
}

// --- pauses ---

function scopeOf(pause) {
  if (pause.exchange !== null) return { exchange: pause.exchange };
  return pause.ordering_key !== null ? { ordering_key: pause.ordering_key } : {};
}

function nameOf(pause) {
  if (pause.exchange !== null) return pause.exchange === "" ? "the default exchange" : "exchange " + pause.exchange;
  return pause.ordering_key !== null ? "key " + pause.ordering_key : "everything";
}

async function loadPauses() {
  let found;
  try {
    found = await ask("GET", "/admin/v1/pauses");
  } catch (error) {
    if (error.status !== 503) throw error;
    $("pauses-section").hidden = true; // a schema without pauses
    return;
  }
  $("pauses-section").hidden = false;
  const items = found.pauses.map((p) => line(nameOf(p),
    text([p.reason, "by " + p.by, "since " + p.since, p.until ? "until " + p.until : "until resumed"].filter(Boolean).join(", ")),
    button("Resume", async () => {
      await ask("DELETE", "/admin/v1/pause" + query(scopeOf(p)));
      await loadPauses();
    })));
  $("pauses").replaceChildren(...(items.length ? items : [line("none")]));
}

async function pause() {
  const what = $("pause-what").value;
  const body = { reason: $("pause-reason").value };
  if (what) body[what] = $("pause-name").value;
  if ($("pause-for").value) body.for = $("pause-for").value;
  await ask("PUT", "/admin/v1/pause", body);
  $("pause").reset();
  $("pause-name-label").hidden = true;
  await loadPauses();
}

// --- the beginning ---

function link(to) {
  return make("a", { href: to, textContent: to });
}

function begin() {
  if (admin) {
    $("dead").hidden = false;
    onSubmit($("login"), async () => {
      sessionStorage.setItem(tokenKey, $("token").value);
      $("token").value = "";
      await look();
    });
    onSubmit($("filter"), () => {
      filter = readFilter();
      return loadRows();
    });
    onSubmit($("pause"), pause);
    $("pause-what").addEventListener("change", () => { $("pause-name-label").hidden = !$("pause-what").value; });
    $("retry-all").addEventListener("click", () => whileBusy($("retry-all"), () => decideAboutAll("retry")));
    $("discard-all").addEventListener("click", () => whileBusy($("discard-all"), () => decideAboutAll("discard")));
  } else {
    $("dead-elsewhere").hidden = false;
    $("links").append(link("/metrics"), " · ", link("/readyz?verbose"), " · ", link("/livez"), " · ", link("/status.json"));
  }
  document.addEventListener("visibilitychange", look);
  look();
}

begin();
