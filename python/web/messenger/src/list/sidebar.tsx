/** The list of conversations, its search and filters, and the way to everything else. */
import { Button, Empty, IconButton } from "@allium/ui";
import { Inbox, KeyRound, MessageCirclePlus, Plus, Search, Settings, UserPlus, X } from "lucide-react";
import { type KeyboardEvent, useDeferredValue, useState } from "react";
import { useConversations, useRequests } from "../api/queries";
import { timeline } from "../api/timeline";
import type { Account, Conversation } from "../api/types";
import { number, t } from "../i18n";
import { address, go, useRoute } from "../route";
import { MenuButton } from "../shell/menu";
import { AccountAvatar, Name } from "../shell/person";
import type { Overlay } from "../shell/shell";
import { useStore } from "../store";
import { ConversationQuestion } from "./actions";
import { type Drag, useDrag } from "./drag";
import { byPlace, moved } from "./order";
import { Row } from "./row";
import { Results } from "./search";

type Filter = "all" | "unread" | "groups";

function shownBy(filter: Filter, hidden: boolean): (one: Conversation) => boolean {
  return (one) => {
    if (one.request || one.hidden !== hidden) return false;
    if (filter === "unread") return one.unread > 0 || one.marked_unread;
    return filter === "all" || one.kind === "group" || one.kind === "community" || one.kind === "legacy-group";
  };
}

/** Arrows go from row to row. */
function onArrows(event: KeyboardEvent<HTMLElement>): void {
  if (event.altKey || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>("a")];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = links[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
}

/** Where a row that is dragged would come to stand: a line above or below another row. */
function dropAt(shown: Conversation[], drag: Drag | null): { id: string | undefined; side: "above" | "below" } | null {
  if (!drag || drag.index === null) return null;
  const pins = shown.filter((one) => one.pinned > 0 && one.id !== drag.id);
  const next = pins[drag.index];
  if (next) return { id: next.id, side: "above" };
  return pins.length ? { id: pins.at(-1)?.id, side: "below" } : { id: shown[0]?.id, side: "above" };
}

function Accounts({ account, accounts }: { account: Account; accounts: Account[] }) {
  const others = accounts.filter((one) => one.id !== account.id);
  const unread = others.reduce((sum, one) => sum + one.unread, 0);
  return (
    <MenuButton
      align="start"
      entries={[
        ...others.map((one) => ({
          label: `${one.display_name}${one.unread ? ` (${number(one.unread)})` : ""}`,
          icon: <AccountAvatar of={one} size="small" />,
          run: () => go(one.id),
        })),
        ...(others.length ? [null] : []),
        { label: t("shell.addAccount"), icon: <UserPlus />, run: () => go("new") },
        { label: t("settings.profile"), icon: <Settings />, run: () => go(account.id, "settings", "profile") },
      ]}
    >
      <button type="button" className="account">
        <AccountAvatar of={account} size="small" />
        <span className="who">
          <span className="name ellipsis">
            <Name of={{ id: account.account_id, name: account.display_name }} />
          </span>
          <span className="status">
            <span className="dot" data-off={account.online ? undefined : ""} />
            {t(account.online ? "status.online" : "status.offline")}
          </span>
        </span>
        {unread > 0 && <span className="badge">{number(unread)}</span>}
      </button>
    </MenuButton>
  );
}

export function Sidebar({
  account,
  accounts,
  onOverlay,
}: {
  account: Account;
  accounts: Account[];
  onOverlay: (what: Overlay) => void;
}) {
  const route = useRoute();
  const [filter, setFilter] = useState<Filter>("all");
  const [hidden, setHidden] = useState(false);
  const [text, setText] = useState("");
  const query = useDeferredValue(text.trim());
  const conversations = useConversations(account.id);
  const requests = useRequests(account.id).data?.length ?? 0;
  const all = conversations.data ?? [];
  const shown = all.filter(shownBy(filter, hidden)).sort(byPlace);
  const said = useStore(moved);
  const { drag, begin, list, handlers } = useDrag(account.id);
  const drop = dropAt(shown, drag);
  const movable = filter === "all" && !hidden;
  const anyHidden = all.some((one) => one.hidden && !one.request);
  const chips: [Filter, string][] = [
    ["all", t("list.all")],
    ["unread", t("list.filterUnread")],
    ["groups", t("list.filterGroups")],
  ];
  return (
    <section className="sidebar" aria-label={t("shell.sidebar")}>
      <h1 className="visually-hidden">{t("app.name")}</h1>
      <div>
        <div className="side-head">
          <Accounts account={account} accounts={accounts} />
          <IconButton label={t("list.new")} onClick={() => onOverlay("new")}>
            <MessageCirclePlus />
          </IconButton>
          <IconButton label={t("common.settings")} onClick={() => go(account.id, "settings")}>
            <Settings />
          </IconButton>
        </div>
        <search className="search">
          <Search aria-hidden="true" />
          <input
            id="search"
            type="search"
            className="input"
            dir="auto"
            aria-label={t("search.placeholder")}
            placeholder={t("common.search")}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => event.key === "Escape" && setText("")}
          />
        </search>
      </div>
      <div>
        {!account.phrase_seen && all.length > 0 && (
          <button type="button" className="banner" onClick={() => go(account.id, "settings", "phrase")}>
            <KeyRound aria-hidden="true" />
            <span className="grow">{t("phrase.banner")}</span>
          </button>
        )}
        {requests > 0 && !query && (
          <a
            className="banner"
            href={address(account.id, "requests")}
            aria-current={route.view === "requests" ? "page" : undefined}
          >
            <Inbox aria-hidden="true" />
            <span className="grow">{t("list.requests")}</span>
            <span className="badge">
              <span aria-hidden="true">{number(requests)}</span>
              <span className="visually-hidden">{t("request.count", { count: requests })}</span>
            </span>
          </a>
        )}
      </div>
      {query.length > 1 ? (
        <Results account={account} query={query} onOpen={() => setText("")} />
      ) : (
        <div className="list">
          {all.length > 1 || anyHidden || filter !== "all" ? (
            <fieldset className="filters" aria-label={t("list.resize")}>
              {chips.map(([value, label]) => (
                <button
                  key={value}
                  type="button"
                  className="chip"
                  aria-pressed={filter === value}
                  onClick={() => setFilter(value)}
                >
                  {label}
                </button>
              ))}
              {(anyHidden || hidden) && (
                <button type="button" className="chip" aria-pressed={hidden} onClick={() => setHidden(!hidden)}>
                  {t("list.hidden")}
                </button>
              )}
            </fieldset>
          ) : (
            <span />
          )}
          <span role="status" className="visually-hidden">
            {said}
          </span>
          <nav
            aria-label={t("list.title")}
            ref={list}
            onKeyDown={onArrows}
            data-dragging={drag ? "" : undefined}
            {...handlers}
          >
            <ul>
              {shown.map((one) => (
                <Row
                  key={one.id}
                  account={account.id}
                  me={account.account_id}
                  one={one}
                  open={route.view === "c" && route.target === one.id}
                  begin={movable ? begin : undefined}
                  drawn={drag?.id === one.id ? drag.by : null}
                  drop={drop?.id === one.id ? drop.side : undefined}
                />
              ))}
            </ul>
            {conversations.isSuccess && !shown.length && (
              <Empty
                icon={filter === "all" ? <MessageCirclePlus /> : <X />}
                title={t(filter === "all" ? "list.empty" : "list.noMatch")}
              >
                {filter === "all" && (
                  <>
                    <p>{t("list.emptyHint")}</p>
                    <Button kind="primary" onClick={() => onOverlay("new")}>
                      <Plus size={18} />
                      {t("list.new")}
                    </Button>
                  </>
                )}
              </Empty>
            )}
          </nav>
        </div>
      )}
      <ConversationQuestion onCleared={(of, id) => void timeline(of, id).load()} />
    </section>
  );
}
