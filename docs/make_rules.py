# ruff: noqa: E501 - rows of a Markdown table cannot be broken
"""Writes docs/labs-rules.md: every rule of disease risks, with its source.

`python docs/make_rules.py` writes it, `--check` exits 1 when it is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.labs.rules import engine, expression, schema
from services.labs.rules.model import Node, Rule, Source, Topic, When

PAGE = Path(__file__).with_name("labs-rules.md")
HEAD = """# Rules of disease risks

Made from `services/labs/data/rules/*.toml` by `python docs/make_rules.py`. None of these is a
diagnosis: each says what results make likely, what argues against it, and what to check next.
{rules} rules in {topics} topics, each with an example that fits and one that does not, which the
tests run.

**How far it is checked:** every rule was read against what is known of its source (threshold, direction,
unit, population, wording in both languages) on 2026-11-26. A source marked *opened* was looked at then, and how
much of it; {opened} of {sources} were. The others are cited from knowledge. No clinician has reviewed the rules: a
hospital's own specialists have to before it relies on them.

## How a rule is written

| field | meaning |
|---|---|
| `id` | never changes once it is released |
| `kind` | {kinds}: what the values are by definition; what they make likely; a danger, a doubtful specimen or results that do not fit together |
| `priority` | {priorities} |
| `strength` | {strengths}: how strongly the source supports it |
| `population`, `sex` | whom the source is about: {populations}; adult means 18 and older and not pregnant; adult-or-pregnant, for emergencies, also holds for somebody whose age is not stated, and then says so |
| `all`, `any`, `not`, `unless` | conditions; `not` must be known not to hold, `unless` only stops the rule when it is known to hold; groups nest |
| `value` | what `{{value}}` shows, with its `{{unit}}`: of several names one whose condition holds, else the first that is known; `{{name}}` shows any other input |
| `en`, `zh`, `next_en`, `next_zh` | the statement and what to check next; `{{$name}}` shows a threshold, a hospital's own where it has one |
| `against` | what argues against it: always, or `when` a condition holds |
| `contradicts` | rules that say the opposite: when both hold, both are shown and each names the other |
| `covers` | rules that need not be said when this one is |
| `within_hours` | how far apart its inputs may lie; {within} otherwise |
| `source` | keys of the file's `[sources]`: `text`, `link`, and `opened`, when and what of it was read |
| `positive`, `negative` | examples in canonical units |

A condition compares analytes, `score:<id>`, `age` and the file's own `[quantities]` (`ratio:<name>`)
with numbers and `$thresholds`: `<`, `<=`, `>`, `>=`, `+ - * /`; {functions}; `x is low`, `high`, `normal`,
`critical` (against the range the result was held to), `x is positive`, `negative`, `borderline`, `x is known`,
`sex is female`, `pregnant`, and what a blood gas shows (`gas:high-gap-acidosis` …). Missing input makes a
condition unknown, and a rule speaks only when its conditions are certain. Of several values the latest counts;
a rule about one analyte also speaks of an earlier value and sets the later one against it.

A hospital replaces thresholds in `<tenant>.toml` in the folder `DX_LABS_RULE_THRESHOLDS_DIR`:

```toml
[electrolytes]
k_severe = 6.2
```

A name that does not exist stops the service at the start.
"""


def main() -> None:
    """Write the page, or with `--check` say whether it is current."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != fresh:
        sys.exit(f"{PAGE.name} is stale: run python docs/make_rules.py")


def page() -> str:
    """Return the page."""
    found = engine.default()
    cited = [source for rule in found.rules for source in rule.sources]
    head = HEAD.format(
        rules=len(found.rules),
        topics=len(found.topics),
        opened=len({each.text for each in cited if each.opened}),
        sources=len({each.text for each in cited}),
        kinds=", ".join(schema.KINDS),
        priorities=", ".join(schema.PRIORITIES),
        strengths=", ".join(schema.STRENGTHS),
        populations=", ".join(schema.POPULATIONS),
        within=f"{schema.WITHIN_HOURS:g}",
        functions=", ".join(f"`{name}(x)`" for name in sorted(expression.FUNCTIONS)),
    )
    return "\n".join([head, *(_topic(topic) for topic in found.topics)])


def _topic(topic: Topic) -> str:
    lines = [f"## {topic.name_en} · {topic.name_zh}", "", f"`{topic.topic}.toml`", ""]
    lines += ["| threshold | value | unit |", "|---|---|---|"]
    lines += [f"| `{t.name}` | {t.value:g} | {t.unit} |" for t in topic.thresholds.values()]
    if topic.derived:
        lines += ["", "| quantity | of | unit |", "|---|---|---|"]
        lines += [
            f"| `{d.name}` | `{d.quantity.text}` | {d.unit} |" for d in topic.derived.values()
        ]
    for rule in topic.rules:
        lines += ["", *_rule(rule)]
    return "\n".join(lines) + "\n"


def _rule(rule: Rule) -> list[str]:
    who = rule.population if rule.sex == "all" else f"{rule.population}, {rule.sex}"
    lines = [f"### {rule.risk_id}", ""]
    lines += [f"{rule.kind}, {rule.priority}, {rule.strength} evidence; {who}.", ""]
    lines += [f"- holds when {_when(rule.when)}", f"- {rule.text_en}", f"- {rule.text_zh}"]
    for each in rule.against:
        when = f" (when `{each.when.text}`)" if each.when else ""
        lines.append(f"- against{when}: {each.en} {each.zh}")
    if rule.next_en:
        lines.append(f"- next: {rule.next_en} {rule.next_zh}")
    for name, others in (("contradicts", rule.contradicts), ("covers", rule.covers)):
        if others:
            lines.append(f"- {name}: {', '.join(f'`{other}`' for other in others)}")
    cited = [_cited(each) for each in rule.sources]
    lines.append(f"- source: {'; '.join(cited)}")
    return lines


def _cited(source: Source) -> str:
    text = f"[{source.text}]({source.link})" if source.link else source.text
    return f"{text} ({f'opened: {source.opened}' if source.opened else 'not opened'})"


def _when(when: When) -> str:
    parts = []
    for word, nodes in (("all of", when.all), ("one of", when.any), ("none of", when.not_)):
        if nodes:
            parts.append(f"{word} " if len(nodes) > 1 or word == "none of" else "")
            parts[-1] += ", ".join(map(_node, nodes))
    if when.unless:
        parts.append("unless " + ", ".join(map(_node, when.unless)))
    return "; ".join(parts)


def _node(node: Node) -> str:
    return f"({_when(node)})" if isinstance(node, When) else f"`{node.text}`"


if __name__ == "__main__":
    main()
