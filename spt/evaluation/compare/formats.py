"""A comparison as Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence

from spt.evaluation.compare.comparison import Column, Comparison, Row, Value
from spt.evaluation.score_table import markdown

EMPTY = Value(None)

LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip
"""What LaTeX reads as a command, and what stands for it."""


def as_markdown(comparisons: Sequence[Comparison]) -> str:
    """One table for each data set, with its title, its caption and the best of each column in bold."""
    return "\n\n".join(f"**{c.title}**\n\n{markdown(texts(c, _bold_markdown))}\n\n{c.caption}" for c in comparisons)


def as_latex(comparisons: Sequence[Comparison]) -> str:
    """One table for each data set, for the package booktabs; the best of each column in bold."""
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(map(_latex_table, comparisons))


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """One row a configuration and simple method, with every digit; ``mean`` and ``std`` (or ``sem``) of each column."""
    keys = list(dict.fromkeys(key for c in comparisons for key in c.keys))
    columns = list(dict.fromkeys(column for c in comparisons for column in c.columns))
    spread = "std" if any(c.over_seeds for c in comparisons) else "sem"
    scores = [f"{split} {metric} {what}" for metric, split in columns for what in ("mean", spread)]
    file = io.StringIO()
    writer = csv.DictWriter(
        file, ["data set", "method", *keys, "runs", "parameters", "seconds", *scores], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for c in comparisons:
        for row in (*c.rows, *c.baselines):
            writer.writerow(_csv_row(c, row, columns, spread))
    return file.getvalue()


def _csv_row(c: Comparison, row: Row, columns: Sequence[Column], spread: str) -> dict[str, object]:
    named = dict(zip(c.keys, row.labels, strict=True)) if row.runs else {}
    values: dict[str, object] = {
        "data set": c.title,
        "method": "network" if row.runs else row.labels[0],
        **named,
        "runs": row.runs or None,
        "parameters": row.parameters,
        "seconds": row.seconds,
    }
    for metric, split in columns:
        score = row.scores.get((metric, split), EMPTY)
        values |= {f"{split} {metric} mean": score.mean, f"{split} {metric} {spread}": score.spread}
    return values


def number(score: Value) -> str:
    """Mean ± spread as a table shows it; with more digits where a small spread would read as 0."""
    if score.mean is None:
        return "null"
    digits = 2 if abs(score.mean) >= 2 else 3
    if score.spread is None:
        return f"{score.mean:.{digits}f}"
    if 0 < score.spread < 0.5 * 10**-digits:
        digits = min(5, math.ceil(-math.log10(score.spread)))
    return f"{score.mean:.{digits}f} ± {score.spread:.{digits}f}"


def texts(c: Comparison, bold: Callable[[str], str]) -> Iterator[list[str]]:
    """Header and rows; scores that are the best of their column pass through ``bold``."""
    counted = ["n"] if c.over_seeds else []
    yield [*c.keys, *counted, "parameters", "s", *(f"{metric.upper()} {split}" for metric, split in c.columns)]
    for row in (*c.rows, *c.baselines):
        cost = [f"{row.parameters:,}" if row.parameters else "", f"{row.seconds:.0f}" if row.seconds else ""]
        runs = [str(row.runs or "")] if c.over_seeds else []
        yield [*row.labels, *runs, *cost, *(_cell(c, row, column, bold) for column in c.columns)]


def _cell(c: Comparison, row: Row, column: Column, bold: Callable[[str], str]) -> str:
    if column not in row.scores:
        return ""
    text = number(row.scores[column])
    return bold(text) if c.is_best(row, column) else text


def _bold_markdown(text: str) -> str:
    return f"**{text}**"


def _latex_table(c: Comparison) -> str:
    header, *rows = texts(c, lambda text: f"\0{text}")
    left = len(header) - len(c.columns)
    width, metrics = len(header), list(dict.fromkeys(metric for metric, _ in c.columns))
    splits = [split for metric, split in c.columns if metric == metrics[0]]
    each = len(splits)
    groups = " & ".join(rf"\multicolumn{{{each}}}{{c}}{{{_latex(m.upper())}}}" for m in metrics)
    rules = " ".join(rf"\cmidrule(lr){{{left + 1 + k * each}-{left + (k + 1) * each}}}" for k in range(len(metrics)))
    names = [*header[:left], *(split for _ in metrics for split in splits)]
    body = [" & ".join(map(_latex, row)) + r" \\" for row in rows]
    networks, baselines = body[: len(c.rows)], body[len(c.rows) :]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex(c.title)}. {_latex(c.caption)}}}",
        r"\centering",
        rf"\begin{{tabular}}{{{'l' * len(c.keys)}{'r' * (width - len(c.keys))}}}",
        r"\toprule",
        f"{'& ' * left}{groups} \\\\",
        rules,
        " & ".join(map(_latex, names)) + r" \\",
        r"\midrule",
        *networks,
        *([r"\midrule", *baselines] if baselines else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    """Text for LaTeX; what begins with a zero byte is bold."""
    escaped = "".join(LATEX_CHARACTERS.get(character, character) for character in text.removeprefix("\0"))
    return rf"\textbf{{{escaped}}}" if text.startswith("\0") else escaped
