// Alarms come in over the socket, to which a token lets in; the same token lets raise one over HTTP.

import { connect } from "./roomful/roomful.js";

const at = (id) => document.getElementById(id);
let token, alarms;

async function post(path, body) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(typeof found.detail === "string" ? found.detail : "this does not fit");
  return found;
}

async function logIn(user) {
  ({ token } = await post("login", { user }));
  return token;
}

function show(state, words) {
  at("status").textContent = words;
  at("status").className = `status ${state}`;
}

function listen(user) {
  alarms?.close();
  // A page can set no headers. The list of subprotocols is sent with the handshake, and is written down nowhere.
  alarms = connect(`ws/alarms/${user}`, { protocols: ["roomful", `roomful.token.${token}`] });
  alarms.on("alarm", ({ by, text }) => {
    const line = document.createElement("li");
    line.textContent = `${by}: ${text}`;
    at("log").prepend(line);
  });
  // The token ends soon: a new one keeps the connection.
  alarms.on("roomful.expiring", async () => alarms.request("roomful.refresh", { token: await logIn(user) }));
  alarms.onStatus(({ state, reason }) => {
    if (state === "connected") show(state, "Connected");
    if (state === "reconnecting") show(state, "Reconnecting…");
    if (state === "closed") show("ended", reason || "Connection ended");
  });
}

function handle(form, act) {
  at(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    at("error").textContent = "";
    try {
      await act();
    } catch (error) {
      at("error").textContent = error.message;
    }
  });
}

handle("login", async () => {
  const user = at("user").value;
  await logIn(user);
  listen(user);
  at("raise").hidden = false;
});

handle("raise", async () => {
  await post(`alarms/${at("whom").value}`, { text: at("text").value });
  at("text").value = "";
});
