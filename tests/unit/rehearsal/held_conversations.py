"""Conversations held with the responder directly, in both of the wire's forms."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from engine.rehearsal.asked import read_asked
from engine.rehearsal.responder import Answer, answer

END = {"en": "Thank you, goodbye.", "zh": "谢谢，再见。"}
END_PROMPT = {
    "en": "[System] If all is settled, answer only: Thank you, goodbye. Otherwise, go on as the user.",
    "zh": "[System] 如果都定下来了，请只回复：谢谢，再见。否则请以用户身份继续。",
}
SCENARIOS = {
    ("gifts", "en"): "It will soon be Teachers' Day and you want to see your teacher with a present in hand.",
    ("newtravel", "en"): "You take a trip in December for a weekend; agree on transport from where you live.",
    ("recipe", "en"): "You are going to cook a meal at home for three close friends. You have rarely cooked.",
    ("skills", "en"): "You want to study Python from scratch within a month. Draw up a learning plan.",
    ("travel", "en"): "You go away for two days this winter: a trip with accommodation and an itinerary.",
    ("neutral", "en"): "You want to find a quiet place for a small party with colleagues.",
    ("gifts", "zh"): "教师节就要到了，你要去看望老师，想带上一份礼物。",
    ("newtravel", "zh"): "今年十二月你要去旅行一个周末，商定从居住地往返的交通。",
    ("recipe", "zh"): "你要在家里做一顿饭，请三位好友来吃。你很少下厨。",
    ("skills", "zh"): "你决定学习Python，零基础，一个月的期限，需要学习计划。",
    ("travel", "zh"): "今年冬天你要出门旅行两天，安排住宿、交通和行程。",
    ("neutral", "zh"): "你想找一个安静的地方办小聚会。",
}
TASKS = ("gifts", "newtravel", "recipe", "skills", "travel")
_HOBBIES = {
    "en": ("pottery", "chess", "hiking", "jazz records", "bird watching", "old maps", "kite flying"),
    "zh": ("摄影", "下棋", "登山", "书法", "听老唱片", "观鸟", "放风筝"),
}
_LINES = {
    "en": (
        "1. Gender: Male\n2. Age: {age}\n3. Personality: Patient, curious\n4. Occupation: Optician\n"
        "5. Daily Interests and Hobbies: {hobbies}\n6. Travel Habits: Prefers slow trains, short stays\n"
        "7. Dining Preferences: Enjoys spicy noodles, little sugar\n"
        "8. Spending Habits: Saves for tools, careful with money\n9. Other Aspects: Keeps bees, early riser"
    ),
    "zh": (
        "1. 性别：男\n2. 年龄：{age}\n3. 性格：耐心、好奇\n4. 职业：配镜师\n5. 日常兴趣爱好：{hobbies}\n"
        "6. 旅行习惯：偏好慢车、短途\n7. 饮食偏好：喜欢辣味面食、少糖\n8. 消费习惯：节俭\n"
        "9. 其他方面：养蜂、早起"
    ),
}


def hobbies_of(number: int, language: str) -> tuple[str, ...]:
    return tuple(Random(number).sample(_HOBBIES[language], 3))


def profile_text(number: int, language: str = "en") -> str:
    joiner = "、" if language == "zh" else ", "
    hobbies = joiner.join(hobbies_of(number, language))
    return _LINES[language].format(age=20 + number % 50, hobbies=hobbies)


@dataclass
class Held:
    """A conversation as an engine would store it, and every answer given."""

    user: list[str]
    assistant: list[str]
    answers: list[Answer]
    said_goodbye: bool


def setup_messages(task: str, language: str, number: int, style: str) -> list[dict[str, str]]:
    parts = [SCENARIOS[task, language], profile_text(number, language)]
    if style == "modern":
        return [{"role": "system", "content": "\n\n".join(parts)}]
    acknowledgement = {"role": "assistant", "content": "明白了。" if language == "zh" else "Got it."}
    return [m for part in parts for m in ({"role": "user", "content": part}, acknowledgement)]


def hold(
    task: str,
    number: int = 0,
    *,
    language: str = "en",
    style: str = "modern",
    defect_rate: float = 0.0,
    seed: int = 0,
    max_rounds: int = 10,
) -> Held:
    """Let simulator and assistant talk until the goodbye or `max_rounds`."""
    kickoff = {
        "role": "user",
        "content": "你好！" if language == "zh" else "Hello! How can I help you today?",
    }
    simulator = [*setup_messages(task, language, number, style), kickoff]
    assistant: list[dict[str, str]] = []
    held = Held([], [], [], said_goodbye=False)

    def ask(messages: list[dict[str, str]]) -> str:
        asked = read_asked({"model": "m", "messages": messages, "prompt_cache_key": f"job {number}"})
        said = answer(asked, seed=seed, defect_rate=defect_rate)
        held.answers.append(said)
        return said.text

    for _ in range(max_rounds):
        said = ask(simulator)
        if said == END[language]:
            held.said_goodbye = True
            break
        held.user.append(said)
        assistant.append({"role": "user", "content": said})
        reply = ask(assistant)
        held.assistant.append(reply)
        assistant.append({"role": "assistant", "content": reply})
        simulator.append({"role": "assistant", "content": said})
        simulator.append({"role": "user", "content": f"{reply}\n\n{END_PROMPT[language]}"})
    return held
