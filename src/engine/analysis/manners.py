"""How users speak, told by phrases: objections, courtesy, open and closed questions, words that refer back.

These are rules for counting, in English and Chinese, and no judgement of a single turn: they miss what is
said in other words, in the same way in both of two datasets. `MANNERS_VERSION` goes up with each change.
"""

from __future__ import annotations

import re

MANNERS_VERSION = 1


def _either(english: str, chinese: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{english})\b|{chinese}", re.IGNORECASE)


# The user turns something down, corrects it or finds fault with it.
_OBJECTION = _either(
    r"i (?:do not|don['’]t) (?:want|like|think|need|have|agree)|i disagree|not what i|rather not"
    r"|i['’]d rather|(?:that|this|it)(?: is|['’]s) (?:not|too|wrong)|too (?:expensive|far|long|short"
    r"|many|much|general|hard|difficult|complicated|vague|tiring|busy)"
    r"|instead of|(?:does not|doesn['’]t|do not|don['’]t"
    r"|will not|won['’]t) (?:suit|work|fit|match|help|make sense)|incorrect|mistaken"
    r"|you (?:forgot|missed|ignored)"
    r"|not (?:really )?(?:interested|suitable|enough|useful|realistic|what)|not quite",
    r"不想|不要|不喜欢|不行|不对|不需要|不太|不适合|不合适|不够|不感兴趣|不满意|不符合|不合理|不现实|并不|而不是"
    r"|太贵|太远|太多|太长|太短|太少|太累|太复杂|太麻烦|太笼统|太紧|错了|有问题|换一|换个|换成|没有考虑|没有提到|你忘",
)
_COURTESY = _either(
    r"thanks|thank you|please|much appreciated|(?:i|i['’]d) appreciate|grateful|sorry|excuse me|kindly",
    r"谢谢|感谢|多谢|请|麻烦你|麻烦您|辛苦|抱歉|不好意思|您",
)
_OPEN = _either(
    r"what|which|how(?! (?:much|many|long|far|often|old|big))|why|recommend\w*|suggest\w*|ideas?|tips|advice"
    r"|plan|tell me (?:more )?about|help me|options",
    r"什么|哪些|怎么|怎样|如何|为什么|推荐|建议|介绍|规划|计划|方案|思路|攻略",
)
_CLOSED = _either(
    r"how (?:much|many|long|far|often|old|big)|when|where|which (?:one|of)|what time"
    r"|^(?:is|are|was|do|does|did|can i|can we|should i|should we|will|has|have)",
    r"多少|几个|几天|几点|多久|多远|多大|什么时候|什么时间|哪里|哪个|哪家|吗|是不是|是否|能不能|可不可以",
)
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_REFERS_BACK = _either(
    r"that|those|these|this|it|them|they|both|the (?:first|second|third|last|former|latter|other) (?:one)?"
    r"|you (?:mentioned|suggested|recommended|listed|said|gave)|above|as well|instead",
    r"这|那|它|其中|上面|上述|以上|刚才|前面|第[一二三四五六七八九十\d]+[个天种项条]|你(?:说|提到|推荐|建议|列|给)|另外|还有",
)
_REQUEST = _either(
    r"can you|could you|would you|i['’]d like|i would like|recommend|suggest|help me|tell me",
    "请|帮|推荐|给我|我想",
)


def is_objecting(text: str) -> bool:
    """Whether a user's turn turns something down, corrects it or finds fault."""
    return _OBJECTION.search(text) is not None


def is_courteous(text: str) -> bool:
    """Whether a user's turn thanks, asks kindly or excuses itself."""
    return _COURTESY.search(text) is not None


def is_referring_back(text: str) -> bool:
    """Whether a user's turn points at what was said before, so that it is not understood alone."""
    return _REFERS_BACK.search(text) is not None


def questions(text: str) -> tuple[int, int]:
    """(open, closed): a turn's questions and requests that leave the answer open, and those that do not."""
    opened = closed = 0
    for sentence in _SENTENCE.findall(text):
        part = sentence.strip()
        if part.endswith(("?", "？")) or _REQUEST.search(part) or "吗" in part:
            is_closed = _CLOSED.search(part) is not None
            opened += not is_closed and _OPEN.search(part) is not None
            closed += is_closed
    return opened, closed
