"""Travel in English, for both travel tasks; the new one also names the point of departure."""

from __future__ import annotations

from dataclasses import replace

from engine.rehearsal.vocabulary.form import Facet, Item, Slot, TaskWords

_PLACES = Facet(
    words=("destination", "where to go", "sights and places"),
    topic="a destination",
    asks=(
        "Which destination would you recommend?",
        "Can you suggest a few destinations?",
        "What destination would suit me?",
    ),
    items=(
        Item("Kyoto, Japan", "temple gardens, tea houses and quiet lanes lie close together"),
        Item("Lisbon, Portugal", "trams climb the hills to viewpoints, and seafood is cheap and fresh"),
        Item("Chengdu, China", "panda reserves, tea gardens and peppery dishes fill the days"),
        Item("Oaxaca, Mexico", "craft markets and mezcal tastings are a short walk from the square"),
        Item("Edinburgh, Scotland", "a castle, bookshops and a hill with a view share one city centre"),
        Item("Hangzhou, China", "a lakeside path links pagodas, tea fields and small museums"),
        Item("Vancouver, Canada", "forest trails start at the end of a city bus line"),
        Item("Granada, Spain", "palaces and tapas bars stand below snowy peaks"),
        Item("Chiang Mai, Thailand", "night markets, cooking schools and mountain temples are all near"),
        Item("Ljubljana, Slovenia", "a car-free centre makes a calm base for lakes and caves"),
    ),
)
_XIAN = replace(
    _PLACES,
    topic="the sights and places in Xi'an",
    asks=("Which sights and places in Xi'an come first?", "What are the sights and places I must not miss?"),
    items=(
        Item("Terracotta Army", "three excavation halls show rank upon rank of clay soldiers"),
        Item("Ancient City Wall", "the rampart can be cycled all the way round in an afternoon"),
        Item("Muslim Quarter", "lamb skewers, sweet cakes and an old mosque share a few lanes"),
        Item("Big Wild Goose Pagoda", "the brick tower once held Buddhist scriptures brought from India"),
        Item("Shaanxi History Museum", "bronzes, murals and Tang gold tell the story of the capital"),
        Item("Bell Tower and Drum Tower", "both stand in the very centre and glow after dusk"),
        Item("Huaqing Palace", "hot springs and imperial gardens lie at the foot of a mountain"),
        Item("Forest of Stone Steles", "centuries of calligraphy are carved into stone here"),
    ),
)
_XINJIANG = replace(
    _PLACES,
    topic="the sights and places in Xinjiang",
    asks=("Which sights and places fit around my work?", "What are the best sights and places in Xinjiang?"),
    items=(
        Item("Heavenly Lake", "a deep blue lake lies below a snow-capped peak east of Urumqi"),
        Item("Grand Bazaar in Urumqi", "dried fruit, carpets and music fill the evening"),
        Item("Turpan", "vineyards and ancient water channels survive in a hot basin"),
        Item("Kashgar Old Town", "clay-brick lanes lead past workshops and tea houses"),
        Item("Sayram Lake", "wild flowers and grazing horses surround a high mountain lake"),
        Item("Kanas Lake", "birch forest and wooden villages line a green lake in the north"),
        Item("Nalati Grassland", "rolling pastures offer riding and a night in a yurt"),
        Item("Xinjiang Regional Museum", "silk, masks and mummies tell of the old trade roads"),
    ),
)
_STAYS = Facet(
    words=("accommodation", "hotel", "stay"),
    topic="accommodation",
    asks=(
        "What accommodation would you suggest?",
        "Where should I stay?",
        "Which hotel or guest house would suit me?",
    ),
    items=(
        Item("Courtyard guest house", "six rooms around a small garden, with breakfast at a shared table"),
        Item("Business hotel by the station", "soundproof rooms and a desk that is staffed all night"),
        Item("Serviced apartment", "a kitchenette and a washing machine keep a longer stay simple"),
        Item("Boutique hotel in the old town", "twelve individually furnished rooms in a listed building"),
        Item("Spa resort outside the city", "pools, massages and a shuttle into town twice a day"),
        Item("Family-run homestay", "the hosts cook in the evening and know every shortcut"),
        Item("Hillside eco lodge", "wooden cabins with a view, powered by the sun"),
        Item("Design hostel with private rooms", "a lively lounge below and quiet doors above"),
    ),
)
_MOVES = Facet(
    words=("transport", "getting there", "getting around"),
    topic="transport",
    asks=(
        "How about transport?",
        "What transport do you recommend there and back?",
        "Which way of getting there is the least tiring?",
    ),
    items=(
        Item("High-speed train", "departures every half hour and a seat with a table"),
        Item("Morning flight", "you land before noon and lose no day to travelling"),
        Item("Overnight train", "a bed in a four-berth compartment saves one hotel night"),
        Item("Rental car", "it opens up villages that no bus serves"),
        Item("Airport express and metro", "two simple changes bring you to the door"),
        Item("Long-distance coach", "it is the cheapest way, with a stop at the halfway point"),
        Item("Driver for the day", "a local driver waits while you look around"),
        Item("Regional rail pass", "unlimited rides within the region on consecutive days"),
    ),
)
_DAYS = Facet(
    words=("itinerary", "schedule", "activities"),
    topic="the daily itinerary",
    asks=(
        "Can you draft a daily itinerary?",
        "What would the itinerary look like day by day?",
        "Which activities should go into my itinerary?",
    ),
    items=(
        Item("Market morning", "arrive at eight, when stalls are full and the light is soft"),
        Item("Guided walk through the old quarter", "a local historian tells stories at nine stops"),
        Item("Museum afternoon", "the main collection takes three hours, and the last entry is at four"),
        Item("Half-day hike", "a marked loop of eight kilometres with a tea house at the top"),
        Item("Sunset viewpoint", "take the cable car up an hour before dusk"),
        Item("Hands-on craft workshop", "you take home what you make in two hours"),
        Item("Evening performance", "folk music starts at half past seven in a small theatre"),
        Item("Slow day by the water", "rent a boat, swim, read and have a late lunch"),
    ),
    in_parts=True,
)
_FOOD = Facet(
    words=("restaurant", "eat", "food"),
    topic="food and restaurants",
    asks=(
        "Where should I eat?",
        "Which restaurant would you book?",
        "What about local food worth trying?",
    ),
    items=(
        Item("Noodle bar near the gate", "hand-pulled noodles are served from a kitchen you can watch"),
        Item("Harbour grill", "the catch of the day is grilled over charcoal"),
        Item("Vegetarian temple kitchen", "ten small bowls follow the season"),
        Item("Street food lane", "a dozen stalls offer skewers, dumplings and sweet soup"),
        Item("Chef's counter with eight seats", "one seasonal menu is cooked in front of you"),
        Item("Farmhouse lunch", "everything on the table grew within sight"),
        Item("Rooftop brasserie", "small plates and a view over the roofs"),
        Item("Tea house with pastries", "quiet tables where one can rest between sights"),
    ),
)

TRAVEL = TaskWords(
    slots=(
        Slot(
            "when",
            (
                ("weekend", "a weekend trip"),
                ("fortnight", "a fortnight's trip"),
                ("two week", "a fortnight's trip"),
                ("month", "a month-long trip"),
                ("thirty", "a trip of thirty days"),
                ("seven", "a trip of seven days"),
                ("two day", "a two-day trip"),
                ("two-day", "a two-day trip"),
                ("", "a trip"),
            ),
        ),
        Slot(
            "season",
            (
                ("december", "in December"),
                ("winter", "this winter"),
                ("summer", "this summer"),
                ("", "this season"),
            ),
        ),
        Slot(
            "goal",
            (
                ("xi'an", "The destination is Xi'an, for its history and culture."),
                ("xinjiang", "My work takes me to Xinjiang, so the rest has to fit around it."),
                ("", "There is no fixed destination yet."),
            ),
        ),
    ),
    aspects=("travel_habits", "daily_interests_and_hobbies", "dining_preferences", "spending_habits"),
    openings=(
        "I'm planning {when} {season} and would like help with the travel plans. {goal}",
        "I need advice on {when} {season}: accommodation, transport and an itinerary. {goal}",
        "{season_cap} I want to go on {when}, and so far the travel plan is only a rough idea. {goal}",
        "Could we work out {when} together? I travel {season}. {goal}",
    ),
    wishes=(
        "I don't want to change hotels every night.",
        "The travel time per day should stay under three hours.",
        "I would like one free afternoon without any programme.",
        "Please watch the distances, because I prefer to walk between the sights.",
        "I get tired on long bus rides, so trains are better for me.",
        "A place where I can hear local music would be lovely.",
        "I will carry one small suitcase and nothing else.",
        "It may rain, so an indoor alternative for each day would be useful.",
    ),
    facts=(
        "Allow about {n}0 minutes for it, including the way there.",
        "Set aside roughly {n}0 dollars a day for it.",
        "Book it about {n} weeks ahead.",
        "It lies some {n}00 metres from the nearest stop.",
        "Reviews have praised it for the last {n} years.",
    ),
    facets=(_PLACES, _STAYS, _MOVES, _DAYS, _FOOD),
)
TRAVEL_XIAN = replace(TRAVEL, facets=(_XIAN, *TRAVEL.facets[1:]))
TRAVEL_XINJIANG = replace(TRAVEL, facets=(_XINJIANG, *TRAVEL.facets[1:]))

_NEW_OPENINGS = (
    "I'm taking {when} {season} and want a firm travel plan, from my point of departure and back. {goal}",
    "I have a first idea for {when} {season} and the point of departure is my home. {goal} "
    "Help me with the travel details.",
    "Please help me finish the plan of {when} {season}; opening hours of the sights matter. {goal}",
    "{season_cap} I set out on {when}. {goal} Transport from my point of departure is still open.",
)
NEWTRAVEL = replace(TRAVEL, openings=_NEW_OPENINGS)
NEWTRAVEL_XIAN = replace(TRAVEL_XIAN, openings=_NEW_OPENINGS)
