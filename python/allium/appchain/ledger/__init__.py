"""The rewards ledger: what everybody has earned, exact to a thousandth of an atomic SESH."""
