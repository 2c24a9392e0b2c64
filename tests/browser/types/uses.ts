// What a program may do with roomful.js, and what its types keep it from. Compiled, never run.

import { connect, InDoubtError, mayComeBack, NotSentError, RoomfulError } from "../../../src/roomful/browser/roomful.js";
import type { Connection, Gap, Options, Status } from "../../../src/roomful/browser/roomful.js";

interface Post {
  by: string;
  text: string;
}

const options: Options = {
  protocols: ["chat"],
  positions: { tea: "e:1" },
  backoff: { first: 100, longest: 1000 },
  maxQueued: 10,
  timeout: Infinity,
  random: () => 0.5,
  WebSocket,
};

const room: Connection = connect("/ws/tea", options);
connect(new URL("wss://example.org/ws"));
connect(async () => `/ws?ticket=${await (await fetch("/ticket")).text()}`);

const off: () => void = room.on<Post>("post", ({ by, text }, { room, pos }) => console.log(by, text, room, pos));
room.on<ArrayBuffer>("image", (bytes) => new Blob([bytes]));
room.on("unknown", (data) => {
  // @ts-expect-error What arrives is unknown until somebody says what it is.
  data.text;
});
room.onGap(({ ranges }: Gap) => ranges?.map(([first, last]) => last - first + 1));
room.onError(({ code, message }) => console.warn(code, message));
room.onMessage((message) => (typeof message === "string" ? message.length : message.byteLength));
room.onStatus((status: Status) => {
  switch (status.state) {
    case "connecting":
    case "connected":
      // @ts-expect-error There is no delay while there is a connection.
      return status.delay;
    case "reconnecting":
      return status.delay.toFixed();
    case "closed":
      return status.unsent.map(({ type, data }) => room.send(type, data));
    default:
      return status satisfies never;
  }
});

room.send("post", { text: "hi" });
room.send("image", new Uint8Array(1));
room.send("image", new Blob());
room.send("nothing");
// @ts-expect-error A type is a text.
room.send(7);
// @ts-expect-error It is a property: what was told last.
room.status = { state: "connected" };
// @ts-expect-error A browser lets a page set no headers.
connect("/ws", { headers: {} });

try {
  const at: { at: number } = await room.request<{ at: number }>("post", { text: "hi" }, { timeout: 500, resend: true });
  console.log(at.at);
} catch (error) {
  if (error instanceof InDoubtError) await room.request("post", {}, { id: error.id });
  else if (error instanceof RoomfulError) console.log(error.code);
  else if (error instanceof NotSentError) console.log(error.message);
}
const positions: Record<string, string> = room.positions;
room.forget("tea");
if (room.bufferedAmount === 0 && mayComeBack(4000)) room.close(3000, "bye");
off();
export { positions };
