/** A file that is no picture, sound or film: a card that says what it is; of a PDF, its first page. */
import {
  Download,
  File,
  FileArchive,
  FileAudio,
  FileCode,
  FileImage,
  FileSpreadsheet,
  FileText,
  FileVideo,
  type LucideIcon,
  Presentation,
} from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import type { Attachment, Message } from "../api/types";
import { bytes, type Key, t } from "../i18n";
import { safeName } from "../text/safe";
import { useChat } from "./context";
import type { Cover } from "./pdf";

const KINDS: [RegExp, LucideIcon, Key][] = [
  [/^(pdf)$/, FileText, "document.pdf"],
  [/^(docx?|odt|rtf|pages|epub)$/, FileText, "document.text"],
  [/^(xlsx?|ods|csv|tsv|numbers)$/, FileSpreadsheet, "document.table"],
  [/^(pptx?|odp|key)$/, Presentation, "document.slides"],
  [/^(zip|7z|rar|gz|bz2|xz|tar|tgz|zst)$/, FileArchive, "document.archive"],
  [/^(txt|md|log)$/, FileText, "document.plain"],
  [/^(html?|xml|json|js|ts|py|rs|c|h|cpp|java|go|sh|css|toml|ya?ml)$/, FileCode, "document.code"],
  [/^(svg|png|jpe?g|gif|webp|tiff?|heic|psd|bmp|avif)$/, FileImage, "file.image"],
  [/^(mp4|m4v|mov|mkv|webm|avi)$/, FileVideo, "file.video"],
  [/^(mp3|m4a|ogg|opus|wav|flac|aac)$/, FileAudio, "file.audio"],
];

export const isPdf = (one: Attachment): boolean =>
  one.type.split(";")[0]?.trim().toLowerCase() === "application/pdf" || extension(one) === "pdf";

function extension(one: Attachment): string {
  return /\.([a-z0-9]{1,5})$/i.exec(safeName(one.name, ""))?.[1]?.toLowerCase() ?? "";
}

const COVER = 320;

function PdfCover({ message, one, name }: { message: Message; one: Attachment; name: string }) {
  const chat = useChat();
  const [cover, setCover] = useState<Cover | null>(null);
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    let wanted = true;
    import("./pdf")
      .then(({ cover }) => cover(one.url, COVER))
      .then(
        (found) => wanted && setCover(found),
        () => wanted && setBroken(true),
      );
    return () => {
      wanted = false;
    };
  }, [one.url]);
  if (broken) return null;
  const count = cover ? t("document.pages", { count: cover.pages }) : t("common.loading");
  return (
    <button
      type="button"
      className="pdf-cover"
      aria-busy={!cover}
      aria-label={`${t("file.open")}: ${name}, ${count}`}
      disabled={!cover}
      onClick={() => chat.open({ what: "pdf", attachment: one, message })}
    >
      {cover && <img src={cover.src} alt="" onError={() => setBroken(true)} />}
      {cover && <span className="pdf-count">{count}</span>}
    </button>
  );
}

/** `load` stands where one saves, while the file is not here. */
export function DocumentCard({ message, one, load }: { message: Message; one: Attachment; load: ReactNode }) {
  const name = safeName(one.name, t("file.attachment"));
  const end = extension(one);
  const [, Icon, kind] = KINDS.find(([pattern]) => pattern.test(end)) ?? [null, File, "document.other" as Key];
  return (
    <div className="document">
      {one.state === "here" && isPdf(one) && <PdfCover message={message} one={one} name={name} />}
      <div className="card" data-kind={end || undefined}>
        <Icon aria-hidden="true" />
        <span>
          <bdi className="ellipsis">{name}</bdi>
          <span className="muted small">
            {t(kind)} · {bytes(one.size)}
          </span>
        </span>
        {one.state === "here" ? (
          <a className="icon-button" href={one.url} download={name} aria-label={`${t("file.saveAs")}: ${name}`}>
            <Download />
          </a>
        ) : (
          load
        )}
      </div>
    </div>
  );
}
