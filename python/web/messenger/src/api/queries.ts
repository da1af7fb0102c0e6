/** What the page knows from the service, each under one key, and how it changes it. */

import { toast } from "@allium/ui";
import { QueryClient, useMutation, useQuery } from "@tanstack/react-query";
import { ApiError, get, patch, post, remove, sentence } from "./client";
import type { Account, Contact, Conversation, Group, Settings, State } from "./types";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Number.POSITIVE_INFINITY,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      networkMode: "always",
      retry: (count, error) => error instanceof ApiError && error.word === "service" && count < 20,
      retryDelay: (count) => Math.min(4000, 250 * 2 ** count),
    },
    mutations: { networkMode: "always", onError: (error) => toast(sentence(error)) },
  },
});

export const of = (account: string, path: string): string => `accounts/${account}/${path}`;
export const at = (account: string, conversation: string, path = ""): string =>
  of(account, `conversations/${encodeURIComponent(conversation)}${path && `/${path}`}`);

export const useService = () => useQuery({ queryKey: ["state"], queryFn: () => get<State>("state") });

export const useConversations = (account: string) =>
  useQuery({
    queryKey: [account, "conversations"],
    queryFn: () => get<Conversation[]>(of(account, "conversations?hidden=true")),
    enabled: Boolean(account),
  });

export function useConversation(account: string, id: string) {
  const listed = useConversations(account).data?.find((one) => one.id === id);
  // One that is not in the list yet, such as a contact to whom nothing was written.
  const alone = useQuery({
    queryKey: [account, "conversation", id],
    queryFn: () => get<Conversation>(at(account, id)),
    enabled: Boolean(id) && !listed,
  });
  return { conversation: listed ?? alone.data, error: listed ? null : alone.error };
}

export const useRequests = (account: string) =>
  useQuery({
    queryKey: [account, "requests"],
    queryFn: () => get<Conversation[]>(of(account, "requests")),
    enabled: Boolean(account),
  });

export const useContacts = (account: string) =>
  useQuery({
    queryKey: [account, "contacts"],
    queryFn: () => get<Contact[]>(of(account, "contacts")),
    enabled: Boolean(account),
  });

export const useGroup = (account: string, group: string) =>
  useQuery({
    queryKey: [account, "group", group],
    queryFn: () => get<Group>(of(account, `groups/${group}`)),
    enabled: group.startsWith("03"),
  });

export const useSettings = (account: string) =>
  useQuery({ queryKey: [account, "settings"], queryFn: () => get<Settings>(of(account, "settings")) });

/** Whether somebody waits for an answer whether they may write; who was only looked up does not. */
export const isRequest = (one: Conversation): boolean =>
  one.request && !one.approved && (one.kind === "group" || one.last_message !== null);

/** A change of a conversation, shown at once and taken back if it fails. */
export async function changeConversation(account: string, id: string, change: Partial<Conversation>): Promise<void> {
  const key = [account, "conversations"];
  const before = client.getQueryData<Conversation[]>(key);
  const applied = before?.map((one) => (one.id === id ? { ...one, ...change } : one));
  if (applied) client.setQueryData(key, applied);
  try {
    await patch(at(account, id), change);
  } catch (error) {
    client.setQueryData(key, before);
    toast(sentence(error));
  }
}

export async function markRead(account: string, conversation: Conversation): Promise<void> {
  if (!conversation.unread && !conversation.marked_unread && !conversation.mentioned) return;
  client.setQueryData<Conversation[]>([account, "conversations"], (list) =>
    list?.map((one) =>
      one.id === conversation.id ? { ...one, unread: 0, mentioned: false, marked_unread: false } : one,
    ),
  );
  await post(at(account, conversation.id, "read")).catch(() => undefined);
}

export const reload = (account: string, ...what: string[]) =>
  Promise.all(what.map((one) => client.invalidateQueries({ queryKey: [account, one] })));

export const reloadState = () => client.invalidateQueries({ queryKey: ["state"] });

/** Runs something that a person asked for; a failure is shown, and `undefined` is the result. */
export async function attempt<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    toast(sentence(error));
    return undefined;
  }
}

export function useAccountChange(account: string) {
  return useMutation({
    mutationFn: (change: Partial<Account>) => patch<Account>(`accounts/${account}`, change),
    onSuccess: () => reloadState(),
  });
}

export async function removeConversation(account: string, id: string, messagesOnly: boolean): Promise<void> {
  await attempt(remove(at(account, id, `?messages_only=${messagesOnly}`).replace("/?", "?")));
  await reload(account, "conversations", "requests");
}
