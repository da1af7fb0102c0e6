/** Pictures, one at a time and as large as wanted. */
import { IconButton } from "@allium/ui";
import { ChevronLeft, ChevronRight, RotateCw } from "lucide-react";
import { type KeyboardEvent, useState } from "react";
import type { Attachment } from "../api/types";
import { direction, t } from "../i18n";
import { safeCaption, safeName } from "../text/safe";
import { isPicture } from "./attachments";
import type { Chat } from "./context";
import { ViewerFrame } from "./viewer-frame";

const STEP = 1.4;

export default function Viewer({
  chat,
  attachment,
  onClose,
}: {
  chat: Chat;
  attachment: Attachment;
  onClose: () => void;
}) {
  const all = chat.timeline.stretch
    .get()
    .messages.flatMap((one) => one.attachments.filter((file) => isPicture(file) && file.state === "here"));
  const [at, setAt] = useState(
    Math.max(
      0,
      all.findIndex((one) => one.id === attachment.id),
    ),
  );
  const [zoom, setZoom] = useState(1);
  const [turn, setTurn] = useState(0);
  const one = all[at] ?? attachment;
  const move = (by: number) => {
    setAt(Math.min(all.length - 1, Math.max(0, at + by)));
    setZoom(1);
    setTurn(0);
  };
  const scale = (by: number) => setZoom(Math.min(8, Math.max(1, zoom * by)));
  const onKeyDown = (event: KeyboardEvent) => {
    const forward = direction() === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") move(event.key === forward ? 1 : -1);
    else if (event.key === "+") scale(STEP);
    else if (event.key === "-") scale(1 / STEP);
    else if (event.key === "r") setTurn(turn + 90);
  };
  const name = safeName(one.name, t("file.image"));
  const caption = safeCaption(one.caption);
  return (
    <ViewerFrame
      attachment={one}
      name={name}
      status={t("file.count", { index: at + 1, count: Math.max(1, all.length) })}
      onZoom={scale}
      step={STEP}
      tools={
        <IconButton label={t("file.rotate")} onClick={() => setTurn(turn + 90)}>
          <RotateCw />
        </IconButton>
      }
      onKeyDown={onKeyDown}
      onClose={onClose}
    >
      <div className="stage">
        <img
          src={one.url}
          alt={caption || name}
          style={{ scale: String(zoom), rotate: `${turn}deg` }}
          onWheel={(event) => scale(event.deltaY < 0 ? 1.15 : 1 / 1.15)}
        />
      </div>
      {caption && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long one is scrolled by keys.
        <p className="caption" dir="auto" tabIndex={0}>
          {caption}
        </p>
      )}
      {at > 0 && (
        <IconButton className="previous" label={t("common.previous")} onClick={() => move(-1)}>
          <ChevronLeft className="flip" />
        </IconButton>
      )}
      {at < all.length - 1 && (
        <IconButton className="next" label={t("common.next")} onClick={() => move(1)}>
          <ChevronRight className="flip" />
        </IconButton>
      )}
    </ViewerFrame>
  );
}
