"""Keithley source-meters of pyvisa-sim on a resistor of 10 megaohm."""

import json
from pathlib import Path

RESOURCE = "GPIB0::24::INSTR"
#: Current of a reading: the voltage that was sourced, times 1e-7 A/V.
RESISTOR = {"2400": "{0:.6E},{0:.6f}E-07,+1.0E+07,+1.0E+00,+2.0E+00", "2600": "{0:.6f}E-07\tfalse"}
OVERFLOW = "{0:.6E},+9.910000E+37,+1E0,+1E0,+2.0E+00"
NAMES = {
    "2400": "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32",
    "2600": "Keithley Instruments Inc., Model 2602B, 1234567, 3.2.1",
}
#: What to ask an instrument for a property.
ASK = {
    "2400": {
        "reading": ":READ?",
        "output": "OUTPUT?",
        "compliance": ":SENSE:CURRENT:PROTECTION?",
        "nplc": ":SENSE:CURRENT:NPLCYCLES?",
    },
    "2600": {
        "reading": "print(smua.measure.i(), smua.source.compliance)",
        "output": "print(smua.source.output)",
        "compliance": "print(smua.source.limiti)",
        "nplc": "print(smua.measure.nplc)",
    },
}
_SET = {
    "2400": {
        "reading": ":SOURCE:VOLTAGE {}",
        "output": "OUTPUT {:d}",
        "compliance": ":SENSE:CURRENT:PROTECTION {}",
        "nplc": ":SENSE:CURRENT:NPLCYCLES {}",
    },
    "2600": {
        "reading": "smua.source.levelv={}",
        "output": "smua.source.output={:d}",
        "compliance": "smua.source.limiti={}",
        "nplc": "smua.measure.nplc={}",
    },
}


def library(
    path: Path, model: str = "2400", *, reading: str = "", name: str = "", silent: bool = False
) -> str:
    """Write an instrument's description to a file; the VISA library that simulates it."""
    answers = {"reading": reading or RESISTOR[model], "output": "{:d}"}
    properties = {
        what: {
            "default": 0 if what == "output" else 0.0,
            "getter": {"q": ask, "r": answers.get(what, "{:g}")},
            "setter": {"q": _SET[model][what]},
            "specs": {"type": "int" if what == "output" else "float"},
        }
        for what, ask in ASK[model].items()
    }
    properties["reading"]["specs"] |= {"min": -210, "max": 210}
    if silent:
        properties["reading"]["getter"]["q"] = ":NEVER?"
    queries = [":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS"]
    queries = [*queries, ":SOURCE:FUNCTION VOLT"] if model == "2400" else ["smua.source.func=1"]
    dialogues = [{"q": "*IDN?", "r": name or NAMES[model]}, *({"q": q} for q in queries)]
    device = {
        "eom": {"GPIB INSTR": {"q": "\r\n", "r": "\n"}},
        "dialogues": dialogues,
        "properties": properties,
        **({} if silent else {"error": "ERROR"}),
    }
    text = {
        "spec": "1.0",
        "devices": {"meter": device},
        "resources": {RESOURCE: {"device": "meter"}},
    }
    path.write_text(json.dumps(text), encoding="utf-8")
    return f"{path}@sim"
