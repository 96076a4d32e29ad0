"""The numeric ground: numpy, scipy and scikit-learn only, importable without Django.

Free functions first, classes only for learned state; results are frozen dataclasses, inputs are
never changed, randomness is passed in.
"""
