"""The quickstart as a notebook, for readers who have Jupyter and the library alone: ``python -m docs.shown.notebook``."""

import re

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook

from docs.shown.page import REPOSITORY

PAGE = REPOSITORY / "docs" / "quickstart.md"
NOTEBOOK = REPOSITORY / "examples" / "quickstart.ipynb"
ITSELF = re.compile(r"; \{download\}`[^`]*`")
NAME = re.compile(r"\{func\}`([^`<]+?) <[^`>]+>`")
LINK = re.compile(r"\{doc\}`([^`<]+?) <[^`>]+>`")


def made() -> str:
    """Return the notebook that the page is: the cells that readers see, without outputs, and words for links, since it is read elsewhere."""
    notebook = read_myst_markdown_notebook(PAGE.read_text(encoding="utf-8"), path=PAGE)
    notebook.cells = [cell for cell in notebook.cells if "remove-cell" not in cell.metadata.get("tags", ())]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # drawn by chance otherwise
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"\1", NAME.sub(r"`\1`", ITSELF.sub("", cell.source)))
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook, ensure_ascii=False)
    return text + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(made(), encoding="utf-8")
