"""The value of a small program, computed without running it: assignments and arithmetic, as in SGSM's solutions."""

import ast
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor

HEAD = "def solution("
"""The start of the function whose value is computed."""

LARGEST_EXPONENT = 64
LARGEST_BITS = 400
"""Limit for the numerator and the denominator of a number: no everyday word problem needs more."""

Number = int | Fraction
OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: Fraction(a) / Fraction(b),
    ast.FloorDiv: lambda a, b: Fraction(a) // Fraction(b),
    ast.Mod: lambda a, b: Fraction(a) % Fraction(b),
    ast.Pow: lambda a, b: _power(a, b),
}
FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "int": lambda a: int(a),
    "float": lambda a: Fraction(a),
    "abs": abs,
    "round": lambda a, digits=0: _rounded(a, digits),
    "min": min,
    "max": max,
    "floor": floor,
    "ceil": ceil,
}


def value(text: str) -> Fraction | None:
    """The value that the function solution() in a text returns; None if there is none or it cannot be computed.

    The function ends at the first line that is indented no more than its head. It may assign numbers to names, and
    calculate with them and with FUNCTIONS; division is exact. Nothing is executed.
    """
    try:
        body = ast.parse(_function(text)).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    if not body or not isinstance(body[0], ast.FunctionDef):
        return None
    names: dict[str, Number] = {}
    try:
        for statement in body[0].body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                return Fraction(_calculated(statement.value, names))
            _assign(statement, names)
    except (ArithmeticError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return None


def _function(text: str) -> str:
    """The function's own lines, "" without one."""
    start = text.find(HEAD)
    if start < 0:
        return ""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    indentation = 0 if before.strip() else len(before)
    first, *rest = text[start:].splitlines()
    own = [first]
    for line in rest:
        if line.strip() and len(line) - len(line.lstrip()) <= indentation:
            break
        own.append(line)
    return "\n".join(own)


def _assign(statement: ast.stmt, names: dict[str, Number]) -> None:
    """Carry out one statement that is not a return."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=expression):
            names[name] = _calculated(expression, names)
        case ast.AugAssign(target=ast.Name(id=name), op=op, value=expression):
            names[name] = OPERATORS[type(op)](names[name], _calculated(expression, names))
        case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
            pass
        case _:
            raise ValueError("a statement that does not assign a number")


def _calculated(expression: ast.expr, names: Mapping[str, Number]) -> Number:
    """The value of an expression, a number of at most LARGEST_BITS."""
    found = Fraction(_unbounded(expression, names))
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > LARGEST_BITS:
        raise ValueError("a number that is too large")
    return found


def _unbounded(expression: ast.expr, names: Mapping[str, Number]) -> Number:
    match expression:
        case ast.Constant(value=bool()):
            raise TypeError("no number")
        case ast.Constant(value=int() as number):
            return number
        case ast.Constant(value=float() as number):
            return Fraction(str(number))
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_calculated(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_calculated(left, names), _calculated(right, names))
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]):
            return FUNCTIONS[name](*(_calculated(one, names) for one in given))
    raise TypeError("no arithmetic")


def _rounded(number: Number, digits: Number) -> Number:
    return round(Fraction(number), _small(digits))


def _power(base: Number, exponent: Number) -> Number:
    return Fraction(base) ** _small(exponent)


def _small(number: Number) -> int:
    """A small whole number: a number of digits, or an exponent."""
    whole = Fraction(number)
    if whole.denominator != 1 or abs(whole.numerator) > LARGEST_EXPONENT:
        raise ValueError("not a small whole number")
    return whole.numerator
