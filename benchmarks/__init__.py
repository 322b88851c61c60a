"""Tasks, campaigns, leaderboard and report."""
