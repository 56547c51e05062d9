"""Raw files of the embedded experiment: a small invented world, written in the upstream schemas, and its corpus.

`world` holds the vocabulary and the facts, `stories` and `functions` what several datasets tell in their own way, one
module a family of datasets writes their files, `corpus` tells the same knowledge as plain text for pretraining and
`registry` names the generators. Nothing but the standard library is imported.
"""
