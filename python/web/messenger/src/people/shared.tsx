/** What was shared in a conversation: pictures and films, documents, links. */
import { Button } from "@allium/ui";
import { useInfiniteQuery } from "@tanstack/react-query";
import { FileText, Music } from "lucide-react";
import { type KeyboardEvent, useId, useState } from "react";
import { get, post } from "../api/client";
import { at, attempt, client, of } from "../api/queries";
import type { Attachment, Message } from "../api/types";
import { isPicture } from "../conversation/attachments";
import { bytes, type Key, shortMoment, t } from "../i18n";
import { address } from "../route";
import { openLink } from "../shell/links";
import { plain } from "../text/rich";
import { safeName } from "../text/safe";

type Kind = "media" | "files" | "links";

const KINDS: [Kind, Key][] = [
  ["media", "contact.pictures"],
  ["files", "contact.files"],
  ["links", "contact.links"],
];
/** Of one message; whoever writes more of them has no list in mind. */
const MOST_LINKS = 20;
const URLS = /https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/gi;

function File({ account, message, file, kind }: { account: string; message: Message; file: Attachment; kind: Kind }) {
  const name = safeName(file.name, t("file.attachment"));
  const load = async () => {
    await attempt(post(of(account, `messages/${message.id}/attachments/${file.id}/download`)));
    await client.invalidateQueries({ queryKey: [account, "shared"] });
  };
  const shown =
    isPicture(file) && file.state === "here" ? (
      <img src={file.url} alt="" loading="lazy" />
    ) : (
      <>
        {file.type.startsWith("audio/") ? <Music aria-hidden="true" /> : <FileText aria-hidden="true" />}
        <span className="ellipsis">
          <bdi>{name}</bdi>
        </span>
        {kind === "files" && <span className="muted small">{bytes(file.size)}</span>}
      </>
    );
  return file.state === "here" ? (
    <a href={file.url} target="_blank" rel="noreferrer" aria-label={name}>
      {shown}
    </a>
  ) : (
    <button
      type="button"
      onClick={() => void load()}
      aria-label={t("file.tapToLoad", { name, size: bytes(file.size) })}
    >
      {shown}
    </button>
  );
}

function Links({ account, message, onGo }: { account: string; message: Message; onGo: () => void }) {
  const urls = [...new Set(message.text.match(URLS) ?? [])].slice(0, MOST_LINKS);
  return (
    <>
      {urls.map((url) => (
        <li key={url} className="shared-link">
          <button type="button" className="link" dir="ltr" onClick={() => openLink(url)}>
            <bdi>{safeName(url)}</bdi>
          </button>
          <a className="muted small" href={address(account, "c", message.conversation, message.id)} onClick={onGo}>
            <time dateTime={new Date(message.timestamp).toISOString()}>{shortMoment(message.timestamp)}</time>{" "}
            <bdi>{plain(message.text, message.mentions, "").slice(0, 80)}</bdi>
          </a>
        </li>
      ))}
    </>
  );
}

export function Shared({ account, id, onGo }: { account: string; id: string; onGo: () => void }) {
  const [kind, setKind] = useState<Kind>("media");
  const name = useId();
  const found = useInfiniteQuery({
    queryKey: [account, "shared", id, kind],
    queryFn: ({ pageParam }) =>
      get<{ messages: Message[]; next: number | null }>(
        at(account, id, `media?kind=${kind}&limit=48${pageParam ? `&before=${pageParam}` : ""}`),
      ),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next ?? undefined,
    staleTime: 0,
  });
  const messages = found.data?.pages.flatMap((page) => page.messages) ?? [];
  const fits = (one: Attachment) => /^(image|video|audio)\//.test(one.type) === (kind === "media");
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const index = KINDS.findIndex(([one]) => one === kind) + (document.dir === "rtl" ? -step : step);
    const next = KINDS[index]?.[0];
    if (!step || !next) return;
    setKind(next);
    document.getElementById(`${name}-${next}`)?.focus();
  };
  return (
    <section>
      <h3 id={`${name}-title`}>{t("contact.media")}</h3>
      <div role="tablist" className="tabs" aria-labelledby={`${name}-title`} onKeyDown={onKeyDown}>
        {KINDS.map(([one, label]) => (
          <button
            key={one}
            id={`${name}-${one}`}
            type="button"
            role="tab"
            className="chip"
            aria-selected={one === kind}
            aria-controls={`${name}-panel`}
            tabIndex={one === kind ? 0 : -1}
            onClick={() => setKind(one)}
          >
            {t(label)}
          </button>
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a panel of tabs can be reached by keys. */}
      <div id={`${name}-panel`} role="tabpanel" aria-labelledby={`${name}-${kind}`} tabIndex={0}>
        {messages.length ? (
          <ul className={kind === "media" ? "shared" : "shared-rows"}>
            {messages.map((message) =>
              kind === "links" ? (
                <Links key={message.id} account={account} message={message} onGo={onGo} />
              ) : (
                message.attachments.filter(fits).map((file) => (
                  <li key={file.id}>
                    <File account={account} message={message} file={file} kind={kind} />
                  </li>
                ))
              ),
            )}
          </ul>
        ) : (
          found.isSuccess && <p className="muted">{t("contact.noMedia")}</p>
        )}
        {found.hasNextPage && <Button onClick={() => void found.fetchNextPage()}>{t("common.more")}</Button>}
      </div>
    </section>
  );
}
