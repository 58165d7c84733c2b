"""English verbs as profiles use them, in the third person, and how to say the same of oneself.

The table decides what may be turned into "I ..."; a phrase that starts with any other word is left as it
is and framed as a note. Words that are plural nouns as well count as verbs only before an object.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS = _words(
    "admits adores allocates apologises appreciates argues arranges attends avoids bakes balances "
    "bargains barters becomes befriends believes belongs birdwatches blossoms borrows braids breeds "
    "brews brings bristles budgets builds busks buys calls carries carves chews chooses collects "
    "colour-codes comes compares compensates competes complains considers corrects craves crochets "
    "crosses declines deducts defends despises detests digs dislikes distils distrusts divides does "
    "donates draws dreads dreams drives dyes earns eats edits embroiders enjoys exaggerates expects "
    "explores favors favours feeds feels ferments figure-skates finds fixes flies flirts focuses "
    "follows forgets forgives freedives freezes frequents frets gardens gets gives goes grinds grows "
    "haggles has hates hauls hears helps hides hikes hitchhikes hoards holds hopes hosts hunts "
    "hurries ignores illustrates insists inspects insures interrupts invests is joiks joins juggles "
    "keeps kitesurfs knits knows laughs learns leaves lends lifts likes listens lives loathes longs "
    "looks loses loves maintains makes memorises mends misses mixes moves navigates needs negotiates "
    "notices objects opts orders organises organizes overspends owes owns paints participates pays "
    "pickles plans plays ploughs postpones practices practises praises prays prefers presses pretends "
    "produces protects prunes puts quilts reads rebuilds recites refuses reinvests remembers "
    "renovates rents repairs repays repeats rereads resells resents restores rides runs saves says "
    "scorns scuba-dives seeks sees sells sends sews shares shoots shouts signs sings skates sketches "
    "ski-tours sleeps sneaks softens solves speaks spends splurges stays stilt-walks studies "
    "subscribes suffers sulks sunburns swaps swears swims switches takes talks tango-dances teaches "
    "teases tells tends thinks throws tinkers travels tries trusts underestimates uses values visits "
    "volunteers waits wants watches wears weaves welds whittles wishes works worries writes "
)
HOMOGRAPHS = _words(
    "accompanies acts asks bets bites blows books bottles bowls boxes breaks changes charges checks "
    "climbs clips coaches codes cooks copies counts cries curls cycles dances dates designs drinks "
    "fasts fears films fishes gossips grazes guards hands jokes journals lights limits maps phones "
    "photographs plants posts prints races referees returns rooms sails shops smokes sponsors spots "
    "streams stretches suits supports surfs thanks tips tops tours tracks trades trains walks winters "
)
# Forms that are the same for every person, and what may stand before a verb.
UNCHANGED = _words("cannot can could will would must should gave made grew became left came lost had was")
ADVERBS = frozenset(
    {"always", "never", "often", "rarely", "seldom", "sometimes", "usually", "also", "still"}
) | {"now"}
# After one of these a homograph is a noun: "tours of the city", "drinks and sweets".
NO_OBJECT = _words("and or of are is have were that which bore make")
_IRREGULAR = {"is": "am", "has": "have", "does": "do", "goes": "go", "isn't": "am not", "doesn't": "don't"}
_IRREGULAR |= {"lies": "lie", "was": "was", "hasn't": "have not"}


def first_person(verb: str) -> str:
    """The form after "I" of a third-person form in lower case."""
    if (known := _IRREGULAR.get(verb)) is not None:
        return known
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    if verb.endswith(("shes", "ches", "sses", "xes", "zzes", "oes")):
        return verb[:-2]
    return verb.removesuffix("s")
