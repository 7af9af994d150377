"""One driver on several targets, and where they differ: ``kernellab compare``, and in Python.

:mod:`.outcome` is what is compared, :mod:`.run` runs it, :mod:`.report` shows it, and
:mod:`.command` is the command line's.
"""
