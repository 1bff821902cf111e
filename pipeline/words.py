"""Numbers among the words of a command."""

from collections.abc import Mapping


def number(words: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    """The value of a word, checked.

    Raises:
        ValueError: If it is not a number or below `least`.
    """
    text = words.get(name)
    if text is None:
        return float(default)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name}={text}: expected a number") from None
    if not value >= least:
        raise ValueError(f"{name}={text}: expected {least:g} or more")
    return value


def whole_number(words: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    """The value of a word, checked to be whole.

    Raises:
        ValueError: If it is not a whole number or below `least`.
    """
    value = float(number(words, name, default, least=least))
    if not value.is_integer():
        raise ValueError(f"{name}={words[name]}: expected a whole number")
    return int(value)
