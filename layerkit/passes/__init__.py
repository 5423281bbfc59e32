"""Rewrites of graphs that keep their meaning."""

from layerkit.passes.base import Pass, rewrite
from layerkit.passes.pipeline import DEFAULT, PASSES, Pipeline

__all__ = ["DEFAULT", "PASSES", "Pass", "Pipeline", "rewrite"]
