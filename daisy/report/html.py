"""The report's page: layout and styles. It is given text and numbers ready for print, and escapes all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

STYLES = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --page: #fff; --card: #f6f8fa;
  --bar: #0072b2; --good: #116329; --bad: #a40e26; --open: #59636e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117;
  --card: #161b22; --bar: #56b4e9; --good: #4ac26b; --bad: #ff8182; --open: #9198a1; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { line-height: 1.2; margin: .5rem 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.soft, figcaption, caption { color: var(--soft); }
.claims { list-style: none; padding: 0; }
.claims li { display: grid; grid-template-columns: 7rem 1fr; gap: .5rem; padding: .6rem 0;
  border-bottom: 1px solid var(--line); }
.claims p { margin: 0; }
.verdict { font-weight: 700; } .holds { color: var(--good); } .fails { color: var(--bad); }
.not-tested { color: var(--open); }
figure { margin: 1rem 0; }
figure img { width: 100%; min-width: 38rem; height: auto; background: #fff; border-radius: 6px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding: .3rem 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 700; } td.best::after { content: " ★"; color: var(--bar); }
td:not(.best).number::after { content: " ★"; visibility: hidden; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); padding: .8rem; overflow-x: auto; border-radius: 6px; font-size: .85rem; }
.bars { display: inline-flex; align-items: flex-end; height: 1.6rem; gap: 1px; vertical-align: middle; }
.bars i { width: .45rem; background: var(--bar); min-height: 1px; } .bars.tall { height: 5rem; gap: .3rem; }
.bars.tall i { width: 1.2rem; }
audio { display: block; width: 12rem; height: 2.2rem; margin: .2rem 0 .2rem auto; }
@media (max-width: 36rem) { .claims li { grid-template-columns: 1fr; gap: 0; } dl { grid-template-columns: 1fr; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ styles }}</style>
</head>
<body>
{%- macro table(it) %}
<div class="wide"><table>
{% if it.caption %}<caption>{{ it.caption }}</caption>{% endif %}
<thead><tr>{% for name in it.header %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in it.rows %}<tr>{% for cell in row %}{{ show(cell) }}{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{%- endmacro %}
{%- macro show(cell) %}
{%- if cell is mapping and 'bars' in cell %}<td>{{ bars(cell) }}</td>
{%- elif cell is mapping and 'audio' in cell %}<td>
{%- for it in cell.audio %}<audio controls preload="none" src="{{ it }}"></audio>{% endfor %}
{%- if cell.text %}<br>{{ cell.text }}{% endif %}</td>
{%- elif cell is mapping %}<td class="number{{ ' best' if cell.best }}">{{ cell.text }}</td>
{%- else %}<td>{{ cell }}</td>{% endif %}
{%- endmacro %}
{%- macro bars(it) %}<span class="bars {{ it.size }}" role="img" aria-label="{{ it.label }}" title="{{ it.label }}">
{%- for height in it.bars %}<i style="height:{{ '%.1f' % height }}%"></i>{% endfor %}</span>
{%- endmacro %}
<header>
<h1>{{ title }}</h1>
<p class="soft">{{ subtitle }}</p>
</header>
<main>
<section><h2>What holds, and what does not</h2>
<p>{{ summary }}</p>
<ul class="claims">
{% for claim in claims %}<li>
<span class="verdict {{ claim.verdict | replace(' ', '-') }}">{{ marks[claim.verdict] }} {{ claim.verdict }}</span>
<div><p><strong>{{ claim.title }}</strong></p><p class="soft">{{ claim.detail }}</p></div>
</li>
{% endfor %}</ul>
</section>
<section><h2>What these numbers can tell</h2>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
</section>
{% for figure in figures %}<section><h2>{{ figure.title }}</h2>
<figure><div class="wide"><img src="{{ figure.data }}" alt="{{ figure.title }}"></div>
<figcaption>{{ figure.caption }}</figcaption></figure>
</section>
{% endfor %}
{% for section in sections %}<section><h2>{{ section.title }}</h2>
<p>{{ section.text }}</p>
{% for it in section.tables %}{{ table(it) }}{% endfor %}
</section>
{% endfor %}
<section><h2>How it was run</h2>
<dl>{% for name, value in facts.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% for name, text in details.items() %}<details><summary>{{ name }}</summary><pre>{{ text }}</pre></details>
{% endfor %}</section>
</main>
</body>
</html>
"""

MARKS = {"holds": "✓", "fails": "✗", "not tested": "–"}


def bars(counts: Sequence[float], label: str, *, top: float | None = None, tall: bool = False) -> dict[str, Any]:
    """A cell of small bars, one per layer.

    Args:
        counts: The bars' lengths, none negative.
        label: What they show, in words, for a pointer or a screen reader.
        top: The value of a full bar; by default the largest of `counts`.
        tall: Whether to draw large bars.
    """
    scale = top if top is not None else max(counts, default=0)
    heights = [100 * count / scale if scale else 0.0 for count in counts]
    return {"bars": heights, "label": label, "size": "tall" if tall else ""}


def number(text: str, *, best: bool = False) -> dict[str, Any]:
    """A cell with a number; the best of its column is marked."""
    return {"text": text, "best": best}


def players(audio: Sequence[str], text: str = "") -> dict[str, Any]:
    """A cell with a player for every data URI of `audio`, and a line of text below them."""
    return {"audio": audio, "text": text}


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> dict[str, Any]:
    """A table; a cell is plain text, or what `bars`, `number` and `players` give."""
    return {"header": header, "rows": rows, "caption": caption}


def section(title: str, text: str, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A part of the page."""
    return {"title": title, "text": text, "tables": tables}


def render(content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        content: ``title``, ``subtitle``, ``summary``, ``claims``, ``notes``, ``figures`` (title, data, caption),
            ``sections``, ``facts`` and ``details``. All text is escaped.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(PAGE).render(styles=Markup(STYLES), marks=MARKS, **content)
