"""Convolutions on register tiles, channels last: images are copied into a frame of zeros, windows become runs of a sum.

In a framed image one row of a window is contiguous, so a sum runs over the rows of the window, and over its columns times
channels at once; one channel is as fast as many. Output positions find their rows through a table of offsets, so tiles
span rows of small images. The gradient by the input is again a convolution, of the cotangent with the kernel turned
round; with strides it falls into one for each phase of the stride, each with its own part of the kernel. Volumes are
sums over planes: each plane of the operand is framed and added to the planes of the result that it meets.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property, lru_cache
from itertools import product as every
from math import gcd, prod

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.tiles import gemm
from layerkit.engines.llvm.tiles.epilogue import Epilogue
from layerkit.engines.llvm.tiles.gemm import Terms
from layerkit.records import dataclass

MOST_FRAME = 1 << 20  # bytes of stack for framed images
MOST_TOGETHER = 8  # images whose products are summed before the sums leave their registers


@dataclass(frozen=True)
class Frame:
    """An image with zeros around it.

    Attributes:
        sizes: (height, width) of the image.
        before, after: zeros added on each axis.
        channels: numbers in a pixel.
    """

    sizes: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    channels: int

    @cached_property
    def framed(self) -> tuple[int, int]:
        """(height, width) with the frame."""
        h, w = (n + a + b for n, a, b in zip(self.sizes, self.before, self.after, strict=True))
        return h, w

    @property
    def is_bare(self) -> bool:
        """Whether there is no frame."""
        return not any((*self.before, *self.after))

    @cached_property
    def row(self) -> int:
        """Elements of a framed row."""
        return self.framed[1] * self.channels

    @property
    def size(self) -> int:
        """Elements of the framed image."""
        return self.framed[0] * self.row


@dataclass(frozen=True)
class Part:
    """One product: every output position with one set of taps.

    Attributes:
        left: offset in the framed image of the first element that each output position meets.
        cells: offset in the output image of each position.
        taps: (rows, columns) of the window.
        steps: elements from one row, one column of the window to the next.
        run: elements side by side at a tap.
        panels: offset of the panels of this part.
        columns: output channels.
    """

    left: tuple[int, ...]
    cells: tuple[int, ...]
    taps: tuple[int, int]
    steps: tuple[int, int]
    run: int
    panels: int
    columns: int

    @property
    def depth(self) -> int:
        """Terms of a sum."""
        return self.taps[0] * self.taps[1] * self.run

    @property
    def terms(self) -> Terms:
        """The sum; columns that lie side by side are one run."""
        (rows, columns), (step_row, step_column) = self.taps, self.steps
        if step_column == self.run:
            return Terms(columns * self.run, 1, 0, rows, step_row)
        return Terms(self.run, columns, step_column, rows, step_row)


@dataclass(frozen=True)
class Volume:
    """How planes of volumes meet: images are volumes of one plane.

    Attributes:
        operands, results, taps: planes of the operand, of the result, and of the window.
        meets: (plane of the operand, plane of the result, plane of the window).
    """

    operands: int = 1
    results: int = 1
    taps: int = 1
    meets: tuple[tuple[int, int, int], ...] = ((0, 0, 0),)


IMAGE = Volume()


@dataclass(frozen=True)
class Product:
    """A convolution, or its gradient by the input, as products: every plane of an operand, framed, with all parts.

    Attributes:
        parts: those of the first group.
        groups: how many groups there are, alike.
        steps: elements from one group to the next, of an operand and of a result.
        group_panels: elements of a group's panels.
        plane: elements of a plane of the result.
    """

    frame: Frame
    parts: tuple[Part, ...]
    groups: int
    steps: tuple[int, int]
    group_panels: int
    plane: int
    volume: Volume = IMAGE


def write(
    module: Module, target: Target, element: str, product: Product, names: tuple[str, ...], epilogue: Epilogue | None = None
) -> str:  # fmt: skip
    """``(x, panels, y, sizes..., begin, end)``: the product for images begin..end; panels [planes of the window][groups].

    The tensors of an ``epilogue``, for images of one group, come in the place of ``y``.
    """
    key = ("conv", element, product, names, epilogue)
    return module.once(key, lambda: _write(module, target, element, product, names, epilogue))


def _write(
    module: Module, target: Target, element: str, product: Product, names: tuple[str, ...], epilogue: Epilogue | None
) -> str:
    tensors = [Reg("%y", "ptr")] if epilogue is None else epilogue.parameters
    x, panels, y = Reg("%x", "ptr"), Reg("%panels", "ptr"), tensors[-1]
    f = module.kernel([x, panels, *tensors], names)
    volume, adds = product.volume, product.volume != IMAGE
    if adds:  # planes of the window are added one after the other
        size = volume.results * product.plane
        begin, end = (f.mul(Reg(n, INT), size) for n in ("%begin", "%end"))
        clear(f, target, element, f.at(y, begin, element), f.sub(end, begin))
    tables = [(module.table(p.left), module.table(p.cells)) for p in product.parts]
    with images(f, target, element, product.frame, x, volume) as (place, window, image):
        own = f.at(panels, f.mul(window, product.groups * product.group_panels), element)
        result = f.at(y, f.mul(place, product.plane), element)
        tail = None
        if epilogue is not None:
            tail = epilogue, epilogue.moved(f, tensors, f.mul(place, product.plane // epilogue.result.stride), 0)
        with f.loop(0, product.groups) as group:
            a, c = (
                f.at(p, f.mul(group.index, n), element) for p, n in zip((image, result), product.steps, strict=True)
            )
            b = f.at(own, f.mul(group.index, product.group_panels), element)
            for part, table in zip(product.parts, tables, strict=True):
                shape = gemm.tile(target, element, part.columns)
                gemm.tiles(
                    f, module, shape, element, "n", rows=len(part.left), columns=part.columns, a=a,
                    b=f.at(b, part.panels, element), c=c, lda=0, ldb=shape.width, ldc=0, panel=part.depth * shape.width,
                    terms=part.terms, tables=table, add=adds, tail=tail,
                )  # fmt: skip
    return module.add(f, "conv")


def clear(f: Function, target: Target, element: str, at: Reg, count: Index) -> None:
    """Set neighbours to 0."""
    lanes = target.lanes(gemm.WIDTH[element])
    with f.loop(0, count, lanes) as loop:
        f.store(zero(vector(element, lanes)), f.at(at, loop.index, element), f.mask(f.sub(count, loop.index), lanes))


class images:
    """The loop over images begin..end and their planes; inside: (plane of the result, of the window, the framed plane).

    Images without planes can be taken ``most`` at a time, framed one after the other: ``count`` says how many there are.
    """

    def __init__(
        self, f: Function, target: Target, element: str, frame: Frame, x: Reg, volume: Volume = IMAGE, most: int = 1
    ) -> None:
        self.f, self.element, self.frame, self.x, self.volume, self.most = f, element, frame, x, volume, most
        self.count: Index = 1
        self.lanes = target.lanes(gemm.WIDTH[element])
        if not frame.is_bare:
            self.memory = f.emit(f"alloca {element}, i64 {most * frame.size + self.lanes}, align 64", "ptr")
            kind = vector(element, self.lanes)
            with f.loop(0, most * frame.size, self.lanes) as loop:
                f.store(zero(kind), f.at(self.memory, loop.index, element))
        self._loops = ExitStack()

    def __enter__(self) -> tuple[Index, Index, Reg]:
        f, frame, volume = self.f, self.frame, self.volume
        end = Reg("%end", INT)
        number = self._loops.enter_context(f.loop(Reg("%begin", INT), end, self.most)).index
        if self.most > 1:
            self.count = f.min(f.sub(end, number), self.most)
        operand: Index = number
        result: Index = number
        window: Index = 0
        if volume != IMAGE:
            tables = [f.module.table([m[k] for m in volume.meets]) for k in range(3)]
            meet = self._loops.enter_context(f.loop(0, len(volume.meets))).index
            own = [f.load(f.at(t, meet, INT), INT) for t in tables]
            operand, result = (
                f.add(f.mul(number, n), p) for n, p in zip((volume.operands, volume.results), own, strict=False)
            )
            window = own[2]
        source = f.at(self.x, f.mul(operand, prod(frame.sizes) * frame.channels), self.element)
        if frame.is_bare:
            return result, window, source
        width = frame.sizes[1] * frame.channels
        corner = frame.before[0] * frame.row + frame.before[1] * frame.channels
        with f.loop(0, self.count) as image, f.loop(0, frame.sizes[0]) as row:
            left = f.add(f.mul(image.index, frame.sizes[0] * width), f.mul(row.index, width))
            to = f.add(f.add(f.mul(image.index, frame.size), f.mul(row.index, frame.row)), corner)
            copy(
                f,
                self.element,
                self.lanes,
                f.at(source, left, self.element),
                f.at(self.memory, to, self.element),
                width,
            )
        return result, window, self.memory

    def __exit__(self, *error: object) -> None:
        self._loops.close()


def copy(f: Function, element: str, lanes: int, source: Reg, to: Reg, count: int) -> None:
    """Copy a known number of elements."""
    kind = vector(element, lanes)
    whole = count // lanes * lanes
    with f.loop(0, whole, lanes) as loop:
        f.store(f.load(f.at(source, loop.index, element), kind), f.at(to, loop.index, element))
    if count > whole:
        mask = f.mask(count - whole, lanes)
        f.store(f.load(f.at(source, whole, element), kind, mask), f.at(to, whole, element), mask)


@dataclass(frozen=True)
class Geometry:
    """A convolution over (height, width): everything that does not depend on the batch."""

    sizes: tuple[int, int]
    out: tuple[int, int]
    window: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    channels: int
    filters: int
    groups: int

    @property
    def per_group(self) -> int:
        """Channels that a filter reads."""
        return self.channels // self.groups

    def frame(self) -> Frame:
        """The input as all windows meet it."""
        reach = [
            (n - 1) * s + (k - 1) * d + 1
            for n, s, k, d in zip(self.out, self.strides, self.window, self.dilation, strict=True)
        ]
        after = [max(0, r - n - b) for r, n, b in zip(reach, self.sizes, self.before, strict=True)]
        return Frame(self.sizes, self.before, (after[0], after[1]), self.channels)

    @lru_cache(maxsize=64)  # noqa: B019 - a geometry is a value
    def forward(self, width: int, volume: Volume = IMAGE) -> Product:
        """The product of the convolution itself; panels are ``width`` wide."""
        frame, (sh, sw), (dh, dw) = self.frame(), self.strides, self.dilation
        columns = self.filters // self.groups
        positions = [(i, j) for i in range(self.out[0]) for j in range(self.out[1])]
        depth = prod(self.window) * self.per_group
        part = Part(
            tuple(i * sh * frame.row + j * sw * self.channels for i, j in positions),
            tuple((i * self.out[1] + j) * self.filters for i, j in positions),
            self.window, (dh * frame.row, dw * self.channels), self.per_group, 0, columns,
        )  # fmt: skip
        size = -(-columns // width) * width * depth
        plane = prod(self.out) * self.filters
        return Product(frame, (part,), self.groups, (self.per_group, columns), size, plane, volume)

    def phases(self) -> list[tuple[tuple[int, int], tuple[list[int], list[int]]]]:
        """(first position, window rows and columns that reach it) for each phase of the strides, in order of the cotangent.

        Position i of the input meets window element u at output (i + before - u * dilation) / stride, where that is whole.
        """
        found = []
        for a in range(min(self.strides[0], self.sizes[0])):
            for b in range(min(self.strides[1], self.sizes[1])):
                rows, columns = (
                    [
                        u
                        for u in reversed(range(self.window[x]))
                        if (at + self.before[x] - u * self.dilation[x]) % self.strides[x] == 0
                    ]
                    for x, at in enumerate((a, b))
                )
                found.append(((a, b), (rows, columns)))
        return found

    @lru_cache(maxsize=64)  # noqa: B019
    def cotangent_frame(self) -> Frame:
        """The cotangent with as many zeros around as the gradient by the input reads."""
        before, after = [0, 0], [0, 0]
        for x in (0, 1):
            for u in range(self.window[x]):
                for i in range(self.sizes[x]):
                    o = i + self.before[x] - u * self.dilation[x]
                    if o % self.strides[x] == 0:
                        o //= self.strides[x]
                        before[x], after[x] = max(before[x], -o), max(after[x], o - self.out[x] + 1)
        return Frame(self.out, (before[0], before[1]), (after[0], after[1]), self.filters)

    @lru_cache(maxsize=64)  # noqa: B019
    def backward(self, width: int, volume: Volume = IMAGE) -> tuple[Product, list[tuple[list[int], list[int]]]]:
        """The product of the gradient by the input, and the (rows, columns) of the window that its parts are made of."""
        frame = self.cotangent_frame()
        columns, run = self.per_group, self.filters // self.groups
        # from one element of a phase's window to the next, the output moves by dilation / gcd(dilation, stride)
        step = [d // gcd(d, s) for d, s in zip(self.dilation, self.strides, strict=True)]
        steps = (step[0] * frame.row, step[1] * self.filters)
        parts, packs, offset = [], [], 0
        for (a, b), (rows, cols) in self.phases():
            left, cells = [], []
            for i, j in every(range(a, self.sizes[0], self.strides[0]), range(b, self.sizes[1], self.strides[1])):
                cells.append((i * self.sizes[1] + j) * self.channels)
                o = q = 0
                if rows and cols:
                    o = (i + self.before[0] - rows[0] * self.dilation[0]) // self.strides[0] + frame.before[0]
                    q = (j + self.before[1] - cols[0] * self.dilation[1]) // self.strides[1] + frame.before[1]
                left.append(o * frame.row + q * self.filters)
            parts.append(Part(tuple(left), tuple(cells), (len(rows), len(cols)), steps, run, offset, columns))
            packs.append((rows, cols))
            offset += len(rows) * len(cols) * run * -(-columns // width) * width
        plane = prod(self.sizes) * self.channels
        return Product(frame, tuple(parts), self.groups, (run, columns), offset, plane, volume), packs


def kernel_grad(
    module: Module, target: Target, element: str, shape: Geometry, frame: Frame, names: tuple[str, ...],
    volume: Volume = IMAGE,
) -> str:  # fmt: skip
    """``(x, g, dw, sizes..., begin, end)``: dw [window, channels / groups, filters], summed over images begin..end."""
    key = ("conv_kernel_grad", element, shape, frame, names, volume)
    return module.once(key, lambda: _write_kernel_grad(module, target, element, shape, frame, names, volume))


def _rows_at_once(target: Target, element: str, shape: Geometry) -> int:
    """Rows of the output in a block: a panel of their cotangents stays in the first cache while all tiles pass over it."""
    width = gemm.tile(target, element, shape.filters // shape.groups).width
    return max(1, min(shape.out[0], target.l1 // 2 // (shape.out[1] * width * gemm.WIDTH[element])))


def together(target: Target, element: str, shape: Geometry, frame: Frame, volume: Volume = IMAGE) -> int:
    """How many images the gradient by the kernel takes at once: each pass over a large kernel should have many terms."""
    if volume != IMAGE or _rows_at_once(target, element, shape) < shape.out[0]:
        return 1
    count = prod(shape.window) * shape.per_group * shape.filters
    moved = frame.size + prod(shape.out) * shape.filters
    most = min(MOST_TOGETHER, target.l2 // (moved * gemm.WIDTH[element]))
    return max(1, most) if count * gemm.WIDTH[element] > target.l1 else 1


def _write_kernel_grad(
    module: Module, target: Target, element: str, shape: Geometry, frame: Frame, names: tuple[str, ...], volume: Volume
) -> str:
    x, g, dw = Reg("%x", "ptr"), Reg("%g", "ptr"), Reg("%dw", "ptr")
    f = module.kernel([x, g, dw], names)
    (oh, ow), (sh, sw), (dh, dw_) = shape.out, shape.strides, shape.dilation
    columns = shape.filters // shape.groups
    tile = gemm.tile(target, element, columns)
    count = prod(shape.window) * shape.per_group * shape.filters
    clear(f, target, element, dw, volume.taps * count)
    merged = dw_ == 1 and shape.groups == 1
    height = shape.window[1] * shape.channels if merged else shape.per_group
    block = _rows_at_once(target, element, shape)
    most = together(target, element, shape, frame, volume)
    batch = images(f, target, element, frame, x, volume, most)
    with batch as (place, window, image):
        cotangent = f.at(g, f.mul(place, oh * ow * shape.filters), element)
        own = f.at(dw, f.mul(window, count), element)

        def add(start: Index, deep: int) -> None:
            """Add what ``deep`` rows of the output give."""
            whole = sw * shape.channels * ow == sh * frame.row
            run, inner = (deep * ow, 1) if whole else (ow, deep)
            terms = Terms(run, inner, sh * frame.row, batch.count, frame.size)
            with (
                f.loop(0, shape.groups) as group,
                f.loop(0, shape.window[0]) as r,
                f.loop(0, 1 if merged else shape.window[1]) as s,
            ):
                left = f.add(f.mul(r.index, dh * frame.row), f.mul(group.index, shape.per_group))
                left = f.add(f.add(left, f.mul(s.index, dw_ * shape.channels)), f.mul(start, sh * frame.row))
                cell = f.add(f.mul(r.index, shape.window[1]), s.index)
                cell = f.add(f.mul(cell, shape.per_group * shape.filters), f.mul(group.index, columns))
                right = f.add(f.mul(group.index, columns), f.mul(start, ow * shape.filters))
                gemm.tiles(
                    f, module, tile, element, "t", rows=height, columns=columns, a=f.at(image, left, element),
                    b=f.at(cotangent, right, element), c=f.at(own, cell, element), lda=sw * shape.channels,
                    ldb=shape.filters, ldc=shape.filters, panel=tile.width, terms=terms, add=True,
                )  # fmt: skip

        with f.loop(0, oh // block) as turn:
            add(f.mul(turn.index, block), block)
        if oh % block:
            add(oh - oh % block, oh % block)
    return module.add(f, "conv_kernel_grad")
