"""Programs that differ from ours in one place: a statement dropped, a comparison turned round, a limit moved by one."""

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PATH: Final = {
    "verifier_agent": [
        "verifier", "hot_path", "jws", "claims", "verified_tokens", "keyring", "revocations", "selector_index",
        "digest_index", "digest_filter", "digest_runs", "issuer_state", "freshness",
        "foreign_issuers",
    ],
    "verifier_agent/saved": ["seal"],
    "events": ["base64url", "digests"],
}  # fmt: skip
"""The modules that have a part in a verdict."""

TURNED: Final[dict[type[ast.cmpop], list[type[ast.cmpop]]]] = {
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
}
SIGNS: Final[dict[type[ast.operator], type[ast.operator]]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
ENDS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """One of them.

    Attributes:
        module: file, relative to the checkout.
        name: where and what, without line numbers: ``verifier.Verifier.verify: … -> …``.
        source: the whole module.
    """

    module: Path
    name: str
    source: str


def mutants(root: Path) -> Iterator[Mutant]:
    """Every mutant of the modules in ``PATH`` that are there."""
    for package, names in PATH.items():
        for module in (Path(package) / f"{name}.py" for name in names):
            if (root / module).exists():
                yield from _mutants_of(module, ast.parse((root / module).read_text()))


def _mutants_of(module: Path, tree: ast.Module) -> Iterator[Mutant]:
    number, seen = 0, set[str]()
    while True:
        one = _OneChange(number)
        changed = one.visit(copy.deepcopy(tree))
        if one.done is None:
            return
        name = f"{module.stem}.{one.done}"
        while name in seen:  # the same words twice in one function
            name += " (again)"
        seen.add(name)
        yield Mutant(module, name, ast.unparse(ast.fix_missing_locations(changed)))
        number += 1


class _OneChange(ast.NodeTransformer):
    """Makes the change with this number, counted in the order of the source, and no other."""

    def __init__(self, number: int) -> None:
        self.done: str | None = None
        self._left = number
        self._where: list[str] = []

    def _offer(self, node: ast.AST, *others: ast.AST) -> ast.AST:
        for other in others:
            if self._left == 0 and self.done is None:
                self.done = f"{'.'.join(self._where)}: {_shown(node)} -> {_shown(other)}"
                return other
            self._left -= 1
        return node

    # -- where we are; what is said to people, and what is said to type checkers, stays

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._within(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._within(node)

    def _within(self, node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
        self._where.append(node.name)
        node.body = [self.visit(statement) for statement in node.body]
        self._where.pop()
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return self._without_one_member(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    # -- statements dropped

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return node  # a docstring
        return self._offer(self.generic_visit(node), ast.Pass())

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        return self._offer(self.generic_visit(node), ast.Pass())

    def visit_Delete(self, node: ast.Delete) -> ast.AST:
        return self._offer(node, ast.Pass())

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            return self._offer(node, ast.Pass())
        return self._without_one_member(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if not node.orelse and isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break):
            return self._offer(node, ast.Pass(), *_negated(node))
        return self._offer(node, *_negated(node))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if not isinstance(node.type, ast.Tuple):
            return self.generic_visit(node)
        node.type = self._offer(node.type, *_each_left_out(node.type))  # type: ignore[assignment]
        return self.generic_visit(node)

    def _without_one_member(self, node: ast.Assign | ast.AnnAssign) -> ast.AST:
        value = node.value.args[0] if isinstance(node.value, ast.Call) and node.value.args else node.value
        if self._where or not isinstance(value, ast.Set | ast.Tuple | ast.Dict):
            return node
        others = []
        for smaller in _each_left_out(value):
            other = copy.deepcopy(node)
            if isinstance(other.value, ast.Call):
                other.value.args[0] = smaller
            else:
                other.value = smaller
            others.append(other)
        return self._offer(node, *others)

    # -- expressions turned round

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self._offer(self.generic_visit(node), *_negated(node))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        others = []
        for at, operator in enumerate(node.ops):
            for turned in TURNED[type(operator)]:
                other = copy.deepcopy(node)
                other.ops[at] = turned()
                others.append(other)
        return self._offer(node, *others)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        others = []
        for at in range(len(node.values)):
            left = [value for number, value in enumerate(node.values) if number != at]
            others.append(left[0] if len(left) == 1 else ast.BoolOp(op=node.op, values=left))
        return self._offer(node, *others)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        sign = SIGNS.get(type(node.op))
        return node if sign is None else self._offer(node, ast.BinOp(left=node.left, op=sign(), right=node.right))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id not in ENDS:
            return node
        other = ast.Call(func=ast.Name(id=ENDS[node.func.id], ctx=ast.Load()), args=node.args, keywords=node.keywords)
        return self._offer(node, other)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
            return self._offer(node, ast.Return(value=ast.Constant(value=not node.value.value)))
        return node


def _negated(node: ast.If | ast.IfExp) -> list[ast.AST]:
    """The same with its condition negated; a comparison is turned round by itself."""
    if isinstance(node.test, ast.Compare | ast.BoolOp):
        return []
    other = copy.deepcopy(node)
    if isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not):
        other.test = node.test.operand
    else:
        other.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
    return [other]


def _each_left_out(value: ast.Set | ast.Tuple | ast.Dict) -> list[ast.expr]:
    others: list[ast.expr] = []
    for at in range(len(value.keys if isinstance(value, ast.Dict) else value.elts)):
        other = copy.deepcopy(value)
        if isinstance(other, ast.Dict):
            del other.keys[at], other.values[at]
        else:
            del other.elts[at]
        if not isinstance(other, ast.Set) or other.elts:
            others.append(other)
    return others


def _shown(node: ast.AST) -> str:
    """The first line of it, as source."""
    lines = ast.unparse(node).splitlines()
    return lines[0] + (f" {lines[1].strip()}" if len(lines) > 1 else "")
