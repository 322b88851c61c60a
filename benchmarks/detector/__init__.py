"""Training and score of the boundary detector that is shipped."""
