import { encoded } from "./form.js";

/** Up to this size the core keeps a body, so that it can be sent again after a 401 or a redirect. */
export const LARGEST_KEPT = 64 * 1024 * 1024;

/**
 * How long a Request's own body may take to come to its end, in milliseconds, before it goes out as a stream. What was
 * made of text, bytes or a file is there at once; a stream ends when its maker likes, or never.
 */
const PATIENCE = 250;

type Bytes = Uint8Array<ArrayBuffer>;

/** The body of a request: all of it, or a stream nobody else reads. */
export type OutgoingBody = Bytes | ReadableStreamDefaultReader<Uint8Array> | undefined;

/** A request as the page has made it. */
export interface Outgoing {
  /** Everything but the body. */
  request: Request;
  /** The page's end of a body that is read piece by piece; it is told when the call is given up. */
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** The body, once it is known whether it is a stream. */
  body: () => Promise<OutgoingBody>;
}

/**
 * What of `init` means something to a request that the core makes. The rest is left out rather than tried: `mode:
 * "no-cors"` would take headers away, and `cache: "only-if-cached"` is refused without another `mode`.
 */
const HONOURED = ["method", "headers", "body", "redirect", "credentials", "integrity"] as const;

/**
 * Reads the arguments of `fetch` as the standard does.
 *
 * @throws `TypeError` for what the standard refuses
 */
export function outgoing(input: RequestInfo | URL, init: RequestInit): Outgoing {
  const honoured: RequestInit & { duplex?: "half" } = { duplex: "half" };
  for (const name of HONOURED) {
    // One by one: `init` may be a Request, whose members are not its own.
    const value = init[name];
    if (value !== undefined) {
      Object.assign(honoured, { [name]: value });
    }
  }
  if (honoured.body instanceof FormData && [...honoured.body.values()].some((value) => typeof value !== "string")) {
    honoured.body = encoded(honoured.body);
  }
  const { body } = honoured;
  // Not every webview can put a stream into a Request, and those that cannot make text of it.
  if (body instanceof ReadableStream) {
    const request = new Request(input, { ...honoured, body: new Uint8Array() });
    return streamed(request, unread(body));
  }
  if (body instanceof Blob && body.size > LARGEST_KEPT) {
    const request = new Request(input, { ...honoured, body: new Blob([], { type: body.type }) });
    return streamed(request, body.stream());
  }
  const request = new Request(input, honoured);
  if (request.method === "GET" || request.method === "HEAD") {
    return { request, reader: undefined, body: async () => undefined };
  }
  // A Request does not say what its body was made of. (Some webviews do not show it at all.)
  if (body == null && request.body) {
    const reader = (request.body as ReadableStream<Uint8Array>).getReader();
    return { request, reader, body: async () => wholeOrStream(reader) };
  }
  return { request, reader: undefined, body: async () => someOf(new Uint8Array(await request.arrayBuffer())) };
}

function streamed(request: Request, body: ReadableStream<Uint8Array>): Outgoing {
  const reader = body.getReader();
  return { request, reader, body: async () => reader };
}

/** The same stream; a Response is as strict about what it takes as a Request, and every webview puts streams into one. */
function unread(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  new Response(stream);
  return stream;
}

/** All of it if it ends soon and is not too large; otherwise what has been read and whatever is still to come. */
async function wholeOrStream(source: ReadableStreamDefaultReader<Uint8Array>): Promise<OutgoingBody> {
  const read: Uint8Array[] = [];
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, PATIENCE, "late");
  });
  let next = reading(source);
  try {
    while (size <= LARGEST_KEPT) {
      const found = await Promise.race([next, late]);
      if (found === "late") {
        break;
      }
      if (found.done) {
        return someOf(new Uint8Array(await new Blob(read as Bytes[]).arrayBuffer()));
      }
      read.push(found.value);
      size += found.value.byteLength;
      next = reading(source);
    }
  } finally {
    clearTimeout(timer);
  }
  return continued(read, next, source);
}

/** The next piece. That it fails may be found out before anybody asks for it. */
function reading(source: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
  const piece = source.read();
  piece.catch(() => {});
  return piece;
}

/** A reader of what was read already, and then of the rest. */
function continued(
  read: Uint8Array[],
  next: Promise<ReadableStreamReadResult<Uint8Array>>,
  source: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStreamDefaultReader<Uint8Array> {
  const rest = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const first = read.shift();
        if (first) {
          controller.enqueue(first);
          return;
        }
        const found = await next;
        if (found.done) {
          controller.close();
        } else {
          next = reading(source);
          controller.enqueue(found.value);
        }
      },
      cancel: (reason) => source.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return rest.getReader();
}

function someOf(bytes: Bytes): Bytes | undefined {
  return bytes.byteLength === 0 ? undefined : bytes;
}
