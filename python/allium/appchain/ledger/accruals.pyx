# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The hot loop of the ledger: every contributor of every node is credited in every block, exactly.

Accounts and nodes are numbers here; `ledger` gives them names. A share, `amount * rest // total`, costs no division:
with `factor = min(2**64 - 1, amount * 2**64 // total)`, `rest * factor >> 64` is it or one too little, because
`rest < 2**64`; `rest * amount - guess * total` is then below `2 * total < 2**64`, so 64 bits of it tell which.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

cdef extern from *:
    """
    typedef unsigned __int128 allium_u128;
    """
    ctypedef unsigned long long u128 "allium_u128"

ctypedef uint64_t u64

cdef u64 PORTIONS = 18446744073709551612U

cdef struct Balance:
    u64 low
    u64 high

cdef struct Share:
    u64 amount
    u64 factor
    size_t account

cdef struct Node:
    u64 total
    u64 portions
    size_t first
    size_t count


cdef inline u64 high(u128 value) noexcept nogil:
    return <u64>(value >> 64)


cdef inline void credit(Balance* balance, u64 milli) noexcept nogil:
    balance.low += milli
    balance.high += balance.low < milli


cdef inline u64 fee_of(u64 portions, u64 income) noexcept nogil:
    """portions * income // (2**64 - 4), by 2**64 = PORTIONS + 4."""
    cdef u128 product = <u128>portions * income
    cdef u64 quotient = high(product)
    cdef u128 rest = <u128><u64>product + <u128>4 * quotient
    while rest >= PORTIONS:
        rest -= PORTIONS
        quotient += 1
    return quotient


cdef void pay_node(Balance* balances, const Node* node, const Share* shares, u64 income) noexcept nogil:
    cdef u64 fee = fee_of(node.portions, income) if node.portions else 0
    cdef u64 rest = income - fee
    cdef u64 total = node.total
    cdef u64 part
    cdef const Share* share = shares + node.first
    cdef const Share* end = share + node.count
    credit(&balances[share.account], fee)
    while share < end:
        part = high(<u128>rest * share.factor)
        part += rest * share.amount - part * total >= total
        credit(&balances[share.account], part)
        share += 1


cdef void* grown(void* block, size_t size) except NULL:
    cdef void* bigger = PyMem_Realloc(block, size)
    if bigger == NULL:
        raise MemoryError
    return bigger


cdef class Accruals:
    """Balances of accounts and the shares that are paid. See `model.Accruals`, which this equals in every answer."""

    cdef Balance* _balances
    cdef Share* _shares
    cdef Node* _nodes
    cdef size_t _accounts, _account_room, _share_count, _share_room, _node_count, _node_room

    def __dealloc__(self):
        PyMem_Free(self._balances)
        PyMem_Free(self._shares)
        PyMem_Free(self._nodes)

    @property
    def accounts(self):
        """How many accounts there are."""
        return self._accounts

    @property
    def nodes(self):
        """How many nodes are paid."""
        return self._node_count

    def open(self):
        """A new account with nothing in it; its number is the next one."""
        if self._accounts == self._account_room:
            room = max(64, 2 * self._account_room)
            self._balances = <Balance*>grown(self._balances, room * sizeof(Balance))
            self._account_room = room
        memset(&self._balances[self._accounts], 0, sizeof(Balance))
        self._accounts += 1
        return self._accounts - 1

    def enrol(self, accounts, amounts, portions):
        """Pays a node from now on, after those that are paid already.

        Raises `ValueError` for shares that cannot be paid exactly: none, none of an account, a total of 2**63 or more.
        """
        cdef size_t count = len(accounts)
        if count == 0 or count != <size_t>len(amounts):
            raise ValueError("a node has one or more accounts, and an amount for each")
        if not all(0 <= account < self._accounts for account in accounts):
            raise ValueError("there is no such account")
        total = sum(amounts)
        if not 0 < total < 1 << 63 or min(amounts) < 0 or not 0 <= portions <= PORTIONS:
            raise ValueError("amounts must be positive and add up to less than 2**63, portions be at most 100 %")
        if self._share_count + count > self._share_room:
            room = max(64, 2 * self._share_room, self._share_count + count)
            self._shares = <Share*>grown(self._shares, room * sizeof(Share))
            self._share_room = room
        if self._node_count == self._node_room:
            room = max(16, 2 * self._node_room)
            self._nodes = <Node*>grown(self._nodes, room * sizeof(Node))
            self._node_room = room
        cdef Node* node = &self._nodes[self._node_count]
        node.total, node.portions, node.first, node.count = total, portions, self._share_count, count
        for account, amount in zip(accounts, amounts):
            factor = min((1 << 64) - 1, (amount << 64) // total)
            self._shares[self._share_count] = Share(amount, factor, account)
            self._share_count += 1
        self._node_count += 1

    def expel(self, size_t index):
        """Pays a node no longer; those after it move down by one."""
        if index >= self._node_count:
            raise IndexError("there is no such node")
        cdef size_t first = self._nodes[index].first, count = self._nodes[index].count, later
        memmove(&self._shares[first], &self._shares[first + count],
                (self._share_count - first - count) * sizeof(Share))
        memmove(&self._nodes[index], &self._nodes[index + 1], (self._node_count - index - 1) * sizeof(Node))
        self._share_count -= count
        self._node_count -= 1
        for later in range(index, self._node_count):
            self._nodes[later].first -= count

    def pay(self, u64 reward):
        """Pays `reward` milli-atomic units for one block, equally to all nodes; what each node got."""
        cdef size_t node
        cdef u64 income
        if self._node_count == 0:
            return 0
        income = reward // self._node_count
        with nogil:
            for node in range(self._node_count):
                pay_node(self._balances, &self._nodes[node], self._shares, income)
        return income

    def credit(self, size_t account, milli):
        """Adds to one balance, once."""
        if account >= self._accounts:
            raise IndexError("there is no such account")
        cdef Balance* balance = &self._balances[account]
        total = (int(balance.high) << 64 | int(balance.low)) + milli
        if milli < 0 or total >> 128:
            raise OverflowError("a balance has at most 128 bits")
        balance.low, balance.high = total & 0xFFFFFFFFFFFFFFFF, total >> 64

    def balance(self, size_t account):
        """What an account has accrued."""
        if account >= self._accounts:
            raise IndexError("there is no such account")
        return int(self._balances[account].high) << 64 | int(self._balances[account].low)

    def copy(self):
        """An equal one that goes its own way."""
        cdef Accruals twin = Accruals.__new__(Accruals)
        if self._accounts:
            twin._balances = <Balance*>grown(NULL, self._accounts * sizeof(Balance))
            memcpy(twin._balances, self._balances, self._accounts * sizeof(Balance))
        if self._share_count:
            twin._shares = <Share*>grown(NULL, self._share_count * sizeof(Share))
            memcpy(twin._shares, self._shares, self._share_count * sizeof(Share))
        if self._node_count:
            twin._nodes = <Node*>grown(NULL, self._node_count * sizeof(Node))
            memcpy(twin._nodes, self._nodes, self._node_count * sizeof(Node))
        twin._accounts = twin._account_room = self._accounts
        twin._share_count = twin._share_room = self._share_count
        twin._node_count = twin._node_room = self._node_count
        return twin

    def balances(self, order):
        """The balances of the accounts in `order`, 16 bytes each, big-endian."""
        cdef size_t account, place = 0, byte
        cdef bytearray out = bytearray(16 * len(order))
        cdef unsigned char* cursor = out
        for account in order:
            if account >= self._accounts:
                raise IndexError("there is no such account")
            for byte in range(8):
                cursor[place + byte] = <unsigned char>(self._balances[account].high >> (56 - 8 * byte))
                cursor[place + 8 + byte] = <unsigned char>(self._balances[account].low >> (56 - 8 * byte))
            place += 16
        return bytes(out)
