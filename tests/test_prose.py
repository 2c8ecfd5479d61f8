"""The check of the prose finds the constructions that it lists, and nothing else."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
RULES = tomllib.loads((DOCS / "prose.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def check():
    sys.path.insert(0, str(DOCS))
    try:
        import check_prose
    finally:
        sys.path.remove(str(DOCS))
    return check_prose


def found_in(check, path, source):
    return [name for name, *_ in check.occurrences(list(check.paragraphs(path, source)), RULES)]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Return what of the plan follows from the number of samples.", "free relative"),
        ("Put back who has diverged.", None),
        ("Weights of who has diverged are reset.", "free relative"),
        ("Return raw outputs; of several members the mean.", "fronted genitive or adverb"),
        ("A test tells whether it works.", "personified code"),
        ("The share of clipped steps.", "everyday word for a term"),
        ("The training rows are shuffled.", "everyday word for a term"),
        ("A fit takes 8 times the memory of a step.", None),
        ("A fit of eight members takes seven times as long.", None),
        ("This costs nothing.", "nothing as an object"),
        ("Which rate is best, and what does it depend on?", None),
        ("The code `what is this` is not prose.", None),
        ("The text “what nobody knows” is quoted.", None),
        ("Return the mean over members.", None),
    ],
)
def test_constructions_are_found(check, sentence, expected):
    assert found_in(check, "page.md", sentence) == ([expected] if expected else [])


SOURCE = '''"""Nobody reads this module."""  # 1


def test_what_it_returns():
    # Nobody reads this comment.
    raise ValueError(f"Nobody reads this {message} here.")


def f():
    """Nobody reads this summary.

    Examples
    --------
    >>> "Nobody reads this example"

    Code follows::

        nobody = reads_this

    Nobody reads this paragraph.
    """
'''


def test_python_files_are_read_without_code(check):
    source = SOURCE.replace("what it", "what_it")
    prose = {" ".join(p.text.split()) for p in check.paragraphs("sknn_adam/x.py", source)}
    assert prose == {
        "1",
        "what it returns",
        "Nobody reads this comment.",
        "Nobody reads this module.",
        "Nobody reads this `...` here.",
        "Nobody reads this summary.",
        "Examples",
        "Code follows:",
        "Nobody reads this paragraph.",
    }
    # Messages are read in the package only.
    assert len(found_in(check, "sknn_adam/x.py", source)) == 6
    assert len(found_in(check, "tests/x.py", source)) == 5


def test_pages_are_read_without_code(check):
    page = "# Nobody\n\nNobody, see [nobody](nobody.md).\n\n```python\nnobody()\n```\n"
    page += "\n* nobody `nobody`\n"
    assert len(found_in(check, "page.md", page)) == 4


def test_passages_are_allowed_by_file(check):
    prose = list(check.paragraphs("CONTRIBUTING.md", "Replace in brackets by in parentheses."))
    assert not list(check.occurrences(prose, RULES))
    assert list(check.occurrences([prose[0]._replace(path="README.md")], RULES))


def test_all_tracked_files_are_below_the_limit(check):
    prose = check.read(check.tracked())
    words = sum(check.n_words(paragraph.text) for paragraph in prose)
    assert words > 80_000
    n_found = len(list(check.occurrences(prose, RULES)))
    assert 1000 * n_found / words <= RULES["at_most"] <= 1
    assert {Path(paragraph.path).suffix for paragraph in prose} >= {".py", ".md", ".ipynb"}


def test_random_sentences_have_a_seed(check, capsys):
    prose = check.read(["README.md"])
    drawn = []
    for seed in (1, 1, 2):
        check.sample(prose, 3, seed, before="")
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(re.findall("now:", drawn[0])) == 3
