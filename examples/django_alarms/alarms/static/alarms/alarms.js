// The page: one connection, whose alarms are shown the newest first, each once.

import { connect } from "../roomful/roomful.js";

const list = document.querySelector("#alarms");
const status = document.querySelector("#status");
const words = { connecting: "Connecting…", connected: "Connected", reconnecting: "Reconnecting…", closed: "Disconnected" };

const connection = connect(list.dataset.socket);

connection.on("alarm", show);
connection.on("alarms", (alarms) => alarms.toReversed().forEach(show));
connection.onGap(() => { document.querySelector("#gap").hidden = false; });
connection.onStatus(({ state }) => {
  status.textContent = words[state] ?? state;
  status.className = `status ${state}`;
});

function show(alarm) {
  // An alarm that is saved again comes again; it takes the place of its older form.
  document.getElementById(`alarm-${alarm.id}`)?.remove();
  const item = document.createElement("li");
  item.id = `alarm-${alarm.id}`;
  item.className = `card alarm ${alarm.level}`;
  const text = document.createElement("p");
  text.textContent = alarm.text;
  const at = document.createElement("time");
  at.dateTime = alarm.at;
  at.textContent = `${alarm.level}, ${new Date(alarm.at).toLocaleTimeString()}`;
  item.append(text, at);
  list.prepend(item);
  document.querySelector("#empty").hidden = true;
}
