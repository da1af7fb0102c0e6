/** Rooms to look around in: those that clients offer to everybody, or those of the server that a URL names. */
import { Button } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import { Users } from "lucide-react";
import { useState } from "react";
import { get, sentence } from "../api/client";
import { of } from "../api/queries";
import { t } from "../i18n";
import { safeName } from "../text/safe";

interface Room {
  token: string;
  name: string;
  description: string;
  url: string;
  active_users: number;
}

interface Properties {
  account: string;
  /** Of a room of the server that is meant; empty for the ones for everybody. */
  url: string;
  busy: boolean;
  onJoin: (url: string) => void;
}

export function RoomList({ account, url, busy, onJoin }: Properties) {
  /** No server is asked before somebody wants to know. */
  const [asked, setAsked] = useState<string | null>(null);
  const rooms = useQuery({
    queryKey: [account, "rooms", asked],
    queryFn: () =>
      get<Room[]>(of(account, asked ? `communities/rooms?url=${encodeURIComponent(asked)}` : "communities/official")),
    enabled: asked !== null,
    staleTime: 0,
  });
  return (
    <section>
      <Button onClick={() => setAsked(url)} disabled={rooms.isFetching}>
        <Users size={18} />
        {t(url ? "community.browseServer" : "community.browse")}
      </Button>
      <p role="status" className="muted small">
        {rooms.isFetching ? t("common.loading") : rooms.isError ? sentence(rooms.error) : ""}
      </p>
      {rooms.data && (
        <ul className="rooms">
          {rooms.data.map((one) => (
            <li key={one.token}>
              <span className="grow">
                <b>
                  <bdi>{safeName(one.name, one.token)}</bdi>
                </b>
                <span className="muted small">{t("community.active", { count: one.active_users })}</span>
                {one.description && (
                  <span className="small wrap" dir="auto">
                    {one.description.slice(0, 300)}
                  </span>
                )}
              </span>
              <Button disabled={busy} onClick={() => onJoin(one.url)}>
                {t("community.join")}
              </Button>
            </li>
          ))}
          {!rooms.data.length && <li className="muted">{t("list.noMatch")}</li>}
        </ul>
      )}
    </section>
  );
}
