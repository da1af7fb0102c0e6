/** The text of a message: links, mentions and code are recognised, all else is as it was typed. */
import { Fragment, memo, type ReactNode, useState } from "react";
import { t } from "../i18n";
import { openLink } from "../shell/links";
import { calm, safeName, shortId } from "./safe";

const FOLD_LINES = 25;
const FOLD_LENGTH = 2500;
const PARTS = /(```[\s\S]+?```|`[^`\n]+`)|(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,:;!?)\]}])|@([0-9a-f]{66})/giu;

interface Properties {
  text: string;
  mentions: { id: string; name: string }[];
  me: string;
}

function parts(text: string, mentions: Properties["mentions"], me: string): ReactNode[] {
  const found: ReactNode[] = [];
  let end = 0;
  for (const match of text.matchAll(PARTS)) {
    const [whole, code, link, mention] = match;
    if (match.index > end) found.push(text.slice(end, match.index));
    end = match.index + whole.length;
    if (code) {
      found.push(
        <code key={end}>{code.startsWith("```") ? code.slice(3, -3).replace(/^\n|\n$/g, "") : code.slice(1, -1)}</code>,
      );
    } else if (link) {
      found.push(
        <a
          key={end}
          href={link}
          rel="noopener noreferrer nofollow"
          target="_blank"
          dir="ltr"
          onClick={(event) => {
            event.preventDefault();
            openLink(link);
          }}
        >
          {link}
        </a>,
      );
    } else if (mention) {
      const name = mentions.find((one) => one.id === mention)?.name;
      found.push(
        <bdi key={end} className={mention === me ? "mention mention-me" : "mention"}>
          @{mention === me ? t("common.you") : safeName(name, shortId(mention))}
        </bdi>,
      );
    } else {
      found.push(whole);
    }
  }
  if (end < text.length) found.push(text.slice(end));
  return found;
}

/** The end of the folded part, or 0 where all is shown. */
function fold(text: string): number {
  let at = -1;
  for (let line = 0; line < FOLD_LINES; line++) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) break;
  }
  if (at < 0 && text.length <= FOLD_LENGTH) return 0;
  return Math.min(at < 0 ? FOLD_LENGTH : at, FOLD_LENGTH);
}

export const RichText = memo(function RichText({ text, mentions, me }: Properties) {
  const [open, setOpen] = useState(false);
  const end = fold(text);
  const shown = calm(end && !open ? `${text.slice(0, end).trimEnd()}…` : text);
  return (
    <div className="rich" dir="auto">
      {parts(shown, mentions, me).map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text have no other name.
        <Fragment key={index}>{part}</Fragment>
      ))}
      {end > 0 && (
        <button type="button" className="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
          {t(open ? "chat.readLess" : "chat.readMore")}
        </button>
      )}
    </div>
  );
});

/** The same on one line, without anything to click. */
export function plain(text: string, mentions: Properties["mentions"], me: string): string {
  const named = text.replace(/@([0-9a-f]{66})/gi, (whole, id: string) => {
    if (id === me) return `@${t("common.you")}`;
    const name = mentions.find((one) => one.id === id)?.name;
    return name ? `@${safeName(name)}` : whole;
  });
  return safeName(named, "");
}
