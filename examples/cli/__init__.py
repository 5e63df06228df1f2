"""The command line: one file per command.

Each has `arguments()`, the parser of its own arguments, and `run(parsed, typed)`, which gets what that parser read and, for the record, the
whole command as it was typed, and returns the exit status. A `UserError` is printed as a sentence.
"""
