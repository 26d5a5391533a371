"""Which sound families the folders of a user's own sounds mean by their names: `rain/`, `dog barks/`, `steps/wood/`.

A folder means the families whose name it is; else those of which it is a label; else those of a wider group; else
those with all its words in their name or in one label; else those of that material.  Plurals count as singulars.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath

from foleycli.soundset.kinds import FAMILIES

# What people call several families together.
_GROUPS = {
    frozenset({"animal"}): ("dog", "sheep", "cow", "bird", "horse", "lion", "pig"),
    frozenset({"human"}): ("man",),
    frozenset({"weather"}): ("rain", "wind"),
    frozenset({"vehicle"}): ("engine",),
    frozenset({"impact"}): ("thud",),
}


def families_meant(file: str) -> frozenset[str]:
    """Families by the folders of a file's path, the innermost that means any; a file in no folder: by its own name.

    A folder is first read together with the one around it, so that `footsteps/wood` are steps and no hits.
    """
    path = PurePosixPath(file)
    names = path.parent.parts or (path.stem,)
    for k in reversed(range(len(names))):
        meant = _meant_by(" ".join(names[max(0, k - 1) : k + 1])) or _meant_by(names[k])
        if meant:
            return meant
    return frozenset()


@lru_cache(maxsize=1024)
def _meant_by(folder: str) -> frozenset[str]:
    words = _words(folder)
    if not words:
        return frozenset()
    rules = (
        lambda family: words == _words(family.name),
        lambda family: words in map(_words, family.labels),
        lambda family: family.name in _GROUPS.get(words, ()),
        lambda family: any(words <= _words(phrase) for phrase in (family.name, *family.labels)),
        lambda family: words == _words(family.material),
    )
    found = (frozenset(family.name for family in FAMILIES.values() if rule(family)) for rule in rules)
    return next(filter(None, found), frozenset())


@lru_cache(maxsize=1024)
def _words(phrase: str) -> frozenset[str]:
    """Lower-case words without digits, in the singular."""
    words = re.findall(r"[a-z]+", phrase.lower())
    return frozenset(re.sub(r"(?<=ss|sh|ch)es$|(?<=[^s])s$", "", word) for word in words)
