"""Real controllers. Each is imported when it is first named."""
