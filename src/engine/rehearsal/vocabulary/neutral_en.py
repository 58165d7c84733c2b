"""English for tasks that have no vocabulary of their own, such as choosing a restaurant."""

from __future__ import annotations

from engine.rehearsal.vocabulary.form import Facet, Item, TaskWords

_CHOICES = Facet(
    words=("option", "suggest", "recommend"),
    topic="possible options",
    asks=(
        "What options would you suggest?",
        "Which options do you recommend?",
        "Can you suggest a few options?",
    ),
    items=(
        Item("The dependable classic", "well known, well reviewed and available nearly everywhere"),
        Item("The local favourite", "small, personal and known mostly to people nearby"),
        Item("The quiet alternative", "less choice, but calm and never crowded"),
        Item("The bold choice", "something new that you will certainly remember"),
        Item("The thrifty choice", "plain on the outside and good where it counts"),
        Item("The premium choice", "it costs more and takes all the work off your hands"),
        Item("The quick choice", "it can be arranged within the hour"),
        Item("The shared choice", "it is at its best in company"),
    ),
)
_CRITERIA = Facet(
    words=("criteria", "compare", "decide"),
    topic="the criteria to compare",
    asks=(
        "How would you compare them?",
        "Which criteria should I use to decide?",
        "What criteria matter most?",
    ),
    items=(
        Item("Distance", "anything over half an hour away will be used less often"),
        Item("Atmosphere", "note how you feel in the first minute"),
        Item("Reliability", "ask how problems were dealt with last time"),
        Item("Flexibility", "see whether changes are possible at short notice"),
        Item("Company", "think of whom you will share it with"),
        Item("Quality", "look at one detail closely rather than at everything"),
        Item("Reviews", "read the middling ones, since they are the most honest"),
        Item("Gut feeling", "imagine that the decision is made and see if you are relieved"),
    ),
    in_parts=True,
)
_COSTS = Facet(
    words=("cost", "budget", "price"),
    topic="the cost",
    asks=("What would it cost?", "Which budget should I plan?", "How do the prices compare?"),
    items=(
        Item("Entry level", "just the essentials, without any extras"),
        Item("Comfortable level", "the essentials plus one thing you really like"),
        Item("Full package", "everything included and one person to call"),
        Item("Off-peak deal", "the same on a weekday, for less"),
        Item("Group rate", "worth asking for from four people on"),
        Item("Membership", "it pays off from the third time"),
        Item("Pay as you go", "no commitment, slightly higher price"),
        Item("Voucher", "buy it in advance and keep the date open"),
    ),
)
_STEPS = Facet(
    words=("next step", "arrange", "book"),
    topic="the next steps to arrange it",
    asks=("What are the next steps?", "How do I arrange it?", "What should I book first?"),
    items=(
        Item("Shortlist", "write down three names and nothing more"),
        Item("Phone call", "five minutes answer more than an hour of reading"),
        Item("Visit", "drop in at the time of day when you would use it"),
        Item("Reservation", "make one that can be cancelled for free"),
        Item("Reminder", "set it two days ahead"),
        Item("Fallback", "keep the second name on the list"),
        Item("Checklist", "what to bring, whom to tell, when to leave"),
        Item("Review", "note afterwards what you would do differently"),
    ),
    in_parts=True,
)

NEUTRAL = TaskWords(
    slots=(),
    aspects=("daily_interests_and_hobbies", "dining_preferences", "spending_habits", "personality"),
    openings=(
        "I have something to decide and would be glad of some advice.",
        "I need help with a choice that I have put off for too long.",
        "There is something I want to arrange well this time.",
        "I would like to think a decision through with you.",
    ),
    wishes=(
        "It should be within easy reach of where I live.",
        "There will be two or three of us.",
        "I would like to be done with it by the end of the week.",
        "Noise bothers me more than it used to.",
        "I have had one bad experience and want to avoid another.",
        "It does not need to be perfect, just pleasant.",
        "A place or an offer with a bit of character would be lovely.",
        "I can be flexible about the day.",
    ),
    facts=(
        "Expect about {n}0 dollars.",
        "Allow {n} days to arrange it.",
        "About {n} in ten people would choose it again.",
        "It takes around {n}0 minutes.",
        "Compare at least {n} offers.",
    ),
    facets=(_CHOICES, _CRITERIA, _COSTS, _STEPS),
)
