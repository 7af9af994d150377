"""A Windows machine over WinRM: connection, streams, PowerShell. See :mod:`.target`."""
