"""Contrast as WCAG 2.2 reckons it (section 1.4.3)."""

import re
from typing import Final

from playwright.async_api import Page

ENOUGH: Final = 4.5

_COLOURS: Final = """() => [...document.querySelectorAll("h1,p,li,label,strong,code,input,button")].map(element => {
    let behind = element;
    while (behind && getComputedStyle(behind).backgroundColor.match(/, 0\\)$/)) behind = behind.parentElement;
    return [element.tagName + " " + element.className, getComputedStyle(element).color,
            behind ? getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)"];
})"""


async def contrasts(page: Page) -> dict[str, float]:
    """The contrast of every piece of text on the page with what is behind it."""
    found: list[tuple[str, str, str]] = await page.evaluate(_COLOURS)
    return {name: _contrast(_luminance(text), _luminance(ground)) for name, text, ground in found}


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
