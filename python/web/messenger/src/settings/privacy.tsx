/** What others learn, and who cannot write. */
import { Button, Empty, Switch } from "@allium/ui";
import { HeartHandshake } from "lucide-react";
import { useState } from "react";
import { patch, remove } from "../api/client";
import { attempt, client, of, reload, useContacts, useSettings } from "../api/queries";
import type { Account, Settings } from "../api/types";
import { GifConsent } from "../conversation/gif-consent";
import { t } from "../i18n";
import { setBlocked } from "../list/actions";
import { Dialog } from "../shell/dialog";
import { Name, PersonAvatar } from "../shell/person";
import { CallServers } from "./call-servers";

export function Privacy({ account }: { account: Account }) {
  const settings = useSettings(account.id).data;
  const [asking, setAsking] = useState(false);
  if (!settings) return null;
  const change = async (to: Partial<Settings>) => {
    const key = [account.id, "settings"];
    client.setQueryData(key, { ...settings, ...to });
    const done = (await attempt(patch(of(account.id, "settings"), to))) !== undefined;
    if (!done) client.setQueryData(key, settings);
    return done;
  };
  const forget = async () => {
    await attempt(remove(of(account.id, "gif-search")));
    await reload(account.id, "settings");
  };
  return (
    <div>
      <Switch
        label={t("privacy.receipts")}
        hint={t("privacy.receiptsHint")}
        checked={settings.read_receipts}
        onChange={(read_receipts) => void change({ read_receipts })}
      />
      <Switch
        label={t("privacy.typing")}
        hint={t("privacy.typingHint")}
        checked={settings.typing_indicators}
        onChange={(typing_indicators) => void change({ typing_indicators })}
      />
      <Switch
        label={t("privacy.calls")}
        hint={t("privacy.callsHint")}
        checked={settings.calls}
        onChange={(calls) => void change({ calls })}
      />
      {settings.calls && (
        <>
          <Switch
            label={t("privacy.relayOnly")}
            hint={t("privacy.relayOnlyHint")}
            checked={settings.relay_only}
            onChange={(relay_only) => void change({ relay_only })}
          />
          <CallServers servers={settings.ice_servers} onChange={(ice_servers) => change({ ice_servers })} />
        </>
      )}
      <Switch
        label={t("privacy.previews")}
        hint={t("privacy.previewsHint")}
        checked={settings.link_previews}
        onChange={(link_previews) => void change({ link_previews })}
      />
      <Switch
        label={t("gif.search")}
        hint={t("gif.hint")}
        checked={settings.gif_search}
        onChange={(on) => (on ? setAsking(true) : void forget())}
      />
      {asking && (
        <Dialog title={t("gif.search")} onClose={() => setAsking(false)}>
          <GifConsent account={account.id} onDone={() => setAsking(false)} />
        </Dialog>
      )}
      <Switch
        label={t("privacy.community")}
        hint={t("privacy.communityHint")}
        checked={settings.community_requests}
        onChange={(community_requests) => void change({ community_requests })}
      />
    </div>
  );
}

export function Blocked({ account }: { account: Account }) {
  const blocked = useContacts(account.id).data?.filter((one) => one.blocked) ?? [];
  if (!blocked.length) return <Empty icon={<HeartHandshake />} title={t("blocked.none")} />;
  return (
    <ul>
      {blocked.map((one) => (
        <li key={one.id} className="member">
          <PersonAvatar of={one} size="small" />
          <span className="ellipsis grow">
            <Name of={one} />
          </span>
          <Button onClick={() => void setBlocked(account.id, one.id, false)}>{t("menu.unblock")}</Button>
        </li>
      ))}
    </ul>
  );
}
