"""Data from files: readers, splits, preparation, batches read ahead.

``open_data`` is the way in: a source (``SOURCES``: CSV, NPZ, IDX, ``.ts``, Parquet, folders of images, what ships) opens as
``Records``, a ``Split`` parts their rows, a ``Preparation`` fitted on the rows to train on makes inputs and targets of
their columns, and what is larger than memory comes in ``RowBatches``. Nothing that a file declares is believed before it is
checked against the bytes that are there.
"""

from layerkit.data.batches import RowBatches
from layerkit.data.csv import CsvRecords, Table, read_csv
from layerkit.data.dataset import DataSet, faults, open_data, targets_of_head, tensors
from layerkit.data.idx import read_idx
from layerkit.data.images import ImageRecords
from layerkit.data.npz import read_npz
from layerkit.data.options import DataOptions
from layerkit.data.parquet import ParquetRecords
from layerkit.data.preparation import Preparation, Tensor
from layerkit.data.records import ArrayRecords, Column, Records
from layerkit.data.sources import CSV, IDX, NPZ, SOURCES, TS, Images, Parquet, Shipped, guess
from layerkit.data.splits import Split
from layerkit.data.ts import Series, read_ts
from layerkit.data.windows import Window, Windows
from layerkit.data.words import Words

__all__ = [
    "CSV",
    "IDX",
    "NPZ",
    "SOURCES",
    "TS",
    "ArrayRecords",
    "Column",
    "CsvRecords",
    "DataOptions",
    "DataSet",
    "ImageRecords",
    "Images",
    "Parquet",
    "ParquetRecords",
    "Preparation",
    "Records",
    "RowBatches",
    "Series",
    "Shipped",
    "Split",
    "Table",
    "Tensor",
    "Window",
    "Windows",
    "Words",
    "faults",
    "guess",
    "open_data",
    "read_csv",
    "read_idx",
    "read_npz",
    "read_ts",
    "targets_of_head",
    "tensors",
]
