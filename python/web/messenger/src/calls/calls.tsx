/** Calls, over whatever else is shown: nothing of them is loaded before there is one. */
import { lazy, Suspense } from "react";
import { useService } from "../api/queries";
import { useStore } from "../store";
import { owner, wanted } from "./state";

const CallLayer = lazy(() => import("./layer"));

export function Calls() {
  const accounts = useService().data?.accounts ?? [];
  const starts = useStore(wanted);
  const rings = accounts.some(({ call }) => call && (call.owner === owner || call.phase === "ringing"));
  // Once it is there it stays: what has just ended is shown for a moment.
  if (!rings && !starts && !loaded.current) return null;
  loaded.current = true;
  return (
    <Suspense fallback={null}>
      <CallLayer accounts={accounts} />
    </Suspense>
  );
}

const loaded = { current: false };
