"""Real controllers; each is imported when it is first named."""
