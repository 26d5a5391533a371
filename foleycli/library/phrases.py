"""Which phrases the words of a sentence mean: spans of one to four words against the phrases of a library.

A whole sentence is near to no phrase ("a large audience gives a standing ovation with applause"), a word of it is near
to too many ("ringing" to a bell).  So every span is compared with every phrase, by the cosine of their text vectors and
by how well the words of each are found in the other, and the best spans of different parts of the sentence are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foleycli.features.text import TextEncoder

MIN_SCORE = 0.74  # of a match
# How much of a phrase, and of the prompt, is found in the other at least: "road" is not "road works".
MIN_PHRASE_FOUND, MIN_SPAN_FOUND = 0.78, 0.5
LONGEST_SPAN = 4  # content words
LONGER_IS_BETTER = 0.02  # for each further word that is explained
SPECIFIC_IS_BETTER = 0.1  # for each further word of a phrase that is all there: "walking on snow" before "walking"
ALL_FOUND = 0.999
N_CANDIDATES = 16  # phrases by cosine that are looked at word by word
PLAIN_WEIGHT = 0.4  # of words that say little about a sound, against 1 of all others

# Words that say nothing about a sound; they also part what is named: "a dog barks while rain falls" names two things.
EMPTY_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "into",
        "onto",
        "with",
        "and",
        "or",
        "as",
        "by",
        "from",
        "for",
        "is",
        "are",
        "was",
        "be",
        "being",
        "it",
        "its",
        "his",
        "her",
        "their",
        "my",
        "your",
        "this",
        "that",
        "these",
        "those",
        "while",
        "then",
        "there",
        "two",
        "three",
        "some",
        "several",
        "off",
        "up",
        "down",
        "out",
        "over",
        "under",
        "across",
        "through",
        "around",
        "between",
        "someone",
        "somebody",
        "something",
        "person",
        "man",
        "woman",
        "people",
        "guy",
        "boy",
        "girl",
        "who",
        "which",
        "very",
    ]
)
PLAIN_WORDS = frozenset(
    [
        "sound",
        "sounds",
        "noise",
        "playing",
        "play",
        "hitting",
        "hit",
        "making",
        "make",
        "old",
        "small",
        "large",
        "big",
        "loud",
        "soft",
        "quiet",
        "heavy",
        "light",
        "distant",
        "near",
    ]
)
ENDINGS = ("ings", "ing", "es", "s", "ed")


@dataclass(frozen=True)
class PhraseMatch:
    """A phrase that part of a sentence means."""

    phrase: int  # its index
    score: float  # 1 and a little more for the very words, MIN_SCORE at least
    span: str  # the words of the sentence, without the empty ones


@dataclass(frozen=True)
class _Word:
    text: str
    part: int  # of the sentence: between two empty words or stops


class PhraseIndex:
    """Phrases that sentences are compared with."""

    def __init__(self, phrases: Sequence[str], text: TextEncoder) -> None:
        self.phrases, self._text = list(phrases), text
        self._words = [[word.text for word in content_words(phrase)] or phrase.lower().split() for phrase in phrases]
        known = sorted({word for words in self._words for word in words})
        self._vector_of = dict(zip(known, text.encode(known), strict=True))  # [D] each
        self._vectors = text.encode(self.phrases)  # [P, D]

    def find(self, sentence: str, n: int = 3, handicap: np.ndarray | None = None) -> list[PhraseMatch]:
        """What a sentence names, best first: at most `n` phrases, no two for the same part of it.

        handicap   float32 [P], taken off the scores of phrases that others shall win over
        """
        words = content_words(sentence)
        found = [(match, parts) for match, parts in self._candidates(words, handicap) if match.score >= MIN_SCORE]
        found.sort(key=lambda one: -one[0].score)
        kept: list[PhraseMatch] = []
        taken: set[int] = set()
        for match, parts in found:
            if len(kept) < n and not parts & taken:
                kept.append(match)
                taken |= parts
        return kept

    def _candidates(self, words: Sequence[_Word], handicap: np.ndarray | None) -> list[tuple[PhraseMatch, set[int]]]:
        """Every span's best phrases, with the parts of the sentence that the span is in."""
        spans = [words[i : i + n] for n in range(1, LONGEST_SPAN + 1) for i in range(len(words) - n + 1)]
        if not spans:
            return []
        texts = [" ".join(word.text for word in span) for span in spans]
        cosines = self._text.encode(texts) @ self._vectors.T  # [S, P]
        single_words = sorted({word.text for word in words})
        vector_of = dict(zip(single_words, self._text.encode(single_words), strict=True))
        found = []
        for span, text, row in zip(spans, texts, cosines, strict=True):
            parts = {word.part for word in span}
            for phrase in np.argpartition(-row, min(N_CANDIDATES, len(row) - 1))[:N_CANDIDATES]:
                score = self._score([word.text for word in span], int(phrase), float(row[phrase]), vector_of)
                score -= float(handicap[phrase]) if handicap is not None else 0.0
                found.append((PhraseMatch(int(phrase), score, text), parts))
        return found

    def _score(self, span: list[str], phrase: int, cosine: float, vector_of: dict[str, np.ndarray]) -> float:
        """How well a span and a phrase agree; 0 where too little of one is found in the other."""
        words = self._words[phrase]
        likeness = np.array(
            [[1.0 if stem(a) == stem(b) else float(vector_of[a] @ self._vector_of[b]) for b in words] for a in span]
        )  # [span, phrase]
        phrase_found = float(np.average(likeness.max(axis=0), weights=[_weight(word) for word in words]))
        span_found = float(np.average(likeness.max(axis=1), weights=[_weight(word) for word in span]))
        if phrase_found < MIN_PHRASE_FOUND or span_found < MIN_SPAN_FOUND:
            return 0.0
        is_whole, is_all = phrase_found > ALL_FOUND, span_found > ALL_FOUND  # but for endings and order
        score = 1.0 if is_whole and is_all else 0.5 * cosine + 0.25 * (phrase_found + span_found)
        return score + LONGER_IS_BETTER * (len(span) - 1) + (SPECIFIC_IS_BETTER * (len(words) - 1) if is_whole else 0)


def content_words(sentence: str) -> list[_Word]:
    """The words of a sentence that say something, each with the number of its part."""
    part, found = 0, []
    for text in re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*|[,.;:!?]", sentence.lower()):
        if text in EMPTY_WORDS or not text[0].isalpha():
            part += 1
        else:
            found.append(_Word(text, part))
    return found


def stem(word: str) -> str:
    """A word without the ending of a plural or of a verb's form, and without the doubled letter before it."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word  # sobbing, sobs; hissing, hiss


def _weight(word: str) -> float:
    return PLAIN_WEIGHT if word in PLAIN_WORDS else 1.0
