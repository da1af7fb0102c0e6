/** The page of a community: what it is about, who looks after it, what is pinned, and how others join. */
import { Button, toast } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import { Copy, PinOff, QrCode } from "lucide-react";
import { useState } from "react";
import { get, post } from "../api/client";
import { attempt, client, of, reload } from "../api/queries";
import type { Message, Person } from "../api/types";
import { t } from "../i18n";
import { address } from "../route";
import { Name, PersonAvatar } from "../shell/person";
import { plain } from "../text/rich";

export interface Room {
  id: string;
  name: string;
  description: string;
  url: string;
  active_users: number;
  read: boolean;
  write: boolean;
  upload: boolean;
  moderator: boolean;
  admin: boolean;
  staff: Person[];
  pinned: Message[];
  pinned_count: number;
}

export const useRoom = (account: string, id: string) =>
  useQuery({
    queryKey: [account, "conversation", id, "room"],
    queryFn: () => get<Room>(of(account, `communities/${id}`)),
    enabled: id.startsWith("c-"),
  });

/** What a moderator does; it is seen here when the server has been asked again. */
export async function moderate(account: string, id: string, what: string, body: object): Promise<boolean> {
  if ((await attempt(post(of(account, `communities/${id}/${what}`), body))) === undefined) return false;
  void post(of(account, "sync"))
    .then(() => client.invalidateQueries({ queryKey: [account, "conversation", id, "room"] }))
    .catch(() => undefined);
  await reload(account, "conversations");
  return true;
}

export function CommunityDetails({ account, id, onGo }: { account: string; id: string; onGo: () => void }) {
  const room = useRoom(account, id).data;
  const [showing, setShowing] = useState(false);
  if (!room) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(room.url);
    toast(t("common.copied"));
  };
  const may = [
    room.write ? null : t("community.noWrite"),
    room.upload ? null : t("community.noUpload"),
    room.admin ? t("community.youAdmin") : room.moderator ? t("community.youModerator") : null,
  ].filter(Boolean);
  return (
    <>
      {room.description && (
        <p className="wrap" dir="auto">
          {room.description}
        </p>
      )}
      <p className="muted">
        {t("community.active", { count: room.active_users })}
        {may.map((one) => ` · ${one}`)}
      </p>
      <div className="own-id">
        <h3>{t("community.url")}</h3>
        <code className="mono wrap" translate="no">
          {room.url}
        </code>
        {showing && <img className="qr" src={`/api/qr?text=${encodeURIComponent(room.url)}`} alt={t("community.qr")} />}
        <div className="row">
          <Button onClick={() => setShowing(!showing)} aria-pressed={showing}>
            <QrCode size={18} />
            QR
          </Button>
          <Button onClick={() => void copy()}>
            <Copy size={18} />
            {t("common.copy")}
          </Button>
        </div>
      </div>
      {room.pinned.length > 0 && (
        <section>
          <h3>{t("community.pinned")}</h3>
          <ul>
            {room.pinned.map((message) => (
              <li key={message.id} className="member">
                <a className="grow wrap" href={address(account, "c", id, message.id)} onClick={onGo}>
                  <b>
                    <Name of={message.sender} />
                  </b>{" "}
                  <bdi>{plain(message.text, message.mentions, "").slice(0, 200)}</bdi>
                </a>
                {room.admin && (
                  <Button onClick={() => void moderate(account, id, "pin", { message: message.id, pinned: false })}>
                    <PinOff size={18} />
                    {t("menu.unpin")}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
      {room.staff.length > 0 && (
        <section>
          <h3>{t("community.staff")}</h3>
          <ul>
            {room.staff.map((one) => (
              <li key={one.id} className="member">
                <PersonAvatar of={one} size="small" />
                <span className="ellipsis">
                  <Name of={one} />
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
