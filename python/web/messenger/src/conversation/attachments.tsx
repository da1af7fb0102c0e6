/** What a message carries: pictures in an album, sound, film, and all else as a file to save. */
import { IconButton } from "@allium/ui";
import { Download, ImageOff, RotateCcw } from "lucide-react";
import { type CSSProperties, type ReactNode, useEffect, useState } from "react";
import { post } from "../api/client";
import { progress } from "../api/events";
import { attempt, of } from "../api/queries";
import type { Attachment, Message } from "../api/types";
import { bytes, t } from "../i18n";
import { useStore } from "../store";
import { safeCaption, safeName } from "../text/safe";
import { useChat } from "./context";
import { DocumentCard, isPdf } from "./document";
import { Gif } from "./gif";
import { Sound } from "./sound";

/** What a browser draws without running anything in it. SVG and HTML are files. */
const DRAWN = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"]);
const WIDEST = 320;
const TALLEST = 360;

export const isPicture = (one: Attachment): boolean => DRAWN.has(one.type.toLowerCase());

/** The space that a picture will take, so that nothing moves when it comes; its sides are a stranger's word. */
function space(one: Attachment): { width: number; height: number } {
  const side = (value: number | null) => Math.min(20_000, Math.max(1, value || 0));
  const width = one.width ? side(one.width) : 240;
  const height = one.height ? side(one.height) : 180;
  const scale = Math.min(1, WIDEST / width, TALLEST / height);
  return { width: Math.max(96, Math.round(width * scale)), height: Math.max(72, Math.round(height * scale)) };
}

/** Fetched without being asked for, of people whom one writes to; as large as a file may be. */
const FETCHED = 10_000_000;
const asked = new Set<string>();

function useFetched(message: Message, one: Attachment): void {
  const chat = useChat();
  const wanted =
    one.state === "remote" &&
    chat.trusted &&
    one.size <= FETCHED &&
    (isPicture(one) || isPdf(one) || one.voice || one.type.startsWith("audio/"));
  useEffect(() => {
    const key = `${chat.account}/${one.id}`;
    if (!wanted || asked.has(key)) return;
    asked.add(key);
    void post(of(chat.account, `messages/${message.id}/attachments/${one.id}/download`)).catch(() => undefined);
  }, [chat.account, message.id, one.id, wanted]);
}

function Load({ message, one }: { message: Message; one: Attachment }) {
  const chat = useChat();
  const far = useStore(progress).get(String(one.id)) ?? one.progress;
  const name = safeName(one.name, t("file.attachment"));
  if (one.state === "pending") {
    return <progress value={far || undefined} max={1} aria-label={t("chat.uploading", { name })} />;
  }
  const load = () => void attempt(post(of(chat.account, `messages/${message.id}/attachments/${one.id}/download`)));
  const again = one.state === "failed";
  return (
    <button
      type="button"
      className="load"
      onClick={load}
      aria-label={t("file.tapToLoad", { name, size: bytes(one.size) })}
    >
      {again ? <RotateCcw size={18} /> : <Download size={18} />}
      {again ? t("file.failed") : bytes(one.size)}
    </button>
  );
}

function Picture({ message, one, album }: { message: Message; one: Attachment; album: boolean }) {
  const chat = useChat();
  const [broken, setBroken] = useState(false);
  useFetched(message, one);
  const { width, height } = space(one);
  const style = album ? undefined : { width, aspectRatio: `${width} / ${height}` };
  const name = safeName(one.name, t("file.image"));
  if (one.state !== "here" || broken) {
    return (
      <div className="picture" style={style}>
        {broken ? <ImageOff aria-label={t("file.failed")} /> : <Load message={message} one={one} />}
      </div>
    );
  }
  if (one.type.toLowerCase() === "image/gif") {
    return (
      <div className="picture gif" style={style}>
        <Gif
          one={one}
          onBroken={() => setBroken(true)}
          onOpen={() => chat.open({ what: "viewer", attachment: one, message })}
        />
      </div>
    );
  }
  return (
    <button
      type="button"
      className="picture"
      style={style}
      onClick={() => chat.open({ what: "viewer", attachment: one, message })}
      aria-label={`${t("file.open")}: ${name}`}
    >
      <img
        src={one.url}
        alt={safeCaption(one.caption)}
        loading="lazy"
        decoding="async"
        onError={() => setBroken(true)}
      />
    </button>
  );
}

/** A file above what its sender has written beside it. */
function Captioned({ one, style, children }: { one: Attachment; style?: CSSProperties; children: ReactNode }) {
  const caption = safeCaption(one.caption);
  return (
    <figure style={style}>
      {children}
      {caption && <figcaption dir="auto">{caption}</figcaption>}
    </figure>
  );
}

function Other({ message, one }: { message: Message; one: Attachment }) {
  useFetched(message, one);
  return <DocumentCard message={message} one={one} load={<Load message={message} one={one} />} />;
}

/** All that is no picture. */
function Shown({ message, one }: { message: Message; one: Attachment }) {
  if (one.state === "here" && (one.voice || one.type.startsWith("audio/"))) return <Sound one={one} />;
  if (one.state === "here" && one.type.startsWith("video/")) {
    return (
      // biome-ignore lint/a11y/useMediaCaption: people's films have no captions to show.
      <video src={one.url} controls preload="metadata" aria-label={safeName(one.name, t("file.video"))} />
    );
  }
  return <Other message={message} one={one} />;
}

export function Attachments({ message }: { message: Message }) {
  if (!message.attachments.length) return null;
  const pictures = message.attachments.filter(isPicture);
  const others = message.attachments.filter((one) => !isPicture(one));
  return (
    <div className="attachments">
      {pictures.length > 0 && (
        <div className={pictures.length > 1 ? "album" : "single"} data-count={Math.min(4, pictures.length)}>
          {pictures.map((one) => (
            <Captioned key={one.id} one={one} style={pictures.length > 1 ? {} : { width: space(one).width }}>
              <Picture message={message} one={one} album={pictures.length > 1} />
            </Captioned>
          ))}
        </div>
      )}
      {others.map((one) => (
        <Captioned key={one.id} one={one}>
          <Shown message={message} one={one} />
        </Captioned>
      ))}
    </div>
  );
}

export function SaveButton({ one }: { one: Attachment }) {
  const name = safeName(one.name, t("file.attachment"));
  const save = () => {
    const link = document.createElement("a");
    link.href = one.url;
    link.download = name;
    link.click();
  };
  return (
    <IconButton label={t("file.saveAs")} onClick={save}>
      <Download />
    </IconButton>
  );
}
