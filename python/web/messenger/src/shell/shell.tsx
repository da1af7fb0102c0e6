/** The messenger: conversations on one side, the open one on the other; one of both on a phone. */

import { Empty } from "@allium/ui";
import { MessagesSquare } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { connected } from "../api/events";
import { useConversations } from "../api/queries";
import type { Account } from "../api/types";
import { arrival } from "../arrival";
import { ConversationView } from "../conversation/conversation";
import { t } from "../i18n";
import { Sidebar } from "../list/sidebar";
import { go, useRoute } from "../route";
import { useStore } from "../store";
import { useKeys } from "./keys";
import { LinkQuestion } from "./links";
import { Notifier } from "./notifier";
import { Palette } from "./palette";

const Arrivals = lazy(() => import("./arrivals"));
const NewConversation = lazy(() => import("../people/new-conversation"));
const Settings = lazy(() => import("../settings/settings"));
const Requests = lazy(() => import("../list/requests"));

export type Overlay = "palette" | "new" | "group" | "community" | null;

export function Shell({ account, accounts }: { account: Account; accounts: Account[] }) {
  const route = useRoute();
  const [overlay, setOverlay] = useState<Overlay>(null);
  const answers = useStore(connected);
  const arrived = useStore(arrival) !== null;
  const conversations = useConversations(account.id).data;
  const shown = conversations?.filter((one) => !one.hidden && !one.request);
  const close = () => setOverlay(null);
  useKeys({
    "mod+k": () => setOverlay("palette"),
    "mod+n": () => setOverlay("new"),
    "mod+shift+m": () => setOverlay("new"),
    "mod+shift+g": () => setOverlay("group"),
    "mod+,": () => go(account.id, "settings"),
    "mod+f": () => document.getElementById("search")?.focus(),
    ...Object.fromEntries(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [
        `mod+${n}`,
        () => shown?.[n - 1] && go(account.id, "c", shown[n - 1]?.id),
      ]),
    ),
  });
  const unread = accounts.reduce((sum, one) => sum + one.unread, 0);
  useEffect(() => {
    document.title = unread ? `(${unread}) ${t("app.name")}` : t("app.name");
    if ("setAppBadge" in navigator) void navigator.setAppBadge(unread).catch(() => undefined);
  }, [unread]);
  const open = route.view === "c" && route.target ? route.target : null;
  return (
    <div className="shell" data-open={open || route.view !== "list" ? "" : undefined}>
      <button type="button" className="skip" onClick={() => document.getElementById("main")?.focus()}>
        {t("shell.skip")}
      </button>
      {!answers && (
        <div className="strip" role="status">
          {t("status.service")}
        </div>
      )}
      <Sidebar account={account} accounts={accounts} onOverlay={setOverlay} />
      <main id="main" tabIndex={-1} className="main">
        <Suspense fallback={null}>
          {route.view === "settings" ? (
            <Settings account={account} section={route.target} />
          ) : route.view === "requests" ? (
            <Requests account={account} />
          ) : open ? (
            <ConversationView key={`${account.id}/${open}`} account={account} id={open} jump={route.message} />
          ) : (
            <Empty icon={<MessagesSquare />} title={t("chat.choose")}>
              <p>{t("chat.chooseHint")}</p>
            </Empty>
          )}
        </Suspense>
      </main>
      <Suspense fallback={null}>
        {overlay === "palette" && <Palette account={account} onClose={close} onOverlay={setOverlay} />}
        {arrived && <Arrivals account={account} />}
        {(overlay === "new" || overlay === "group" || overlay === "community") && (
          <NewConversation account={account} first={overlay} onClose={close} />
        )}
      </Suspense>
      <LinkQuestion />
      <Notifier />
    </div>
  );
}
