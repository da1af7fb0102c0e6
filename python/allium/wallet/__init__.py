"""What people send to the staking contracts: register, stake, claim, exit; and a new network's contracts."""

# Before any module here loads web3: it puts the limit of recursion back that web3 lifts.
import allium.staking  # noqa: F401
