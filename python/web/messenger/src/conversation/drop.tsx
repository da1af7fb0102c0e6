/** The conversation takes files that are dropped anywhere on it. */
import { Paperclip } from "lucide-react";
import { type DragEvent, type ReactNode, useRef, useState } from "react";
import { t } from "../i18n";
import type { Chat } from "./context";

export function DropZone({ chat, enabled, children }: { chat: Chat; enabled: boolean; children: ReactNode }) {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  const leave = () => {
    depth.current = 0;
    setOver(false);
  };
  const hasFiles = (event: DragEvent) => enabled && event.dataTransfer.types.includes("Files");
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: files can be chosen with a button too.
    <div
      className="chat"
      onDragEnter={(event) => {
        if (!hasFiles(event)) return;
        depth.current++;
        setOver(true);
      }}
      onDragLeave={() => --depth.current <= 0 && leave()}
      onDragOver={(event) => hasFiles(event) && event.preventDefault()}
      onDrop={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        leave();
        chat.staging.add(event.dataTransfer.files);
      }}
    >
      {children}
      {over && (
        <div className="drop">
          <Paperclip aria-hidden="true" />
          {t("chat.drop")}
        </div>
      )}
    </div>
  );
}
