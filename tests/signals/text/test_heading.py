"""Step 2: what is told from above the numbers."""

from __future__ import annotations

import pytest

from convtool.errors import InputError
from convtool.signals.text.heading import Heading, read_heading
from convtool.signals.text.options import TextOptions


def heading_of(text: str, **options: object) -> Heading:
    heading = read_heading(text.split("\n"), TextOptions(**options))  # type: ignore[arg-type]
    assert heading is not None
    return heading


REW_MEASUREMENT = """* Measurement data measured by REW V5.31
* Source: UMIK-1
* Format: 256k Log Swept Sine, 1 sweep
* Frequency Step: 96 points/octave
*
* Freq(Hz), SPL(dB), Phase(degrees)
{rows}"""

SIGLENT = """Record Length,Analog:3
Sample Interval,Analog:0.0000000050
Vertical Units,CH1:V,CH2:V
Horizontal Units,s
Model Number,SDS1204X-E
Serial Number,SDS1EB
Source,CH1,CH2
Second,Volt,Volt
-0.0000000050,0.16,0.5
0.0000000000,0.20,0.5
0.0000000050,0.24,0.5"""

RIGOL_NEW = """Time(s),CH1(V),t0 = -3.0e-03s, tInc = 1.0e-06,
-3.000e-03,0.1,
-2.999e-03,0.2,"""


AUDACITY = """take.txt   1 channel (mono)
Left channel then Right channel on same line.
Sample Rate: 44100 Hz. Sample values on linear scale.
Length processed: 4 samples 0.00009 seconds.


{rows}"""


@pytest.mark.parametrize(
    ("text", "names", "passed", "rate"),
    [
        ("a,b\n1,2", ("a", "b"), 0, None),
        (",A,B\n0,0.5,0.25\n1,0.75,0.5", ("", "A", "B"), 1, None),
        (",0,1\n0,0.5,0.25\n1,0.75,0.5", ("", "0", "1"), 1, None),
        (",0\n0,0.5\n1,0.7", ("", "0"), 1, None),
        ('"","A","B"\n"1",0.5,0.25\n"2",0.75,0.5', ("", "A", "B"), 1, None),
        ('"A" "B"\n"1" 0.5 0.25\n"2" 0.75 0.5', ("", "A", "B"), 1, None),
        ("A B\n1 0.5 0.25\n2 0.75 0.5", ("", "A", "B"), 1, None),
        ("name,x\nalice,1\nbob,2", ("name", "x"), 1, None),
        ("alice,1\nbob,2", None, 1, None),
        ("time,v\n0,1\n0.1,2", ("time", "v"), 1, None),
        ("Zeit (ms),v\n0,1\n0.1,2\n0.2,3", ("Zeit (ms)", "v"), 1, 10000),
        ("Time (s),v\n0,1\n0.001,2\n0.002,4", ("Time (s)", "v"), 1, 1000),
        ("Time (s),v\n0,1\n1,2\n5,4", ("Time (s)", "v"), 1, None),
        ("time_ms,v\n0,1\n1,2\n2,4", ("time_ms", "v"), 1, 1000),
        ("time,v\n0,1\n0,2", ("time", "v"), 1, None),
        ("time,v\n0,1\nx,2", ("time", "v"), 0, None),
        ("timer,hr\n0.0,515\n8.5,514\n17.1,514", ("timer", "hr"), 1, None),
        ("index,v\n0,1\n0,2\n1,3", ("index", "v"), 1, None),
        ("samples,v\n0,1\n0,2\n0,2\n1,3", ("samples", "v"), 0, None),
        ("RR (ms),v\n800,1\n800,2\n801,2", ("RR (ms)", "v"), 0, None),
        ("Wave;Dark\n[nm];[counts]\n300.00;5\n301.00;6", ("Wave", "Dark"), 1, None),
        ("Wavelength,Dark\n300.00,5\n301.00,6", ("Wavelength", "Dark"), 1, None),
        ("wl,flow\n1,5\n2,6\n4,6", ("wl", "flow"), 0, None),
        ("wl,B1\n300,5\n300.4,6\n300.7,6", ("wl", "B1"), 1, None),
        (f"# sampling rate: 1000\n{chr(10).join(f'{row % 16},1' for row in range(5, 60))}", None, 1, 1000),
        (f"# sampling rate: 1000\n{chr(10).join(f'{row},1' for row in (5, 6, 7, 8))}", None, 0, 1000),
        ("f [Hz],a,f [Hz],b\n20,1,20,3\n25,2,25,4", ("f [Hz]", "a", "f [Hz]", "b"), 2, None),
        ("f [Hz],a,f [Hz],b\n20,1,20,3\n25,2,26,4", ("f [Hz]", "a", "f [Hz]", "b"), 1, None),
        ("Data File\n++++++++\nUser: x\n1.5\t2\n3\t4", None, 0, None),
        ("31.5Hz,63Hz\n30.1,26.4", ("31.5Hz", "63Hz"), 0, None),
        ("Date,Time,T\n06/27/2012,10:54 AM,72.1\n06/27/2012,10:55 AM,72.2", ("Date", "Time", "T"), 2, None),
        ("Memory,25000,\nTime,08-Apr-21 15:43:51,\nWaveform Data,\n0,1,\n0.5,2,", None, 0, None),
        ("Dir. E-W\nFactor 2\nMemo. by some hand\n1 2 3 4 5 6\n1 2 3 4 5 6", None, 0, None),
        ("v,when,w\n1,12:00:53.329,2\n2,12:00:53.330,3", ("v", "when", "w"), 1, None),
        ("a,b,c,d,e,when\n1,2,3,4,5,2024-01-01\n2,3,4,5,7,NAN", ("a", "b", "c", "d", "e", "when"), 1, None),
        ("a,b,c,d,e,when\n1,2,3,4,5,2024-01-01\n2,3,4,5,7,later", ("a", "b", "c", "d", "e", "when"), 0, None),
        ("time,v\n3,1\n1,2\n2,5", ("time", "v"), 0, None),
        ("time,v\n1,1\n1,2\n2,5", ("time", "v"), 1, None),
        (f"time,v\n{chr(10).join(f'{row % 50},1' for row in range(100))}", ("time", "v"), 1, None),
        ("t,v\n0,1\n1,2", ("t", "v"), 0, None),
        ("t,v\n0,1\n1,2\n2,5", ("t", "v"), 1, None),
        ("t,v\n0,1\n1,2\n3,5", ("t", "v"), 0, None),
        ("ts,v\n0,1\n1,2\n2,5", ("ts", "v"), 1, None),
        ("s,v\n0,1\n0.5,2\n1,5", ("s", "v"), 1, 2),
        ("h,v\n0,1\n0.5,2\n1,5", ("h", "v"), 0, None),
        ("min,max\n0,1\n1,2\n2,5", ("min", "max"), 0, None),
        ("Temp (min),v\n0,1\n1,2\n2,5", ("Temp (min)", "v"), 0, None),
        ("Time (h),v\n0,1\n1e-4,2\n2e-4,5", ("Time (h)", "v"), 1, None),
        ("Time (min),v\n0,1\n1e-4,2\n2e-4,5", ("Time (min)", "v"), 1, None),
        ("ms,v\n0,1\n1,2\n2,5", ("ms", "v"), 1, 1000),
        ("t/ms,v\n0,1\n1,2\n2,5", ("t/ms", "v"), 1, 1000),
        ("Time/\u03bcs,v\n0,1\n1,2\n2,5", ("Time/\u03bcs", "v"), 1, 1000000),
        ("in s,v\n0,1\n1,2\n2,5", ("in s", "v"), 1, 1),
        ("speed m/s,v\n0,1\n1,2\n2,5", ("speed m/s", "v"), 0, None),
        ("reaction time,v\n0,1\n1,2\n2,5", ("reaction time", "v"), 0, None),
        ("Elapsed Time,v\n0,1\n1,2\n2,5", ("Elapsed Time", "v"), 1, None),
        ("Time,Flow\ns,l/min\n0,1\n1,2\n2,3", ("Time", "Flow"), 1, 1),
        ("Date,Time,v\n2024-01-01,12:00:00,1\n2024-01-01,12:00:01,2", ("Date", "Time", "v"), 2, None),
        ("2024-01-01 12:00:00 1\n2024-01-01 12:00:01 2", None, 2, None),
        ("6/26/13 11:00:00 AM 1\n6/26/13 11:00:01 AM 2", None, 3, None),
        ("26-Jun-2013 11:00:00;1\n27-Jun-2013 12:00:00;2", None, 1, None),
        ("2024-01-01T00:00:00Z,1\n2024-01-01T00:00:01Z,2", None, 1, None),
        (
            '"Plot Title: 1"\n"#","Date Time, GMT","Temp, °C"\n1,06/26/13 11:00:00 AM,21.6\n2,06/26/13 11:15:00 AM,21',
            ("#", "Date Time, GMT", "Temp, °C"),
            2,
            None,
        ),
        (
            '"TOA5","CR1000","1"\n"TIMESTAMP","RECORD","flux"\n"TS","RN","W/m^2 s"\n"","","Avg"\n'
            '"2012-01-01 00:00",0,1\n"2012-01-01 00:01",1,2',
            ("TIMESTAMP", "RECORD", "flux"),
            2,
            None,
        ),
        ("Sampling rate: 8000 Hz\na\n1\n2", ("a",), 0, 8000),
        ("Sample Index,v\n0.0,1\n1.0,2\n2.0,2", ("Sample Index", "v"), 1, None),
        (f"packet no,v\n{chr(10).join(f'{row % 16},1' for row in range(8, 100))}", ("packet no", "v"), 1, None),
        ("packet no,v\n3,1\n0,1\n1,2", ("packet no", "v"), 0, None),
        (f"# sampling rate: 1000\n{chr(10).join(f'{row % 16},1' for row in range(100))}", None, 1, 1000),
        (
            "Interval=\t0.001 s\nTimeFormat=\tStartOfBlock\nChannelTitle=\tPulse\tECG\nRange=\t10 V\t1 V\n"
            "0\t0.1\t0.2\n0.001\t0.2\t0.3\n0.002\t0.1\t0.3",
            ("Time", "Pulse", "ECG"),
            1,
            1000,
        ),
        (
            "take.acq\n0.5 msec/sample\n2 channels\nECG\nmV\nResp\nV\nmin\tCH1\tCH2\t\n\t3\t3\t\n0\t0.1\t0.2\t\n"
            "8.33333e-06\t0.2\t0.3\t\n1.66667e-05\t0.2\t0.3\t",
            ("min", "CH1", "CH2"),
            1,
            2000,
        ),
        ("Freq.,dB\n20,1\n25,2", ("Freq.", "dB"), 1, None),
        ("Record Length,2.5e3,,-0.01,1,\nnote\nSample Interval,2e-5,,-0.00998,2,\n,,,-0.00996,3,", None, 4, 50000),
        ("day;night\n1;2\n3;4", ("day", "night"), 0, None),
        ("hours,score\n1,2\n3,4", ("hours", "score"), 0, None),
        ("Time (days),v\n0,1\n1e-5,2\n2e-5,4", ("Time (days)", "v"), 1, None),
        ("T,P\n20,1\n21,2\n22,4", ("T", "P"), 0, None),
        ("sample,v\n1.5,1\n2.5,2\n3.5,4", ("sample", "v"), 0, None),
        ("v,when,w\n1.5,2020-01-01 10:00:00,3\n2.5,2020-01-01 10:00:01,4", ("v", "when", "w"), 1, None),
        ("a,b,c\n1,2-Jan-20,3\n2,5,4\n3,6,5", ("a", "b", "c"), 0, None),
        ("10:00:00.123 -> 1.5,2\n10:00:00.223 -> 2.5,3", None, 0, None),
        ("2020-01-01,1,4\n2020-01-02,2,4\n5,3,4", None, 0, None),
        (f"# sampling rate: 1000\n{chr(10).join(f'{row},1' for row in (0, 1, 2, 0, 1, 2, 3, 4))}", None, 0, 1000),
        (f"# sampling rate: 1000\n{chr(10).join('0,1' for _ in range(9))}", None, 0, 1000),
        ("Title\n1,2,3\n4,5,6", None, 0, None),
        ("@relation x\n@attribute a numeric\n@data\n1,2\n3,4", None, 0, None),
        ("$1.50\n2.50", None, 0, None),
        (f"{'t' * 200} (s),v\n0,1\n1,2", (f"{'t' * 200} (s)", "v"), 0, None),
        ("seconds,v\n0,1\n0.5,2\n1,1", ("seconds", "v"), 1, 2),
        ("Frequency (Hz),dB\n20,1\n25,2", ("Frequency (Hz)", "dB"), 1, None),
        ("index,v\n5,1\n6,2", ("index", "v"), 1, None),
        ("index,v\n5,1\n7,2", ("index", "v"), 0, None),
        ("x,y\n1,2\n2,3", ("x", "y"), 0, None),
        ("0,1\n1,2\n2,3", None, 0, None),
        ("time\n0\n1", ("time",), 0, None),
        ("sep=;\na;b\n1;2", ("a", "b"), 0, None),
        (
            "X,CH1,CH2,Start,Increment,\nSequence,Volt,Volt,-1e-02,5e-05\n0,1,2,\n1,3,2.5,",
            ("X", "CH1", "CH2"),
            1,
            20000,
        ),
        (RIGOL_NEW, ("Time(s)", "CH1(V)"), 1, 1000000),
        ("x-axis,1,2\nsecond,Volt,Volt\n-5e-5,0.5,1\n0,0.6,1\n5e-5,0.7,1", ("x-axis", "1", "2"), 1, 20000),
        (SIGLENT, ("Source", "CH1", "CH2"), 1, 200000000),
        (
            "Model,A1\nFirmware Version,1.2\n\nSample Interval,1.0e-06\nVertical Units,V,V\n\n"
            "TIME,CH1,CH2\n-1e-6,1,2\n0,3,2.5",
            ("TIME", "CH1", "CH2"),
            1,
            1000000,
        ),
        (
            "Record Length,2.5e3,,-0.01,1,\nSample Interval,2e-5,,-0.00998,2,\nTrigger,1,,-0.00996,3,\n,,,-0.00994,3,",
            None,
            4,
            50000,
        ),
        (
            ";Nr of samples,3\n;Sample rate,100000\nSample,Time(S),CH1(V)\n0,-1e-05,0.5\n1,0,1.5\n2,1e-05,2.5",
            ("Sample", "Time(S)", "CH1(V)"),
            2,
            100000,
        ),
        (
            REW_MEASUREMENT.format(rows="20.0, 65.3, -12.4\n20.5, 66, 11"),
            ("Freq(Hz)", "SPL(dB)", "Phase(degrees)"),
            1,
            None,
        ),
        (
            REW_MEASUREMENT.format(rows="20.0 65.3 -12.4\n20.5 66 11"),
            ("Freq(Hz)", "SPL(dB)", "Phase(degrees)"),
            1,
            None,
        ),
        (
            "* REW\n0.5 // Peak value\n2.0833333333333333E-5 // Sample interval (seconds)\n* Data start\n1\n2",
            None,
            0,
            48000,
        ),
        ("; Sample Rate 8000\n; Channels 1\n  0  0.5\n 0.000125 -0.25\n 0.00025 1", None, 1, 8000),
        (
            "take.txt   1 channel (mono)\nSample Rate: 44100 Hz. Sample values on linear scale.\nData:\n0.5\n1",
            None,
            0,
            44100,
        ),
        (AUDACITY.format(rows="0.1\n-0.2"), None, 0, 44100),
        (AUDACITY.format(rows="1\t0.1\t0.2\n2\t0.2\t0.4\n3\t0.5\t0.1"), None, 1, 44100),
        (AUDACITY.format(rows="1\t0.1\t0.2\n2\t0.2\t0.4"), None, 0, 44100),
        (AUDACITY.format(rows="0.00000\t0.1\n0.00002\t0.2\n0.00005\t-0.1\n0.00007\t0.5"), None, 1, 44100),
        (AUDACITY.format(rows="0.00000\t0.1\n0.00002\t0.2\n0.00005\t-0.1\n0.00008\t0.5"), None, 0, 44100),
        ("44.1 kHz, 16 bit sound card\n1 channel (mono)\n1\n2", None, 0, None),
        ("# fs = 48 kHz\n1\n2", None, 0, 48000),
        ("# left, right\n1,2\n3,4", ("left", "right"), 0, None),
        ("# made by hand\n1 2 3\n4 5 6", None, 0, None),
        ("# time left\n0 2\n1 6", ("time", "left"), 1, None),
        ("% Generated by MATLAB\n%\n% Coefficient Format: Decimal\n\nNumerator:\n 0.25\n 0.5", None, 0, None),
        ("t,a,\n0,1,\n1,2,", ("t", "a"), 0, None),
        ("a,b,c\n1,2,\n3,4,", ("a", "b", "c"), 0, None),
        ("sample rate: 33.3\n1\n2", None, 0, None),
        ("sample interval: 0\n1\n2", None, 0, None),
        ("# sample rate: 100 Hz\ninf,1\ninf,2", None, 0, 100),
        ("# sample rate: 1e-310 Hz\n0.1,1\n0.2,2", None, 0, None),
        ("time [ns],v\n0,1\n5e-324,2\n1e-323,3", ("time [ns]", "v"), 1, None),
    ],
)
def test_names_and_what_is_no_sample(text: str, names: tuple[str, ...] | None, passed: int, rate: int | None) -> None:
    heading = heading_of(text)
    assert (heading.names, len(heading.unsampled), heading.sample_rate) == (names, passed, rate)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("12a,3b\n1,2\n3,4", 0),
        ("a,b\n12a,3b\n1,2\n3,4", 1),
        ("12a,3b\na,b\n1,2", 0),
        ("x,1\n2,3", 0),
        ("left,right\nfoo,bar\n1,2", 1),
        ("1,x,3\n1,2\n3,4", 0),
        ("NA,2\n3,4", 0),
        ("Firmware Version,1.2\n0.1,0.2\n0.3,0.4", 0),
        ("alice,1,foo\nbob,2,3\n7,8,9", 0),
    ],
)
def test_a_bad_row_is_the_first_of_the_body(text: str, start: int) -> None:
    assert heading_of(text).body.start == start


@pytest.mark.parametrize(
    ("text", "options", "names", "start"),
    [
        ("2019,2020\n1,2", {"header": "yes"}, ("2019", "2020"), 1),
        ("a,b\n1,2", {"header": "yes"}, ("a", "b"), 1),
        ("a,b\n1,2", {"header": "no"}, None, 0),
        ("1,2\n3,4", {"header": "no"}, None, 0),
        ("title\n2019,2020\n1,2", {"header": "yes", "skip": 1}, ("2019", "2020"), 2),
        ("1,2", {"header": "yes"}, ("1", "2"), 1),
    ],
)
def test_whether_there_is_a_header_can_be_said(
    text: str, options: dict[str, object], names: object, start: int
) -> None:
    heading = heading_of(text, **options)
    assert (heading.names, heading.body.start) == (names, start)


def test_nodata_start_and_delimiter_are_taken_where_they_are_stated() -> None:
    assert heading_of("ncols 2\nNODATA_value -9999\n1 2").nodata == -9999
    assert heading_of("# nodata: -1e30\n1 2").nodata == -1e30
    assert heading_of("-1.0 // Start time (seconds)\n1").start_time == -1
    assert heading_of("48000 // Sample rate\n1").sample_rate == 48000
    assert heading_of("sep=;\n1;2").separator == ";"


def test_remarks_tell_what_was_taken_for_what() -> None:
    told = heading_of("# fs: 0.3\n# nodata -1\nX,a,\nsequence,V,\n0,1,\n1,1,").remarks
    assert told == (
        "text of 2 columns between commas, from line 5 on",
        "names: X, a",
        "units: sequence, V",
        "column 1 passed over: a count",
        "comments above the numbers: 2 lines",
        "delimiters at the end of each row: 1",
        "sample rate: 0.3 Hz, not a whole number below 2**31: left out",
        "NODATA is -1: read as NaN",
    )


@pytest.mark.parametrize(
    ("text", "start", "way_out"),
    [
        ("Wert\n1,5\n2,5", 2, "'1,5' has two cells, and 'Wert' is the only name; decimal commas need --decimal ,"),
        ("Druck (bar)\n1,013\n1,015", 2, "'1,013' has two cells, and 'Druck (bar)' is the only name"),
        ("0,1 0,5\n0,2 0,7", 1, "'0,1' is not a number; decimal commas need --decimal ,"),
        ("a;b;;\n1,5;2;;\n2,5;3;;", 2, "'1,5' is not a number; decimal commas need --decimal ,"),
    ],
)
def test_decimal_commas_are_no_columns(text: str, start: int, way_out: str) -> None:
    with pytest.raises(InputError) as caught:
        heading_of(text)
    assert str(caught.value).startswith(f"line {start}")
    assert way_out in str(caught.value)


@pytest.mark.parametrize(
    ("text", "options", "width"),
    [
        ("Wert\n1,5\n2,5", {"decimal": ","}, 1),
        ("Druck (bar)\n1,013\n1,015", {"decimal": ","}, 1),
        ("A\n1,5\n2,5", {"delimiter": ","}, 2),
        ('"A"\n"1",5\n"2",5', {}, 2),
        ("A\n1,0.5\n2,0.5", {}, 2),
    ],
)
def test_one_name_may_stand_above_two_columns(text: str, options: dict[str, object], width: int) -> None:
    assert heading_of(text, **options).body.width == width


@pytest.mark.parametrize(
    ("text", "options", "doubt"),
    [
        ("1,013\n1,015", {}, "'013' begins with 0, as behind a decimal comma; decimal commas need --decimal ,"),
        ("1,013\n1,015", {"delimiter": ","}, None),
        ("a,b\n1,013\n1,015", {}, None),
        ("1,0\n1,15", {}, None),
        ("1,013\n1,-15", {}, None),
        ("1,013\n1.5,15", {}, None),
        ("1;013\n1;015", {}, None),
        ("1,2,013\n1,2,015", {}, None),
    ],
)
def test_a_leading_zero_raises_a_doubt(text: str, options: dict[str, object], doubt: str | None) -> None:
    assert heading_of(text, **options).doubts == (() if doubt is None else (doubt,))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1609459200.00\n64.000000\n0.1\n0.2", 64),
        ("1609459200,1609459200\n32.0,32.0\n1,2", 32),
        ("1609459200\n64", None),
        ("1609459200\n0\n1", None),
        ("1609459200\n0.5\n1", None),
        ("1609459200\n1609459201\n1609459202", None),
        ("1000\n64\n1", None),
        ("1609459200,5\n32,5\n1,2", None),
        ("x\n1609459200\n64\n1", None),
    ],
)
def test_a_moment_and_a_rate_are_no_samples_perhaps(text: str, rate: int | None) -> None:
    way_out = f"--skip 2 --sample-rate {rate} takes them for that"
    doubt = f"its first two rows look like a moment and a sample rate, not like samples; {way_out}"
    assert heading_of(text).doubts == (() if rate is None else (doubt,))


def test_times_overrule_a_rate_that_contradicts_them() -> None:
    heading = heading_of("Sample rate: 1 GSa/s\nTime (s),v\n0,1\n1e-6,2\n2e-6,3")
    assert heading.sample_rate == 1000000
    assert heading.doubts == (
        "it states 1e+09 Hz, but the steps of its times are those of 1000000 Hz, which is taken; "
        "--sample-rate HZ overrules",
    )
    rounded = heading_of("Sample rate: 44100 Hz\nTime (ms),v\n0,1\n0.0227,2\n0.0454,3")
    assert (rounded.sample_rate, rounded.doubts) == (44100, ())


@pytest.mark.parametrize("rows", ["0,1\n1,2\n3,3", "time,v\n0,1\n1,2\n2,3"])
def test_why_times_tell_no_rate_is_told(rows: str) -> None:
    text = rows if rows.startswith("time") else f"Time (s),v\n{rows}"
    assert heading_of(text).remarks[-1].startswith("no sample rate: its times go up in uneven steps, or without a unit")


@pytest.mark.parametrize("order", ["Left and right channels on alternate lines.", "One row per channel."])
def test_channels_that_are_no_columns_are_refused(order: str) -> None:
    with pytest.raises(InputError, match=f"no columns: '{order[:-1]}'"):
        heading_of(f"Sample Rate: 44100 Hz.  Sample values on linear scale.\n{order}\n\n0.1\n0.2")
