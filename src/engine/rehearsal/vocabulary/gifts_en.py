"""Gifts in English."""

from __future__ import annotations

from engine.rehearsal.vocabulary.form import Facet, Item, Slot, TaskWords

_IDEAS = Facet(
    words=("gift idea", "present idea", "what to give"),
    topic="gift ideas",
    asks=(
        "Do you have any gift ideas?",
        "Which gift ideas come to mind?",
        "What gift idea would you start with?",
    ),
    items=(
        Item("Fountain pen", "a smooth steel nib and a converter for any ink"),
        Item("Illustrated book", "a large volume on a subject close to the heart of {who}"),
        Item("Tea set", "a pot with two cups and a tin of loose-leaf tea"),
        Item("Potted orchid", "it blooms for weeks and needs water only once a week"),
        Item("Wool scarf", "a soft, plain weave that goes with every coat"),
        Item("Board game", "easy rules, half an hour a round, and fun for two or more"),
        Item("Concert tickets", "an evening out that will be talked about for a long time"),
        Item("Desk lamp", "warm light, three levels and a small footprint"),
        Item("Jigsaw of a favourite landscape", "a thousand pieces for several quiet evenings"),
        Item("Box of regional sweets", "six kinds from a small confectioner, freshly packed"),
    ),
)
_MAKING = Facet(
    words=("make it myself", "handmade", "personal touch"),
    topic="a personal touch, handmade or ordered",
    asks=(
        "How could I add a personal touch?",
        "Should I make it myself or buy it?",
        "What handmade detail could go with it?",
    ),
    items=(
        Item("Engraved initials", "a local engraver does it while you wait"),
        Item("Photo booklet", "sixteen pages with a line under each picture"),
        Item("Hand-bound notebook", "thread, cardboard and cloth are all it takes"),
        Item("Recorded message", "a minute of voices from people who know {who}"),
        Item("Knitted cover", "a simple pattern that beginners manage in two evenings"),
        Item("Watercolour card", "three colours and a short verse inside"),
        Item("Home-baked biscuits", "a tin of almond biscuits keeps for a fortnight"),
        Item("Memory jar", "thirty folded notes, one for each shared moment"),
    ),
)
_BUDGET = Facet(
    words=("budget", "price", "spend"),
    topic="the budget",
    asks=("What budget is sensible?", "How much should I spend?", "Which price range is usual here?"),
    items=(
        Item("Modest tier", "a thoughtful small thing plus a handwritten note"),
        Item("Middle tier", "one well-made object that will be used every week"),
        Item("Generous tier", "a main present with a small extra to unwrap first"),
        Item("Shared present", "two or three people each pay a part"),
        Item("Half and half", "spend half on the object and half on an outing together"),
        Item("Voucher with a twist", "a fixed sum, hidden in something handmade"),
        Item("Second-hand find", "an antique with a story costs less than it looks"),
        Item("Seasonal offer", "last season's edition of the same quality"),
    ),
)
_SHOPS = Facet(
    words=("shop", "where to buy", "order"),
    topic="shops and where to buy it",
    asks=("Where to buy it, in your opinion?", "Which shop would you try first?", "Can I order it in time?"),
    items=(
        Item("Neighbourhood stationer", "the staff wrap everything and advise patiently"),
        Item("Museum shop", "well-designed things that nobody else will bring"),
        Item("Weekend craft market", "you meet the people who made what you buy"),
        Item("Independent bookshop", "they can get any title within two days"),
        Item("Online workshop platform", "small makers ship directly and take special wishes"),
        Item("Department store", "many brands on one floor, with easy returns"),
        Item("Garden centre", "plants, pots and a delivery service in one place"),
        Item("Charity shop", "the money goes to a good cause"),
    ),
)
_WRAPPING = Facet(
    words=("wrap", "hand it over", "card"),
    topic="wrapping and the card",
    asks=(
        "How should I wrap it?",
        "What could I write on the card?",
        "When is the right moment to hand it over?",
    ),
    items=(
        Item("Cloth wrapping", "a square scarf tied in a knot is part of the present"),
        Item("Plain paper with a dried flower", "simple, and it suits every age"),
        Item("Wooden box", "it can be kept for letters afterwards"),
        Item("Card with a shared memory", "three sentences about one particular day"),
        Item("Short verse", "four lines that rhyme, written by hand"),
        Item("Breakfast surprise", "hand it over before the day gets busy"),
        Item("After the meal", "everyone has time, and the table is calm"),
        Item("Small treasure hunt", "three clues lead through the house"),
    ),
)

GIFTS = TaskWords(
    slots=(
        Slot(
            "who",
            (
                ("teacher", "my teacher"),
                ("grandmother", "my grandmother"),
                ("grandma", "my grandmother"),
                ("nephew", "my nephew"),
                ("girlfriend", "my partner"),
                ("partner", "my partner"),
                ("", "someone dear to me"),
            ),
        ),
        Slot(
            "when",
            (
                ("birthday", "a birthday"),
                ("teachers' day", "Teachers' Day"),
                ("teacher's day", "Teachers' Day"),
                ("double ninth", "the Double Ninth Festival"),
                ("children's day", "Children's Day"),
                ("valentine", "Valentine's Day"),
                ("visit", "a visit"),
                ("", "a special day"),
            ),
        ),
    ),
    aspects=("spending_habits", "daily_interests_and_hobbies", "other_aspects", "personality"),
    openings=(
        "I'm looking for a gift for {who} for {when}.",
        "I would like to give {who} a present for {when}, but I have no gift in mind yet.",
        "Soon it is time for {when}, and I need a present for {who}.",
        "Could you help me find a gift? It is meant for {who}, and the occasion is {when}.",
    ),
    wishes=(
        "It should fit into a bag that I can carry on the train.",
        "Nothing that only gathers dust, please.",
        "I have about ten days until it has to be ready.",
        "We have known each other for years, so it may be a little unusual.",
        "The last present from me was a mug, so no more mugs.",
        "A nice surprise is worth more to me than a famous brand.",
        "It must not look too expensive, or it will be refused.",
        "I am good with paper and glue, less so with needles.",
    ),
    facts=(
        "Prices start at about {n}0 dollars.",
        "Allow {n} days for it to be ready.",
        "It takes about {n} evenings if you do it yourself.",
        "Expect to compare {n} or more offers.",
        "It keeps its value for at least {n} years.",
    ),
    facets=(_IDEAS, _MAKING, _BUDGET, _SHOPS, _WRAPPING),
)
