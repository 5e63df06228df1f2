"""What the pages show: their tables, figures and the numbers in their sentences, one module per page or part of a page."""
