"""The built-in policies, one idea a file; found by name through ``make_policy``."""
