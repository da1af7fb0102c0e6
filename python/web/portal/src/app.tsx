/** The page around all pages, and which of them is shown. */
import { Toasts, useStore } from "@allium/ui";
import { Coins, Compass, Landmark, Plus, Search, Sprout } from "lucide-react";
import { type ReactNode, useEffect } from "react";
import { language, t } from "./i18n";
import { BridgePage } from "./pages/bridge";
import { FaucetPage } from "./pages/faucet";
import { HomePage } from "./pages/home";
import { LeaderboardPage } from "./pages/leaderboard";
import { LookupPage } from "./pages/lookup";
import { MyStakesPage } from "./pages/mystakes";
import { PoolPage } from "./pages/pool";
import { PotPage } from "./pages/pot";
import { RegisterPage } from "./pages/register";
import { RegistrationPage } from "./pages/registration";
import { StakePage } from "./pages/stake";
import { VestedPage } from "./pages/vested";
import { LanguageMenu } from "./parts/languages";
import { Link } from "./parts/show";
import { State, StatusBar } from "./parts/state";
import { useRoute } from "./route";
import { Jobs } from "./steps/panel";
import { WalletButton } from "./wallet/wallet-button";

function pageOf([first, second]: string[]): [ReactNode, string] {
  switch (first) {
    case undefined:
      return [<HomePage key="home" />, t("app.name")];
    case "stake":
      return [second ? <PotPage key={second} address={second} /> : <StakePage key="stake" />, t("stake.title")];
    case "register":
      return [
        second ? <RegistrationPage key={second} pubkey={second} /> : <RegisterPage key="register" />,
        t("register.title"),
      ];
    case "mystakes":
      return [<MyStakesPage key="my" />, t("my.title")];
    case "vested-stakes":
      return [<VestedPage key="vested" />, t("vested.title")];
    case "address":
      return [<LookupPage key={second ?? ""} address={second ?? ""} />, t("lookup.title")];
    case "bridge":
      return [<BridgePage key="bridge" />, t("bridge.title")];
    case "faucet":
      return [<FaucetPage key={second ?? ""} code={second ?? ""} />, t("faucet.title")];
    case "leaderboard":
      return [<LeaderboardPage key="leaders" />, t("leaders.title")];
    case "pool":
      return [<PoolPage key="pool" />, t("pool.title")];
    default:
      return [<h1 key="none">{t("app.nothing")}</h1>, t("app.nothing")];
  }
}

const NAVIGATION = [
  ["stake", "nav.stake", Sprout],
  ["mystakes", "nav.my", Coins],
  ["register", "nav.register", Plus],
  ["pool", "nav.pool", Landmark],
  ["address", "nav.lookup", Search],
] as const;

export function App() {
  const route = useRoute();
  useStore(language);
  const [page, title] = pageOf(route);
  useEffect(() => {
    document.title = title === t("app.name") ? title : `${title} – ${t("app.name")}`;
  }, [title]);
  return (
    <>
      <a className="skip" href="#main">
        {t("app.skip")}
      </a>
      <header className="top">
        <Link to="/" className="brand">
          <img src="/icon.svg" alt="" width="28" height="28" />
          <span>{t("app.name")}</span>
        </Link>
        <nav aria-label={t("nav.title")}>
          {NAVIGATION.map(([path, key, Icon]) => (
            <Link key={path} to={`/${path}`} current={route[0] === path}>
              <Icon aria-hidden="true" />
              <span>{t(key)}</span>
            </Link>
          ))}
          <a href="/explorer">
            <Compass aria-hidden="true" />
            <span>{t("nav.explorer")}</span>
          </a>
        </nav>
        <LanguageMenu />
        <WalletButton />
      </header>
      <main id="main">
        <State />
        <Jobs />
        {page}
      </main>
      <StatusBar />
      <Toasts />
    </>
  );
}
