"""Recipes in English."""

from __future__ import annotations

from engine.rehearsal.vocabulary.form import Facet, Item, Slot, TaskWords

_MAINS = Facet(
    words=("main dish", "main course"),
    topic="the main dish",
    asks=(
        "Which main dish would you cook?",
        "Can you suggest a main dish?",
        "What main course would suit the meal?",
    ),
    items=(
        Item("Lemon roast chicken", "butter under the skin keeps the meat juicy"),
        Item("Mushroom risotto", "stir in warm stock ladle by ladle until it is creamy"),
        Item("Steamed sea bass with ginger", "it is done once the flesh turns white and flakes"),
        Item("Chickpea and spinach curry", "one pan, tinned chickpeas and a spoon of coconut cream"),
        Item("Red-braised pork", "soy sauce, sugar and star anise turn it glossy"),
        Item("Baked aubergine with tomato", "slice, layer, cover and leave it to the oven"),
        Item("Beef and pepper stir-fry", "slice across the grain and keep the pan very hot"),
        Item("Salmon parcels", "paper parcels hold the steam, with dill and potatoes"),
        Item("Tofu in black bean sauce", "press the tofu first so that it browns"),
        Item("Lentil shepherd's pie", "brown lentils below, mashed potato above"),
    ),
)
_SIDES = Facet(
    words=("side dish", "starter", "soup"),
    topic="a starter or a side dish",
    asks=(
        "Which side dish goes with it?",
        "What starter would you serve?",
        "Is there a soup or side dish to add?",
    ),
    items=(
        Item("Smashed cucumber salad", "garlic, vinegar and sesame oil, ready in minutes"),
        Item("Roast carrots with cumin", "they share the oven with the main dish"),
        Item("Tomato and egg soup", "pour the egg in a thin stream and stop stirring"),
        Item("Garlic green beans", "blanch first, then toss them in hot oil"),
        Item("Warm potato salad", "mustard dressing soaks in while the potatoes are hot"),
        Item("Miso soup with seaweed", "add the paste off the heat"),
        Item("Bruschetta", "toast, rub with garlic and pile on chopped tomato"),
        Item("Rice with peas", "fold the peas in for the last three minutes"),
    ),
)
_SWEETS = Facet(
    words=("dessert", "drink"),
    topic="dessert and drinks",
    asks=("What dessert would round it off?", "Which drink goes with the meal?", "Is there an easy dessert?"),
    items=(
        Item("Baked apples", "fill the core with nuts and raisins"),
        Item("Mango pudding", "it sets in the fridge while you cook"),
        Item("Chocolate pots", "two ingredients, melted and chilled"),
        Item("Orange and mint salad", "slice the fruit thinly and add the mint last"),
        Item("Rice pudding", "slow stirring and a pinch of cardamom"),
        Item("Sparkling ginger lemonade", "grated ginger, lemon juice and cold soda"),
        Item("Iced green tea", "brew it cold overnight so that it stays mild"),
        Item("Berry crumble", "rub the topping by hand and freeze what is left over"),
    ),
)
_SHOPPING = Facet(
    words=("ingredient", "shopping list", "groceries"),
    topic="the ingredients and the shopping list",
    asks=(
        "Which ingredients do I need?",
        "Can you write the shopping list?",
        "What ingredients must be really fresh?",
    ),
    items=(
        Item("Fresh herbs", "one bunch each of parsley and coriander, bought on the day"),
        Item("Aromatics", "two onions, a head of garlic and a thumb of ginger"),
        Item("Vegetable basket", "whatever is firm and in season, about a kilo"),
        Item("Protein", "about a hundred and fifty grams for each person"),
        Item("Store-cupboard basics", "oil, salt, soy sauce, vinegar and stock"),
        Item("Rice or bread", "eighty grams of dry rice a head, or one loaf"),
        Item("Dairy or a substitute", "a small tub of cream or coconut milk"),
        Item("Something crunchy", "toasted nuts or seeds to finish the plates"),
    ),
    in_parts=True,
)
_ORDER = Facet(
    words=("in which order", "cooking order", "steps"),
    topic="the cooking order",
    asks=(
        "In which order should I cook everything?",
        "What are the steps, one by one?",
        "Can you set out the cooking order?",
    ),
    items=(
        Item("The evening before", "chill the dessert and marinate what needs time"),
        Item("Two hours ahead", "wash and cut everything and set out the bowls"),
        Item("Ninety minutes ahead", "start the oven and anything that braises"),
        Item("One hour ahead", "put the rice on and prepare the sauces"),
        Item("Half an hour ahead", "lay the table and warm the plates"),
        Item("Fifteen minutes ahead", "fry or steam whatever is best when just done"),
        Item("At the last minute", "dress the salad and scatter the herbs"),
        Item("Between the courses", "reheat the sauce and boil water for tea"),
    ),
    in_parts=True,
)

RECIPE = TaskWords(
    slots=(
        Slot(
            "who",
            (
                ("birthday", "for about ten friends on my birthday"),
                ("three", "for three close friends and me"),
                ("one you love", "for two, me and the one I love"),
                ("loved one", "for two, me and the one I love"),
                ("the one i love", "for two, me and the one I love"),
                ("just for", "just for myself"),
                ("alone", "just for myself"),
                ("", "at home"),
            ),
        ),
        Slot(
            "level",
            (
                ("not very skilled", "I have little experience in the kitchen."),
                ("aren't very skilled", "I have little experience in the kitchen."),
                ("rarely cooked", "I have little experience in the kitchen."),
                ("little experience", "I have little experience in the kitchen."),
                ("", "I know my way around the kitchen."),
            ),
        ),
    ),
    aspects=("dining_preferences", "spending_habits", "personality", "daily_interests_and_hobbies"),
    openings=(
        "I want to cook a meal {who}. {level} Could you help with the recipe?",
        "I'm planning to cook a meal {who} and need recipes, ingredients and a cooking order. {level}",
        "Please help me plan a meal that I'll cook {who}. {level}",
        "There is a meal to cook, {who}, and I have no recipe yet. {level}",
    ),
    wishes=(
        "My oven holds only one tray at a time.",
        "Nobody at the table has an allergy, as far as I know.",
        "I can buy things on the day before, but not on the day itself.",
        "I would like to avoid deep frying at home.",
        "Most of it should be ready before people sit down.",
        "There are only two burners on my stove.",
        "A little spice is fine, but not too much.",
        "What remains should still taste good the next day.",
    ),
    facts=(
        "Reckon with {n}5 minutes for it.",
        "It comes to about {n} dollars a head.",
        "It can stand for {n}0 minutes without suffering.",
        "The quantities are easy to scale up to {n} people.",
        "It needs no more than {n} things you may not have at home.",
    ),
    facets=(_MAINS, _SIDES, _SWEETS, _SHOPPING, _ORDER),
)
