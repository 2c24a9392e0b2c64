// roomful.js: a connection to a Roomful server that comes back by itself, resumes, and says what it missed.
//
// One module, no dependencies, no build step. It knows nothing of pages, and keeps nothing beyond the page's life.
// Its types and contracts stand in roomful.d.ts; the wire is described in docs/reference/wire.md.

const COME_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014]);
const LONGEST_TIMER_MS = 2 ** 31 - 1; // a longer one would fire at once
const MAX_HEADER_BYTES = 2 ** 16 - 1; // its length stands in two bytes
const OPEN = 1; // WebSocket.OPEN, also of a class that is injected

// Not for `roomful.joined` and its like: a page that does not ask for those misses nothing.
const SAID_ALOUD = new Set(["roomful.gap", "roomful.error"]);

const reportError = globalThis.reportError ?? console.error;

/** Open a connection. It dials at once; whatever arrives, arrives after the present task. */
export function connect(url, options) {
  return new Connection(url, options);
}

/** Whether a connection that ended with this code is to be opened again; as in `roomful.core.close_codes`. */
export function mayComeBack(code) {
  return (code >= 4000 && code <= 4499) || COME_BACK.has(code);
}

/** The server answered a request with an error. */
export class RoomfulError extends Error {
  name = "RoomfulError";

  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

/** It was not sent: nothing has happened, and nothing will. */
export class NotSentError extends Error {
  name = "NotSentError";
}

/** It was sent and not answered: nobody here can know whether it took effect. */
export class InDoubtError extends Error {
  name = "InDoubtError";

  constructor(message, id) {
    super(message);
    this.id = id; // to ask again under the same name
  }
}

class Connection {
  #url;
  #options;
  #backoff;
  #status = { state: "connecting" };
  #socket = null; // the one that counts; it is no longer heard once it is dropped
  #dials = 0; // the last dial counts, whatever an earlier one still waits for
  #timer; // of the handshake, or of the wait for the next one
  #openedAt = Infinity;
  #memory = null; // what the server calls what it remembers of this client, and for how long
  #holds = false; // whether all that is sent waits until the server has said whether it remembers
  #attempts = 0; // dials in a row that led to no lasting connection
  #positions; // room → pos of the last that arrived
  #resumed = new Map(); // what #positions were when the present socket was dialled, until the room answers

  #statusHandlers = new Set();
  #messageHandlers = new Set();
  #handlers = new Map(); // type → handlers
  #queue = []; // what waits for a connection, in order
  #requests = new Map(); // id → what waits for its reply, in order
  #session = crypto.getRandomValues(new Uint32Array(3)).join("-"); // no other page has the same
  #count = 0;
  #life = new AbortController(); // of the listeners on the window

  constructor(
    url,
    {
      protocols = [],
      positions = {},
      backoff = {},
      maxQueued = 0,
      timeout = 30_000,
      handshakeTimeout = 10_000,
      random = Math.random,
      WebSocket = globalThis.WebSocket,
    } = {},
  ) {
    this.#url = url;
    this.#options = { protocols, maxQueued, timeout, handshakeTimeout, random, WebSocket };
    this.#backoff = { first: 500, factor: 2, longest: 20_000, stable: 5000, ...backoff };
    this.#positions = new Map(Object.entries(positions));
    this.#dial();

    const listen = (type, listener) => globalThis.addEventListener?.(type, listener, { signal: this.#life.signal });
    // Many pages hear of the network at one moment, so they begin again with the first, short, random wait.
    listen("online", () => {
      if (this.#status.state !== "reconnecting" || this.#socket) return;
      this.#attempts = 0;
      this.#wait(this.#status);
    });
    // An open socket would keep the page out of the back/forward cache, or be cut in it without a word.
    listen("pagehide", (event) => event.persisted && this.#socket && this.#ended(1001, "the page was put aside"));
    listen("pageshow", (event) => {
      if (!event.persisted) return;
      this.#attempts = 0;
      this.#dial();
    });
  }

  // ── What a page asks for ──

  get status() {
    return this.#status;
  }

  get positions() {
    return Object.fromEntries(this.#positions);
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    return add(this.#handlers.get(type), handler);
  }

  onGap(handler) {
    return this.on("roomful.gap", (_, { room, epoch = null, ranges = null, reason = "" }) => {
      handler({ room, epoch, ranges, reason });
    });
  }

  onError(handler) {
    return this.on("roomful.error", (_, { error }) => handler(new RoomfulError(error.code, error.message)));
  }

  onMessage(handler) {
    return add(this.#messageHandlers, handler);
  }

  onStatus(handler) {
    const off = add(this.#statusHandlers, handler);
    call([handler], this.#status);
    return off;
  }

  onPresence(room, handler) {
    const who = new Map();
    const offs = [
      this.on("roomful.occupants", (_, frame) => {
        if (frame.room !== room) return;
        who.clear();
        for (const [name, info] of Object.entries(frame.who)) who.set(name, info);
        handler(who, null);
      }),
      this.on("roomful.presence", (_, { room: of, who: name, present, info = null }) => {
        if (of !== room) return;
        if (present) who.set(name, info);
        else who.delete(name);
        handler(who, { who: name, present, info });
      }),
    ];
    return () => offs.forEach((off) => off());
  }

  send(type, data) {
    this.#submit({ type, data, message: encode({ type }, data) });
  }

  request(type, data, { timeout = this.#options.timeout, resend = true, id = this.#newId() } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#requests.has(id)) throw new TypeError("a request with this id waits for its reply");
      const request = { id, resend, resolve, reject, wasSent: false, message: encode({ type, id }, data) };
      this.#submit(request);
      this.#requests.set(id, request);
      if (timeout > LONGEST_TIMER_MS) return;
      request.timer = setTimeout(() => this.#fail(request, `time ran out after ${timeout} ms`), timeout);
    });
  }

  forget(room) {
    this.#positions.delete(room);
  }

  close(code = 1000, reason = "") {
    this.#socket?.close(code, reason); // throws if the code is none that a page may send
    this.#finish(code, reason, "page");
  }

  // ── From dial to end ──

  #dial() {
    this.#drop();
    const dial = this.#dials;
    if (typeof this.#url !== "function") this.#open(this.#url); // a wrong address throws, out of `connect`
    else {
      new Promise((resolve) => resolve(this.#url()))
        .then((url) => dial === this.#dials && this.#open(url))
        .catch((error) => dial === this.#dials && this.#ended(1006, `there is no address: ${error?.message}`));
    }
    const { handshakeTimeout } = this.#options;
    this.#timer = setTimeout(() => this.#ended(1006, "the handshake took too long"), handshakeTimeout);
  }

  #open(url) {
    const { WebSocket, protocols } = this.#options;
    const socket = new WebSocket(addressOf(url, this.#session, this.#positions), protocols);
    this.#socket = socket;
    this.#resumed = new Map(this.#positions);
    socket.binaryType = "arraybuffer"; // a Blob would have to be waited for, and be overtaken by texts
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#ended(code, reason);
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedAt = performance.now();
    // Those that have been sent before are older than all that waits, so all waits until they are settled.
    this.#holds = this.#sent().length > 0;
    if (this.#holds) this.#timer = setTimeout(() => this.#settle(null), this.#options.handshakeTimeout);
    else this.#flush();
    this.#tell({ state: "connected" });
  }

  // A server that remembers says so on each connection, and by another name once it has forgotten.
  #settle(memory) {
    const known = memory !== null && memory.id === this.#memory?.id;
    this.#memory = memory;
    if (!this.#holds) return;
    clearTimeout(this.#timer);
    this.#holds = false;
    for (const request of this.#sent()) {
      // Not up to the last moment: what is sent now arrives later.
      if (known && performance.now() - request.sentAt < memory.seconds * 900) this.#transmit(request);
      else this.#fail(request, "the server does not remember whether it was handled");
    }
    this.#flush();
  }

  #sent() {
    return [...this.#requests.values()].filter(({ wasSent }) => wasSent);
  }

  #flush() {
    for (const entry of this.#queue.splice(0)) this.#transmit(entry);
  }

  #ended(code, reason) {
    // Not every connection that opens is a success: one that is closed again at once must not be dialled at once.
    if (performance.now() - this.#openedAt >= this.#backoff.stable) this.#attempts = 0;
    if (!mayComeBack(code)) return this.#finish(code, reason, "server");
    for (const request of this.#sent()) {
      if (!request.resend || !this.#memory) this.#fail(request, "the connection ended before the reply came");
    }
    this.#wait({ code, reason });
  }

  #wait({ code, reason }) {
    this.#drop();
    const { first, factor, longest } = this.#backoff;
    // Full jitter: any moment up to the bound, so that a thousand pages do not come back at one.
    const delay = this.#options.random() * Math.min(longest, first * factor ** this.#attempts++);
    this.#timer = setTimeout(() => this.#dial(), delay);
    this.#tell({ state: "reconnecting", delay, attempt: this.#attempts, code, reason });
  }

  #finish(code, reason, by) {
    if (this.#status.state === "closed") return;
    this.#drop();
    this.#life.abort();
    for (const request of this.#requests.values()) this.#fail(request, "the connection was closed for good");
    const unsent = this.#queue.splice(0).map(({ type, data }) => ({ type, data }));
    this.#tell({ state: "closed", code, reason, by, unsent });
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#dials++;
    this.#holds = false;
    this.#openedAt = Infinity;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #tell(status) {
    this.#status = Object.freeze(status);
    for (const handler of [...this.#statusHandlers]) {
      if (this.#status === status) call([handler], status); // else a handler has closed, and told the others so
    }
  }

  // ── Out ──

  #newId() {
    return `${this.#session}-${++this.#count}`;
  }

  #submit(entry) {
    // A socket that is closing takes everything and sends nothing, so it is asked itself.
    if (this.#socket?.readyState === OPEN) return this.#holds ? void this.#queue.push(entry) : this.#transmit(entry);
    if (this.#status.state === "closed") throw new NotSentError("not sent: the connection is closed");
    const { length } = this.#queue;
    if (length >= this.#options.maxQueued) {
      throw new NotSentError(`not sent: not connected${length ? `, and ${length} messages wait already` : ""}`);
    }
    this.#queue.push(entry);
  }

  #transmit(entry) {
    entry.wasSent = true;
    entry.sentAt ??= performance.now();
    this.#socket.send(entry.message);
  }

  #fail(request, why) {
    this.#forget(request);
    this.#queue = this.#queue.filter((entry) => entry !== request);
    const { id, wasSent } = request;
    request.reject(wasSent ? new InDoubtError(`in doubt: ${why}`, id) : new NotSentError(`not sent: ${why}`));
  }

  #forget(request) {
    clearTimeout(request.timer);
    this.#requests.delete(request.id);
  }

  // ── In ──

  #receive(message) {
    const frame = decode(message);
    if (frame === null) return call(this.#messageHandlers, message);
    if (typeof frame.type !== "string") return this.#answer(frame);
    const { type, room, pos } = frame;
    if (type === "roomful.memory") this.#settle(frame);
    if (typeof pos === "string") this.#positions.set(room, pos);
    const before = this.#resumed.get(room);
    if (type === "roomful.joined" || type === "roomful.gap") this.#resumed.delete(room);
    if (type === "roomful.joined" && !frame.recovered && before !== undefined && before !== pos) {
      // A server that keeps no history resumes nothing, and cannot say what was missed either.
      this.#dispatch({ type: "roomful.gap", room, reason: "not recovered" });
    }
    this.#dispatch(frame);
  }

  #dispatch(frame) {
    const handlers = this.#handlers.get(frame.type);
    if (handlers?.size) call(handlers, frame.data, frame);
    else if (SAID_ALOUD.has(frame.type)) console.warn("roomful:", frame);
  }

  #answer({ reply, error, data }) {
    const request = this.#requests.get(reply);
    if (!request) return; // it has been given up
    this.#forget(request);
    if (error?.code === "in_doubt") request.reject(new InDoubtError(`in doubt: ${error.message}`, reply));
    else if (error) request.reject(new RoomfulError(error.code, error.message));
    else request.resolve(data);
  }
}

// ── Handlers ──

function add(handlers, handler) {
  const entry = (...args) => handler(...args); // the same handler may be added twice, and each be taken away
  handlers.add(entry);
  return () => void handlers.delete(entry);
}

// A handler that throws disturbs neither the others nor the connection.
function call(handlers, ...args) {
  for (const handler of [...handlers]) {
    try {
      handler(...args);
    } catch (error) {
      reportError(error);
    }
  }
}

// ── The wire ──

function addressOf(url, client, positions) {
  const address = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  address.protocol = address.protocol.replace(/^http/, "ws");
  address.hash = "";
  // Appended as text: setting a parameter would write the whole query anew, which may be signed.
  const append = (name, value) => {
    address.search += `${address.search ? "&" : "?"}${name}=${encodeURIComponent(value)}`;
  };
  if (positions.size) {
    if (address.searchParams.has("resume")) address.searchParams.delete("resume");
    append("resume", JSON.stringify(Object.fromEntries(positions)));
  }
  if (!address.searchParams.has("client")) append("client", client);
  return address.href;
}

// Text for JSON; a binary event is two bytes with the length of its JSON header, the header, and the data.
function encode(header, data) {
  const isBlob = globalThis.Blob !== undefined && data instanceof Blob;
  const isView = ArrayBuffer.isView(data);
  if (!isBlob && !isView && !(data instanceof ArrayBuffer)) return JSON.stringify({ ...header, data });
  const json = new TextEncoder().encode(JSON.stringify(header));
  if (json.length > MAX_HEADER_BYTES) throw new RangeError(`type and id take ${json.length} bytes; at most 65535 do`);
  const head = new Uint8Array([json.length >> 8, json.length & 255, ...json]);
  if (isBlob) return new Blob([head, data]);
  const bytes = isView ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  const message = new Uint8Array(head.length + bytes.length);
  message.set(head);
  message.set(bytes, head.length);
  return message;
}

// Return a frame of the events codec, or null for a message of the application's own.
function decode(message) {
  try {
    const frame = typeof message === "string" ? JSON.parse(message) : decodeBinary(message);
    return typeof frame.type === "string" || "reply" in frame ? frame : null;
  } catch {
    return null;
  }
}

function decodeBinary(buffer) {
  const start = 2 + new DataView(buffer).getUint16(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 2, start - 2)));
  return { ...header, data: buffer.slice(start) };
}
