/** Leads on who was sent here by a link, and asks where what was shared is to go. */
import { toast } from "@allium/ui";
import { useEffect } from "react";
import { useConversations } from "../api/queries";
import type { Account } from "../api/types";
import { arrival, handed } from "../arrival";
import { t } from "../i18n";
import { Chooser } from "../people/chooser";
import NewConversation from "../people/new-conversation";
import { go } from "../route";
import { useStore } from "../store";
import { Dialog } from "./dialog";

export default function Arrivals({ account }: { account: Account }) {
  const now = useStore(arrival);
  const targets = (useConversations(account.id).data ?? []).filter(
    (one) => one.writable && !one.blocked && !one.request,
  );
  const over = () => arrival.set(null);
  const person = now?.what === "open" && now.to?.kind === "account" ? now.to.id : null;
  const nowhere = now?.what === "open" && now.to === null;
  useEffect(() => {
    if (person) go(account.id, "c", person);
    if (nowhere) toast(t("scan.foreign"));
    if (person || nowhere) arrival.set(null);
  }, [person, nowhere, account.id]);
  if (!now || person || nowhere) return null;
  if (now.what === "share") {
    const hand = (id: string) => {
      over();
      handed.set({ account: account.id, id, text: now.text, files: now.files });
      go(account.id, "c", id);
    };
    return (
      <Dialog title={t("share.title")} onClose={over}>
        {now.text && (
          <p className="wrap shared-text" dir="auto">
            {now.text.slice(0, 300)}
          </p>
        )}
        {now.files.length > 0 && <p className="muted">{t("share.files", { count: now.files.length })}</p>}
        <Chooser conversations={targets} onChoose={hand} />
      </Dialog>
    );
  }
  const url = now.what === "open" && now.to?.kind === "community" ? now.to.url : "";
  return <NewConversation account={account} first={url ? "community" : "new"} given={url} onClose={over} />;
}
