/** One menu for all messages of a list, at the pointer: a menu of each message's own would cost every one of them. */
import { type MouseEvent, type PointerEvent, type ReactElement, useState } from "react";
import type { Message } from "../api/types";
import { ContextMenu } from "../shell/menu";
import type { Chat } from "./context";
import { entriesOf } from "./message-actions";

export function MessageMenu({ chat, children }: { chat: Chat; children: ReactElement }) {
  const [message, setMessage] = useState<Message | null>(null);
  // Where there is no message, the browser's own menu opens.
  const aim = (event: MouseEvent | PointerEvent) => {
    const place = (event.target as Element).closest<HTMLElement>("article[data-message]");
    const id = Number(place?.dataset.message);
    const found = place ? chat.timeline.stretch.get().messages.find((one) => one.id === id) : undefined;
    setMessage(found ?? null);
    if (!found && event.type === "contextmenu") event.stopPropagation();
  };
  return (
    <ContextMenu entries={() => (message ? entriesOf(chat, message) : [])}>
      <div
        className="menu-ground"
        role="presentation"
        onContextMenuCapture={aim}
        onPointerDownCapture={(event) => event.pointerType !== "mouse" && aim(event)}
      >
        {children}
      </div>
    </ContextMenu>
  );
}
