"""Which language a turn is written in, where it is not the conversation's: by script and by words.

A script gives Chinese, Russian or Greek away. French, German and the like share English's letters; their
small words (pronouns, auxiliaries, conjunctions) tell them apart, since no sentence does without and no
list of dishes, streets or variables holds many. A turn is judged foreign only where such words are
frequent and English's own are nearly absent, so that quotations, glossaries and bilingual lessons pass.

Own word lists, and not a library: benchmarks/LOG.md has the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.dialogue.speech import CJK

MIN_LETTERS = 20
"""Too few letters say nothing about a language."""

MIN_LETTERS_WITHOUT_WORDS = 80
"""From so many letters without Chinese on, a text is no name and no list of products."""

ENGLISH_CHARS_PER_WORD = 150
"""Text with one of English's commonest words to so many characters, or more, is English or bilingual."""

ENOUGH = ((4, 0.12), (3, 0.4))
"""How many different small words of a language, with which share of all words, make a text that language."""

_CJK = re.compile(f"[{CJK}]")
_LATIN = re.compile(r"[a-zà-ɏ]")
_WORD = re.compile(r"[a-zà-ɏạ-ỹ]+")
# Greek to Georgian and on to the scripts of Asia; punctuation, arrows and emojis lie outside.
_NOT_LATIN = re.compile(f"[\u0370-\u1cff\u3040-\u30ff{CJK}\uac00-\ud7af]")
# Neither Chinese nor Latin.
_NEITHER = re.compile("[\u0370-\u1cff\u3040-\u30ff\uac00-\ud7af]")
_KANA_OR_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`|https?://\S{1,500}", re.DOTALL)

_ENGLISH = (
    *("the", "and", "to", "you", "your", "with", "for", "are", "that", "my", "have", "it"),
    *("i", "is", "of", "this", "can", "please", "would", "what", "how", "be", "we", "do"),
)
_ENGLISH_WORDS = frozenset(_ENGLISH)
_ENGLISH_TOO = _ENGLISH_WORDS | {
    "a",
    "or",
    "which",
    "one",
    "but",
    "there",
    "not",
    "in",
    "on",
    "at",
    "from",
    "if",
}
# Without those that are small words elsewhere, too.
_COMMONEST = tuple(f" {word} " for word in _ENGLISH[:12])
# Not among these: words of English, and parts of names that an English text may repeat.
_SMALL_WORDS = {
    "french": (
        "je vous nous est que qui pas pour dans sont sur votre vos mais avec une des ce cette ces elle ils "
        "être avez suis ai ont sera serait peut pouvez voudrais plus très aussi bien comme où quel quelle "
        "si mon ma mes notre nos tout faire merci qu et ou oui"
    ),
    "german": (
        "ich sie wir ihr und ist nicht ein eine einen einem einer der das den dem mit für auf auch sind "
        "haben habe hat wird werden können kann könnte möchte oder aber wenn dass wie sehr noch zum zur bei "
        "nach von wann geht mein meine ihre ihnen mir mich uns danke bitte"
    ),
    "spanish": (
        "que es por para con una los las del pero como más está están son muy también puede puedo quiero "
        "usted tú yo nos su sus mi mis este esta hay ser tiene tengo gracias qué cómo cuando porque sobre y "
        "le se me gustaría sí cuánto dónde eso bien cuesta"
    ),
    "italian": (
        "che è per con una il gli della del di sono non anche questo questa ma come più molto può posso "
        "vorrei lei io noi ho hai ha hanno essere mio mia suo sua grazie perché quando nel nella alla ci si "
        "e"
    ),
    "portuguese": (
        "que é por para com uma os não também você eu ele ela nós são está estão mais mas como muito pode "
        "posso quero gostaria seu sua meu minha este esta isso tem tenho obrigado obrigada quando porque "
        "dos das ao na em e"
    ),
    "dutch": (
        "ik je jij wij het een en niet van voor met op zijn naar ook maar als dat deze heb heeft hebben kan "
        "kun kunt wordt worden mijn jouw uw bij nog wel graag dank bedankt om uit aan"
    ),
    "polish": (
        "nie się że jest są na do z w i dla ale jak czy to co mam może można proszę dziękuję ja ty mój moja "
        "bardzo tak lub oraz przez od po który która które"
    ),
    "czech": (
        "je se že na jsem jsou není pro ale jak nebo také bych být mám máte může prosím děkuji můj moje "
        "velmi který která které když by si od po jí co mu mě s v"
    ),
    "swedish": (
        "jag du vi det är och att som en ett inte för på med av till har kan ska vill men också eller om "
        "min mitt dig mig den från skulle mycket tack"
    ),
    "danish or norwegian": (
        "jeg du vi det er og at som en et ikke for på med av af til har kan skal vil men også eller om min "
        "mitt deg dig meg mig den fra ville veldig meget takk tak"
    ),
    "turkish": (
        "ve bir bu için ile çok ben sen biz siz değil var yok ne nasıl ama da de daha olarak mi mı mu olan "
        "teşekkürler lütfen istiyorum bana size gibi kadar"
    ),
    "indonesian or malay": (
        "yang dan di ke dari untuk dengan ini itu saya anda kamu kita tidak ada akan bisa dapat atau juga "
        "sangat lebih terima kasih apa bagaimana adalah pada"
    ),
    "finnish": (
        "ja on ei että minä sinä hän olen olet mutta kun niin myös kiitos paljon minulla sinulla voi voin "
        "voit tämä joka jos kuin ole hyvä mikä mitä ovat sen"
    ),
    "hungarian": (
        "és az egy nem hogy van én ez ezt de ha vagy nagyon köszönöm szépen kell lehet mint meg csak már jó "
        "nincs szeretnék lenne"
    ),
    "romanian": (
        "și este sunt nu că pentru cu la un o din pe mai dar sau care ce eu tu noi am ai au fi aș dori "
        "foarte mulțumesc meu mea acest această"
    ),
    "vietnamese": (
        "tôi bạn và là của có không cho với một những các này được trong để cũng rất nhưng như thế nào muốn "
        "cảm ơn ở đi sẽ"
    ),
}
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _name, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGES_OF[_word] = (*_LANGUAGES_OF.get(_word, ()), _name)

_NAMES = {
    "french": "法语",
    "german": "德语",
    "spanish": "西班牙语",
    "italian": "意大利语",
    "portuguese": "葡萄牙语",
    "japanese": "日语",
    "korean": "韩语",
    "russian": "俄语",
    "english": "英语",
    "chinese": "中文",
}
_LEARNS = (
    r"(?:learn|stud|practi[cs]|teach|speak|improv|lesson|course|tutor|beginner|fluen)[a-z]{{0,6}}"
    r"[^.!?\n]{{0,60}}\b{0}\b"
    r"|\b{0} (?:lesson|course|class|vocabulary|grammar|pronunciation|phrase|conversation|teacher|tutor|exam)"
)
_LEARNS_ZH = r"(?:学|练|教|说|课)[^。！？\n]{{0,20}}{0}|{0}[^。！？\n]{{0,12}}(?:学|练|教|课|考试|口语|水平)"


def foreign_language(text: str, language: str) -> str | None:
    """What `text` (folded) is written in, where that is another language than `language` (`en`, `zh`).

    None too where it cannot be told, and for any other `language`.
    """
    if language == "en":
        return _script(text) or _other_than_english(text)
    return _other_than_chinese(text) if language == "zh" else None


def _script(text: str) -> str | None:
    others = 0 if text.isascii() else len(_NOT_LATIN.findall(text))
    if others < MIN_LETTERS or others <= 0.3 * (others + len(_LATIN.findall(text))):
        return None
    if _KANA_OR_HANGUL.search(text):
        return "japanese or korean"
    return "chinese" if _CJK.search(text) else "another script"


def _other_than_english(text: str) -> str | None:
    if len(text) < MIN_LETTERS:
        return None
    # One or two substring counts settle nearly every turn, at a fraction of what splitting it costs.
    english = -1
    for word in _COMMONEST:
        english += text.count(word)
        if english * ENGLISH_CHARS_PER_WORD >= len(text):
            return None
    name = _latin_language(_WORD.findall(_NO_PROSE.sub(" ", text) if "http" in text or "`" in text else text))
    return None if name == "english" else name


def _other_than_chinese(text: str) -> str | None:
    if "`" in text or "http" in text:
        text = _NO_PROSE.sub(" ", text)
    letters = len(_LATIN.findall(text))
    others = _NEITHER.findall(text)
    if letters < MIN_LETTERS and len(others) < MIN_LETTERS:
        return None
    chinese = len(_CJK.findall(text))
    if len(others) >= MIN_LETTERS and len(others) > 0.3 * chinese:
        return "japanese or korean" if _KANA_OR_HANGUL.match(others[0]) else "another script"
    if letters < MIN_LETTERS or chinese >= 0.1 * letters:
        return None
    is_long = letters >= MIN_LETTERS_WITHOUT_WORDS and "\n" not in text.strip()
    return _latin_language(_WORD.findall(text)) or ("another language" if is_long else None)


def _latin_language(words: list[str]) -> str | None:
    """The language whose small words are frequent among `words`; `english` where only its own are."""
    kinds: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    english = 0
    for word in words:
        english += word in _ENGLISH_WORDS
        for name in _LANGUAGES_OF.get(word, ()):
            kinds.setdefault(name, set()).add(word)
            counts[name] = counts.get(name, 0) + 1
    best = max(counts, key=lambda name: counts[name], default=None)
    if best is not None and counts[best] > 2 * english:
        share = counts[best] / len(words)
        return best if any(len(kinds[best]) >= k and share >= s for k, s in ENOUGH) else None
    english = sum(word in _ENGLISH_TOO for word in words)
    return "english" if english >= 3 and english >= 0.12 * len(words) else None


def is_learnt(language: str, texts: Iterable[str], spoken: str) -> bool:
    """Whether one of `texts` (folded), in the language `spoken`, tells of learning `language`."""
    names = [name for name in _NAMES if name in language]
    parts = [_LEARNS.format(n) if spoken == "en" else _LEARNS_ZH.format(_NAMES[n]) for n in names]
    learns = re.compile("|".join(parts))
    return bool(parts) and any(learns.search(text) for text in texts)
