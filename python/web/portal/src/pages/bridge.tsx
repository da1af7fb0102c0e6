/** `/bridge`: how tokens come from Ethereum. `/bridge/arbitrum` leads there at once, by the server. */
import { config } from "../config";
import { t } from "../i18n";
import { Notice } from "../parts/show";

export function BridgePage() {
  const { bridge, name } = config.chain;
  return (
    <>
      <h1>{t("bridge.title")}</h1>
      {bridge ? (
        <>
          <p className="lead">{t("bridge.lead", { chain: name })}</p>
          <p>
            <a href={bridge} rel="noreferrer">
              {t("bridge.go", { host: new URL(bridge).host })}
            </a>
          </p>
        </>
      ) : (
        <Notice>{t("bridge.none", { chain: name })}</Notice>
      )}
    </>
  );
}
