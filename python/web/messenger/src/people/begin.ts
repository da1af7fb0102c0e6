/** How a conversation of many begins: a group that is made, a community that is joined. */
import { post } from "../api/client";
import { of, reload } from "../api/queries";
import type { Conversation, Group } from "../api/types";

/** The id of the conversation, which is in the list by then. Fails with what the service says. */
export async function begin(account: string, what: "groups" | "communities", body: object): Promise<string> {
  const { id } = await post<Conversation | Group>(of(account, what), body);
  await reload(account, "conversations");
  return id;
}
