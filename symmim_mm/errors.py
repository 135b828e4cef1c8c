"""The one exception for mistakes a user can mend."""


class UserError(Exception):
    """A mistake in a path, an option, a config or the data.

    The message is one line that says what is wrong and what to do about it. ``symmim_mm.cli.run``
    prints it without a traceback; any other exception is a defect and keeps its traceback.
    """
