// Wishes go out over HTTP, news comes in over the socket; what the page shows is always what the API last said.

const at = (id) => document.getElementById(id);
const WORDS = {
  JOIN: ({ user }) => `${user} came in`,
  LEAVE: ({ user }) => `${user} left`,
  CLOSE: () => "The room was closed",
};

let current = null; // the room that is shown
let feed = null; // and its socket

async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body && { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  const words = answer.message ?? "this does not fit: please look at what you typed";
  throw Object.assign(new Error(words), { status: response.status });
}

let forget;

function complain(words) {
  clearTimeout(forget);
  at("error").textContent = words;
  forget = setTimeout(complain, 8000, "");
}

// Do what a button or a form wishes, and say what goes wrong.
function when(target, event, wish) {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    complain("");
    try {
      await wish();
    } catch (error) {
      complain(error instanceof TypeError ? "the server cannot be reached" : error.message);
    }
  });
}

function made(name, text, className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

async function showRooms() {
  const rooms = await ask("GET", "rooms");
  at("none").hidden = rooms.length > 0;
  at("rooms").replaceChildren(
    ...rooms.map((room) => {
      const button = made("button", "", "quiet");
      button.append(made("span", room.title), made("span", `${room.members.length} of ${room.capacity}`, "count"));
      button.setAttribute("aria-current", room.id === current?.id);
      when(button, "click", () => open(room.id));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

function showRoom(room) {
  current = room;
  at("room").hidden = false;
  at("room-title").textContent = room.title;
  at("places").textContent = room.is_open
    ? `${room.members.length} of ${room.capacity} places are taken`
    : "This room is closed: nobody else can come in";
  at("close").disabled = !room.is_open;
  at("members").replaceChildren(
    ...room.members.map((name) => {
      const button = made("button", "×");
      button.setAttribute("aria-label", `${name} leaves`);
      when(button, "click", () => ask("DELETE", `rooms/${room.id}/members/${encodeURIComponent(name)}`));
      const item = made("li", name);
      item.append(button);
      return item;
    }),
  );
}

let latest = Promise.resolve();

// Fetch and show, one after the other, so that an older answer never covers a newer one.
function refresh(id) {
  const next = async () => {
    if (id === current?.id) showRoom(await ask("GET", `rooms/${id}`));
    await showRooms();
  };
  latest = latest.then(next, next);
  return latest;
}

async function open(id) {
  if (current?.id === id) return;
  feed?.end();
  at("feed").replaceChildren();
  current = { id };
  feed = watch(id);
  await refresh(id);
}

function gone() {
  feed.end();
  current = null;
  at("room").hidden = true;
  complain("this room is no more");
  return showRooms();
}

// Watch a room, and come back after a break. The room is fetched anew at each coming, so that nothing is missed.
function watch(id) {
  const url = new URL(`rooms/${id}/feed`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let socket, timer;
  let attempts = 0;
  let isOver = false;

  function status(word, className) {
    at("status").textContent = word;
    at("status").className = `status ${className}`;
  }

  function dial() {
    socket = new WebSocket(url);
    socket.onmessage = ({ data }) => {
      if (isOver) return;
      const event = JSON.parse(data);
      if (event.type === "roomful.joined") {
        attempts = 0;
        status("Watching", "connected");
      } else if (WORDS[event.type]) {
        const line = made("li", "");
        line.append(made("code", event.type), made("span", WORDS[event.type](event.data)));
        at("feed").prepend(line);
        while (at("feed").childElementCount > 50) at("feed").lastElementChild.remove();
      } else return;
      refresh(id).catch(() => {});
    };
    socket.onclose = later;
  }

  function later() {
    if (isOver) return;
    status("Reconnecting…", "reconnecting");
    timer = setTimeout(comeBack, Math.min(10_000, 500 * 2 ** attempts++) * (0.5 + Math.random() / 2));
  }

  // A page is not told why a handshake was refused, so it asks first whether the room still is.
  async function comeBack() {
    try {
      await refresh(id);
    } catch (error) {
      if (isOver) return;
      return error.status === 404 ? gone() : later();
    }
    if (!isOver) dial();
  }

  status("Connecting…", "connecting");
  dial();
  return {
    end() {
      isOver = true;
      clearTimeout(timer);
      socket.close();
    },
  };
}

when(at("create"), "submit", async () => {
  const room = await ask("POST", "rooms", { title: at("title").value.trim(), capacity: Number(at("capacity").value) });
  at("title").value = "";
  await open(room.id);
});
when(at("join"), "submit", async () => {
  await ask("POST", `rooms/${current.id}/members`, { name: at("name").value.trim() });
  at("name").value = "";
});
when(at("close"), "click", () => ask("POST", `rooms/${current.id}/close`));

showRooms().catch(() => complain("the server cannot be reached"));
