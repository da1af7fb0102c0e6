"""What people send to the staking contracts: register, stake, claim, exit; and a new network's contracts."""
