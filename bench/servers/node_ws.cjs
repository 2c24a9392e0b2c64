// node's `ws`, without compression: for comparison where node and the package are there.
// `npm install --prefix .cache/bench ws@8` puts it where this file looks.
"use strict";
const path = require("path");
const { WebSocketServer } = require(path.join(__dirname, "../../.cache/bench/node_modules/ws"));

// The harness has gone, however it went.
process.stdin.on("end", () => process.exit()).resume();

const [program, , port] = process.argv.slice(2);
const rooms = new Map();

function join(name, socket) {
  if (!rooms.has(name)) rooms.set(name, new Set());
  rooms.get(name).add(socket);
  socket.on("close", () => rooms.get(name).delete(socket));
}

function push(name, message) {
  for (const member of rooms.get(name)) member.send(message, { binary: false });
}

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), perMessageDeflate: false, backlog: 4096 });
server.on("connection", (socket, request) => {
  const named = new URL(request.url, "http://x").searchParams.get("rooms");
  if (program === "fanout" || program === "reply" || program === "rooms") {
    for (const name of named ? named.split(",") : ["room"]) join(name, socket);
  }
  socket.on("message", (message) => {
    if (program === "rooms") push(message.toString("latin1", 0, 4), message);
    else if (program === "fanout" || program === "reply") push("room", message);
    else socket.send(message, { binary: false });
    if (program === "reply") socket.send("ok");
  });
  socket.on("error", () => {});
});
