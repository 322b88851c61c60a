"""Nanonis controllers through ``nanonis-spm``."""
