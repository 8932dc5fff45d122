"""The report's page: layout and styles. It is given text and numbers ready for print, and escapes all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

STYLES = """
:root { color-scheme: light; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --bar: #0072b2; --good: #116329; --bad: #a40e26; --open: #6b5900; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: #fff; color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { line-height: 1.2; margin: 0; font-size: 1.7rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.6rem 0 .2rem; } h3 small { font-weight: 400; color: var(--soft); }
p { max-width: 60rem; } .soft, figcaption, caption, small { color: var(--soft); }
header p { margin: .4rem 0; max-width: none; }
.top { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.06fr); gap: 1.5rem; align-items: start; }
.top figure { margin: 0; } .top h2 { margin: .4rem 0 0; border: 0; font-size: 1.15rem; }
.top p { margin: .3rem 0; } .top figcaption, .top .soft { font-size: .85rem; line-height: 1.35; }
.share { display: flex; height: .9rem; gap: 2px; margin: .5rem 0; } .share i { display: block; }
.share .yes, .key .yes { background: var(--good); } .share .no, .key .no { background: var(--bad); }
.share .cannot, .key .cannot { background: #d4a72c; }
.key b { margin-right: .15rem; } .top table { margin-top: 1rem; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: 0; padding: 0; }
.key i { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; } .key b { font-size: 1.25rem; }
.claims { list-style: none; padding: 0; margin: 0; }
.claims li { display: grid; grid-template-columns: 9rem 1fr; gap: .5rem; padding: .5rem 0;
  border-bottom: 1px solid var(--line); }
.claims p { margin: 0; } .claims .soft { font-size: .9rem; }
.verdict { font-weight: 700; } .verdict.yes { color: var(--good); } .verdict.no { color: var(--bad); }
.verdict.cannot { color: var(--open); }
figure { margin: 1rem 0; } figure img { display: block; width: 100%; max-width: 60rem; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; padding: .6rem 0 .3rem; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); text-align: right; }
th { vertical-align: bottom; } td small { display: block; font-size: .78rem; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 700; } td.best > span::after { content: " ★"; color: var(--bar); }
td.rank:not(.best) > span::after { content: " ★"; visibility: hidden; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
details { margin: .6rem 0; } summary { cursor: pointer; }
pre { background: var(--card); padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
.bars { display: inline-flex; align-items: flex-end; height: 1.6rem; gap: 1px; vertical-align: middle; }
.bars i { width: .4rem; background: var(--bar); min-height: 1px; }
audio { display: block; width: 12rem; max-width: 100%; height: 2.2rem; margin: .2rem 0 .2rem auto; }
@media (max-width: 60rem) { .top { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 44rem) {
  h1 { font-size: 1.4rem; } .claims li, dl { grid-template-columns: 1fr; gap: 0; }
  .cards, .cards tbody, .cards tr, .cards td, .cards caption { display: block; } .cards thead { display: none; }
  .cards tr { padding: .5rem 0; border-bottom: 2px solid var(--line); }
  .cards td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; }
  .cards td::before { content: attr(data-label); color: var(--soft); text-align: left; }
  .cards td:first-child { font-weight: 700; } .cards td:first-child::before { content: none; }
}
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
<table{% if it.header | length > 3 %} class="cards"{% endif %}>
{% if it.caption and not it.folded %}<caption>{{ it.caption }}</caption>{% endif %}
<thead><tr>{% for name in it.header %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in it.rows %}<tr>{% for cell in row %}{{ show(cell, it.header[loop.index0]) }}{% endfor %}</tr>
{% endfor %}</tbody>
</table>
{%- endmacro %}
{%- macro show(cell, name) %}
{%- if cell is mapping and 'bars' in cell %}<td data-label="{{ name }}">{{ bars(cell) }}</td>
{%- elif cell is mapping and 'audio' in cell %}<td data-label="{{ name }}"><div>
{%- for it in cell.audio %}<audio controls preload="none" src="{{ it }}"></audio>{% endfor %}
{%- if cell.text %}{{ cell.text }}{% endif %}</div></td>
{%- elif cell is mapping %}<td data-label="{{ name }}"
{%- if cell.best is not none %} class="rank{{ ' best' if cell.best }}"{% endif %}>
{#- #}<span>{{ cell.text }}{% if cell.note %}<small>{{ cell.note }}</small>{% endif %}</span></td>
{%- else %}<td data-label="{{ name }}">{{ cell }}</td>{% endif %}
{%- endmacro %}
{%- macro bars(it) %}<span class="bars" role="img" aria-label="{{ it.label }}" title="{{ it.label }}">
{%- for height in it.bars %}<i style="height:{{ '%.1f' % height }}%"></i>{% endfor %}</span>
{%- endmacro %}
<header>
<h1>{{ title }}</h1>
<p>{{ subtitle }}</p>
</header>
<main>
<section class="top">
{% if top %}<figure><h2>{{ top.title }}</h2>
<img src="{{ top.data }}" alt="{{ top.title }}"><figcaption>{{ top.caption }}</figcaption></figure>
{% endif %}<div>
<h2>Do the paper's claims hold here?</h2>
<div class="share" role="img" aria-label="{{ summary }}">
{%- for it in counted %}<i class="{{ it.holds }}" style="flex:{{ it.count }}"></i>{% endfor %}</div>
<ul class="key">{% for it in counted %}<li><i class="{{ it.holds }}"></i><b>{{ it.count }}</b> {{ it.words }}</li>
{%- endfor %}</ul>
{{ table(headline) }}
<p class="soft">{{ headline_note }}</p>
</div>
</section>
<section><h2>What holds, and what does not</h2>
<p>{{ verdicts }}</p>
{% for group in groups %}<h3>{{ group.title }} <small>{{ group.tally }}</small></h3>
<ul class="claims">
{% for it in group.claims %}<li>
<span class="verdict {{ it.row.holds }}">{{ marks[it.row.holds] }} {{ it.row.holds }}</span>
<div><p><strong>{{ it.task }}</strong> – {{ it.row.claim }}</p>
{%- if it.row.reason %}<p>{{ it.row.reason }}</p>{% endif %}
{%- if it.row.numbers %}<p class="soft">{{ it.row.numbers }}</p>{% endif %}</div>
</li>
{% endfor %}</ul>
{% endfor %}</section>
<section><h2>What these numbers can tell</h2>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
</section>
{% for figure in figures %}<section><h2>{{ figure.title }}</h2>
<figure><img src="{{ figure.data }}" alt="{{ figure.title }}">
<figcaption>{{ figure.caption }}</figcaption></figure>
</section>
{% endfor %}
{% for section in sections %}<section><h2>{{ section.title }}</h2>
<p>{{ section.text }}</p>
{% for it in section.tables %}{% if it.folded %}<details><summary>{{ it.caption }}</summary>{{ table(it) }}</details>
{% else %}{{ table(it) }}{% endif %}{% endfor %}
</section>
{% endfor %}
<section><h2>How it was run</h2>
<dl>{% for name, value in facts.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% if in_browser %}<p>This run's model stops early in your browser: <a href="{{ in_browser }}">{{ in_browser }}</a>.</p>
{% else %}<p>To see this run's model stop early in your browser, write its page: <code>make page RESULTS=</code> with
this folder puts it into <code>page/</code>, beside this report.</p>
{% endif %}
{% for name, text in details.items() %}<details><summary>{{ name }}</summary><pre>{{ text }}</pre></details>
{% endfor %}</section>
</main>
</body>
</html>
"""

MARKS = {"yes": "✓", "no": "✗", "cannot be told": "?"}


def bars(counts: Sequence[float], label: str, *, top: float | None = None) -> dict[str, Any]:
    """A cell of small bars, one per layer.

    Args:
        counts: The bars' lengths, none negative.
        label: What they show, in words, for a pointer or a screen reader.
        top: The value of a full bar; by default the largest of `counts`.
    """
    scale = top if top is not None else max(counts, default=0)
    return {"bars": [100 * count / scale if scale else 0.0 for count in counts], "label": label}


def number(text: str, *, best: bool | None = None, note: str = "") -> dict[str, Any]:
    """A cell with a number, and small print below it; where a column has a best one, `best` says which it is."""
    return {"text": text, "best": best, "note": note}


def players(audio: Sequence[str], text: str = "") -> dict[str, Any]:
    """A cell with a player for every data URI of `audio`, and a line of text below them."""
    return {"audio": audio, "text": text}


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", *, folded: bool = False) -> Any:
    """A table; a cell is plain text, or what `bars`, `number` and `players` give.

    On a narrow screen a row of more than three columns becomes a card. A folded table shows its caption until opened.
    """
    return {"header": header, "rows": rows, "caption": caption, "folded": folded}


def section(title: str, text: str, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A part of the page."""
    return {"title": title, "text": text, "tables": tables}


def render(content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        content: ``title``, ``subtitle``, ``top`` (a figure or None), ``summary``, ``counted``, ``headline`` (a table),
            ``headline_note``, ``verdicts``, ``groups`` of claims, ``notes``, ``figures`` (title, data, caption),
            ``sections``, ``facts``, ``in_browser`` (the page of the run's model, or nothing) and ``details``. All text
            is escaped.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(PAGE).render(styles=Markup(STYLES), marks=MARKS, **content)
