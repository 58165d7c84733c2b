"""Phrases: wordings that give a speaker away, in English and Chinese.

A phrase is an anchor (a literal that every match contains, in folded text) and a pattern. The
pattern runs only where the anchor occurs, which keeps a clean conversation at the price of a few
substring searches. All repeats in patterns are bounded, so that no text makes them slow.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Phrase(NamedTuple):
    anchor: str
    pattern: re.Pattern[str]


def phrases(*pairs: tuple[str, str]) -> tuple[Phrase, ...]:
    return tuple(Phrase(anchor, re.compile(pattern)) for anchor, pattern in pairs)


def first(text: str, known: tuple[Phrase, ...]) -> str | None:
    """The first known phrase that `text` (folded) holds, as it is written there; None if none."""
    for anchor, pattern in known:
        if anchor in text:
            match = pattern.search(text)
            if match:
                return match.group()[:60]
    return None


_I_AM = r"\bi(?:'m| am) (?:so |very |always |just )?"
_ANY = r"(?:a|any) (?:(?:specific|particular|other|certain) )?"

# The assistant's voice: answering thanks, offering service, asking for the user's own wishes.
ASSISTANT_VOICE = phrases(
    ("welcome", r"\byou(?:'re| are) (?:very |most |always )?welcome\b(?! to)"),
    ("glad i", _I_AM + r"glad (?:that )?i could (?:help|assist|be of)"),
    ("here to", _I_AM + r"here to (?:help|assist|support|guide|provide)"),
    ("i assist you", r"\bi assist you\b"),
    ("how i ", r"\bhow i (?:can|may|could) (?:assist|help) you\b"),
    ("help you today", r"\bi help you today\b"),
    ("how can i help", r"\bhow can i help you\b(?! (?:help|to) )"),
    ("don't hesitate", r"\bdon't hesitate to (?:ask|reach|contact|return|come)"),
    ("feel free to", r"\bfeel free to (?:ask|reach out|contact|return)\b(?! (?:me|for|about) )"),
    ("else i can", r"\b(?:any|some)thing else i can (?:help|assist|do for)"),
    ("do you have a", r"\bdo you have " + _ANY + r"(?:preference|dietary|restriction|budget)"),
    ("do you enjoy the most", r"\bdo you enjoy the most\b"),
    ("tailor", r"\bhelp (?:me|us) tailor\b"),
    ("you'd like to modify", r"\byou'd like to modify\b"),
    ("you'd like to adjust", r"\byou'd like to adjust\b"),
    ("if you have any", r"\bif you have " + _ANY + r"(?:dietary restriction|preferences? or dietary)"),
    ("客气", r"(?:不用|不必|无需|您太|你太|别|不)客气"),
    ("高兴", r"高兴(?:我)?(?:能|能够|可以)(?:帮|协助)(?:助)?(?:到|上|了)?(?:您|你|忙)"),
    ("什么", r"有什么(?:我)?(?:可以|能|能够)(?:帮|为|协助)助?(?:您|你)"),
    ("什么", r"我(?:今天)?(?:还)?(?:可以|能)帮助?(?:您|你)(?:做?[些点])?什么"),
    ("帮", r"我(?:可以|能)?怎[么样](?:可以|能)?帮助?(?:您|你)|我在这里(?:为|帮)助?(?:您|你)"),
    ("需要", r"(?:您|你)(?:有什么)?(?:具体)?需要(?:怎样的|什么)?帮助(?:的)?吗"),
    ("为您", r"我(?:可以|能|能够)(?:怎样|怎么|如何)?为您"),
    ("随时", r"(?:更多|任何)[^。！？\n]{0,15}(?:帮助|协助|问题)[^。！？\n]{0,8}请随时(?:提问|问|询问|联系)"),
    (
        "有",
        r"(?:您|你)(?:是否)?有(?:什么|任何)?(?:特定的?|特殊的?|具体的?)?(?:预算范围|偏好吗|偏好或饮食|饮食限制)",
    ),
)

# The user's voice in an assistant's turn: thanking for help, promising to come back with questions.
USER_VOICE = phrases(
    ("reach out if i", r"\bi(?:'ll| will) [a-z ]{0,20}reach out if i\b"),
    ("reach out whenever i", r"\bi(?:'ll| will) [a-z ]{0,20}reach out whenever i\b"),
    ("if i have any", r"\bif i have any [^.!?\n]{0,60}\breach out\b"),
    ("if i need any", r"\bif i need any [^.!?\n]{0,60}\breach out\b"),
    ("i appreciate your", r"\bi appreciate your (?:help|assistance|support|guidance|suggestion|offer)"),
    (
        "again for your",
        r"\bthank(?:s| you) (?:once )?again for your (?:help|assist|support|guid|suggest|unwav)",
    ),
    ("如果我", r"如果我(?:有|还有|需要)[^。！？\n]{0,30}(?:联[系络]|请教|问)(?:您|你)"),
    ("感", r"感[谢激](?:您|你)的(?:帮助|建议|指导|协助|推荐)"),
)

AI_SELF = phrases(
    ("as an ai", r"\bas an ai\b"),
    ("chat assistant", r"\b(?:as|i'm|i am) an? (?:intelligent )?chat assistant\b"),
    ("an artificial intell", r"\b(?:as|i'm|i am) an artificial intelligence\b"),
    ("language model", r"\b(?:(?:as|i'm|i am) an? (?:large )?|ai )language model\b"),
    ("an ai", _I_AM + r"an ai\b"),
    ("助手", r"(?:作为|我是)(?:一个|一名)?(?:智能聊天|虚拟|ai)助手"),
    ("作为", r"作为(?:一个|一名|一款)?(?:ai|人工智能|大?语言模型|聊天机器人)"),
    ("我", r"我[只就]?是(?:一个|一名|一款)?(?:ai|人工智能|大?语言模型|聊天机器人)"),
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
REFUSAL = phrases(
    (
        "i",
        r"^\W{0,3}(?:(?:i'm|i am) (?:very |so |really )?sorry|i apologi[sz]e|sorry|unfortunately)?"
        r"[^.!?\n]{0,25}"
        r"\bi(?:'m| am)? (?:can't|cannot|can not|won't|unable to|not able to) "
        r"(?:assist|help|fulfill|comply|continue|provide|do that|participate|engage)",
    ),
    (
        "抱歉",
        r"^\W{0,3}(?:很|非常|十分)?抱歉[^。！？\n]{0,15}(?:无法|不能)(?:为您|帮您|为你)?(?:提供|帮助|协助|完成|继续|回答)",
    ),
    (
        "对不起",
        r"^\W{0,3}对不起[^。！？\n]{0,15}(?:无法|不能)(?:为您|帮您|为你)?(?:提供|帮助|协助|完成|继续|回答)",
    ),
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
