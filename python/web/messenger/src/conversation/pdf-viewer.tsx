/** A PDF to be read: its pages below each other, of which those near what is seen are drawn. */
import type { PDFDocumentProxy } from "pdfjs-dist";
import { useEffect, useRef, useState } from "react";
import type { Attachment } from "../api/types";
import { t } from "../i18n";
import { safeName } from "../text/safe";
import { draw, openDocument } from "./pdf";
import { ViewerFrame } from "./viewer-frame";

const STEP = 1.3;
const WIDEST = 900;
/** Pages that are shown of one document, and letters of one that a screen reader is given. */
const MOST_PAGES = 2000;
const MOST_TEXT = 20_000;

function Page({ of, number, width, tall }: { of: PDFDocumentProxy; number: number; width: number; tall: number }) {
  const place = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [near, setNear] = useState(number === 1);
  const [shape, setShape] = useState(tall);
  const [text, setText] = useState("");
  useEffect(() => {
    const watcher = new IntersectionObserver(([entry]) => setNear(Boolean(entry?.isIntersecting)), {
      root: place.current?.closest(".pdf-pages") ?? null,
      rootMargin: "600px",
    });
    if (place.current) watcher.observe(place.current);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    if (!near) return;
    let wanted = true;
    const work = async () => {
      const page = await of.getPage(number);
      const { width: wide, height } = page.getViewport({ scale: 1 });
      if (!wanted || !canvas.current) return;
      setShape(height / wide);
      await draw(page, canvas.current, width);
      const { items } = await page.getTextContent();
      const said = items.map((one) => ("str" in one ? one.str : "")).join(" ");
      if (wanted) setText(said.slice(0, MOST_TEXT));
    };
    // A page that cannot be drawn stays white; the others do not suffer.
    work().catch(() => undefined);
    return () => {
      wanted = false;
    };
  }, [of, number, width, near]);
  const label = t("document.page", { number });
  return (
    <section
      className="pdf-page"
      ref={place}
      aria-label={label}
      style={{ width, height: Math.min(20_000, Math.round(width * shape)) }}
      data-drawn={text !== "" || undefined}
    >
      {near && <canvas ref={canvas} />}
      {near && <p className="visually-hidden">{text}</p>}
    </section>
  );
}

export default function PdfViewer({ attachment, onClose }: { attachment: Attachment; onClose: () => void }) {
  const [found, setFound] = useState<{ document: PDFDocumentProxy; tall: number } | null>(null);
  const [failed, setFailed] = useState(false);
  const [zoom, setZoom] = useState(1);
  useEffect(() => {
    const stop = new AbortController();
    const task = openDocument(attachment.url, stop.signal);
    task
      .then((opening) => opening.promise)
      .then(async (document) => {
        const { width, height } = (await document.getPage(1)).getViewport({ scale: 1 });
        if (!stop.signal.aborted) setFound({ document, tall: height / width });
      })
      .catch(() => !stop.signal.aborted && setFailed(true));
    return () => {
      stop.abort();
      task.then((opening) => opening.destroy()).catch(() => undefined);
    };
  }, [attachment.url]);
  const name = safeName(attachment.name, t("file.attachment"));
  const width = Math.round(Math.min(WIDEST, innerWidth - 32) * zoom);
  const scale = (by: number) => setZoom(Math.min(3, Math.max(0.4, zoom * by)));
  const pages = Math.min(MOST_PAGES, found?.document.numPages ?? 0);
  return (
    <ViewerFrame
      attachment={attachment}
      name={name}
      status={found ? t("document.pages", { count: found.document.numPages }) : !failed && t("common.loading")}
      onZoom={scale}
      step={STEP}
      onClose={onClose}
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys. */}
      <section className="pdf-pages" tabIndex={0} aria-label={name}>
        {failed && <p role="alert">{t("document.unreadable")}</p>}
        {found &&
          Array.from({ length: pages }, (_, index) => (
            <Page
              // biome-ignore lint/suspicious/noArrayIndexKey: a page's number is its name.
              key={index}
              of={found.document}
              number={index + 1}
              width={width}
              tall={found.tall}
            />
          ))}
      </section>
    </ViewerFrame>
  );
}
