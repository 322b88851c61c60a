"""Source-meters of pyvisa-sim on a resistor of 10 megaohm, in the state that somebody left."""

import json
from pathlib import Path

RESOURCE = "GPIB0::24::INSTR"
#: Current of a reading: the voltage that was sourced, times 1e-7 A/V.
RESISTOR = {
    "2400": "{0:.6f}E-07,+0.0E+00",
    "2450": "{0:.6f}E-07",
    "2600": "{0:.6f}E-07\tfalse",
    "b2900": "{0:.6f}E-07",
}
OVERFLOW, NAN = "+9.900000E+37,+0.0E+00", "+9.910000E+37,+0.0E+00"
NAMES = {
    "2400": "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32",
    "2450": "KEITHLEY INSTRUMENTS,MODEL 2450,01234567,1.7.12b",
    "2600": "Keithley Instruments Inc., Model 2602B, 1234567, 3.2.1",
    "b2900": "Keysight Technologies,B2901A,MY51140123,3.4.2011.5100",
}
_SCPI = {
    "reading": (":READ?", ":SOUR:VOLT {}"),
    "output": (":OUTP?", ":OUTP {:d}"),
    "compliance": (":SENS:CURR:PROT?", ":SENS:CURR:PROT {}"),
    "nplc": (":SENS:CURR:NPLC?", ":SENS:CURR:NPLC {}"),
}
#: What to ask an instrument for a property, and how it is set.
_LINES = {
    "2400": _SCPI,
    "2450": {**_SCPI, "compliance": (":SOUR:VOLT:ILIM?", ":SOUR:VOLT:ILIM {}")},
    "b2900": _SCPI,
    "2600": {
        "reading": ("print(smua.measure.i(), smua.source.compliance)", "smua.source.levelv={}"),
        "output": ("print(smua.source.output)", "smua.source.output={:d}"),
        "compliance": ("print(smua.source.limiti)", "smua.source.limiti={}"),
        "nplc": ("print(smua.measure.nplc)", "smua.measure.nplc={}"),
    },
}
ASK = {model: {what: ask for what, (ask, _) in lines.items()} for model, lines in _LINES.items()}
#: Lines without a value, and what they are answered.
_COMMON = ["*CLS", ":SENS:CURR:RANG:AUTO ON"]
_SAID = {
    "2400": [
        *(*_COMMON, ":SOUR:FUNC VOLT", ":SOUR:VOLT:MODE FIX", ":SENS:FUNC:CONC OFF"),
        *(":SENS:FUNC 'CURR'", ":FORM:ELEM CURR,STAT"),
    ],
    "2450": [*_COMMON, ":SOUR:FUNC VOLT", ':SENS:FUNC "CURR"'],
    "2600": ["errorqueue.clear()", "smua.source.func=1", "smua.measure.autorangei=1"],
    "b2900": [
        *(*_COMMON, ":SOUR:FUNC:MODE VOLT", ":SENS:FUNC:OFF:ALL"),
        *(':SENS:FUNC:ON "CURR"', ":FORM:ELEM:SENS CURR"),
    ],
}
_ANSWERS = {
    "2400": {":SENS:FUNC?": '"CURR:DC"', ":SOUR:FUNC?": "VOLT", ":SYST:ERR?": '0,"No error"'},
    "2450": {":SENS:FUNC?": '"CURR:DC"', ":SOUR:FUNC?": "VOLT", "*LANG?": "SCPI"}
    | {":SYST:ERR?": '0,"No error;0;0"', ":SOUR:VOLT:ILIM:TRIP?": "0"},
    "2600": {
        "print(smua.source.func)": "1.00000e+00",
        "print(errorqueue.next())": "0.00000e+00\tQueue Is Empty\t0",
    },
    "b2900": {":SENS:FUNC?": '"CURR"', ":SOUR:FUNC:MODE?": "VOLT", ":SYST:ERR?": '+0,"No error"'}
    | {":SENS:CURR:PROT:TRIP?": "0"},
}


def library(
    path: Path,
    model: str = "2400",
    *,
    reading: str = "",
    name: str = "",
    silent: bool = False,
    answers: dict[str, str] | None = None,
    most_amperes: float = 3.0,
) -> str:
    """Write an instrument's description to a file; the VISA library that simulates it.

    `answers` are other ones to its queries: the state in which somebody left it.
    """
    shown = {"reading": reading or RESISTOR[model], "output": "{:d}"}
    properties = {
        what: {
            "default": 0 if what == "output" else 0.0,
            "getter": {"q": ask, "r": shown.get(what, "{:g}")},
            "setter": {"q": told},
            "specs": {"type": "int" if what == "output" else "float"},
        }
        for what, (ask, told) in _LINES[model].items()
    }
    properties["reading"]["specs"] |= {"min": -210, "max": 210}
    properties["compliance"]["specs"] |= {"max": most_amperes}
    if silent:
        properties["reading"]["getter"]["q"] = ":NEVER?"
    said = {"*IDN?": name or NAMES[model], **_ANSWERS[model], **(answers or {})}
    dialogues = [*({"q": q} for q in _SAID[model]), *({"q": q, "r": r} for q, r in said.items())]
    device = {
        "eom": {"GPIB INSTR": {"q": "\r\n", "r": "\n"}},
        "dialogues": dialogues,
        "properties": properties,
        **({} if silent or most_amperes < 1 else {"error": "ERROR"}),
    }
    text = {
        "spec": "1.0",
        "devices": {"meter": device},
        "resources": {RESOURCE: {"device": "meter"}},
    }
    path.write_text(json.dumps(text), encoding="utf-8")
    return f"{path}@sim"
