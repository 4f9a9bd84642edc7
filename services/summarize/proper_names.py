"""Which words of a sentence are names, and in what other ways names are written. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from services.summarize.wording import (
    FARTHEST_LETTER,
    IS_KATAKANA,
    IS_LATIN,
    LONGEST_ABBREVIATION,
    SHORTEST_CONTENT,
    Token,
    fold,
    folded_words,
)

_UNCASED: Final = folded_words("zh ja ko ar fa ur ps he yi hi mr ne bn as pa gu or ta te kn ml si th lo km my bo am ka")
_NOUNS_HAVE_CAPITALS: Final = frozenset({"de", "lb"})

_TITLES: Final = folded_words(
    "mr mrs ms dr prof st herr herrn frau m mme mlle monsieur madame señor señora sr sra sig signor signora don doña "
    "pan pani dhr mevr hr fr"
)
_NO_NAMES: Final = _TITLES | folded_words("ok am pm tbd tba na nb ps asap eod fyi todo aka etc vs none usd eur gbp")
"""Written with capitals, and yet no name."""
_POLITE: Final = folded_words("sie ihnen ihr ihre ihren ihrem ihrer ihres")
"""German pronouns with a capital out of politeness."""

_OPENERS: Final[Mapping[str, frozenset[str]]] = {
    "en": folded_words(
        "the this that these those there here it he she they we you one who what when where why how which while "
        "after before since during until once if although though because as at by for from in into of on onto "
        "over under with within without about above across against along among around behind below between beyond "
        "despite except inside like near outside past per than through throughout to toward towards upon via and "
        "but or nor so yet not no yes all any both each either every few many more most much neither none other "
        "others several some such another same its his her their our your my everyone everybody someone somebody "
        "anyone nobody nothing something everything only also then thus hence however therefore meanwhile "
        "moreover finally additionally overall today tomorrow yesterday now later soon next last first second "
        "third can could may might must shall should will would do does did has have had is are was were let lets "
        "please according regarding concerning following given due even just still instead"
    ),
    "de": folded_words(
        "der die das den dem des ein eine einen einem einer eines er sie es wir ihr ich man wer was wann wo warum "
        "wie wenn weil dass ob als und oder aber denn sondern mit ohne für durch in im an am auf bei beim von vom "
        "zu zum zur nach vor seit über unter zwischen gegen bis während wegen trotz laut alle jeder jede jedes "
        "kein keine dieser diese dieses sein seine ihre unser unsere auch dann danach jedoch schließlich zudem "
        "außerdem heute morgen gestern"
    ),
    "fr": folded_words(
        "le la les un une des du de ce cet cette ces il elle ils elles on nous vous je tu qui que quoi quand "
        "comme comment pourquoi si mais ou et donc or car avec sans pour par dans sur sous chez vers entre depuis "
        "pendant avant après selon contre malgré lors tout tous toute toutes chaque plusieurs aucun aucune mon ma "
        "mes son sa ses notre nos votre vos leur leurs aussi ainsi puis ensuite enfin cependant"
    ),
    "es": folded_words(
        "el la los las un una unos unas lo le les se que quien cuando como donde porque si pero y ni con sin para "
        "por de del al a en sobre entre desde hasta durante antes después según contra tras ante bajo todo todos "
        "toda todas cada este esta estos estas ese esa su sus mi mis nuestra nuestro también además luego "
        "entonces finalmente no ya"
    ),
    "it": folded_words(
        "il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai da dal dalla in nel "
        "nella con su sul sulla per tra fra che chi quando come dove perché se ma o e né non si questo questa "
        "questi queste ogni tutti tutto tutte tutta suo sua loro anche poi infine inoltre tuttavia dopo prima "
        "durante secondo contro senza"
    ),
    "pt": folded_words(
        "o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com sem sobre entre desde "
        "até durante antes depois segundo contra após que quem quando como onde porque se mas ou e nem não este "
        "esta estes estas esse essa cada todo toda todos todas seu sua também além então finalmente já"
    ),
    "nl": folded_words(
        "de het een die dat deze dit er hij zij ze wij we jij je u ik wie wat wanneer waar waarom hoe als of en "
        "maar want dus omdat terwijl nadat voordat sinds tijdens tot met zonder voor door in op aan bij van uit "
        "naar over onder tussen tegen na alle elke iedere geen zijn haar hun ons onze ook dan toen daarna volgens"
    ),
}
"""Words that begin sentences and are no names, for languages in which a first word is looked at."""
_CONJUNCTIONS: Final = folded_words("and und et y e en och og")
_ENGLISH_ACTS: Final = folded_words(
    "will should must needs wants agreed said says suggested proposed asked promised offered explained mentioned "
    "reported confirmed presented volunteered plans"
)
"""What follows a name at the beginning of an English sentence: singular nouns have an article there."""
_ENGLISH_MASS_NOUNS: Final = folded_words(
    "work revenue progress feedback staff data time money demand traffic software hardware research sales marketing "
    "engineering finance legal support customers participants attendees"
)
_NOUN_ENDINGS: Final = ("ment", "tion", "sion", "ing", "ness", "ity", "ance", "ence", "ship", "s")

_ROMAN: Final = re.compile("(?=[ivxlc]{2})(c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})")
_ROMAN_DIGITS: Final = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}

_SENTENCE_ENDS: Final = frozenset(".!?…。！？\n•|")  # noqa: RUF001 - punctuation of other scripts is meant
_INTRODUCTIONS: Final = frozenset(':"“„«‘「『：')  # noqa: RUF001 - quotation marks are meant
_CLOSERS: Final = frozenset(',;.)]"”’»」』\n')  # noqa: RUF001 - quotation marks are meant
_LONGEST_UNIT: Final = 3
"""Letters of a unit after a number: km, GB, EUR."""


def names(text: str, tokens: Sequence[Token], language: str) -> Iterator[int]:
    """Yield the indices of the tokens that are names."""
    uncased = sum(len(token.text) for token in tokens if _is_uncased(token))
    cased = sum(len(token.text) for token in tokens if _has_case(token.text))
    latin_are_names = uncased > (0 if language in _UNCASED else cased)
    plain = (
        latin_are_names or _is_shouted(tokens) or (language not in _NOUNS_HAVE_CAPITALS and _is_titled(text, tokens))
    )
    for index, token in enumerate(tokens):
        if IS_KATAKANA.match(token.text):
            if len(token.text.rstrip("ー")) >= _SHORTEST_KATAKANA and fold(token.text) not in _COMMON_KATAKANA:
                yield index
        elif not _has_case(token.text) or _is_unit(text, tokens, index) or fold(token.text) in _NO_NAMES:
            continue
        elif latin_are_names:
            if IS_LATIN.match(token.text) and len(token.text) > 1:
                yield index
        elif _is_mixed(token.text) or (not plain and _is_name(text, tokens, index, language)):
            yield index


def _is_name(text: str, tokens: Sequence[Token], index: int, language: str) -> bool:
    word = tokens[index].text
    if not (word[0].isupper() or word[0].istitle()):
        return False
    if len(word) > 1 and word.isupper():
        return True
    if len(word) == 1 and not _stands_alone(text, tokens[index]):
        return False
    introduction = _introduction(text, tokens, index, language)
    if introduction == ":":
        return text[tokens[index].end : tokens[index].end + 1] in _CLOSERS | {""} or _begins_name(
            text, tokens, index, language
        )
    if introduction:
        return _begins_name(text, tokens, index, language)
    return language not in _NOUNS_HAVE_CAPITALS or _is_german_name(tokens, index)


def _begins_name(text: str, tokens: Sequence[Token], index: int, language: str) -> bool:
    """Tell whether a first word is a name, by what follows it: another name, "and" with one, "'s", an act."""
    openers = _OPENERS.get(language)
    word = fold(tokens[index].text)
    following = tokens[index + 1 : index + 3]
    if openers is None or not following or len(word) < _SHORTEST_FIRST_NAME or word in openers:
        return False
    between = text[tokens[index].end : following[0].start]
    after = fold(following[0].text)
    if between in _APOSTROPHES:
        return language == "en" and after == "s"
    if between not in (" ", "-"):
        return False
    if _is_capitalized(following[0]) and len(following[0].text) > 1:
        # German begins so with any adjective or noun before a noun.
        return language not in _NOUNS_HAVE_CAPITALS or not word.endswith(_GERMAN_ADJECTIVE_ENDINGS)
    if after in _CONJUNCTIONS and len(following) > 1:
        return language not in _NOUNS_HAVE_CAPITALS and _is_capitalized(following[1])
    return (
        language == "en"
        and after in _ENGLISH_ACTS
        and word not in _ENGLISH_MASS_NOUNS
        and not word.endswith(_NOUN_ENDINGS)
    )


def _introduction(text: str, tokens: Sequence[Token], index: int, language: str) -> str:
    """Return why a word may have a capital without being a name: "." as the first of a sentence, ":" of a quotation."""
    if index == 0:
        return "."
    previous = tokens[index - 1]
    between = text[previous.end : tokens[index].start]
    if not _SENTENCE_ENDS.isdisjoint(between):
        abbreviated = fold(previous.text) in _TITLES or (len(previous.text) == 1 and _is_capitalized(previous))
        ordinal = language in _NOUNS_HAVE_CAPITALS and previous.is_number
        return "" if between.strip() == "." and (abbreviated or ordinal) else "."
    return "" if _INTRODUCTIONS.isdisjoint(between) else ":"


def _is_uncased(token: Token) -> bool:
    return not token.is_number and not _has_case(token.text)


def _has_case(word: str) -> bool:
    """Tell whether a word is of a script with capitals that are in use; those of Georgian are not."""
    return word[0].lower() != word[0].upper() and not "\u10d0" <= word[0] <= "\u10ff"


def _is_capitalized(token: Token) -> bool:
    return token.text[0].isupper() or token.text[0].istitle()


def _is_mixed(word: str) -> bool:
    """Tell whether a word has capitals where only names have them: iPhone, McDonald."""
    return not word.isupper() and any(letter.isupper() for letter in word[1:])


def _stands_alone(text: str, token: Token) -> bool:
    """Tell whether a capital is a word, "I" or "Plan B", and no part of "L'Oréal" or "Q3"."""
    return text[token.end : token.end + 1] not in _APOSTROPHES and not text[token.end : token.end + 1].isdecimal()


def _is_unit(text: str, tokens: Sequence[Token], index: int) -> bool:
    if index == 0 or len(tokens[index].text) > _LONGEST_UNIT or not tokens[index - 1].is_number:
        return False
    between = text[tokens[index - 1].end : tokens[index].start]
    return not between or (between in (" ", "\u00a0") and not tokens[index].text.istitle())


def _is_shouted(tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence is written in capitals, so that they say nothing."""
    words = [token.text for token in tokens if len(token.text) > 1 and _has_case(token.text)]
    return len(words) >= _FEWEST_WORDS and sum(map(str.isupper, words)) > len(words) / 2


def _is_titled(text: str, tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence is written Like a Title of English, so that its capitals say little.

    A list of names has capitals too, but never as many in a row without a comma.
    """
    row = longest = capitalized = words = 0
    end = 0
    for token in tokens:
        row = 0 if text[end : token.start].strip() else row
        end = token.end
        if not _has_case(token.text) or len(token.text) < SHORTEST_CONTENT:
            row += _is_capitalized(token)
            continue
        words += 1
        capitalized += _is_capitalized(token)
        row = row + 1 if _is_capitalized(token) else 0
        longest = max(longest, row)
    if longest >= _FEWEST_WORDS:
        return capitalized >= words * _TITLED_SHARE
    return capitalized == words >= _FEWEST_TITLED and longest == words


_FEWEST_WORDS: Final = 4
_FEWEST_TITLED: Final = 3
_TITLED_SHARE: Final = 0.8
_SHORTEST_FIRST_NAME: Final = 3
_SHORTEST_KATAKANA: Final = 3
_APOSTROPHES: Final = ("'", "’")  # noqa: RUF001 - the typographic apostrophe is meant
_COMMON_KATAKANA: Final = folded_words(
    "プロジェクト ミーティング スケジュール メンバー チーム タスク データ システム サービス レポート リスク コスト "
    "プラン リリース レビュー テスト ユーザー サポート フォロー スタート ポイント テーマ トピック アクション "
    "アイテム グループ リーダー マネージャー メール ファイル コメント フィードバック アイデア オンライン オフィス "
    "スタッフ ニーズ バージョン アップデート コミュニケーション"
)
"""Loan words that summaries use whatever was said."""

# German writes every noun with a capital, so the names are to be told from the nouns.

_GERMAN_DETERMINERS: Final = folded_words(
    "der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner im am zum zur vom "
    "beim ins ans mein meine meinen meinem dein deine sein seine seinen seinem seiner ihr ihre ihren ihrem ihrer "
    "unser unsere unseren unserem unserer euer eure dieser diese dieses diesen diesem jeder jede jedes jeden jedem "
    "jener jene jenes welche welcher alle allen aller viele vielen vieler mehrere mehreren einige einigen einiger "
    "beide beiden wenige weniger mehr viel etwas manche solche zwei drei vier fünf sechs sieben acht neun zehn elf "
    "zwölf"
)
"""What stands before a noun and, but in colloquial speech, before no name."""
_GERMAN_DAYS_AND_MONTHS: Final = folded_words(
    "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag januar februar märz april mai juni juli "
    "august september oktober november dezember"
)
_GERMAN_ADJECTIVE_ENDINGS: Final = ("e", "en", "er", "es", "em")
_NO_GERMAN_ADJECTIVES: Final = folded_words(
    "gegen neben wegen zwischen hinter unter über außer während bitte heute habe haben hatte hatten wurde wurden "
    "werde werden wäre wären würde würden sollte sollten wollte wollten könnte konnte konnten musste müsste "
    "mussten aber oder sagte meinte fragte bat ohne"
)
_GERMAN_NOUN_ENDINGS: Final = tuple(
    folded_words(
        "ung ungen heit heiten keit keiten schaft schaften tion tionen sion sionen tät täten ismus nis nisse nissen "
        "ment ments anz enz enzen zeit zeiten plan arbeit team teams projekt projekte projekten gespräch gespräche "
        "gesprächs termin termine kosten preis preise liste listen frage fragen thema themen punkt punkte punkten "
        "schritt schritte woche wochen monat monate monaten jahr jahre jahren tage tagen ende anfang beginn bereich "
        "leiter leiterin kunde kunden teilnehmer teilnehmern mitarbeiter mitarbeitern prozent euro dollar uhr problem "
        "probleme problemen bedarf rahmen details daten gründe gründen ziel ziele ergebnis treffen fazit stand seite "
        "seiten meinung grund feedback"
    )
)
"""Endings, and second parts of compounds, that nouns have and names do not."""


def _is_german_name(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether a capital in the middle of a German sentence is a name's.

    It is none after an article, a number or the like, with adjectives between or not; after an adjective; or when it
    ends as nouns do. Days and months always count. `Evidence` then forgives what shares a word of four letters with
    the source, so that "Budgetplanung" follows from "Budget".
    """
    word = fold(tokens[index].text)
    if word in _GERMAN_DAYS_AND_MONTHS:
        return True
    if word in _POLITE or word.endswith(_GERMAN_NOUN_ENDINGS):
        return False
    before = [fold(token.text) for token in reversed(tokens[max(index - _FARTHEST_ARTICLE, 0) : index])]
    for distance, word_before in enumerate(before):
        previous = tokens[index - 1 - distance]
        if word_before in _GERMAN_DETERMINERS or previous.is_number:
            return False
        adjective = word_before.endswith(_GERMAN_ADJECTIVE_ENDINGS) and word_before not in _NO_GERMAN_ADJECTIVES
        if _is_capitalized(previous) or not adjective:
            return True
        if not word_before.endswith(("te", "ten")):
            return False
    return True


_FARTHEST_ARTICLE: Final = 3


def joined_forms(text: str, tokens: Sequence[Token], index: int) -> Iterator[str]:
    """Yield a name written together with the word before it or after it, and an abbreviation without its dots."""
    first = last = index
    if len(tokens[index].text) == 1:
        while index - first < LONGEST_ABBREVIATION and first > 0 and _is_dotted(text, tokens[first - 1], tokens[first]):
            first -= 1
        while (
            last - index < LONGEST_ABBREVIATION
            and last + 1 < len(tokens)
            and _is_dotted(text, *tokens[last : last + 2])
        ):
            last += 1
        yield "".join(fold(token.text) for token in tokens[first : last + 1])
    for first, second in pairwise(range(max(index - 1, 0), min(index + 2, len(tokens)))):
        between = text[tokens[first].end : tokens[second].start]
        if len(between) <= FARTHEST_LETTER and not between.strip(_NAME_GLUE):
            yield fold(tokens[first].text) + fold(tokens[second].text)


def _is_dotted(text: str, first: Token, second: Token) -> bool:
    return len(first.text) == len(second.text) == 1 and text[first.end : second.start] == "."


_NAME_GLUE: Final = " .-'’"  # noqa: RUF001 - the typographic apostrophe is meant


def split_at_capitals(word: str) -> list[str]:
    """Return the words of a name that is written together: "Open" and "AI"."""
    cuts = [at for at in range(1, len(word)) if word[at].isupper() and not word[at - 1].isupper()]
    return [word[start:end] for start, end in pairwise([0, *cuts, len(word)])]


def roman_value(word: str) -> int:
    """Return the value of a Roman numeral, as kings and wars have them; 0 for anything else."""
    if not _ROMAN.fullmatch(word):
        return 0
    values = [_ROMAN_DIGITS[letter] for letter in word]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )
