"""Raw files of the embedded experiment: a small invented world, written in the upstream schemas, and its corpus.

`world` has the vocabulary and the facts. `stories` and `functions` have contents that several datasets present in
different forms. Each family of datasets has a module that writes its files, and `registry` names these generators.
`corpus` presents the same knowledge as plain text for pretraining. Only the standard library is imported.
"""
