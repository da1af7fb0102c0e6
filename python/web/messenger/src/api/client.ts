/** Requests to the service. Its errors carry a sentence for people. */
import { t } from "../i18n";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** A word of docs/api/messenger.md, or "service" where nobody answered. */
    readonly word: string,
    message: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

async function refuse(response: Response): Promise<never> {
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error ?? "generic", body.message ?? t("error.generic"), body);
}

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "service", t("status.service"));
  }
  return response.ok ? response : refuse(response);
}

export async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method, signal: signal ?? null };
  if (method !== "GET") {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(body ?? {});
  }
  const response = await send(`/api/${path}`, init);
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

/** Sends bytes and tells how far they are; `fetch` cannot tell. */
export function upload<T>(
  method: string,
  path: string,
  bytes: Blob,
  onProgress?: (share: number) => void,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const transfer = new XMLHttpRequest();
    transfer.open(method, `/api/${path}`);
    transfer.setRequestHeader("Content-Type", "application/octet-stream");
    transfer.upload.onprogress = (event) => onProgress?.(event.total ? event.loaded / event.total : 0);
    transfer.onerror = () => reject(new ApiError(0, "service", t("status.service")));
    transfer.onabort = () => reject(new DOMException("", "AbortError"));
    transfer.onload = () => {
      let body: Record<string, unknown> = {};
      try {
        body = transfer.responseText ? JSON.parse(transfer.responseText) : {};
      } catch {
        // What is no JSON has no sentence of its own either.
      }
      if (transfer.status >= 200 && transfer.status < 300) resolve(body as T);
      else
        reject(
          new ApiError(
            transfer.status,
            String(body.error ?? "generic"),
            String(body.message ?? t("error.generic")),
            body,
          ),
        );
    };
    signal?.addEventListener("abort", () => transfer.abort());
    transfer.send(bytes);
  });
}

export const get = <T>(path: string, signal?: AbortSignal) => request<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body?: unknown) => request<T>("POST", path, body);
export const patch = <T>(path: string, body: unknown) => request<T>("PATCH", path, body);
export const remove = <T>(path: string, body?: unknown) => request<T>("DELETE", path, body);

/** The sentence to show for whatever was thrown. */
export function sentence(error: unknown): string {
  return error instanceof ApiError ? error.message : t("error.generic");
}
