/** What the reward pool pays (`spec/contracts` §3, `spec/economics` §2): exact, as the contract counts. */
const PER_MILLE = 151n;
const YEAR = 31_536_000n;
const DAY = 86_400n;

/** What a balance releases in so many seconds. */
export const released = (balance: bigint, seconds: bigint): bigint => (balance * PER_MILLE * seconds) / (1000n * YEAR);

export interface Year {
  paid: bigint;
  left: bigint;
}

/** The years to come, if the pool pays once a day and gets `income` a day. */
export function years(balance: bigint, count: number, income = 0n): Year[] {
  let left = balance;
  return Array.from({ length: count }, () => {
    let paid = 0n;
    for (let day = 0; day < 365; day++) {
      const now = released(left, DAY);
      paid += now;
      left += income - now;
    }
    return { paid, left };
  });
}
