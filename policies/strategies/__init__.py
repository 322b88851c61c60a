"""The built-in policies, one idea a file. Found by name through ``make_policy``."""
