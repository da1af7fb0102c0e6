/** Whether the system tells of new messages, and how much of them. */
import { Field, Switch, toast } from "@allium/ui";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { choose, type Preferences, preferences } from "../prefs";
import { useStore } from "../store";
import { Push } from "./push";

export function Notifications({ account }: { account: Account }) {
  const { notify, notifyContent } = useStore(preferences);
  const change = async (wanted: boolean) => {
    if (wanted && (await Notification.requestPermission()) !== "granted") {
      toast(t("notifications.denied"));
      return;
    }
    await choose({ notify: wanted });
  };
  return (
    <>
      <Switch label={t("notifications.allow")} checked={notify} onChange={(wanted) => void change(wanted)} />
      <Push account={account} />
      <Field label={t("notifications.content")}>
        {(attributes) => (
          <select
            className="input"
            value={notifyContent}
            onChange={(event) => void choose({ notifyContent: event.target.value as Preferences["notifyContent"] })}
            {...attributes}
          >
            <option value="full">{t("notifications.full")}</option>
            <option value="name">{t("notifications.name")}</option>
            <option value="none">{t("notifications.none")}</option>
          </select>
        )}
      </Field>
    </>
  );
}
