"""Which kinds of sound the folders of a user's own sounds mean by their names: `rain/`, `dog barks/`, `steps/wood/`.

A folder means the kinds whose name it is; else those of which it is a label; else those of a wider group; else those
with all its words in their name or in one label; else those of that material.  Plurals count as singulars.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath

from foleycli.soundset.kinds import SOUND_KINDS

# What people call several kinds together.
_GROUPS = {
    frozenset({"animal"}): ("dog", "sheep", "cow", "bird", "horse", "lion", "pig"),
    frozenset({"human"}): ("man",),
    frozenset({"weather"}): ("rain", "wind"),
    frozenset({"vehicle"}): ("engine",),
    frozenset({"impact"}): ("thud",),
}


def kinds_by_name(file: str) -> frozenset[str]:
    """Kinds by the folders of a file's path, the innermost that means any; a file in no folder: by its own name.

    A folder is first read together with the one around it, so that `footsteps/wood` are steps and no hits.
    """
    path = PurePosixPath(file)
    names = path.parent.parts or (path.stem,)
    for k in reversed(range(len(names))):
        kinds = _kinds_of_folder(" ".join(names[max(0, k - 1) : k + 1])) or _kinds_of_folder(names[k])
        if kinds:
            return kinds
    return frozenset()


@lru_cache(maxsize=1024)
def _kinds_of_folder(folder: str) -> frozenset[str]:
    """By the first rule that any kind meets."""
    words = _words(folder)
    if not words:
        return frozenset()
    rules = (
        lambda kind: words == _words(kind.name),
        lambda kind: words in map(_words, kind.labels),
        lambda kind: kind.name in _GROUPS.get(words, ()),
        lambda kind: any(words <= _words(phrase) for phrase in (kind.name, *kind.labels)),
        lambda kind: words == _words(kind.material),
    )
    found = (frozenset(kind.name for kind in SOUND_KINDS.values() if rule(kind)) for rule in rules)
    return next(filter(None, found), frozenset())


@lru_cache(maxsize=1024)
def _words(phrase: str) -> frozenset[str]:
    """Lower-case words without digits, in the singular."""
    words = re.findall(r"[a-z]+", phrase.lower())
    return frozenset(re.sub(r"(?<=ss|sh|ch)es$|(?<=[^s])s$", "", word) for word in words)
