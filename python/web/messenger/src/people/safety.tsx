/** Words to compare, by which two people know that each has the other's key and nobody's in between. */
import { useQuery } from "@tanstack/react-query";
import { get } from "../api/client";
import { of } from "../api/queries";
import { t } from "../i18n";

interface SafetyKey {
  id: string;
  own: boolean;
  words: string[];
}

export function Safety({ account, id, name }: { account: string; id: string; name: string }) {
  const keys = useQuery({
    queryKey: [account, "safety", id],
    queryFn: () => get<{ keys: SafetyKey[] }>(of(account, `contacts/${id}/safety`)),
  }).data?.keys;
  if (!keys) return null;
  return (
    <section className="safety">
      <h3>{t("safety.title")}</h3>
      <p className="muted small">{t("safety.hint", { name })}</p>
      <div className="safety-keys">
        {keys.map((key) => (
          <div key={key.id}>
            <h4>
              <bdi>{key.own ? t("safety.yours") : t("safety.theirs", { name })}</bdi>
            </h4>
            <ol lang="en" dir="ltr" translate="no">
              {key.words.map((word, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a word may come twice.
                <li key={index}>{word}</li>
              ))}
            </ol>
          </div>
        ))}
      </div>
      <p className="muted small">{t("safety.different")}</p>
    </section>
  );
}
