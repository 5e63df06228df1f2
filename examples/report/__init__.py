"""One self-contained page about runs: what was asked, what came out, and what is in the channels."""
