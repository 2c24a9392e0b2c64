// The page of the chat, in three parts: the socket, the view, and what connects the two.

// ── The socket: events in and out, and back again after a break. It knows nothing of the page. ──

const COME_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014]); // and 4000–4499, Roomful's own
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

function openSocket(url, { onStatus, onEvent, onMissed }) {
  const positions = {}; // room → where we stand in it
  const waiting = new Map(); // id → the request that waits for its reply
  let socket, timer, attempts;

  function dial() {
    clearTimeout(timer);
    const target = new URL(url);
    if (Object.keys(positions).length) target.searchParams.set("resume", JSON.stringify(positions));
    socket = new WebSocket(target);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => receive(data);
    socket.onclose = ({ code, reason }) => {
      for (const { reject } of waiting.values()) reject(new Error("The connection broke before this was confirmed."));
      waiting.clear();
      if (!COME_BACK.has(code) && !(code >= 4000 && code < 4500)) return onStatus("ended", reason);
      onStatus("reconnecting");
      // Twice as long each time, and by chance up to half of that less: not all pages come back at one moment.
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempts++);
      timer = setTimeout(dial, wait * (0.5 + Math.random() / 2));
    };
  }

  function receive(message) {
    const [frame, bytes] = typeof message === "string" ? [JSON.parse(message)] : unpack(message);
    if ("reply" in frame) {
      const request = waiting.get(frame.reply);
      waiting.delete(frame.reply);
      if (frame.error) request?.reject(Object.assign(new Error(frame.error.message), { isAnswer: true }));
      else request?.resolve(frame.data);
      return;
    }
    const before = positions[frame.room];
    if (frame.pos) positions[frame.room] = frame.pos;
    if (frame.type === "roomful.joined") {
      attempts = 0;
      onStatus("connected");
      if (before && before !== frame.pos && !frame.recovered) onMissed();
    } else if (frame.type === "roomful.gap") onMissed();
    else if (frame.type === "roomful.error") console.warn(frame);
    else if (!frame.type.startsWith("roomful.")) onEvent(frame.type, bytes ?? frame.data);
  }

  attempts = 0;
  dial();
  addEventListener("online", () => socket.readyState === WebSocket.CLOSED && dial());

  return {
    // Send an event without waiting for anything.
    tell(type, data) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type, data }));
    },
    // Send an event, a Blob as a binary one, and wait for the reply.
    request(type, data, id) {
      if (socket.readyState !== WebSocket.OPEN) return Promise.reject(new Error("Not connected."));
      socket.send(data instanceof Blob ? pack({ type, id }, data) : JSON.stringify({ type, data, id }));
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
  };
}

// A binary event is two bytes with the length of its JSON header, the header, and the data.
function pack(header, data) {
  const head = new TextEncoder().encode(JSON.stringify(header));
  return new Blob([new Uint8Array([head.length >> 8, head.length & 255]), head, data]);
}

function unpack(buffer, from = 0) {
  const start = from + 2 + new DataView(buffer).getUint16(from);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, from + 2, start - from - 2))), buffer.slice(start)];
}

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
    const [{ by, kind }, bytes] = unpack(buffer);
    note(addMessage(by, imageOf(new Blob([bytes], { type: kind }), by)), "", clock(Date.now()));
  },
};

const WORDS = { connected: "Connected", reconnecting: "Reconnecting…", ended: "Connection ended" };

function enter() {
  const url = new URL(`ws/${encodeURIComponent(roomName)}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("name", name);
  room = openSocket(url, {
    onStatus(state, reason) {
      status.textContent = WORDS[state];
      status.className = `status ${state}`;
      send.disabled = file.disabled = state !== "connected";
      if (state === "connected" && !entry.open) text.focus();
      if (state === "ended") askWhoAndWhere(reason || "The server ended this connection.");
    },
    onEvent: (type, data) => handlers[type]?.(data),
    onMissed: () => addLine("Some messages may be missing here"),
  });
}

function confirm(mark, at) {
  note(sent.get(mark), "confirmed", clock(at));
  sent.delete(mark);
}

async function deliver(item, type, data, mark) {
  sent.set(mark, item);
  note(item, "pending", "Sending…");
  try {
    const { at } = await room.request(type, data, mark);
    if (sent.has(mark)) confirm(mark, at);
  } catch (error) {
    note(item, "failed", error.message, error.isAnswer ? null : () => deliver(item, type, data, mark));
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
  room?.tell("typing", { active });
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
