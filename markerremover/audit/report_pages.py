"""What every HTML page of results has: the warning that it shows originals, a head by which it loads nothing from elsewhere, and the
rendering of templates in which what a name or a reading says is text and never markup."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

WARNING = ("This page shows un-redacted radiographs. It is as confidential as the originals: keep it with them, "
           "and never put it in an output folder.")


def render(package: str, template: str, **values: Any) -> str:
    """A page of results, of `*.html.j2` beside the modules of `package`; it may extend report_page.html.j2, which is beside this one.

    Args:
        values: what the template names. All text of them is escaped.
    """
    return environment(package).get_template(template).render(values)


@functools.cache
def environment(package: str, text: Callable[[object], str] | None = None) -> Environment:
    """The templates beside the modules of a package, and those beside this one.

    A name that a template uses and is not given raises `jinja2.UndefinedError`.

    Args:
        text: makes HTML of every value; by default what HTML reserves is escaped.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def markup(value: object) -> object:
        return value if hasattr(value, "__html__") or text is None else Markup(text(value))

    made = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (package, __package__)]), autoescape=True, undefined=StrictUndefined,
        finalize=markup, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )
    made.globals["WARNING"] = WARNING
    return made
