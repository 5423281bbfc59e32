"""Architecture search over specs with holes.

Planned, not built yet: the package is here so that its name and its place in the layering are settled.
"""
