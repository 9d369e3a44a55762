"""Numbers in text: found, understood and read in three steps, and written.

1. `body`: the delimiter and the first row of numbers, from the rows themselves.
2. `heading`: what stands above them: names, units, comments, a sample rate, a NODATA value.
3. `reader`: the rows in blocks, by way of `cells` (where they are) and `decimals` (what they say).
"""
