/** What is copied to be pasted elsewhere; it is said that it was. */
import { toast } from "@allium/ui";
import { t } from "../i18n";

export async function copyText(text: string, said = t("common.copied")): Promise<void> {
  await navigator.clipboard.writeText(text);
  toast(said);
}
