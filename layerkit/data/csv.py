"""CSV with a header: columns of numbers, and of texts as categories; whole in memory, or read by the row."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from layerkit.data.files import broken, read_text
from layerkit.data.records import Column, Records
from layerkit.errors import DataError, did_you_mean
from layerkit.ir import Array
from layerkit.records import dataclass

MISSING = ("", "na", "nan", "null", "none", "?")


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    ``columns`` are float32 or int32/int64 arrays; a column of texts holds numbers into ``categories[name]``. A missing
    number is nan, a missing text is -1; ``missing`` counts them.
    """

    columns: dict[str, Array]
    categories: dict[str, tuple[str, ...]]
    missing: dict[str, int]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def features(self, exclude: Sequence[str] = ()) -> Array:
        """All columns but some, side by side: (rows, columns) float32.

        Raises:
            DataError: a name that is no column.
        """
        for name in exclude:
            if name not in self.columns:
                raise DataError(f"there is no column '{name}'.", got=name, fix=did_you_mean(name, self.columns))
        return np.stack([c.astype("float32") for n, c in self.columns.items() if n not in exclude], axis=1)


def read_csv(path: str | Path, delimiter: str = ",", decimal: str = ".") -> Table:
    """The table in a CSV file whose first row names the columns.

    Args:
        path: the file.
        delimiter: what separates the fields.
        decimal: what stands before the fraction of a number, a point or a comma.

    Raises:
        FileFormatError: a row with another number of fields, a name that stands twice, no rows; it says the line.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        header = _names(path, next(reader, []))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise broken(
                    path,
                    "the row has another number of fields.",
                    reader.line_num,
                    expected=f"{len(header)} as in the header",
                    got=len(row),
                )
            rows.append([field.strip() for field in row])
    except csv.Error as error:
        raise broken(
            path, "the row cannot be read.", reader.line_num, got=str(error), fix="check the quotes"
        ) from error
    if not rows:
        raise broken(path, "the file has no rows.", 1, expected="rows below the header", got="none")
    columns: dict[str, Array] = {}
    categories: dict[str, tuple[str, ...]] = {}
    missing: dict[str, int] = {}
    for name, fields in zip(header, zip(*rows, strict=True), strict=True):
        missing[name] = sum(f.lower() in MISSING for f in fields)
        numbers = _numbers(_with_point(fields, decimal))
        if numbers is None:
            known = tuple(sorted({f for f in fields if f.lower() not in MISSING}))
            index = {f: i for i, f in enumerate(known)}
            columns[name], categories[name] = np.array([index.get(f, -1) for f in fields], "int32"), known
        else:
            columns[name] = numbers
    return Table(columns, categories, missing)


def read_header(path: Path, delimiter: str = ",") -> list[str]:
    """The names of the columns; no row is read.

    Raises:
        FileFormatError: there are none, a name stands twice, or the file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            head = stream.readline(MAX_HEADER)
            head += stream.read(max(0, MAX_RECORD - len(head)))  # a name in quotes may go on in the next line
    except (OSError, EOFError, zlib.error) as error:
        raise broken(path, "the file cannot be read.", got=str(error), fix="check the path") from error
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # what is read may end inside a letter
    except UnicodeDecodeError as error:
        got = f"byte 0x{head[error.start]:02x}"
        raise broken(
            path, "the file is no UTF-8 text.", 1, expected="UTF-8", got=got, fix="save it as UTF-8"
        ) from error
    try:
        return _names(path, next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))
    except csv.Error as error:
        raise broken(path, "the header cannot be read.", 1, got=str(error), fix="check the quotes") from error


def _names(path: str | Path, fields: Sequence[str]) -> list[str]:
    """The names in a header."""
    header = [name.strip() for name in fields]
    twice = next((name for name, count in Counter(header).items() if count > 1), None)
    if not header or twice is not None:
        if not header:
            raise broken(path, "the file is empty.", 1, expected="a header, and rows below it", got="nothing")
        raise broken(path, "the header names a column twice.", 1, expected="names that differ", got=twice)
    other = next((c for c in ";\t|" if len(header) == 1 and c in header[0]), None)
    if other is not None:
        fix = f"say what separates them: csv: {{path: {Path(path).name}, delimiter: {json.dumps(other)}}}"
        raise broken(path, "the header is one name.", 1, expected="names with a separator between them", got=header[0][:60], fix=fix)  # fmt: skip
    return header


_COMMA = re.compile(r"([+-]?)(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d+))?")


def _with_point(fields: Sequence[str], decimal: str) -> Sequence[str]:
    """Fields whose numbers have a decimal point: ``1.234,5`` becomes ``1234.5`` where ``decimal`` is a comma."""
    if decimal == ".":
        return fields
    found = ((field, _COMMA.fullmatch(field.strip())) for field in fields)
    return [f"{m[1]}{m[2].replace('.', '')}{f'.{m[3]}' if m[3] else ''}" if m else field for field, m in found]


def _numbers(fields: Sequence[str]) -> Array | None:
    """A column of numbers, or None where it holds texts."""
    present = [f for f in fields if f.lower() not in MISSING]
    try:
        whole = [int(f) for f in present]
        if len(present) == len(fields) and all(abs(n) < 2**63 for n in whole):
            return np.array(whole, "int32" if all(abs(n) < 2**31 for n in whole) else "int64")
    except ValueError:
        pass
    try:
        return (
            np.array([float("nan") if f.lower() in MISSING else float(f) for f in fields], "float32")
            if present
            else None
        )
    except ValueError:
        return None


# Files larger than memory ---------------------------------------------------------------------------------------------

MAX_RECORD = 1 << 20  # bytes of a row: more is a quote that never ends
MAX_HEADER = 16 << 20  # bytes of the names of the columns, where nothing but they are read
MAX_CATEGORIES = 100_000
_CHUNK = 4096  # rows looked at together


class CsvRecords(Records):
    """The rows of a CSV file that stays on disk.

    One pass finds where each row begins (8 bytes of memory a row) and what each column holds; rows are then read from their
    places. Columns of texts keep up to ``MAX_CATEGORIES`` different ones.

    Args:
        path: an uncompressed file whose first row names the columns.
        delimiter: what separates the fields.
        decimal: what stands before the fraction of a number, a point or a comma.

    Raises:
        FileFormatError: as ``read_csv``.
    """

    block = 1024

    def __init__(self, path: str | Path, delimiter: str = ",", decimal: str = ".") -> None:
        self.path, self.delimiter, self.decimal = Path(path), delimiter, decimal
        self.places = array("q")
        with self._opened() as stream:
            lines = _records(self.path, stream)
            _, first = next(lines, (0, b""))
            self.names = _names(path, next(iter(self._parse([first], 1)), []))
            self._seen = {name: _Seen() for name in self.names}
            for chunk in _chunks(lines, self.places):
                rows = self._rows(chunk, len(self.places) - len(chunk) + 2)
                for seen, fields in zip(self._seen.values(), zip(*rows, strict=True), strict=True):
                    seen.look(_with_point(fields, decimal))
            self.places.append(stream.tell())
        self.count = len(self.places) - 1
        if not self.count:
            raise broken(path, "the file has no rows.", 1, expected="rows below the header", got="none")
        self._index = self._categories([name for name, seen in self._seen.items() if seen.is_text])
        self.columns = {name: seen.column(tuple(self._index.get(name, ()))) for name, seen in self._seen.items()}

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        order = np.argsort(rows, kind="stable")
        ordered = np.asarray(rows)[order]
        pieces: dict[str, list[Array]] = {name: [self._values(name, ())] for name in names}
        for fields in self._fields(ordered, names):
            for name, found in zip(names, fields, strict=True):
                pieces[name].append(self._values(name, found))
        result = {}
        for name, parts in pieces.items():
            values = np.concatenate(parts)
            result[name] = np.empty_like(values)
            result[name][order] = values
        return result

    def _fields(self, rows: Array, names: Sequence[str]) -> Iterator[list[Sequence[str]]]:
        """The texts of some columns, a few thousand of the rows (in rising order) at a time."""
        place = {name: i for i, name in enumerate(self.names)}
        position = [place[name] for name in names]
        with self._opened() as stream:
            for start in range(0, len(rows), _CHUNK):
                part = rows[start : start + _CHUNK]
                texts: list[list[str]] = []
                for run in np.split(part, np.flatnonzero(np.diff(part) != 1) + 1):
                    cut = self.places[int(run[0]) : int(run[-1]) + 2]
                    stream.seek(cut[0])
                    data = stream.read(cut[-1] - cut[0])
                    records = [data[a - cut[0] : b - cut[0]] for a, b in zip(cut, cut[1:], strict=False)]
                    texts += self._rows(records, int(run[0]) + 2)
                columns = list(zip(*texts, strict=True))
                yield [columns[i] for i in position]

    def _categories(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """The different texts of some columns, in the order in which they sort, with their numbers."""
        found: dict[str, set[str]] = {name: set() for name in names}
        for fields in self._fields(np.arange(self.count), names) if names else ():
            for name, texts in zip(names, fields, strict=True):
                found[name].update(text for text in map(str.strip, set(texts)) if text.lower() not in MISSING)
                if len(found[name]) > MAX_CATEGORIES:
                    raise broken(self.path, f"column '{name}' has too many different texts.", expected=f"at most {MAX_CATEGORIES} in a file that is not read whole", got="more")  # fmt: skip
        return {name: {text: i for i, text in enumerate(sorted(texts))} for name, texts in found.items()}

    def _values(self, name: str, fields: Sequence[str]) -> Array:
        seen = self._seen[name]
        if seen.is_text:
            return np.array([self._index[name].get(f.strip(), -1) for f in fields], "int32")
        fields = _with_point(fields, self.decimal)
        if seen.is_whole:
            return np.array([int(f) for f in fields], "int64" if seen.is_wide else "int32")
        return np.array(_floats(fields), "float32")

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise broken(self.path, "the file cannot be read.", got=error.strerror, fix="check the path") from error

    def _rows(self, records: list[bytes], line: int) -> list[list[str]]:
        rows = self._parse(records, line)
        odd = next((i for i, row in enumerate(rows) if len(row) != len(self.names)), None)
        if odd is not None:
            raise broken(self.path, "the row has another number of fields.", line + odd,
                         expected=f"{len(self.names)} as in the header", got=len(rows[odd]))  # fmt: skip
        return rows

    def _parse(self, records: list[bytes], line: int) -> list[list[str]]:
        try:
            texts = [record.decode("utf-8-sig" if line == 1 else "utf-8") for record in records]
            rows = [row for row in csv.reader(texts, delimiter=self.delimiter, strict=True) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise broken(self.path, "a row cannot be read.", line, got=str(error), fix="check the quotes, and that the file is UTF-8") from error  # fmt: skip
        if len(rows) != len(records):
            raise broken(
                self.path, "a quote inside a field is not doubled.", line, expected='""', got=f"near row {line}"
            )
        return rows


def _records(path: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each row begins, and its bytes; a row goes on while a quote is open. Empty lines are passed over."""
    place, held, is_open = 0, bytearray(), False
    for line in iter(lambda: stream.readline(MAX_RECORD), b""):
        held += line
        is_open ^= line.count(b'"') % 2 == 1
        if is_open and len(held) < MAX_RECORD:
            continue
        if len(held) >= MAX_RECORD:
            raise broken(
                path, "a row is too long.", expected=f"at most {MAX_RECORD} bytes", got="more", fix="close the quote"
            )
        if held.strip():
            yield place, bytes(held)
        place, held = place + len(held), bytearray()
    if held.strip():
        raise broken(path, "the last row ends inside a quote.", expected='"', got="the end of the file")


def _chunks(lines: Iterable[tuple[int, bytes]], places: array[int]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for place, record in lines:
        places.append(place)
        chunk.append(record)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _floats(fields: Sequence[str]) -> list[float]:
    """Numbers, nan where one is missing; a ValueError for a text."""
    try:
        return [float(f) for f in fields]
    except ValueError:
        return [float("nan") if f.strip().lower() in MISSING else float(f) for f in fields]


@dataclass
class _Seen:
    """What the fields of a column were so far."""

    is_whole: bool = True
    is_wide: bool = False
    """A whole number needs 64 bits."""
    is_number: bool = True
    missing: int = 0
    present: bool = False

    def look(self, fields: Sequence[str]) -> None:
        """Look at some more fields."""
        if self.is_whole:
            try:
                largest = max((abs(int(f)) for f in fields), default=0)
                self.is_whole, self.is_wide = largest < 2**63, self.is_wide or largest >= 2**31
            except ValueError:
                self.is_whole = False
        missing = 0
        if self.is_number and not self.is_whole:
            try:
                missing = int(np.isnan(_floats(fields)).sum())
            except ValueError:
                self.is_number = False
        if not self.is_number:
            missing = sum(f.strip().lower() in MISSING for f in fields)
        self.missing += missing
        self.present = self.present or missing < len(fields)

    @property
    def is_text(self) -> bool:
        """Whether it holds texts, or nothing at all."""
        return not (self.is_number and self.present)

    def column(self, categories: tuple[str, ...]) -> Column:
        """What the column holds, now that all of it was seen."""
        if self.is_text:
            return Column("category", categories=categories, missing=self.missing)
        return Column("whole" if self.is_whole else "number", missing=self.missing)
