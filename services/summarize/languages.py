"""Which language a text is written in, and whether what a model wrote is in the language it was asked for. Pure.

Most scripts belong to one language, or to so few that counting letters answers. Only among the languages that
share a script a classifier is asked: py3langid, a naive Bayes model over byte n-grams (Lui and Baldwin,
"langid.py: An Off-the-shelf Language Identification Tool", ACL 2012), and it may choose only among languages
written in that script. So no answer is absurd, and none costs more than reading a few thousand letters.

The model is loaded when it is first needed, once for all threads: half a second, 80 MB.
"""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import groupby
from math import log, sqrt
from types import MappingProxyType
from typing import Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "English",
        "zh": "Chinese",
        "de": "German",
        "es": "Spanish",
        "ru": "Russian",
        "ko": "Korean",
        "fr": "French",
        "ja": "Japanese",
        "pt": "Portuguese",
        "tr": "Turkish",
        "pl": "Polish",
        "ca": "Catalan",
        "nl": "Dutch",
        "ar": "Arabic",
        "sv": "Swedish",
        "it": "Italian",
        "id": "Indonesian",
        "hi": "Hindi",
        "fi": "Finnish",
        "vi": "Vietnamese",
        "he": "Hebrew",
        "uk": "Ukrainian",
        "el": "Greek",
        "ms": "Malay",
        "cs": "Czech",
        "ro": "Romanian",
        "da": "Danish",
        "hu": "Hungarian",
        "ta": "Tamil",
        "no": "Norwegian",
        "th": "Thai",
        "ur": "Urdu",
        "hr": "Croatian",
        "bg": "Bulgarian",
        "lt": "Lithuanian",
        "la": "Latin",
        "ml": "Malayalam",
        "cy": "Welsh",
        "sk": "Slovak",
        "te": "Telugu",
        "fa": "Persian",
        "lv": "Latvian",
        "bn": "Bengali",
        "sr": "Serbian",
        "az": "Azerbaijani",
        "sl": "Slovenian",
        "kn": "Kannada",
        "et": "Estonian",
        "mk": "Macedonian",
        "br": "Breton",
        "eu": "Basque",
        "is": "Icelandic",
        "hy": "Armenian",
        "ne": "Nepali",
        "mn": "Mongolian",
        "bs": "Bosnian",
        "kk": "Kazakh",
        "sq": "Albanian",
        "sw": "Swahili",
        "gl": "Galician",
        "mr": "Marathi",
        "pa": "Punjabi",
        "si": "Sinhala",
        "km": "Khmer",
        "sn": "Shona",
        "yo": "Yoruba",
        "so": "Somali",
        "af": "Afrikaans",
        "oc": "Occitan",
        "ka": "Georgian",
        "be": "Belarusian",
        "tg": "Tajik",
        "gu": "Gujarati",
        "am": "Amharic",
        "yi": "Yiddish",
        "lo": "Lao",
        "uz": "Uzbek",
        "fo": "Faroese",
        "ht": "Haitian Creole",
        "ps": "Pashto",
        "tk": "Turkmen",
        "nn": "Norwegian Nynorsk",
        "mt": "Maltese",
        "lb": "Luxembourgish",
        "my": "Burmese",
        "bo": "Tibetan",
        "tl": "Tagalog",
        "mg": "Malagasy",
        "as": "Assamese",
        "tt": "Tatar",
        "ln": "Lingala",
        "ha": "Hausa",
        "ba": "Bashkir",
        "jv": "Javanese",
        "ky": "Kyrgyz",
        "ga": "Irish",
        "or": "Odia",
    }
)
"""English name of every language that can be told, by ISO 639-1 code; the most widespread first, as Whisper has it."""

SHORTEST_FOREIGN_SENTENCE: Final = 5
"""Words a sentence must have before the classifier may say that it is in a wrong language of the right script."""

_ENGLISH: Final = "en"

# By the first word of a letter's Unicode name.
_LANGUAGES_OF_SCRIPT: Final[Mapping[str, tuple[str, ...]]] = {
    "HANGUL": ("ko",),
    "CJK": ("zh", "ja"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "BOPOMOFO": ("zh",),
    "HEBREW": ("he", "yi"),
    "GREEK": ("el",),
    "ARMENIAN": ("hy",),
    "GEORGIAN": ("ka",),
    "THAI": ("th",),
    "LAO": ("lo",),
    "KHMER": ("km",),
    "MYANMAR": ("my",),
    "TIBETAN": ("bo",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "ORIYA": ("or",),
    "ETHIOPIC": ("am",),
    "BENGALI": ("bn", "as"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "ARABIC": ("ar", "fa", "ur", "ps"),
    "CYRILLIC": ("ru", "uk", "bg", "sr", "be", "mk", "kk", "ky", "mn", "tg", "tt", "ba", "uz"),
}
_ALSO_LATIN: Final = frozenset({"sr", "uz"})

# Han and kana say in one character what takes an alphabet several letters.
_LETTERS_PER_CHARACTER: Final[Mapping[str, int]] = {"CJK": 3, "HIRAGANA": 2, "KATAKANA": 2, "HANGUL": 2, "ETHIOPIC": 2}
_KANA: Final = ("HIRAGANA", "KATAKANA")

_PRIOR_WEIGHT: Final = 3.0
"""Weight of a language's rank, in log-likelihood: two words outweigh it, and names alone hardly do."""

_LEAST_KANA: Final = 0.1
"""Share of kana in Han and kana from which they are Japanese, where half or more is usual: Chinese quotes a name."""
_FEW_KANA: Final = 3
"""Kana that a Chinese sentence may have all the same, as ornament or in a name."""
_MANY_HAN: Final = 12
"""Han characters among which a Japanese sentence has a kana, though its headlines go without for a while."""

_PIECE: Final = 500
"""Characters that are judged at once: enough to be sure, few enough to hold one language."""
_PIECES: Final = 24
"""Pieces that a long text is judged by."""

_FEWEST_LETTERS: Final = 6
"""Latin letters below which a text says nothing about its language."""
_NAME_LETTERS: Final = 9
"""Letters of a foreign script that may be a name: three Han characters."""

_CLEAR_MARGIN: Final = 1.5
"""How much likelier another language must be, in log-likelihood per square root of bytes, as sums of weak hints
grow (py3langid scales its confidence so too). Beginnings of five words and whole sentences in 60 languages lie
above 1.5 for the true language in 999 of 1000 comparisons and never below -0.4."""
_FEWEST_COMMON_WORDS: Final = 3
"""Words without a capital that a sentence must have so as not to be a list of names."""
_CLEAR_MARGIN_OF_NAMES: Final = 3.75
"""As `_CLEAR_MARGIN` for what may be a list of names: the classifier hears the language of the names, up to 3.6."""

_YIDDISH_POINTS: Final = re.compile("[\u05b7\u05b8\u05bf]|[װױײ]")
_YIDDISH_WORDS: Final = frozenset(
    {"די", "דער", "דאס", "און", "איז", "האט", "זיך", "נישט", "אויף", "מיט", "פון", "מיר", "דעם"}
)

# Nobody tells a sentence of these apart with certainty, so none is blamed for being the other.
_ALIKE: Final = (
    frozenset({"no", "nn", "da"}),
    frozenset({"hr", "bs", "sr"}),
    frozenset({"id", "ms"}),
    frozenset({"cs", "sk"}),
    frozenset({"gl", "pt"}),
    frozenset({"bg", "mk"}),
    frozenset({"de", "lb"}),
    frozenset({"tt", "ba"}),
)


def language_of(text: str) -> str:
    """Return the code of the language that most of `text` is written in, a key of `NAMES`.

    A long text is judged by pieces from its beginning to its end, so the time does not grow with it; each piece
    counts with its letters. "en" for a text without letters or with too few to tell.
    """
    votes: Counter[str] = Counter()
    for piece in _pieces(text):
        weights = _weights(piece)
        if weights:
            votes[_language_of_piece(piece, weights)] += weights.total()
    # max takes the first of equals, so the order of NAMES decides a draw and equal texts get equal answers.
    return max(NAMES, key=votes.__getitem__) if votes else _ENGLISH


def is_written_in(text: str, language: str, other: str) -> bool:
    """Tell whether a sentence that a model wrote is, as far as can be told, in `language`.

    Only what is clear counts against it: most letters are of another script, or the sentence has
    `SHORTEST_FOREIGN_SENTENCE` words and is far likelier `other` or English, into which small models fall.
    Names, numbers and loan words are no offence.

    Args:
        text: one or a few sentences.
        language: code of the language it should be in; of an unknown one nothing is told.
        other: code of the language that it may have slipped into, that of the source for one.
    """
    if language not in NAMES:
        return True
    pieces = list(_pieces(text))
    if not _is_in_script_of(pieces, language):
        return False
    rivals = {code for code in (other, _ENGLISH) if code != language and not _are_alike(code, language)}
    words = [word for piece in pieces for word in piece.split()]
    if not rivals or len(words) < SHORTEST_FOREIGN_SENTENCE:
        return True
    scores = _scores(pieces, {language, *rivals})
    size = sum(len(piece.encode(errors="surrogatepass")) for piece in pieces)
    common = sum(not word[0].isupper() for word in words)
    clear = _CLEAR_MARGIN if common >= _FEWEST_COMMON_WORDS else _CLEAR_MARGIN_OF_NAMES
    return language not in scores or max(scores.values()) - scores[language] <= clear * sqrt(size)


def _pieces(text: str) -> Iterator[str]:
    """Yield the whole text in pieces, or of a long one as many pieces evenly from its beginning to its end."""
    if len(text) <= _PIECE * _PIECES:
        starts: Iterable[int] = range(0, len(text), _PIECE)
    else:
        starts = ((len(text) - _PIECE) * number // (_PIECES - 1) for number in range(_PIECES))
    for start in starts:
        yield text[start : start + _PIECE]


def _weights(text: str) -> Counter[str]:
    """Return by script how many letters' worth `text` has of it, for the scripts of known languages."""
    counts = Counter(map(_script, text))
    return Counter({script: n * _LETTERS_PER_CHARACTER.get(script, 1) for script, n in counts.items() if script})


@lru_cache(maxsize=1 << 14)
def _script(character: str) -> str:
    """Return the script of a letter as its Unicode name begins; empty for what is none or of no known language."""
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    script = name.partition(" ")[0]
    return script if script == "LATIN" or script in _LANGUAGES_OF_SCRIPT else ""


def _language_of_piece(piece: str, weights: Counter[str]) -> str:
    (script, weight), *_ = weights.most_common(1)
    if weights["CJK"] + sum(weights[kana] for kana in _KANA) >= weight:
        return "ja" if _is_japanese(weights) else "zh"
    if script == "HEBREW":
        return "yi" if _is_yiddish(piece) else "he"
    if script == "LATIN" and weight < _FEWEST_LETTERS:
        return _ENGLISH
    candidates = _languages_of(script)
    if len(candidates) == 1:
        return candidates[0]
    scores = _scores([piece], candidates)
    return max(candidates, key=lambda language: scores[language] + _prior(language))


def _is_japanese(weights: Counter[str]) -> bool:
    kana = sum(weights[script] for script in _KANA)
    return kana > _LEAST_KANA * (kana + weights["CJK"])


def _is_yiddish(text: str) -> bool:
    """Tell Yiddish from Hebrew: by the vowels that it points or writes, and by its commonest words."""
    words = text.split()
    commonest = sum(word in _YIDDISH_WORDS for word in words)
    return len(_YIDDISH_POINTS.findall(text)) > len(words) / 4 or commonest > len(words) / 12


@cache
def _languages_of(script: str) -> tuple[str, ...]:
    if script != "LATIN":
        return _LANGUAGES_OF_SCRIPT[script]
    elsewhere = {language for languages in _LANGUAGES_OF_SCRIPT.values() for language in languages}
    return tuple(code for code in NAMES if code not in elsewhere or code in _ALSO_LATIN)


@cache
def _scripts_of(language: str) -> frozenset[str]:
    return frozenset(script for script in ("LATIN", *_LANGUAGES_OF_SCRIPT) if language in _languages_of(script))


@cache
def _prior(language: str) -> float:
    """Return the log of what speaks for a language before anything is read: Zipf's law over the ranks of `NAMES`.

    It decides where a text is too short to, and weighs nothing against a sentence.
    """
    return -_PRIOR_WEIGHT * log(1 + list(NAMES).index(language))


def _are_alike(first: str, second: str) -> bool:
    return any(first in family and second in family for family in _ALIKE)


def _is_in_script_of(pieces: Iterable[str], language: str) -> bool:
    """Tell whether the letters are of a script of `language`, but for names and a loan word or two."""
    weights: Counter[str] = Counter()
    for piece in pieces:
        for script, letters in groupby(piece, _script):
            run = "".join(letters)
            # Where another script is written, a Latin word with a capital is most likely a name, which may stand.
            if script and not (script == "LATIN" and not run.islower() and script not in _scripts_of(language)):
                weights[script] += len(run) * _LETTERS_PER_CHARACTER.get(script, 1)
    kana = sum(weights[script] // _LETTERS_PER_CHARACTER[script] for script in _KANA)
    if language == "zh" and kana > _FEW_KANA and _is_japanese(weights):
        return False
    if language == "ja" and not kana and weights["CJK"] >= _MANY_HAN * _LETTERS_PER_CHARACTER["CJK"]:
        return False
    own = sum(weights[script] for script in _scripts_of(language))
    return weights.total() - own <= max(own, _NAME_LETTERS)


_LOADING: Final = threading.Lock()


def load_classifier() -> None:
    """Load it now, so that nobody waits for it later."""
    _classifier()


def _classifier() -> LanguageIdentifier:
    # lru_cache alone would let two threads load it twice.
    with _LOADING:
        return _load_classifier()


@cache
def _load_classifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _scores(pieces: Iterable[str], languages: Collection[str]) -> Mapping[str, float]:
    """Return the log-likelihood of each of the languages that the classifier knows, summed over the pieces."""
    scores: Counter[str] = Counter()
    for piece in pieces:
        for code, score in _classifier().rank(piece):
            if code in languages:
                scores[code] += score
    return scores
