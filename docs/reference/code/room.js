const COME_BACK = [1001, 1005, 1006, 1011, 1012, 1013, 1014]; // and 4000 to 4499

export function openRoom(url, { onEvent, onStatus = () => {}, onMissed = () => {} }) {
  const seen = {}; // room → the last position
  let socket, wait = 500;
  (function dial() {
    socket = new WebSocket(url);
    socket.onmessage = ({ data }) => {
      const { type, room, pos, ...rest } = JSON.parse(data);
      if (type === "roomful.joined") {
        if (seen[room] && seen[room] !== pos) onMissed(room); // something was pushed meanwhile
        onStatus("connected", (wait = 500));
      }
      if (pos) seen[room] = pos;
      if (type === "roomful.error") console.warn(rest.error.message);
      if (!type?.startsWith("roomful.")) onEvent(type, rest, room); // without a type it is a reply
    };
    socket.onclose = ({ code, reason }) => {
      if (!COME_BACK.includes(code) && !(code >= 4000 && code < 4500)) return onStatus("ended", reason);
      onStatus("reconnecting");
      setTimeout(dial, Math.random() * (wait = Math.min(2 * wait, 10_000)));
    };
  })();
  return { send: (type, data, id) => socket.send(JSON.stringify({ type, data, id })) };
}
