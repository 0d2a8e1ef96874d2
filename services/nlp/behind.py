"""What Chinese words say of what stands before them: 阴性, 待排, 已缓解, 否认."""

from __future__ import annotations

from services.nlp import triggers
from services.nlp.clauses import BRACKETS, COMMAS, EITHER, ENDINGS, FILLERS, JOINS, Sentence
from services.nlp.triggers import (
    ADVISED,
    AGAIN,
    CERTAINTY,
    FIRST,
    HISTORICAL,
    HYPOTHETICAL,
    NEGATED,
    OTHER_PERSON,
    PLANNED,
    RESOLVED,
    TAKEN,
    UNCERTAIN,
)

ASKS = frozenset(":(")
ANSWERS = ("无", "否", "否认", "没有", "未见", "未发现", "均无", "均否认")
ENDED = frozenset("已均现目完基全")
"""How a word begins that closes the segment before it: 已缓解, not the 缓解 of 休息后缓解."""
EXAMINED = frozenset("查行检测验培养规试音觉颤射搏示后诊")
"""Behind these the result of an examination is told, or something else that is gone: in
发热行血培养阴性 the fever is there, in 气胸呼吸音消失 the pneumothorax."""
FAR = 1 << 30


def backward(sentence: Sentence, first: int, last: int) -> None:
    """Mark the list right before each word that acts backward or behind."""
    keys, taken = sentence.keys, sentence.taken
    state, left, at_end, reached, place = 0, FAR, True, False, last - 1
    while place >= first:
        match = sentence.by_last.get(place)
        if match:
            trigger = match.value
            bits = trigger.behind | (trigger.backward if at_end else 0)
            if trigger.does & ADVISED and not sentence.is_advised(match, last, acts=True):
                bits = 0
            if bits:
                state, left, reached = bits, trigger.back_reach or FAR, False
            elif not trigger.forward & HISTORICAL:
                state = 0
            at_end = False
            place = match.first - 1
            continue
        key = keys[place]
        if taken[place] and state:
            if reached and taken[place + 1] & FIRST and state & UNCERTAIN:
                state = 0  # in 胸痛心绞痛可能 the pain is there
            else:
                sentence.result[place] = triggers.joined(sentence.result[place], state)
                reached = True
        elif key in JOINS:
            # A doubt reaches over 或 alone: in 结节、肺癌待排 the nodule is there. 肝炎病史及接触史
            # are the patient's and another's.
            ends = state & UNCERTAIN and key not in EITHER
            ends = ends or (state & OTHER_PERSON and key != "、")
            state = 0 if ends else state
        elif key not in FILLERS:
            left -= 0 if reached else 1
            over = reached or left <= 0
            examined = key in EXAMINED or sentence.is_other(place)
            over = over or bool(examined and state & (NEGATED | RESOLVED))
            state = 0 if over else state
        at_end = key in JOINS or key in BRACKETS or (at_end and key in ENDINGS)
        place -= 1


def close(sentence: Sentence, before: tuple[int, int], first: int, last: int) -> None:
    """Mark the mentions of a segment that the next, which names nothing, says to be over."""
    bits = 0
    for place in range(first, last):
        match = sentence.found.get(place)
        if match:
            said = match.value.backward | match.value.behind
            over = said & HISTORICAL
            gone = said & RESOLVED if sentence.keys[place] in ENDED else 0
            bits |= over or gone
    if bits:
        for place in range(*before):
            open_end = not sentence.result[place] & (CERTAINTY | HYPOTHETICAL)
            if open_end and sentence.taken[place] & triggers.DISEASE:
                sentence.result[place] |= bits


def takes_back(sentence: Sentence, before: tuple[int, int], first: int, last: int) -> bool:
    """Take back of a segment what a later one shows to be otherwise; tell whether it did.

    What came again is not gone (胸痛缓解，2小时前再发); what was taken since is not planned any
    more (建议口服A，服用1月后出现B).
    """
    bits = 0
    for place in range(first, last):
        match = sentence.found.get(place)
        if match and match.value.does & AGAIN and not sentence.is_named(first, last):
            bits |= RESOLVED
        if match and match.value.does & TAKEN and place == first:
            bits |= PLANNED
    for place in range(*before) if bits else ():
        marks = sentence.result[place] & ~bits
        sentence.result[place] = marks & ~HISTORICAL if bits & RESOLVED else marks
    return bool(bits)


def answered(sentence: Sentence) -> None:
    """Mark the items of a check-list that are answered in the negative: 糖尿病史：否认."""
    keys, taken = sentence.keys, sentence.taken
    for place, key in enumerate(keys):
        if key not in ASKS or not _is_denial(sentence, place + 1):
            continue
        item = place - 1
        while item >= 0 and not taken[item] and keys[item] in "病史":
            item -= 1
        while item >= 0 and taken[item]:
            sentence.result[item] = triggers.joined(sentence.result[item], NEGATED)
            item -= 1


def _is_denial(sentence: Sentence, place: int) -> bool:
    """Tell whether one of the answers, and nothing else of its segment, stands here."""
    keys = sentence.keys
    for answer in ANSWERS:
        end = place + len(answer)
        ended = end >= len(keys) or keys[end] in COMMAS | BRACKETS
        if ended and "".join(keys[place:end]) == answer:
            return True
    return False
