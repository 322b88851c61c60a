"""What families of source-meters are told, and what they answer.

From their reference manuals (2400S-900-01, 2450-901-01, 2600BS-901-01, B2910-90030). Lines are written here
because drivers clip what they take to be out of range, and round a small compliance to 0.
"""

from dataclasses import dataclass

#: Answer for "not measured" and the size of an overflow, in SCPI. The 2600 has one code for both.
_NAN, _OVERFLOW = 9.91e37, 9.9e37


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Commands of a family, by default those of SCPI.

    `identity` is a pattern of the answer to ``*IDN?``. `asks` are queries after the set-up and words
    that their answers must hold. A reading is a current and, unless `tripped` asks for it, whether
    it was limited: as a word, or as bits of a status.
    """

    name: str
    identity: str
    setup: tuple[str, ...]
    asks: tuple[tuple[str, str], ...]
    volts: str = ":SOUR:VOLT {:.9g}"
    output: str = ":OUTP {:d}"
    nplc: str = ":SENS:CURR:NPLC {:.6g}"
    compliance: str = ":SENS:CURR:PROT {:.9g}"
    compliance_is: str = ":SENS:CURR:PROT?"
    read: str = ":READ?"
    tripped: str = ""
    limited_bits: int = 0
    over_bits: int = 0
    error: str = ":SYST:ERR?"
    nan: float | None = _NAN
    overflow: float = _OVERFLOW
    most_volts: float = 210.0
    most_amperes: float = 1.05


KEITHLEY_2400 = Dialect(
    name="a Keithley 2400 series or 6430",
    identity=r"KEITHLEY.*MODEL (2400|2401|2410|2420|2425|2430|2440|6430)",
    setup=(
        "*CLS",
        ":SOUR:FUNC VOLT",
        ":SOUR:VOLT:MODE FIX",
        ":SENS:FUNC:CONC OFF",
        ":SENS:FUNC 'CURR'",
        ":SENS:CURR:RANG:AUTO ON",
        ":FORM:ELEM CURR,STAT",
    ),
    asks=((":SENS:FUNC?", "CURR"), (":SOUR:FUNC?", "VOLT")),
    limited_bits=1 << 3 | 1 << 14,  # compliance, range compliance
    over_bits=1 << 0,
)
KEITHLEY_2450 = Dialect(
    name="a Keithley 2450, 2460, 2461 or 2470",
    identity=r"KEITHLEY.*MODEL (2450|2460|2461|2470)",
    setup=("*CLS", ":SOUR:FUNC VOLT", ':SENS:FUNC "CURR"', ":SENS:CURR:RANG:AUTO ON"),
    asks=(("*LANG?", "SCPI"), (":SENS:FUNC?", "CURR"), (":SOUR:FUNC?", "VOLT")),
    compliance=":SOUR:VOLT:ILIM {:.9g}",
    compliance_is=":SOUR:VOLT:ILIM?",
    tripped=":SOUR:VOLT:ILIM:TRIP?",
)
KEITHLEY_2600 = Dialect(
    name="channel A of the Keithley 2600 series (2601 to 2636)",
    identity=r"KEITHLEY.*MODEL 26([013][1-6])",
    setup=(
        "errorqueue.clear()",
        "smua.source.func=1",  # of volts
        "smua.measure.autorangei=1",
    ),
    asks=(("print(smua.source.func)", "1"),),
    volts="smua.source.levelv={:.9e}",
    output="smua.source.output={:d}",
    nplc="smua.measure.nplc={:.6g}",
    compliance="smua.source.limiti={:.9e}",
    compliance_is="print(smua.source.limiti)",
    read="print(smua.measure.i(), smua.source.compliance)",
    error="print(errorqueue.next())",
    nan=None,
)
KEYSIGHT_B2900 = Dialect(
    name="channel 1 of the Keysight B2900 series",
    identity=r"(KEYSIGHT|AGILENT).*B29\d\d",
    setup=(
        "*CLS",
        ":SOUR:FUNC:MODE VOLT",
        ":SENS:FUNC:OFF:ALL",
        ':SENS:FUNC:ON "CURR"',
        ":SENS:CURR:RANG:AUTO ON",
        ":FORM:ELEM:SENS CURR",
    ),
    asks=((":SENS:FUNC?", "CURR"), (":SOUR:FUNC:MODE?", "VOLT")),
    tripped=":SENS:CURR:PROT:TRIP?",
    most_amperes=1.5,
)
