"""Chinese for tasks that have no vocabulary of their own, such as choosing a restaurant."""

from __future__ import annotations

from engine.rehearsal.vocabulary.form import Facet, Item, TaskWords

_CHOICES = Facet(
    words=("选择", "推荐", "建议"),
    topic="可选的方案",
    asks=("有哪些选择？", "你会推荐什么？", "能给几个建议吗？"),
    items=(
        Item("经典之选", "有名、评价好，到处都有"),
        Item("本地人的最爱", "小而亲切，附近的人才知道"),
        Item("安静之选", "选择少，但从不拥挤"),
        Item("大胆之选", "新鲜，一定会记住"),
        Item("实惠之选", "外表普通，重点不差"),
        Item("高端之选", "贵一些，什么都不用操心"),
        Item("快捷之选", "一小时内就能安排"),
        Item("适合结伴", "人多时最好"),
    ),
)
_CRITERIA = Facet(
    words=("标准", "比较", "决定"),
    topic="比较的标准",
    asks=("你会怎么比较？", "按什么标准决定？", "哪些标准最重要？"),
    items=(
        Item("距离", "超过半小时就会少去"),
        Item("气氛", "留意第一分钟的感觉"),
        Item("可靠", "问问上次出问题怎么处理"),
        Item("灵活", "临时改动行不行"),
        Item("同伴", "想想会和谁一起"),
        Item("品质", "仔细看一个细节"),
        Item("评价", "中等评价最真实"),
        Item("直觉", "假设已经决定，看自己是否松一口气"),
    ),
    in_parts=True,
)
_COSTS = Facet(
    words=("费用", "预算", "价格"),
    topic="费用",
    asks=("费用大概多少？", "预算怎么定？", "价格差多少？"),
    items=(
        Item("入门档", "只有必需的"),
        Item("舒适档", "必需的加一样喜欢的"),
        Item("全包", "一切包含，有专人联系"),
        Item("错峰价", "工作日同样的内容更便宜"),
        Item("团体价", "四人起可以问"),
        Item("会员", "第三次开始划算"),
        Item("按次付", "没有约束，单价略高"),
        Item("礼券", "先买，日期不限"),
    ),
)
_STEPS = Facet(
    words=("下一步", "安排", "预订"),
    topic="下一步的安排",
    asks=("下一步做什么？", "怎么安排？", "先预订哪一个？"),
    items=(
        Item("列短名单", "只写三个名字"),
        Item("打电话", "五分钟胜过读一小时"),
        Item("实地看看", "在你会用的时段去"),
        Item("先预订", "选可以免费取消的"),
        Item("设提醒", "提前两天"),
        Item("留备选", "第二个名字别划掉"),
        Item("写清单", "带什么、告诉谁、几点出发"),
        Item("事后回顾", "记下下次会怎么改"),
    ),
    in_parts=True,
)

NEUTRAL = TaskWords(
    slots=(),
    aspects=("daily_interests_and_hobbies", "dining_preferences", "spending_habits", "personality"),
    openings=(
        "我有件事要决定，想听听你的意见。",
        "有个选择拖了很久，想请你帮忙。",
        "这次我想把事情安排好。",
        "想和你一起理清一个决定。",
    ),
    wishes=(
        "最好离我住的地方近。",
        "一共两三个人。",
        "希望这周内办好。",
        "我比以前更怕吵。",
        "有过一次不愉快，不想再来。",
        "不必完美，舒服就行。",
        "有点特色会更好。",
        "日子我可以灵活。",
    ),
    facts=(
        "大约{n}00元。",
        "安排需要{n}天。",
        "十个人里约有{n}个会再选。",
        "大概{n}0分钟。",
        "至少比较{n}家。",
    ),
    facets=(_CHOICES, _CRITERIA, _COSTS, _STEPS),
)
