// Shows the parts that the server sends, counts the seconds in between, and sends the requests.
"use strict";
const at = (id) => document.getElementById(id);
let run = JSON.parse(document.body.dataset.status);
let socket = null, heard = 0, skew = 0, tries = 0, hiding = 0;

// The token came with the address; it must not stay in the history or be copied with it.
if (location.search) history.replaceState(null, "", location.pathname);

function ago(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return s + " s ago";
  const m = Math.round(s / 60);
  return m < 120 ? m + " min ago" : Math.floor(m / 60) + " h " + String(m % 60).padStart(2, "0") + " min ago";
}

function clock(date) { return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }); }

function tick() {
  const now = Date.now() / 1000 + skew;
  for (const e of document.querySelectorAll("[data-age]")) if (run.count) e.textContent = ago(now - e.dataset.age);
  const open = socket !== null && socket.readyState === WebSocket.OPEN;
  const lost = !open && (tries > 1 || heard > 0);
  document.body.classList.toggle("stale", lost);
  at("link").classList.toggle("lost", lost);
  const words = open ? "live" : !lost ? "connecting" : "No connection"
    + (heard ? ": this page is of " + new Date(1000 * heard).toLocaleTimeString() : "");
  if (at("link").textContent !== words) at("link").textContent = words;
}

function local(root) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const date = new Date(t.dateTime), today = date.toDateString() === new Date().toDateString();
    t.textContent = today ? date.toLocaleTimeString() : date.toLocaleString();
  }
  for (const e of root.querySelectorAll("[data-ends]"))
    e.textContent = ", until about " + clock(new Date(Date.now() + 1000 * e.dataset.ends));
}

function controls() {
  document.title = run.title;
  const hold = at("hold");
  if (!hold) return;
  const open = socket !== null && socket.readyState === WebSocket.OPEN;
  hold.dataset.ask = run.state === "paused" ? "resume" : "pause";
  hold.textContent = run.state === "paused" ? "Resume" : "Pause";
  for (const b of document.querySelectorAll(".controls button, .narrow button, [data-ask]")) b.disabled = !open || !run.going;
}

function swap(id, html) {
  const place = at(id);
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.innerHTML = html;
  if (focused && at(focused)) at(focused).focus();
  local(place);
}

function hear(message) {
  heard = Date.now() / 1000;
  if (message.status) { run = message.status; skew = message.now - Date.now() / 1000; }
  for (const [id, html] of Object.entries(message.parts || {})) swap(id, html);
  if (message.picked !== undefined) swap("picked", message.picked);
  if (message.number) at("pick").value = message.number;
  if (message.reply) {
    at("reply").textContent = message.reply;
    at("reply").hidden = false;
    clearTimeout(hiding);
    hiding = setTimeout(() => { at("reply").hidden = true; }, 10000);
  }
  controls(); tick();
}

function connect() {
  tries += 1;
  const address = new URL("live", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.onopen = () => { tries = 0; heard = Date.now() / 1000; controls(); tick(); };
  socket.onmessage = (event) => hear(JSON.parse(event.data));
  socket.onclose = () => { controls(); tick(); setTimeout(connect, Math.min(500 * 2 ** tries, 5000)); };
}

function send(message) { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); }

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-ask]");
  if (button) {
    send({ ask: button.dataset.ask, id: button.dataset.id || "" });
    return;
  }
  const from = event.target.closest("[data-from]");
  if (from) { send({ ask: at("kind").value, id: at(from.dataset.from).value }); return; }
  const svg = event.target.closest("svg.clickable");
  if (!svg) return;
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const [left, top, width, height, rows, columns] = run.map;
  const row = Math.floor(rows * (point.y - top) / height), column = Math.floor(columns * (point.x - left) / width);
  if (row >= 0 && row < rows && column >= 0 && column < columns) send({ row: row, column: column });
});
at("pick").addEventListener("change", () => send({ number: Number(at("pick").value) }));
if (at("abort")) {
  at("kind").addEventListener("change", () => { at("change").placeholder = at("kind").selectedOptions[0].dataset.such; });
  at("change").addEventListener("keydown", (event) => { if (event.key === "Enter") at("ask").click(); });
  at("abort").addEventListener("click", () => at("sure").showModal());
  at("no").addEventListener("click", () => at("sure").close());
  at("yes").addEventListener("click", () => { at("sure").close(); send({ ask: "abort", id: "" }); });
}
local(document); controls(); connect(); setInterval(tick, 1000);
