"""Runtime invariants over one inference record, declared as data and never as code.

`language` holds the syntax tree, `parse` reads and writes it as JSON, `engine` compiles a list of
invariants and evaluates records, `packs` ships a starter set. Only `patterns` and what stands on it
need google-re2; language and parser import with the standard library alone.
"""
