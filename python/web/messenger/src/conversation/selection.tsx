/** What can be done with the messages that are selected. */
import { IconButton } from "@allium/ui";
import { Copy, Forward, Trash2, X } from "lucide-react";
import { t } from "../i18n";
import { copyText } from "../shell/copy";
import { useStore } from "../store";
import type { Chat } from "./context";

export function SelectionBar({ chat }: { chat: Chat }) {
  const selected = useStore(chat.selected);
  const { messages } = useStore(chat.timeline.stretch);
  if (!selected) return null;
  const chosen = messages.filter((one) => selected.has(one.id));
  const close = () => chat.selected.set(null);
  const copy = async () => {
    await copyText(chosen.map((one) => one.text).join("\n"));
    close();
  };
  return (
    <div className="selection" role="toolbar" aria-label={t("message.select")}>
      <IconButton label={t("common.cancel")} onClick={close}>
        <X />
      </IconButton>
      <span role="status">{t("chat.selected", { count: chosen.length })}</span>
      <IconButton label={t("message.copyText")} disabled={!chosen.length} onClick={() => void copy()}>
        <Copy />
      </IconButton>
      <IconButton
        label={t("message.forward")}
        disabled={!chosen.length}
        onClick={() => chat.open({ what: "forward", messages: chosen })}
      >
        <Forward />
      </IconButton>
      <IconButton
        label={t("common.delete")}
        disabled={!chosen.length}
        onClick={() => chat.open({ what: "delete", messages: chosen })}
      >
        <Trash2 />
      </IconButton>
    </div>
  );
}
