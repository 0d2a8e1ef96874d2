"""How much somebody smokes or drinks, how long, and since when no more: 吸烟20年，已戒5年."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.nlp.details import Detail, DetailKind
from services.nlp.terms import Term
from services.nlp.tokens import narrow

HABITS = frozenset(
    ("Tobacco smoking", "Alcohol drinking", "Alcohol abuse", "Tobacco and alcohol use")
)
NUMBER = r"[0-9]{1,4}(?:\.[0-9])?"
RANGE = rf"{NUMBER}(?:[ ]?(?:-|~|至|to)[ ]?{NUMBER})?"
COUNT_ZH = rf"(?:{RANGE}|[一二两三四五六七八九十半数几]{{1,3}})(?:余|多)?"
THING_ZH = r"(?:支|包|根|盒|两|瓶|杯|斤|ml|毫升|g|克)"
THING_EN = (
    r"(?:packs?|cigarettes?|cigars?|beers?|drinks?|glasses|glass|bottles?|cans?|shots?|ounces?"
    r"|oz|units?)"
)
COUNT_EN = rf"(?:{RANGE}|one|two|three|four|five|six|half a|a|1/2)"
AMOUNT = re.compile(
    r"(?:平均)?(?:每[日天周]|[1一][日天])(?:[约吸抽饮喝均平]|白酒|啤酒|红酒|黄酒)*[ ]?"
    rf"{COUNT_ZH}[ ]?{THING_ZH}"
    rf"(?:白酒|啤酒|红酒)?|{COUNT_ZH}[ ]?{THING_ZH}/(?:日|天|d|周)"
    rf"|{RANGE}[ -]?pack[ -]?years?|{RANGE}[ ]?包年|吸烟指数[约为:]*[ ]?{NUMBER}(?:支年|年支)?"
    rf"|\b{RANGE} ?ppd\b|\b{COUNT_EN} {THING_EN}(?: of (?:red )?[a-z]+)?"
    r"(?:(?: a| per| each|/| every)[ ]?(?:day|week|night|month)| daily| weekly)\b"
    r"|\b(?:socially|occasionally)\b|偶尔|少量",
    re.IGNORECASE,
)
YEARS = re.compile(
    rf"(?:约|近|已)?[ ]?{COUNT_ZH}[ ]?(?:余|多)?年(?!前|支)(?:余)?"
    r"|\b(?:for|x) (?:about |over |approximately |the past )?"
    rf"(?:{RANGE}|one|two|three|four|five|ten|twenty|thirty) years?\b",
    re.IGNORECASE,
)
QUIT = re.compile(
    rf"(?<![未劝不])(?:现|目前)?已?(?<![未劝不])戒(?:烟|酒|断|除)?(?:约|已)?"
    rf"(?:[ ]?{COUNT_ZH}[ ]?(?:年|个?月|周|天)(?:余)?)?"
    r"|(?:quit|stopped|gave up)(?: smoking| drinking)?"
    r"(?: (?:about |approximately )?[a-z0-9]{1,6} (?:year|month|week)s? ago"
    r"| in (?:19|20)[0-9]{2})?|\b(?:former|ex)[ -](?:smoker|drinker)\b",
    re.IGNORECASE,
)


def is_habit(term: Term | None) -> bool:
    """Tell whether amounts are told of a term."""
    return term is not None and term.en in HABITS


def find(text: str, start: int, stop: int) -> Iterator[Detail]:
    """Yield amounts, years and the giving up in text[start:stop], what one habit's words span."""
    flat = narrow(text[start:stop])
    taken: list[tuple[int, int]] = []
    for kind, pattern in (
        (DetailKind.QUIT, QUIT),
        (DetailKind.AMOUNT, AMOUNT),
        (DetailKind.DURATION, YEARS),
    ):
        for match in pattern.finditer(flat):
            first, last = match.span()
            if all(last <= begin or end <= first for begin, end in taken):
                taken.append((first, last))
                yield Detail(kind, start + first, start + last)
