"""Gradients of graphs, as graphs."""

from layerkit.autodiff.vjp import gradient, gradients

__all__ = ["gradient", "gradients"]
