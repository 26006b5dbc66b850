"""The maintainability index of a file, in one pass over it.

The index is radon's (Halstead volume, cyclomatic complexity, statements, share of comments; 0 to 100). Its own way of
counting lines reads a long literal again for each of its lines: minutes for a table of some thousand.
"""

import ast
import io
import tokenize

from radon.metrics import h_visit_ast, mi_compute
from radon.visitors import ComplexityVisitor

#: Tokens that are no code.
_LAYOUT = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
)


def maintainability(tree: ast.Module, text: str) -> float:
    """Return the index of a file: 100 is best, 0 is worst.

    Args:
        tree: the file, parsed.
        text: the file.

    Raises:
        RecursionError: it is nested too deeply.
        tokenize.TokenError: it cannot be read as tokens.
    """
    nodes = list(ast.walk(tree))
    statements = sum(isinstance(node, ast.stmt) for node in nodes)
    prose = {row for node in nodes if isinstance(node, ast.Expr) for row in _prose(node)}
    comments, code = _rows(text)
    share_percent = 100 * (comments + len(prose)) / max(len(code - prose), 1)
    volume = h_visit_ast(tree).total.volume
    return float(mi_compute(volume, ComplexityVisitor.from_ast(tree).total_complexity, statements, share_percent))


def _prose(node: ast.Expr) -> range:
    """Return the lines of a text that stands by itself over several lines: a docstring as a rule."""
    last = node.end_lineno or node.lineno
    alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return range(node.lineno, last + 1) if alone and last > node.lineno else range(0)


def _rows(text: str) -> tuple[int, set[int]]:
    """Return the number of comments, and the lines with code."""
    comments = 0
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments += 1
        elif token.type not in _LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return comments, code
