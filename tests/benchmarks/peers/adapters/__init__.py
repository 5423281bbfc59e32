"""One file a framework. peers.adapters.NAME has a class Adapter, described in base.py."""
