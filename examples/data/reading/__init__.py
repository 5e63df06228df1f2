"""From files to arrays: each format once, decoded copies, and what is said of files that cannot be read."""
