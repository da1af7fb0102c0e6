/** What is to be seen: the way in, the lock, or the messenger. */
import { Button, Empty, Toasts } from "@allium/ui";
import { CircleAlert } from "lucide-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { ApiError } from "./api/client";
import { connect } from "./api/events";
import { useService } from "./api/queries";
import { Calls } from "./calls/calls";
import { t } from "./i18n";
import { heard } from "./offline/wishes";
import { Away } from "./onboarding/away";
import { Lock } from "./onboarding/lock";
import { Unauthorized } from "./onboarding/unauthorized";
import { preferences } from "./prefs";
import { go, useRoute } from "./route";
import { Shell } from "./shell/shell";
import { useStore } from "./store";

const Onboarding = lazy(() => import("./onboarding/onboarding"));

function Content() {
  const service = useService();
  const route = useRoute();
  const [arriving, setArriving] = useState(false);
  const authorized = service.isSuccess;
  useEffect(() => {
    if (authorized) connect();
  }, [authorized]);
  const accounts = service.data?.accounts ?? [];
  const account = accounts.find((one) => one.id === route.account) ?? accounts.find((one) => one.open) ?? accounts[0];
  useEffect(() => {
    if (service.data && !service.data.locked && !accounts.length) setArriving(true);
  }, [service.data, accounts.length]);
  const refused = service.error instanceof ApiError && service.error.status === 401;
  useEffect(() => {
    if (refused) heard(null);
    else if (service.data) heard(service.data);
  }, [refused, service.data]);
  // It is asked again and again; who reads meanwhile is left alone.
  const away = useRef(false);
  away.current = !service.data && (away.current || service.failureCount > 2);
  if (refused) return <Unauthorized />;
  if (!service.data) return away.current ? <Away /> : <main className="splash" aria-busy={service.isPending} />;
  if (service.data.locked) return <Lock />;
  if (!account || arriving || route.account === "new") {
    const done = (id: string) => {
      setArriving(false);
      go(id);
    };
    return (
      <Suspense fallback={<main className="splash" aria-busy="true" />}>
        <Onboarding onDone={done} onCancel={account ? () => done(account.id) : null} />
      </Suspense>
    );
  }
  if (!account.open) {
    const others = accounts.filter((one) => one.open);
    return (
      <main className="splash">
        <Empty icon={<CircleAlert />} title={t("account.closed")}>
          <p>{account.error}</p>
          {others.map((one) => (
            <Button key={one.id} onClick={() => go(one.id)}>
              {one.display_name}
            </Button>
          ))}
        </Empty>
      </main>
    );
  }
  return <Shell account={account} accounts={accounts} />;
}

export function App() {
  const { language } = useStore(preferences);
  return (
    <>
      <Content key={language} />
      <Calls />
      <Toasts />
    </>
  );
}
