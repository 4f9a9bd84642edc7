"""Which names and numbers of a summary's sentence its source never says, and how much of the sentence it does. Pure.

A small model that sums up a meeting invents a person, moves a date, doubles an amount. Whether a paraphrase is true
nobody can tell cheaply, but a name or a number is either in the source or it is not. So both are looked up in an
index of the source, which is built once, in linear time, and answers in microseconds.

Transcripts come in lower case and without punctuation, say numbers in digits or words, and inflect names; every
comparison forgives that. A false alarm costs a good sentence, and an invention that is missed leaves things as they
would be without the check: where it is not clear that something is a name or a number, it is none.

So the source is read with every reading it can have and the sentence with the likeliest. "Twenty four" in the source
supports 24, 20 and 4; in a sentence it claims 24. This is also why a sentence that the source has verbatim is always
supported, and why adding to a source takes nothing from it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from services.summarize.number_claims import Claim, is_label, label_numbers, number_claims
from services.summarize.number_keys import MOST_DIGITS, whole_key
from services.summarize.number_words import NumberWords, glue_between, number_words, run_keys
from services.summarize.numerals import positional_numbers
from services.summarize.proper_names import joined_forms, names, roman_value, split_at_capitals
from services.summarize.wording import (
    COMPOUNDING,
    FARTHEST_LETTER,
    IS_KATAKANA,
    LONGEST_ABBREVIATION,
    LONGEST_COMPOUND,
    SHORTEST_CONTENT,
    WORD,
    Token,
    each_token,
    endings_of,
    fold,
    grams_of,
    has_content,
    has_prefix,
    stems,
    trigrams,
    variants,
)


class Evidence:
    """What a source says: its words and numbers, asked about sentences that claim to follow from it.

    Building it takes time linear in the source, a second for 200,000 words; a question takes time linear in the
    sentence. Nothing in either can make it raise.

    Args:
        source: the whole text, in whatever case and punctuation, of any length.
        language: its ISO 639-1 code, for the number words, endings and nouns with capitals of the language.
            Number words of the source are read in English too.
    """

    def __init__(self, source: str, language: str) -> None:
        self._language = language
        self._endings = endings_of(language)
        self._numbers = positional_numbers(source)
        self._labels: set[str] = set()
        self._spelled: set[str] = set()
        folded: dict[str, str] = {}
        self._read(source, folded)
        self._words = {variant for word in folded.values() for variant in variants(word)} - {""}
        self._stems = {stem for word in self._words for stem in stems(word, self._endings)}
        self._grams = {gram for word in folded.values() for gram in grams_of(word)}
        long_words = self._words if language in COMPOUNDING else set()
        self._forward = sorted(word for word in long_words if len(word) >= SHORTEST_CONTENT)
        self._backward = sorted(word[::-1] for word in self._forward)
        self._words |= self._spelled

    def unsupported(self, sentence: str, language: str | None = None) -> tuple[str, ...]:
        """Return the names and numbers of `sentence` that are nowhere in the source, as written, each once.

        Numbers are digits of any script and number words that are nothing else; names are what the case of letters
        tells, and Latin and katakana among scripts without case. Days, months and labels such as "Speaker 2" count.

        Args:
            sentence: one sentence or more, of any length.
            language: its ISO 639-1 code if it is not the source's. Then only names that no language translates count:
                those with capitals inside, such as NASA and iPhone.
        """
        foreign = language is not None and language != self._language
        tokens = list(each_token(sentence))
        spots: dict[int, str] = {}
        spoken: set[int] = set()
        labelled: set[int] = set()
        for label, number in pairwise(tokens):
            if number.is_number and is_label(label, number):
                labelled.add(number.start)
                if self._labels.isdisjoint(label_numbers(number, ())):
                    spots[label.start] = sentence[label.start : number.end]
        for claim in number_claims(sentence, tokens, number_words(language or self._language)):
            spoken.add(claim.start)
            if claim.start not in labelled and not self._supports(claim):
                spots[claim.start] = sentence[claim.start : claim.end]
        for index in names(sentence, tokens, self._language):
            token = tokens[index]
            if foreign and not any(letter.isupper() for letter in token.text[1:]):
                continue
            if token.start not in spoken and not self._has_name(sentence, tokens, index):
                spots.setdefault(token.start, token.text)
        return tuple(dict.fromkeys(spots[start] for start in sorted(spots)))

    def support(self, sentence: str) -> float:
        """Return the share, 0 to 1, of what `sentence` says that the source says too; 1.0 when it says nothing.

        Counted are words of `SHORTEST_CONTENT` letters, by their stems; in Arabic and Hebrew without their prefixes;
        the first two syllables of Korean words; pairs of characters in scripts without spaces. How they are put
        together is not looked at.
        """
        known = total = 0
        for match in WORD.finditer(sentence):
            word = fold(match.group())
            grams = grams_of(word)
            if grams:
                total += len(grams)
                known += sum(gram in self._grams for gram in grams)
            elif has_content(word):
                total += 1
                known += self._has(word)
        return known / total if total else 1.0

    def _read(self, source: str, folded: dict[str, str]) -> None:
        """Take in the words and numbers of the source, token by token."""
        tables = [number_words(language) for language in dict.fromkeys((self._language, "en"))]
        numeric: dict[str, bool] = {}
        run: list[Token] = []
        previous: Token | None = None
        letters = ""
        for token in each_token(source):
            if token.text not in folded:
                folded[token.text] = fold(token.text)
                numeric[token.text] = token.is_number or any(
                    table.canonical(token.text, folded[token.text], strict=False) for table in tables
                )
            if len(folded[token.text]) == 1 and not token.is_number:
                apart = previous is None or token.start - previous.end > FARTHEST_LETTER
                letters = ("" if apart else letters)[1 - LONGEST_ABBREVIATION :] + folded[token.text]
                self._spelled.update(letters[at:] for at in range(len(letters) - 1))
            else:
                letters = ""
            if run and not (numeric[token.text] and glue_between(source, run[-1], token)):
                self._read_run(source, run, tables)
                run = []
            if numeric[token.text]:
                if previous is not None and is_label(previous, token):
                    self._labels |= label_numbers(token, tables)
                run.append(token)
            previous = token
        self._read_run(source, run, tables)

    def _read_run(self, source: str, run: Sequence[Token], tables: Iterable[NumberWords]) -> None:
        for table in tables:
            self._numbers.update(run_keys(source, run, table))

    def _supports(self, claim: Claim) -> bool:
        return any(all(map(self._has_number, reading)) for reading in claim.readings)

    def _has_number(self, key: str) -> bool:
        if key in self._numbers:
            return True
        # Longer ones were said in parts: a telephone number is there when each stretch of it is.
        windows = (key[at : at + MOST_DIGITS] for at in range(len(key) - MOST_DIGITS + 1))
        return len(key) > MOST_DIGITS and key.isdecimal() and all(whole_key(part) in self._numbers for part in windows)

    def _has(self, word: str) -> bool:
        """Tell whether a folded word is in the source, whatever its ending."""
        for variant in variants(word):
            if variant in self._words or not self._stems.isdisjoint(stems(variant, self._endings)):
                return True
        return self._language in COMPOUNDING and self._has_piece(word)

    def _has_piece(self, word: str) -> bool:
        """Tell whether a compound word shares a word of `SHORTEST_CONTENT` letters with the source."""
        if not SHORTEST_CONTENT <= len(word) <= LONGEST_COMPOUND:
            return False
        if has_prefix(self._forward, word) or has_prefix(self._backward, word[::-1]):
            return True
        cuts = range(SHORTEST_CONTENT, len(word) - SHORTEST_CONTENT + 1)
        ends = range(SHORTEST_CONTENT, len(word))
        return any(word[:cut] in self._words for cut in ends) or any(word[cut:] in self._words for cut in cuts)

    def _has_name(self, sentence: str, tokens: Sequence[Token], index: int) -> bool:
        """Tell whether the source has the name at `index`, as it stands or cut or joined otherwise."""
        token = tokens[index]
        word = fold(token.text)
        if IS_KATAKANA.match(token.text):
            trimmed = word.rstrip("ー")
            return all(gram in self._grams for gram in trigrams(trimmed)) or trimmed in self._words
        if word in self._words or (len(word) > 1 and self._has(word)) or word.removesuffix("s") in self._words:
            return True
        if (value := roman_value(word)) and str(value) in self._numbers:
            return True
        pieces = split_at_capitals(token.text)
        if len(pieces) > 1 and all(fold(piece) in self._words for piece in pieces):
            return True
        return any(joined in self._words for joined in joined_forms(sentence, tokens, index))
