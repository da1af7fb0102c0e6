/** Lines that nobody wrote, in words: a changed timer, a screenshot, who joined a group. */
import type { Message } from "../api/types";
import { duration, type Key, listed, t } from "../i18n";
import { safeName, shortId } from "../text/safe";

/** Kinds as the service names them, and the text of each; `value` is a name or names. */
const TEXTS: Record<string, Key> = {
  screenshot: "notice.screenshot",
  media_saved: "notice.mediaSaved",
  accepted: "notice.accepted",
  request_accepted: "notice.accepted",
  you_accepted: "notice.youAccepted",
  call: "notice.call",
  missed_call: "notice.missedCall",
  group_created: "notice.groupCreated",
  name: "notice.groupName",
  picture: "notice.groupPicture",
  invited: "notice.groupInvited",
  joined: "notice.groupInvited",
  added: "notice.groupInvited",
  removed: "notice.groupRemoved",
  promoted: "notice.groupPromoted",
  left: "notice.groupLeft",
  kicked: "notice.groupYouRemoved",
  destroyed: "notice.groupDestroyed",
};

function value(of: unknown): string {
  if (typeof of === "string") return safeName(of.length === 66 ? shortId(of) : of);
  if (Array.isArray(of)) return listed(of.slice(0, 20).map(value));
  if (of && typeof of === "object" && "name" in of) return safeName(String(of.name));
  return "";
}

export function notice(message: Message): string {
  const about = message.notice ?? {};
  const kind = String(about.kind ?? message.kind);
  const name = message.outgoing ? t("common.you") : safeName(message.sender.name, shortId(message.sender.id));
  if (kind.includes("timer") || kind === "expiration") {
    const seconds = Number(
      about.seconds ?? (about.timer as { seconds?: number } | null)?.seconds ?? message.timer?.seconds ?? 0,
    );
    return seconds > 0 ? t("notice.timer", { name, time: duration(seconds) }) : t("notice.timerOff", { name });
  }
  const key = TEXTS[kind] ?? TEXTS[kind.replace(/^(group|member|members)_/, "")];
  if (!key) return t("notice.other");
  return t(key, { name, value: value(about.members ?? about.names ?? about.value ?? about.name) || name });
}
