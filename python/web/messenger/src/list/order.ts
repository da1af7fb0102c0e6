/** The order of what is pinned: by dragging, and by keys. A higher number stands further up, on all of one's devices. */
import { toast } from "@allium/ui";
import { patch, sentence } from "../api/client";
import { at, client, reload } from "../api/queries";
import type { Conversation } from "../api/types";
import { t } from "../i18n";
import { nameOfConversation } from "../shell/person";
import { Store } from "../store";

/** What has just been moved where, for screen readers. */
export const moved = new Store("");

type Placed = Pick<Conversation, "pinned" | "last_activity">;

export const byPlace = (one: Placed, other: Placed): number =>
  other.pinned - one.pinned || other.last_activity - one.last_activity;

const shownPins = (list: Conversation[]): Conversation[] =>
  list.filter((one) => one.pinned > 0 && !one.hidden && !one.request).sort(byPlace);

/** One change after the other: each counts with what the one before has left. */
let last: Promise<void> = Promise.resolve();

/** Pins a conversation at a place among the pinned ones; `null` takes its pin off. */
export function place(account: string, id: string, index: number | null): Promise<void> {
  last = last.then(() => put(account, id, index));
  return last;
}

async function put(account: string, id: string, index: number | null): Promise<void> {
  const key = [account, "conversations"];
  await client.cancelQueries({ queryKey: key });
  const before = client.getQueryData<Conversation[]>(key);
  const one = before?.find((each) => each.id === id);
  if (!before || !one) return;
  const others = shownPins(before).filter((each) => each.id !== id);
  const order = index === null ? others : others.toSpliced(Math.max(0, Math.min(index, others.length)), 0, one);
  const wanted = new Map(order.map((each, rank) => [each.id, order.length - rank]));
  if (index === null) wanted.set(id, 0);
  const changed = before.filter((each) => (wanted.get(each.id) ?? each.pinned) !== each.pinned);
  if (!changed.length) return;
  client.setQueryData<Conversation[]>(
    key,
    before.map((each) => ({ ...each, pinned: wanted.get(each.id) ?? each.pinned })),
  );
  const name = nameOfConversation(one);
  moved.set(
    index === null
      ? t("list.unpinnedNow", { name })
      : t("list.pinnedAt", { name, place: order.findIndex((each) => each.id === id) + 1, count: order.length }),
  );
  try {
    for (const each of changed) await patch(at(account, each.id), { pinned: wanted.get(each.id) });
  } catch (error) {
    toast(sentence(error));
  }
  await reload(account, "conversations");
}

/** Moves a conversation by one place among the pinned ones; one that is not pinned is pinned from below. */
export function step(account: string, id: string, by: -1 | 1): void {
  last = last.then(() => {
    const pins = shownPins(client.getQueryData<Conversation[]>([account, "conversations"]) ?? []);
    const index = pins.findIndex((one) => one.id === id);
    if (index < 0) return by < 0 ? put(account, id, pins.length) : undefined;
    return put(account, id, by > 0 && index === pins.length - 1 ? null : index + by);
  });
}
