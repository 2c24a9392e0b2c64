// The page of the chat, in two parts: the view, and what connects it with the room.
// The connection is roomful.js: it comes back by itself, resumes, and says what it missed.

import { connect, InDoubtError, NotSentError, RoomfulError } from "./roomful/roomful.js";

// ── The view. Texts of others are only ever set as text. ──

const [title, status, scroll, empty, log, typingLine, composer, text, send, file, entry] = [
  "room", "status", "scroll", "empty", "log", "typing", "composer", "text", "send", "file", "entry",
].map((id) => document.getElementById(id));
const LONGEST_LOG = 300;
const MAX_IMAGE_BYTES = 8 * 1024 * 1024;

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function element(name, className, content = "") {
  const made = document.createElement(name);
  made.className = className;
  made.append(content); // a text becomes a text node, whatever it holds
  return made;
}

function append(item, mustShow) {
  const atBottom = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  empty.hidden = true;
  log.append(item);
  while (log.childElementCount > LONGEST_LOG) {
    const url = log.firstElementChild.querySelector("img")?.src;
    if (url) URL.revokeObjectURL(url);
    log.firstElementChild.remove();
  }
  const show = () => (mustShow || atBottom) && (scroll.scrollTop = scroll.scrollHeight);
  show();
  item.querySelector("img")?.addEventListener("load", show); // only now is its height known
}

function addLine(words) {
  append(element("li", "said", words));
}

function addMessage(by, content, own) {
  const item = element("li", own ? "own" : "other");
  item.dataset.by = own ? "" : by;
  if (log.lastElementChild?.dataset.by === item.dataset.by) item.classList.add("again");
  if (!own) {
    const name = element("span", "by", by);
    name.style.setProperty("--hue", [...by].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7));
    item.append(name);
  }
  item.append(content, element("span", "note"));
  append(item, own);
  return item;
}

function imageOf(blob, by) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  image.alt = by ? `Image from ${by}` : "Your image";
  return element("span", "body image", image);
}

function note(item, state, words, again) {
  item.classList.remove("pending", "failed", "confirmed");
  if (state) item.classList.add(state);
  const line = item.querySelector(".note");
  line.textContent = words;
  if (!again) return;
  const button = element("button", "link", "Send again");
  button.addEventListener("click", again);
  line.append(" ", button);
}

const typists = new Map(); // name → the timer that forgets it

function setTyping(by, active) {
  clearTimeout(typists.get(by));
  typists.delete(by);
  if (active) typists.set(by, setTimeout(setTyping, 6000, by, false));
  const names = [...typists.keys()];
  typingLine.textContent =
    names.length > 2 ? "Several people are typing…" : names.length ? `${names.join(" and ")} ${names[1] ? "are" : "is"} typing…` : "";
}

function show(state, words) {
  status.textContent = words;
  status.className = `status ${state}`;
  send.disabled = file.disabled = state !== "connected";
  if (state === "connected" && !entry.open) text.focus();
}

function askWhoAndWhere(error = "") {
  document.getElementById("entry-name").value = sessionStorage.getItem("name") ?? "";
  document.getElementById("entry-room").value = roomName;
  document.getElementById("entry-error").textContent = error;
  document.getElementById("cancel").hidden = !room || error !== "";
  if (!entry.open) entry.showModal();
}

// ── What connects the two. ──

let room, typingSince = 0;
const roomName = new URLSearchParams(location.search).get("room")?.trim() || "lobby";
const name = sessionStorage.getItem("name"); // one for each tab, so that two windows can be two people
const sent = new Map(); // mark → our own message, until it is confirmed

const handlers = {
  entered: ({ by }) => addLine(`${by} came in`),
  left: ({ by }) => (setTyping(by, false), addLine(`${by} left`)),
  typing: ({ by, active }) => setTyping(by, active),
  post({ by, text, mark, at }) {
    if (sent.has(mark)) return confirm(mark, at); // ours: its reply was lost in a break, and now we know
    setTyping(by, false);
    note(addMessage(by, element("span", "body", text)), "", clock(at));
  },
  image(buffer) {
    // Two bytes with the length of a JSON header, the header, the image.
    const start = 2 + new DataView(buffer).getUint16(0);
    const { by, kind } = JSON.parse(new TextDecoder().decode(buffer.slice(2, start)));
    note(addMessage(by, imageOf(new Blob([buffer.slice(start)], { type: kind }), by)), "", clock(Date.now()));
  },
};

// Asked before each connection: a ticket is a secret that holds once, and so may stand in an address.
async function address() {
  const answer = await fetch(`ticket?name=${encodeURIComponent(name)}`, { method: "POST" });
  const { ticket, detail } = await answer.json();
  if (answer.status === 422) {
    room.close();
    askWhoAndWhere(detail);
  }
  return `ws/${encodeURIComponent(roomName)}?ticket=${ticket}`;
}

function enter() {
  room = connect(address);
  for (const [type, handler] of Object.entries(handlers)) room.on(type, handler);
  room.on("roomful.joined", () => show("connected", "Connected")); // from now on the others are heard
  room.onGap(() => addLine("Some messages may be missing here"));
  room.onStatus(({ state, reason }) => {
    if (state === "reconnecting") show(state, "Reconnecting…");
    if (state !== "closed") return;
    show("ended", "Connection ended");
    askWhoAndWhere(reason || "The server ended this connection.");
  });
}

function confirm(mark, at) {
  note(sent.get(mark), "confirmed", clock(at));
  sent.delete(mark);
}

const WHY = new Map([
  [InDoubtError, "The connection broke before this was confirmed."],
  [NotSentError, "Not connected."],
]);

async function deliver(item, type, data, mark) {
  sent.set(mark, item);
  note(item, "pending", "Sending…");
  try {
    // A large image takes as long as it takes. A second try has the same id, so that it is the same wish.
    const { at } = await room.request(type, data, { id: mark, timeout: Infinity });
    if (sent.has(mark)) confirm(mark, at);
  } catch (error) {
    const again = error instanceof RoomfulError ? null : () => deliver(item, type, data, mark);
    note(item, "failed", WHY.get(error.constructor) ?? error.message, again);
  }
}

const newMark = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function sendText() {
  const words = text.value.trim();
  if (!words || send.disabled) return;
  const mark = newMark();
  deliver(addMessage(name, element("span", "body", words), true), "post", { text: words, mark }, mark);
  text.value = "";
  typingSince = 0;
}

function sendImage(blob) {
  if (!blob || send.disabled) return;
  if (blob.size > MAX_IMAGE_BYTES) return addLine("This image is too large: 8 MB at most");
  deliver(addMessage(name, imageOf(blob), true), "image", blob, newMark());
}

composer.addEventListener("submit", (event) => (event.preventDefault(), sendText()));
file.addEventListener("change", () => (sendImage(file.files[0]), (file.value = "")));
text.addEventListener("paste", ({ clipboardData }) => sendImage([...clipboardData.files].find(({ type }) => type.startsWith("image/"))));
text.addEventListener("keydown", (event) => {
  // While an input method composes, Enter chooses a word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sendText();
});
text.addEventListener("input", () => {
  const active = text.value !== "";
  if (active && Date.now() - typingSince < 3000) return;
  typingSince = active ? Date.now() : 0;
  try {
    room?.send("typing", { active });
  } catch {
    // Not connected: nobody has to know.
  }
});
document.getElementById("change").addEventListener("click", () => askWhoAndWhere());
document.getElementById("cancel").addEventListener("click", () => entry.close());
entry.addEventListener("cancel", (event) => document.getElementById("cancel").hidden && event.preventDefault());
document.getElementById("entry-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("name", document.getElementById("entry-name").value.trim());
  location.search = `?room=${encodeURIComponent(document.getElementById("entry-room").value.trim())}`;
});

title.textContent = roomName;
document.title = `${roomName} · Chat`;
if (name) enter();
else askWhoAndWhere();
