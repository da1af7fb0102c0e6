/** What is in the way of all that one would do here: the wallet, its chain, the backend. */
import { Button, useStore } from "@allium/ui";
import { useInfo } from "../api/queries";
import { WrongContractsError } from "../chain/contracts";
import { useAddresses } from "../chain/reads";
import { config } from "../config";
import { duration, moment, number, t } from "../i18n";
import { choose, useActing } from "../pages/vesting";
import { connect, connection, switchChain } from "../wallet/connection";
import { attempt, walletTrouble } from "../wallet/trouble";
import { Notice } from "./show";

/** Seconds after which what the backend tells is old (`spec/portal` §3.6). */
const OLD_CHAIN = 180;
const OLD_BLOCK = 300;

function WalletState() {
  const now = useStore(connection);
  const trouble = useStore(walletTrouble);
  if (!now) return null;
  const said = trouble && <Notice kind="warning">{trouble}</Notice>;
  if (!now.account)
    return (
      <>
        {said}
        <Notice
          kind="warning"
          action={<Button onClick={() => attempt(() => connect(now.wallet))}>{t("wallet.unlock")}</Button>}
        >
          {t("wallet.locked")}
        </Notice>
      </>
    );
  if (now.chain !== config.chain.id)
    return (
      <>
        {said}
        <Notice
          kind="warning"
          action={
            <Button kind="primary" onClick={() => attempt(switchChain)}>
              {t("wallet.switch", { chain: config.chain.name })}
            </Button>
          }
        >
          {t("wallet.wrongChain", { chain: config.chain.name })}
        </Notice>
      </>
    );
  return said || null;
}

function BackendState() {
  const { data, error } = useInfo();
  const places = useAddresses();
  if (places.error instanceof WrongContractsError)
    return <Notice kind="danger">{t("backend.contracts", { name: places.error.message })}</Notice>;
  if (error && !data) return <Notice kind="danger">{t("backend.away")}</Notice>;
  if (!data) return null;
  const { network, t: now } = data;
  if (!error && network.block_height === 0)
    return <Notice>{t("backend.reading", { chain: config.chain.name, block: number(network.l2_height) })}</Notice>;
  const old = error
    ? now
    : now - network.block_timestamp > OLD_BLOCK
      ? network.block_timestamp
      : now - network.l2_height_timestamp > OLD_CHAIN
        ? network.l2_height_timestamp
        : null;
  if (old === null) return null;
  return (
    <Notice kind="warning">{t("backend.old", { when: moment(old), since: duration(Date.now() / 1000 - old) })}</Notice>
  );
}

function VestingState() {
  const acting = useActing();
  if (!acting) return null;
  const address = `${acting.slice(0, 8)}…${acting.slice(-4)}`;
  return (
    <Notice action={<Button onClick={() => choose(null)}>{t("vested.leave")}</Button>}>
      {t("vested.mode", { address })}
    </Notice>
  );
}

export function State() {
  return (
    <div className="state">
      <BackendState />
      <WalletState />
      <VestingState />
    </div>
  );
}

export function StatusBar() {
  const { data } = useInfo();
  if (!data) return null;
  const { network } = data;
  if (network.block_height === 0) return null;
  return (
    <footer className="status-bar muted">
      <span>{network.nettype}</span>
      <span>{t("status.height", { height: number(network.block_height) })}</span>
      <span>{t("status.nodes", { active: number(network.active_node_count), all: number(network.node_count) })}</span>
      <span>{t("status.chain", { chain: config.chain.name, height: number(network.l2_height) })}</span>
    </footer>
  );
}
