from . import archetypes, characterisation, descriptors, forc

__all__ = ["archetypes", "characterisation", "descriptors", "forc"]
