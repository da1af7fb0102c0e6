/** Where one writes: text that grows, files, emoji, mentions, a recording, and the draft that is kept. */
import { IconButton, toast } from "@allium/ui";
import { ImagePlay, Mic, Paperclip, SendHorizontal, Smile, X } from "lucide-react";
import {
  type ClipboardEvent,
  type KeyboardEvent,
  lazy,
  Suspense,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { post, sentence } from "../api/client";
import { at, changeConversation, useSettings } from "../api/queries";
import type { Conversation, Message } from "../api/types";
import { handed } from "../arrival";
import { bytes, t } from "../i18n";
import { preferences } from "../prefs";
import { Name } from "../shell/person";
import { useStore } from "../store";
import { plain } from "../text/rich";
import { codePoints, LONGEST_CAPTION, safeName } from "../text/safe";
import type { Chat } from "./context";
import { focusMessage } from "./focus";
import { type Mention, Mentions, mentionAt, useMentionable } from "./mentions";
import { Picker } from "./picker";

const EmojiPicker = lazy(() => import("./emoji-picker"));
const GifPanel = lazy(() => import("./gif-panel"));
const Recorder = lazy(() => import("./recorder"));

/** Code points of a message (spec/messages §2.1). */
const LONGEST = 2000;
const COUNTED_FROM = 1800;
/** A typing indicator is sent anew after this long (spec/messages, Typing and receipts). */
const TYPING_AGAIN = 10_000;
const DRAFT_AFTER = 600;

export function Composer({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  const [text, setText] = useState(conversation.draft ?? "");
  const [mentions, setMentions] = useState<Mention[]>([]);
  const [caret, setCaret] = useState(0);
  const [recording, setRecording] = useState(false);
  const [emoji, setEmoji] = useState(false);
  const [gifs, setGifs] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const typedAt = useRef(0);
  const draft = useRef({ text: conversation.draft ?? "", saved: conversation.draft ?? "" });
  const reply = useStore(chat.reply);
  const staged = useStore(chat.staging.files);
  const { enterSends } = useStore(preferences);
  const settings = useSettings(chat.account).data;
  const people = useMentionable(chat, conversation);
  const open = mentionAt(text, caret);
  const length = codePoints(text);
  const loading = staged.some((one) => !one.upload);
  const ready = (text.trim() || staged.length > 0) && !loading && length <= LONGEST;

  // biome-ignore lint/correctness/useExhaustiveDependencies: its height follows the text.
  useLayoutEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, 220)}px`;
  }, [text]);
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    if (reply) field.current?.focus();
  }, [reply]);
  useEffect(() => {
    const save = () => {
      if (draft.current.text === draft.current.saved) return;
      draft.current.saved = draft.current.text;
      void changeConversation(chat.account, chat.id, { draft: draft.current.text });
    };
    const timer = setInterval(save, DRAFT_AFTER);
    return () => {
      clearInterval(timer);
      save();
    };
  }, [chat]);

  const write = (next: string, position?: number) => {
    setText(next);
    draft.current.text = next;
    if (position !== undefined) {
      requestAnimationFrame(() => field.current?.setSelectionRange(position, position));
      setCaret(position);
    }
  };
  const typing = () => {
    if (!settings?.typing_indicators || conversation.kind !== "contact" || Date.now() - typedAt.current < TYPING_AGAIN)
      return;
    typedAt.current = Date.now();
    void post(at(chat.account, chat.id, "typing"), { typing: true }).catch(() => undefined);
  };
  const insert = (piece: string) => {
    const area = field.current;
    const from = area?.selectionStart ?? text.length;
    write(text.slice(0, from) + piece + text.slice(area?.selectionEnd ?? from), from + piece.length);
    area?.focus();
  };
  const brought = useStore(handed);
  const takeUp = useRef<() => void>(() => {});
  takeUp.current = () => {
    if (brought?.account !== chat.account || brought.id !== chat.id) return;
    handed.set(null);
    if (brought.text) write(text ? `${text}\n${brought.text}` : brought.text);
    chat.staging.add(brought.files);
  };
  useEffect(() => {
    if (brought) takeUp.current();
  }, [brought]);
  const choose = (person: Mention) => {
    if (!open) return;
    const label = `@${person.name} `;
    write(text.slice(0, open.start) + label + text.slice(caret), open.start + label.length);
    setMentions([...mentions, person]);
    field.current?.focus();
  };
  const send = async () => {
    if (!ready) return;
    const kept = { text, reply, mentions };
    // What is shown as a name travels as the id.
    const longest = [...mentions].sort((one, other) => other.name.length - one.name.length);
    const body = longest.reduce((sum, one) => sum.replaceAll(`@${one.name}`, `@${one.id}`), text.trim());
    const { ids, voice, captions } = chat.staging.take();
    write("", 0);
    draft.current.saved = "";
    setMentions([]);
    chat.reply.set(null);
    typedAt.current = 0;
    const link = settings?.link_previews ? body.match(/https:\/\/\S+/)?.[0] : undefined;
    try {
      const sent = await post<Message>(at(chat.account, chat.id, "messages"), {
        text: body,
        ...(kept.reply && { quote: kept.reply.id }),
        ...(ids.length && { attachments: ids }),
        ...(voice && { voice }),
        ...(Object.keys(captions).length && { captions }),
        ...(link && { preview: link }),
      });
      if (chat.timeline.stretch.get().after) await chat.timeline.load();
      else if (sent?.id) chat.timeline.add(sent);
      void changeConversation(chat.account, chat.id, { draft: "" });
    } catch (error) {
      toast(sentence(error));
      write(kept.text, kept.text.length);
      setMentions(kept.mentions);
      chat.reply.set(kept.reply);
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && (enterSends ? !event.shiftKey : event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void send();
    } else if (event.key === "Escape" && reply) {
      chat.reply.set(null);
    } else if (event.key === "ArrowUp" && !text) {
      event.preventDefault();
      focusMessage(chat.timeline.stretch.get().messages.at(-1)?.id);
    } else if ((event.ctrlKey || event.metaKey) && event.key === "u") {
      event.preventDefault();
      chooser.current?.click();
    } else if ((event.ctrlKey || event.metaKey) && event.key === "e") {
      event.preventDefault();
      setEmoji(true);
    }
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    chat.staging.add(files);
  };
  if (recording) {
    return (
      <Suspense fallback={<div className="composer" />}>
        <Recorder
          onDone={(file) => {
            setRecording(false);
            if (file) chat.staging.add([file], true);
          }}
        />
      </Suspense>
    );
  }
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {reply && (
        <div className="replying">
          <span className="quote">
            <b>{reply.outgoing ? t("common.you") : <Name of={reply.sender} />}</b>
            <span className="quoted" dir="auto">
              {plain(reply.text, reply.mentions, chat.me) || t("file.attachment")}
            </span>
          </span>
          <IconButton label={t("chat.cancelReply")} onClick={() => chat.reply.set(null)}>
            <X />
          </IconButton>
        </div>
      )}
      {staged.length > 0 && (
        <ul className="staged">
          {staged.map((one) => (
            <li key={one.key}>
              {one.view ? (
                <img src={one.view} alt={safeName(one.name)} />
              ) : (
                <span className="staged-name">{safeName(one.name)}</span>
              )}
              {one.view && (
                <input
                  className="input"
                  dir="auto"
                  autoComplete="off"
                  maxLength={LONGEST_CAPTION}
                  placeholder={t("file.caption")}
                  aria-label={t("file.captionOf", { name: safeName(one.name) })}
                  value={one.caption}
                  onChange={(event) => chat.staging.write(one.key, event.target.value)}
                />
              )}
              <span className="muted small">{bytes(one.size)}</span>
              {!one.upload && (
                <progress value={one.share} max={1} aria-label={t("chat.uploading", { name: safeName(one.name) })} />
              )}
              <IconButton
                label={t("chat.removeFile", { name: safeName(one.name) })}
                onClick={() => chat.staging.remove(one.key)}
              >
                <X />
              </IconButton>
            </li>
          ))}
        </ul>
      )}
      {open && <Mentions people={people} query={open.query} onChoose={choose} field={field} />}
      <div className="composer-line">
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          onChange={(event) => {
            chat.staging.add(event.target.files ?? []);
            event.target.value = "";
          }}
        />
        <IconButton label={t("chat.attach")} onClick={() => chooser.current?.click()}>
          <Paperclip />
        </IconButton>
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          aria-label={t("chat.placeholder")}
          placeholder={staged.length ? t("chat.caption") : t("chat.placeholder")}
          value={text}
          onChange={(event) => {
            write(event.target.value);
            setCaret(event.target.selectionStart);
            if (event.target.value) typing();
          }}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <Picker
          label={t("gif.choose")}
          icon={<ImagePlay />}
          open={gifs}
          onOpen={setGifs}
          onClosed={() => field.current?.focus()}
        >
          <GifPanel chat={chat} onDone={() => setGifs(false)} />
        </Picker>
        <Picker
          label={t("chat.emoji")}
          icon={<Smile />}
          open={emoji}
          onOpen={setEmoji}
          onClosed={() => field.current?.focus()}
        >
          <EmojiPicker
            onPick={(piece) => {
              setEmoji(false);
              insert(piece);
            }}
          />
        </Picker>
        {text.trim() || staged.length > 0 ? (
          <IconButton type="submit" className="primary" label={t("chat.send")} disabled={!ready}>
            <SendHorizontal className="flip" />
          </IconButton>
        ) : (
          <IconButton label={t("chat.voice")} onClick={() => setRecording(true)}>
            <Mic />
          </IconButton>
        )}
      </div>
      {length >= COUNTED_FROM && (
        <p className={length > LONGEST ? "counter over" : "counter"} role="status">
          {length > LONGEST
            ? t("chat.tooLong", { count: length - LONGEST })
            : t("chat.counter", { count: LONGEST - length })}
        </p>
      )}
    </form>
  );
}
