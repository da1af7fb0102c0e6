/** Links are opened after a question that shows where they lead. */
import { arrival } from "../arrival";
import { t } from "../i18n";
import { Store, useStore } from "../store";
import { invitationIn } from "../text/invitations";
import { copyText } from "./copy";
import { Ask } from "./dialog";

const asked = new Store<string | null>(null);

export const openLink = (url: string): void => asked.set(url);

export function LinkQuestion() {
  const url = useStore(asked);
  if (!url) return null;
  const community = invitationIn(url);
  const open = () => window.open(url, "_blank", "noopener,noreferrer");
  return (
    <Ask
      title={t("chat.linkTitle")}
      text={`${url}\n\n${t("chat.linkText")}`}
      choices={[
        ...(community?.kind === "community"
          ? [{ label: t("community.join"), run: () => arrival.set({ what: "open", to: community }) }]
          : []),
        { label: t("common.copy"), run: () => void copyText(url) },
        { label: t("chat.linkOpen"), run: open },
      ]}
      onClose={() => asked.set(null)}
    />
  );
}
