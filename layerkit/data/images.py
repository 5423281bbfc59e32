"""A folder of images, a sub-folder for each class, by Pillow (the extra ``data``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.data.files import broken
from layerkit.data.records import Column, Records
from layerkit.errors import DataError, MissingExtraError
from layerkit.ir import Array

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
MAX_PIXELS = 1 << 28  # of one image, before it is made smaller
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ImageRecords(Records):
    """Images with their classes: columns ``image`` (height, width, channels) float32 of 0 to 255, and ``label``.

    The classes are the names of the sub-folders, in the order in which they sort; hidden files and folders are passed over.

    Args:
        path: the folder, or one image.
        size: height and width to which images are resized (bilinear), one number for both; those of the first image unless
            given.
        channels: 1 grey, 3 colour, 4 colour with transparency.

    A folder of images without sub-folders has no ``label``: images to predict for.

    Raises:
        FileFormatError: no images, or one that cannot be read.
        MissingExtraError: Pillow is not installed.
    """

    def __init__(self, path: str | Path, size: tuple[int, ...] | None = None, channels: int = 3) -> None:
        self.path, self.channels = Path(path), channels
        try:
            is_one = self.path.is_file()
            folders = (
                [] if is_one else sorted(p for p in self.path.iterdir() if p.is_dir() and not p.name.startswith("."))
            )
            alone = [self.path] if is_one else _images(self.path)
        except OSError as error:
            raise broken(path, "the folder cannot be read.", got=error.strerror, fix="check the path") from error
        self.files: list[Path] = []
        labels: list[int] = []
        for number, folder in enumerate(folders):
            found = _images(folder)
            self.files += found
            labels += [number] * len(found)
        is_labelled = bool(self.files)
        self.files = self.files or alone
        if not self.files:
            raise broken(path, "the folder holds no images.", expected="a sub-folder of images for each class",
                         got=", ".join(p.name for p in folders[:5]) or "no sub-folders")  # fmt: skip
        self.labels = np.array(labels, "int32")
        self.count = len(self.files)
        self.size = tuple(size) * 2 if size and len(size) == 1 else size or self._size(self.files[0])
        self.columns = {"image": Column("array", (*self.size, channels))}
        if is_labelled:
            self.columns["label"] = Column("category", categories=tuple(p.name for p in folders))

    @property
    def names(self) -> list[str]:
        """The files, as they are called from the folder on."""
        folder = self.path.parent if self.path.is_file() else self.path
        return [str(file.relative_to(folder)) for file in self.files]

    def column(self, name: str) -> Column:
        if name == "label" and name not in self.columns:
            raise DataError("the images have no classes.", expected="a sub-folder of images for each class", got=f"images in '{self.path}' itself")  # fmt: skip
        return super().column(name)

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        if "label" in names:
            found["label"] = self.labels[rows]
        if "image" in names:
            found["image"] = np.empty((len(rows), *self.size, self.channels), "float32")
            for place, row in enumerate(rows):
                found["image"][place] = self._image(self.files[row], self.size)
        return found

    def _size(self, path: Path) -> tuple[int, int]:
        """Height and width of an image, of which the head alone is read."""
        with _opened(path) as image:
            return image.height, image.width

    def _image(self, path: Path, size: tuple[int, ...]) -> Array:
        with _opened(path) as image:
            image = image.convert(_MODES[self.channels])
            if (image.height, image.width) != size:
                image = image.resize((size[1], size[0]), _pillow().Resampling.BILINEAR)
            return np.asarray(image, "uint8").reshape(image.height, image.width, self.channels)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An image whose pixels are not read yet."""
    image_module = _pillow()
    try:
        with image_module.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise broken(
                    path, "the image is too large.", expected=f"at most {MAX_PIXELS} pixels", got=f"{image.size}"
                )
            yield image
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        if type(error).__module__.startswith("layerkit."):
            raise
        raise broken(path, "the image cannot be read.", expected="an image that Pillow reads", got=str(error)[:200]) from error  # fmt: skip


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("folders of images need Pillow.", expected="the extra 'data'", got=str(error),
                                fix='pip install "layerkit[data]"') from error  # fmt: skip
    return Image
