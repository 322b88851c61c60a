"""Campaigns: tasks x policies x films, run, stored, stopped when decided, and ranked."""
