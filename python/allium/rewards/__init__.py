"""What everybody has earned, exact to a thousandth of an atomic SESH. Pure, as `appchain` is."""
