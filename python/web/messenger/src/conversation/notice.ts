/** Lines that nobody wrote, in words: a changed timer, a screenshot, who joined a group. */
import type { Message } from "../api/types";
import { duration, type Key, length, listed, t } from "../i18n";
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

const OUTGOING: Record<string, Key> = {
  unanswered: "notice.callUnanswered",
  declined: "notice.callDeclined",
  failed: "notice.callFailed",
};
const INCOMING: Record<string, Key> = {
  ringing: "call.calls",
  connected: "notice.callFrom",
  answered: "notice.callFrom",
  declined: "notice.callFromDeclined",
  elsewhere: "notice.callElsewhere",
  failed: "notice.callFromFailed",
};

const MOST_NAMES = 20;

function timer(name: string, seconds: number): string {
  return seconds > 0 ? t("notice.timer", { name, time: duration(seconds) }) : t("notice.timerOff", { name });
}

type Told = Pick<Message, "kind" | "notice" | "outgoing"> & { sender: Pick<Message["sender"], "id" | "name"> };

/** What became of a call; one of an older version says nothing of it. */
function call({ outgoing, notice: about }: Told, name: string): string {
  const state = String(about?.state);
  const seconds = Number(about?.seconds) || 0;
  if (outgoing) {
    if (state === "answered" && seconds) return t("notice.callLasted", { time: length(seconds) });
    return t(OUTGOING[state] ?? "notice.call");
  }
  if (state === "answered" && seconds) return t("notice.callFromLasted", { name, time: length(seconds) });
  return t(INCOMING[state] ?? "notice.missedCall", { name });
}

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
      return call(message, name);
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
