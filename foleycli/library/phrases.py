"""Which phrases the words of a sentence mean: spans of one to four words against the phrases of a library.

A whole sentence is near to no phrase ("a large audience gives a standing ovation with applause"), a word of it is near
to too many ("ringing" to a bell).  So every span is compared with every phrase, by the cosine of their text vectors and
by how well the words of each are found in the other, and the best spans of different parts of the sentence are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from foleycli.features.text import TextEncoder

MIN_SCORE = 0.74  # of a match
# How much of a phrase, and of the prompt, is found in the other at least: "road" is not "road works".
MIN_PHRASE_FOUND, MIN_SPAN_FOUND = 0.78, 0.5
LONGEST_SPAN = 4  # content words
LONGER_IS_BETTER = 0.02  # for each further word that is explained
SPECIFIC_IS_BETTER = 0.1  # for each further word of a phrase that is all there: "walking on snow" before "walking"
ALL_FOUND = 0.999
MIN_WORD_LIKENESS = 0.87  # of a single word with another: "windmill" is near to "wind", "soars" to "shears"
N_CANDIDATES = 16  # phrases by cosine that are looked at word by word, those with the very words before all others
MOST_WORDS = 4096  # whose likeness to the words of all phrases is kept
MOST_SPANS = 1 << 16  # whose phrases are kept
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


_Span = tuple[str, ...]  # words that follow one another


class PhraseIndex:
    """Phrases that sentences are compared with."""

    def __init__(self, phrases: Sequence[str], text: TextEncoder) -> None:
        self.phrases, self._text = list(phrases), text
        words = [[word.text for word in content_words(phrase)] or phrase.lower().split() for phrase in phrases]
        known = sorted({word for phrase in words for word in phrase})
        number_of = {word: k for k, word in enumerate(known)}
        self._stems = np.array([stem(word) for word in known])  # [K] of the words of all phrases
        self._word_vectors = text.encode(known)  # [K, D]
        self._vectors = text.encode(self.phrases)  # [P, D]
        self._phrases_of: dict[frozenset[str], list[int]] = {}  # by the stems of their words
        for number, phrase in enumerate(words):
            self._phrases_of.setdefault(frozenset(map(stem, phrase)), []).append(number)
        self._n_words = np.array([len(phrase) for phrase in words])  # [P]
        shape = len(words), int(self._n_words.max(initial=1))  # [P, M], for the longest phrase
        self._words = np.zeros(shape, np.intp)  # numbers of words
        self._weights = np.zeros(shape)  # 0 after the end of a phrase
        for row, phrase in enumerate(words):
            self._words[row, : len(phrase)] = [number_of[word] for word in phrase]
            self._weights[row, : len(phrase)] = [_weight(word) for word in phrase]
        # The sentences of a sheet have words and spans in common.
        self._likeness = lru_cache(MOST_WORDS)(self._word_likeness)
        self._kept: dict[_Span, list[tuple[int, float]]] = {}

    def find(self, sentence: str, n: int = 3, handicap: np.ndarray | None = None) -> list[PhraseMatch]:
        """What a sentence names, best first: at most `n` phrases, no two for the same part of it.

        handicap   float32 [P], taken off the scores of phrases that others shall win over
        """
        words = content_words(sentence)
        spans = [words[i : i + size] for size in range(1, LONGEST_SPAN + 1) for i in range(len(words) - size + 1)]
        texts = [tuple(word.text for word in span) for span in spans]
        scores = self._scores(texts)
        found = []
        for span, text in zip(spans, texts, strict=True):
            for phrase, plain_score in scores[text]:
                score = plain_score - (0.0 if handicap is None else float(handicap[phrase]))
                if score >= MIN_SCORE:
                    found.append((PhraseMatch(phrase, score, " ".join(text)), {word.part for word in span}))
        found.sort(key=lambda one: -one[0].score)
        kept: list[PhraseMatch] = []
        taken: set[int] = set()
        for match, parts in found:
            if len(kept) < n and not parts & taken:
                kept.append(match)
                taken |= parts
        return kept

    def _scores(self, spans: Sequence[_Span]) -> dict[_Span, list[tuple[int, float]]]:
        """The phrases that agree with each span, with their scores; those of spans that were seen before are kept."""
        scores = {span: known for span in spans if (known := self._kept.get(span)) is not None}
        for size in range(1, LONGEST_SPAN + 1):
            new = [span for span in dict.fromkeys(spans) if len(span) == size and span not in scores]
            if new:
                scores |= self._compared(new)
        if len(self._kept) > MOST_SPANS:
            self._kept.clear()
        self._kept |= scores
        return scores

    def _word_likeness(self, word: str) -> np.ndarray:
        """How like a word is to each of the phrases' words, float64 [K]: 1 for one but for its ending."""
        likeness: np.ndarray = (self._word_vectors @ self._text.encode([word])[0]).astype(np.float64)
        likeness[self._stems == stem(word)] = 1.0
        return likeness

    def _compared(self, spans: Sequence[_Span]) -> dict[_Span, list[tuple[int, float]]]:
        """The phrases that agree with spans of n words each, with their scores."""
        cosines = self._text.encode([" ".join(span) for span in spans]) @ self._vectors.T  # [S, P]
        nearest = min(N_CANDIDATES, len(self.phrases) - 1)
        near = cosines.copy()
        for row, span in enumerate(spans):
            near[row, self._phrases_of.get(frozenset(map(stem, span)), [])] = np.inf
        phrases = np.argpartition(-near, nearest, axis=1)[:, :N_CANDIDATES]  # [S, C]
        likeness = np.stack([[self._likeness(word) for word in span] for span in spans])  # [S, n, K]
        own = np.array([[_weight(word) for word in span] for span in spans])  # [S, n]
        theirs = self._weights[phrases]  # [S, C, M]
        pairs = np.take_along_axis(likeness[:, :, None], self._words[phrases][:, None], axis=-1)  # [S, n, C, M]
        phrase_found = (pairs.max(axis=1) * theirs).sum(axis=-1) / theirs.sum(axis=-1)  # [S, C]
        nearest_word = np.where(theirs[:, None] > 0, pairs, -np.inf).max(axis=-1)  # [S, n, C]
        span_found = (nearest_word * own[:, :, None]).sum(axis=1) / own.sum(axis=1)[:, None]
        is_whole, is_all = phrase_found > ALL_FOUND, span_found > ALL_FOUND  # but for endings and order
        cosine = np.take_along_axis(cosines, phrases, axis=1)
        scores = np.where(is_whole & is_all, 1.0, 0.5 * cosine + 0.25 * (phrase_found + span_found))
        scores += LONGER_IS_BETTER * (own.shape[1] - 1)
        scores += np.where(is_whole, SPECIFIC_IS_BETTER * (self._n_words[phrases] - 1), 0.0)
        # Where too little of one is found in the other they do not agree, whatever the score.
        agrees = (phrase_found >= MIN_PHRASE_FOUND) & (span_found >= MIN_SPAN_FOUND) & (scores >= MIN_SCORE)
        if own.shape[1] == 1:
            agrees &= (self._n_words[phrases] > 1) | (phrase_found >= MIN_WORD_LIKENESS)
        return {
            span: list(zip(phrases[row, agrees[row]].tolist(), scores[row, agrees[row]].tolist(), strict=True))
            for row, span in enumerate(spans)
        }


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
    """A word without the ending of a plural or of a verb's form, and without the doubled letter or the e before it."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if len(word) > 4 and word.endswith("e"):
        return word[:-1]  # horse, horses; bottle, bottling
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word  # sobbing, sobs; hissing, hiss


def _weight(word: str) -> float:
    return PLAIN_WEIGHT if word in PLAIN_WORDS else 1.0
