# pragma version ~=0.4.3
"""
@title A switch of the owner's that stops some functions, with OpenZeppelin 5's events and errors
@license Apache-2.0 OR MIT
"""

from . import owned

uses: owned


event Paused:
    account: address


event Unpaused:
    account: address


paused: public(bool)


@internal
@view
def _when_not_paused():
    if self.paused:
        raw_revert(method_id("EnforcedPause()"))


@external
def pause():
    owned._only_owner()
    self._when_not_paused()
    self.paused = True
    log Paused(account=msg.sender)


@external
def unpause():
    owned._only_owner()
    if not self.paused:
        raw_revert(method_id("ExpectedPause()"))
    self.paused = False
    log Unpaused(account=msg.sender)
