"""The one class of errors that are for the reader of a message, not of a traceback."""


class UserError(Exception):
    """Something that whoever typed the command can mend: a wrong value, a missing file, folder or package.

    The message names what was given, the rule and the next step. The command line prints it and ends with status 2;
    anything else that is raised is a fault of the program and shows its traceback.
    """
