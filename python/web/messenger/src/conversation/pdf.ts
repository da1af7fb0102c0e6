/** PDF drawn by a worker of our own page: nothing in a document runs, none of it asks anybody for anything. */
import { GlobalWorkerOptions, getDocument, type PDFDocumentLoadingTask, type PDFPageProxy } from "pdfjs-dist";
import workerUrl from "pdfjs-dist/build/pdf.worker.min.mjs?url";

GlobalWorkerOptions.workerSrc = workerUrl;

/** Pixels of a page that is drawn, and of a picture in it; a document says any size. */
const MOST_PIXELS = 6_000_000;
const MOST_IMAGE = 24_000_000;
const MOST_BYTES = 20_000_000;
/** A first page that takes longer than this is not waited for. */
const PATIENCE = 20_000;

/** Begins to read the file behind a URL. Whoever has the task destroys it. */
export async function openDocument(url: string, signal?: AbortSignal): Promise<PDFDocumentLoadingTask> {
  const response = await fetch(url, { credentials: "same-origin", signal: signal ?? null });
  if (!response.ok) throw new Error(String(response.status));
  const data = await response.arrayBuffer();
  if (data.byteLength > MOST_BYTES) throw new Error("too large");
  return getDocument({
    data,
    isEvalSupported: false,
    enableXfa: false,
    // The Content-Security-Policy lets neither WebAssembly nor foreign fonts' addresses in.
    useWasm: false,
    useSystemFonts: true,
    maxImageSize: MOST_IMAGE,
    canvasMaxAreaInBytes: 4 * MOST_PIXELS,
    disableAutoFetch: true,
    disableStream: true,
    verbosity: 0,
  });
}

/** Draws a page as wide as wanted, in CSS pixels, for a dense screen too. */
export async function draw(page: PDFPageProxy, canvas: HTMLCanvasElement, width: number): Promise<void> {
  const plain = page.getViewport({ scale: 1 });
  const wanted = (width * Math.min(2, devicePixelRatio)) / plain.width;
  const most = Math.sqrt(MOST_PIXELS / (plain.width * plain.height));
  const viewport = page.getViewport({ scale: Math.min(wanted, most) });
  canvas.width = Math.max(1, Math.floor(viewport.width));
  canvas.height = Math.max(1, Math.floor(viewport.height));
  await page.render({ canvas, viewport, background: "#fff" }).promise;
}

export interface Cover {
  src: string;
  pages: number;
}

const KEPT = 24;
const covers = new Map<string, Promise<Cover>>();

async function drawn(url: string, width: number): Promise<Cover> {
  const stop = new AbortController();
  const task = await openDocument(url, stop.signal);
  const late = setTimeout(() => void task.destroy(), PATIENCE);
  try {
    const document = await task.promise;
    const canvas = Object.assign(window.document.createElement("canvas"), { className: "cover" });
    await draw(await document.getPage(1), canvas, width);
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/webp", 0.85));
    if (!blob) throw new Error("not drawn");
    return { src: URL.createObjectURL(blob), pages: document.numPages };
  } finally {
    clearTimeout(late);
    void task.destroy();
  }
}

/** The first page as a picture; the last ones are kept, as a list draws its messages again and again. */
export function cover(url: string, width: number): Promise<Cover> {
  const found = covers.get(url) ?? drawn(url, width);
  covers.delete(url);
  covers.set(url, found);
  found.catch(() => covers.delete(url));
  for (const [oldest, made] of covers) {
    if (covers.size <= KEPT) break;
    covers.delete(oldest);
    made.then(({ src }) => URL.revokeObjectURL(src)).catch(() => undefined);
  }
  return found;
}

/** After locking, no page of anybody's stays in memory. */
export function forgetCovers(): void {
  for (const made of covers.values()) made.then(({ src }) => URL.revokeObjectURL(src)).catch(() => undefined);
  covers.clear();
}
