"""The page: a result as one self-contained HTML file, and as Markdown.

Both are pure functions of the JSON. They measure nothing, judge nothing, and load nothing from anywhere.
"""

from roomful.probe.page.document import document
from roomful.probe.page.report import render
from roomful.probe.page.summary import summarise

__all__ = ("document", "render", "summarise")
