"""Small pieces of HTML that several sections use."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls sideways where the screen is narrow; cells are HTML, heads are text."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def cards(charts: Sequence[tuple[str, str]]) -> str:
    """Charts with their titles, side by side where there is room."""
    inside = "".join(
        f'<figure class="card"><figcaption>{escape(title)}</figcaption>{chart}</figure>'
        for title, chart in charts
    )
    return f'<div class="cards">{inside}</div>'


def wide_card(chart: str) -> str:
    """One chart over the whole width."""
    return f'<figure class="card wide">{chart}</figure>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Colour class and name of what the charts below show."""
    keys = "".join(f'<span><i class="{style}"></i>{escape(name)}</span>' for style, name in entries)
    return f'<p class="legend">{keys}</p>'


def tile(number: str, words: str) -> str:
    """A large number with what it means."""
    return f'<div class="tile"><b>{escape(number)}</b><span>{escape(words)}</span></div>'


def share_bar(share: float, style: str) -> str:
    """A share 0..1 as percent with a bar beside it."""
    return (
        f'<div class="bar"><b>{100 * share:.1f}</b>'
        f'<span><i class="{style}" style="width:{100 * share:.1f}%"></i></span></div>'
    )


def dot(style: str, name: str) -> str:
    """A name with its colour before it."""
    return f'<span class="name"><i class="{style}"></i>{escape(name)}</span>'
