/** Keys and signatures as the contracts take them: 32-byte numbers, big-endian (`spec/portal` §3.5). */
export function words(hex: string, count: number): bigint[] {
  const digits = hex.replace(/^0x/, "");
  if (digits.length !== count * 64 || !/^[0-9a-fA-F]*$/.test(digits)) throw new Error(`${count * 64} hex digits`);
  return Array.from({ length: count }, (_, at) => BigInt(`0x${digits.slice(at * 64, (at + 1) * 64)}`));
}

export function point(hex: string) {
  const [X, Y] = words(hex, 2);
  return { X, Y };
}

export function blsSignature(hex: string) {
  const [sigs0, sigs1, sigs2, sigs3] = words(hex, 4);
  return { sigs0, sigs1, sigs2, sigs3 };
}

export function nodeParams(ed25519: string, signature: string, fee: number) {
  const [serviceNodePubkey] = words(ed25519, 1);
  const [serviceNodeSignature1, serviceNodeSignature2] = words(signature, 2);
  return { serviceNodePubkey, serviceNodeSignature1, serviceNodeSignature2, fee };
}
