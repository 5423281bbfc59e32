"""The peers run in environments of their own: nothing here is for pytest."""

collect_ignore = ["peers"]
