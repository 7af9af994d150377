"""The ``wine`` target: Wine's NT implementation on this computer, with the guest agent in it.

:mod:`.kind` is the target, :mod:`.installed` finds Wine, :mod:`.prefix` makes and clones its
folders, :mod:`.guard` is the small process that looks after one session and leaves nothing behind.
"""
