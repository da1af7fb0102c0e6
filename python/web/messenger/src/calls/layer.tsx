/** What is to be seen of a call: that somebody calls, and the call itself. */
import { useEffect } from "react";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { preferences } from "../prefs";
import { address } from "../route";
import { useStore } from "../store";
import { safeName, shortId } from "../text/safe";
import "./calls.css";
import { shown, start, sync } from "./controller";
import { Incoming } from "./incoming";
import { Panel } from "./panel";
import { ring } from "./ring";
import { wanted } from "./state";

const CALLED = [660, 880];
const CALLING = [440];

/** Through the system, when nobody looks. */
function notify(account: string, contact: string, name: string): void {
  const { notify: wants, notifyContent } = preferences.get();
  if (!wants || document.hasFocus() || !("Notification" in window) || Notification.permission !== "granted") return;
  const title = notifyContent === "none" ? t("app.name") : name;
  const options = {
    body: t("call.incoming"),
    tag: "call",
    icon: "/icon.svg",
    data: { hash: address(account, "c", contact) },
  };
  navigator.serviceWorker?.ready.then((worker) => worker.showNotification(title, options)).catch(() => undefined);
}

export default function CallLayer({ accounts }: { accounts: Account[] }) {
  const now = useStore(shown);
  const whom = useStore(wanted);
  useEffect(() => sync(accounts), [accounts]);
  useEffect(() => {
    if (whom) void start(whom);
  }, [whom]);
  const rings = now !== null && !now.mine && now.call.phase === "ringing";
  const calls = now?.mine === true && now.call.phase === "calling";
  useEffect(() => (rings ? ring(CALLED, 0.2) : calls ? ring(CALLING, 0.06) : undefined), [rings, calls]);
  const id = now?.call.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: each call is told once.
  useEffect(() => {
    if (!rings || !now) return;
    const { contact } = now.call;
    notify(now.account, contact.id, safeName(contact.name, shortId(contact.id)));
  }, [rings, id]);
  if (!now) return null;
  return now.mine ? (
    <Panel now={now} />
  ) : (
    <Incoming now={now} account={accounts.find((one) => one.id === now.account)} several={accounts.length > 1} />
  );
}
