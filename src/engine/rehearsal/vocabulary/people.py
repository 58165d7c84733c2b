"""What the rehearsal's invented people are made of: by language and aspect, things liked and things not.

A value is two of the first list and one of the second, so that two people seldom share more than a few words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Pieces(NamedTuple):
    """What an aspect's text is put together from."""

    good: tuple[str, ...]
    bad: tuple[str, ...]


def _cut(text: str) -> tuple[str, ...]:
    """Phrases, divided by bars."""
    return tuple(phrase.strip() for phrase in text.split("|"))


GENDERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # what stands in the request, what the profile says
    "en": (("neither", "Non-binary"), ("woman", "Female"), ("man", "Male")),
    "zh": (("非二元", "非二元性别"), ("女性", "女"), ("男性", "男")),
}
# A word of the request, and the occupations that it stands for.
WORK: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "en": (
        ("hands", _cut("""
            Stonemason | Dairy farmer | Bicycle mechanic | Roofer | Boat builder | Tailor |
            Orchard keeper | Plumber
        """)),
        ("heal", _cut("""
            School nurse | Midwife | Dentist | Kindergarten teacher | Physiotherapist |
            Maths teacher | Carer in a hospice | Pharmacist
        """)),
        ("offices", _cut("""
            Tax adviser | Notary's clerk | Insurance broker | Town hall clerk | Auditor |
            Court interpreter | Payroll accountant | Bank teller
        """)),
        ("science", _cut("""
            Hydrologist | Bridge engineer | Database engineer | Seismologist | Laboratory chemist |
            Game programmer | Railway signal engineer | Botanist
        """)),
        ("arts", _cut("""
            Puppeteer | Radio editor | Cellist | Swimming coach | Comic artist | Stage designer |
            Film cutter | Potter
        """)),
        ("kitchens", _cut("""
            Ferry steward | Pastry cook | Florist | Bus driver | Bookseller | Hotel porter |
            Market trader | Barista
        """)),
        ("not in paid", _cut("""
            Retired tram driver | Student of archaeology | Stays at home with three children |
            Looking for work after a closure | Retired judge | Student of nursing |
            Retired seamstress | On leave to care for a parent
        """)),
    ),
    "zh": (
        ("手工", _cut("""
            石匠 | 奶农 | 自行车修理工 | 屋面工 | 造船工 | 裁缝 | 果园管理员 | 水管工
        """)),
        ("医疗", _cut("""
            校医 | 助产士 | 牙医 | 幼儿园老师 | 康复治疗师 | 数学老师 | 养老院护理员 | 药剂师
        """)),
        ("办公", _cut("""
            税务顾问 | 公证处文员 | 保险经纪人 | 街道办科员 | 审计师 | 法庭翻译 | 工资会计 |
            银行柜员
        """)),
        ("科研", _cut("""
            水文学家 | 桥梁工程师 | 数据库工程师 | 地震学家 | 实验室化学师 | 游戏程序员 |
            铁路信号工程师 | 植物学家
        """)),
        ("艺术", _cut("""
            木偶戏演员 | 电台编辑 | 大提琴手 | 游泳教练 | 漫画家 | 舞美设计师 | 剪辑师 | 陶艺师
        """)),
        ("餐饮", _cut("""
            轮渡服务员 | 西点师 | 花店店主 | 公交司机 | 书店店员 | 酒店行李员 | 菜市场摊主 | 咖啡师
        """)),
        ("没有带薪", _cut("""
            退休电车司机 | 考古系学生 | 在家带三个孩子 | 工厂关闭后在找工作 | 退休法官 | 护理系学生 |
            退休缝纫工 | 请假照顾父母
        """)),
    ),
}  # fmt: skip
PIECES: Mapping[str, Mapping[str, Pieces]] = {
    "en": {
        "personality": Pieces(
            _cut("""
                Patient with strangers | Quick to laugh | Stubborn about small things |
                A careful listener | Fond of long arguments | Punctual to the minute | Shy at first |
                Generous with time | Hard to impress | Calm in a crisis | Curious about machines |
                Blunt but fair | Forgetful and warm | Proud of finishing things |
                Restless on quiet days | Trusts facts over feelings
            """),
            _cut("""
                loses heart when criticised | cannot bear being hurried | interrupts too often |
                puts off every decision | keeps grudges for years | worries at night |
                avoids any open quarrel | bristles at vague answers | hates to be watched |
                gives up on slow people
            """),
        ),
        "daily_interests_and_hobbies": Pieces(
            _cut("""
                Plays chess by post | Grows tomatoes on a balcony | Sings bass in a choir |
                Collects tram tickets | Runs before sunrise | Paints tin soldiers | Keeps bees |
                Swims in cold lakes | Reads crime novels | Repairs clocks | Dances tango |
                Writes short poems | Builds kites | Watches old films | Knits for neighbours |
                Learns sign language | Photographs bridges | Plays five-a-side football
            """),
            _cut("""
                finds video games dull | has no time for television | dislikes gyms |
                is bored by shopping | cannot sit through opera | avoids anything competitive |
                thinks puzzles are a waste | dislikes crowded concerts |
                has given up on yoga
            """),
        ),
        "travel_habits": Pieces(
            _cut("""
                Two short train trips a year | Cycles along rivers |
                Visits cousins abroad each spring | Sleeps in mountain huts |
                Books everything months ahead | Drives an old camper |
                Takes night buses to save a bed | Goes where a museum is new |
                Travels alone with one bag | Rents the same cottage every August |
                Follows a football club away | Sails with friends | Prefers city weekends |
                Looks for hot springs
            """),
            _cut("""
                will not fly | avoids guided tours | dislikes beaches | never goes far in winter |
                cannot stand cruise ships | refuses hotels with buffets |
                avoids big cities | dislikes sharing rooms | keeps away from deserts
            """),
        ),
        "dining_preferences": Pieces(
            _cut("""
                Loves grilled mackerel | Lives on lentil soup | Bakes rye bread |
                Hunts for good dumplings | Likes very hot curries | Eats breakfast twice |
                Loves ripe cheese | Prefers plain rice and greens | Cooks slow stews on Sundays |
                Never refuses plum cake | Drinks strong green tea | Enjoys pickles with everything |
                Orders whatever is seasonal | Likes street food standing up
            """),
            _cut("""
                cannot eat nuts | dislikes mushrooms | avoids sugar | leaves anything with coriander |
                is allergic to shellfish | hates lukewarm soup | does not drink alcohol |
                finds fast food sad | avoids milk | cannot stand olives
            """),
        ),
        "spending_habits": Pieces(
            _cut("""
                Keeps a ledger of every coin | Buys tools that last | Spends freely on books |
                Waits for sales | Saves a fifth of each wage | Gives to a lifeboat fund |
                Pays for good shoes | Splits bills to the cent | Buys second-hand first |
                Treats nieces and nephews | Invests a little in funds | Haggles for pleasure |
                Rents instead of buying | Spends most on rent
            """),
            _cut("""
                refuses loans | regrets gadgets | never buys brands | dislikes subscriptions |
                does not own a card | hates tipping | avoids lotteries | will not pay for parking |
                distrusts discounts | never lends money
            """),
        ),
        "other_aspects": Pieces(
            _cut("""
                Shares a flat with a brother | Raises twins | Lives above a bakery |
                Has a hearing aid | Keeps two greyhounds | Moved across the country last year |
                Volunteers at a library | Lives with an aunt | Has a bad knee |
                Speaks three languages | Sleeps badly | Looks after a grandfather |
                Owns a leaky boat | Fasts during religious weeks | Lives on the ninth floor |
                Works nights
            """),
            _cut("""
                dislikes phone calls | is afraid of heights | avoids news |
                dislikes strong perfume | dislikes surprises |
                has no patience for queues
            """),
        ),
        "dislikes": Pieces(
            _cut("""
                Loud restaurants | Cold weather | Long queues | Coriander | Horror films |
                Crowded trains | Sales calls | Sweet drinks | Night flights | Group tours |
                Wet socks | Motorways
            """),
            _cut("""
                and being rushed | and small talk | and unclear plans | and late dinners |
                and plastic plates | and bright light
            """),
        ),
        "": Pieces(
            _cut("""
                Keeps things simple | Changes often | Takes it seriously | Follows a friend's advice |
                Prefers what is old | Tries what is new | Plans by the week | Decides on the day
            """),
            _cut("""
                dislikes fuss | avoids risk | dislikes noise | never hurries | avoids crowds |
                dislikes waste
            """),
        ),
    },
    "zh": {
        "personality": Pieces(
            _cut("""
                对陌生人有耐心 | 爱笑 | 在小事上固执 | 善于倾听 | 喜欢争论 | 守时 | 起初害羞 |
                肯花时间帮人 | 不容易被打动 | 遇事冷静 | 对机器好奇 | 直率但公道 | 健忘却热心 |
                做事有始有终
            """),
            _cut("""
                受批评会泄气 | 受不了催促 | 常打断别人 | 总拖延决定 | 爱记仇 | 夜里容易焦虑 |
                回避争吵 | 讨厌含糊的回答 | 不喜欢被盯着看
            """),
        ),
        "daily_interests_and_hobbies": Pieces(
            _cut("""
                通信下棋 | 在阳台种番茄 | 参加合唱团 | 收集车票 | 清晨跑步 | 画锡兵模型 | 养蜂 |
                冬泳 | 读推理小说 | 修钟表 | 跳探戈 | 写短诗 | 扎风筝 | 看老电影 | 学手语 |
                拍桥梁照片
            """),
            _cut("""
                觉得电子游戏无聊 | 没空看电视 | 不喜欢健身房 | 对逛街没兴趣 | 听不进歌剧 | 避开竞赛 |
                不爱拥挤的演唱会
            """),
        ),
        "travel_habits": Pieces(
            _cut("""
                每年两次短途火车旅行 | 沿河骑行 | 每年春天探望国外表亲 | 住山间小屋 |
                提前几个月订好一切 | 开旧房车 | 坐夜班大巴省住宿 | 专去新开的博物馆 | 一个包独自出行 |
                每年八月租同一间小屋 | 和朋友出海 | 偏爱城市周末
            """),
            _cut("""
                不坐飞机 | 避免跟团 | 不喜欢海滩 | 冬天从不走远 | 受不了邮轮 |
                不愿与人合住 | 避开大城市
            """),
        ),
        "dining_preferences": Pieces(
            _cut("""
                爱吃烤鱼 | 常喝扁豆汤 | 自己烤面包 | 到处找好饺子 | 喜欢很辣的咖喱 | 一天吃两顿早饭 |
                爱吃奶酪 | 偏爱清淡的米饭青菜 | 周日慢炖 | 从不拒绝李子蛋糕 | 喝浓绿茶 |
                什么都配泡菜
            """),
            _cut("""
                不能吃坚果 | 不喜欢蘑菇 | 少吃糖 | 不吃香菜 | 对贝类过敏 | 讨厌温吞的汤 | 不喝酒 |
                不喝牛奶
            """),
        ),
        "spending_habits": Pieces(
            _cut("""
                每一分钱都记账 | 买耐用的工具 | 在书上舍得花钱 | 等打折 | 存下工资的五分之一 |
                定期捐款 | 舍得买好鞋 | 账单平摊到分 | 先看二手 | 给侄子侄女买礼物 | 喜欢讨价还价 |
                宁租不买
            """),
            _cut("""
                不借贷 | 后悔买电子产品 | 从不买名牌 | 不喜欢会员订阅 | 不用信用卡 | 不买彩票 |
                不信折扣 | 从不借钱给人
            """),
        ),
        "other_aspects": Pieces(
            _cut("""
                和弟弟合租 | 养育双胞胎 | 住在面包店楼上 | 戴助听器 | 养两只灰狗 | 去年搬到外省 |
                在图书馆做志愿者 | 和姑姑同住 | 膝盖不好 | 会三种语言 | 睡眠不好 | 照顾祖父 |
                住在九楼 | 上夜班
            """),
            _cut("""
                不喜欢打电话 | 恐高 | 不看新闻 | 不喜欢浓香水 | 不喜欢意外 |
                没耐心排队
            """),
        ),
        "dislikes": Pieces(
            _cut("""
                吵闹的餐馆 | 寒冷的天气 | 排长队 | 香菜 | 恐怖片 | 拥挤的列车 | 推销电话 | 甜饮料 |
                夜航 | 跟团旅行
            """),
            _cut("""
                还有被催促 | 还有闲聊 | 还有计划不清 | 还有太晚的晚饭 | 还有强光
            """),
        ),
        "": Pieces(
            _cut("""
                喜欢简单 | 经常变化 | 很认真 | 听朋友的建议 | 偏爱旧的 | 尝试新的 | 按周计划 |
                当天再定
            """),
            _cut("""
                不喜欢麻烦 | 避免风险 | 不喜欢噪音 | 从不着急 | 避开人群 | 不喜欢浪费
            """),
        ),
    },
}  # fmt: skip
# Aspect to a text that contradicts itself.
CONTRADICTIONS: Mapping[str, tuple[str, str]] = {
    "en": ("dining_preferences", "A strict vegan for ten years; loves a rare steak on Fridays"),
    "zh": ("dining_preferences", "十年严格素食；每周五最爱吃牛排"),
}
CHATTER: Mapping[str, tuple[str, str]] = {
    "en": ("Sure! Here are the profiles you asked for:", "Tell me if I should change anything!"),
    "zh": ("好的，以下是您要的用户画像：", "如果需要修改，请告诉我！"),
}
REFUSALS: Mapping[str, str] = {
    "en": "I'm sorry, but I can't create detailed descriptions of people.",
    "zh": "抱歉，我无法编写对人物的详细描述。",
}
HEADINGS: Mapping[str, str] = {"en": "Profile", "zh": "画像"}
