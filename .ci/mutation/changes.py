"""Which changes a piece of code can take: pairs of a node and the text that replaces it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Change = tuple[ast.AST, str]

COMPARED: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
COMBINED: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "&",
}
OPPOSITES = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("floor", "ceil"),
    ("sin", "cos"),
    ("x", "y"),
    ("width", "height"),
    ("left", "right"),
    ("lower", "upper"),
    ("lstrip", "rstrip"),
    ("startswith", "endswith"),
    ("find", "rfind"),
    ("union", "intersection"),
    ("append", "extend"),
    ("zeros", "ones"),
]
OPPOSITE = {one: other for pair in OPPOSITES for one, other in (pair, pair[::-1])}
UNWRAPPED = {"abs", "sorted", "reversed", "round", "int", "set", "rint", "unique"}


SYMMETRIC = {
    "min",
    "max",
    "minimum",
    "maximum",
    "array_equal",
    "allclose",
    "isclose",
    "hypot",
    "gcd",
    "intersect1d",
    "union1d",
    "hbb_intersection",
    "quad_intersection",
}
"""Functions that do not care for the order of their arguments; of ours, a test holds that."""


def _text(node: ast.AST) -> str:
    return f"({ast.unparse(node)})"


def compare(node: ast.Compare) -> Iterator[Change]:
    """Move a bound or turn a comparison round."""
    if len(node.ops) == 1:
        left, right = _text(node.left), _text(node.comparators[0])
        for operator in COMPARED[type(node.ops[0])]:
            yield node, f"({left} {operator} {right})"


def boolean(node: ast.BoolOp) -> Iterator[Change]:
    """Swap ``and`` and ``or``, or leave an operand out."""
    operator = " or " if isinstance(node.op, ast.And) else " and "
    yield node, f"({operator.join(map(_text, node.values))})"
    kept = " and " if isinstance(node.op, ast.And) else " or "
    for left_out in range(len(node.values)):
        rest = [_text(value) for index, value in enumerate(node.values) if index != left_out]
        yield node, f"({kept.join(rest)})"


def condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
    """Negate a condition."""
    yield node.test, f"(not {_text(node.test)})"


def comprehension(node: ast.comprehension) -> Iterator[Change]:
    """Let through what a comprehension leaves out."""
    for test in node.ifs:
        yield test, "(True)"
        yield test, f"(not {_text(test)})"


def binary(node: ast.BinOp) -> Iterator[Change]:
    """Take the opposite operator, round up for down, or leave the second operand out."""
    left, right = _text(node.left), _text(node.right)
    operator = COMBINED.get(type(node.op))
    if operator is None:
        return
    yield node, f"({left} {operator} {right})"
    if isinstance(node.op, ast.FloorDiv):
        yield node, f"(-(-{left} // {right}))"
    yield node, left


def unary(node: ast.UnaryOp) -> Iterator[Change]:
    """Leave the sign or the negation out."""
    yield node, _text(node.operand)


def constant(node: ast.Constant) -> Iterator[Change]:
    """Move a number, turn a truth value round, or change a string."""
    value = node.value
    if isinstance(value, bool):
        yield node, f"({not value})"
    elif isinstance(value, int):
        yield node, f"({value + 1})"
        yield node, f"({value - 1})"
    elif isinstance(value, float):
        # A tolerance moves far enough to matter.
        factor = 1e6 if 0 < abs(value) < 1e-5 else 2.0
        yield node, f"({value * factor if value else 1.0!r})"
        yield node, f"({value / factor if value else -1.0!r})"
    elif isinstance(value, str):
        yield node, f"({'XX' + value!r})"


def call(node: ast.Call) -> Iterator[Change]:
    """Swap neighbouring arguments, leave a keyword out, or take the argument of a conversion as it is."""
    plain, called = (
        node.args,
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None),
    )
    for index in range(0 if called in SYMMETRIC else len(plain) - 1):
        if not any(isinstance(one, ast.Starred) for one in plain[index : index + 2]):
            swapped = [*plain[:index], plain[index + 1], plain[index], *plain[index + 2 :]]
            yield node, ast.unparse(ast.Call(node.func, swapped, node.keywords))
    for index, keyword in enumerate(node.keywords):
        if keyword.arg not in {None, "strict"}:
            rest = [*node.keywords[:index], *node.keywords[index + 1 :]]
            yield node, ast.unparse(ast.Call(node.func, node.args, rest))
    if called in UNWRAPPED and len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred):
        yield node, _text(node.args[0])


def name(node: ast.Name) -> Iterator[Change]:
    """Take the opposite function."""
    if node.id in {"min", "max", "any", "all"}:
        yield node, OPPOSITE[node.id]


def attribute(node: ast.Attribute) -> Iterator[Change]:
    """Take the opposite method or the other axis."""
    if isinstance(node.ctx, ast.Load) and node.attr in OPPOSITE:
        yield node, f"{_text(node.value)}.{OPPOSITE[node.attr]}"


def sequence(node: ast.Tuple | ast.List) -> Iterator[Change]:
    """Swap neighbours, such as x and y."""
    if isinstance(node.ctx, ast.Load):
        for index in range(len(node.elts) - 1):
            if not any(isinstance(one, ast.Starred) for one in node.elts[index : index + 2]):
                swapped = [*node.elts[:index], node.elts[index + 1], node.elts[index], *node.elts[index + 2 :]]
                made = ast.Tuple(swapped, ast.Load()) if isinstance(node, ast.Tuple) else ast.List(swapped, ast.Load())
                yield node, ast.unparse(made)


def bounds(node: ast.Slice) -> Iterator[Change]:
    """Leave a bound of a slice out."""
    for part in (node.lower, node.upper):
        from_0 = part is node.lower and isinstance(part, ast.Constant) and part.value == 0
        if part is not None and not (from_0 and (node.step is None or not isinstance(node.step, ast.UnaryOp))):
            yield part, ""


def augmented(node: ast.AugAssign) -> Iterator[Change]:
    """Take the opposite operator, or do nothing."""
    operator = COMBINED.get(type(node.op))
    if operator is not None:
        yield node, f"{ast.unparse(node.target)} {operator}= {ast.unparse(node.value)}"
    yield node, "pass"


def statement(node: ast.Expr | ast.Raise | ast.Delete) -> Iterator[Change]:
    """Do nothing."""
    if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call):
        yield node, "pass"


def jump(node: ast.Break | ast.Continue) -> Iterator[Change]:
    """Leave a loop that would have gone on, or the reverse."""
    yield node, "continue" if isinstance(node, ast.Break) else "break"


CHANGES: dict[type[ast.AST], Callable[..., Iterator[Change]]] = {
    ast.Compare: compare,
    ast.BoolOp: boolean,
    ast.If: condition,
    ast.While: condition,
    ast.IfExp: condition,
    ast.comprehension: comprehension,
    ast.BinOp: binary,
    ast.UnaryOp: unary,
    ast.Constant: constant,
    ast.Call: call,
    ast.Name: name,
    ast.Attribute: attribute,
    ast.Tuple: sequence,
    ast.List: sequence,
    ast.Slice: bounds,
    ast.AugAssign: augmented,
    ast.Expr: statement,
    ast.Raise: statement,
    ast.Delete: statement,
    ast.Break: jump,
    ast.Continue: jump,
}
