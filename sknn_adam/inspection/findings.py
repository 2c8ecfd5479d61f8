"""Findings of a diagnosis, and a list of them that prints as a table."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap
from typing import Any

__all__ = ["Finding", "Findings"]

SEVERITIES = ("high", "medium", "low")
WIDTH = 100  # of the printed table
MOST_CODE = 60  # characters; longer calls are shown without the values of their parameters


@dataclass(frozen=True)
class Finding:
    """A fault found by a diagnosis.

    Parameters
    ----------
    kind : str
        Name of the fault, such as ``"dead_units"``. The documentation has a section on each fault.
    layer : int or None
        The most affected dense layer, counted from 1; None for faults of the whole network.
    evidence : str
        The measurement that shows the fault.
    severity : {"high", "medium", "low"}
        ``"high"``: training is broken; ``"medium"``: the fault costs much accuracy; ``"low"``: it
        may cost some.
    params : dict
        Parameters that fix the fault, for ``set_params`` of the diagnosed estimator.
    cure : str, default=""
        Description of the fix, even if no parameter can fix the fault.

    Examples
    --------
    >>> from sknn_adam.inspection import Finding
    >>> finding = Finding("clipping_always", None, "99% of the gradients were clipped", "medium",
    ...                   {"gradient_clip": 5.0}, "clip less")
    >>> print(finding)
    clipping_always (medium): 99% of the gradients were clipped. Cure: clip less.
    """

    kind: str
    layer: int | None
    evidence: str
    severity: str
    params: dict[str, Any] = field(default_factory=dict)
    cure: str = ""

    @property
    def _text(self) -> str:
        return f"{self.evidence}." + (f" Cure: {self.cure}." if self.cure else "")

    def __str__(self) -> str:
        where = "" if self.layer is None else f" in layer {self.layer}"
        return f"{self.kind}{where} ({self.severity}): {self._text}"


class Findings(list[Finding]):
    """List of findings, most severe first, that prints as a table, also in notebooks.

    Parameters
    ----------
    iterable : iterable of Finding, default=()
        The findings.

    Examples
    --------
    >>> from sknn_adam.inspection import Finding, Findings
    >>> print(Findings([Finding("dead_units", 2, "all units are dead", "high", {}, "use ELU")]))
    severity  kind        layer  evidence and cure
    high      dead_units  2      all units are dead. Cure: use ELU.
    >>> print(Findings())
    No faults were found.
    """

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of all findings; in conflicts, the more severe finding takes precedence."""
        params: dict[str, Any] = {}
        for finding in self:
            params = {**finding.params, **params}
        return params

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (f.severity, f.kind, str(f.layer or ""), f._text, _call(f.params, i))
            for i, f in enumerate(self)
        ]

    def __str__(self) -> str:
        if not self:
            return "No faults were found."
        rows = self._rows()
        widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(HEADINGS)]
        margin = sum(widths[:3]) + 6

        def line(cells: Sequence[str], text: str) -> str:
            return "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=False)) + "  " + text

        lines = [line(HEADINGS[:3], HEADINGS[3])]
        for *cells, text, code in rows:
            first, *others = wrap(text, max(30, WIDTH - margin)) + [code] * bool(code)
            lines += [line(cells, first), *(" " * margin + other for other in others)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{self}</p>"
        head = "".join(f"<th>{escape(name)}</th>" for name in HEADINGS)
        body = ""
        for *cells, text, call in self._rows():
            code = f"<br><code>{escape(call)}</code>" if call else ""
            body += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            body += f"<td style='text-align:left'>{escape(text)}{code}</td></tr>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _call(params: dict[str, Any], position: int) -> str:
    """Return a one-line call of ``set_params`` to copy and paste."""
    if not params:
        return ""
    call = f"set_params({', '.join(f'{name}={value!r}' for name, value in params.items())})"
    named = f"set_params(**findings[{position}].params)"
    if len(call) > MOST_CODE or "\n" in call:
        return named
    try:
        ids = {node.id for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Name)}
    except SyntaxError:  # the repr of some values, such as distributions, is not valid code
        return named
    return named if ids & {"inf", "nan"} else call


HEADINGS = ("severity", "kind", "layer", "evidence and cure")
