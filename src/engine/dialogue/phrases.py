"""Phrases: wordings that give a speaker away, in English and Chinese.

A phrase is an anchor (a literal that every match contains, in folded text) and a pattern. The pattern
runs only where the anchor occurs, which keeps a clean conversation at the price of a few substring
searches, and is compiled then: there are many, and a start has to wait for none of them. All repeats in
patterns are bounded, so that no text makes them slow. `unless` is searched in the sentence around a
match, and excuses it: the same words in another's mouth. What stands in quotation marks is excused too:
it is spoken of, not said.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

NEAR_CHARS = 200
"""How far before and after a match its sentence, or an opening quotation mark, is looked for."""

_BREAK = re.compile(r"[.!?\n。！？]")
compiled = cache(re.compile)


class Phrase(NamedTuple):
    anchor: str
    pattern: str
    unless: str | None = None


def phrases(*rows: tuple[str, str] | tuple[str, str, str]) -> tuple[Phrase, ...]:
    """One phrase for each (anchor, pattern) or (anchor, pattern, unless)."""
    return tuple(Phrase(*row) for row in rows)


def first(text: str, known: tuple[Phrase, ...]) -> str | None:
    """The first known phrase that `text` (folded) holds, as it is written there; None if none."""
    for anchor, pattern, unless in known:
        if anchor in text:
            for match in compiled(pattern).finditer(text):
                if unless and compiled(unless).search(_sentence(text, match.start(), match.end())):
                    continue
                if not is_quoted(text, match.start()):
                    return match.group()[:60]
    return None


def is_quoted(text: str, at: int) -> bool:
    """Whether position `at` stands inside quotation marks that open in its line, after the text's begin."""
    line = text[max(0, text.rfind("\n", max(0, at - NEAR_CHARS), at) + 1, at - NEAR_CHARS) : at]
    if len(line) < at or not text.startswith(('"', "“", "'")):
        return line.count('"') % 2 == 1 or line.rfind("“") > line.rfind("”") or line[-1:] in tuple("'‘`「『«")
    return False


def _sentence(text: str, start: int, end: int) -> str:
    begin = start - NEAR_CHARS if start > NEAR_CHARS else 0
    for stop in _BREAK.finditer(text, begin, start):
        begin = stop.end()
    after = _BREAK.search(text, end, end + NEAR_CHARS)
    return text[begin : after.start() if after else end + NEAR_CHARS]


_I_AM = r"\bi(?:'m| am) (?:so |very |always |just |only |really |actually )?"
_ANY = r"(?:a|any) (?:(?:specific|particular|other|certain) )?"
# Where a clause ends: what is offered is offered to the listener, not to a third person.
_STOP = r"(?=[.,!?;:)]|$|\n)"
_ABOUT_ME = (
    r"\b(?:about|from) (?:me|my)\b|\b(?:i|we) feel free\b"
    r"|\bmy (?:schedule|taste|needs?|preferences?)\b|\b(?:ask|contact) me\b"
)

# The assistant's voice: answering thanks, offering service, asking for the user's own wishes.
ASSISTANT_VOICE = phrases(
    (
        "welcome",
        r"(?:^|(?<=[.!?,;:] )|(?<=\n)|(?<=\boh )|(?<=[.!?\"])|(?<=[*_]))"
        r"you(?:'re| are) (?:very |most |always |more than )?welcome\b(?! (?:to|at|in|back)\b)",
    ),
    (
        "i could ",
        _I_AM
        + r"(?:glad|happy) (?:that )?i could (?:be of|(?:help|assist)(?: out)?(?: you\b|"
        + _STOP
        + "))",
    ),
    ("happy to", r"\bi(?:'d| would) be happy to (?:help|assist) you\b", _ABOUT_ME + r"|\bmy\b"),
    ("glad to", r"\bi(?:'d| would) be glad to (?:help|assist) you\b", _ABOUT_ME + r"|\bmy\b"),
    ("can i ", r"\bwhat can i (?:help you|assist you|do for you)\b"),
    ("may i ", r"\bmay i (?:know|ask)[^.!?\n]{0,30} your (?:budget|preference|taste|name|age)"),
    ("your budget", r"\bwhat(?:'s| is) your budget" + _STOP),
    (
        "here to",
        _I_AM
        + r"here to (?:(?:help|assist|support|guide)(?: you\b| (?:if|whenever|with (?:any|your|that))\b|"
        + _STOP
        + r")|provide (?:you|any|further|more|support|guidance|unwavering|assistance|information|help)\b)",
    ),
    ("i assist you", r"\bi assist you\b"),
    ("how i ", r"\bhow i (?:can|may|could) (?:assist|help) you\b"),
    ("help you today", r"\bi help you today\b"),
    ("how can i help", r"\bhow can i help you\b(?! (?:help|to) )"),
    ("don't hesitate", r"\bdon't hesitate to (?:ask|reach|contact|return|come)", _ABOUT_ME),
    ("feel free to", r"\bfeel free to (?:ask|reach out|contact|return)\b(?! (?:for|about) )", _ABOUT_ME),
    (
        "else i can",
        r"\b(?:any|some)thing else i can (?:(?:help|assist|do for) you\b|(?:help|assist)(?: with)?"
        + _STOP
        + ")",
    ),
    (
        "do you have a",
        r"\bdo you have "
        + _ANY
        + r"(?:preferences?(?:"
        + _STOP
        + r"| (?:for|regarding|concerning|when|in|on|about|or|and|as|that|i|we|with|to|you)\b)"
        + r"|dietary (?:restriction|preference|need|requirement)|(?:food )?allergies(?: or\b|"
        + _STOP
        + r")|budget (?:range|limit|constraint|in mind|for (?:this|the|your)\b)|(?:budget|restrictions?)"
        + _STOP
        + ")",
    ),
    (
        "do you enjoy the most",
        r"\b(?:activit|experience|dish|type|kind|food)[^.!?\n]{0,40} do you enjoy the most\b",
    ),
    (
        "tailor",
        r"\b(?:that|this|it|which|details?|information|level|know[^.!?\n]{0,40})"
        r"(?: will|'ll| would| can| could) help (?:me|us) (?:to )?tailor\b",
    ),
    ("you'd like to modify", r"\byou'd like to modify\b"),
    ("you'd like to adjust", r"\byou'd like to adjust\b"),
    (
        "if you have any",
        r"\bif you have " + _ANY + r"(?:dietary restrictions?\b(?! [a-z]{4})|preferences? or dietary)"
        r"|\bif you have " + _ANY + r"dietary restrictions? or ",
    ),
    ("客气", r"(?:不用|不必|无需|别|不)客气"),
    ("高兴", r"高兴(?:我)?(?:能|能够|可以)(?:帮|协助)(?:助)?(?:到|上|了)?(?:您|你|忙)"),
    ("什么", r"有什么(?:我)?(?:可以|能|能够)(?:帮|为|协助)助?(?:您|你)"),
    ("什么", r"我(?:今天)?(?:还)?(?:可以|能)帮助?(?:您|你)(?:做?[些点])?什么"),
    ("帮", r"我(?:可以|能)?怎[么样](?:可以|能)?帮助?(?:您|你)|我在这里(?:为|帮)助?(?:您|你)"),
    ("需要", r"(?:您|你)(?:有什么)?(?:具体)?需要(?:怎样的|什么)?帮助(?:的)?吗"),
    ("为您", r"我(?:可以|能|能够)(?:怎样|怎么|如何)?为您", r"关于我|我的"),
    ("随时", r"(?:更多|任何)[^。！？\n]{0,15}(?:帮助|协助|问题)[^。！？\n]{0,8}请随时(?:提问|问|询问|联系)"),
    (
        "有",
        r"(?:您|你)(?:是否)?有(?:什么|任何)?(?:特定的?|特殊的?|具体的?)?"
        r"(?:预算范围(?![内里])|偏好吗|偏好或饮食|饮食限制(?!方面|的?(?:建议|推荐|菜)))",
    ),
)

# Words drafted for the user to write or say: they follow a colon, or a salutation.
_DRAFT = (
    r"\b(?:write|say|card|note|letter|message|e-?mail|inscription|speech|template|wording|tell"
    r"|close with|end with)\b"
    r"[^.!?\n]{0,60}:|\bdear [^.!?\n]{1,40},"
)
# The user's voice in an assistant's turn: thanking for help, promising to come back with questions.
USER_VOICE = phrases(
    ("reach out if i", r"\bi(?:'ll| will) [a-z ]{0,20}reach out if i\b", _DRAFT),
    ("reach out whenever i", r"\bi(?:'ll| will) [a-z ]{0,20}reach out whenever i\b", _DRAFT),
    ("if i have any", r"\bif i have any [^.!?\n]{0,60}\breach out\b", _DRAFT),
    ("if i need any", r"\bif i need any [^.!?\n]{0,60}\breach out\b", _DRAFT),
    (
        "i appreciate your",
        r"\bi appreciate your (?:help|assistance|support|guidance|offer"
        r"|suggestions?[^.!?\n]{0,20}\bi(?:'ll| will| can't)\b)",
        _DRAFT + r"|\bin (?:clarif|explain|understand)",
    ),
    (
        "again for your",
        r"\bthank(?:s| you) (?:once )?again for your (?:help|assist|support|guid|suggest|unwav)",
        _DRAFT,
    ),
    ("much for your", r"\bthank(?:s| you) (?:so|very) much for your (?:help|assist|guidance|advice)", _DRAFT),
    ("如果我", r"如果我(?:有|还有|需要|还需要)[^。！？\n]{0,30}(?:联[系络]|请教|问)(?:您|你)"),
    ("感", r"感[谢激](?:您|你)的(?:帮助|建议|指导|协助|推荐)", r"卡片|写上|写道|写：|留言|祝词"),
)

# People who work with AI, things used as one, and a listener who is one.
_NOT_ITSELF = (
    r"\b(?:engineer|researcher|student|developer|scientist|consultant|specialist|enthusiast|professional"
    r"|manager|lecturer|teacher|analyst|artist|founder|by trade|by profession|for a living)\b"
    r"|\b(?:act|acts|acting|works?|working|serve|serves|used?|using|see|treat|build|function)\b"
    r"[^.!?\n]{0,20} as an? |\byou\b[^.!?\n]{0,20}\bas an? "
    r"|\bas an? [a-z ]{2,30}, (?:(?:how |what |which |why )?(?:can |could |do |would |will )?you)\b"
)
_KIND = r"(?: (?:language model|model|assistant|chatbot|chat assistant|bot|system|program))?"
_CLAUSE = (
    r"(?=[.,!?;:)]|$|\n| (?:i|i'm|i'd|my|so|here|without|myself|created|developed|trained|designed"
    r"|built|made|that|but)\b| and (?:i|i'm|do|don't|can|can't|cannot|have|not|so)\b)"
)
AI_SELF = phrases(
    ("as an ai", r"\bas an ai" + _KIND + _CLAUSE, _NOT_ITSELF),
    ("an ai", _I_AM + "an ai" + _KIND + _CLAUSE, _NOT_ITSELF),
    ("chat assistant", r"\b(?:as|i'm|i am) an? (?:intelligent )?chat assistant\b", _NOT_ITSELF),
    (
        "an artificial intell",
        r"\b(?:as|i'm|i am) an artificial intelligence" + _KIND + _CLAUSE,
        _NOT_ITSELF,
    ),
    ("language model", rf"(?:\bas |{_I_AM})an? (?:large |ai )?language model" + _CLAUSE, _NOT_ITSELF),
    ("助手", r"(?:作为|我是)(?:一个|一名)?(?:智能聊天|虚拟|ai)助手(?![，,]?(?:你|您))"),
    (
        "作为",
        r"作为(?:一个|一名|一款)?(?:ai|人工智能|大?语言模型|聊天机器人)(?:助手|(?:语言)?模型)?(?:(?=我)|[，,](?!你|您))",
    ),
    (
        "我",
        r"我[只就]?是(?:一个|一名|一款)?(?:ai|人工智能|大?语言模型|聊天机器人)(?:助手|(?:语言)?模型)?(?=[，,。！；\n]|$|不|没|无)",
    ),
)

_BUSINESS = (
    r" (?:directly |actually |currently )?"
    r"(?:make|book|reserve|perform|access|search|check|browse|provide|complete|process)"
    r"[^.!?\n]{0,40}(?:booking|reserv|real-time|live|transaction|internet|payment|purchase|for you)"
)
AI_LIMITS = phrases(
    ("as a text-based", r"\bas a text-based\b"),
    ("an ai", r"\b(?:as|i'm|i am) an ai\b"),
    ("assistant, i", r"\bas an? (?:ai |virtual |digital |text-based )?assistant, i\b"),
    ("i can't", r"\bi can't" + _BUSINESS),
    ("i cannot", r"\bi cannot" + _BUSINESS),
    ("unable to", r"\bi(?:'m| am) (?:currently )?unable to" + _BUSINESS),
    ("not able to", r"\bi(?:'m| am) (?:currently )?not able to" + _BUSINESS),
    (
        "don't have",
        r"\bi (?:currently )?don't have (?:the )?(?:capabilit|ability|real-time|live|direct|access)",
    ),
    ("人工智能", r"(?:作为|我是)(?:一[个名款])?(?:基于文本的)?人工智能"),
    ("ai", r"(?:作为|我是)(?:一[个名款])?(?:基于文本的|openai开发的)? ?ai(?![a-z])"),
    ("助手", r"作为(?:一[个名款])?(?:虚拟|ai)助手，我"),
    ("无法", r"我(?:目前|暂时)?无法[^。！？\n]{0,12}(?:实时|预[订定]|订位|互联网|交易)"),
    ("不能", r"我(?:目前|暂时)?不能[^。！？\n]{0,12}(?:实时|预[订定]|订票|订位|互联网|交易)"),
)

# A refusal opens the reply; one further on is a remark about a part of the task.
_SORRY = (
    r"^\W{0,3}(?!if\b)(?:(?:i'm|i am) (?:very |so |really )?(?:sorry|afraid)"
    r"|i apologi[sz]e|sorry|unfortunately)?[^.!?\n]{0,25}"
)
_CANNOT = _SORRY + (
    r"\bi(?:'m| am)? (?:can't|cannot|can not|won't|unable to|not able to|won't be able to|am not able to) "
)
_DECLINES = r"^\W{0,3}(?:[^.!?\n]{0,25}\b)?i(?: must| have to| need to|'ll have to| will have to) decline\b"
_SORRY_ZH = r"^\W{0,3}(?:(?:很|非常|十分)?抱歉|对不起)?[^。！？\n]{0,15}(?:无法|不能)(?:为您|帮您|为你)?"
_LIVE = r"(?! (?:you )?(?:with )?(?:live|real-time|exact|current|up-to-date|specific|a map)\b)"

REFUSAL = phrases(
    (
        "i",
        _CANNOT
        + r"(?:assist|help(?! (?:but|it)\b)|fulfill|comply|provide"
        + _LIVE
        + r"|continue(?:[.,!]| (?:with )?th(?:is|at)\b| the (?:chat|conversation))"
        + r"|do that|participate|engage|answer|discuss|create|generate)",
    ),
    ("decline", _DECLINES),
    (
        "not comfortable",
        r"^\W{0,3}(?:[^.!?\n]{0,25}\b)?i(?:'m| am) not comfortable (?:with |help|discuss|answer|provid)",
    ),
    ("not something i can", r"^\W{0,3}[^.!?\n]{0,25}\bnot something i can (?:help|assist|do|answer|discuss)"),
    ("抱歉", _SORRY_ZH + r"(?:提供(?!实时|具体|最新|准确)|帮助|协助|完成|继续|回答|满足)"),
    ("对不起", _SORRY_ZH + r"(?:提供(?!实时|具体|最新|准确)|帮助|协助|完成|继续|回答|满足)"),
    ("我无法", r"^我无法(?:满足|提供帮助|协助|回答)"),
)
# Helping all the same, further on.
HELPS_ON = re.compile(
    r"\b(?:however|instead),? (?!please|if|feel|let|i'm here)|\bbut here |\bhere (?:are|is) |不过|但是?可以"
)

# A person, too, cannot do this or that; only an assistant declines to assist.
REFUSAL_OF_ROLE = phrases(
    (
        "i",
        _CANNOT
        + r"(?:assist\b|help you(?: with|[.,!])|help with (?:that|this)|fulfill (?:this|that|your)|comply\b"
        + r"|engage in th|participate in th(?:is|at) (?:role|conversation|request)|"
        + r"continue th(?:is|e) (?:conversation|role|chat)"
        + r"|provide (?:assistance|help|information|(?:the|that) information)|do that(?=[.,!;]|$))",
    ),
    ("decline", _DECLINES + r" (?:this|that|your|the) request"),
    ("抱歉", _SORRY_ZH + r"(?:提供|帮助|协助|完成|继续|回答)"),
    ("对不起", _SORRY_ZH + r"(?:提供|帮助|协助|完成|继续|回答)"),
)

NAMES_THE_MODEL = phrases(
    ("llm", r"\bllms?\b"),
    ("language model", r"\blanguage model"),
    ("gpt", r"\b(?:chatgpt|gpt-?[345])\b"),
    ("语言模型", r"语言模型"),
    ("大模型", r"大模型"),
)

SET_UP = phrases(
    ("the task", r"\b(?:in|of|by) the task (?:background|requirements?|description|setting)"),
    ("requirements", r"\brequirements (?:mentioned|stated|outlined) in the (?:task|scenario)"),
    ("user role", r"\b(?:the|my) user role\b"),
    ("profile", r"\bmy user profile\b|\b(?:given|considering) my profile\b"),
    ("as the user", r"\bas the user, i\b"),
    (
        "conversation",
        r"\b(?:bring|ready to (?:end|bring)) (?:this|the|our) conversation (?:to a close|to an end|yet)",
    ),
    ("任务", r"(?:根据|在|中的|提到的)任务(?:背景|要求|描述|说明)|任务(?:背景|要求)[中里]"),
    ("用户", r"用户(?:档案|资料|画像|角色)"),
    ("扮演", r"扮演(?:的)?(?:用户|角色)"),
    ("结束", r"(?:还没有|还不|不想|尚未)(?:准备好)?(?:要)?结束(?:这次|这段|本次)?对话"),
)
