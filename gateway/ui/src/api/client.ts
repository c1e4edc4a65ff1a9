/** One way to ask the gateway: typed by its own description, with the key, and with refusals as `Problem`. */
import createClient, { type Middleware } from "openapi-fetch";
import { sentence } from "../parts/format";
import { heard, lost } from "../store/link";
import { key, keyRefused } from "../store/key";
import type { paths } from "./schema";
import type { ProblemDocument } from "./types";

/** Where the gateway is: this page may be served below the path of a proxy. */
export const BASE = new URL(".", document.baseURI).href.replace(/\/$/, "");
const WITHIN_MS = 45_000;

/** Something was refused, or nobody answered (`status` 0). The message is a sentence for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly field = "",
    readonly afterSeconds = 0,
  ) {
    super(message);
  }

  get isOffline(): boolean {
    return this.status === 0;
  }
}

async function fetching(request: Request): Promise<Response> {
  const limit = AbortSignal.timeout(WITHIN_MS);
  const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit;
  try {
    return await fetch(request, { signal });
  } catch (error) {
    if (request.signal?.aborted) throw error;
    lost();
    throw new Problem(0, "The gateway can’t be reached.");
  }
}

const withKey: Middleware = {
  onRequest({ request }) {
    if (key.peek()) request.headers.set("X-API-Key", key.peek());
    return request;
  },
  onResponse({ request, response }) {
    heard();
    if (response.status === 401) keyRefused(request.headers.get("X-API-Key") ?? "");
  },
};

export const api = createClient<paths>({ baseUrl: BASE, fetch: fetching });
api.use(withKey);

type Answer<Data> = { data?: Data; error?: unknown; response: Response };

/** The data of an answer. Throws Problem. */
export async function told<Data>(asked: Promise<Answer<Data>>): Promise<Data> {
  const { data, error, response } = await asked;
  if (response.ok) return data as Data;
  throw problemOf(response, error);
}

export function problemOf(response: Response, body: unknown): Problem {
  const problem = (body && typeof body === "object" ? body : {}) as Partial<ProblemDocument>;
  const whole = problem.detail || problem.title || `the gateway answered ${response.status}`;
  // It is shown at its field, which need not be named again.
  const said = problem.field && whole.startsWith(`${problem.field}: `) ? whole.slice(problem.field.length + 2) : whole;
  const after = Number(response.headers.get("Retry-After")) || 0;
  return new Problem(response.status, sentence(said), problem.field ?? "", after);
}
