/**
 * roomful.js: a connection to a Roomful server that comes back by itself, resumes, and says what it missed.
 *
 * Times are in milliseconds.
 */

/** What reads as binary data; it is sent as a binary event. Anything else is sent as JSON. */
export type BinaryData = ArrayBuffer | ArrayBufferView | Blob;

/** An address: `ws:`, `wss:`, `http:`, `https:`, or relative to the page. */
export type Address = string | URL;

/** Takes a handler away again. */
export type Off = () => void;

export interface Backoff {
  /** The bound of the first wait; 500 by default. */
  first?: number;
  /** By what the bound grows with each attempt that fails; 2 by default. */
  factor?: number;
  /** The highest bound; 20 000 by default. */
  longest?: number;
  /** How long a connection must have lasted for the bound to begin anew; 5000 by default. */
  stable?: number;
}

export interface Options {
  /** Subprotocols, as `WebSocket` takes them. Browsers let a page set no headers. */
  protocols?: string | string[];
  /** Where earlier connections stood, as `Connection.positions` told it: the first connection resumes there. */
  positions?: Record<string, string>;
  backoff?: Backoff;
  /** How many messages may wait while there is no connection; 0 by default: then `send` and `request` refuse. */
  maxQueued?: number;
  /** How long a request waits for its reply; 30 000 by default, `Infinity` for as long as it takes. */
  timeout?: number;
  /** How long a handshake may take, the function that gives the address included; 10 000 by default. */
  handshakeTimeout?: number;
  /** A number from 0 to below 1; `Math.random` by default. */
  random?: () => number;
  /** The class of the sockets; the browser's own by default. */
  WebSocket?: new (url: string, protocols?: string | string[]) => WebSocket;
}

export interface RequestOptions {
  /** How long to wait for the reply; `Options.timeout` by default. */
  timeout?: number;
  /**
   * Send the request again, under its id, when the connection has come back before the reply came; true by default.
   * It takes effect once: it is sent again only to a server that has said that it remembers, and still does.
   * Otherwise it ends in doubt.
   */
  resend?: boolean;
  /** An id of your own, such as that of an `InDoubtError`; by default one that no other request of any page has. */
  id?: string | number;
}

export type Status =
  /** The first connection is being made. */
  | { readonly state: "connecting" }
  | { readonly state: "connected" }
  /** A connection ended or could not be made: the next attempt is made after `delay`, and is number `attempt`. */
  | {
      readonly state: "reconnecting";
      readonly delay: number;
      readonly attempt: number;
      readonly code: number;
      readonly reason: string;
    }
  /** For good: by the page's `close`, or by the server with a code that says *stay away*. */
  | {
      readonly state: "closed";
      readonly code: number;
      readonly reason: string;
      readonly by: "page" | "server";
      /** What `send` had queued and what was never sent. */
      readonly unsent: readonly { readonly type: string; readonly data: unknown }[];
    };

/** A whole frame: an event, or one of the `roomful.` types with further fields of its own. */
export interface Frame<Data = unknown> {
  readonly type: string;
  /** What the event carries; an `ArrayBuffer` if it is a binary one. */
  readonly data: Data;
  /** The room to which it was pushed; not there if it was sent to this connection alone. */
  readonly room?: string;
  /** Its position in the room: opaque, for a resume. */
  readonly pos?: string;
  readonly [field: string]: unknown;
}

/** Events of a room that this connection does not get. */
export interface Gap {
  readonly room: string;
  /** To which the ranges belong; null if it is not known what is missing. */
  readonly epoch: string | null;
  /** First and last offset of each range; null if it is not known what is missing, or whether anything is. */
  readonly ranges: readonly (readonly [first: number, last: number])[] | null;
  readonly reason: string;
}

/** Somebody has come or gone, or says something else of itself. */
export interface PresenceChange<Info = unknown> {
  readonly who: string;
  /** Whether it is present now. */
  readonly present: boolean;
  /** What it says of itself; null if it is not present or says nothing. */
  readonly info: Info | null;
}

/** The server answered a request with an error, or with one that belongs to no request (`onError`). */
export class RoomfulError extends Error {
  constructor(code: string, message?: string);
  /** A stable word for programs, such as `invalid_message`, or what the handler chose. */
  readonly code: string;
}

/** It was not sent: nothing has happened, and nothing will. */
export class NotSentError extends Error {}

/** It was sent and not answered: nobody here can know whether it took effect. */
export class InDoubtError extends Error {
  constructor(message: string, id: string | number);
  /** The request's id, to ask again under the same one. */
  readonly id: string | number;
}

export interface Connection {
  /** What `onStatus` has told last. */
  readonly status: Status;

  /** The last position of each room, including that of the event that is being handled. */
  readonly positions: Record<string, string>;

  /** Bytes that the browser has taken and not yet written. */
  readonly bufferedAmount: number;

  /**
   * Call a handler with the data of each event of this type.
   * Handlers are called in the order in which events arrive, which is the order of their room.
   * One that throws is reported as an uncaught error, and disturbs nothing.
   */
  on<Data = unknown>(type: string, handler: (data: Data, frame: Frame<Data>) => void): Off;

  /** Call a handler with each gap, before the next event of its room. Without one, gaps are shown on the console. */
  onGap(handler: (gap: Gap) => void): Off;

  /** Call a handler with each error that answers no request. Without one, they are shown on the console. */
  onError(handler: (error: RoomfulError) => void): Off;

  /**
   * Call a handler with those who are present in a room, by name, whenever that changes.
   * Before the server has sent them all (`send_presence`), and only then, it is not known who was there before.
   * The change is null where all were sent anew: on a connection that has come back, or after a gap.
   */
  onPresence<Info = unknown>(
    room: string,
    handler: (who: ReadonlyMap<string, Info | null>, change: PresenceChange<Info> | null) => void,
  ): Off;

  /** Call a handler with each message that is no event: text or bytes of the application's own. */
  onMessage(handler: (message: string | ArrayBuffer) => void): Off;

  /** Call a handler with the present status, at once, and with each change. */
  onStatus(handler: (status: Status) => void): Off;

  /**
   * Send an event that nobody answers. Whether it arrived is not told; use `request` where that matters.
   *
   * @throws {NotSentError} There is no connection, and the queue is full or there is none.
   * @throws {TypeError} The data cannot be written as JSON.
   */
  send(type: string, data?: unknown): void;

  /**
   * Send an event and wait for its reply. The promise always ends (unless `timeout` is `Infinity`), in one of four ways:
   * with the reply, with a `RoomfulError` (the server refused), with a `NotSentError` (nothing has happened),
   * or with an `InDoubtError` (time ran out, or the connection ended and the server does not remember; or it says so).
   */
  request<Reply = unknown>(type: string, data?: unknown, options?: RequestOptions): Promise<Reply>;

  /** Forget where a room stands, after leaving it: the next connection does not ask to resume it. */
  forget(room: string): void;

  /**
   * Close for good. What was sent is still written; requests that wait end in doubt; no handler hears from the socket.
   *
   * @param code 1000 (the default), or 3000 to 4999.
   */
  close(code?: number, reason?: string): void;
}

/**
 * Open a connection, and open it again whenever it ends, unless the server says *stay away* or the page closes it.
 *
 * @param url The address, or a function that gives one for each attempt (with a new one-time ticket, say).
 *   A function that fails counts as an attempt that failed.
 * @throws {SyntaxError | TypeError} The address or a subprotocol is malformed.
 */
export function connect(url: Address | (() => Address | Promise<Address>), options?: Options): Connection;

/** Whether a connection that ended with this code is to be opened again. */
export function mayComeBack(code: number): boolean;
