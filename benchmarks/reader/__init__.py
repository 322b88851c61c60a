"""Training and score of the structure reader that is shipped."""
