"""What was certified, of which code, signed: an in-toto Statement in a DSSE envelope, by an Ed25519 key."""
