#!/usr/bin/env bash
# DuckDB and pyarrow read cells such as 0x10 as whole numbers, each by its own rules: the same file gives -1 in one and
# 2**64 - 1 in the other.
#
# duckdb 2.0.1 and pyarrow 26.0.1, on Linux.
# Expected: 0x10 is text to a reader of CSV, as it is to pandas and to float(); or, if a number, the same one everywhere.
# Seen: a column of such cells, alone or among decimal ones, is BIGINT in DuckDB and int64 in pyarrow: 10 and 0x10 are 10
#   and 16. 0xFFFFFFFFFFFFFFFF is 18446744073709551615 (HUGEINT) in DuckDB and -1 in pyarrow, where 0x8000000000000000 is
#   -9223372036854775808. 0b11 is 3 in DuckDB alone. One cell with a decimal point, and the whole column is text in
#   both; asked for doubles, both refuse 0x10 with an error.
# What to do: name the column's type as text where cells are addresses, hashes or registers, lest "0x00ab12cd" lose its
#   zeros; state it as double where they should be samples, so that hexadecimal cells are refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import pyarrow
import pyarrow.csv


def read(*cells):
    """The column of `cells` as DuckDB and pyarrow read it."""
    with open("column.csv", "w") as file:
        file.write("".join(f"{cell},1\n" for cell in ("a", *cells)).replace("a,1", "a,b"))
    database = [row[0] for row in duckdb.sql("select a from read_csv('column.csv')").fetchall()]
    return database, pyarrow.csv.read_csv("column.csv")["a"].to_pylist()


def refused(work):
    try:
        work()
    except (duckdb.Error, pyarrow.ArrowInvalid):
        return True
    return False


cases = {
    ("0x10",): ([16], [16]),
    ("10", "0x10"): ([10, 16], [10, 16]),
    ("0x00ab12cd",): ([0xAB12CD], [0xAB12CD]),
    ("0xFFFFFFFFFFFFFFFF", "0x8000000000000000"): ([2**64 - 1, 2**63], [-1, -(2**63)]),
    ("0b11",): ([3], ["0b11"]),
    ("1.5", "0x10"): (["1.5", "0x10"], ["1.5", "0x10"]),
}
for cells, expected in cases.items():
    print(*cells, "in DuckDB and pyarrow:", *read(*cells))
    assert read(*cells) == expected, (cells, read(*cells))
read("0x10")
assert refused(lambda: duckdb.sql("select a from read_csv('column.csv', types={'a': 'DOUBLE'})").fetchall())
options = pyarrow.csv.ConvertOptions(column_types={"a": pyarrow.float64()})
assert refused(lambda: pyarrow.csv.read_csv("column.csv", convert_options=options))
print("As described.")
PYTHON
