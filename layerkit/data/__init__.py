"""Readers of data files: IDX (MNIST's format), ``.ts`` (time series), CSV and NPZ.

Each takes a path and returns arrays; a broken file is an error that says where it is broken. Nothing that a file declares
is believed before it is checked against the bytes that are there.
"""

from layerkit.data.csv import Table, read_csv
from layerkit.data.idx import read_idx
from layerkit.data.npz import read_npz
from layerkit.data.ts import Series, read_ts

__all__ = ["Series", "Table", "read_csv", "read_idx", "read_npz", "read_ts"]
