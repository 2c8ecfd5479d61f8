"""Count constructions that make prose hard to read, or draw sentences from the prose.

    python docs/check_prose.py                        # exit code 1 above the limit of prose.toml
    python docs/check_prose.py --list                 # with every occurrence
    python docs/check_prose.py sknn_adam/losses       # in some files only
    python docs/check_prose.py --sample 30 --seed 1   # random sentences; --before COMMIT adds the
                                                      # most similar sentence of that commit

Prose means docstrings, comments, messages (strings of at least four words in the package), Markdown
pages, Markdown cells of notebooks, and names of test functions, which are read as sentences.
"""

import argparse
import ast
import difflib
import io
import json
import random
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
RULES = Path(__file__).with_name("prose.toml")
SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".yml", ".yaml"}
# Patterns to avoid, generated files, and data.
LEFT_OUT = (
    *("docs/prose.toml", "docs/_build/", "docs/generated/", "docs/auto_examples/"),
    "tests/golden/archives",
)
FOLDERS = ("sknn_adam", "tests", "benchmarks", "docs", ".github", ".ci")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\"(])")


class Prose(NamedTuple):
    """A paragraph, and the place where it begins."""

    path: str
    line: int
    text: str


def paragraphs(path: str, source: str) -> Iterator[Prose]:
    """Yield the paragraphs of a file."""
    if path.endswith(".py"):
        yield from _python(path, source)
    elif path.endswith(".md"):
        yield from _markdown(path, source, 1)
    elif path.endswith(".ipynb"):
        for cell in json.loads(source)["cells"]:
            if cell["cell_type"] == "markdown":
                yield from _markdown(path, "".join(cell["source"]), 1)
    else:
        comments = ((n, line) for n, line in enumerate(source.splitlines(), 1) if "#" in line)
        yield from _joined(path, ((n, line.partition("#")[2]) for n, line in comments))


def _python(path: str, source: str) -> Iterator[Prose]:
    comments = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# %%")):
            comments.append((token.start[0], token.string.lstrip("#")))
    yield from _joined(path, comments)
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Prose(path, node.lineno, node.name.removeprefix("test_").replace("_", " "))
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if text := ast.get_docstring(node):
            docstring = node.body[0].value
            docstrings.add(docstring)
            yield from _docstring(path, text, docstring.lineno)
    if path.startswith("sknn_adam/"):
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                pieces = [v.value if isinstance(v, ast.Constant) else "`...`" for v in node.values]
                docstrings.update(node.values)
                text = "".join(pieces)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = "" if node in docstrings else node.value
            else:
                continue
            if len(text.split()) >= 4:
                yield Prose(path, node.lineno, text)


def _docstring(path: str, text: str, first: int) -> Iterator[Prose]:
    """Yield paragraphs without doctests, code blocks, headings and numpydoc's lines of types."""
    lines, code = [], False
    for n, line in enumerate(text.splitlines(), first):
        indented = len(line) - len(line.lstrip())
        if code and line.strip() and indented <= code - 1:
            code = False
        if line.rstrip().endswith("::"):
            code = indented + 1
            lines.append((n, line.rstrip().removesuffix(":")))
        elif code is not False and indented > code - 1 and line.strip():
            continue
        elif line.strip().startswith((">>>", "...")) or set(line.strip()) <= set("-=~"):
            lines.append((n, ""))
        else:
            lines.append((n, "" if re.match(r"^\s*[\w, *]+ : ", line) else line))
    yield from _joined(path, lines)


def _markdown(path: str, text: str, first: int) -> Iterator[Prose]:
    text = re.sub(r"^(```|~~~).*?^\1", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M)
    lines = []
    for n, line in enumerate(text.splitlines(), first):
        if line.startswith(("#", "|", "*", "-", "<!--")) or re.match(r"\d+\. ", line):
            lines.append((n, ""))
        lines.append((n, line.lstrip("#*- ").replace("|", ". ")))
    yield from _joined(path, lines)


def _joined(path: str, lines) -> Iterator[Prose]:
    """Join neighbouring lines; an empty one, or a gap in the numbers, ends a paragraph."""
    block, start, last = [], 0, 0
    for n, line in lines:
        if block and (not line.strip() or n > last + 1):
            yield Prose(path, start, " ".join(block))
            block = []
        if line.strip():
            start = n if not block else start
            block.append(line.strip())
        last = n
    if block:
        yield Prose(path, start, " ".join(block))


def plain(text: str) -> str:
    """Return the text with code, quotations, math and addresses replaced by ``...``."""
    text = re.sub(r"``.+?``|`[^`]+`(_|__)?|:\w+:`[^`]+`|\{\w+\}`[^`]+`", "`...`", text)
    text = re.sub(r"“[^”]*”|\$[^$]+\$|https?://\S+", "`...`", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def tracked(commit: str = "") -> list[str]:
    """Return the paths of the tracked files with prose, now or in a commit.

    In a copy without a repository, return all files of the project's folders.
    """
    if commit:
        names = git("ls-tree", "-r", "--name-only", commit).splitlines()
    elif (ROOT / ".git").exists():
        names = git("ls-files").splitlines()
    else:
        paths = [*ROOT.glob("*.*"), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*"))]
        names = sorted(path.relative_to(ROOT).as_posix() for path in paths if path.is_file())
    return [n for n in names if Path(n).suffix in SUFFIXES and not n.startswith(LEFT_OUT)]


def git(*command: str) -> str:
    """Return the output of a git command."""
    done = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def read(paths: list[str], commit: str = "") -> list[Prose]:
    """Return the paragraphs of files, now or in a commit."""
    found: list[Prose] = []
    for path in paths:
        source = git("show", f"{commit}:{path}") if commit else (ROOT / path).read_text()
        found += paragraphs(path, source)
    return found


def occurrences(prose: list[Prose], rules: dict) -> Iterator[tuple[str, Prose, str]]:
    """Yield the name, the paragraph and the passage of each construction in the prose."""
    for paragraph in prose:
        text = " ".join(paragraph.text.split())
        for passage in rules["allowed"].get(paragraph.path, ()):
            text = text.replace(passage, "`...`")
        text = plain(text)
        for construction in rules["construction"]:
            for pattern in construction["patterns"]:
                for match in re.finditer(pattern, text.lower()):
                    passage = text[max(match.start() - 40, 0) : match.end() + 40]
                    yield construction["name"], paragraph, passage


def sentences(prose: list[Prose]) -> list[Prose]:
    """Return the sentences of at least six words, without rows of tables."""
    split = [(p, SENTENCE_END.split(" ".join(p.text.split()))) for p in prose]
    found = [p._replace(text=text) for p, texts in split for text in texts]
    return [p for p in found if n_words(p.text) >= 6 and " . " not in p.text]


def n_words(text: str) -> int:
    """Return the number of words of at least two letters."""
    return len(re.findall(r"[A-Za-z]{2,}", text))


def sample(prose: list[Prose], n: int, seed: int, before: str) -> None:
    """Print random sentences, each with the most similar one of another commit."""
    drawn = random.Random(seed).sample(sentences(prose), n)
    then = [p.text for p in sentences(read(tracked(before), before))] if before else []
    for sentence in drawn:
        print(f"{sentence.path}:{sentence.line}\n    now:    {sentence.text}")
        if before:
            similar = difflib.get_close_matches(sentence.text, then, n=1, cutoff=0.3)
            print(f"    before: {similar[0] if similar else '(nothing similar)'}")


def main() -> None:
    """Check the tracked files, or draw sentences from them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", help="files or folders; default: all tracked files")
    parser.add_argument("--list", action="store_true", help="print every occurrence")
    parser.add_argument("--sample", type=int, metavar="N", help="print N random sentences instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commit", default="", help="read the files of this commit")
    parser.add_argument("--before", default="", metavar="COMMIT")
    args = parser.parse_args()
    under = tuple(path.rstrip("/") for path in args.paths) or ("",)
    prose = read([n for n in tracked(args.commit) if n.startswith(under)], args.commit)
    if args.sample:
        return sample(prose, args.sample, args.seed, args.before)
    rules = tomllib.loads(RULES.read_text())
    counts: Counter[str] = Counter()
    for name, paragraph, passage in occurrences(prose, rules):
        counts[name] += 1
        if args.list:
            print(f"{paragraph.path}:{paragraph.line}: {name}: {passage}")
    words = sum(n_words(paragraph.text) for paragraph in prose)
    rate = 1000 * counts.total() / max(words, 1)
    print(*(f"{n:5d}  {name}" for name, n in counts.most_common()), sep="\n")
    print(f"{rate:.2f} per 1,000 words ({words:,} words); at most {rules['at_most']} are allowed")
    sys.exit(rate > rules["at_most"])


if __name__ == "__main__":
    main()
