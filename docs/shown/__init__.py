"""What the pages show: their tables, figures and the numbers in their sentences, a module a page or a part of one."""
