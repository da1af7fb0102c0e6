/** Who would like to write: a request is seen here without its sender learning it. */
import { Button, Empty, IconButton } from "@allium/ui";
import { ChevronLeft, Inbox } from "lucide-react";
import { useState } from "react";
import { patch, post } from "../api/client";
import { attempt, of, reload, removeConversation, useRequests } from "../api/queries";
import type { Account, Conversation } from "../api/types";
import { t } from "../i18n";
import { address, go } from "../route";
import { Ask } from "../shell/dialog";
import { Heading } from "../shell/heading";
import { ConversationAvatar, nameOfConversation } from "../shell/person";
import { setBlocked } from "./actions";
import { summary } from "./row";

export async function accept(account: string, one: Conversation): Promise<void> {
  const work =
    one.kind === "group"
      ? post(of(account, `groups/${one.id}/accept`))
      : patch(of(account, `contacts/${one.id}`), { approved: true });
  if ((await attempt(work)) === undefined) return;
  await reload(account, "requests", "conversations", "conversation", "contacts", "group");
  go(account, "c", one.id);
}

export async function decline(account: string, one: Conversation): Promise<void> {
  if (one.kind === "group") await attempt(post(of(account, `groups/${one.id}/decline`)));
  else await removeConversation(account, one.id, false);
  await reload(account, "requests", "conversations");
}

export async function block(account: string, one: Conversation): Promise<void> {
  await setBlocked(account, one.id, true);
  await decline(account, one);
}

export default function Requests({ account }: { account: Account }) {
  const requests = useRequests(account.id);
  const [asking, setAsking] = useState(false);
  const clear = async () => {
    await attempt(post(of(account.id, "requests/clear")));
    await reload(account.id, "requests", "conversations");
  };
  return (
    <div className="pane">
      <div className="pane-head">
        <IconButton className="narrow-only" label={t("common.back")} onClick={() => go(account.id)}>
          <ChevronLeft />
        </IconButton>
        <Heading>{t("list.requests")}</Heading>
        {Boolean(requests.data?.length) && (
          <Button kind="plain" onClick={() => setAsking(true)}>
            {t("request.clear")}
          </Button>
        )}
      </div>
      <div className="pane-body">
        {requests.data?.length === 0 && <Empty icon={<Inbox />} title={t("request.empty")} />}
        <ul>
          {requests.data?.map((one) => {
            const name = nameOfConversation(one);
            return (
              <li key={one.id} className="request-card">
                <a className="who" href={address(account.id, "c", one.id)}>
                  <ConversationAvatar of={one} />
                  <b className="ellipsis">
                    <bdi>{name}</bdi>
                  </b>
                </a>
                <p className="text" dir="auto">
                  {one.last_message && one.kind !== "group"
                    ? summary(one.last_message, account.account_id)
                    : t(one.kind === "group" ? "request.group" : "request.text", { name })}
                </p>
                <div className="row">
                  {one.kind === "contact" && (
                    <Button kind="plain" onClick={() => void block(account.id, one)}>
                      {t("menu.block")}
                    </Button>
                  )}
                  <Button onClick={() => void decline(account.id, one)}>{t("request.decline")}</Button>
                  <Button kind="primary" onClick={() => void accept(account.id, one)}>
                    {t("request.accept")}
                  </Button>
                </div>
              </li>
            );
          })}
        </ul>
      </div>
      {asking && (
        <Ask
          title={t("request.clearTitle")}
          choices={[{ label: t("request.clear"), danger: true, run: () => void clear() }]}
          onClose={() => setAsking(false)}
        />
      )}
    </div>
  );
}
