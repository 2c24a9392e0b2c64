// Raw text in, raw text out: this example owns its wire. The chat shows how a page comes back after a break.

const form = document.querySelector("#say");
const text = document.querySelector("#text");
const button = form.querySelector("button");
const status = document.querySelector("#status");
const log = document.querySelector("#log");

const url = new URL("ws", location.href);
url.protocol = url.protocol.replace("http", "ws");
const socket = new WebSocket(url);

function show(word, className) {
  status.textContent = word;
  status.className = `status ${className}`;
  button.disabled = className !== "connected";
}

socket.addEventListener("open", () => show("Connected", "connected"));
socket.addEventListener("close", () => show("Connection ended. Reload the page to connect again.", "ended"));
socket.addEventListener("message", ({ data }) => {
  const line = document.createElement("li");
  line.textContent = typeof data === "string" ? data : `${data.size} bytes`;
  log.prepend(line);
  while (log.childElementCount > 200) log.lastElementChild.remove();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(text.value);
  text.value = "";
});
