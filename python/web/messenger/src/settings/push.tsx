/** Being told of messages while no page is open: by the push server that the messenger was started with, if any. */
import { Switch, toast } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { get, remove, request } from "../api/client";
import { attempt, of } from "../api/queries";
import type { Account } from "../api/types";
import { t } from "../i18n";

async function manager(): Promise<PushManager | null> {
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return null;
  return (await navigator.serviceWorker.ready).pushManager;
}

/** It is good for two weeks, and longer with each visit. */
async function tell(account: string, subscription: PushSubscription): Promise<boolean> {
  const { endpoint, keys } = subscription.toJSON();
  const asked = request("PUT", of(account, "push"), { endpoint, p256dh: keys?.p256dh, auth: keys?.auth });
  return (await attempt(asked)) !== undefined;
}

export function Push({ account }: { account: Account }) {
  const key = useQuery({
    queryKey: [account.id, "push"],
    queryFn: () => get<{ key: string | null }>(of(account.id, "push")),
    staleTime: 0,
  }).data?.key;
  const [on, setOn] = useState(false);
  useEffect(() => {
    if (!key) return;
    const renew = async () => {
      const found = await (await manager())?.getSubscription();
      if (found && (await tell(account.id, found))) setOn(true);
    };
    void renew().catch(() => undefined);
  }, [account.id, key]);
  if (!key || !("PushManager" in window)) return null;
  const change = async (wanted: boolean) => {
    try {
      const push = await manager();
      if (wanted) {
        const made = await push?.subscribe({ userVisibleOnly: true, applicationServerKey: key });
        setOn(made !== undefined && (await tell(account.id, made)));
      } else {
        const found = await push?.getSubscription();
        if (found) await attempt(remove(of(account.id, "push"), { endpoint: found.endpoint }));
        await found?.unsubscribe();
        setOn(false);
      }
    } catch {
      toast(t("notifications.denied"));
    }
  };
  return (
    <Switch
      label={t("notifications.push")}
      hint={t("notifications.pushHint")}
      checked={on}
      onChange={(wanted) => void change(wanted)}
    />
  );
}
