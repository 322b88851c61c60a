"""Asylum Research microscopes through their Igor."""
