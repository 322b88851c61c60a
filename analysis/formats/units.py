"""Units as files write them, and the SI units that they stand for."""

import re

#: Decimal prefixes of SI, with both micro signs and the ASCII "u".
_PREFIXES = {
    "": 1.0,
    "a": 1e-18,
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "d": 1e-1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}
#: Units that take a prefix.
_BASES = ("m", "A", "V", "s", "Hz", "N", "Ohm", "S", "W", "F", "C", "J", "Pa", "T", "K", "deg")
_UNIT = re.compile(rf"(?P<prefix>{'|'.join(_PREFIXES)})(?P<base>{'|'.join(_BASES)})")
_POWER = re.compile(r"(?:[x×*·]\s*)?(?:10\^|10\*\*|1[eE])\s*([+-]?\d+)\s*[*·]?\s*(.*)")
#: Other spellings: factor and SI unit.
_SPELLINGS = {
    **dict.fromkeys(["Å", "Å", "Ang", "Ang.", "Angstrom", "angstrom", "Ångström"], (1e-10, "m")),
    **dict.fromkeys(["micron", "microns"], (1e-6, "m")),
    **dict.fromkeys(["min", "mins", "minute", "minutes"], (60.0, "s")),
    **dict.fromkeys(["h", "hr", "hrs", "hour", "hours"], (3600.0, "s")),
    **dict.fromkeys(["sec", "secs"], (1.0, "s")),
    **dict.fromkeys(["msec", "msecs"], (1e-3, "s")),
    **dict.fromkeys(["usec", "µsec", "μsec"], (1e-6, "s")),
    **dict.fromkeys(["Amp", "Amps", "amp", "amps"], (1.0, "A")),
    **dict.fromkeys(["°", "º", "degree", "degrees", "Deg"], (1.0, "deg")),
    **dict.fromkeys(["Ω", "Ω", "ohm", "ohms", "Ohms"], (1.0, "Ohm")),
    **dict.fromkeys(
        ["arb", "arb.", "arb. units", "arb.units", "a. u.", "au", "a.u"], (1.0, "a.u.")
    ),
}
_WORD = re.compile(
    r"(milli|micro|nano|pico|femto|kilo)?(ampere|amperes|amp|amps|volt|volts|second|seconds|metre|"
    r"metres|meter|meters)",
    re.IGNORECASE,
)
_LONG = {"milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12, "femto": 1e-15, "kilo": 1e3}
_NAMED = re.compile(r"^\s*(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*(.*?)\s*$")


def si(unit: str) -> tuple[float, str]:
    """Factor to SI, with a power of ten before it, and the SI unit; unknown ones stay."""
    text = unit.strip()
    power = _POWER.fullmatch(text)
    if power:
        factor, base = si(power[2])
        return 10.0 ** int(power[1]) * factor, base
    if text in _SPELLINGS:
        return _SPELLINGS[text]
    match = _UNIT.fullmatch(text)
    if match and not (match["base"] == "deg" and match["prefix"]):
        return _PREFIXES[match["prefix"]], match["base"]
    word = _WORD.fullmatch(text)
    if word:
        base = {"a": "A", "v": "V", "s": "s", "m": "m"}[word[2][0].lower()]
        return _LONG.get((word[1] or "").lower(), 1.0), base
    return 1.0, text


def si_as(unit: str, wanted: str) -> float | None:
    """Factor of a unit to the SI unit `wanted`, lower case accepted; None if it is another's."""
    factor, base = si(unit)
    if base == wanted:
        return factor
    text = unit.strip()
    if text and text == text.lower() and len(wanted) == 1 and text.endswith(wanted.lower()):
        return _PREFIXES.get(text[:-1])
    return None


def split_name(label: str) -> tuple[str, str]:
    """Name and unit of a label: ("Current [bwd]", "A") of "Current [bwd] (A)"."""
    units = re.findall(r"\(([^()]*)\)", label)
    if units:
        rest = re.sub(r"\s+", " ", label.replace(f"({units[-1]})", " ")).strip()
        return rest, units[-1].strip()
    match = _NAMED.match(label)
    return (match[1], match[2]) if match and not match[3] else (label.strip(), "")
