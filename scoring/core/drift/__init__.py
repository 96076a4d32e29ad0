"""Has the stream changed: what moved, since when, by how much, in which segment.

Every verdict rests on a test whose false-alarm rate is controlled: windows are compared by
permutation within seasons, streams by e-detectors with a stated average run length.
"""
