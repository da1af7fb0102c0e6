/** The page of a community: what it is about, who looks after it, what is pinned, and how others join. */
import { Button } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import { PinOff } from "lucide-react";
import { get, post } from "../api/client";
import { attempt, client, of, reload } from "../api/queries";
import { heldTimeline } from "../api/timeline";
import type { Message, Person } from "../api/types";
import { t } from "../i18n";
import { address } from "../route";
import { Name, PersonAvatar } from "../shell/person";
import { plain } from "../text/rich";
import { GiveAway } from "./give-away";

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
    .then(async () => {
      await client.invalidateQueries({ queryKey: [account, "conversation", id, "room"] });
      // Beside each message stands whether its author looks after the room.
      await heldTimeline(account, id)?.refresh();
    })
    .catch(() => undefined);
  await reload(account, "conversations");
  return true;
}

export function CommunityDetails({ account, id, onGo }: { account: string; id: string; onGo: () => void }) {
  const room = useRoom(account, id).data;
  if (!room) return null;
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
      <GiveAway title={t("community.url")} text={room.url} code={t("community.qr")} />
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
