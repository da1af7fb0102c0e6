/** The wallet in the head of the page: to choose one, to see what it holds, to leave it. */
import { Button, useStore } from "@allium/ui";
import { Wallet as Icon, Smartphone } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { ether } from "../chain/amount";
import { useMoney } from "../chain/reads";
import { config } from "../config";
import { t } from "../i18n";
import { Dialog } from "../parts/dialog";
import { Amount, Fact, Link, Loading, Notice, Who } from "../parts/show";
import { connect, connection, disconnect, switchChain } from "./connection";
import { type Wallet, wallets } from "./discovery";
import { attempt, walletTrouble } from "./trouble";

const Remote = lazy(() => import("./remote"));

const nameOf = (wallet: Wallet): string => wallet.name || t("wallet.unnamed");

function Face({ wallet }: { wallet: Wallet }) {
  return wallet.icon ? <img src={wallet.icon} alt="" width="28" height="28" /> : <Icon />;
}

function Choice({ onDone }: { onDone: () => void }) {
  const found = useStore(wallets);
  const trouble = useStore(walletTrouble);
  const [remote, setRemote] = useState(false);
  const elsewhere = config.walletConnect !== null;
  if (remote)
    return (
      <Dialog title={t("remote.name")} onClose={onDone}>
        <Suspense fallback={<Loading />}>
          <Remote onDone={onDone} />
        </Suspense>
      </Dialog>
    );
  const choose = async (wallet: Wallet) => {
    if (await attempt(() => connect(wallet))) onDone();
  };
  return (
    <Dialog title={t("wallet.choose")} onClose={onDone}>
      {trouble && <Notice kind="warning">{trouble}</Notice>}
      {found.length || elsewhere ? (
        <ul className="wallets">
          {found.map((wallet) => (
            <li key={wallet.id}>
              <button type="button" onClick={() => choose(wallet)}>
                <Face wallet={wallet} />
                {nameOf(wallet)}
              </button>
            </li>
          ))}
          {elsewhere && (
            <li>
              <button type="button" onClick={() => setRemote(true)}>
                <Smartphone />
                {t("remote.name")}
              </button>
            </li>
          )}
        </ul>
      ) : (
        <Notice kind="warning">{t("wallet.none")}</Notice>
      )}
      <p className="muted">{t("wallet.safe")}</p>
    </Dialog>
  );
}

function Sheet({ onDone }: { onDone: () => void }) {
  const now = useStore(connection);
  const money = useMoney();
  if (!now) return null;
  const right = now.chain === config.chain.id;
  return (
    <Dialog title={nameOf(now.wallet)} onClose={onDone}>
      <dl className="facts">
        {now.account && (
          <Fact label={t("wallet.account")}>
            <Who address={now.account} />
          </Fact>
        )}
        <Fact label={t("wallet.chain")}>{right ? config.chain.name : t("wallet.otherChain")}</Fact>
        {money.data && (
          <>
            <Fact label={t("wallet.tokens")}>
              <Amount units={money.data.sesh} />
              {config.chain.bridge && (
                <Link to="/bridge" className="muted">
                  {t("bridge.title")}
                </Link>
              )}
            </Fact>
            <Fact label={t("wallet.ether")}>{ether(money.data.ether)} ETH</Fact>
          </>
        )}
      </dl>
      <div className="actions">
        {!right && (
          <Button onClick={() => attempt(switchChain)}>{t("wallet.switch", { chain: config.chain.name })}</Button>
        )}
        <Button
          onClick={() => {
            disconnect();
            onDone();
          }}
        >
          {t("wallet.leave")}
        </Button>
      </div>
    </Dialog>
  );
}

export function WalletButton() {
  const now = useStore(connection);
  const [open, setOpen] = useState(false);
  const account = now?.account;
  const label = account
    ? `${account.slice(0, 6)}…${account.slice(-4)}`
    : now
      ? t("wallet.lockedShort")
      : t("wallet.connect");
  const close = () => {
    walletTrouble.set("");
    setOpen(false);
  };
  return (
    <>
      <Button kind={now ? "" : "primary"} className="wallet-button" onClick={() => setOpen(true)}>
        {now ? <Face wallet={now.wallet} /> : <Icon />}
        {label}
      </Button>
      {open && (now ? <Sheet onDone={close} /> : <Choice onDone={close} />)}
    </>
  );
}
