"""Convolutions with stride 1 in fewer multiplications: tiles of an image and the kernel are transformed, then multiplied.

A tile of m x m results needs n x n products instead of m x m x r x r (``toom.py``: 36 instead of 144 for a window of 3 x 3).
Each of the n x n positions of the transformed tiles is a product of its own, [tiles, channels] @ [channels, filters], on
the register tiles of ``gemm.py``. Tiles are taken a few rows of an image at a time, or several small images at once, so
that what is between the three steps stays in the second cache.

The gradient by the input is the same with the kernel turned round. The gradient by the kernel transforms images and
cotangents, sums the products of all tiles, and transforms the sum back.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.tiles import gemm, packing
from layerkit.engines.llvm.tiles.conv import Geometry, copy
from layerkit.engines.llvm.tiles.epilogue import Applied, Epilogue
from layerkit.engines.llvm.tiles.gemm import Terms
from layerkit.engines.llvm.tiles.toom import Matrix, Scheme, both, scheme, transposed
from layerkit.records import dataclass

FEWEST = 16  # channels and filters: with fewer, transforms cost more than products save
TILES = 16  # in a block, at least: each reads the whole kernel
MOST_SUMS = 1 << 22  # elements of the sums of a gradient by the kernel
STACK = 5 << 18  # bytes of transformed tiles and products in a block, at most


@dataclass(frozen=True)
class Tiling:
    """A convolution with stride 1, cut into tiles.

    Attributes:
        sizes, out: (height, width) of image and result.
        before: zeros above and to the left of the image.
        window: (height, width).
        channels, filters: numbers in a pixel of image and result.
        lanes: elements of a vector.
        most: elements of transformed tiles and products in a block.
    """

    sizes: tuple[int, int]
    out: tuple[int, int]
    before: tuple[int, int]
    window: tuple[int, int]
    channels: int
    filters: int
    lanes: int
    most: int

    @property
    def schemes(self) -> tuple[Scheme, Scheme]:
        """The transforms along height and width."""
        return scheme(self.window[0]), scheme(self.window[1])

    @property
    def products(self) -> int:
        """Positions of a transformed tile."""
        return prod(s.products for s in self.schemes)

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles in an image."""
        h, w = (-(-n // s.results) for n, s in zip(self.out, self.schemes, strict=True))
        return h, w

    @property
    def left(self) -> int:
        """Channels, rounded up to whole vectors."""
        return -(-self.channels // self.lanes) * self.lanes

    @property
    def right(self) -> int:
        """Filters, rounded up to whole vectors."""
        return -(-self.filters // self.lanes) * self.lanes

    @property
    def block(self) -> tuple[int, int]:
        """(images, rows of tiles) that are transformed before they are multiplied."""
        wanted = max(TILES, self.most // (self.products * (self.left + self.right)))
        rows, columns = self.tiles
        if rows * columns <= wanted:
            return max(1, wanted // (rows * columns)), rows
        blocks = -(-rows // max(1, wanted // columns))
        return 1, -(-rows // blocks)

    @property
    def count(self) -> int:
        """Tiles in a block, at most."""
        images, rows = self.block
        return images * rows * self.tiles[1]

    @property
    def planes(self) -> tuple[int, int]:
        """Elements from one position of transformed tiles, and of their products, to the next.

        An odd number of vectors: with a power of two all positions of a tile would share a few sets of the first cache.
        """
        left, right = ((self.count * n // self.lanes | 1) * self.lanes for n in (self.left, self.right))
        return left, right

    @property
    def band(self) -> tuple[int, int]:
        """(height, width) of the part of a framed image that a block of tiles meets."""
        h, w = self.schemes
        return self.block[1] * h.results + h.taps - 1, self.tiles[1] * w.results + w.taps - 1

    @property
    def saving(self) -> float:
        """Multiplications of the plain sum for one of these, in whole tiles."""
        return prod(self.out) * prod(self.window) / (prod(self.tiles) * self.products)


def tiling(target: Target, element: str, shape: Geometry, *, backward: bool = False) -> Tiling | None:
    """How a convolution (or its gradient by the input) is cut, or None where the plain way is better."""
    if element != "float" or shape.groups > 1 or (*shape.strides, *shape.dilation) != (1, 1, 1, 1):
        return None
    if any(k not in (1, 3, 4, 5) for k in shape.window) or shape.window == (1, 1):
        return None
    lanes = target.lanes(gemm.WIDTH[element])
    most = target.l2 // 2 // gemm.WIDTH[element]
    if backward:
        before = (shape.window[0] - 1 - shape.before[0], shape.window[1] - 1 - shape.before[1])
        found = Tiling(shape.out, shape.sizes, before, shape.window, shape.filters, shape.channels, lanes, most)
    else:
        found = Tiling(shape.sizes, shape.out, shape.before, shape.window, shape.channels, shape.filters, lanes, most)
    block = found.products * (found.left + found.right) * max(TILES, found.tiles[1]) * gemm.WIDTH[element]
    if min(shape.channels, shape.filters) < FEWEST or found.saving < 1.4 or block > STACK or min(found.before) < 0:
        return None
    return found


class _Writer:
    """Writes the parts of a kernel that works on tiles."""

    def __init__(self, module: Module, element: str, t: Tiling) -> None:
        self.module, self.element, self.t = module, element, t
        self.kind = vector(element, t.lanes)

    def vectors(self, f: Function, count: int, write: Callable[[Index, Reg | None], None]) -> None:
        """``write(offset, mask)`` for all vectors of ``count`` elements."""
        lanes = self.t.lanes
        with f.loop(0, count // lanes * lanes, lanes) as loop:
            write(loop.index, None)
        if count % lanes:
            write(count // lanes * lanes, f.mask(count % lanes, lanes))

    def clear(self, f: Function, at: Reg, count: int) -> None:
        """Write zeros."""
        self.vectors(f, count, lambda i, mask: f.store(zero(self.kind), f.at(at, i, self.element), mask))

    def memory(self, f: Function, count: int) -> Reg:
        """Elements on the stack."""
        return f.emit(f"alloca {self.element}, i64 {count}, align 64", "ptr")

    def transform(
        self, stem: str, rows: Matrix, columns: Matrix, count: int, source: tuple[int, int], to: tuple[int, int], *,
        valid: tuple[int, int] | None = None, written: tuple[int, int] | None = None, is_padded: bool = False,
        epilogue: Epilogue | None = None,
    ) -> str:  # fmt: skip
        """``(source, to)``: ``rows @ x @ columns.T`` for ``count`` matrices ``x`` that lie side by side.

        The tensors of an ``epilogue`` come in the place of ``to``.

        Args:
            stem: of the function's name.
            rows: transform of the first axis.
            columns: of the second.
            count: matrices.
            source: elements from one row, one column of ``x`` to the next.
            to: the same for the results.
            valid: rows and columns of ``x`` that are there; the others are 0.
            written: rows and columns of the result that are written.
            is_padded: whether there is room for the last result's whole vector.
            epilogue: what is done with the results.
        """
        tensors = [Reg("%to", "ptr")] if epilogue is None else epilogue.parameters
        f = self.module.function([Reg("%source", "ptr"), *tensors])
        high, wide = valid or (len(rows[0]), len(columns[0]))
        top, left = written or (len(rows), len(columns))

        def write(offset: Index, mask: Reg | None) -> None:
            here, there = (f.at(p, offset, self.element) for p in (Reg("%source", "ptr"), tensors[-1]))
            applied = None
            if epilogue is not None:
                applied = Applied(f, epilogue, epilogue.moved(f, tensors, 0, offset), self.t.lanes)

            def load(i: int, j: int) -> Reg:
                if i >= high or j >= wide:
                    return zero(self.kind)
                return f.load(f.at(here, i * source[0] + j * source[1], self.element), self.kind, mask)

            x = [[load(i, j) for j in range(len(columns[0]))] for i in range(len(rows[0]))]
            for i, line in enumerate(both(f, rows, columns, x)[:top]):
                for j, value in enumerate(line[:left]):
                    if applied is not None:
                        applied.put(value, (i * to[0] + j * to[1]) // to[1], 0, mask)
                        continue
                    f.store(value, f.at(there, i * to[0] + j * to[1], self.element), None if is_padded else mask)

        self.vectors(f, count, write)
        return self.module.add(f, stem)

    def blocks(self, f: Function, write: Callable[[Index, Index, Index, int], None]) -> None:
        """``write(image, images, row, rows)`` for all blocks of tiles of the images begin..end."""
        (images, rows), (height, _) = self.t.block, self.t.tiles
        end = Reg("%end", INT)
        with f.loop(Reg("%begin", INT), end, images) as i:
            count = f.min(images, f.sub(end, i.index)) if images > 1 else 1
            with f.loop(0, height // rows) as b:
                write(i.index, count, f.mul(b.index, rows), rows)
            if height % rows:
                write(i.index, count, height - height % rows, height % rows)

    def fill_band(self, f: Function, image: Reg, band: Reg, row: Index) -> None:
        """Copy the lines that tiles from ``row`` on meet; lines outside the image are zeros."""
        t, element = self.t, self.element
        width, step = t.sizes[1] * t.channels, t.band[1] * t.channels
        top = f.sub(f.mul(row, t.schemes[0].results), t.before[0])
        with f.loop(0, t.band[0]) as line:
            number = f.reg(f.add(line.index, top))
            to = f.at(band, f.add(f.mul(line.index, step), t.before[1] * t.channels), element)
            low, high = f.compare("sge", number, literal(0, INT)), f.compare("slt", number, literal(t.sizes[0], INT))
            inside = f.binary("and", low, high)
            with f.when(inside):
                copy(f, element, t.lanes, f.at(image, f.mul(number, width), element), to, width)
            with f.when(f.binary("xor", inside, literal(1, "i1"))):
                self.clear(f, to, width)

    def inputs(
        self, f: Function, x: Reg, band: Reg, to: Reg, image: Index, images: Index, row: Index, rows: int
    ) -> None:
        """Transform the images of a block: ``to`` is [position, tile, channel]."""
        t, element = self.t, self.element
        (sh, sw), step, far = t.schemes, t.band[1] * t.channels, t.planes[0]
        name = self.transform(
            "winograd.input",
            sh.inputs,
            sw.inputs,
            t.channels,
            (step, t.channels),
            (sw.products * far, far),
            is_padded=True,
        )
        with f.loop(0, images) as g:
            self.fill_band(f, f.at(x, f.mul(f.add(image, g.index), prod(t.sizes) * t.channels), element), band, row)
            with f.loop(0, rows) as i, f.loop(0, t.tiles[1]) as j:
                corner = f.add(f.mul(i.index, sh.results * step), f.mul(j.index, sw.results * t.channels))
                tile = f.add(f.mul(f.add(f.mul(g.index, rows), i.index), t.tiles[1]), j.index)
                f.run(name, [f.at(band, corner, element), f.at(to, f.mul(tile, t.left), element)])

    def results(
        self, f: Function, image: Index, images: Index, row: Index, rows: int,
        name: Callable[[int, int], str], call: Callable[[str, Index, Index], None],
    ) -> None:  # fmt: skip
        """``call(name(height, width), tile, pixel)`` for the tiles of results of a block; those at the end may be smaller."""
        t = self.t
        (sh, sw), (oh, ow), (th, tw) = t.schemes, t.out, t.tiles
        low, narrow = oh - (th - 1) * sh.results, ow - (tw - 1) * sw.results
        full = tw if narrow == sw.results else tw - 1

        def line(g: Index, i: Index, height: int) -> None:
            tile = f.mul(f.add(f.mul(g, rows), i), tw)
            pixel = f.mul(f.add(f.mul(f.add(image, g), oh), f.mul(f.add(row, i), sh.results)), ow)
            with f.loop(0, full) as j:
                call(name(height, sw.results), f.add(tile, j.index), f.add(pixel, f.mul(j.index, sw.results)))
            if full < tw:
                call(name(height, narrow), f.add(tile, full), f.add(pixel, full * sw.results))

        with f.loop(0, images) as g, f.loop(0, rows) as i:
            is_last = f.compare("eq", f.reg(f.add(row, i.index)), literal(th - 1, INT))
            with f.when(is_last):
                line(g.index, i.index, low)
            with f.when(f.binary("xor", is_last, literal(1, "i1"))):
                line(g.index, i.index, sh.results)


def convolution(
    module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...], epilogue: Epilogue | None = None
) -> str:
    """``(x, panels, y, sizes..., begin, end)`` for images begin..end; ``panels`` is what ``pack`` writes.

    The tensors of an ``epilogue`` come in the place of ``y``.
    """
    key = ("winograd", element, t, names, epilogue)
    return module.once(key, lambda: _convolution(module, target, element, t, names, epilogue))


def _convolution(
    module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...], epilogue: Epilogue | None
) -> str:
    w, tile = _Writer(module, element, t), gemm.tile(target, element, t.filters)
    tensors = [Reg("%y", "ptr")] if epilogue is None else epilogue.parameters
    x, panels = (Reg(f"%{name}", "ptr") for name in ("x", "panels"))
    f = module.kernel([x, panels, *tensors], names)
    band, left = w.memory(f, prod(t.band) * t.channels), w.memory(f, t.products * t.planes[0])
    made = w.memory(f, t.products * t.planes[1])
    w.clear(f, band, prod(t.band) * t.channels)
    (sh, sw), far = t.schemes, t.planes[1]
    size = tile.panels(t.filters) * t.channels * tile.width

    def name(height: int, width: int) -> str:
        """The transform of a tile of which so much lies inside the result."""
        steps = (t.out[1] * t.filters, t.filters)
        return w.transform(
            "winograd.output",
            sh.outputs,
            sw.outputs,
            t.filters,
            (sw.products * far, far),
            steps,
            written=(height, width),
            epilogue=epilogue,
        )

    def block(image: Index, images: Index, row: Index, rows: int) -> None:
        w.inputs(f, x, band, left, image, images, row, rows)
        with f.loop(0, t.products) as p:
            gemm.tiles(
                f, module, tile, element, "n", rows=f.mul(images, rows * t.tiles[1]), columns=t.filters,
                a=f.at(left, f.mul(p.index, t.planes[0]), element), b=f.at(panels, f.mul(p.index, size), element),
                c=f.at(made, f.mul(p.index, far), element), lda=t.left, ldb=tile.width, ldc=t.right,
                panel=t.channels * tile.width, terms=Terms(t.channels),
            )  # fmt: skip

        def call(function: str, tile: Index, pixel: Index) -> None:
            to = [f.at(tensors[0], f.mul(pixel, t.filters), element)]
            if epilogue is not None:
                to = epilogue.moved(f, tensors, pixel, 0)
            f.run(function, [f.at(made, f.mul(tile, t.right), element), *to])

        w.results(f, image, images, row, rows, name, call)

    w.blocks(f, block)
    return module.add(f, "winograd")


# The kernel ----------------------------------------------------------------------------------------------------------


def packed_size(target: Target, element: str, t: Tiling) -> int:
    """Elements of the transformed kernel."""
    tile = gemm.tile(target, element, t.filters)
    return t.products * tile.panels(t.filters) * t.channels * tile.width


def pack(module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...], *, turned: bool) -> str:
    """``(kernel, panels, sizes..., begin, end)``: the transformed kernel as panels [position][panel][channel][column].

    The kernel is [window, channels, filters] and units are channels; ``turned``, it is [window, filters, channels], the
    window is read from its end, and units are vectors of channels.
    """
    write = _pack_turned if turned else _pack
    return module.once(("winograd.pack", element, t, names, turned), lambda: write(module, target, element, t, names))


def _pack(module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...]) -> str:
    w, tile = _Writer(module, element, t), gemm.tile(target, element, t.filters)
    f = module.kernel([Reg("%kernel", "ptr"), Reg("%panels", "ptr")], names)
    (sh, sw), size = t.schemes, t.channels * t.filters
    panel = t.channels * tile.width
    far = tile.panels(t.filters) * panel
    with f.loop(Reg("%begin", INT), Reg("%end", INT)) as c:
        for p in range(tile.panels(t.filters)):
            columns = min(tile.width, t.filters - p * tile.width)
            name = w.transform(
                "winograd.kernel", sh.kernel, sw.kernel, columns, (t.window[1] * size, size), (sw.products * far, far),
                is_padded=True,
            )  # fmt: skip
            source = f.at(Reg("%kernel", "ptr"), f.add(f.mul(c.index, t.filters), p * tile.width), element)
            f.run(name, [source, f.at(Reg("%panels", "ptr"), f.add(f.mul(c.index, tile.width), p * panel), element)])
    return module.add(f, "winograd.pack")


def _pack_turned(module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...]) -> str:
    w, tile, lanes = _Writer(module, element, t), gemm.tile(target, element, t.filters), t.lanes
    kernel, panels = Reg("%kernel", "ptr"), Reg("%panels", "ptr")
    f = module.kernel([kernel, panels], names)
    # of squares of lanes x lanes: transformed with channels side by side, then turned in registers
    square = w.memory(f, t.products * lanes * lanes)
    (sh, sw), size, panel = t.schemes, t.channels * t.filters, t.channels * tile.width
    steps, far = (-t.window[1] * size, -size), tile.panels(t.filters) * panel
    last = (prod(t.window) - 1) * size

    def units(first: Index, count: int) -> None:
        """The vector of ``count`` channels from ``first`` on."""
        name = w.transform(
            "winograd.kernel",
            sh.kernel,
            sw.kernel,
            count,
            steps,
            (sw.products * lanes * lanes, lanes * lanes),
            is_padded=True,
        )
        for start in range(0, t.filters, lanes):
            rows = min(lanes, t.filters - start)
            with f.loop(0, rows) as row:
                source = f.add(f.add(f.mul(f.add(row.index, start), t.channels), first), last)
                f.run(name, [f.at(kernel, source, element), f.at(square, f.mul(row.index, lanes), element)])
            with f.loop(0, t.products) as p:
                place = f.at(square, f.mul(p.index, lanes * lanes), element)
                x = [
                    f.load(f.at(place, i * lanes, element), w.kind) if i < rows else zero(w.kind) for i in range(lanes)
                ]
                column = start // tile.width * panel + start % tile.width
                to = f.at(panels, f.add(f.add(f.mul(p.index, far), column), f.mul(first, tile.width)), element)
                for i, line in enumerate(packing.transpose(f, x)[:count]):
                    f.store(line, f.at(to, i * tile.width, element))

    full, rest = divmod(t.channels, lanes)
    with f.loop(Reg("%begin", INT), f.min(Reg("%end", INT), full)) as v:
        units(f.mul(v.index, lanes), lanes)
    if rest:
        with f.when(f.compare("sgt", Reg("%end", INT), literal(full, INT))):
            units(full * lanes, rest)
    return module.add(f, "winograd.pack")


# The gradient by the kernel ------------------------------------------------------------------------------------------


def kernel_grad(module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...]) -> str:
    """``(x, g, sums, dw, sizes..., begin, end)``: dw [window, channels, filters], summed over images begin..end.

    ``sums`` is memory to work in, of ``sums_size`` elements.
    """
    return module.once(
        ("winograd.kernel_grad", element, t, names), lambda: _kernel_grad(module, target, element, t, names)
    )


def sums_size(t: Tiling) -> int:
    """Elements of the transformed gradient by the kernel."""
    return t.products * t.channels * t.right


def _kernel_grad(module: Module, target: Target, element: str, t: Tiling, names: tuple[str, ...]) -> str:
    w, tile = _Writer(module, element, t), gemm.tile(target, element, t.filters)
    x, g, sums, dw = (Reg(f"%{name}", "ptr") for name in ("x", "g", "sums", "dw"))
    f = module.kernel([x, g, sums, dw], names)
    band, left = w.memory(f, prod(t.band) * t.channels), w.memory(f, t.products * t.planes[0])
    right = w.memory(f, t.products * t.planes[1])
    w.clear(f, band, prod(t.band) * t.channels)
    w.clear(f, sums, sums_size(t))
    (sh, sw), far, size = t.schemes, t.planes[1], t.channels * t.right

    def name(height: int, width: int) -> str:
        """The transform of a tile of cotangents of which so much is there."""
        steps = (t.out[1] * t.filters, t.filters)
        return w.transform(
            "winograd.cotangent", transposed(sh.outputs), transposed(sw.outputs), t.filters, steps,
            (sw.products * far, far), valid=(height, width), is_padded=True,
        )  # fmt: skip

    def block(image: Index, images: Index, row: Index, rows: int) -> None:
        w.inputs(f, x, band, left, image, images, row, rows)

        def call(function: str, tile: Index, pixel: Index) -> None:
            f.run(function, [f.at(g, f.mul(pixel, t.filters), element), f.at(right, f.mul(tile, t.right), element)])

        w.results(f, image, images, row, rows, name, call)
        with f.loop(0, t.products) as p:
            gemm.tiles(
                f, module, tile, element, "t", rows=t.channels, columns=t.filters,
                a=f.at(left, f.mul(p.index, t.planes[0]), element), b=f.at(right, f.mul(p.index, far), element),
                c=f.at(sums, f.mul(p.index, size), element), lda=t.left, ldb=t.right, ldc=t.right, panel=tile.width,
                terms=Terms(f.mul(images, rows * t.tiles[1])), add=True,
            )  # fmt: skip

    w.blocks(f, block)
    plane = t.channels * t.filters
    back = w.transform(
        "winograd.back", transposed(sh.kernel), transposed(sw.kernel), t.filters, (sw.products * size, size),
        (t.window[1] * plane, plane),
    )  # fmt: skip
    with f.loop(0, t.channels) as c:
        f.run(back, [f.at(sums, f.mul(c.index, t.right), element), f.at(dw, f.mul(c.index, t.filters), element)])
    return module.add(f, "winograd.kernel_grad")
