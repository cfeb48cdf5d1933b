"""Common parts of all HTML pages of results: the warning that they show originals, a head that forbids loading from the network, and the
rendering of templates in which names and readings are text, never markup."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

WARNING = ("This page shows un-redacted radiographs. It is as confidential as the originals: keep it with them, "
           "and never put it in an output folder.")


def render(package: str, template: str, **values: Any) -> str:
    """A page of results as HTML, from a `*.html.j2` beside the modules of `package`; it may extend report_page.html.j2, beside this module.

    Args:
        values: the template's variables; all text in them is escaped.

    Raises:
        jinja2.UndefinedError: the template uses a variable that is not given.
    """
    return environment(package).get_template(template).render(values)


def pieces(package: str, template: str, **values: str | Iterator[str]) -> Iterator[str]:
    """A page as HTML in pieces, in order, as `render` but for values that are markup already, each a text or, for long ones, its pieces.

    Raises:
        jinja2.UndefinedError: the template uses a variable that is not given.
    """
    from markupsafe import Markup

    markup = {name: Markup(value) if isinstance(value, str) else map(Markup, value) for name, value in values.items()}
    yield from environment(package).get_template(template).generate(markup)


@functools.cache
def environment(package: str, text: Callable[[object], str] | None = None) -> Environment:
    """The templates beside the modules of a package, and those beside this module. Cached.

    Args:
        text: turns every value into HTML; by default reserved characters are escaped.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def markup(value: object) -> object:
        return value if hasattr(value, "__html__") or text is None else Markup(text(value))

    templates = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (package, __package__)]), autoescape=True, undefined=StrictUndefined,
        finalize=markup, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )
    templates.globals["WARNING"] = WARNING
    return templates
