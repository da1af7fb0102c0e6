/** The steps by which a node is opened to others: with a new contract, or with one that waits for its operator. */
import type { Address } from "viem";
import { big, typed } from "../chain/amount";
import type { PotView } from "../chain/pot";
import type { Signed, Step } from "../steps/job";
import type { PlaceInput, Reserved } from "./places";

export interface Terms {
  signed: Signed;
  fee: number;
  places: Reserved;
  manual: boolean;
}

interface OwnStake {
  amount: string;
  beneficiary: Address | null;
}

/** What a contract keeps for others than its operator, as it is typed. */
export const reservedFor = ({ places, operator }: PotView): PlaceInput[] =>
  places
    .filter(({ address }) => address !== operator)
    .map(({ address, amount }) => ({ id: address, address, amount: typed(amount) }));

function asItIs(there: PotView & { bls: string | null }, { signed, fee, places, manual }: Terms): boolean {
  const same = places.every(({ addr, amount }, at) => {
    const kept = there.places[at];
    return kept?.address === addr && kept.amount === big(amount);
  });
  return (
    same &&
    places.length === there.places.length &&
    there.bls === signed.bls &&
    there.fee === fee &&
    there.manual === manual
  );
}

/** One transaction changes all settings of a contract that is there and stakes; none is needed where they are the same. */
export function opening(there: (PotView & { bls: string | null }) | null, terms: Terms, stake: OwnStake): Step[] {
  if (!there)
    return [
      { kind: "deploy", ...terms },
      { kind: "approve-made", amount: stake.amount },
      { kind: "contribute-made", ...stake },
    ];
  const { address: pot } = there;
  const approve: Step = { kind: "approve", spender: pot, amount: stake.amount };
  return asItIs(there, terms)
    ? [approve, { kind: "contribute", pot, ...stake }]
    : [approve, { kind: "reopen", pot, ...terms, ...stake }];
}
