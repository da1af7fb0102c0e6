/** Each step as a call of a contract. */
import { type Address, zeroAddress } from "viem";
import { ask } from "../api/client";
import type { SignedLeave, SignedRewards } from "../api/types";
import { big } from "../chain/amount";
import { type Addresses, type Call, read } from "../chain/contracts";
import type { Provider } from "../wallet/provider";
import { blsSignature, nodeParams, point } from "./encode";
import type { Job, Step } from "./job";

export interface Surroundings {
  provider: Provider;
  addresses: Addresses;
  job: Job;
}

const POT = "ServiceNodeContribution";
const VESTING = "TokenVestingStaking";
const REWARDS = "ServiceNodeRewards";

const ids = (told: number[]): bigint[] => told.map(BigInt);

async function approval(at: Surroundings, spender: Address, amount: bigint): Promise<Call | null> {
  const token = { contract: "SESH", address: at.addresses.SESH } as const;
  const args = [at.job.account, spender];
  const allowed = await read<bigint>(at.provider, { ...token, function: "allowance", args });
  if (amount > 0n ? allowed >= amount : allowed === 0n) return null;
  return { ...token, function: "approve", args: [spender, amount] };
}

function made(at: Surroundings): Address {
  if (!at.job.made) throw new Error("the contract is not made yet");
  return at.job.made;
}

/** The call of a step; `null` when there is nothing left to do. Rejects with what `problemOf` understands. */
export async function callOf(step: Step, at: Surroundings): Promise<Call | null> {
  const { addresses } = at;
  const pot = (address: Address, name: string, ...args: unknown[]): Call => ({
    contract: POT,
    address,
    function: name,
    args,
  });
  const vesting = (address: Address, name: string, ...args: unknown[]): Call => ({
    contract: VESTING,
    address,
    function: name,
    args,
  });
  const rewards = (name: string, ...args: unknown[]): Call => ({
    contract: REWARDS,
    address: addresses.ServiceNodeRewards,
    function: name,
    args,
  });
  switch (step.kind) {
    case "approve":
      return approval(at, step.spender, big(step.amount));
    case "approve-made":
      return approval(at, made(at), big(step.amount));
    case "contribute": {
      const given = [big(step.amount), step.beneficiary ?? zeroAddress];
      return step.via
        ? vesting(step.via, "contributeFunds", step.pot, given[0], step.beneficiary ?? at.job.account)
        : pot(step.pot, "contributeFunds", ...given);
    }
    case "contribute-made":
      return pot(made(at), "contributeFunds", big(step.amount), step.beneficiary ?? zeroAddress);
    case "withdraw":
      return step.via ? vesting(step.via, "withdrawContribution", step.pot) : pot(step.pot, "withdrawContribution");
    case "reset":
      return pot(step.pot, "reset");
    case "finalize":
      return pot(step.pot, "finalize");
    case "fee":
      return pot(step.pot, "updateFee", step.points);
    case "reserve":
      return pot(
        step.pot,
        "updateReservedContributors",
        step.places.map(({ addr, amount }) => ({ addr, amount: big(amount) })),
      );
    case "manual":
      return pot(step.pot, "updateManualFinalize", step.value);
    case "beneficiary":
      return step.via
        ? vesting(step.via, "updateBeneficiary", step.pot, step.beneficiary)
        : pot(step.pot, "updateBeneficiary", step.beneficiary);
    case "rescue":
      return pot(step.pot, "rescueERC20", step.token);
    case "release":
      return { contract: "RewardRatePool", address: addresses.RewardRatePool, function: "payoutReleased", args: [] };
    case "update": {
      const { rewards: signed } = await ask<{ rewards: SignedRewards }>(`/rewards/${step.who}`, "POST");
      const [known] = await read<[bigint, bigint]>(at.provider, rewards("recipients", step.who));
      const amount = big(signed.amount);
      if (known >= amount) return null;
      return rewards(
        "updateRewardsBalance",
        step.who,
        amount,
        blsSignature(signed.signature),
        ids(signed.non_signer_indices),
      );
    }
    case "claim": {
      const given = step.amount === null ? [] : [big(step.amount)];
      return step.via ? vesting(step.via, "claimRewards", ...given) : rewards("claimRewards", ...given);
    }
    case "request-exit":
      return step.via
        ? vesting(step.via, "initiateExitBLSPublicKey", BigInt(step.node))
        : rewards("initiateExitBLSPublicKey", BigInt(step.node));
    case "exit": {
      const { result } = await ask<{ result: SignedLeave }>(`/exit/${step.pubkey}`);
      return rewards(
        "exitBLSPublicKeyWithSignature",
        point(result.bls_pubkey),
        BigInt(result.timestamp),
        blsSignature(result.signature),
        ids(result.non_signer_indices),
      );
    }
    case "register": {
      const { signed, beneficiary, via } = step;
      const params = nodeParams(signed.ed25519, signed.signature, 0);
      const given = [point(signed.bls), blsSignature(signed.possession), params];
      if (via) return vesting(via, "addBLSPublicKey", ...given, beneficiary);
      const requirement = await read<bigint>(at.provider, rewards("stakingRequirement"));
      const staker = { addr: at.job.account, beneficiary };
      return rewards("addBLSPublicKey", ...given, [{ staker, stakedAmount: requirement }]);
    }
    case "deploy":
      return {
        contract: "ServiceNodeContributionFactory",
        address: addresses.ServiceNodeContributionFactory,
        function: "deploy",
        args: [
          point(step.signed.bls),
          blsSignature(step.signed.possession),
          nodeParams(step.signed.ed25519, step.signed.signature, step.fee),
          step.places.map(({ addr, amount }) => ({ addr, amount: big(amount) })),
          step.manual,
        ],
      };
    case "reopen":
      return pot(
        step.pot,
        "resetUpdateAndContribute",
        point(step.signed.bls),
        blsSignature(step.signed.possession),
        nodeParams(step.signed.ed25519, step.signed.signature, step.fee),
        step.places.map(({ addr, amount }) => ({ addr, amount: big(amount) })),
        step.manual,
        step.beneficiary ?? zeroAddress,
        big(step.amount),
      );
    case "flush":
      if (!addresses.FeeSplitter) return null;
      return { contract: "FeeSplitter", address: addresses.FeeSplitter, function: "flush", args: [] };
    case "vested":
      return vesting(step.vesting, "release", addresses.SESH);
    case "seen":
      return null;
  }
}
