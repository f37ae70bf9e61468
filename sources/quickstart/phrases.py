"""The phrases from which `sources.quickstart.generate` composes customer messages, written for this project.

A phrase is a small grammar of its own: `[a|b|]` picks one alternative (an empty one is allowed) and
`{name}` is replaced by a phrase of `SLOTS[name]`. The keys of `EVENTS` and `CUES` are the labels.
"""

from __future__ import annotations

# fmt: off

SLOTS: dict[str, tuple[str, ...]] = {
    "product": (
        "kettle", "desk lamp", "backpack", "[pair of |]headphones", "coffee grinder", "rain jacket",
        "running shoes", "bike light", "blender", "monitor", "camping stove", "[two-person |]tent",
        "keyboard", "phone case", "air fryer", "garden hose", "office chair", "bookshelf", "toaster",
        "sleeping bag", "water bottle", "printer", "speaker", "[wool |]blanket", "power drill", "yoga mat",
        "suitcase", "[kids |]scooter", "thermos", "webcam", "pan set", "smart plug", "tool box",
        "winter boots",
    ),
    "the": ("the", "my", "this", "the new", "your", "that"),
    "item": ("{the} {product}", "{the} {product}", "{the} {product}", "the item", "what i bought", "it"),
    "when": (
        "last [week|month|friday|night]", "yesterday", "this morning", "on [monday|tuesday|the weekend]",
        "[two|three|five|ten] days ago", "a while back", "in [march|june|october]", "over the holidays",
        "today",
    ),
    "days": (
        "[two|three|four|nine] days", "a week", "almost a fortnight", "a month", "ages", "[48|72] hours",
    ),
    "amount": ("[12|19|34|48|75|120] [euros|pounds|dollars]", "[£|$][9|15|27|64|89]", "the full price"),
    "order": ("order [4|7|9][1|3|8][0|2|6][5|4|1]", "my [last |]order", "the order", "what i ordered"),
    "staff": (
        "the [guy|woman|person] on the phone", "your [agent|colleague|team]", "the chat [person|agent]",
        "whoever answered", "the help desk", "the lady in the [shop|store]",
    ),
    "very": ("really", "so", "very", "", "pretty", "honestly", "just", "quite"),
    "plan": ("plan", "membership", "subscription", "monthly box", "premium plan", "yearly plan", "trial"),
    "app": ("app", "website", "site", "checkout page", "mobile app", "new version of the app"),
}

EVENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "delivery": {
        "bad": (
            "{item} [turned up|arrived|got here|came] {days} late",
            "the courier [left|dumped] the box [in the rain|at the wrong door|with a neighbour i don't know]",
            "still no sign of {order} after {days}",
            "tracking has [said|shown] in transit [for {days}|since {when}]",
            "the parcel was [crushed|soaked|half open] when it [came|arrived]",
            "{order} [went|was sent] to my old [street|flat]",
            "the driver never [rang|knocked] and wrote that nobody was in",
            "only [half|one box] of {order} [showed up|was in the van]",
            "waited in all day {when} and nobody came",
        ),
        "good": (
            "{item} [arrived|got here|was at my door] [a day early|the next day|right on time]",
            "the courier [called ahead|carried it upstairs|was careful with the box]",
            "tracking was [spot on|accurate to the minute]",
            "[quick|fast|smooth] [shipping|dispatch] and [well packed|a sturdy box]",
            "{order} came in [one piece|two days] despite the [strike|snow|holidays]",
            "the parcel was left exactly where i asked",
        ),
        "ask": (
            "when will {order} [ship|get here|leave the warehouse]",
            "can {order} be sent to [a pickup point|another address|my office]",
            "where do i find the tracking [number|link]", "is there a [slot|courier] on [saturdays|evenings]",
            "the address on {order} needs [a change|fixing] before it ships",
        ),
    },
    "billing": {
        "bad": (
            "you [charged|billed] me twice for {order}",
            "my card was charged {amount} [for nothing|that i never agreed to]",
            "the invoice [shows|lists] {amount} and i paid less",
            "the discount code was [not applied|ignored] at the till",
            "there is a fee on the bill that nobody [explained|mentioned]",
            "the tax on the invoice is [wrong|missing]",
            "payment [failed|was declined] but the money left my bank",
            "price jumped by {amount} between basket and payment",
            "was charged before {order} even [shipped|left]",
        ),
        "good": (
            "the invoice was [clear|correct to the cent]",
            "paying [by card|in instalments] was [easy|painless]",
            "the voucher [worked|took {amount} off] without fuss",
            "the double charge was [fixed|reversed] within {days}", "no hidden fees on the bill",
            "the price was matched [at once|without a question]",
        ),
        "ask": (
            "can i get [an invoice|a receipt] with [our company name|the vat number]",
            "which cards do you [take|accept]", "can i pay {order} in [two|three] parts",
            "why does the bill say {amount}", "where do i enter a [voucher|discount code]",
        ),
    },
    "refund": {
        "bad": (
            "sent {item} back {when} and [no money yet|nothing since]",
            "the return label [would not print|never came]", "you only gave me back {amount} of it",
            "still waiting for the refund after {days}", "my return was [refused|rejected] for no reason",
            "was told to pay the return postage myself", "the warehouse says {item} never came back to them",
            "the exchange took {days} and was the wrong size again",
        ),
        "good": (
            "the refund [landed|was in my account] [within {days}|the same day]",
            "sending {item} back was [simple|free|no trouble]", "swapped {item} for another size in {days}",
            "got {amount} back [straight away|with no questions]", "the return label was already in the box",
        ),
        "ask": (
            "how do i send {item} back", "can i swap {item} for [a bigger size|another colour]",
            "how long do refunds take", "is {order} still inside the return window",
            "do i need the box to return {item}",
        ),
    },
    "quality": {
        "bad": (
            "{item} [broke|stopped working|fell apart] after {days}",
            "{item} [feels|looks] [cheap|flimsy|nothing like the photo]",
            "the [zip|handle|hinge|switch|seam] [snapped|came off] {when}",
            "{item} [leaks|rattles|smells of glue|overheats]", "there are scratches all over {item}",
            "{item} is [half the size|a different colour] from the picture",
            "the battery of {item} dies in an hour", "a part was missing so {item} can't be put together",
        ),
        "good": (
            "{item} [works like a charm|is solid|feels well made]",
            "{item} [still looks new|has held up] after {days} of daily use",
            "the [fabric|finish|sound|stitching] is [lovely|better than the photo]",
            "{item} is [light|quiet|sturdy] and does what it says",
            "{item} survived [a fall|a storm|my kids]", "even the small details of {item} are neat",
        ),
        "ask": (
            "is {item} [dishwasher safe|waterproof|fine for kids]", "what is {item} made of",
            "does {item} fit [a small desk|size 44|a 15 inch laptop]",
            "which [batteries|spare parts|filters] does {item} need", "how do i clean {item}",
        ),
    },
    "account": {
        "bad": (
            "i am locked out [since {when}|for {days}]",
            "the password reset [mail|link] [never comes|is dead on arrival]",
            "my [profile|order history] is [empty|gone]", "somebody [logged in as me|changed my email]",
            "the code you text me [expires|is refused] every time",
            "you closed my login without [a word|warning]",
            "two profiles exist under my [email|name] and neither opens",
            "my saved address keeps coming back wrong after signing in",
        ),
        "good": (
            "getting back into my profile took [a minute|one mail]", "signing up was [quick|dead simple]",
            "the two-step login is [easy|reassuring]", "merging my two profiles [just worked|went fine]",
            "my old points were moved to the new login",
        ),
        "ask": (
            "how do i change [my email|the phone number] on my profile", "please delete my [profile|data]",
            "can two people share one login", "how do i turn on two-step login",
            "i forgot my [username|password]",
        ),
    },
    "app": {
        "bad": (
            "the {app} [crashes|freezes|hangs] when i [open it|pay|search]",
            "search on the {app} finds nothing",
            "the {app} [logs me out|loses my basket] [all the time|every hour]",
            "since the update the {app} is [slow|unreadable|full of errors]",
            "the pay button on the {app} does nothing", "filters on the {app} are [broken|a mess]",
            "the {app} shows [a blank page|error 500] {when}", "notifications from the {app} never stop",
        ),
        "good": (
            "the {app} is [fast|clean|a pleasure to use]", "found it in [seconds|two clicks] on the {app}",
            "dark mode on the {app} is [great|easy on the eyes]",
            "the update fixed the {app} on my [old phone|tablet]",
            "checkout on the {app} took [a minute|three taps]",
        ),
        "ask": (
            "is there a [dark mode|wish list] on the {app}", "does the {app} run on [an old tablet|linux]",
            "how do i switch the {app} to [english|another currency]",
            "where did the [filter|basket|compare] button on the {app} go",
            "how do i stop the notifications of the {app}",
        ),
    },
    "service": {
        "bad": (
            "{staff} [hung up on me|was rude|would not listen]",
            "i was on hold for [an hour|40 minutes] {when}", "nobody [answers|reads] my [mails|messages]",
            "{staff} [promised a call|said tomorrow] and then silence",
            "every time i get a different answer from {staff}",
            "the bot [goes round in circles|never lets me talk to a human]",
            "{staff} had no clue [what to do|about {item}]",
        ),
        "good": (
            "{staff} [stayed on the line|sorted it|went out of their way] [until it worked|in minutes|]",
            "{staff} was [kind|patient|friendly]", "got a reply within [minutes|the hour]",
            "{staff} called back as promised", "talked to a real human who [knew|cared]",
        ),
        "ask": (
            "what are your opening hours", "is there a number i can [call|ring]",
            "can {staff} call me back {when}", "who do i talk to about [a complaint|a big order]",
            "do you have a shop near [the station|the coast|me]",
        ),
    },
    "subscription": {
        "bad": (
            "the {plan} renewed [without asking|after i cancelled]",
            "there is no way to [cancel|pause] the {plan}",
            "the {plan} went up by {amount} [without notice|]",
            "cancelled the {plan} {when} and it is still running",
            "the free {plan} turned into a paid one overnight",
            "the {plan} no longer includes what i signed up for",
            "downgrading the {plan} [wiped my settings|took {days}]",
        ),
        "good": (
            "cancelling the {plan} took [one click|a minute]", "the {plan} [pays for itself|is worth it]",
            "could pause the {plan} [for {days}|over summer]",
            "switching to the yearly {plan} saved me {amount}", "the {plan} ended on the date you said",
        ),
        "ask": (
            "how do i [cancel|pause|downgrade] the {plan}", "when does the {plan} renew",
            "what is in the {plan}", "can i gift a {plan}",
            "does the {plan} have a [notice period|student price]",
        ),
    },
}
"""Topic → how it went (`bad`, `good`) or what is asked (`ask`) → clauses."""

VAGUE: tuple[str, ...] = (
    "about {order}", "it is about what we talked about {when}", "same [thing|story] as {when}",
    "writing about {item} again", "this is my [second|third] message", "you know which one i mean",
    "see the [photo|mail] from {when}", "the usual",
)
"""Clauses that tell no topic."""

EVALUATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "[worst|most awful] [shop|experience|purchase] [ever|in years]",
        "never [again|ever buying here again]", "[total|complete|utter] [waste of money|rubbish|disaster]",
        "avoid [this|them] [at all costs|]", "one star is too many", "[absolutely|truly] terrible",
        "i want nothing to do with you any more", "[useless|unacceptable|a joke]",
    ),
    2: (
        "[not|far from] good", "[rather|quite|pretty] poor", "would not buy it again",
        "expected [more|better] for {amount}", "could be a lot better", "[not worth|hardly worth] {amount}",
        "below average", "more trouble than it's worth", "i can't recommend it",
    ),
    3: (
        "it's [okay|fine|alright] i guess", "[so-so|average|middling]", "neither good nor bad",
        "does the job[| more or less]", "some good, some bad", "you get what you pay for",
        "mixed [feelings|bag]", "nothing special", "might buy again, might not",
    ),
    4: (
        "[quite|rather|mostly] [good|happy with it|pleased]", "would [probably |]buy again",
        "good [value|buy] for {amount}", "a [solid|decent] choice", "only small things to complain about",
        "better than [most|average]", "does it well", "nearly perfect",
    ),
    5: (
        "[absolutely|simply|really] [brilliant|perfect|superb]",
        "best [shop|purchase|thing i bought] [ever|in years|this year]", "can't fault it",
        "five stars [from me|without a doubt]", "would buy it again [tomorrow|in a heartbeat]",
        "[ten|10] out of ten", "could not be better", "telling all my friends",
    ),
}
"""Tone, 1 worst to 5 best → closing judgements."""

CUES: dict[str, tuple[str, ...]] = {
    "anger": (
        "i am {very} [angry|furious|fed up]", "this makes my blood boil", "how dare you",
        "[stop|quit] wasting my time", "i have had it with you", "it drives me up the wall",
        "enough is enough", "what a cheek", "i'm {very} sick of this",
    ),
    "disappointment": (
        "{very} [disappointed|let down]", "i had hoped for [more|better]", "what a [shame|pity|letdown]",
        "sadly not what i was promised", "i was looking forward to it so much", "i thought better of you",
        "such a sad end to a nice [week|gift|idea]",
    ),
    "worry": (
        "i am {very} [worried|nervous|uneasy] about it",
        "hope [my money is not lost|my data is safe|nothing is wrong]", "i keep losing sleep over it",
        "what if it never gets fixed", "is my card safe", "i'm afraid it will happen again",
        "a bit scared to use it",
    ),
    "confusion": (
        "i don't [get|understand] [it|why|how]", "{very} [confused|lost|puzzled] here",
        "it makes no sense to me", "which one is it now", "am i missing something",
        "two mails say two different things", "can't work out what i did wrong",
    ),
    "surprise": (
        "{very} [surprised|stunned]", "did not see that coming", "wow", "out of the blue",
        "who would have thought", "i had to look twice", "my jaw dropped",
    ),
    "relief": (
        "what a [relief|weight off my mind]", "[phew|finally]", "glad that is over", "i can breathe again",
        "so it was not lost after all", "at last i can stop chasing it",
    ),
    "gratitude": (
        "thank you [so much|for that|all]", "[many thanks|thanks a lot]", "i [really|do|] appreciate it",
        "big thanks to {staff}", "much obliged", "i owe you one", "bless you for the help",
    ),
    "joy": (
        "i [really|just|] love it", "we are {very} [happy|delighted|thrilled]", "it makes me smile every day",
        "the kids are over the moon", "what a treat", "i could dance", "[yay|hooray]",
    ),
}
"""Emotion → clauses that express it."""

SHARED_CUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("anger", "disappointment"): (
        "this is not what i paid for", "after all these years as a customer", "is that how you treat people",
        "not again",
    ),
    ("worry", "confusion"): (
        "no idea what happens now", "what am i supposed to do", "please tell me this is normal",
        "nobody tells me anything",
    ),
    ("joy", "gratitude"): ("you made my day", "you people are the best", "that was so kind", "hats off"),
    ("relief", "gratitude"): ("it is sorted now", "you saved my weekend", "in the end it all worked out"),
    ("surprise", "anger"): ("i can't believe it", "are you serious", "unbelievable", "you must be joking"),
    ("surprise", "joy"): ("i did not expect it to be this nice", "well well", "what a nice extra in the box"),
    ("disappointment", "confusion"): ("was that all", "is it meant to be like this", "hm"),
}
"""Two emotions → clauses that either of them may be behind: what makes the head hard."""

FALSE_CUES: dict[str, tuple[str, ...]] = {
    "anger": ("no hard feelings", "i am not angry, just saying"),
    "worry": ("no worries at all", "nothing to worry about"),
    "surprise": ("no surprise there", "as expected"),
    "gratitude": ("no thanks to you", "thanks for nothing"),
    "joy": ("i'd love to say more", "happy to wait"),
    "disappointment": ("it did not disappoint", "no complaints"),
}
"""Emotion → clauses with its words but without it."""

OPENERS: tuple[str, ...] = (
    "hi", "hello", "hey there", "good morning", "dear team", "ok so", "well", "look", "to be fair",
    "just a note:", "quick one:", "first time writing", "update:", "long story short:", "as i said {when}",
    "bought {the} {product} {when}", "got {the} {product} as a gift", "ordered {the} {product} {when}",
)
"""How messages begin."""

OPENER_LINKS: tuple[str, ...] = (", ", ", ", " ", "! ", " - ")
"""Between an opener and what follows; after a colon stands a space."""

CLOSERS: tuple[str, ...] = (
    "regards", "cheers", "please advise", "that's all", "can you look into it", "waiting for a reply",
    "sent from my phone", "just so you know", "have a nice day", "please check", "let me know", "anyway",
    "end of story", "{order}",
)
"""How messages end."""

HEDGES: tuple[str, ...] = (
    "i think", "maybe", "to be honest", "i guess", "from what i see", "as far as i can tell", "apparently",
    "somehow", "basically", "not sure but",
)
"""Before a clause, when its writer is not sure."""

LINKS: tuple[str, ...] = (". ", ". ", ", ", ", ", " - ", "... ", "! ", " and ", "; ")
"""Between two clauses."""

CONTRASTS: tuple[str, ...] = (
    " but ", ", but then ", ", although ", ". on the other hand ", ", still ", " - then again ",
)
"""Between what happened and a judgement that does not follow from it."""

SLANG: dict[str, str] = {
    "you": "u", "please": "pls", "thanks": "thx", "because": "cos", "are": "r", "and": "&", "really": "rly",
    "people": "ppl", "what": "wat", "tomorrow": "tmrw", "with": "w/", "don't": "dont", "can't": "cant",
    "i'm": "im", "i am": "im",
}
"""Word → how some write it."""
