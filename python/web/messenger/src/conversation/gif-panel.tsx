/** Moving pictures to choose from: those of one's conversations, and those of a provider for who wants to ask it. */
import "./gifs.css";
import { Button } from "@allium/ui";
import { useInfiniteQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { get, post, remove, sentence } from "../api/client";
import { attempt, client, of, useSettings } from "../api/queries";
import type { FoundGif, OwnGif, Upload } from "../api/types";
import { type Key, t } from "../i18n";
import { safeName } from "../text/safe";
import type { Chat } from "./context";
import { calm, Still } from "./gif";
import { GifConsent } from "./gif-consent";

const TABS: [boolean, Key][] = [
  [false, "gif.own"],
  [true, "gif.search"],
];
/** As many as anybody looks through; older ones are found where they were sent. */
const MOST = 240;
const SEARCH_AFTER = 400;

interface TileProperties {
  url: string;
  name: string;
  onPick: () => Promise<void>;
  onRemove?: () => void;
}

function Tile({ url, name, onPick, onRemove }: TileProperties) {
  const [moving, setMoving] = useState(() => !calm());
  const [broken, setBroken] = useState(false);
  const [busy, setBusy] = useState(false);
  if (broken) return null;
  // Whoever wants less motion sees one move that they point at.
  const move = calm() ? setMoving : () => undefined;
  return (
    <li>
      <button
        type="button"
        className="gif-tile"
        aria-label={t("gif.take", { name })}
        aria-busy={busy}
        disabled={busy}
        onMouseEnter={() => move(true)}
        onMouseLeave={() => move(false)}
        onClick={() => {
          setBusy(true);
          void onPick().finally(() => setBusy(false));
        }}
      >
        {moving ? (
          <img src={url} alt="" loading="lazy" decoding="async" onError={() => setBroken(true)} />
        ) : (
          <Still url={url} onBroken={() => setBroken(true)} />
        )}
      </button>
      {onRemove && (
        <button type="button" className="gif-remove" aria-label={t("gif.remove", { name })} onClick={onRemove}>
          <X size={14} />
        </button>
      )}
    </li>
  );
}

interface Found<T> {
  gifs: T[];
  next: number | null;
}

/** A list that goes on when one comes to its end. */
function useGifs<T>(key: readonly unknown[], path: (from: number) => string) {
  return useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => get<Found<T>>(path(pageParam), signal),
    initialPageParam: 0,
    getNextPageParam: (last, pages) =>
      pages.reduce((sum, page) => sum + page.gifs.length, 0) < MOST ? (last.next ?? undefined) : undefined,
    staleTime: 0,
    gcTime: 0,
    retry: false,
  });
}

interface ListProperties {
  query: ReturnType<typeof useGifs>;
  empty: string;
  children: ReactNode[];
}

function List({ query, empty, children }: ListProperties) {
  const end = useRef<HTMLDivElement>(null);
  const { fetchNextPage, hasNextPage, isFetching } = query;
  useEffect(() => {
    if (!end.current || !hasNextPage || isFetching) return;
    const seen = new IntersectionObserver((all) => all.some((one) => one.isIntersecting) && void fetchNextPage());
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [fetchNextPage, hasNextPage, isFetching]);
  return (
    <>
      <ul className="gif-grid" aria-busy={isFetching}>
        {children}
      </ul>
      <div ref={end} />
      <p className="muted" role="status">
        {query.error
          ? sentence(query.error)
          : isFetching
            ? t("common.loading")
            : !children.length && !hasNextPage
              ? empty
              : ""}
      </p>
    </>
  );
}

function Own({ chat, onDone }: { chat: Chat; onDone: () => void }) {
  const key = [chat.account, "gifs"];
  const query = useGifs<OwnGif>(key, (before) => of(chat.account, before ? `gifs?before=${before}` : "gifs"));
  const all = query.data?.pages.flatMap((page) => page.gifs) ?? [];
  // The same picture may have been sent again further up.
  const each = [...new Map([...all].reverse().map((one) => [one.name, one])).values()].reverse();
  const take = async ({ file }: OwnGif) => {
    const upload = await attempt(post<Upload>(of(chat.account, `gifs/${file.id}`)));
    if (!upload) return;
    chat.staging.put(upload, file.url);
    onDone();
  };
  const forget = async ({ file }: OwnGif) => {
    await attempt(remove(of(chat.account, `gifs/${file.id}`)));
    await client.invalidateQueries({ queryKey: key });
  };
  return (
    <List query={query as ReturnType<typeof useGifs>} empty={t("gif.noneOwn")}>
      {each.map((one) => (
        <Tile
          key={one.name}
          url={one.file.url}
          name={safeName(one.file.name, "GIF")}
          onPick={() => take(one)}
          onRemove={() => void forget(one)}
        />
      ))}
    </List>
  );
}

function Search({ chat, onDone }: { chat: Chat; onDone: () => void }) {
  const [typed, setTyped] = useState("");
  const [words, setWords] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setWords(typed.trim()), SEARCH_AFTER);
    return () => clearTimeout(timer);
  }, [typed]);
  const query = useGifs<FoundGif>([chat.account, "gif-search", words], (offset) =>
    of(chat.account, `gif-search?q=${encodeURIComponent(words)}&offset=${offset}`),
  );
  const each = [
    ...new Map((query.data?.pages.flatMap((page) => page.gifs) ?? []).map((one) => [one.id, one])).values(),
  ];
  const take = async (one: FoundGif) => {
    const upload = await attempt(post<Upload>(of(chat.account, `gif-search/${one.id}`)));
    if (!upload) return;
    chat.staging.put(upload, one.preview);
    onDone();
  };
  return (
    <>
      <input
        className="input"
        type="search"
        dir="auto"
        maxLength={50}
        autoComplete="off"
        aria-label={t("gif.words")}
        placeholder={t("gif.words")}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <div className="gif-view">
        <List query={query as ReturnType<typeof useGifs>} empty={t("gif.noneFound")}>
          {each.map((one) => (
            <Tile key={one.id} url={one.preview} name={safeName(one.title, "GIF")} onPick={() => take(one)} />
          ))}
        </List>
        <p className="muted small">Powered by GIPHY</p>
      </div>
    </>
  );
}

export default function GifPanel({ chat, onDone }: { chat: Chat; onDone: () => void }) {
  const [searching, setSearching] = useState(false);
  const [asking, setAsking] = useState(false);
  const settings = useSettings(chat.account).data;
  const name = useId();
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    setSearching(!searching);
    document.getElementById(`${name}-${!searching}`)?.focus();
  };
  return (
    <div className="gif-panel">
      <div role="tablist" className="tabs" aria-label={t("gif.choose")} onKeyDown={onKeyDown}>
        {TABS.map(([is, label]) => (
          <button
            key={label}
            id={`${name}-${is}`}
            type="button"
            role="tab"
            className="chip"
            aria-selected={is === searching}
            aria-controls={`${name}-panel`}
            tabIndex={is === searching ? 0 : -1}
            onClick={() => setSearching(is)}
          >
            {t(label)}
          </button>
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a panel of tabs can be reached by keys. */}
      <div id={`${name}-panel`} role="tabpanel" aria-labelledby={`${name}-${searching}`} tabIndex={0}>
        {!searching ? (
          <div className="gif-view">
            <Own chat={chat} onDone={onDone} />
          </div>
        ) : settings?.gif_search ? (
          <Search chat={chat} onDone={onDone} />
        ) : asking ? (
          <GifConsent account={chat.account} onDone={() => setAsking(false)} />
        ) : (
          <div className="gif-off">
            <p className="muted">{t("gif.off")}</p>
            <Button onClick={() => setAsking(true)}>{t("gif.setUp")}</Button>
          </div>
        )}
      </div>
    </div>
  );
}
