"""Ops that work on each element alone: two tables, and ``where`` and ``cast``.

Operands broadcast by NumPy's rule and have one dtype; the public functions promote (``layerkit.dtypes``). Functions such
as ``exp`` turn integers into float32. Where a function has a kink the gradient is the one of Keras on JAX: ``relu`` and
``abs`` have 0 at 0, ``maximum`` and ``minimum`` share it equally between equal operands. Division by zero, logarithms of
what is not positive and overflow follow IEEE 754: inf and nan, no error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError, DTypeError
from layerkit.ir import Array, BadCase, Case, Op, TensorType, Value, broadcast_shapes, nondifferentiable
from layerkit.ops.core import Tensor, apply, dtype_of, operand, operands
from layerkit.ops.reduction import sum_to
from layerkit.records import dataclass

# One operand ---------------------------------------------------------------------------------------------------------


# Coefficients of the error function: W. J. Cody 1969, rational Chebyshev approximations, Math. Comp. 23.
ERF_SMALL = (
    3.16112374387056560e00, 1.13864154151050156e02, 3.77485237685302021e02, 3.20937758913846947e03, 1.85777706184603153e-1,
)  # fmt: skip
ERF_SMALL_Q = (2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
ERF_MIDDLE = (
    5.64188496988670089e-1, 8.88314979438837594e00, 6.61191906371416295e01, 2.98635138197400131e02, 8.81952221241769090e02,
    1.71204761263407058e03, 2.05107837782607147e03, 1.23033935479799725e03, 2.15311535474403846e-8,
)  # fmt: skip
ERF_MIDDLE_Q = (
    1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
    3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03,
)  # fmt: skip


def _erf(x: Array) -> Array:
    """Error function to double precision."""
    z = x.astype("float64")
    y = np.abs(z)
    t = np.where(y <= 0.46875, y * y, 0.0)
    near = z * np.polyval((ERF_SMALL[4], *ERF_SMALL[:4]), t) / np.polyval((1.0, *ERF_SMALL_Q), t)
    t = np.clip(y, 0.46875, 6.0)  # beyond 6 the result rounds to 1
    ratio = np.polyval((ERF_MIDDLE[8], *ERF_MIDDLE[:8]), t) / np.polyval((1.0, *ERF_MIDDLE_Q), t)
    # the published middle range ends at 4; up to 6 its tail is below 2e-8 and its relative error is not seen
    far = np.copysign(1.0 - np.exp(-t * t) * ratio, z)
    return np.where(np.isnan(z), z, np.where(y <= 0.46875, near, far)).astype(x.dtype)


# First guess of the inverse error function: M. Giles 2010, "Approximating the erfinv function", GPU Computing Gems.
ERFINV_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
ERFINV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip
ERFINV_STEPS = 3  # of Halley's method: from any guess above to double precision


def _erfinv(x: Array) -> Array:
    """Inverse of the error function to double precision."""
    z = x.astype("float64")
    w = -np.log1p(-z * z)
    y = z * np.where(w < 5, np.polyval(ERFINV_CENTRE, w - 2.5), np.polyval(ERFINV_TAIL, np.sqrt(w) - 3.0))
    for _ in range(ERFINV_STEPS):
        step = (_erf(y) - z) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        y = y - step / (1 + y * step)
    return np.where(np.abs(z) == 1, np.copysign(np.inf, z), y).astype(x.dtype)


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


@dataclass(frozen=True)
class UnaryRule:
    """A row of the table: meaning, gradient, the kind of dtype it takes, where it is smooth."""

    numpy: Callable[[Array], Any]
    vjp: Callable[[Any, Any, Any], Any] | None  # (g, out, x) -> cotangent of x; None: piecewise constant
    takes: str = "float"  # "float", "number", "whole" (or bool), "bool"
    gives: str = "same"  # "same", "bool"
    domain: tuple[float, float] = (-2.0, 2.0)


UNARY: dict[str, UnaryRule] = {
    "negative": UnaryRule(np.negative, lambda g, out, x: -g, "number"),
    "abs": UnaryRule(np.abs, lambda g, out, x: g * sign(x), "number", domain=(0.1, 2.0)),
    "sign": UnaryRule(np.sign, None, "number", domain=(0.1, 2.0)),
    "floor": UnaryRule(np.floor, None, domain=(0.1, 0.9)),
    "ceil": UnaryRule(np.ceil, None, domain=(0.1, 0.9)),
    "round": UnaryRule(np.rint, None, domain=(0.6, 1.4)),
    "exp": UnaryRule(np.exp, lambda g, out, x: g * out),
    "expm1": UnaryRule(np.expm1, lambda g, out, x: g * (out + 1.0)),
    "log": UnaryRule(np.log, lambda g, out, x: g / x, domain=(0.2, 3.0)),
    "log1p": UnaryRule(np.log1p, lambda g, out, x: g / (x + 1.0), domain=(-0.8, 3.0)),
    "sqrt": UnaryRule(np.sqrt, lambda g, out, x: g * 0.5 / out, domain=(0.2, 3.0)),
    "rsqrt": UnaryRule(lambda x: 1 / np.sqrt(x), lambda g, out, x: g * -0.5 * out / x, domain=(0.2, 3.0)),
    "sin": UnaryRule(np.sin, lambda g, out, x: g * cos(x)),
    "cos": UnaryRule(np.cos, lambda g, out, x: -g * sin(x)),
    "tan": UnaryRule(np.tan, lambda g, out, x: g * (out * out + 1.0), domain=(-1.0, 1.0)),
    "tanh": UnaryRule(np.tanh, lambda g, out, x: g * (1.0 - out * out)),
    "sigmoid": UnaryRule(_sigmoid, lambda g, out, x: g * out * (1.0 - out)),
    "relu": UnaryRule(
        lambda x: np.maximum(x, 0), lambda g, out, x: where(out > 0.0, g, 0.0), "number", domain=(0.1, 2.0)
    ),
    "erf": UnaryRule(_erf, lambda g, out, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x)),
    "erfinv": UnaryRule(_erfinv, lambda g, out, x: g * (math.sqrt(math.pi) / 2) * exp(out * out), domain=(-0.9, 0.9)),
    "bitwise_not": UnaryRule(np.invert, None, "whole"),
    "logical_not": UnaryRule(np.logical_not, None, "bool"),
    "isnan": UnaryRule(np.isnan, None, "float", "bool"),
    "isinf": UnaryRule(np.isinf, None, "float", "bool"),
    "isfinite": UnaryRule(np.isfinite, None, "float", "bool"),
}


def _check_dtype(word: str, takes: str, dtype: str) -> None:
    kinds = {
        "float": dtypes.is_floating(dtype),
        "number": dtype != "bool",
        "whole": not dtypes.is_floating(dtype),
        "bool": dtype == "bool",
        "any": True,
    }
    if dtype in dtypes.STORAGE:
        raise DTypeError(
            f"'{word}' does not compute in {dtype}.", expected="float32 or float64", got=dtype, fix="cast to float32"
        )
    if not kinds[takes]:
        expected = {"float": "a float dtype", "number": "a number", "whole": "whole numbers", "bool": "bool"}
        raise DTypeError(
            f"'{word}' does not take {dtype}.", expected=expected[takes], got=dtype, fix="ops.cast it first"
        )


@dataclass(frozen=True)
class Unary(Op):
    """A function of each element; ``UNARY`` is the list."""

    name = "unary"
    presets = {word: {"function": word} for word in UNARY}
    function: str

    @property
    def word(self) -> str:
        return self.function

    def infer(self, x: TensorType) -> TensorType:
        rule = UNARY[self.function]
        _check_dtype(self.function, rule.takes, x.dtype)
        return x.with_dtype("bool") if rule.gives == "bool" else x

    def reference(self, x: Array) -> Array:
        return np.asarray(UNARY[self.function].numpy(x))

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        rule = UNARY[self.function].vjp
        return (rule(g, out, x) if rule else None,)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for word, rule in UNARY.items():
            smooth = rule.vjp is not None
            kinds = {"bool": {0: "bool"}, "whole": {0: "int32"}}.get(rule.takes)
            whole = {0: (-9, 9)} if rule.takes == "whole" else None
            yield Case(cls(word), ((2, 3),), rule.domain, integers=whole, differentiable=smooth, dtypes=kinds)
            if word in ("abs", "sign", "relu"):
                yield Case(cls(word), ((3,),), domain=(-2.0, -0.1), differentiable=smooth, label="negative")

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("exp"), (TensorType("int32", (3,)),), DTypeError, "a float dtype")
        yield BadCase(cls("negative"), (TensorType("bool", (3,)),), DTypeError, "a number")
        yield BadCase(cls("logical_not"), (TensorType("float32", (3,)),), DTypeError, "bool")
        yield BadCase(cls("exp"), (TensorType("bfloat16", (3,)),), DTypeError, "float32 or float64")


# Two operands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BinaryRule:
    """A row of the table: meaning, gradients of both operands, dtypes, a domain where it is smooth."""

    numpy: Callable[[Array, Array], Any]
    vjp: Callable[[Any, Any, Any, Any], tuple[Any, Any]] | None  # (g, out, x, y)
    takes: str = "number"
    gives: str = "same"
    domain: tuple[float, float] = (-2.0, 2.0)
    distinct: bool = False


def _share(chosen: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any, Any], tuple[Any, Any]]:
    """The gradient of a choice between two: to the chosen one, half to each when they are equal."""

    def vjp(g: Any, out: Any, x: Any, y: Any) -> tuple[Any, Any]:
        half = where(equal(x, y), g * 0.5, 0.0)
        return where(chosen(x, y), g, half), where(chosen(y, x), g, half)

    return vjp


def _power_vjp(g: Any, out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    slope = where(equal(y, 0.0), 0.0, y * power(x, where(equal(y, 0.0), 1.0, y - 1.0)))
    return g * slope, g * out * log(where(x > 0.0, x, 1.0))


BINARY: dict[str, BinaryRule] = {
    "add": BinaryRule(np.add, lambda g, out, x, y: (g, g)),
    "subtract": BinaryRule(np.subtract, lambda g, out, x, y: (g, -g)),
    "multiply": BinaryRule(np.multiply, lambda g, out, x, y: (g * y, g * x)),
    "divide": BinaryRule(np.divide, lambda g, out, x, y: (g / y, -g * out / y), "float", domain=(0.5, 2.0)),
    "power": BinaryRule(np.power, _power_vjp, "float", domain=(0.5, 2.0)),
    "maximum": BinaryRule(np.maximum, _share(lambda x, y: x > y), distinct=True),
    "minimum": BinaryRule(np.minimum, _share(lambda x, y: x < y), distinct=True),
    "floor_divide": BinaryRule(np.floor_divide, None, domain=(0.5, 2.0)),
    "mod": BinaryRule(np.mod, lambda g, out, x, y: (g, -g * floor_divide(x, y)), domain=(0.5, 2.0)),
    "arctan2": BinaryRule(
        np.arctan2, lambda g, out, x, y: (g * y / (x * x + y * y), -g * x / (x * x + y * y)), "float", domain=(0.5, 2.0)
    ),
    "equal": BinaryRule(np.equal, None, "any", "bool"),
    "not_equal": BinaryRule(np.not_equal, None, "any", "bool"),
    "less": BinaryRule(np.less, None, "number", "bool"),
    "less_equal": BinaryRule(np.less_equal, None, "number", "bool"),
    "greater": BinaryRule(np.greater, None, "number", "bool"),
    "greater_equal": BinaryRule(np.greater_equal, None, "number", "bool"),
    "bitwise_and": BinaryRule(np.bitwise_and, None, "whole"),
    "bitwise_or": BinaryRule(np.bitwise_or, None, "whole"),
    "bitwise_xor": BinaryRule(np.bitwise_xor, None, "whole"),
    "left_shift": BinaryRule(np.left_shift, None, "whole"),
    "right_shift": BinaryRule(np.right_shift, None, "whole"),
    "logical_and": BinaryRule(np.logical_and, None, "bool", "bool"),
    "logical_or": BinaryRule(np.logical_or, None, "bool", "bool"),
    "logical_xor": BinaryRule(np.logical_xor, None, "bool", "bool"),
}


@dataclass(frozen=True)
class Binary(Op):
    """A function of two elements; ``BINARY`` is the list. Both operands have one dtype, their shapes broadcast."""

    name = "binary"
    presets = {word: {"function": word} for word in BINARY}
    function: str

    @property
    def word(self) -> str:
        return self.function

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        if x.dtype != y.dtype:
            raise DTypeError(
                f"'{self.function}' needs one dtype.", expected=x.dtype, got=y.dtype, fix="ops.cast one of them"
            )
        rule = BINARY[self.function]
        _check_dtype(self.function, rule.takes, x.dtype)
        shape = x.shape if x.shape == y.shape else broadcast_shapes(self.function, (x.shape, y.shape))
        dtype = "bool" if rule.gives == "bool" else x.dtype
        return x if (dtype, shape) == (x.dtype, x.shape) else TensorType(dtype, shape)

    def reference(self, x: Array, y: Array) -> Array:
        return np.asarray(BINARY[self.function].numpy(x, y))

    def vjp(self, g: Value, out: Value, x: Value, y: Value) -> tuple[Value | None, ...]:
        rule = BINARY[self.function].vjp
        if rule is None:
            return None, None
        gx, gy = rule(g, out, x, y)
        return sum_to(gx, x.shape), sum_to(gy, y.shape)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for word, rule in BINARY.items():
            kinds = {"bool": {0: "bool", 1: "bool"}, "whole": {0: "int32", 1: "int32"}}.get(rule.takes)
            whole = {0: (-9, 9), 1: (0, 40)} if rule.takes == "whole" else None
            for i, shapes in enumerate((((2, 3), (2, 3)), ((4, 1, 3), (2, 1)), ((3,), ()))):
                smooth = rule.vjp is not None
                # mod and the choices between two have kinks where equal operands meet: only drawn apart there
                if word == "mod" and i:
                    continue
                distinct = rule.distinct and i == 0
                yield Case(cls(word), shapes, rule.domain, distinct, whole, kinds, smooth)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        f32 = TensorType("float32", (2, 3))
        expected = "sizes that are equal or 1 on each axis, like (2, 3)"
        yield BadCase(cls("add"), (f32, TensorType("float32", (2,))), Exception, expected)
        yield BadCase(cls("add"), (f32, TensorType("float64", (2, 3))), DTypeError, "float32")
        yield BadCase(cls("divide"), (TensorType("int32", (2,)),) * 2, DTypeError, "a float dtype")
        yield BadCase(cls("logical_and"), (f32, f32), DTypeError, "bool")


# Where, cast, stop_gradient ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Where(Op):
    """``x`` where ``condition`` is true, else ``y``; the other one has no influence, not even as nan."""

    name = "where"
    moves = True

    def infer(self, condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
        if condition.dtype != "bool":
            raise DTypeError("'where' needs a condition.", expected="bool", got=condition.dtype, fix="compare: x > 0")
        if x.dtype != y.dtype:
            raise DTypeError("'where' needs one dtype.", expected=x.dtype, got=y.dtype, fix="ops.cast one of them")
        return x.with_shape(broadcast_shapes("where", (condition.shape, x.shape, y.shape)))

    def reference(self, condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)

    def vjp(self, g: Value, out: Value, condition: Value, x: Value, y: Value) -> tuple[Value | None, ...]:
        return None, sum_to(where(condition, g, 0.0), x.shape), sum_to(where(condition, 0.0, g), y.shape)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(), ((2, 3), (2, 3), (2, 3)), dtypes={0: "bool"})
        yield Case(cls(), ((2, 1), (3,), ()), dtypes={0: "bool"})

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls(), (TensorType("float32", (2,)),) * 3, DTypeError, "bool")


@dataclass(frozen=True)
class Cast(Op):
    """The same numbers in another dtype; floats become integers by dropping the fraction, numbers are true unless 0."""

    name = "cast"
    moves = True
    dtype: str

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def reference(self, x: Array) -> Array:
        return x.astype(dtypes.numpy_dtype(self.dtype))

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (cast(g, x.dtype) if dtypes.is_floating(self.dtype) and dtypes.is_floating(x.dtype) else None,)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls("float64"), ((2, 3),))
        for dtype in (*dtypes.INTEGERS, "bool", *dtypes.STORAGE):
            yield Case(cls(dtype), ((2, 3),), domain=(0.0, 200.0), differentiable=False)


@dataclass(frozen=True)
class View(Op):
    """The same bits as numbers of another dtype of the same width."""

    name = "view"
    moves = True
    dtype: str

    def infer(self, x: TensorType) -> TensorType:
        if dtypes.numpy_dtype(x.dtype).itemsize != dtypes.numpy_dtype(self.dtype).itemsize:
            raise DTypeError(
                "'view' keeps the width of numbers.", expected=f"a dtype as wide as {x.dtype}", got=self.dtype
            )
        if "bool" in (x.dtype, self.dtype):
            raise DTypeError(
                "'view' does not look into truth values.", expected="numbers", got="bool", fix="ops.cast it"
            )
        return x.with_dtype(self.dtype)

    def reference(self, x: Array) -> Array:
        return x.view(dtypes.numpy_dtype(self.dtype))

    vjp = nondifferentiable("bits are whole numbers")

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls("float32"), ((2, 3),), integers={0: (-(2**20), 2**20)}, differentiable=False)
        yield Case(cls("uint32"), ((2, 3),), dtypes={0: "float32"}, differentiable=False)
        yield Case(cls("int64"), ((),), dtypes={0: "float64"}, differentiable=False)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("int32"), (TensorType("float64", (3,)),), DTypeError, "a dtype as wide as float64")
        yield BadCase(cls("uint8"), (TensorType("bool", (3,)),), DTypeError, "numbers")


@dataclass(frozen=True)
class StopGradient(Op):
    """``x``, through which no gradient flows."""

    name = "stop_gradient"
    moves = True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Array) -> Array:
        return x

    vjp = nondifferentiable("that is what it is for")

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(), ((2, 3),), differentiable=False)


# Public functions ----------------------------------------------------------------------------------------------------


def where(condition: Tensor, x1: Tensor = None, x2: Tensor = None) -> Any:
    """``x1`` where ``condition`` is true, else ``x2``; without both the places where it is true, as ``nonzero`` gives them."""
    if x1 is None and x2 is None:
        from layerkit.ops.gathering import nonzero  # an op above this one, which needs its results

        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ArgumentError("'where' chooses between two.", expected="x1 and x2, or neither", got="one of them")
    return apply(Where(), operand(condition, "bool"), *operands(x1, x2))


def cast(x: Tensor, dtype: str) -> Any:
    """The same numbers in another dtype."""
    x, dtype = operand(x), dtypes.canonical(dtype)
    return x if dtype_of(x) == dtype else apply(Cast(dtype), x)


def view(x: Tensor, dtype: str | None = None) -> Any:
    """The same bits as numbers of another dtype of the same width; without ``dtype`` as they are.

    Example:
        >>> hex(view(np.float32(1.0), "int32"))
        '0x3f800000'
    """
    x = operand(x)
    dtype = dtype_of(x) if dtype is None else dtypes.canonical(dtype)
    return x if dtype_of(x) == dtype else apply(View(dtype), x)


def stop_gradient(variable: Tensor) -> Any:
    """``variable``, through which no gradient flows."""
    return apply(StopGradient(), operand(variable))


def _unary(word: str, doc: str) -> Callable[[Tensor], Any]:
    takes = UNARY[word].takes

    def function(x: Tensor) -> Any:
        x = operand(x, "bool") if takes == "bool" else operands(x, floating=takes == "float")[0]
        return apply(Unary(word), x)

    function.__name__ = function.__qualname__ = word
    function.__doc__ = doc
    return function


def _binary(word: str, doc: str) -> Callable[[Tensor, Tensor], Any]:
    takes = BINARY[word].takes

    def function(x1: Tensor, x2: Tensor) -> Any:
        x1, x2 = (
            (operand(x, "bool") for x in (x1, x2)) if takes == "bool" else operands(x1, x2, floating=takes == "float")
        )
        return apply(Binary(word), x1, x2)

    function.__name__ = function.__qualname__ = word
    function.__doc__ = doc
    return function


def power(x1: Tensor, x2: Tensor) -> Any:
    """x1 to the power of x2; of whole numbers whole, and 0 where x2 is negative.

    Example:
        >>> power(np.array([2, 3]), 4)
        array([16, 81])
    """
    x1, x2 = operands(x1, x2)
    if dtypes.is_floating(dtype_of(x1)):
        return apply(Binary("power"), x1, x2)
    x1, x2 = (operand(x, "int32") if dtype_of(x) == "bool" else x for x in (x1, x2))
    is_known = not isinstance(x2, Value)
    most = int(np.max(x2, initial=1)).bit_length() if is_known else 8 * dtypes.numpy_dtype(dtype_of(x2)).itemsize - 1
    result = where(less(x2, 0), operand(0, dtype_of(x1)), operand(1, dtype_of(x1)))
    for bit in range(most):  # squares of squares, multiplied where the exponent has a bit
        has_bit = not_equal(bitwise_and(right_shift(x2, operand(bit, dtype_of(x2))), operand(1, dtype_of(x2))), 0)
        result = where(has_bit, multiply(result, x1), result)
        x1 = multiply(x1, x1)
    return result


negative: Callable[[Tensor], Any] = _unary("negative", "-x.")


def abs(x: Tensor) -> Any:
    """Absolute value; that of a truth value is itself."""
    x = operand(x)
    return x if dtype_of(x) == "bool" else apply(Unary("abs"), x)


sign: Callable[[Tensor], Any] = _unary("sign", "-1, 0 or 1.")
floor: Callable[[Tensor], Any] = _unary("floor", "Largest whole number not above x.")
ceil: Callable[[Tensor], Any] = _unary("ceil", "Smallest whole number not below x.")
round_half_even: Callable[[Tensor], Any] = _unary("round", "Nearest whole number; halves to even.")
exp: Callable[[Tensor], Any] = _unary("exp", "e to the power of x.")
expm1: Callable[[Tensor], Any] = _unary("expm1", "exp(x) - 1, exact near 0.")
log: Callable[[Tensor], Any] = _unary("log", "Natural logarithm.")
log1p: Callable[[Tensor], Any] = _unary("log1p", "log(1 + x), exact near 0.")
sqrt: Callable[[Tensor], Any] = _unary("sqrt", "Square root.")
rsqrt: Callable[[Tensor], Any] = _unary("rsqrt", "1 / sqrt(x).")
sin: Callable[[Tensor], Any] = _unary("sin", "Sine of radians.")
cos: Callable[[Tensor], Any] = _unary("cos", "Cosine of radians.")
tan: Callable[[Tensor], Any] = _unary("tan", "Tangent of radians.")
tanh: Callable[[Tensor], Any] = _unary("tanh", "Hyperbolic tangent.")
sigmoid: Callable[[Tensor], Any] = _unary("sigmoid", "1 / (1 + exp(-x)).")
relu: Callable[[Tensor], Any] = _unary("relu", "max(x, 0), with gradient 0 at 0.")
erf: Callable[[Tensor], Any] = _unary("erf", "Error function.")
erfinv: Callable[[Tensor], Any] = _unary("erfinv", "Inverse of the error function.")
bitwise_not: Callable[[Tensor], Any] = _unary("bitwise_not", "Each bit turned.")
logical_not: Callable[[Tensor], Any] = _unary("logical_not", "Whether x is false.")
isnan: Callable[[Tensor], Any] = _unary("isnan", "Whether x is nan.")
isinf: Callable[[Tensor], Any] = _unary("isinf", "Whether x is inf or -inf.")
isfinite: Callable[[Tensor], Any] = _unary("isfinite", "Whether x is neither inf nor nan.")

add: Callable[[Tensor, Tensor], Any] = _binary("add", "x1 + x2.")
subtract: Callable[[Tensor, Tensor], Any] = _binary("subtract", "x1 - x2.")
multiply: Callable[[Tensor, Tensor], Any] = _binary("multiply", "x1 * x2.")
divide: Callable[[Tensor, Tensor], Any] = _binary("divide", "x1 / x2, floating.")
maximum: Callable[[Tensor, Tensor], Any] = _binary("maximum", "The larger; nan if either is.")
minimum: Callable[[Tensor, Tensor], Any] = _binary("minimum", "The smaller; nan if either is.")
floor_divide: Callable[[Tensor, Tensor], Any] = _binary("floor_divide", "Largest whole number not above x1 / x2.")
mod: Callable[[Tensor, Tensor], Any] = _binary("mod", "Remainder of floor_divide, with the sign of x2.")
arctan2: Callable[[Tensor, Tensor], Any] = _binary("arctan2", "Angle of the point (x2, x1), in radians.")
equal: Callable[[Tensor, Tensor], Any] = _binary("equal", "Whether x1 equals x2.")
not_equal: Callable[[Tensor, Tensor], Any] = _binary("not_equal", "Whether x1 differs from x2.")
less: Callable[[Tensor, Tensor], Any] = _binary("less", "Whether x1 < x2.")
less_equal: Callable[[Tensor, Tensor], Any] = _binary("less_equal", "Whether x1 <= x2.")
greater: Callable[[Tensor, Tensor], Any] = _binary("greater", "Whether x1 > x2.")
greater_equal: Callable[[Tensor, Tensor], Any] = _binary("greater_equal", "Whether x1 >= x2.")
bitwise_and: Callable[[Tensor, Tensor], Any] = _binary("bitwise_and", "Bits that both have.")
bitwise_or: Callable[[Tensor, Tensor], Any] = _binary("bitwise_or", "Bits that at least one has.")
bitwise_xor: Callable[[Tensor, Tensor], Any] = _binary("bitwise_xor", "Bits that exactly one has.")
left_shift: Callable[[Tensor, Tensor], Any] = _binary("left_shift", "Bits moved up by x2 places.")
right_shift: Callable[[Tensor, Tensor], Any] = _binary("right_shift", "Bits moved down by x2 places; the sign stays.")
logical_and: Callable[[Tensor, Tensor], Any] = _binary("logical_and", "Whether both are true.")
logical_or: Callable[[Tensor, Tensor], Any] = _binary("logical_or", "Whether at least one is true.")
logical_xor: Callable[[Tensor, Tensor], Any] = _binary("logical_xor", "Whether exactly one is true.")
