# pragma version ~=0.4.3
"""
@title BLS on BN254: keys in G1, signatures in G2, hashing to G2 by try and increment
@license Apache-2.0 OR MIT
@notice Points of G2 are (x.re, x.im, y.re, y.im), or (X.re, X.im, Y.re, Y.im, Z.re, Z.im) in Jacobian coordinates.
        The precompiles want the imaginary part first. Sums of up to five numbers below P fit a word, so that only
        what is negated or returned has to be below P.
@custom:security Addition is incomplete: it cannot add a point to itself or its negative. Only a hash of small order
                 would make it do so, and of the 2**508 points of the twist fewer than 2**40 are.
"""

from . import types

P: constant(uint256) = 21888242871839275222246405745257275088696311157297823662689037894645226208583
P2: constant(uint256) = 2 * P
# 1 / 2 mod P
HALF: constant(uint256) = 10944121435919637611123202872628637544348155578648911831344518947322613104292
# 2**256 mod P
SHIFT_256: constant(uint256) = 6350874878119819312338956282401532409788428879151445726012394534686998597021
# The twist's b = 3 / (9 + i)
B_RE: constant(uint256) = 19485874751759354771024239261021720505790618469301721065564631296452457478373
B_IM: constant(uint256) = 266929791119991161246907387137283842545076965332900288569378510910307636690
# The curve's parameter, without its highest bit; Z_BITS more follow that one.
Z_REST: constant(uint256) = 4965661367192848881 - 2**62
Z_BITS: constant(uint256) = 62
# Frobenius on the twist
PSI_X_RE: constant(uint256) = 21575463638280843010398324269430826099269044274347216827212613867836435027261
PSI_X_IM: constant(uint256) = 10307601595873709700152284273816112264069230130616436755625194854815875713954
PSI_Y_RE: constant(uint256) = 2821565182194536844548159561693502659359617185244120367078079554186484126554
PSI_Y_IM: constant(uint256) = 3505843767911556378687030309984248845540243509899259641013678093033130930403

MODEXP: constant(address) = 0x0000000000000000000000000000000000000005
G1_ADD: constant(address) = 0x0000000000000000000000000000000000000006
PAIRING: constant(address) = 0x0000000000000000000000000000000000000008


@internal
@view
def _add(a: types.G1Point, b: types.G1Point) -> types.G1Point:
    success: bool = False
    total: Bytes[64] = b""
    success, total = raw_call(
        G1_ADD, abi_encode(a, b), max_outsize=64, is_static_call=True, revert_on_failure=False
    )
    assert success, "Call to precompiled contract for add failed"
    return abi_decode(total, types.G1Point)


@internal
@pure
def _negate(a: types.G1Point) -> types.G1Point:
    if a.Y == 0:
        return a
    # From a Y that is not below P comes one that no precompile takes.
    return types.G1Point(X=a.X, Y=unsafe_sub(P, a.Y))


@internal
@view
def _verify(key: types.G1Point, message: Bytes[148], tag: bytes32, signature: types.BLSSignatureParams) -> bool:
    """
    @notice Whether e(P1, signature) = e(key, hash).
    """
    hash: uint256[4] = self._hash_to_g2(message, tag)
    success: bool = False
    product: Bytes[32] = b""
    success, product = raw_call(
        PAIRING,
        abi_encode(
            convert(1, uint256),
            convert(2, uint256),
            signature.sigs1,
            signature.sigs0,
            signature.sigs3,
            signature.sigs2,
            self._negate(key),
            hash[1],
            hash[0],
            hash[3],
            hash[2],
        ),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    assert success, "Invalid Signature"
    return convert(product, uint256) == 1


@internal
@view
def _hash_to_g2(message: Bytes[148], tag: bytes32) -> uint256[4]:
    # RFC 9380's expand_message_xmd with Keccak-256, of message || counter to 128 bytes.
    for counter: uint256 in range(256):
        b0: bytes32 = keccak256(
            concat(
                empty(bytes32),
                empty(bytes32),
                empty(bytes32),
                empty(bytes32),
                empty(bytes8),
                message,
                convert(convert(counter, uint8), bytes1),
                b"\x00\x80\x00",
                tag,
                b"\x20",
            )
        )
        b1: bytes32 = keccak256(concat(b0, b"\x01", tag, b"\x20"))
        b2: bytes32 = keccak256(concat(self._xor(b0, b1), b"\x02", tag, b"\x20"))
        b3: bytes32 = keccak256(concat(self._xor(b0, b2), b"\x03", tag, b"\x20"))
        b4: bytes32 = keccak256(concat(self._xor(b0, b3), b"\x04", tag, b"\x20"))
        # Two numbers of 48 bytes.
        middle: uint256 = convert(b2, uint256)
        x0: uint256 = uint256_addmod(uint256_mulmod(convert(b1, uint256), 2**128, P), middle >> 128, P)
        x1: uint256 = uint256_addmod(
            uint256_mulmod(middle & (2**128 - 1), SHIFT_256, P), convert(b3, uint256), P
        )
        # y**2 = x**3 + b
        y0: uint256 = 0
        y1: uint256 = 0
        y0, y1 = self._mul(x0, x1, x0, x1)
        y0, y1 = self._mul(y0, y1, x0, x1)
        y0, y1 = self._sqrt(uint256_addmod(y0, B_RE, P), uint256_addmod(y1, B_IM, P))
        if y0 == 0 or y1 == 0:
            continue
        if convert(b4, uint256) & 1 == 1:
            y0 = P - y0
            y1 = P - y1
        return self._clear_cofactor([x0, x1, y0, y1])
    raise "No point for this message"


@internal
@pure
def _xor(a: bytes32, b: bytes32) -> bytes32:
    return convert(convert(a, uint256) ^ convert(b, uint256), bytes32)


@internal
@view
def _pow(base: uint256, exponent: uint256) -> uint256:
    return convert(
        raw_call(
            MODEXP,
            abi_encode(convert(32, uint256), convert(32, uint256), convert(32, uint256), base, exponent, P),
            max_outsize=32,
            is_static_call=True,
        ),
        uint256,
    )


@internal
@view
def _sqrt(c: uint256, d: uint256) -> (uint256, uint256):
    """
    @notice The root of c + d*i that the protocol takes; a zero component stands for none, as such roots are not used.
    """
    if d == 0:
        return 0, 0
    norm: uint256 = uint256_addmod(uint256_mulmod(c, c, P), uint256_mulmod(d, d, P), P)
    t: uint256 = self._pow(norm, (P + 1) // 4)
    if uint256_mulmod(t, t, P) != norm:
        return 0, 0
    square: uint256 = uint256_mulmod(uint256_addmod(c, t, P), HALF, P)
    a: uint256 = self._pow(square, (P + 1) // 4)
    if uint256_mulmod(a, a, P) != square:
        square = uint256_mulmod(uint256_addmod(c, P - t, P), HALF, P)
        a = self._pow(square, (P + 1) // 4)
        if uint256_mulmod(a, a, P) != square:
            return 0, 0
    return a, uint256_mulmod(uint256_mulmod(d, HALF, P), self._pow(a, P - 2), P)


@internal
@view
def _clear_cofactor(point: uint256[4]) -> uint256[4]:
    """
    @notice [z]P + psi([3z]P) + psi(psi([z]P)) + psi(psi(psi(P))), in the subgroup of order r for every P of the twist.
    """
    base: uint256[6] = [point[0], point[1], point[2], point[3], 1, 0]
    multiple: uint256[6] = base
    for i: uint256 in range(Z_BITS):
        multiple = self._double(multiple)
        if (Z_REST >> (Z_BITS - 1 - i)) & 1 == 1:
            multiple = self._add_affine(multiple, point)
    once: uint256[4] = self._affine(multiple)
    sum: uint256[6] = self._psi(
        self._add_affine(self._double([once[0], once[1], once[2], once[3], 1, 0]), once)
    )
    sum = self._add_affine(sum, once)
    image: uint256[6] = self._psi(self._psi([once[0], once[1], once[2], once[3], 1, 0]))
    sum = self._add_affine(sum, [image[0], image[1], image[2], image[3]])
    image = self._psi(self._psi(self._psi(base)))
    sum = self._add_affine(sum, [image[0], image[1], image[2], image[3]])
    return self._affine(sum)


@internal
@pure
def _mul(a0: uint256, a1: uint256, b0: uint256, b1: uint256) -> (uint256, uint256):
    return (
        uint256_addmod(uint256_mulmod(a0, b0, P), P - uint256_mulmod(a1, b1, P), P),
        uint256_addmod(uint256_mulmod(a0, b1, P), uint256_mulmod(a1, b0, P), P),
    )


@internal
@pure
def _psi(a: uint256[6]) -> uint256[6]:
    x0: uint256 = 0
    x1: uint256 = 0
    y0: uint256 = 0
    y1: uint256 = 0
    x0, x1 = self._mul(a[0], P - a[1], PSI_X_RE, PSI_X_IM)
    y0, y1 = self._mul(a[2], P - a[3], PSI_Y_RE, PSI_Y_IM)
    return [x0, x1, y0, y1, a[4], (P - a[5]) % P]


@internal
@view
def _affine(a: uint256[6]) -> uint256[4]:
    z0: uint256 = a[4]
    z1: uint256 = a[5]
    inverse: uint256 = self._pow(uint256_addmod(uint256_mulmod(z0, z0, P), uint256_mulmod(z1, z1, P), P), P - 2)
    z0 = uint256_mulmod(z0, inverse, P)
    z1 = uint256_mulmod(P - z1, inverse, P)
    x0: uint256 = 0
    x1: uint256 = 0
    y0: uint256 = 0
    y1: uint256 = 0
    # X / Z**2 and Y / Z**3
    x0, x1 = self._mul(z0, z1, z0, z1)
    y0, y1 = self._mul(x0, x1, z0, z1)
    x0, x1 = self._mul(x0, x1, a[0], a[1])
    y0, y1 = self._mul(y0, y1, a[2], a[3])
    return [x0, x1, y0, y1]


@internal
@pure
def _double(a: uint256[6]) -> uint256[6]:
    # B = Y**2, D = 4*X*B, E = 3*X**2; X3 = E**2 - 2*D, Y3 = E*(D - X3) - 8*B**2, Z3 = 2*Y*Z
    x0: uint256 = a[0]
    x1: uint256 = a[1]
    y0: uint256 = a[2]
    y1: uint256 = a[3]
    b0: uint256 = uint256_mulmod(unsafe_add(y0, y1), unsafe_add(y0, unsafe_sub(P, y1)), P)
    b1: uint256 = uint256_mulmod(unsafe_add(y0, y0), y1, P)
    n1: uint256 = unsafe_sub(P, b1)
    d0: uint256 = uint256_mulmod(4, unsafe_add(uint256_mulmod(x0, b0, P), uint256_mulmod(x1, n1, P)), P)
    d1: uint256 = uint256_mulmod(4, unsafe_add(uint256_mulmod(x0, b1, P), uint256_mulmod(x1, b0, P)), P)
    e0: uint256 = uint256_mulmod(
        3, uint256_mulmod(unsafe_add(x0, x1), unsafe_add(x0, unsafe_sub(P, x1)), P), P
    )
    e1: uint256 = uint256_mulmod(unsafe_mul(3, x0), unsafe_add(x1, x1), P)
    # From here x is the new point's, and n1 = -(D - X3).im.
    x0 = uint256_addmod(
        uint256_mulmod(unsafe_add(e0, e1), unsafe_add(e0, unsafe_sub(P, e1)), P),
        unsafe_mul(2, unsafe_sub(P, d0)),
        P,
    )
    x1 = uint256_addmod(uint256_mulmod(unsafe_add(e0, e0), e1, P), unsafe_mul(2, unsafe_sub(P, d1)), P)
    d0 = unsafe_add(d0, unsafe_sub(P, x0))
    # -4 * B**2 and -16 * B**2
    c0: uint256 = uint256_mulmod(
        unsafe_mul(2, unsafe_add(b0, b1)), unsafe_mul(2, unsafe_add(b1, unsafe_sub(P, b0))), P
    )
    c1: uint256 = uint256_mulmod(unsafe_mul(4, b0), unsafe_mul(4, n1), P)
    n1 = unsafe_add(x1, unsafe_sub(P, d1))
    d1 = unsafe_add(d1, unsafe_sub(P, x1))
    y0 = unsafe_add(y0, y0)
    y1 = unsafe_add(y1, y1)
    return [
        x0,
        x1,
        uint256_addmod(
            unsafe_add(uint256_mulmod(e0, d0, P), uint256_mulmod(e1, n1, P)), unsafe_add(c0, c0), P
        ),
        uint256_addmod(unsafe_add(uint256_mulmod(e0, d1, P), uint256_mulmod(e1, d0, P)), c1, P),
        uint256_addmod(uint256_mulmod(y0, a[4], P), uint256_mulmod(y1, unsafe_sub(P, a[5]), P), P),
        uint256_addmod(uint256_mulmod(y0, a[5], P), uint256_mulmod(y1, a[4], P), P),
    ]


@internal
@pure
def _add_affine(a: uint256[6], b: uint256[4]) -> uint256[6]:
    # H = X2*Z1**2 - X1, R = Y2*Z1**3 - Y1, G = H**3, V = X1*H**2;
    # X3 = R**2 - G - 2*V, Y3 = R*(V - X3) - Y1*G, Z3 = Z1*H
    z0: uint256 = a[4]
    z1: uint256 = a[5]
    n1: uint256 = unsafe_sub(P, z1)
    q0: uint256 = uint256_mulmod(unsafe_add(z0, z1), unsafe_add(z0, n1), P)
    q1: uint256 = uint256_mulmod(unsafe_add(z0, z0), z1, P)
    h0: uint256 = uint256_addmod(
        unsafe_add(uint256_mulmod(b[0], q0, P), uint256_mulmod(b[1], unsafe_sub(P, q1), P)),
        unsafe_sub(P, a[0]),
        P,
    )
    h1: uint256 = uint256_addmod(
        unsafe_add(uint256_mulmod(b[0], q1, P), uint256_mulmod(b[1], q0, P)), unsafe_sub(P, a[1]), P
    )
    # Z1**3, then G
    g0: uint256 = unsafe_add(uint256_mulmod(q0, z0, P), uint256_mulmod(q1, n1, P))
    g1: uint256 = unsafe_add(uint256_mulmod(q0, z1, P), uint256_mulmod(q1, z0, P))
    r0: uint256 = uint256_addmod(
        unsafe_add(uint256_mulmod(b[2], g0, P), uint256_mulmod(b[3], unsafe_sub(P2, g1), P)),
        unsafe_sub(P, a[2]),
        P,
    )
    r1: uint256 = uint256_addmod(
        unsafe_add(uint256_mulmod(b[2], g1, P), uint256_mulmod(b[3], g0, P)), unsafe_sub(P, a[3]), P
    )
    n1 = unsafe_sub(P, h1)
    q0 = uint256_mulmod(unsafe_add(h0, h1), unsafe_add(h0, n1), P)
    q1 = uint256_mulmod(unsafe_add(h0, h0), h1, P)
    g0 = unsafe_add(uint256_mulmod(q0, h0, P), uint256_mulmod(q1, n1, P))
    g1 = unsafe_add(uint256_mulmod(q0, h1, P), uint256_mulmod(q1, h0, P))
    v0: uint256 = unsafe_add(uint256_mulmod(a[0], q0, P), uint256_mulmod(a[1], unsafe_sub(P, q1), P))
    v1: uint256 = unsafe_add(uint256_mulmod(a[0], q1, P), uint256_mulmod(a[1], q0, P))
    # -G.re
    g0 = unsafe_sub(P2, g0)
    x0: uint256 = uint256_addmod(
        unsafe_add(uint256_mulmod(unsafe_add(r0, r1), unsafe_add(r0, unsafe_sub(P, r1)), P), g0),
        unsafe_mul(2, unsafe_sub(P2, v0)),
        P,
    )
    x1: uint256 = uint256_addmod(
        unsafe_add(uint256_mulmod(unsafe_add(r0, r0), r1, P), unsafe_sub(P2, g1)),
        unsafe_mul(2, unsafe_sub(P2, v1)),
        P,
    )
    v0 = unsafe_add(v0, unsafe_sub(P, x0))
    return [
        x0,
        x1,
        uint256_addmod(
            unsafe_add(
                uint256_mulmod(r0, v0, P), uint256_mulmod(r1, unsafe_add(x1, unsafe_sub(P2, v1)), P)
            ),
            unsafe_add(uint256_mulmod(a[2], g0, P), uint256_mulmod(a[3], g1, P)),
            P,
        ),
        uint256_addmod(
            unsafe_add(
                uint256_mulmod(r0, unsafe_add(v1, unsafe_sub(P, x1)), P), uint256_mulmod(r1, v0, P)
            ),
            unsafe_add(uint256_mulmod(a[2], unsafe_sub(P2, g1), P), uint256_mulmod(a[3], g0, P)),
            P,
        ),
        uint256_addmod(uint256_mulmod(z0, h0, P), uint256_mulmod(z1, n1, P), P),
        uint256_addmod(uint256_mulmod(z0, h1, P), uint256_mulmod(z1, h0, P), P),
    ]
