"""Tab completion of the command line, in bash, zsh and fish, from the parsers themselves."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from .machines import Add

#: What each shell runs: it asks ``kernellab complete`` with the words so far, the last begun.
SCRIPTS: Final = {
    "bash": r"""_kernellab() {
    local IFS=$'\n'
    COMPREPLY=($(kernellab complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _kernellab kernellab
""",
    "zsh": r"""_kernellab() {
    local -a found
    found=(${(f)"$(kernellab complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    (( $#found )) && compadd -a found || _files
}
compdef _kernellab kernellab
""",
    "fish": """complete -c kernellab -a \
'(kernellab complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
""",
}


def add_commands(add: Add, parser: argparse.ArgumentParser) -> None:
    """``completion`` and ``complete``, of what ``parser`` has."""
    add("completion", _script).add_argument("shell", choices=SCRIPTS, help="for which shell")
    words = add("complete", _complete)
    words.add_argument("words", nargs="*", metavar="WORD", help="the words so far, the last begun")
    words.set_defaults(parser=parser)


def _script(given: argparse.Namespace) -> int:
    """Print what switches tab completion on: eval "$(kernellab completion bash)" in ~/.bashrc."""
    print(SCRIPTS[given.shell], end="")
    return 0


def _complete(given: argparse.Namespace) -> int:
    """List what can follow WORD…: what the shell asks for tab completion."""
    for each in candidates(given.parser, given.words or [""], _values):
        print(each)
    return 0


def candidates(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    values: Callable[[argparse.Action], Iterable[str]],
) -> list[str]:
    """What can stand where the last of ``words`` is begun; nothing where a file's name can.

    ``values`` knows what an argument can be whose parser does not say.
    """
    *before, begun = words
    expected: argparse.Action | None = None
    at = 0
    for word in before:
        if expected is not None:
            expected = None
            continue
        if word.startswith("-"):
            action = parser._option_string_actions.get(word)
            takes = action is not None and action.nargs not in (0, "?")
            expected = action if takes else None
            continue
        positional = _positional(parser, at)
        if isinstance(positional, argparse._SubParsersAction) and word in positional.choices:
            parser, at = positional.choices[word], 0
        else:
            at += 1
    if expected is None and begun.startswith("-"):
        found: Iterable[str] = parser._option_string_actions
    else:
        action = expected or _positional(parser, at)
        found = () if action is None else action.choices or values(action)
    return sorted(word for word in map(str, found) if word.startswith(begun))


def _positional(parser: argparse.ArgumentParser, at: int) -> argparse.Action | None:
    actions = parser._get_positional_actions()
    return actions[at] if at < len(actions) else None


def _values(action: argparse.Action) -> Iterable[str]:
    from .target import config, registry

    if action.dest == "target":
        return registry.names()
    if action.dest == "targets":  # compare's: the first two of them
        return map(",".join, itertools.permutations(registry.names(), 2))
    if action.dest == "machine":
        return config.machines()
    if action.dest == "no_verify":
        return [rule.name for rule in registry.get("sim").rules()]
    return ()
