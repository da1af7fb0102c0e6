/** Lines that nobody wrote, in words: a changed timer, a screenshot, who joined a group. */
import type { Message } from "../api/types";
import { duration, type Key, listed, t } from "../i18n";
import { safeName, shortId } from "../text/safe";

/** What a change of a group says; `value` is a name or names. */
const GROUP: Record<string, Key> = {
  name: "notice.groupName",
  avatar: "notice.groupPicture",
  added: "notice.groupInvited",
  removed: "notice.groupRemoved",
  promoted: "notice.groupPromoted",
  left: "notice.groupLeft",
};

const MOST_NAMES = 20;

function timer(name: string, seconds: number): string {
  return seconds > 0 ? t("notice.timer", { name, time: duration(seconds) }) : t("notice.timerOff", { name });
}

type Told = Pick<Message, "kind" | "notice" | "outgoing"> & { sender: Pick<Message["sender"], "id" | "name"> };

/** The line; `known` names the people that it is about. */
export function notice(message: Told, known: (id: string) => string | undefined = () => undefined): string {
  const about = message.notice ?? {};
  const name = message.outgoing ? t("common.you") : safeName(message.sender.name, shortId(message.sender.id));
  switch (message.kind) {
    case "timer":
      return timer(name, Number(about.seconds) || 0);
    case "extraction":
      return t(about.what === "screenshot" ? "notice.screenshot" : "notice.mediaSaved", { name });
    case "accepted":
      return t(message.outgoing ? "notice.youAccepted" : "notice.accepted", { name });
    case "call":
      return message.outgoing ? t("notice.call") : t("notice.missedCall", { name });
    case "group": {
      const change = String(about.change);
      if (change === "disappearing") return timer(name, Number(about.seconds) || 0);
      const members = Array.isArray(about.members) ? about.members.slice(0, MOST_NAMES).map(String) : [];
      const names = members.map((id) => safeName(known(id), shortId(id)));
      const value = typeof about.name === "string" ? safeName(about.name) : names.length ? listed(names) : name;
      return t(GROUP[change] ?? "notice.other", { name, value });
    }
    default:
      return t("notice.other");
  }
}
