# Configuration of the documentation. No network access is needed to build it:
#     python -m sphinx -W --keep-going -b html docs docs/_build/html
#
# With `-D plot_gallery=0`, the examples are not run, and the build takes a minute.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import sknn_adam

# sphinx-gallery resolves the names of all examples, even if it does not run them. The import of
# `enable_halving_search_cv` is for an example with HalvingRandomSearchCV.

project = "sknn_adam"
author = "The sknn_adam developers"
copyright = f"2026, {author}"
release = version = sknn_adam.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# The class template already lists the members.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
}

html_theme = "furo"
html_title = f"sknn_adam {release}"


def skip_inherited_members(app, what, name, obj, skip, options):
    """Skip members of scikit-learn's base classes, and properties (listed as attributes)."""
    if what == "class" and isinstance(obj, property):
        return True
    if what == "class" and (getattr(obj, "__module__", None) or "").startswith("sklearn"):
        return True
    return None


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited_members)
