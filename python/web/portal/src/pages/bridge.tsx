/** `/bridge/arbitrum`: how tokens come from Ethereum. */
import { config } from "../config";
import { t } from "../i18n";

const ARBITRUM = 42161;
const BRIDGE = "https://bridge.arbitrum.io/?sourceChain=ethereum&destinationChain=arbitrum-one";

export function BridgePage() {
  return (
    <>
      <h1>{t("bridge.title")}</h1>
      {config.chain.id === ARBITRUM ? (
        <>
          <p className="lead">{t("bridge.lead")}</p>
          <p>
            <a href={BRIDGE} rel="noreferrer">
              {t("bridge.go")}
            </a>
          </p>
        </>
      ) : (
        <p className="lead">{t("bridge.none", { chain: config.chain.name })}</p>
      )}
    </>
  );
}
