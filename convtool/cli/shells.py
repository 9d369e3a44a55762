"""Shells and what they ask of the program while a command line is typed: Click's protocol, with scripts of its own.

Click's scripts lose what follows a comma in fish, an option's name before an equals sign in zsh, and in bash the names
behind the colons of ``FILE::TENSOR``, spaces and brackets. Here a shell hands over its line as it stands up to the
cursor, and whole words come back.
"""

from __future__ import annotations

import os
import re
import shlex

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

VARIABLE = "_CONVTOOL_COMPLETE"
"""What a shell sets for its question."""

_SPECIAL = re.compile(r"[^\w@%+=:,./~-]")
"""What a shell would not take for a character of a word."""

_BASH = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a plain described
    local type key descr
    local line="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX"
    for type key descr in "${(@f)$(COMP_WORDS=$line COMP_QUOTE=$QIPREFIX \\
        %(complete_var)s=zsh_complete ${~words[1]} 2>/dev/null)}"; do
        case $type in
            plain)
                if [[ $descr == _ ]]; then plain+=("$key"); else described+=("$key:$descr"); fi ;;
            dir) compset -P '--*='; _path_files -/ ;;
            file) compset -P '--*='; _path_files -f ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -Q -U -V unsorted -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l line (commandline -cp)
    for item in (env COMP_WORDS="$line" %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 2 , -- $item)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[3] | string replace -r '^' -- $parts[2]
            case file
                __fish_complete_path $parts[3] | string replace -r '^' -- $parts[2]
            case plain
                string replace -r '^plain,' '' -- $item
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _OnLine(ShellComplete):
    """A shell that hands over its line up to the cursor as `COMP_WORDS`."""

    _joined = ""
    """``--option=``, where the value behind it is being typed."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and what there is of that."""
        _, *words, last = split_arg_string(f"{os.environ['COMP_WORDS']}x")  # which ends a word, or is one
        return words, last[:-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What can stand there, as whole words."""
        if incomplete.startswith("--") and "=" in incomplete:
            self._joined = incomplete[: incomplete.index("=") + 1]
        self.ctx_args = {"obj": args}
        items = super().get_completions(args, incomplete)
        for item in items:
            if item.type == "plain":
                item.value = self._joined + item.value
        return items


class Bash(_OnLine, BashComplete):
    """Bash, which puts what comes back behind the last character of the word that breaks words for it."""

    source_template = _BASH

    def format_completion(self, item: CompletionItem) -> str:
        """A line of the answer."""
        line = os.environ["COMP_WORDS"]
        if item.type != "plain":
            return super().format_completion(item)
        if _quoted(line):
            return f"plain,{item.value.removeprefix(self._joined)}"
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        typed = self.get_completion_args()[1]
        kept = max((typed.rfind(each) for each in breaks if not each.isspace()), default=-1) + 1
        return f"plain,{_escaped(item.value[kept:])}"


class Zsh(_OnLine, ZshComplete):
    """Zsh, which puts words on the line as they come, within the quotes that it tells of."""

    source_template = _ZSH

    def format_completion(self, item: CompletionItem) -> str:
        """Three lines of the answer."""
        if item.type == "plain" and not (item.help or os.environ.get("COMP_QUOTE")):
            item.value = _escaped(item.value)
        return super().format_completion(item)


class Fish(_OnLine, FishComplete):
    """Fish, which is told of files what stands before their names."""

    source_template = _FISH

    def format_completion(self, item: CompletionItem) -> str:
        """A line of the answer."""
        if item.type == "plain":
            return super().format_completion(item)
        return f"{item.type},{self._joined},{item.value}"


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Let Click answer the shells by these classes."""
    for shell in SHELLS.values():
        add_completion_class(shell)


def script(shell: str) -> str:
    """What `shell` is to run so that it completes the program's command lines."""
    return SHELLS[shell](click.Command("convtool"), {}, "convtool", VARIABLE).source()


def _quoted(line: str) -> bool:
    """Whether `line` ends within quotes."""
    try:
        shlex.split(f"{line}x")
    except ValueError:
        return True
    return False


def _escaped(word: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", word)
