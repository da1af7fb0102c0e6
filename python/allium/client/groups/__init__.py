"""Groups and communities without their network: keys, subaccounts, messages, notices, blinding (`spec/groups`)."""
